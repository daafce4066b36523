// Logins on express-session with connect-redis. PREFIX, SECRET and REDIS_URL are its settings.
const { RedisStore } = require('connect-redis');
const express = require('express');
const session = require('express-session');
const { createClient } = require('redis');

const { PREFIX: prefix, SECRET: secret, REDIS_URL: url } = process.env;
const redis = createClient({ url });
redis.on('error', () => {}); // it is stopped after its server
const app = express();
app.use(session({ store: new RedisStore({ client: redis, prefix }), secret, resave: false, saveUninitialized: true }));
app.get('/anonymous', (req, res) => res.end());
app.get('/passport', (req, res) => {
  req.session.passport = { user: 42 };
  res.end();
});
app.get('/object', (req, res) => {
  req.session.user = { id: 42, name: 'ann' };
  res.end();
});

redis.connect().then(() => {
  const server = app.listen(0, '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
});
