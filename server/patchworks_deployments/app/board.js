// The board: flows by environments

/** Pixels below which the table becomes a list, and those of an environment's column, flows' names included. */
const NARROW_PIXELS = 560;
const COLUMN_PIXELS = 142;

/** Remarks that stand above the table. */
const MAX_NOTES = 2;

const fromTheStart = () => ({ rows: firstPage(), firstColumn: 0 });

/** `asked` are the arguments that the estate was read with. Environments and packages are all that were ever seen. */
const board = {
  key: "board",
  estate: null,
  asked: {},
  text: "",
  ...fromTheStart(),
  environments: new Map(),
  packages: new Map(),
  isStale: false,
  reads: 0,

  take(result, given) {
    const { show, page: number, ...asked } = given;
    const estate = readEstate(result);
    if (asked.flow !== this.asked.flow) this.text = shown(asked.flow);
    Object.assign(this, { estate, asked, isStale: false }, fromTheStart());
    estate.environments.forEach((one) => this.environments.set(one.id, one));
    estate.packages.forEach((one) => this.packages.set(one.id, one));
  },

  draw(head, body) {
    const again = canCall() && button("Read again", () => this.read(this.asked), { drawing: "again", look: "bare" });
    head.append(bar("What runs where", this.summary(), again));
    this.table = el("div.board");
    body.append(this.controls(), this.notes(), this.table);
    return () => this.drawTable();
  },

  summary() {
    const { deployments, flowCount, enabled, disabled } = this.estate;
    const rest = deployments - enabled - disabled;
    const counts = [[true, enabled], [false, disabled], [null, rest]].filter(([, count]) => count > 0);
    const all = `${counted(deployments, "deployment")} of ${counted(flowCount, "flow")}`;
    return el("p.summary", el("span", all), counts.map(([enabled, count]) => state(enabled, number(count))));
  },

  controls() {
    const field = el("input.field", {
      type: "search", placeholder: "Filter flows", "aria-label": "Filter flows", "data-key": "filter", spellcheck: "false",
      oninput: () => {
        Object.assign(this, { text: field.value }, fromTheStart());
        this.drawTable();
      },
      onkeydown: ({ key }) => key === "Enter" && canCall() && this.narrow({ flow: field.value.trim() || undefined }),
    });
    field.value = this.text;
    const states = [{ id: true, label: "Only on" }, { id: false, label: "Only off" }];
    const choices = el(
      "div.choices",
      choice("environment", "Environment", "All environments", [...this.environments.values()]),
      choice("package", "Package", "All packages", [...this.packages.values()]),
      choice("enabled", "State", "On and off", states),
    );
    const back = change.isOpen && button("Back to the question", () => go(change), { drawing: "waiting" });
    const all = canCall() && Object.keys(this.asked).length > 0 && button("Show everything", () => this.read({}));
    return el("div.controls", field, choices, all, back, this.attention());
  },

  attention() {
    const kinds = this.estate.attention.filter(({ count }) => count > 0);
    const words = kinds.map(({ count, what }) => `${number(count)} ${shown(what)}`).join(" · ");
    const label = `Deserves attention: ${words}`;
    const open = () => go(attentionView(this.estate));
    return words && button(words, open, { drawing: "warn", look: "attention", "aria-label": label, title: label });
  },

  /** What a reader has to know to take the table for what it is. */
  notes() {
    const { isWhole, leftOut, remarks, call, text } = this.estate;
    const lines = listIn(remarks).map(shown);
    if (leftOut) lines.push(`${counted(leftOut, "more deployment")} not shown here: narrow the board to see them.`);
    if (!isWhole) lines.push("This host hands the page a part of the deployments only.", ...text.split("\n").slice(0, 2));
    if (!canCall()) lines.push("This host does not let the page ask the server, so it shows what was read, and no more.");
    const entries = lines.map((line) => () => el("span.note", { title: line }, line));
    const all = () => go(listView("Remarks", entries, backButton));
    const more = !isWhole && isOffered(call, READS);
    return el(
      "div.notes",
      entries.slice(0, MAX_NOTES).map((entry) => entry()),
      entries.length > MAX_NOTES && button(`All ${entries.length} remarks`, all, { look: "small" }),
      more && button("Show more deployments", () => this.read(call.arguments), { look: "small" }),
    );
  },

  /** Reads again, narrowed; where the page may not ask, narrows what was read. */
  narrow(more) {
    const asked = Object.fromEntries(Object.entries({ ...this.asked, ...more }).filter(([, value]) => value !== undefined));
    if (canCall()) return this.read(asked);
    this.asked = asked;
    return redraw();
  },

  async read(asked) {
    const from = page.view;
    const read = ++this.reads;
    const body = document.getElementById("body");
    say("Reading…", "unseen");
    body.setAttribute("aria-busy", "true");
    try {
      // What is in no environment cannot be asked for: it is read with all others, and sifted here.
      const { environment, ...others } = asked;
      const isNamed = isTold(environment) && environment !== "?";
      const result = await callTool("deployment_overview", isNamed ? { environment, ...others } : others);
      if (read !== this.reads) return;
      if (result.isError) throw new Error(textOf(result));
      const { page: number, rows, attention, call } = objectIn(result.structuredContent);
      const isAttention = number && !rows && attention;
      if (!isAttention) this.take(result, asked);
      if (page.view !== from) return;
      if (isAttention) return go(attentionView({ attention: listIn(attention), call }));
      go(this, from === this);
      say(`Read: ${counted(this.estate.deployments, "deployment")}.`, "unseen");
    } catch (error) {
      if (read === this.reads) say(error.message, "bad");
    } finally {
      if (read === this.reads) body.removeAttribute("aria-busy");
    }
  },

  drawTable() {
    const { environment, package: packageId, enabled, flow } = this.asked;
    const sifted = sift(this.estate, {
      text: this.text === flow ? "" : this.text,
      environment: this.environments.has(environment) ? environment : undefined,
      packageId: this.packages.has(packageId) ? packageId : undefined,
      enabled: typeof enabled === "boolean" ? enabled : undefined,
    });
    const { environments, counts } = sifted;
    if (!environments.length) return this.table.replaceChildren(el("p.empty", "No deployment to show."));
    const width = this.table.clientWidth;
    const isNarrow = width < NARROW_PIXELS;
    const columns = isNarrow ? Infinity : Math.floor(width / COLUMN_PIXELS);
    const first = (this.firstColumn = Math.min(this.firstColumn, environments.length - 1));
    const some = environments.slice(first, first + columns);
    const { table, row } = isNarrow ? narrowTable() : wideTable(some, counts);
    const footer = el("div.pager");
    const others = columns < environments.length && this.columnPager(environments.length, columns);
    this.table.replaceChildren(table, el("div.pagers", footer, others));
    const rows = rowsOf(sifted.flows, isNarrow);
    const what = rows.length === sifted.flows.length ? "flows" : "rows";
    const draw = (rows) => drawGroups(table, rows, row, this.estate.packages.length);
    const drawn = () => [...table.querySelectorAll("tbody tr:not(.group)")];
    const remove = () => removeRow(table);
    const again = () => keepingFocus(() => this.drawTable());
    paginate({ rows, paging: this.rows, footer, what, draw, drawn, remove, again });
  },

  columnPager(total, columns) {
    const first = this.firstColumn;
    const end = Math.min(first + columns, total);
    const turn = (to) => () => {
      this.firstColumn = Math.max(0, to);
      keepingFocus(() => this.drawTable());
    };
    return el("div.pager", pager("environments", first, end, total, first > 0 && turn(first - columns), end < total && turn(end)));
  },
};

/** A box to choose from. What was asked for and is none of the choices stands in it as it was asked for. */
function choice(name, label, all, options) {
  const value = board.asked[name];
  const found = options.findIndex(({ id, label }) => id === value || label === value);
  const isOdd = value !== undefined && found < 0;
  const choose = () => box.value !== "odd" && board.narrow({ [name]: options[box.value]?.id });
  const entries = options.map((option, n) => el("option", { value: n }, option.label.slice(0, 80)));
  const odd = isOdd && el("option", { value: "odd" }, shown(value));
  const box = el("select.field", { "aria-label": label, "data-key": label, onchange: choose }, el("option", { value: "" }, all), odd, entries);
  box.value = isOdd ? "odd" : found < 0 ? "" : found;
  return box;
}

function attentionView({ attention, call }) {
  const show = (label, given, name) => button(label, () => board.read(given), { look: "small", "aria-label": name });
  const entries = attention.flatMap((kind) => {
    const what = `${number(kind.count)} ${shown(kind.what)}`;
    const all = isOffered(kind.call, READS) && show("Show all", kind.call.arguments, `Show all: ${what}`);
    const examples = listIn(kind.examples).map((example) => () => named(example, "bdi.name.example"));
    return [() => el("div.kind", icon("warn"), el("strong", what), all), ...examples];
  });
  if (attention.length === 1 && isOffered(call, READS)) entries.push(() => show("Read the next page", call.arguments));
  return listView("What deserves attention", entries, backButton);
}
