// What runs where, as it was read

/** What the server sends for this page and not for the model. */
const forThePage = (result) => objectIn(objectIn(result._meta)["patchworks-deployments/app"]);

/** The result of `deployment_overview`. Of a host that strips what is for the page, the few rows of its data. */
function readEstate(result) {
  const told = objectIn(result.structuredContent);
  const { board } = forThePage(result);
  const lists = isObject(board) ? board : listsFrom(told);
  const environments = listIn(lists.environments).map(listIn).map(readEnvironment);
  const packages = listIn(lists.packages).map(listIn).map(([id, name]) => ({ id, label: shown(name) || `package ${shown(id)}` }));
  const flows = listIn(lists.flows).map((flow) => readFlow(listIn(flow), packages));
  listIn(lists.deployments).forEach((row) => addDeployment(listIn(row), flows, environments));
  const places = [...environments].sort((one, other) => one.isNowhere - other.isNowhere);
  flows.forEach((flow) => flow.deployments.sort((one, other) => places.indexOf(one.environment) - places.indexOf(other.environment)));
  return {
    deployments: listIn(lists.deployments).length,
    ...told,
    environments: places,
    packages,
    flows,
    flowCount: told.flows,
    attention: listIn(told.attention).filter(isObject),
    isWhole: isObject(board),
    mayChange: lists.may_change !== false,
    leftOut: lists.left_out,
    text: shown(textOf(result)),
  };
}

/** `place` is how a sentence names it. What is nowhere, as far as is known, stands last. */
function readEnvironment([id, name, isProtected]) {
  if (id === "?") return { id, label: "not told", place: "an environment that is not known", isNowhere: true };
  const label = shown(name) || (isTold(id) ? `environment ${shown(id)}` : "no environment");
  return { id: id ?? null, label, place: label, isProtected: isProtected === true, isNowhere: !isTold(id) };
}

function readFlow([key, name, place], packages) {
  const id = shown(key);
  const unnamed = /^\d/.test(id) ? `flow ${id}` : id.length > 1 ? id : "a flow that is not known";
  return { id, label: shown(name) || unnamed, package: packages[place] ?? null, deployments: [] };
}

function addDeployment([id, version, flowPlace, environmentPlace, iteration, enabled], flows, environments) {
  const flow = Number.isInteger(flowPlace) && flows[flowPlace];
  const environment = Number.isInteger(environmentPlace) && environments[environmentPlace];
  if (!flow || !environment) return;
  const words = [flow.label, flow.id, environment.label, id, version, flow.package?.label].map(shown).join("\n");
  flow.deployments.push({ id: shown(id), version, flow, environment, iteration, enabled, words: words.toLowerCase() });
}

/** The lists of a board, made of rows. */
function listsFrom(told) {
  const environments = listIn(told.environments).filter(isObject);
  const rows = listIn(told.rows).filter(isObject);
  const ids = environments.map(({ id }) => id);
  const flows = rows.map((row) => row.flow_id ?? `version ${shown(row.flow_version_id)}`);
  return {
    environments: environments.map(({ id, name }) => [id, name]),
    flows: flows.map((flow, n) => [flow, rows[n].flow_name]),
    deployments: rows.map((row, n) => [
      row.id, row.flow_version_id, flows.indexOf(flows[n]), ids.indexOf(row.environment_id), row.iteration, row.enabled,
    ]),
  };
}

/** What of the estate fits: flows with deployments, by package; counts by environment; and how many deployments. */
function sift(estate, { text, environment, packageId, enabled }) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (d) =>
    (environment === undefined || d.environment.id === environment) &&
    (packageId === undefined || d.flow.package?.id === packageId) &&
    (enabled === undefined || d.enabled === enabled) &&
    words.every((word) => d.words.includes(word));
  const flows = estate.flows.map((flow) => ({ flow, found: flow.deployments.filter(fits) })).filter(({ found }) => found[0]);
  const order = (one) => (one.flow.package ? estate.packages.indexOf(one.flow.package) : Infinity);
  flows.sort((one, other) => order(one) - order(other) || 0);
  const counts = new Map();
  for (const d of flows.flatMap(({ found }) => found)) {
    const { all, off } = counts.get(d.environment) ?? { all: 0, off: 0 };
    counts.set(d.environment, { all: all + 1, off: off + (d.enabled === false) });
  }
  return { flows, counts, environments: estate.environments.filter((one) => counts.has(one)) };
}

/** Deployments that one row shows, of each environment in the wide table, in all in the narrow one. */
const MAX_IN_CELL = 3;
const MAX_IN_ENTRY = 6;

/** The rows of the table: one for a flow, and more where a row would hold too many deployments. */
function rowsOf(flows, isNarrow) {
  return flows.flatMap(({ flow, found }) => {
    const rows = [];
    const inCell = new Map();
    found.forEach((d, n) => {
      const before = inCell.get(d.environment) ?? 0;
      inCell.set(d.environment, before + 1);
      const place = Math.floor(isNarrow ? n / MAX_IN_ENTRY : before / MAX_IN_CELL);
      (rows[place] ??= { flow, found: [] }).found.push(d);
    });
    return rows;
  });
}
