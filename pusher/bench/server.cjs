// A Pusher-compatible server of Node's usual parts: ws for the sockets,
// jsonwebtoken for who asks, and Pusher's own library for the signatures. It
// does for private channels what the protocol wants, and nothing else.
const http = require('node:http');
const crypto = require('node:crypto');
const { createRequire } = require('node:module');
const [modules, secret, key, appSecret] = process.argv.slice(2);
const load = createRequire(modules + '/');
const { WebSocketServer } = load('ws');
const jwt = load('jsonwebtoken');
const Pusher = load('pusher');

const application = new Pusher({ appId: '1', key, secret: appSecret, cluster: 'none' });
const channels = new Map();
const number = () => crypto.randomBytes(8).readBigUInt64BE().toString();

const server = http.createServer((req, res) => {
  let body = '';
  req.on('data', (chunk) => { body += chunk; });
  req.on('end', () => {
    const form = new URLSearchParams(body);
    try {
      const claims = jwt.verify(req.headers.authorization.slice('Bearer '.length), secret, { algorithms: ['HS256'] });
      if (form.get('channel_name') !== `private-user-${claims.sub}`) throw new Error('not allowed');
      res.setHeader('Content-Type', 'application/json');
      res.end(JSON.stringify(application.authorizeChannel(form.get('socket_id'), form.get('channel_name'))));
    } catch {
      res.statusCode = 403;
      res.end();
    }
  });
});
new WebSocketServer({ server }).on('connection', (socket) => {
  const id = `${number()}.${number()}`;
  socket.send(JSON.stringify({ event: 'pusher:connection_established', data: JSON.stringify({ socket_id: id, activity_timeout: 120 }) }));
  const mine = new Set();
  socket.on('message', (text) => {
    const { event, data } = JSON.parse(text);
    if (event !== 'pusher:subscribe') return;
    const want = Buffer.from(application.authorizeChannel(id, data.channel).auth);
    const got = Buffer.from(data.auth);
    if (want.length !== got.length || !crypto.timingSafeEqual(want, got)) return;
    if (!channels.has(data.channel)) channels.set(data.channel, new Set());
    channels.get(data.channel).add(socket);
    mine.add(data.channel);
    socket.send(JSON.stringify({ event: 'pusher_internal:subscription_succeeded', channel: data.channel, data: '{}' }));
  });
  socket.on('close', () => mine.forEach((name) => channels.get(name).delete(socket)));
});
server.listen(0, '127.0.0.1', () => console.log(`listening on 127.0.0.1:${server.address().port}`));
