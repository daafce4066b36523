// Runs the SocketCluster client as it comes from npm: commands are read from
// standard input and events written to standard output, one JSON text a line.
const { createRequire } = require('node:module');
const readline = require('node:readline');

const { modules, port, token, headers, options } = JSON.parse(process.argv[2]);
const sc = createRequire(modules + '/')('socketcluster-client');

const say = (event, data) => process.stdout.write(JSON.stringify({ event, data: data ?? {} }) + '\n');
const plain = (err) => (err instanceof Error ? { ...err, name: err.name, message: err.message } : err);

// What a browser has: the client's own store of its token uses it.
const store = new Map();
globalThis.localStorage = {
  getItem: (key) => store.get(key) ?? null,
  setItem: (key, value) => store.set(key, String(value)),
  removeItem: (key) => store.delete(key),
};
if (token !== undefined) localStorage.setItem(`socketcluster.authToken.127.0.0.1:${port}`, token);

const socket = sc.create({ hostname: '127.0.0.1', port, autoConnect: false, wsOptions: { headers }, ...options });
for (const name of ['connect', 'connectAbort', 'disconnect', 'error', 'authStateChange', 'authenticate', 'deauthenticate', 'removeAuthToken', 'kickOut', 'subscribe', 'subscribeFail', 'unsubscribe']) {
  (async () => {
    for await (const event of socket.listener(name)) {
      const { error, authError, ...rest } = event;
      if (error) rest.error = plain(error);
      if (authError) rest.authError = plain(authError);
      say(name, rest);
    }
  })();
}

const commands = {
  connect: () => socket.connect(),
  invoke: ({ name, data }) => socket.invoke(name, data),
  transmit: ({ name, data }) => socket.transmit(name, data),
  publish: ({ channel, data }) => socket.invokePublish(channel, data),
  authenticate: ({ token }) => socket.authenticate(token),
  deauthenticate: () => socket.deauthenticate(),
  unsubscribe: ({ channel }) => socket.unsubscribe(channel),
  subscribe: ({ channel, data }) => {
    (async () => {
      for await (const message of socket.subscribe(channel, { data })) say('message', { channel, data: message });
    })();
  },
  receive: ({ name }) => {
    (async () => {
      for await (const data of socket.receiver(name)) say('received', { name, data });
    })();
  },
  state: () => ({
    state: socket.state,
    authState: socket.authState,
    signedAuthToken: socket.signedAuthToken,
    pingTimeout: socket.pingTimeout,
    pendingReconnect: socket.pendingReconnect,
    subscriptions: socket.subscriptions(),
    stored: Object.fromEntries(store),
  }),
};

readline.createInterface({ input: process.stdin }).on('line', async (line) => {
  const command = JSON.parse(line);
  try {
    say('result', { id: command.id, value: (await commands[command.do](command)) ?? null });
  } catch (err) {
    say('result', { id: command.id, error: plain(err) });
  }
}).on('close', () => process.exit(0));
say('ready');
