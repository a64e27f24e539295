// ---------------------------------------------------------------- The messages with the host
// JSON-RPC 2.0 over postMessage, as the extension `io.modelcontextprotocol/ui` of 2026-01-26 has it.

const PROTOCOL = "2026-01-26";

/** Milliseconds for the host to say who it is, for a read, and for a call that a person may think about. */
const HANDSHAKE_MS = 15_000;
const READ_MS = 90_000;
const WRITE_MS = 600_000;

/** The only tools that this page calls, whatever a result names. */
const READS = new Set(["deployment_overview", "get_deployment"]);
const WRITES = new Set([
  "create_deployment",
  "update_deployment",
  "delete_deployment",
  "enable_deployment",
  "disable_deployment",
  "set_deployments_enabled",
  "replace_deployment",
]);
const CONFIRM = "confirm_change";

const host = {
  context: {},
  capabilities: {},
  isGone: false,
  get canCall() {
    return isObject(this.capabilities.serverTools);
  },
};

const waiting = new Map();
let lastId = 0;

function post(message) {
  if (!host.isGone) window.parent.postMessage({ jsonrpc: "2.0", ...message }, "*");
}

const notify = (method, params = {}) => post({ method, params });

/** Asks the host. Rejects with a sentence for people: the host's refusal, or that it did not answer in time. */
function request(method, params, milliseconds) {
  const id = ++lastId;
  return new Promise((resolve, reject) => {
    const late = () => {
      waiting.delete(id);
      reject(new Error(`The host has not answered for ${Math.round(milliseconds / 1000)} seconds.`));
    };
    waiting.set(id, { resolve, reject, timer: setTimeout(late, milliseconds) });
    post({ id, method, params });
  });
}

/** Calls a tool of the server through the host; the result of a tool that failed is a result, too. */
async function callTool(name, given) {
  const changes = WRITES.has(name) || name === CONFIRM;
  if (!changes && !READS.has(name)) throw new Error("This page does not call that tool.");
  const result = await request("tools/call", { name, arguments: given }, changes ? WRITE_MS : READ_MS);
  if (!isObject(result)) throw new Error("The host sent an answer that this page cannot read.");
  return result;
}

/** Whether a call in a result is one that may be offered on a button. */
function isOffered(call, tools = WRITES) {
  return host.canCall && isObject(call) && tools.has(call.tool) && isObject(call.arguments);
}

function settle({ id, result, error }) {
  const asked = waiting.get(id);
  if (!asked) return;
  waiting.delete(id);
  clearTimeout(asked.timer);
  if (error === undefined) asked.resolve(result);
  else asked.reject(new Error(`The host did not do it: ${shown(objectIn(error).message) || "it gave no reason"}.`));
}

function answer(id, method) {
  if (method === "ping") return post({ id, result: {} });
  if (method !== "ui/resource-teardown") return post({ id, error: { code: -32601, message: "Method not found" } });
  post({ id, result: {} });
  host.isGone = true;
  for (const { timer } of waiting.values()) clearTimeout(timer);
  waiting.clear();
}

/** Listens to the parent alone; `hear` gets the notifications by their names. */
function listen(hear) {
  window.addEventListener("message", ({ source, data }) => {
    if (source !== window.parent || host.isGone || !isObject(data) || data.jsonrpc !== "2.0") return;
    if (typeof data.method !== "string") settle(data);
    else if (data.id !== undefined) answer(data.id, data.method);
    else hear(data.method, objectIn(data.params));
  });
}

async function introduce() {
  const params = {
    protocolVersion: PROTOCOL,
    appInfo: { name: "patchworks-deployments", version: "1" },
    appCapabilities: { availableDisplayModes: ["inline", "fullscreen"] },
  };
  const met = objectIn(await request("ui/initialize", params, HANDSHAKE_MS));
  host.capabilities = objectIn(met.hostCapabilities);
  host.context = objectIn(met.hostContext);
}

// ---------------------------------------------------------------- What the model is told

/** Outcomes and characters of what was done here that the model is told: the last of them. */
const MAX_OUTCOMES = 10;
const MAX_TOLD_CHARACTERS = 8_000;

const outcomes = [];

/** Tells the model what was done on this page. Each telling takes the place of the one before, so it tells all. */
function tellModel(outcome) {
  outcomes.push(outcome);
  outcomes.splice(0, outcomes.length - MAX_OUTCOMES);
  while (outcomes.length > 1 && outcomes.join("\n\n").length > MAX_TOLD_CHARACTERS) outcomes.shift();
  const text = `Done on the page, by a person, oldest first:\n\n${outcomes.join("\n\n").slice(0, MAX_TOLD_CHARACTERS)}`;
  return request("ui/update-model-context", { content: [{ type: "text", text }] }, HANDSHAKE_MS);
}

/** The text of a result: what a model reads. */
function textOf(result) {
  const blocks = listIn(result.content).filter((block) => isObject(block) && typeof block.text === "string");
  return blocks.map((block) => block.text).join("\n");
}
