// ---------------------------------------------------------------- The board: flows by environments

/** Pixels: below the first the table becomes a list; a flow's name and an environment's column need the others. */
const NARROW_PIXELS = 560;
const FLOW_PIXELS = 230;
const COLUMN_PIXELS = 112;

const board = {
  key: "board",
  estate: null,
  /** The arguments with which the estate was read. */
  asked: {},
  text: "",
  rows: firstPage(),
  firstColumn: 0,
  /** All environments and packages that were seen, so that narrowing to one does not hide the others. */
  environments: new Map(),
  packages: new Map(),
  isStale: false,

  take(result, asked) {
    this.estate = readEstate(result);
    this.asked = withoutPage(asked);
    this.isStale = false;
    this.rows = firstPage();
    this.firstColumn = 0;
    for (const environment of this.estate.environments) this.environments.set(environment.id, environment);
    for (const one of this.estate.packages) this.packages.set(one.id, one);
  },

  draw(head, body) {
    const tools = el("div", { class: "tools" });
    if (host.canCall) tools.append(button("Read again", () => this.read(this.asked), { icon: "again", iconOnly: true }));
    const mode = modeButton();
    if (mode) tools.append(mode);
    head.append(el("div", { class: "bar" }, heading("What runs where"), this.summary(), tools));
    this.table = el("div", { class: "board" });
    body.append(this.controls(), ...this.notices(), this.table);
    return () => this.drawTable();
  },

  summary() {
    const { total, flowsInAll, enabled, disabled } = this.estate;
    const rest = total - enabled - disabled;
    return el(
      "p",
      { class: "summary" },
      el("span", {}, `${counted(total, "deployment")} of ${counted(flowsInAll, "flow")}`),
      count(true, enabled),
      count(false, disabled),
      rest > 0 && count(null, rest),
    );
  },

  controls() {
    const field = el("input", {
      type: "search",
      class: "field",
      placeholder: "Filter flows",
      "aria-label": "Filter flows",
      "data-key": "filter",
      autocomplete: "off",
      spellcheck: "false",
      oninput: () => this.filter(field.value),
      onkeydown: (event) => {
        if (event.key === "Enter" && host.canCall) this.narrow({ flow: field.value.trim() || undefined });
      },
    });
    field.value = this.text;
    return el("div", { class: "controls" }, field, this.choices(), this.attentionButton(), this.questionButton());
  },

  choices() {
    const { environment, package: packageAsked, enabled } = this.asked;
    return el(
      "div",
      { class: "choices" },
      choice("Environment", "All environments", [...this.environments.values()], environment, (id) => this.narrow({ environment: id })),
      choice("Package", "All packages", [...this.packages.values()], packageAsked, (id) => this.narrow({ package: id })),
      choice("State", "On and off", [{ id: true, label: "Only on" }, { id: false, label: "Only off" }], enabled, (id) => this.narrow({ enabled: id })),
    );
  },

  attentionButton() {
    const kinds = this.estate.attention.filter((kind) => kind.count > 0);
    if (!kinds.length) return null;
    const words = kinds.map((kind) => `${number(kind.count)} ${shown(kind.what)}`).join(" · ");
    const open = () => go(attentionView(this.estate));
    return button(words, open, { icon: "warn", look: "attention", title: `Deserves attention: ${words}`, "data-key": "attention" });
  },

  questionButton() {
    return change.isOpen && button("Back to the question", () => go(change), { icon: "waiting", look: "attention" });
  },

  /** What a reader has to know to take the table for what it is. */
  notices() {
    const { isWhole, leftOut, remarks, call, flows } = this.estate;
    const lines = remarks.map(shown);
    if (leftOut) lines.push(`${counted(leftOut, "more deployment")} not shown: narrow the board to see others.`);
    if (!isWhole && !flows.length) lines.push("This host hands the page the counts alone.");
    else if (!isWhole && isOffered(call, READS)) lines.push("This host hands the page a part of the deployments only.");
    if (!host.canCall) lines.push("This host does not let the page ask the server, so it shows what was read, and no more.");
    const narrowed = Object.entries(this.asked).map(([name, value]) => `${ASKED[name] ?? name} ${this.meaning(name, value)}`);
    const notes = lines.map((line) => el("p", { class: "note" }, line));
    if (!isWhole && isOffered(call, READS)) {
      notes.push(button("Show more deployments", () => this.read(call.arguments), { look: "small" }));
    }
    if (narrowed.length && host.canCall) {
      const all = button("Show everything", () => this.read({}), { look: "small" });
      notes.push(el("p", { class: "note" }, "Only: ", el("bdi", {}, narrowed.join("; ")), " ", all));
    }
    return notes;
  },

  meaning(name, value) {
    const found = listIn(this.estate.matched[name]).map(shown);
    if (found.length) return found.slice(0, 3).join(", ") + (found.length > 3 ? ` and ${number(found.length - 3)} more` : "");
    return name === "enabled" ? stateInWords(value) : shown(value);
  },

  filter(text) {
    this.text = text;
    this.rows = firstPage();
    this.firstColumn = 0;
    this.drawTable();
  },

  /** Reads again, narrowed; where the page may not ask, what was read is narrowed. */
  narrow(more) {
    const asked = Object.entries({ ...this.asked, ...more }).filter(([, value]) => value !== undefined);
    if (host.canCall) return this.read(Object.fromEntries(asked));
    this.asked = Object.fromEntries(asked);
    return redraw();
  },

  async read(asked) {
    say("Reading…");
    document.getElementById("body").setAttribute("aria-busy", "true");
    try {
      // What belongs to no environment cannot be asked for: it is read with all, and sifted here.
      const sent = { ...asked };
      if (sent.environment === null || sent.environment === "?") delete sent.environment;
      const result = await callTool("deployment_overview", sent);
      if (result.isError) throw new Error(textOf(result));
      const told = objectIn(result.structuredContent);
      if (told.page && !told.rows) return go(attentionView({ attention: listIn(told.attention), call: told.call }));
      this.take(result, asked);
      go(this, { keepFocus: true });
      const { deployments } = sift(this.estate, this.sieve());
      say(`Read again: ${counted(deployments, "deployment")}.`, { isBrief: true });
    } catch (error) {
      say(error.message, { look: "bad" });
    } finally {
      document.getElementById("body").removeAttribute("aria-busy");
    }
  },

  /** What the table is filtered by: what was asked for, where it is one of the choices, and what is typed. */
  sieve() {
    const { environment, package: packageId, enabled, flow } = this.asked;
    return {
      text: this.text === flow ? "" : this.text,
      environment: this.environments.has(environment) ? environment : undefined,
      packageId: this.packages.has(packageId) ? packageId : undefined,
      enabled: typeof enabled === "boolean" ? enabled : undefined,
    };
  },

  drawTable() {
    const width = this.table.clientWidth;
    const isNarrow = width < NARROW_PIXELS;
    const sifted = sift(this.estate, this.sieve());
    const columns = Math.max(1, Math.floor((width - FLOW_PIXELS) / COLUMN_PIXELS));
    this.firstColumn = Math.min(this.firstColumn, Math.max(0, sifted.environments.length - columns));
    const environments = sifted.environments.slice(this.firstColumn, this.firstColumn + columns);
    const footer = el("div", { class: "pager" });
    const make = isNarrow ? narrowTable : wideTable;
    const { table, draw } = make(sifted, environments);
    const isEmpty = !sifted.deployments;
    this.table.replaceChildren(isEmpty ? el("p", { class: "empty" }, "No deployment fits.") : table);
    if (isEmpty) return;
    this.table.append(el("div", { class: "pagers" }, footer, !isNarrow && this.columnPager(sifted.environments, columns)));
    const again = () => keepingFocus(() => this.drawTable());
    paginate({ rows: rowsOf(sifted, isNarrow), paging: this.rows, footer, what: "rows", draw, remove: () => removeRow(table), again });
  },

  columnPager(environments, columns) {
    if (environments.length <= columns) return null;
    const turn = (label, drawing, first) =>
      button(label, () => keepingFocus(() => ((this.firstColumn = first), this.drawTable())), {
        icon: drawing,
        iconOnly: true,
        look: "turn",
        "data-key": label,
        disabled: first < 0 || first >= environments.length,
      });
    const first = this.firstColumn;
    const end = Math.min(first + columns, environments.length);
    return el(
      "div",
      { class: "pager" },
      el("span", { class: "range" }, `${first + 1}–${end} of ${counted(environments.length, "environment")}`),
      turn("Previous environments", "back", first ? Math.max(0, first - columns) : -1),
      turn("Next environments", "forth", end < environments.length ? end : environments.length),
    );
  },
};

const ASKED = { enabled: "state", deployment_id: "deployment" };

function withoutPage({ show, page, ...asked }) {
  return asked;
}

function count(enabled, many) {
  const [look, word] = STATES.get(enabled) ?? NOT_TOLD;
  return el("span", { class: `state ${look}` }, el("span", { class: "mark", "aria-hidden": "true" }), `${number(many)} ${word}`);
}

/** A box to choose from. What was asked for and is none of the choices stands in it as it was asked for. */
function choice(label, all, options, asked, choose) {
  const found = options.findIndex((option) => option.id === asked || option.label === asked);
  const odd = asked !== undefined && found < 0 ? el("option", { value: "odd" }, shown(asked)) : null;
  const entries = options.map((option, index) => el("option", { value: index }, option.label.slice(0, 80)));
  const box = el(
    "select",
    { class: "field", "aria-label": label, "data-key": label, onchange: () => box.value !== "odd" && choose(options[box.value]?.id) },
    el("option", { value: "" }, all),
    odd,
    entries,
  );
  box.value = odd ? "odd" : found < 0 ? "" : String(found);
  return box;
}

// ---------------------------------------------------------------- The two forms of the table

function wideTable({ counts }, environments) {
  const columns = environments.map((environment) => environmentHeader(environment, counts.get(environment)));
  const flow = el("th", { scope: "col", class: "flow" }, "Flow");
  const table = el("table", { class: "matrix", "aria-label": "Deployments" }, el("thead", {}, el("tr", {}, flow, columns)));
  const row = ({ flow, found }) =>
    el("tr", {}, flowHeader(flow), environments.map((environment) => cell(found.filter((d) => d.environment === environment))));
  return { table, draw: (rows) => drawGroups(table, rows, row, environments.length + 1) };
}

function environmentHeader({ label, isProtected }, { all, off }) {
  const lock = isProtected && el("span", { class: "lock", title: "protected" }, icon("lock"), unseen(" protected "));
  const told = el("span", { class: "count" }, unseen(" "), `${number(all)}${off ? ` · ${number(off)} off` : ""}`);
  return el("th", { scope: "col" }, el("span", { class: "environment" }, named(label), lock), told);
}

function flowHeader(flow) {
  const isNumbered = /^\d+$/.test(flow.id) && !flow.label.endsWith(flow.id);
  const number = isNumbered && el("span", { class: "number", "aria-hidden": "true" }, flow.id);
  return el("th", { scope: "row", class: "flow", title: `${flow.label} (${flow.id})` }, el("bdi", { class: "name" }, flow.label), number);
}

const cell = (found) => el("td", {}, found.map((d) => deploymentButton(d)));

/** In the narrow table each row holds a flow, and its deployments with the names of their environments. */
function narrowTable() {
  const columns = ["Flow", "Deployments"].map((name) => el("th", { scope: "col", role: "columnheader" }, name));
  const headers = el("thead", { class: "unseen", role: "rowgroup" }, el("tr", { role: "row" }, columns));
  const table = el("table", { class: "stack", role: "table", "aria-label": "Deployments" }, headers);
  const row = ({ flow, found }) => {
    const header = flowHeader(flow);
    header.setAttribute("role", "rowheader");
    return el("tr", { role: "row" }, header, el("td", { role: "cell" }, found.map((d) => deploymentButton(d, true))));
  };
  return { table, draw: (rows) => drawGroups(table, rows, row, 2) };
}

/** Puts the rows into one body for each package, under its name if there are several. */
function drawGroups(table, rows, draw, width) {
  let group = null;
  let body = null;
  for (const row of rows) {
    const own = row.flow.package ?? NO_PACKAGE;
    if (own !== group) {
      group = own;
      body = el("tbody", { role: "rowgroup" });
      if (board.packages.size) {
        const name = el("th", { scope: "rowgroup", role: "rowheader", colspan: width }, named(own.label));
        body.append(el("tr", { class: "group", role: "row" }, name));
      }
      table.append(body);
    }
    body.append(draw(row));
  }
}

function removeRow(table) {
  const body = table.lastElementChild;
  body.lastElementChild.remove();
  if (!body.querySelector("tr:not(.group)")) body.remove();
}

/** One deployment on the board: its iteration, on or off; the whole of it stands in its name. */
function deploymentButton(d, hasPlace = false) {
  const iteration = Number.isFinite(d.iteration) ? String(d.iteration) : null;
  const place = `${d.flow.label.slice(0, 200)} in ${d.environment.place.slice(0, 200)}`;
  const label = `${place}: iteration ${iteration ?? "not known"}, ${stateInWords(d.enabled)}`;
  return el(
    "button",
    {
      type: "button",
      class: "deployment",
      "aria-label": label,
      title: `Deployment ${d.id}, flow ${d.flow.id}, version ${d.version || "not known"}`,
      "data-key": `deployment ${d.id}`,
      onclick: () => deployment.open(d),
    },
    hasPlace && el("bdi", { class: "name place" }, d.environment.label),
    hasPlace && d.environment.isProtected && icon("lock"),
    el("span", { class: "iteration" }, `v${iteration ?? "?"}`),
    state(d.enabled),
  );
}

// ---------------------------------------------------------------- What deserves attention

function attentionView({ attention, call }) {
  const kinds = attention.filter((kind) => isObject(kind));
  const entries = kinds.flatMap((kind) => [() => attentionEntry(kind), ...examples(kind)]);
  if (isOffered(call, READS) && kinds.length === 1) {
    entries.push(() => button("Read the next page", () => board.read(call.arguments), { look: "small" }));
  }
  return listView({ title: "What deserves attention", entries, back: backButton });
}

function attentionEntry({ what, count, call }) {
  const show = isOffered(call, READS) && button("Show all", () => board.read(call.arguments), { look: "small", "aria-label": `Show all: ${shown(what)}` });
  return el("span", { class: "kind" }, icon("warn"), el("strong", {}, `${number(count)} ${shown(what)}`), show);
}

const examples = (kind) => listIn(kind.examples).map((example) => () => named(example, { class: "name example" }));
