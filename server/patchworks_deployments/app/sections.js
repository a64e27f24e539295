// ---------------------------------------------------------------- What there is to know of a change

/** What a change can touch, by the names of results. */
const COMPARED = [
  ["enabled", "State"],
  ["iteration", "Iteration"],
  ["virtual_environment_name", "Environment"],
  ["priority", "Queue priority"],
  ["enabled_at", "Enabled since"],
  ["package_name", "Package"],
  ["flow_name", "Flow"],
  ["flow_version_id", "Flow version"],
  ["id", "Deployment"],
];

/** What stands in place of a state that was not told. */
const GONE = "deleted";
const AS_BEFORE = "as before";

/** The deployment before and after, side by side; null where neither was told. What changed stands first. */
function comparison({ before, after, status, tool }) {
  const was = isObject(before) ? before : null;
  const isSame = was && isObject(after) && (after.id ?? was.id) === was.id;
  const now = isSame ? { ...was, ...after } : isObject(after) ? after : null;
  if (!was && !now) return null;
  const differs = ([name]) => Boolean(was && now) && shown(was[name]) + shown(was[IDS[name]]) !== shown(now[name]) + shown(now[IDS[name]]);
  const told = COMPARED.filter(([name]) => [was, now].some((facts) => facts && (facts[name] ?? facts[IDS[name]]) !== undefined));
  const facts = [...told.filter(differs), ...told.filter((fact) => !differs(fact))];
  const rows = facts.map((fact, index) => {
    const [name, label] = fact;
    const cell = (state, instead) => (state ? el("td", {}, valueOf(state, name)) : index === 0 && instead(facts.length));
    const whole = (words) => (span) => el("td", { rowspan: span, class: "instead" }, words);
    const isChanged = differs(fact);
    return el(
      "tr",
      { class: isChanged ? "changed" : "same" },
      el("th", { scope: "row" }, label, isChanged && unseen(" (changes)")),
      cell(was, whole("not there")),
      cell(now, whole(withoutState(status, tool))),
    );
  });
  const columns = ["Fact", "Before", "After"].map((name) => el("th", { scope: "col" }, name));
  return el("table", { class: "compared", "aria-label": "Before and after" }, el("thead", {}, el("tr", {}, columns)), el("tbody", {}, rows));
}

function withoutState(status, tool) {
  if (["declined", "refused", "failed", "unchanged", "not_sent"].includes(status)) return AS_BEFORE;
  if (tool === "delete_deployment" && status !== "unknown") return GONE;
  return "not known";
}

/** Lists of deployments in a result of switching several, by name. */
const FATES = {
  would_change: "Would change",
  done: "Switched, and seen so",
  unverified: "Accepted, not read back",
  failed: "Failed",
  unknown: "Not known",
  not_tried: "Not tried",
  unchanged: "So already",
};

const PREVIEWS = new Set(["preview", "confirmation_required", "waiting_for_person"]);

/** Everything else that was told: titles with their entries, the important ones first. */
function sectionsOf(told) {
  const line = (text) => () => el("span", {}, sentence(text));
  const lines = (texts) => listIn(texts).map(line);
  const sections = [
    { title: PREVIEWS.has(told.status) ? "Lost for good" : "Undo cannot bring back", entries: lines(told.lost) },
    { title: "Changed without being asked", entries: lines(told.also_changed) },
    ...Object.entries(FATES).map(([name, title]) => ({ ...fatesOf(told[name]), title })),
    { title: "Restored", entries: isObject(told.restored) ? [line(deploymentInWords(told.restored))] : [] },
    { title: "There now", entries: listIn(told.now).filter(isObject).map((one) => line(deploymentInWords(one))) },
    { title: "What the names meant", entries: meanings(told) },
    { title: "The whole question", entries: lines(told.question), isLong: true },
  ];
  return sections.filter(({ entries }) => entries.length);
}

/** Deployments with one fate: their names, and for some the reason that several share. */
function fatesOf(told) {
  const count = listIn(told).reduce((sum, one) => sum + (isObject(one) ? listIn(one.deployments).length : 1), 0);
  const entries = listIn(told).map((one) => () => {
    if (!isObject(one)) return named(one);
    return el("span", {}, sentence(one.why), " ", named(listIn(one.deployments).map(shown).join(", ")));
  });
  return { entries, count, areIds: !listIn(told).some(isObject) };
}

function meanings({ matched, left_out: leftOut }) {
  const entries = [...Object.entries(objectIn(matched)), ...Object.entries(objectIn(leftOut)).map(([name, found]) => [`not ${name}`, found])];
  return entries.map(([name, found]) => () => el("span", {}, `${shown(name)}: `, named(listIn(found).map(shown).join(", "))));
}

const deploymentInWords = ({ id, iteration, enabled, virtual_environment_name: place }) =>
  `Deployment ${shown(id)}: iteration ${shown(iteration) || "not known"}, ${stateInWords(enabled)}, in ${place ? `"${shown(place)}"` : "no environment"}`;

/** Entries of a section that stand on the view of the change; all of them have a view of their own. */
const MAX_INLINE_ENTRIES = 8;

function drawSection(section) {
  const { title, entries, areIds, count = entries.length } = section;
  const most = isFullscreen() ? entries.length : MAX_INLINE_ENTRIES;
  const items = entries.slice(0, most).map((entry) => el("li", {}, entry()));
  if (entries.length > most) items.push(el("li", {}, openSection(section, `All ${number(entries.length)}`)));
  const level = el("h2", {}, title, areIds && el("span", { class: "count" }, ` ${number(count)}`));
  return el("section", { class: areIds ? "section ids" : "section" }, level, el("ul", {}, items));
}

function openSection({ title, entries }, label) {
  const back = () => button("Back to the change", () => go(change), { icon: "back" });
  return button(label, () => go(listView({ title, entries, back })), { look: "small", "aria-label": label.startsWith("All") ? `${label}: ${title}` : undefined });
}

const AGREED = {
  human: "a person agreed",
  person_in_app: "a person agreed on this page",
  code: "agreed to with a code",
  not_required: "needed nobody's agreement",
};

/** In one line: whether it was seen to be so, and who agreed. */
function metaOf({ verified, confirmed_by: by, gap_milliseconds: gap }) {
  const parts = [];
  if (verified === true) parts.push("verified by reading back");
  if (verified === false) parts.push("not verified");
  if (by !== undefined && by !== null) parts.push(AGREED[by] ?? `agreed: ${shown(by)}`);
  if (Number.isFinite(gap)) parts.push(`neither version was there for at most ${number(gap)} ms`);
  return parts.map((part) => el("span", {}, part));
}

/** Takes away what the height does not allow: facts that stay as they are, then sections, which a button opens. */
function fitChange(compared, sections, more) {
  const same = compared ? [...compared.querySelectorAll("tr.same")] : [];
  const isSpanned = compared?.querySelector(".instead");
  for (const [section, node] of [...sections].reverse()) {
    const isInTheWay = section.isLong ? !isFullscreen() : false;
    if (isInTheWay) fold(section, node, more);
  }
  while (overflow() > 0 && same.length > (isSpanned ? 3 : 0)) same.pop().remove();
  for (const [section, node] of [...sections].reverse()) {
    if (overflow() <= 0) return;
    if (node.isConnected) fold(section, node, more);
  }
}

function fold(section, node, more) {
  node.remove();
  const count = section.count ?? section.entries.length;
  more.prepend(openSection(section, section.isLong ? section.title : `${section.title} (${number(count)})`));
}
