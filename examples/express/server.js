// An Express web application with a login, on express-session in Redis and passport.
//
//   SESSION_SECRETS=new,old node server.js
//
// Settings, all from the environment:
//   SESSION_SECRETS  required: what signs the cookie, comma-separated, newest first
//   REDIS_URL        default redis://127.0.0.1:6379
//   HOST, PORT       default 127.0.0.1 and 3000; port 0 picks a free one
//   BASE_PATH        prefix of every path, such as /express; default none
//
// It prints one line, "listening on http://HOST:PORT", as soon as it serves.
import { createServer } from 'node:http';

import { createClient } from 'redis';

import { createApp } from './app.js';

const env = process.env;
const secrets = (env.SESSION_SECRETS ?? '').split(',').map((s) => s.trim()).filter(Boolean);
if (secrets.length === 0) {
  console.error('SESSION_SECRETS is not set: give the secrets that sign the session cookie, newest first');
  process.exit(2);
}

const redis = createClient({
  url: env.REDIS_URL ?? 'redis://127.0.0.1:6379',
  disableOfflineQueue: true, // while Redis is away, requests fail instead of waiting for it
});
redis.on('error', (err) => console.error(`redis: ${err.message || err.code}`));

const server = createServer(createApp({ redis, secrets, basePath: env.BASE_PATH ?? '' }));

function stop() {
  // Requests under way may finish, for 5 s at most.
  server.close(() => process.exit(0));
  setTimeout(() => server.closeAllConnections(), 5000).unref();
}
process.once('SIGTERM', stop);
process.once('SIGINT', stop);

await redis.connect();
server.listen(Number(env.PORT ?? 3000), env.HOST ?? '127.0.0.1', () => {
  const { address, family, port } = server.address();
  console.log(`listening on http://${family === 'IPv6' ? `[${address}]` : address}:${port}`);
});
