// A host in a page: the official client at a server, and the official bridge to the page that a tool names. Tests drive
// it through `window.host`, and read in `window.saw` what the view did and what a model would have seen.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import {
  AppBridge, PostMessageTransport, RESOURCE_MIME_TYPE, getToolUiResourceUri, isToolVisibilityAppOnly,
  isToolVisibilityModelOnly,
} from '@modelcontextprotocol/ext-apps/app-bridge'

const frame = document.querySelector('iframe')
const saw = { model: [], handed: [], calls: [], contexts: [], sizes: [], links: [], messages: [], modes: [], sent: [] }
let client, tools, bridge, context, given

const visible = ({ content, structuredContent, isError }) => ({ content, structuredContent, isError: Boolean(isError) })
const handed = (result) => (saw.handed.push(given.strips ? visible(result) : result), saw.handed.at(-1))
const call = (name, args) => client.request({ method: 'tools/call', params: { name, arguments: args } })

// `mode` is the era. What the host can and how it shows a view may be said in `capabilities` and `context`. One that
// `strips` hands a view of a result what the model sees, too, and no more.
async function connect(options) {
  given = { capabilities: { openLinks: {}, serverTools: {}, updateModelContext: { text: {} } }, ...options }
  const extensions = { 'io.modelcontextprotocol/ui': { mimeTypes: [RESOURCE_MIME_TYPE] } }
  const versionNegotiation = { mode: given.mode }
  client = new Client({ name: 'host', version: '1' }, { capabilities: { extensions }, versionNegotiation })
  await client.connect(new StreamableHTTPClientTransport(new URL('/mcp', location.href)))
  tools = new Map((await client.listTools()).tools.map((tool) => [tool.name, tool]))
  context = {
    theme: 'light', displayMode: 'inline', availableDisplayModes: ['inline', 'fullscreen'],
    containerDimensions: { width: innerWidth, maxHeight: 500 }, locale: 'en-GB', timeZone: 'UTC', ...given.context,
  }
  return [...tools.values()].filter((tool) => !isToolVisibilityAppOnly(tool)).map(({ name }) => name)
}

// A call of the model's, and the view of its result.
async function model(name, args) {
  const tool = tools.get(name)
  if (isToolVisibilityAppOnly(tool)) throw new Error(`${name} is not for the model`)
  const result = call(name, args)
  await show(tool)
  bridge.sendToolInput({ arguments: args })
  saw.model.push(visible(await result))
  bridge.sendToolResult(handed(await result))
  return saw.model.at(-1)
}

// A view of a result that no server has sent.
async function hand(name, result) {
  await show(tools.get(name))
  bridge.sendToolInput({ arguments: {} })
  bridge.sendToolResult(result)
}

// A view whose call never ends.
async function cancel(name, reason) {
  await show(tools.get(name))
  bridge.sendToolInput({ arguments: {} })
  bridge.sendToolCancelled({ reason })
}

async function show(tool) {
  const { contents: [resource] } = await client.readResource({ uri: getToolUiResourceUri(tool) })
  if (resource.mimeType !== RESOURCE_MIME_TYPE) throw new Error(`a view of type ${resource.mimeType}`)
  if (resource._meta?.ui?.csp || resource._meta?.ui?.permissions) throw new Error('a view that wants more than nothing')
  await bridge?.close()
  bridge = new AppBridge(null, { name: 'host', version: '1' }, given.capabilities, {
    hostContext: { ...context, toolInfo: { tool } },
  })
  bridge.oncalltool = async ({ name, arguments: args }) => {
    saw.calls.push({ name, arguments: args })
    if (isToolVisibilityModelOnly(tools.get(name))) throw new Error(`${name} is not for views`)
    return handed(await call(name, args))
  }
  bridge.onupdatemodelcontext = async (told) => (saw.contexts.push(told), {})
  bridge.onopenlink = async ({ url }) => (saw.links.push(url), {})
  bridge.onmessage = async (message) => (saw.messages.push(message), {})
  bridge.onrequestdisplaymode = async ({ mode }) => {
    saw.modes.push(mode)
    if (context.availableDisplayModes.includes(mode)) change({ displayMode: mode })
    return { mode: context.displayMode }
  }
  bridge.addEventListener('sizechange', (size) => (saw.sizes.push(size), fit()))
  bridge.addEventListener('sandboxready', () => bridge.sendSandboxResourceReady({
    html: resource.text, sandbox: 'allow-scripts',
  }))
  saw.sizes.length = 0
  const initialized = new Promise((done) => bridge.addEventListener('initialized', done))
  frame.contentWindow.location.replace(document.body.dataset.sandbox)
  await bridge.connect(new PostMessageTransport(frame.contentWindow, frame.contentWindow))
  fit()
  await initialized
}

function change(differs) {
  context = { ...context, ...differs }
  fit()
  bridge.setHostContext(context)
}

function fit() {
  const { displayMode, containerDimensions: { width, maxHeight } } = context
  document.documentElement.style.colorScheme = context.theme
  const height = Math.min(saw.sizes.at(-1)?.height ?? 100, maxHeight)
  frame.style.width = displayMode === 'inline' ? `${width}px` : '100vw'
  frame.style.height = displayMode === 'inline' ? `${height}px` : '100vh'
}

addEventListener('message', ({ source, data }) => source === frame.contentWindow && saw.sent.push(data.method ?? data))

window.saw = saw
window.host = { connect, call, model, hand, cancel, change, teardown: () => bridge.teardownResource({}), tools: () => [...tools.values()] }
