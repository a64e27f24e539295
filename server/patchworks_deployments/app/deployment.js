// One deployment

/** What is told of a deployment, by the names that results have for it. */
const FACTS = Object.entries({
  enabled: "State",
  iteration: "Iteration",
  virtual_environment_name: "Environment",
  priority: "Queue priority",
  package_name: "Package",
  enabled_at: "Enabled since",
  flow_name: "Flow",
  flow_version_id: "Flow version",
  id: "Deployment",
  enabled_by: "Enabled by",
  deployed_at: "Version deployed",
  deployed_by: "Version deployed by",
  created_at: "Created",
  updated_at: "Last changed",
  flow_version_status: "Status of the version",
});

/** The id of what has a name, and what it means that there is none. */
const IDS = { virtual_environment_name: "virtual_environment_id", package_name: "package_id", flow_name: "flow_id" };
const MISSING = { priority: "inherited", virtual_environment_name: "none", package_name: "none", enabled_at: "–" };

const hasFact = (facts, name) => isTold(facts[name]) || isTold(facts[IDS[name]]);

/** The value of a fact, as something to put into the page. */
function valueOf(facts, name) {
  const value = facts[name];
  const id = facts[IDS[name]];
  if (name === "enabled") return state(value);
  if (isTold(value) && name.endsWith("_at")) return time(value);
  if (isTold(value)) return [named(value), isTold(id) && el("span.number", ` ${shown(id)}`)];
  if (isTold(id)) return named(id);
  if (listIn(facts.unreadable).some((field) => [name, IDS[name]].includes(field))) return "not readable";
  // Of a deployment that is still to be made nobody knows what Patchworks will give it.
  return (facts.id === "new" && name !== "priority" ? null : MISSING[name]) ?? "not known";
}

const fact = (label, value) => el("dl", el("dt", label), el("dd", value));

const deployment = {
  key: "deployment",
  facts: {},
  isWhole: false,
  isProtected: false,

  /** Shows what the board knows of it, and reads the rest. */
  open({ id, version, flow, environment, iteration, enabled }) {
    this.isProtected = environment.isProtected;
    const place = environment.id === null ? null : environment.label;
    this.read({ id, flow_version_id: version, flow_name: flow.label, iteration, virtual_environment_name: place, enabled });
  },

  async read(known) {
    Object.assign(this, { facts: known, isWhole: false });
    go(this);
    const { flow_version_id, id } = known;
    if (!canCall()) return say("This host does not let the page ask the server for more.");
    if (!isTold(flow_version_id)) return say("Its flow version is not known, without which it cannot be read alone.");
    say("Reading…");
    try {
      const result = await callTool("get_deployment", { flow_version_id, deployment_id: id });
      if (page.view !== this || this.facts !== known) return;
      if (result.isError || !isObject(result.structuredContent)) throw new Error(textOf(result));
      Object.assign(this, { facts: result.structuredContent, isWhole: true });
      go(this, true);
    } catch (error) {
      if (page.view === this && this.facts === known) say(error.message, "bad");
    }
  },

  draw(head, body) {
    const { facts, isWhole } = this;
    const title = shown(facts.flow_name) || `Deployment ${shown(facts.id)}`;
    const locked = this.isProtected && el("span.lock", icon("lock"), "protected");
    head.append(bar(title, locked));
    const told = FACTS.filter(([name]) => name === "enabled" || hasFact(facts, name) || (isWhole && name in MISSING));
    const unreadable = listIn(facts.unreadable).map(shown).join(", ");
    const entries = told.map(([name, label]) => () => fact(label, valueOf(facts, name)));
    if (unreadable) entries.push(() => fact("Not readable", named(unreadable)));
    const list = el("div.facts", entries.map((entry) => entry()));
    const more = el("div.more");
    body.append(list, more);
    if (board.estate?.mayChange === false) body.append(el("p.note", "This server changes nothing: it only reads."));
    else if (canCall() && isTold(facts.flow_version_id)) body.append(this.actions());
    const back = () => button("Back to the deployment", () => go(this), { drawing: "back" });
    return () => {
      if (overflow() > 0) more.append(button("All facts", () => go(listView(title, entries, back)), { look: "small" }));
      while (overflow() > 0 && list.lastElementChild) list.lastElementChild.remove();
    };
  },

  actions() {
    const { flow_version_id, id, enabled } = this.facts;
    const act = (label, look) => {
      const given = { flow_version_id, deployment_id: id };
      return button(label, () => change.call(`${label.toLowerCase()}_deployment`, given), { look });
    };
    const buttons = [enabled !== false && act("Disable"), enabled !== true && act("Enable"), act("Delete", "danger")].filter(Boolean);
    holdBack(buttons);
    return el("div.actions", buttons);
  },
};
