// Connects many clients, some at a time, subscribes each to a private channel,
// and prints how many of them made it, one JSON text.
const { createRequire } = require('node:module');
const { modules, port, key, token, connections, atOnce } = JSON.parse(process.argv[2]);
const Pusher = createRequire(modules + '/')('pusher-js');

let left = connections;
const count = { authenticated: 0, failed: 0 };
const worker = async () => {
  while (left-- > 0) {
    const pusher = new Pusher(key, {
      cluster: 'none', wsHost: '127.0.0.1', wsPort: port, forceTLS: false, enabledTransports: ['ws'],
      channelAuthorization: { endpoint: `http://127.0.0.1:${port}/pusher/auth`, headers: { Authorization: `Bearer ${token}` } },
    });
    const ok = await new Promise((resolve) => {
      pusher.subscribe('presence-many').bind('pusher:subscription_succeeded', (members) => resolve(members.me?.id === '42')).bind('pusher:subscription_error', () => resolve(false));
      pusher.connection.bind('error', () => resolve(false));
    });
    count[ok ? 'authenticated' : 'failed']++;
    pusher.disconnect();
  }
};
Promise.all(Array.from({ length: atOnce }, worker)).then(() => {
  process.stdout.write(JSON.stringify(count) + '\n', () => process.exit(0));
});
