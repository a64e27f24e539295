// ---------------------------------------------------------------- A change: the question, and what became of it

/** What became of it, as a heading and a tone. */
const STATUSES = {
  done: ["Done", "good"],
  partial: ["Done in part", "warn"],
  unchanged: ["Nothing to change", "calm"],
  preview: ["Preview", "calm"],
  confirmation_required: ["The assistant has to ask", "waiting"],
  waiting_for_person: ["Waiting for you", "waiting"],
  declined: ["Declined", "calm"],
  not_sent: ["Not sent", "warn"],
  refused: ["Refused", "bad"],
  failed: ["Failed", "bad"],
  unknown: ["Not known", "warn"],
};

/** Statuses that say for certain that this call has changed nothing. */
const UNTOUCHED = new Set(["unchanged", "preview", "confirmation_required", "waiting_for_person", "declined", "not_sent", "refused", "failed"]);

/** Milliseconds before an answer can be clicked, so that a click meant for what stood there before is not one. */
const ARM_MS = 500;

const DEED_LINES = 3;

/** The result of a write, as the page shows it. `asked` is the call that led to it. */
function readChange(result, asked) {
  const told = objectIn(result.structuredContent);
  const { tool, deed, confirm, type } = objectIn(forThePage(result).change);
  const status = typeof told.status === "string" ? told.status : result.isError ? "refused" : "unknown";
  const question = shown(told.question).split("\n").filter(Boolean);
  const isSendable = isOffered(confirm) && typeof confirm.code === "string";
  return {
    ...told,
    status,
    tool: shown(tool ?? asked.tool),
    message: shown(told.message) || textOf(result) || "The server said nothing.",
    deed: (listIn(deed).length ? listIn(deed) : question).slice(0, DEED_LINES).map(shown),
    question,
    confirm: status === "waiting_for_person" && isSendable ? confirm : null,
    mustType: typeof type === "string" && type ? type : null,
    text: textOf(result) || shown(told.message),
    again: null,
  };
}

const change = {
  key: "change",
  told: null,
  typed: "",
  isBusy: false,
  isModelUntold: false,
  drawn: 0,

  get isOpen() {
    return Boolean(this.told?.confirm) && !this.isBusy;
  },

  take(told) {
    this.told = told;
    this.typed = "";
    this.isModelUntold = false;
    if (!UNTOUCHED.has(told.status)) board.isStale = true;
  },

  status() {
    return [this.told.message, (STATUSES[this.told.status] ?? ["", "calm"])[1]];
  },

  /** Calls a tool that changes something, and shows what became of it, which may be a question. */
  call(tool, given) {
    const lost = { status: "unknown", message: "Whether anything was changed is not known. Look before anything is repeated." };
    return this.send("Asking the server…", tool, given, { tool, arguments: given }, lost);
  },

  /** Sends the person's answer to the question, once. */
  answer(agree) {
    const { confirm, mustType } = this.told;
    if (!this.isOpen) return null;
    const { tool, arguments: given, code } = confirm;
    const sent = { tool, arguments: given, code, agree };
    if (mustType && agree) sent.typed_id = this.typed.trim();
    const lost = agree
      ? { status: "unknown", message: "Whether your yes arrived, and anything was changed, is not known." }
      : { status: "not_sent", message: "Your no may not have arrived. Without a yes nothing is changed." };
    return this.send(agree ? "Sending your yes…" : "Sending your no…", CONFIRM, sent, { tool, arguments: given }, lost);
  },

  async send(words, name, given, asked, lost) {
    if (this.isBusy) return;
    this.isBusy = true;
    for (const control of document.querySelectorAll("#body button, #body input")) control.disabled = true;
    say(words);
    const before = this.told;
    let told;
    try {
      const result = await callTool(name, given);
      told = readChange(result, asked);
      const isRefused = told.status === "refused" || (result.isError && !isObject(result.structuredContent));
      if (name === CONFIRM && isRefused) told.again = asked;
    } catch (error) {
      const message = `${error.message} ${lost.message}`;
      const deed = name === CONFIRM ? before.deed : [];
      told = { ...lost, message, text: message, tool: asked.tool, deed, question: [], again: name === CONFIRM ? asked : null };
    }
    this.isBusy = false;
    this.take(told);
    go(this);
    if (told.status !== "waiting_for_person") this.tell(asked.tool, told.text);
  },

  tell(tool, text) {
    tellModel(`${tool}: ${text}`).catch(() => {
      this.isModelUntold = true;
      if (page.view === this) redraw();
    });
  },

  draw(head, body) {
    const { told } = this;
    const [title, tone] = STATUSES[told.status] ?? [told.status.replaceAll("_", " ").slice(0, 60), "calm"];
    const tools = el("div", { class: "tools" }, backButton(), modeButton());
    head.append(el("div", { class: `bar ${tone}` }, el("span", { class: "badge" }, icon(tone)), heading(title), tools));
    if (told.deed.length) body.append(el("div", { class: "deed" }, told.deed.map((line) => el("p", { title: line }, sentence(line)))));
    const compared = comparison(told);
    if (compared) body.append(compared);
    const sections = sectionsOf(told).map((section) => [section, drawSection(section)]);
    const more = el("div", { class: "more" });
    body.append(...sections.map(([, node]) => node), el("p", { class: "meta" }, metaOf(told)), more);
    if (this.isModelUntold) body.append(el("p", { class: "note" }, "The assistant could not be told of this. Tell it yourself."));
    body.append(...this.controls());
    return () => fitChange(compared, sections, more);
  },

  controls() {
    const { told } = this;
    if (told.confirm) return this.question();
    if (told.status === "waiting_for_person") {
      const why = host.canCall
        ? "This host does not hand the page what it needs to send an answer."
        : "This host does not let the page ask the server, so no answer can be sent from here.";
      return [el("p", { class: "note" }, why)];
    }
    if (told.status === "confirmation_required") {
      return [el("p", { class: "note" }, "This server takes a code: the assistant shows you this, and calls again with its code once you agreed. Nothing can be agreed to on this page.")];
    }
    const { before, after, undo, repair, again } = told;
    const known = isObject(after) && after.id !== "new" ? { ...objectIn(before), ...after } : before;
    const look = told.status === "unknown" && isObject(known) && isOffered({ tool: "get_deployment", arguments: known }, READS);
    const buttons = [
      isOffered(again) && button("Ask again", () => this.call(again.tool, again.arguments), { icon: "again" }),
      isOffered(repair) && button("Repair", () => this.call(repair.tool, repair.arguments), { title: callInWords(repair) }),
      isOffered(undo) && button("Undo", () => this.call(undo.tool, undo.arguments), { title: callInWords(undo) }),
      look && button("Look at it", () => deployment.read(known)),
    ].filter(Boolean);
    return buttons.length ? [el("div", { class: "actions" }, buttons)] : [];
  },

  /** Two buttons of equal weight. Neither is the default, and both wake up a moment after they were drawn. */
  question() {
    const { mustType } = this.told;
    const drawn = ++this.drawn;
    let isArmed = false;
    const yes = button("Yes, do this", () => this.answer(true), { look: "answer", disabled: true });
    const no = button("No", () => this.answer(false), { look: "answer", disabled: true });
    const wake = () => {
      yes.disabled = !isArmed || this.isBusy || Boolean(mustType && this.typed.trim() !== mustType);
      no.disabled = !isArmed || this.isBusy;
    };
    setTimeout(() => {
      if (drawn !== this.drawn) return;
      isArmed = true;
      wake();
    }, ARM_MS);
    if (!mustType) return [el("div", { class: "actions answers" }, yes, no)];
    const label = `Type ${shown(mustType)} to agree`;
    const field = el("input", {
      class: "field", id: "typed", type: "text", autocomplete: "off", autocapitalize: "off", spellcheck: "false", "data-key": "typed",
      oninput: () => ((this.typed = field.value), wake()),
      onkeydown: (event) => event.key === "Enter" && event.preventDefault(),
    });
    field.value = this.typed;
    return [el("div", { class: "actions answers" }, el("label", { class: "typed" }, el("span", {}, label), field), yes, no)];
  },
};

const callInWords = ({ tool, arguments: given }) => `${tool} ${shown(given)}`;
