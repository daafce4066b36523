// An OpenID Connect provider (npm oidc-provider), for the tests. The one client
// is CLIENT_ID with CLIENT_SECRET. POST /token with grant_type=account and
// account=42 gives out an access token for that account, without its password:
// it is for this machine only. resource=https://<alg>.example names the service
// that it is for: a JWT of RFC 9068 signed with that algorithm (rs256, ps256,
// es256, eddsa), or an opaque one for https://opaque.example.
import http from 'node:http';
import * as jose from 'jose';
import Provider from 'oidc-provider';

const clientID = process.env.CLIENT_ID;
const algorithms = { rs256: 'RS256', ps256: 'PS256', es256: 'ES256', eddsa: 'EdDSA' };
const lifetime = Number(process.env.TOKEN_LIFETIME ?? 600); // seconds

async function keys() {
  const all = [];
  for (const alg of ['RS256', 'ES256', 'EdDSA']) {
    const { privateKey } = await jose.generateKeyPair(alg, { extractable: true });
    all.push({ ...await jose.exportJWK(privateKey), use: 'sig' });
  }
  return { keys: all };
}

function resourceServer(resource) {
  const name = new URL(resource).hostname.split('.')[0];
  const server = { scope: 'chat', audience: resource, accessTokenTTL: lifetime };
  return name === 'opaque'
    ? { ...server, accessTokenFormat: 'opaque' }
    : { ...server, accessTokenFormat: 'jwt', jwt: { sign: { alg: algorithms[name] } } };
}

// account is a grant type that vouches for whom it is told.
async function account(ctx) {
  const { params, provider, client } = ctx.oidc;
  const grant = new provider.Grant({ clientId: client.clientId, accountId: params.account });
  grant.addResourceScope(params.resource, params.scope ?? 'chat');
  const token = new provider.AccessToken({
    accountId: params.account,
    client,
    grantId: await grant.save(),
    gty: 'account',
    scope: params.scope ?? 'chat',
    expiresIn: lifetime,
  });
  token.resourceServer = new provider.ResourceServer(params.resource, resourceServer(params.resource));
  ctx.body = { access_token: await token.save(), token_type: token.tokenType, expires_in: lifetime, scope: token.scope };
}

const server = http.createServer();
server.listen(0, '127.0.0.1', async () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: clientID,
      client_secret: process.env.CLIENT_SECRET,
      grant_types: ['account', 'client_credentials'],
      redirect_uris: [],
      response_types: [],
    }],
    jwks: await keys(),
    findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA', 'HS256'] },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      revocation: { enabled: true, allowedPolicy: () => true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (ctx, resource) => resourceServer(resource),
        defaultResource: () => 'https://opaque.example',
        useGrantedResource: () => true,
      },
    },
  });
  provider.registerGrantType('account', account, ['account', 'resource', 'scope']);
  provider.on('server_error', (ctx, error) => console.error(error));
  server.on('request', provider.callback());
  console.log(`listening on ${issuer}`);
});
