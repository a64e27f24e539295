// In a page: the official client lists the tools and makes a call, in each era, and what is refused is read. Which
// server and which token stand behind the address's #, and what the page saw goes to where the page came from.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'

const { url, token } = JSON.parse(decodeURIComponent(location.hash.slice(1)))

async function visit(mode) {
  const client = new Client({ name: 'page', version: '1' }, { versionNegotiation: { mode } })
  const requestInit = { headers: { Authorization: `Bearer ${token}` } }
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit }))
  const { tools } = await client.listTools()
  const overview = await client.callTool({ name: 'deployment_overview', arguments: {} })
  await client.close()
  return { tools: tools.length, isError: Boolean(overview.isError) }
}

async function refusal() {
  const answer = await fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}' })
  return { status: answer.status, challenge: answer.headers.get('WWW-Authenticate'), said: await answer.json() }
}

const saw = {}
for (const [what, look] of Object.entries({
  older: () => visit('legacy'), newer: () => visit({ pin: '2026-07-28' }), refused: refusal,
})) {
  saw[what] = await look().catch(String)
}
await fetch('/saw', { method: 'POST', body: JSON.stringify(saw) })
