// An application on one of Node's frameworks, for the tests: /login logs user
// 42 in, /logout out, every path answers with the user.
import http from 'node:http';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const secrets = process.env.SESSION_SECRETS.split(',');
const redisURL = process.env.REDIS_URL;

// answer changes a session as the path says.
function answer(path, session) {
  if (path === '/login') session.user_id = 42;
  return { user: session?.user_id ?? null };
}

async function koa(use) {
  const Koa = require('koa');
  const app = new Koa();
  app.keys = secrets;
  use(app);
  app.use((ctx) => {
    if (ctx.path === '/logout') ctx.session = null;
    ctx.body = ctx.session ? answer(ctx.path, ctx.session) : {};
  });
  return app.callback();
}

function koaSession() {
  const module = require('koa-session');
  return module.default ?? module;
}

const applications = {
  'cookie-session': async () => {
    const session = require('cookie-session')({ keys: secrets });
    return (request, response) => session(request, response, () => {
      if (request.url === '/logout') request.session = null;
      response.end(JSON.stringify(request.session ? answer(request.url, request.session) : {}));
    });
  },

  'koa-session': () => koa((app) => app.use(koaSession()({}, app))),

  'koa-redis': () => koa((app) => app.use(koaSession()({ store: require('koa-redis')({ url: redisURL }) }, app))),

  'koa-generic': () => koa((app) => app.use(require('koa-generic-session')({ store: require('koa-redis')({ url: redisURL }) }))),

  fastify: async () => {
    const { createClient } = require('redis');
    const { RedisStore } = await import('connect-redis');
    const client = createClient({ url: redisURL });
    await client.connect();
    let handler;
    const app = require('fastify')({ serverFactory: (h) => http.createServer(handler = h) });
    await app.register(require('@fastify/cookie'));
    await app.register(require('@fastify/session'), {
      secret: secrets,
      cookiePrefix: process.env.COOKIE_PREFIX,
      cookie: { secure: false },
      store: new RedisStore({ client }),
    });
    app.get('/*', async (request) => {
      if (request.url === '/login') {
        await request.session.regenerate();
        request.session.user = { id: 42 };
      }
      if (request.url === '/logout') {
        await request.session.destroy();
        return {};
      }
      return { user: request.session.user?.id ?? null };
    });
    await app.ready();
    return handler;
  },
};

const server = http.createServer(await applications[process.env.STACK]());
server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
