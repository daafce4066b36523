// What the client must do, against a real service. Runs the same in Node and in a browser:
// each scenario is called with { base, connect }, connect being the client's own with the
// platform's WebSocket filled in, and fails by throwing.

/** Waits for what a connection reports, in order. */
function watch(connect, url, options = {}) {
  const seen = [];
  let wake = () => {};
  const saw = (what) => (value) => {
    seen.push([what, value]);
    wake();
  };
  const connection = connect(url, {
    minDelay: 10,
    maxDelay: 40,
    ...options,
    onopen: saw('open'),
    onidentity: saw('identity'),
    onmessage: saw('message'),
    onrefused: saw('refused'),
    onretry: saw('retry'),
    onended: saw('ended'),
  });
  const next = async (what) => {
    const deadline = Date.now() + 5000;
    for (;;) {
      const i = seen.findIndex(([kind]) => kind === what);
      if (i >= 0) return seen.splice(i, 1)[0][1];
      if (Date.now() > deadline) throw new Error(`no ${what} came; state ${connection.state}, seen ${JSON.stringify(seen)}`);
      await new Promise((resolve) => {
        wake = resolve;
        setTimeout(resolve, 100);
      });
    }
  };
  return { connection, next, count: (what) => seen.filter(([kind]) => kind === what).length };
}

function equal(got, want, what) {
  if (JSON.stringify(got) !== JSON.stringify(want)) throw new Error(`${what}: got ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
}

function throws(run, what) {
  try {
    run();
  } catch {
    return;
  }
  throw new Error(`${what} did not throw`);
}

const post = async (base, path, body = {}) => {
  const answer = await fetch(base + path, { method: 'POST', body: new URLSearchParams(body) });
  if (!answer.ok) throw new Error(`POST ${path}: ${answer.status}`);
  return answer.json();
};

// A service that does the same steps with every connection, for what a real one does only when it
// must; the frames and close codes are the real ones.
let runs = 0;
const scripted = (base, steps) => {
  const run = `${Date.now()}-${++runs}`;
  const url = `${base}/scripted?${new URLSearchParams({ run, steps: steps.join(',') })}`;
  return { url, report: async () => (await fetch(`${base}/report?run=${run}`)).json() };
};

/** Runs a scenario, and leaves no connection behind. */
export async function run(name, env) {
  const connections = [];
  const connect = (...args) => {
    connections.push(env.connect(...args));
    return connections.at(-1);
  };
  try {
    await scenarios[name]({ ...env, connect });
  } finally {
    for (const connection of connections) connection.close();
  }
}

export const scenarios = {
  async 'queues until the identity stands, then hands everything through'({ base, connect }) {
    const { id } = await post(base, '/login', { user: '42' });
    const { connection, next } = watch(connect, `${base}/ws`, { rediskey: id, stack: 'php', binaryType: 'arraybuffer' });
    const texts = ['first', '{"event":"chat","data":{"text":"x"}}', '{"event":"authenticated"}', '{"event":"authenticated","data":{"user":"1","via":"php"}}', '{', ''];
    for (const text of texts) connection.send(text);
    equal(connection.queued, texts.length, 'queued');
    equal(await next('identity').then(({ user, via }) => [user, via]), ['42', 'php'], 'identity');
    for (const text of texts) equal(await next('message'), text, 'echo');
    connection.send(new Uint8Array([0, 255, 7]));
    equal([...new Uint8Array(await next('message'))], [0, 255, 7], 'binary echo');
    equal([connection.queued, connection.state, connection.identity.user], [0, 'authenticated', '42'], 'afterwards');
    connection.close();
    equal((await next('ended')).code, 'client_request', 'ended');
  },

  async 'a logout ends it, after exactly one more attempt'({ base, connect }) {
    const { id } = await post(base, '/login', { user: '42' });
    const { connection, next, count } = watch(connect, `${base}/ws`, { rediskey: id });
    await next('identity');
    await post(base, '/logout', { id });
    const { code, closeCode } = await next('retry');
    equal([code, closeCode], ['session_ended', 3000], 'the end of the socket');
    equal((await next('ended')).code, 'invalid_session', 'the end for good');
    equal([connection.state, connection.identity, count('retry'), count('identity')], ['ended', null, 0, 0], 'afterwards');
    throws(() => connection.send('late'), 'send after the end');
  },

  async 'a regenerated session id goes on'({ base, connect }) {
    let { id } = await post(base, '/login', { user: '42' });
    const { connection, next } = watch(connect, `${base}/ws`, { rediskey: () => id });
    await next('identity');
    const former = id;
    ({ id } = await post(base, '/login', { user: '42' }));
    await post(base, '/logout', { id: former });
    equal((await next('retry')).code, 'session_ended', 'the end of the socket');
    connection.send('kept');
    equal((await next('identity')).user, '42', 'identity');
    equal(await next('message'), 'kept', 'what was queued');
    connection.close();
  },

  async 'what waits is never sent as another user'({ base, connect }) {
    let { id } = await post(base, '/login', { user: '42' });
    const { connection, next, count } = watch(connect, `${base}/ws`, { rediskey: () => id });
    await next('identity');
    const former = id;
    ({ id } = await post(base, '/login', { user: '7' }));
    await post(base, '/logout', { id: former });
    await next('retry');
    connection.send('in the name of 42');
    equal((await next('identity')).user, '7', 'identity');
    connection.send('in the name of 7');
    equal(await next('message'), 'in the name of 7', 'the first message');
    equal(count('message'), 0, 'further messages');
    connection.close();
  },

  async 'the session cookie does where the browser has one'({ base, connect, cookies }) {
    if (!cookies) return;
    const { id } = await post(base, '/login', { user: '0', cookie: 'set' });
    const { connection, next } = watch(connect, `${base}/ws`, { timeout: 500 });
    equal((await next('identity')).user, '0', 'identity');
    await post(base, '/logout', { id, cookie: 'drop' });
    equal((await next('retry')).code, 'session_ended', 'the end of the socket');
    equal((await next('ended')).code, 'credentials_required', 'the end for good');
    equal(connection.state, 'ended', 'state');
  },

  async 'nobody logged in, and no credential to send'({ base, connect }) {
    const { next } = watch(connect, `${base}/ws`, { timeout: 200 });
    await next('open');
    equal((await next('ended')).code, 'credentials_required', 'the end for good');
  },

  async 'a token in the first message'({ base, connect }) {
    const { token } = await post(base, '/token', { user: '7' });
    const { connection, next } = watch(connect, `${base}/ws`, { token });
    const { user, via, expires } = await next('identity');
    equal([user, via, expires instanceof Date && expires > new Date()], ['7', 'jwt', true], 'identity');
    connection.deauthenticate();
    const { code, closeCode } = await next('ended');
    equal([code, closeCode], ['client_request', 1000], 'the end for good');
  },

  async 'a bad token is tried once more'({ base, connect }) {
    const { next, count } = watch(connect, `${base}/ws`, { token: 'not.a.token' });
    equal((await next('refused')).code, 'invalid_token', 'refused');
    equal((await next('retry')).code, 'invalid_token', 'the first attempt');
    equal((await next('ended')).code, 'invalid_token', 'the second attempt');
    equal(count('retry'), 0, 'further attempts');
  },

  async 'an expired token is replaced by a fresh one'({ base, connect }) {
    let calls = 0;
    const token = async () => {
      if (++calls === 2) throw new Error('the token endpoint is away when the service says that the token expires');
      return (await post(base, '/token', { user: '7', seconds: calls === 1 ? '1' : '600' })).token;
    };
    const { connection, next } = watch(connect, `${base}/ws`, { token });
    await next('identity');
    const { code, closeCode } = await next('retry');
    equal([code, closeCode], ['token_expired', 3000], 'the end of the socket');
    equal((await next('identity')).user, '7', 'identity');
    connection.close();
  },

  async 'a token is refreshed before it expires'({ base, connect }) {
    const lives = ['2', '600'];
    const token = async () => (await post(base, '/token', { user: '7', seconds: lives.shift() })).token;
    const { connection, next, count } = watch(connect, `${base}/ws`, { token });
    const { expires } = await next('identity');
    const later = await next('identity');
    if (!(later.expires > expires)) throw new Error(`the identity holds until ${later.expires}, before it was ${expires}`);
    equal([count('open'), count('retry'), connection.state], [1, 0, 'authenticated'], 'on the same socket');
    connection.close();
  },

  async 'a token function that has none, and one that fails'({ base, connect }) {
    const none = watch(connect, `${base}/ws`, { token: async () => null });
    equal((await none.next('ended')).code, 'credentials_required', 'no token');
    const { token } = await post(base, '/token', { user: '7' });
    let calls = 0;
    const failing = watch(connect, `${base}/ws`, {
      token: async () => {
        if (++calls <= 3) throw new Error('the token endpoint is away');
        return token;
      },
    });
    for (let i = 0; i < 3; i++) equal((await failing.next('retry')).code, 'unavailable', 'a failed call');
    await failing.next('identity');
    failing.connection.close();
    const hanging = watch(connect, `${base}/ws`, { token: () => new Promise(() => {}), timeout: 50 });
    equal((await hanging.next('retry')).code, 'authentication_timeout', 'a call that hangs');
    hanging.connection.close();
  },

  async 'an expiring token is refreshed in place'({ base, connect }) {
    const { url, report } = scripted(base, ['await', 'authenticated', 'expiring', 'await', 'authenticated', 'echo']);
    let calls = 0;
    const { connection, next, count } = watch(connect, url, { token: () => `token ${++calls}` });
    await next('identity');
    await next('identity');
    connection.send('still here');
    equal(await next('message'), 'still here', 'echo');
    equal([count('open'), count('retry'), connection.state], [1, 0, 'authenticated'], 'on the same socket');
    const { received } = await report();
    equal(received.map((frame) => JSON.parse(frame)), [1, 2].map((n) => ({ event: 'authenticate', data: { token: `token ${n}` } })), 'sent');
    connection.close();
  },

  async 'a refresh that is refused leaves the identity'({ base, connect }) {
    const { url } = scripted(base, ['await', 'authenticated', 'expiring', 'await', 'unauthorized invalid_token', 'echo']);
    const { connection, next, count } = watch(connect, url, { token: () => 'token' });
    await next('identity');
    equal((await next('refused')).code, 'invalid_token', 'refused');
    connection.send('still here');
    equal(await next('message'), 'still here', 'echo');
    equal([count('retry'), connection.identity.user], [0, '42'], 'afterwards');
    connection.close();
  },

  async 'another page is refused'({ base, connect, cookies }) {
    if (cookies) return; // a browser sets the origin itself
    const { next } = watch(connect, `${base}/ws`, { origin: 'http://evil.example' });
    const { code, closeCode } = await next('ended');
    equal([code, closeCode], ['origin_not_allowed', 3003], 'ended');
  },

  async 'a refused upgrade shows nothing, and is tried with growing pauses'({ base, connect }) {
    const { connection, next } = watch(connect, `${base}/refused`, { minDelay: 8, maxDelay: 64 });
    const delays = [];
    for (let i = 0; i < 6; i++) {
      const { code, closeCode, delay } = await next('retry');
      equal([code, closeCode], [null, 1006], 'the end of the socket');
      delays.push(delay);
    }
    [8, 16, 32, 64, 64, 64].forEach((whole, i) => {
      if (delays[i] < whole / 2 || delays[i] > whole) throw new Error(`pause ${i} is ${delays[i]} ms, not ${whole / 2} to ${whole}`);
    });
    connection.close();
    equal(connection.state, 'ended', 'state');
  },

  async 'bounds of the queue'({ base, connect }) {
    const { connection } = watch(connect, `${base}/ws`, { rediskey: () => new Promise(() => {}), maxQueue: 2, maxQueueBytes: 30 });
    connection.send('a');
    throws(() => connection.send('b'.repeat(10)), 'a message beyond the bytes');
    connection.send('c');
    throws(() => connection.send('d'), 'a message beyond the number');
    equal(connection.queued, 2, 'queued');
    connection.close();
    equal(connection.queued, 0, 'queued after the end');
  },

  async 'options that make no sense'({ base, connect }) {
    throws(() => connect('ftp://example.com'), 'a URL of something else');
    throws(() => connect('wss://user:secret@example.com'), 'a secret in the URL');
    throws(() => connect(`${base}/ws`, { token: 'a', rediskey: 'b' }), 'two credentials');
    throws(() => connect(`${base}/ws`, { WebSocket: null }), 'no WebSocket');
  },

  async 'a loop of sockets that end at once is broken'({ base, connect }) {
    const { url, report } = scripted(base, ['authenticated', 'deauthenticated session_ended']);
    const { next } = watch(connect, url);
    equal((await next('ended')).code, 'session_ended', 'ended');
    equal((await report()).connections, 2, 'connections');
  },

  async 'without reconnect every end is for good'({ base, connect }) {
    const { url, report } = scripted(base, ['authenticated', 'deauthenticated draining']);
    const { next } = watch(connect, url, { reconnect: false });
    const { code, closeCode } = await next('ended');
    equal([code, closeCode], ['draining', 1001], 'ended');
    equal((await report()).connections, 1, 'connections');
  },
};

// Each code of the service, before and after the identity stands, and close codes without one:
// how many connections are made when the answer is always the same. 3 stands for any number.
const attempts = {
  'unauthorized credentials_required': 1,
  'unauthorized credentials_bad_format': 1,
  'unauthorized credentials_rejected': 2,
  'unauthorized invalid_secret': 2,
  'unauthorized invalid_session': 2,
  'unauthorized invalid_token': 2,
  'unauthorized origin_not_allowed': 1,
  'unauthorized authentication_timeout': 3,
  'unauthorized unavailable': 3,
  'unauthorized draining': 3,
  'deauthenticated session_ended': 2,
  'deauthenticated session_expired': 2,
  'deauthenticated token_expired': 2,
  'deauthenticated user_changed': 2,
  'deauthenticated revoked': 2,
  'deauthenticated unavailable': 3,
  'deauthenticated draining': 3,
  'deauthenticated client_request': 1,
  'close 1000': 1,
  'close 1001': 3,
  'close 1007': 3,
  'close 1008': 1,
  'close 1009': 3,
  'close 1011': 3,
  'close 1012': 3,
  'close 1013': 3,
  'close 3000': 2,
  'close 3003': 1,
  'close 3008': 3,
  'close 4001': 1,
};

for (const [part, want] of Object.entries(attempts)) {
  scenarios[`${part}: ${['', 'for good', 'once more', 'again and again'][want]}`] = async ({ base, connect }) => {
    const first = part.startsWith('unauthorized') ? [] : ['authenticated'];
    const { url, report } = scripted(base, ['await', ...first, part]);
    const { connection, next } = watch(connect, url, { token: 'token' });
    for (let i = 1; i < want; i++) await next('retry');
    if (want < 3) await next('ended');
    else await next('retry'); // the third
    connection.close();
    const { connections } = await report();
    if (want < 3) equal(connections, want, 'connections');
    else if (connections < want) throw new Error(`connections: got ${connections}, want ${want} at least`); // the next may have begun
  };
}
