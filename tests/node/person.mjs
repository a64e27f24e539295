// The official client over stdio, with a handler for questions that deals with each in another way: it says no at once,
// fails, ticks the box, and types the id that the field names. Prints what came of each call as JSON.
//
//     node person.mjs VERSION COMMAND [ARGUMENT...]              VERSION: 1, 2, or 2-new for MCP 2026-07-28
const [version, command, ...args] = process.argv.slice(2)
const { Client, StdioClientTransport, ask } = await official()

async function official() {
  if (version !== '1') {
    const { Client } = await import('@modelcontextprotocol/client')
    const { StdioClientTransport } = await import('@modelcontextprotocol/client/stdio')
    return { Client, StdioClientTransport, ask: 'elicitation/create' }
  }
  const { Client } = await import('@modelcontextprotocol/sdk/client/index.js')
  const { StdioClientTransport } = await import('@modelcontextprotocol/sdk/client/stdio.js')
  const { ElicitRequestSchema } = await import('@modelcontextprotocol/sdk/types.js')
  return { Client, StdioClientTransport, ask: ElicitRequestSchema }
}

const titleOf = ({ requestedSchema }) => Object.values(requestedSchema.properties)[0].title
const answers = {
  declines: () => ({ action: 'decline' }),
  fails: () => { throw new Error('no window is open') },
  ticks: () => ({ action: 'accept', content: { agree: true } }),
  types: (question) => ({ action: 'accept', content: { typed_id: titleOf(question).match(/ype (\S+) /)[1] } }),
}

const versionNegotiation = { mode: version === '2-new' ? { pin: '2026-07-28' } : 'legacy' }
const client = new Client({ name: 'test', version: '1' }, { capabilities: { elicitation: {} }, versionNegotiation })
let answer
client.setRequestHandler(ask, async (request) => answer(request.params))
await client.connect(new StdioClientTransport({ command, args, env: process.env, stderr: 'ignore' }))

const saw = {}
for (const [how, tool] of Object.entries({
  declines: 'disable_deployment', fails: 'disable_deployment', ticks: 'disable_deployment', types: 'delete_deployment',
})) {
  answer = answers[how]
  const call = { name: tool, arguments: { flow_version_id: '1001', deployment_id: '500' } }
  saw[how] = await client.callTool(call).then((told) => told.structuredContent, String)
}
await client.close()
console.log(JSON.stringify(saw))
