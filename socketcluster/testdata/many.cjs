// Connects and authenticates many clients, some at a time, one process for all
// of them, and prints how many of them made it, one JSON text.
const { createRequire } = require('node:module');
const { modules, port, token, connections, atOnce } = JSON.parse(process.argv[2]);
const sc = createRequire(modules + '/')('socketcluster-client');

let left = connections;
const count = { authenticated: 0, failed: 0 };
const worker = async () => {
  while (left-- > 0) {
    const socket = sc.create({ hostname: '127.0.0.1', port, autoConnect: false, autoReconnect: false });
    await socket.auth.saveToken(socket.authTokenName, token);
    const aborted = socket.listener('connectAbort').once().then(() => ({}));
    socket.connect();
    const status = await Promise.race([socket.listener('connect').once(), aborted]);
    const user = status.isAuthenticated && (await socket.invoke('whoami'));
    count[user === '42' ? 'authenticated' : 'failed']++;
    socket.disconnect();
  }
};
Promise.all(Array.from({ length: atOnce }, worker)).then(() => {
  process.stdout.write(JSON.stringify(count) + '\n', () => process.exit(0));
});
