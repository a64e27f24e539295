// The two forms of the board's table

/** A column for each environment. */
function wideTable(environments, counts) {
  const head = el("tr", el("th.flow", { scope: "col" }, "Flow"), environments.map((one) => column(one, counts.get(one))));
  const table = el("table.matrix", { "aria-label": "Deployments" }, el("thead", head));
  const cell = (found) => el("td", found.map((d) => deploymentButton(d)));
  const row = ({ flow, found }) =>
    el("tr", flowName(flow), environments.map((one) => cell(found.filter((d) => d.environment === one))));
  return { table, row };
}

function column({ label, isProtected }, { all, off }) {
  const count = el("span.count", ` ${number(all)}${off ? ` · ${number(off)} off` : ""}`);
  return el("th", { scope: "col" }, el("span.environment", named(label), isProtected && lock()), count);
}

const lock = () => el("span.lock", { title: "protected" }, icon("lock"), unseen(" protected"));

/** The name of a flow, and its id beside it, because names are not unique. */
function flowName({ id, label }) {
  const number = /^\d+$/.test(id) && el("span.number", { "aria-hidden": "true" }, id);
  return el("th.flow", { scope: "row", role: "rowheader", title: `${label} (${id})` }, el("bdi.name", label), number);
}

/** A flow in each row, with its deployments and the names of their environments. Laid out anew, it keeps its roles. */
function narrowTable() {
  const heads = ["Flow", "Deployments"].map((name) => el("th", { scope: "col", role: "columnheader" }, name));
  const head = el("thead.unseen", { role: "rowgroup" }, el("tr", { role: "row" }, heads));
  const table = el("table.stack", { role: "table", "aria-label": "Deployments" }, head);
  const row = ({ flow, found }) =>
    el("tr", { role: "row" }, flowName(flow), el("td", { role: "cell" }, found.map((d) => deploymentButton(d, true))));
  return { table, row };
}

/** Puts the rows into a body for each package, under its name where there are packages. */
function drawGroups(table, rows, draw, hasPackages) {
  const width = table.tHead.rows[0].cells.length;
  let body = null;
  rows.forEach((row, n) => {
    const group = row.flow.package;
    if (!body || group !== rows[n - 1].flow.package) {
      body = el("tbody", { role: "rowgroup" });
      const name = el("td", { role: "cell", colspan: width }, named(group?.label ?? "No package"));
      if (hasPackages) body.append(el("tr.group", { role: "row" }, name));
      table.append(body);
    }
    body.append(draw(row));
  });
}

function removeRow(table) {
  const body = table.lastElementChild;
  body.lastElementChild.remove();
  if (!body.querySelector("tr:not(.group)")) body.remove();
}

/** A deployment: its iteration, on or off. Its name says where it is; its title has the ids. */
function deploymentButton(d, hasPlace) {
  const { id, flow, environment, enabled } = d;
  const iteration = Number.isInteger(d.iteration) ? d.iteration : null;
  const place = `${flow.label.slice(0, 200)} in ${environment.place.slice(0, 200)}`;
  const attributes = {
    type: "button",
    title: `Deployment ${id}, flow ${flow.id}, version ${shown(d.version) || "not known"}`,
    "data-key": `deployment ${id}`,
    onclick: () => deployment.open(d),
  };
  const where = hasPlace && [el("bdi.name.place", environment.label), environment.isProtected && icon("lock")];
  const short = el("span.short", { "aria-hidden": "true" }, where, `v${iteration ?? "?"}`, state(enabled));
  const whole = `${place}: iteration ${iteration ?? "not known"}, ${STATES.get(enabled) ?? "state not known"}`;
  return el("button.deployment", attributes, unseen(whole), short);
}
