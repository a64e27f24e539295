// Views, and what the host says

const page = { view: null, input: {} };

const messageView = (title, text) => ({
  key: "message",
  draw(head, body) {
    head.append(bar(title));
    body.append(...shown(text).split("\n").filter(Boolean).map((line) => el("p", sentence(line))));
  },
});

/** Shows a view. Its heading gets the focus, so that a reader begins there; an update leaves the focus where it is. */
function go(view, isUpdate = false) {
  const from = page.view;
  page.view = view;
  say(...(view.status?.() ?? [""]));
  if (isUpdate) return redraw();
  draw();
  const opened = view === board && [deployment, change].includes(from) && findByKey(`deployment ${shown(deployment.facts.id)}`);
  focusOn(opened || document.querySelector("h1"));
  if (view === board && board.isStale && canCall()) board.read(board.asked);
}

function draw() {
  const [head, body] = ["head", "body"].map((id) => document.getElementById(id));
  head.replaceChildren();
  body.replaceChildren();
  const fit = page.view.draw(head, body);
  fit?.();
}

const findByKey = (key) => [...document.querySelectorAll("[data-key]")].find((one) => one.dataset.key === key && !one.disabled);

/** A page that has not got the focus must not take it from where a person is typing. */
function focusOn(element) {
  if (document.hasFocus()) element?.focus();
}

/** Does what draws anew, and puts the focus back on what had it, or on the heading. */
function keepingFocus(act) {
  const last = document.activeElement;
  act();
  if (!last.isConnected) focusOn(findByKey(last.dataset.key) ?? document.querySelector("h1"));
}

const redraw = () => keepingFocus(draw);

/** Says something where it is read out, and seen unless the look is `unseen`. */
function say(text, look = "") {
  const status = document.getElementById("status");
  status.className = look;
  if (status.textContent !== shown(text)) status.replaceChildren(...sentence(text));
  if (look === "bad" && overflow() > 0) redraw();
}

function backButton() {
  const [view, name] = board.estate ? [board, "board"] : [change, "change"];
  const isPossible = page.view !== view && (board.estate || change.told);
  return isPossible && button(`Back to the ${name}`, () => go(view), { drawing: "back" });
}

function refresh() {
  dress();
  redraw();
}

const toolCalled = () => objectIn(objectIn(host.context.toolInfo).tool).name;

/** Shows the result of the call that the page belongs to. */
function receive(result) {
  const call = { tool: toolCalled(), arguments: page.input };
  const told = objectIn(result.structuredContent);
  const { board: lists, change: question } = forThePage(result);
  if (typeof told.status === "string" || question || WRITES.has(call.tool)) {
    change.take(readChange(result, call));
    go(change);
  } else if (lists || Number.isFinite(told.deployments)) {
    board.take(result, page.input);
    go(board);
  } else {
    go(messageView(result.isError ? "Error" : "The result", textOf(result) || "There is nothing to show."));
  }
}

const hearers = {
  "ui/notifications/tool-input": (params) => (page.input = objectIn(params.arguments)),
  "ui/notifications/tool-result": receive,
  "ui/notifications/tool-cancelled": ({ reason }) => {
    const isWrite = WRITES.has(toolCalled());
    const meaning = isWrite ? "Whether anything was changed is not known: ask the assistant to look." : "";
    go(messageView("Cancelled", ["The call was cancelled before its result came.", shown(reason), meaning].join("\n")));
  },
  "ui/notifications/host-context-changed": (params) => {
    host.context = { ...host.context, ...params };
    refresh();
  },
};

/** Whatever the host sends, the page lives on: what it cannot show, it says so. */
function hear(method, params) {
  try {
    if (Object.hasOwn(hearers, method)) hearers[method](params);
  } catch (error) {
    go(messageView("This cannot be shown", `The page cannot read what the host sent: ${error.message}`));
  }
}

async function start() {
  listen(hear);
  go(messageView("What runs where", "Waiting for the result…"));
  try {
    await introduce();
    refresh();
    post({ method: "ui/notifications/initialized" });
    watchSize();
  } catch (error) {
    go(messageView("No answer from the host", error.message));
  }
}

start();
