// An OpenID provider on loopback that knows the client `known` and registers any other, logs everybody in as Anna and
// lets her allow everything.
// With the argument "/" its issuer ends in a slash. Prints the issuer once it listens.
import { createServer } from 'node:http'
import Provider from 'oidc-provider'

const SCOPES = 'deployments:read deployments:write'

const server = createServer()
await new Promise((listening) => server.listen(0, '127.0.0.1', listening))
const issuer = `http://127.0.0.1:${server.address().port}${process.argv[2] ?? ''}`

const provider = new Provider(issuer, {
  clients: [{
    client_id: 'known', redirect_uris: ['http://127.0.0.1:1/callback'], application_type: 'native',
    token_endpoint_auth_method: 'none',
  }],
  cookies: { keys: ['of-a-test'] },
  scopes: SCOPES.split(' '),
  issueRefreshToken: (_, client) => client.grantTypeAllowed('refresh_token'),
  pkce: { required: () => true },
  features: {
    devInteractions: { enabled: false },
    registration: { enabled: true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (_, resource) => ({
        scope: SCOPES, audience: resource, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
  findAccount: (_, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
})

async function agree(request, response) {
  const { params, grantId, session } = await provider.interactionDetails(request, response)
  const accountId = session?.accountId ?? 'anna'
  const grant = (grantId && (await provider.Grant.find(grantId))) || new provider.Grant({ accountId, clientId: params.client_id })
  grant.addOIDCScope(params.scope ?? '')
  grant.addResourceScope(params.resource, params.scope ?? '')
  const given = { login: { accountId }, consent: { grantId: await grant.save() } }
  await provider.interactionFinished(request, response, given, { mergeWithLastSubmission: true })
}

const answer = provider.callback()
server.on('request', (request, response) =>
  request.url.startsWith('/interaction/') ? agree(request, response) : answer(request, response))
console.log(issuer)
