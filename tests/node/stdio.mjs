// The official client, connected to a server over stdio. VERSION: 1, 2, or 2-new for MCP 2026-07-28. The answer is a
// function from a question's parameters; without one the client cannot ask anybody.
export async function connected(version, command, args, answer) {
  const { Client, StdioClientTransport, ask } = await official(version)
  const versionNegotiation = { mode: version === '2-new' ? { pin: '2026-07-28' } : 'legacy' }
  const capabilities = answer ? { elicitation: {} } : {}
  const client = new Client({ name: 'test', version: '1' }, { capabilities, versionNegotiation })
  if (answer) client.setRequestHandler(ask, async (request) => answer(request.params))
  await client.connect(new StdioClientTransport({ command, args, env: process.env, stderr: 'ignore' }))
  return client
}

async function official(version) {
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

// What a person does who agrees.
export const ticks = () => ({ action: 'accept', content: { agree: true } })
export const types = (question) => ({
  action: 'accept', content: { typed_id: titleOf(question).match(/ype (\S+) /)[1] },
})
