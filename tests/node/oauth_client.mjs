// The official client with nothing but the server's address: it finds the authorization server, registers unless it has
// an id there, signs in, lists the tools and changes a deployment, about which it is asked. Prints what it saw as JSON.
//
//     node oauth_client.mjs VERSION URL PRIORITY [CLIENT_ID]     VERSION: 1, 2, or 2-new for MCP 2026-07-28
const [version, url, priority, client_id] = process.argv.slice(2)
const { Client, StreamableHTTPClientTransport, ask } = await official()

async function official() {
  if (version !== '1') return { ...(await import('@modelcontextprotocol/client')), ask: 'elicitation/create' }
  const { Client } = await import('@modelcontextprotocol/sdk/client/index.js')
  const { StreamableHTTPClientTransport } = await import('@modelcontextprotocol/sdk/client/streamableHttp.js')
  const { ElicitRequestSchema } = await import('@modelcontextprotocol/sdk/types.js')
  return { Client, StreamableHTTPClientTransport, ask: ElicitRequestSchema }
}

const REDIRECT = 'http://127.0.0.1:1/callback'

// What a browser does: follow the redirects, with their cookies, until they lead back to the client.
async function browse(from) {
  const cookies = new Map()
  let at = from
  for (let hop = 0; hop < 20 && !at.href.startsWith(REDIRECT); hop++) {
    const cookie = [...cookies].map((pair) => pair.join('=')).join('; ')
    const answer = await fetch(at, { redirect: 'manual', headers: { cookie } })
    for (const set of answer.headers.getSetCookie()) cookies.set(...set.split(';')[0].split('='))
    if (!answer.headers.has('location')) throw new Error(`${at}: ${answer.status} ${await answer.text()}`)
    at = new URL(answer.headers.get('location'), at)
  }
  return at.searchParams
}

const kept = { signIns: [], client: client_id && { client_id } }
const authProvider = {
  redirectUrl: REDIRECT,
  clientMetadata: { client_name: 'test', redirect_uris: [REDIRECT], token_endpoint_auth_method: 'none' },
  clientInformation: () => kept.client,
  saveClientInformation: (client) => { kept.client = client },
  tokens: () => kept.tokens,
  saveTokens: (tokens) => { kept.tokens = tokens },
  codeVerifier: () => kept.verifier,
  saveCodeVerifier: (verifier) => { kept.verifier = verifier },
  discoveryState: () => kept.discovery,
  saveDiscoveryState: (discovery) => { kept.discovery = discovery },
  redirectToAuthorization: async (address) => {
    kept.signIns.push(address.searchParams.get('scope'))
    kept.back = await browse(address)
  },
}

const asked = []
let client, transport

async function connect() {
  const versionNegotiation = { mode: version === '2-new' ? { pin: '2026-07-28' } : 'legacy' }
  client = new Client({ name: 'test', version: '1' }, { capabilities: { elicitation: {} }, versionNegotiation })
  client.setRequestHandler(ask, async (request) => {
    asked.push(request.params.message)
    return { action: 'accept', content: { agree: true } }
  })
  transport = new StreamableHTTPClientTransport(new URL(url), { authProvider })
  await client.connect(transport)
}

// As hosts do: where the person was sent to sign in, take what came back, connect anew and try again.
async function signedIn(action) {
  try {
    return await action()
  } catch (error) {
    if (!kept.back) throw error
    const back = kept.back
    kept.back = undefined
    await transport.finishAuth(version === '1' ? back.get('code') : back)
    return signedIn(async () => { await connect(); return action() })
  }
}

await signedIn(async () => client ?? connect())
const { tools } = await signedIn(() => client.listTools())
const change = { flow_version_id: '1001', deployment_id: '500', priority: Number(priority) }
const { structuredContent } = await signedIn(() => client.callTool({ name: 'update_deployment', arguments: change }))
const { status, verified } = structuredContent
const { signIns, tokens } = kept
console.log(JSON.stringify({ signIns, scope: tokens.scope, tools: tools.length, asked: asked.length, status, verified }))
process.exit(0)
