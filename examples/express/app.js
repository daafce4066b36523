import { RedisStore } from 'connect-redis';
import express from 'express';
import session from 'express-session';
import passport from 'passport';
import { Strategy } from 'passport-local';

import { accountById, authenticate } from './accounts.js';

const cookieName = 'connect.sid';
const cookieFlags = {
  path: '/', // beyond BASE_PATH: the socket's path must get the cookie too
  httpOnly: true,
  sameSite: 'lax',
};

passport.use(
  new Strategy({ usernameField: 'user' }, (name, password, done) => {
    // A JSON body may hold anything.
    const text = typeof name === 'string' && typeof password === 'string';
    done(null, text && authenticate(name, password));
  }),
);
passport.serializeUser((account, done) => done(null, account.id));
// false, not null or an error: a session whose account is gone is nobody's.
passport.deserializeUser((id, done) => done(null, accountById(id) ?? false));

/** The web application: a login on express-session and passport. It knows nothing of the socket service. */
export function createApp({ redis, secrets, basePath }) {
  const routes = express.Router();

  // Before the session middleware: a health check is no visitor.
  routes.get('/healthz', (req, res) => res.json({ status: 'ok' }));

  routes.use(
    session({
      name: cookieName,
      store: new RedisStore({ client: redis }), // keys sess:<id>
      secret: secrets, // the first signs, all of them verify
      resave: false,
      saveUninitialized: false, // a visitor without a session is given none
      cookie: { ...cookieFlags, secure: 'auto' },
    }),
    passport.session(),
    express.json({ limit: '16kb' }),
    express.urlencoded({ limit: '16kb' }),
  );

  routes.post('/login', (req, res, next) => {
    passport.authenticate('local', (err, account) => {
      if (err) return next(err);
      if (!account) return res.status(401).json({ error: 'wrong user or password' });
      // logIn gives the session a new id: one from before the login must not become a logged-in one.
      req.logIn(account, (err) => {
        if (err) return next(err);
        const { id, name, roles } = account;
        req.session.profile = { roles, login: { at: Math.floor(Date.now() / 1000), via: 'password' } };
        // rediskey is for clients that name their session in a message instead of a cookie. It is
        // as secret as the cookie; leave it out where cookies do.
        res.json({ user: String(id), name, rediskey: req.sessionID });
      });
    })(req, res, next);
  });

  routes.get('/me', (req, res) => {
    res.json({ user: req.user ? String(req.user.id) : null });
  });

  routes.post('/logout', (req, res, next) => {
    // logout takes the user out of the session, deletes it and begins an empty one; destroy drops
    // that one too.
    req.logout((err) => {
      if (err) return next(err);
      req.session.destroy((err) => {
        if (err) return next(err);
        res.clearCookie(cookieName, cookieFlags);
        res.json({ user: null });
      });
    });
  });

  const wrongMethod = (allowed) => (req, res) => {
    res.set('Allow', allowed).status(405).json({ error: 'method not allowed' });
  };
  routes.all(['/healthz', '/me'], wrongMethod('GET, HEAD'));
  routes.all(['/login', '/logout'], wrongMethod('POST'));

  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('trust proxy', 'loopback, uniquelocal'); // whose X-Forwarded-Proto counts
  app.use((req, res, next) => {
    res.set('Cache-Control', 'no-store');
    next();
  });
  app.use(basePath || '/', routes);
  app.use((req, res) => res.status(404).json({ error: 'not found' }));
  // Four parameters make it the error handler. The client sees the status, the log sees the error.
  app.use((err, req, res, next) => {
    const status = err.status ?? 500;
    if (status >= 500) console.error(`${req.method} ${req.path}: ${err.message}`);
    if (res.headersSent) return next(err);
    req.session = null; // neither store it nor send its cookie with this answer
    res.status(status).json({ error: status < 500 ? 'bad request' : 'internal error' });
  });
  return app;
}
