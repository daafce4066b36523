// What a team writes on Node instead: ws, which lets in whoever is logged in
// to express-session's session in Redis. POST /login logs user 42 in and
// POST /destroy ends the session, by the same express-session.
import { createServer } from 'node:http';

import { RedisStore } from 'connect-redis';
import session from 'express-session';
import { createClient } from 'redis';
import { WebSocketServer } from 'ws';

const client = createClient({ url: process.env.REDIS_URL });
client.on('error', (err) => console.error(`redis: ${err.message || err.code}`));
await client.connect();

const sessions = session({
  store: new RedisStore({ client }),
  secret: process.env.SESSION_SECRETS.split(','),
  resave: false,
  saveUninitialized: false,
});

const routes = {
  'POST /login': (req, done) =>
    req.session.regenerate((err) => {
      if (!err) req.session.passport = { user: 42 };
      done(err);
    }),
  'POST /destroy': (req, done) => req.session.destroy(done),
};

const server = createServer((req, res) => {
  sessions(req, res, (err) => {
    const route = routes[`${req.method} ${req.url}`];
    if (err || !route) {
      res.statusCode = err ? 500 : 404;
      res.end();
      return;
    }
    route(req, (err) => {
      res.statusCode = err ? 500 : 200;
      res.end('{}');
    });
  });
});

const sockets = new WebSocketServer({ noServer: true });
server.on('upgrade', (req, socket, head) => {
  const refuse = (status) => socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  sessions(req, {}, (err) => {
    if (err) return refuse('503 Service Unavailable');
    if (req.session.passport?.user === undefined) return refuse('401 Unauthorized');
    sockets.handleUpgrade(req, socket, head, (ws) => {
      ws.user = req.session.passport.user;
      ws.on('error', () => {}); // a client that is gone
    });
  });
});

server.listen(0, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
