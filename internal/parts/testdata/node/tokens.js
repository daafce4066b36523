// An issuer of tokens, for the tests: GET /jwks are its public keys, POST
// /sign?library=jose&alg=RS256 signs the claims in the body, POST /rotate
// makes new keys and keeps the former, POST /retire drops the former. All but
// the keys is open to anybody: it is for this machine only.
import http from 'node:http';
import { createSecretKey, KeyObject } from 'node:crypto';
import * as jose from 'jose';
import jsonwebtoken from 'jsonwebtoken';

const secret = createSecretKey(Buffer.from(process.env.JWT_SECRET));

// Of each key type one key serves every algorithm that goes with it.
const types = {
  rsa: 'RS256', p256: 'ES256', p384: 'ES384', p521: 'ES512', ed25519: 'EdDSA',
};
const typeOf = (alg) => ({ RS: 'rsa', PS: 'rsa', ES256: 'p256', ES384: 'p384', ES512: 'p521', EdDSA: 'ed25519' })[/^[RP]S/.test(alg) ? alg.slice(0, 2) : alg];

let generation = 0;
const generations = []; // newest first

async function rotate() {
  generation++;
  const keys = {};
  for (const [type, alg] of Object.entries(types)) {
    const { publicKey, privateKey } = await jose.generateKeyPair(alg, { extractable: true });
    const kid = `${type}-${generation}`;
    // No alg: an RSA key serves RS256 as well as PS256.
    keys[type] = { kid, privateKey: KeyObject.from(privateKey), jwk: { ...await jose.exportJWK(publicKey), kid, use: 'sig' } };
  }
  generations.unshift(keys);
}

function sign(query, claims) {
  const alg = query.get('alg');
  const typ = query.get('typ') ?? 'JWT';
  const age = Number(query.get('generation') ?? 0); // 0 is the newest
  const { kid, privateKey } = alg.startsWith('HS') ? { privateKey: secret } : generations[age][typeOf(alg)];
  const header = { alg, typ };
  if (kid && !query.has('nokid')) header.kid = query.get('kid') ?? kid;
  if (query.get('library') === 'jsonwebtoken') {
    return jsonwebtoken.sign(claims, privateKey, { algorithm: alg, header, noTimestamp: true });
  }
  return new jose.SignJWT(claims).setProtectedHeader(header).sign(privateKey);
}

function read(request) {
  return new Promise((resolve, reject) => {
    let body = '';
    request.on('data', (chunk) => { body += chunk; });
    request.on('end', () => resolve(body));
    request.on('error', reject);
  });
}

const routes = {
  'GET /jwks': () => JSON.stringify({ keys: generations.flatMap((keys) => Object.values(keys).map((k) => k.jwk)) }),
  'POST /sign': (query, body) => sign(query, JSON.parse(body)),
  'POST /rotate': async () => { await rotate(); return ''; },
  'POST /retire': () => { generations.length = 1; return ''; },
};

await rotate();
const server = http.createServer(async (request, response) => {
  const url = new URL(request.url, 'http://localhost');
  const route = routes[`${request.method} ${url.pathname}`];
  try {
    response.writeHead(route ? 200 : 404);
    response.end(route ? await route(url.searchParams, await read(request)) : '');
  } catch (error) {
    console.error(error);
    response.destroy();
  }
});
server.listen(0, '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
