// ---------------------------------------------------------------- What runs where, as it was read

/** Where the server puts what is for this page and not for the model. */
const FOR_THE_PAGE = "patchworks-deployments/app";

const forThePage = (result) => objectIn(objectIn(result._meta)[FOR_THE_PAGE]);

/** The result of `deployment_overview`. A host that strips what is for the page leaves the few rows of the data. */
function readEstate(result) {
  const told = objectIn(result.structuredContent);
  const board = forThePage(result).board;
  const lists = isObject(board) ? board : listsFrom(told);
  const environments = listIn(lists.environments).map(readEnvironment);
  const packages = listIn(lists.packages).map(readPackage);
  const flows = listIn(lists.flows).map((flow) => readFlow(flow, packages));
  for (const row of listIn(lists.deployments)) addDeployment(row, flows, environments);
  return {
    isWhole: isObject(board),
    account: lists.account,
    mayChange: lists.may_change !== false,
    environments,
    packages,
    flows: flows.filter((flow) => flow.deployments.length),
    total: told.deployments,
    enabled: told.enabled,
    disabled: told.disabled,
    flowsInAll: told.flows,
    leftOut: Number(lists.left_out) || 0,
    attention: listIn(told.attention).filter(isObject),
    remarks: listIn(told.remarks),
    matched: objectIn(told.matched),
    call: told.call,
    page: told.page,
    pages: told.pages,
  };
}

function readEnvironment(entry) {
  const [id, name, isProtected] = listIn(entry);
  if (id === "?") return { id, label: "not told", place: "an environment that is not known", isProtected: false };
  if (id === null || id === undefined) return { id: null, label: "no environment", place: "no environment" };
  const label = shown(name) || `environment ${shown(id)}`;
  return { id: shown(id), label, place: label, isProtected: isProtected === true };
}

function readPackage(entry) {
  const [id, name] = listIn(entry);
  return { id: shown(id), label: shown(name) || `package ${shown(id)}` };
}

function readFlow(entry, packages) {
  const [id, name, place] = listIn(entry);
  const known = shown(id);
  const unnamed = known === "?" || !known ? "a flow that is not known" : /^\d/.test(known) ? `flow ${known}` : known;
  return { id: known, label: shown(name) || unnamed, package: packages[place] ?? null, deployments: [] };
}

function addDeployment(entry, flows, environments) {
  const [id, version, flowPlace, environmentPlace, iteration, enabled] = listIn(entry);
  const flow = flows[flowPlace];
  const environment = environments[environmentPlace];
  if (!flow || !environment) return;
  const deployment = { id: shown(id), version: shown(version), flow, environment, iteration, enabled };
  deployment.words = [flow.label, flow.id, environment.label, id, version, flow.package?.label].map(shown);
  deployment.words = deployment.words.join("\n").toLowerCase();
  flow.deployments.push(deployment);
}

/** The lists of a board, made of the rows of the structured content. */
function listsFrom(told) {
  const rows = listIn(told.rows).filter(isObject);
  const environments = listIn(told.environments).filter(isObject);
  const ids = environments.map((environment) => environment.id);
  const flows = new Map();
  for (const row of rows) {
    const key = row.flow_id ?? `version ${shown(row.flow_version_id)}`;
    if (!flows.has(key)) flows.set(key, [key, row.flow_name, null]);
  }
  const places = [...flows.keys()];
  const place = (row) => places.indexOf(row.flow_id ?? `version ${shown(row.flow_version_id)}`);
  return {
    environments: environments.map(({ id, name }) => [id, id === undefined ? "no environment" : name, false]),
    flows: [...flows.values()],
    deployments: rows.map((row) => [
      row.id, row.flow_version_id, place(row), ids.indexOf(row.environment_id), row.iteration, row.enabled,
    ]),
  };
}

const NO_PACKAGE = { id: null, label: "No package" };

/** Deployments of one flow in one environment that stand in one cell; more of them go on in another row. */
const MAX_IN_CELL = 3;

/** Environments of one flow that stand in one entry of the narrow list. */
const MAX_IN_ENTRY = 6;

/** What of the estate fits the filter: the flows grouped by package, the environments, and how many deployments. */
function sift(estate, { text = "", environment, packageId, enabled } = {}) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (d) =>
    (environment === undefined || d.environment.id === environment) &&
    (packageId === undefined || d.flow.package?.id === packageId) &&
    (enabled === undefined || d.enabled === enabled) &&
    words.every((word) => d.words.includes(word));
  const counts = new Map();
  const flows = [];
  let deployments = 0;
  for (const flow of estate.flows) {
    const found = flow.deployments.filter(fits);
    if (!found.length) continue;
    flows.push({ flow, found });
    deployments += found.length;
    for (const d of found) {
      const count = counts.get(d.environment) ?? { all: 0, off: 0 };
      counts.set(d.environment, { all: count.all + 1, off: count.off + (d.enabled === false) });
    }
  }
  const order = new Map([...estate.packages, null].map((entry, index) => [entry, index]));
  flows.sort((one, other) => order.get(one.flow.package) - order.get(other.flow.package));
  return { flows, counts, deployments, environments: estate.environments.filter((one) => counts.has(one)) };
}

/** The rows of the table: one for a flow, and more where a cell, or in the narrow list the flow, holds too many. */
function rowsOf({ flows }, isNarrow) {
  return flows.flatMap(({ flow, found }) => {
    if (isNarrow) return chunks(found, MAX_IN_ENTRY).map((part) => ({ flow, found: part }));
    const cells = byEnvironment(found);
    const longest = Math.max(...[...cells.values()].map((cell) => cell.length));
    return chunks(Array.from({ length: longest }), MAX_IN_CELL).map((_, part) => ({
      flow,
      found: [...cells.values()].flatMap((cell) => cell.slice(part * MAX_IN_CELL, (part + 1) * MAX_IN_CELL)),
    }));
  });
}

function byEnvironment(found) {
  const cells = new Map();
  for (const d of found) cells.set(d.environment, [...(cells.get(d.environment) ?? []), d]);
  return cells;
}

function chunks(list, size) {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, n) => list.slice(n * size, (n + 1) * size));
}
