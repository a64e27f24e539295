// ---------------------------------------------------------------- One deployment

/** What is known of a deployment, by the names that results have for it. */
const FACTS = [
  ["enabled", "State"],
  ["virtual_environment_name", "Environment"],
  ["iteration", "Iteration"],
  ["priority", "Queue priority"],
  ["package_name", "Package"],
  ["enabled_at", "Enabled since"],
  ["enabled_by", "Enabled by"],
  ["deployed_at", "Version deployed"],
  ["deployed_by", "Version deployed by"],
  ["created_at", "Created"],
  ["updated_at", "Last changed"],
  ["flow_version_status", "Status of the version"],
  ["flow_id", "Flow"],
  ["flow_version_id", "Flow version"],
  ["id", "Deployment"],
];

/** Where an id stands beside a name. */
const IDS = { virtual_environment_name: "virtual_environment_id", package_name: "package_id", flow_name: "flow_id" };

/** What a missing value means, where it means something. */
const MISSING = { priority: "inherited from the flow", virtual_environment_name: "none", package_name: "none" };

/** The value of a fact, as something to put into the page. */
function valueOf(facts, name) {
  const value = facts[name];
  const id = IDS[name] && facts[IDS[name]];
  if (name === "enabled") return state(value);
  if (value === undefined || value === null) {
    if (id !== undefined && id !== null) return named(id);
    return listIn(facts.unreadable).some((field) => field === name || field === IDS[name]) ? "not readable" : (MISSING[name] ?? "–");
  }
  if (/_at$/.test(name)) return time(value);
  return id === undefined || id === null ? named(value) : [named(value), " ", el("span", { class: "number" }, shown(id))];
}

const deployment = {
  key: "deployment",
  facts: {},
  isWhole: false,
  isProtected: false,
  mayChange: true,

  /** Shows what the board knows of it, and reads the rest. */
  open(d) {
    this.isProtected = d.environment.isProtected;
    this.read({
      id: d.id,
      flow_version_id: d.version || undefined,
      flow_name: d.flow.label,
      iteration: d.iteration,
      virtual_environment_name: d.environment.id === null ? undefined : d.environment.label,
      enabled: d.enabled,
    });
  },

  async read(known) {
    this.facts = known;
    this.isWhole = false;
    go(this);
    const { flow_version_id, id } = known;
    if (!host.canCall) return say("This host does not let the page ask the server for more.");
    if (!flow_version_id) return say("Patchworks did not tell its flow version, without which it cannot be looked at alone.");
    say("Reading…");
    try {
      const result = await callTool("get_deployment", { flow_version_id, deployment_id: id });
      if (page.view !== this || this.facts !== known) return;
      if (result.isError || !isObject(result.structuredContent)) throw new Error(textOf(result) || "It could not be read.");
      this.facts = result.structuredContent;
      this.isWhole = true;
      go(this, { keepFocus: true });
    } catch (error) {
      if (page.view === this) say(error.message, { look: "bad" });
    }
  },

  draw(head, body) {
    const { flow_name: name, flow_version_id: version } = this.facts;
    const lock = this.isProtected && el("span", { class: "lock protected" }, icon("lock"), "protected");
    head.append(
      el("div", { class: "bar" }, heading(shown(name) || `Deployment ${shown(this.facts.id)}`), lock, el("div", { class: "tools" }, backButton(), modeButton())),
    );
    body.append(this.list());
    const mayChange = host.canCall && version && (board.estate?.mayChange ?? true);
    if (mayChange) body.append(el("div", { class: "actions" }, this.actions()));
    else if (board.estate && !board.estate.mayChange) body.append(el("p", { class: "note" }, "This server only reads."));
  },

  list() {
    const names = FACTS.filter(([name]) => this.isWhole || name === "enabled" || this.facts[name] !== undefined);
    const facts = names
      .filter(([name]) => name in MISSING || name === "enabled" || this.facts[name] !== undefined || IDS[name] in this.facts)
      .map(([name, label]) => el("div", {}, el("dt", {}, label), el("dd", {}, valueOf(this.facts, name))));
    const unreadable = listIn(this.facts.unreadable).map(shown).join(", ");
    if (unreadable) facts.push(el("div", {}, el("dt", {}, "Not readable"), el("dd", {}, named(unreadable))));
    return el("dl", { class: "facts" }, facts);
  },

  actions() {
    const { flow_version_id, id, enabled } = this.facts;
    const act = (label, tool, look) => button(label, () => change.call(tool, { flow_version_id, deployment_id: id }), { look });
    return [
      enabled !== false && act("Disable", "disable_deployment"),
      enabled !== true && act("Enable", "enable_deployment"),
      act("Delete", "delete_deployment", "danger"),
    ];
  },
};
