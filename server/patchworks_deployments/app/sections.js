// What there is to know of a change

/** Lists of deployments in a result of switching several. */
const FATES = {
  would_change: "Would change",
  done: "Switched, and seen so",
  unverified: "Accepted, not read back",
  failed: "Failed",
  unknown: "Not known",
  not_tried: "Not tried",
  unchanged: "So already",
};

/** Everything that was told beside the deed: titles with what stands under them, the important first. */
function sectionsOf(told) {
  const lines = (texts) => listIn(texts).map((text) => () => el("span", sentence(text)));
  const lists = [
    [PREVIEWS.has(told.status) ? "Lost for good" : "Undo cannot bring back", lines(told.lost)],
    ["Changed without being asked", lines(told.also_changed)],
    ...Object.entries(FATES).map(([name, title]) => [title, fate(told[name]), "ids"]),
    [told.question ? "The whole question" : "All in words", lines(shown(told.question || told.text).split("\n").filter(Boolean)), "long"],
  ];
  const table = comparison(told);
  const sections = lists.filter(([, entries]) => entries.length).map((list) => drawSection(...list));
  return table ? [{ title: "Before and after", entries: [() => table], node: table }, ...sections] : sections;
}

/** Deployments that met one fate: their names, and with some the reason that they share. */
const fate = (told) =>
  listIn(told).map((one) => () => {
    if (!isObject(one)) return named(one);
    return el("span", sentence(one.why), " ", named(listIn(one.deployments).map(shown).join(", ")));
  });

/** Entries of a section that stand on the view of the change; all of them have a view of their own. */
const MAX_ENTRIES = 8;

function drawSection(title, entries, kind = "lines") {
  const section = { title, entries, kind };
  const most = isFullscreen() ? entries.length : MAX_ENTRIES;
  const items = entries.slice(0, most).map((entry) => el("li", entry()));
  if (entries.length > most) items.push(el("li", opener(section, `All ${number(entries.length)}`)));
  section.node = el(`section.${kind}`, el("h2", title), el("ul", items));
  return section;
}

function opener({ title, entries }, label) {
  const back = () => button("Back to the change", () => go(change), { drawing: "back" });
  const attributes = { look: "small", "aria-label": label.includes(title) ? null : `${label}: ${title}` };
  return button(label, () => go(listView(title, entries, back)), attributes);
}

/** Takes away what has no room: first the facts that stay as they are, then sections, which a button then opens. */
function fitChange(sections, more) {
  const fold = (section) => {
    section.node.remove();
    more.prepend(opener(section, section.title));
  };
  if (!isFullscreen()) sections.filter(({ kind }) => kind === "long").forEach(fold);
  const same = [...document.querySelectorAll("#body tr.same")];
  while (overflow() > 0 && same.length) same.pop().remove();
  for (const section of [...sections].reverse()) {
    if (overflow() > 0 && section.node.isConnected) fold(section);
  }
}

/** The deployment before and after, side by side, what changes first; null where neither was told. */
function comparison({ before, after: came, restored, status, tool }) {
  const was = isObject(before) ? before : null;
  const after = came ?? restored;
  const isSame = was && isObject(after) && (after.id ?? was.id) === was.id;
  const now = isSame ? { ...was, ...after } : isObject(after) ? after : null;
  if (!was && !now) return null;
  const value = (facts, name) => shown([facts[name], facts[IDS[name]]]);
  const differs = ([name]) => Boolean(was && now) && value(was, name) !== value(now, name);
  const told = FACTS.filter(([name]) => [was, now].some((facts) => facts && hasFact(facts, name)));
  const facts = [...told.filter(differs), ...told.filter((fact) => !differs(fact))];
  const gone = UNTOUCHED.has(status) ? "as before" : tool === "delete_deployment" && status !== "unknown" ? "deleted" : "not known";
  const rows = facts.map((fact, n) => {
    const cell = (state, instead) =>
      state ? el("td", valueOf(state, fact[0])) : !n && el("td.instead", { rowspan: facts.length }, instead);
    const isKept = differs(fact) || (n === 0 && !(was && now));
    const label = el("th", { scope: "row" }, fact[1], differs(fact) && unseen(" (differs)"));
    return el(`tr.${isKept ? (differs(fact) ? "changed" : "kept") : "same"}`, label, cell(was, "not there"), cell(now, gone));
  });
  const head = ["Fact", "Before", "After"].map((name) => el("th", { scope: "col" }, name));
  return el("table.compared", { "aria-label": "Before and after" }, el("thead", el("tr", head)), el("tbody", rows));
}

const AGREED = {
  __proto__: null,
  human: "a person agreed",
  person_in_app: "a person agreed on this page",
  code: "agreed to with a code",
  not_required: "needed nobody's agreement",
};

/** Whether it was seen to be so, and who agreed. */
function metaOf({ verified, confirmed_by: by, gap_milliseconds: gap }) {
  const parts = [
    verified === true && [icon("good"), "verified by reading back"],
    verified === false && [icon("warn"), "not verified"],
    isTold(by) && [AGREED[shown(by)] ?? shown(by).slice(0, 60)],
    Number.isFinite(gap) && [`neither version was there for at most ${number(gap)} ms`],
  ];
  return parts.filter(Boolean).map((part) => el("span", part));
}
