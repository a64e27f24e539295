// A change: the question, and what became of it

/** What became of it, as a heading and a tone. */
const STATUSES = {
  __proto__: null,
  done: ["Done", "good"],
  partial: ["Done in part", "warn"],
  unchanged: ["Nothing to do", "calm"],
  preview: ["Preview", "calm"],
  confirmation_required: ["The assistant has to ask", "waiting"],
  waiting_for_person: ["Waiting for you", "waiting"],
  declined: ["Declined", "calm"],
  not_sent: ["Not sent", "warn"],
  refused: ["Refused", "bad"],
  failed: ["Failed", "bad"],
  error: ["Error", "bad"],
  unknown: ["Not known", "warn"],
};

/** Statuses of what would be, and others that say for certain that nothing was changed, unless it was restored. */
const PREVIEWS = new Set(["preview", "confirmation_required", "waiting_for_person"]);
const UNTOUCHED = new Set(["unchanged", "declined", "not_sent", "refused", "failed"]);

/** What the server says of these is meant for the assistant. */
const WAITS = "Nothing is changed by this unless you agree.";
const TAKES_A_CODE =
  "Nothing was changed. This server takes a code: the assistant shows you this, and calls again with its code if you agree.";

const DEED_LINES = 3;

/** Milliseconds before what changes something can be clicked, so that no click hits it that was meant for what was there. */
const ARM_MS = 500;

/** Holds buttons back for `ARM_MS` and while a call is under way, and what `isHeld` for longer. The result looks again. */
function holdBack(buttons, isHeld = () => false) {
  let isArmed = false;
  const look = () => buttons.forEach((one) => (one.disabled = !isArmed || change.isBusy || isHeld(one)));
  setTimeout(() => {
    isArmed = true;
    look();
  }, ARM_MS);
  look();
  return look;
}

/** The result of a write. `call` is the one that led to it. */
function readChange(result, call) {
  const told = objectIn(result.structuredContent);
  const { tool, deed, confirm, type } = objectIn(forThePage(result).change);
  const text = textOf(result) || shown(told.message);
  const inText = /^status: (\w+)/m.exec(text)?.[1] ?? (result.isError ? "error" : "unknown");
  const status = typeof told.status === "string" ? told.status : inText;
  const lines = listIn(deed).length ? listIn(deed).map(shown) : shown(told.question).split("\n").filter(Boolean);
  const waits = status === "waiting_for_person" && isObject(confirm);
  const asked = waits ? { tool: confirm.tool_name, arguments: confirm.arguments } : null;
  const sentences = { __proto__: null, confirmation_required: TAKES_A_CODE, waiting_for_person: WAITS };
  return {
    ...told,
    status,
    tool: shown(tool ?? call.tool),
    message: sentences[status] ?? (shown(told.message) || text || "The server said nothing."),
    deed: lines.slice(0, DEED_LINES),
    asked,
    confirm: isOffered(asked) && typeof confirm.code === "string" ? confirm : null,
    mustType: isTold(type) ? shown(type) : "",
    text,
  };
}

const change = {
  key: "change",
  told: null,
  typed: "",
  isBusy: false,
  isModelUntold: false,

  get isOpen() {
    return Boolean(this.told?.confirm) && !this.isBusy;
  },

  take(told) {
    Object.assign(this, { told, typed: "", isModelUntold: false });
    const isAsBefore = UNTOUCHED.has(told.status) && !told.restored;
    board.isStale ||= !isAsBefore && !PREVIEWS.has(told.status);
  },

  status() {
    return [this.told.message, STATUSES[this.told.status]?.[1]];
  },

  /** Calls a tool that changes something, and shows what became of it, which may be a question. */
  call(tool, given) {
    const lost = ["unknown", "Whether anything was changed is not known. Look before anything is repeated."];
    return this.send("Asking the server…", tool, given, { tool, arguments: given }, lost);
  },

  /** Sends the person's answer to the question, once. */
  answer(agree) {
    if (!this.isOpen) return null;
    const { confirm, asked, mustType } = this.told;
    const sent = { ...confirm, agree };
    if (mustType && agree) sent.typed_id = this.typed.trim();
    const lost = agree
      ? ["unknown", "Whether your yes arrived, and anything was changed, is not known."]
      : ["not_sent", "Your no may not have arrived. Without a yes nothing is changed."];
    return this.send(`Sending your ${agree ? "yes" : "no"}…`, CONFIRM, sent, asked, lost);
  },

  /** `lost` is what is to be said where no answer comes. */
  async send(words, name, given, call, [status, meaning]) {
    if (this.isBusy) return;
    this.isBusy = true;
    document.querySelectorAll("#body :is(button, input)").forEach((control) => (control.disabled = true));
    say(words);
    const isAnswer = name === CONFIRM;
    const { deed } = this.told ?? {};
    let told;
    try {
      told = readChange(await callTool(name, given), call);
      if (isAnswer && ["refused", "error"].includes(told.status)) told.again = call;
    } catch (error) {
      const message = `${error.message} ${meaning}`;
      told = { status, message, text: message, tool: call.tool, deed: [], again: isAnswer && call };
    }
    if (isAnswer && !told.deed.length) told.deed = deed;
    this.isBusy = false;
    this.take(told);
    go(this);
    if (told.status !== "waiting_for_person") this.tell(call.tool, told.text);
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
    head.append(bar(title));
    head.firstElementChild.prepend(el(`span.badge.${tone}`, icon(tone)));
    const sections = sectionsOf(told);
    const more = el("div.more");
    const untold = this.isModelUntold && "The assistant could not be told of this. Tell it yourself.";
    body.append(
      el("div.deed", told.deed.map((line) => el("p", { title: line }, sentence(line)))),
      ...sections.map(({ node }) => node),
      more,
      el("p.meta", metaOf(told)),
      ...(untold ? [el("p.note", untold)] : []),
      ...this.controls(),
    );
    return () => fitChange(sections, more);
  },

  controls() {
    const { confirm, status, before, after, undo, repair, again } = this.told;
    if (confirm) return [this.question()];
    if (status === "waiting_for_person") {
      const why = canCall() ? "hand the page what it needs" : "let the page ask the server, as it must";
      return [el("p.note", `This host does not ${why} to send an answer.`)];
    }
    const offer = (label, call) =>
      isOffered(call) &&
      button(label, () => this.call(call.tool, call.arguments), { title: `${call.tool} ${shown(call.arguments)}` });
    const known = { ...objectIn(before), ...objectIn(after) };
    const look = canCall() && status === "unknown" && isTold(known.id) && known.id !== "new";
    const buttons = [
      offer("Ask again", again),
      offer("Repair", repair),
      offer("Undo", undo),
      look && button("Look at it", () => deployment.read(known)),
    ].filter(Boolean);
    holdBack(buttons);
    return buttons.length ? [el("div.actions", buttons)] : [];
  },

  /** Two buttons of equal weight, of which neither is the default. */
  question() {
    const { mustType } = this.told;
    const yes = button("Yes, do this", () => this.answer(true), { look: "answer" });
    const no = button("No", () => this.answer(false), { look: "answer" });
    const look = holdBack([yes, no], (one) => one === yes && mustType && this.typed.trim() !== mustType);
    const field = el("input.field", {
      type: "text", autocomplete: "off", autocapitalize: "off", spellcheck: "false", "data-key": "typed",
      oninput: () => {
        this.typed = field.value;
        look();
      },
    });
    field.value = this.typed;
    const typed = mustType && el("label.typed", el("span", `Type ${mustType} to agree`), field);
    return el("div.actions", typed, yes, no);
  },
};
