// Runs pusher-js, and laravel-echo on top of it, as they come from npm:
// commands are read from standard input and events written to standard output,
// one JSON text a line.
const { createRequire } = require('node:module');
const readline = require('node:readline');

const { modules, port, key, secret, options, signs } = JSON.parse(process.argv[2]);
const load = createRequire(modules + '/');
const Pusher = load('pusher-js');
const Library = load('pusher'); // what a web application signs with

const say = (event, data) => process.stdout.write(JSON.stringify({ event, data: data ?? {} }) + '\n');
const application = new Library({ appId: '1', key, secret, cluster: 'none' });

let pusher;
let echo;
const channel = (name) => pusher.subscribe(name).unbind_all().bind_global((event, data) => say('channel', { channel: name, event, data }));
const watchers = { private: (name) => echo.private(name), join: (name) => echo.join(name), public: (name) => echo.channel(name) };

const commands = {
  connect: () => {
    pusher = new Pusher(key, {
      cluster: 'none', wsHost: '127.0.0.1', wsPort: port, forceTLS: false, enabledTransports: ['ws'],
      channelAuthorization: {
        endpoint: `http://127.0.0.1:${port}/pusher/auth`, transport: 'ajax', ...options?.auth,
        ...(signs && { // the web application's own endpoint
          customHandler: ({ socketId, channelName }, callback) => callback(null, application.authorizeChannel(socketId, channelName, channelName.startsWith('presence-') ? { user_id: 42, user_info: { by: 'application' } } : undefined)),
        }),
      },
      userAuthentication: {
        endpoint: `http://127.0.0.1:${port}/pusher/user-auth`, transport: 'ajax', ...options?.auth,
        ...(signs && { customHandler: ({ socketId }, callback) => callback(null, application.authenticateUser(socketId, { id: '42', user_info: {} })) }),
      },
      ...options?.more,
    });
    pusher.connection.bind('state_change', (states) => say('state', states));
    pusher.connection.bind('error', (err) => say('error', err));
    pusher.connection.bind('connecting_in', (seconds) => say('connecting_in', { seconds }));
    pusher.user.bind_global((event, data) => say('user', { event, data }));
    pusher.bind('pusher:signin_success', (data) => say('signin_success', data));
  },
  reconnect: () => { pusher.connect(); },
  subscribe: ({ channel: name }) => { channel(name); },
  unsubscribe: ({ channel: name }) => { pusher.unsubscribe(name); },
  trigger: ({ channel: name, name: event, data }) => pusher.channel(name).trigger(event, data),
  raw: ({ name, data, channel: on }) => pusher.send_event(name, data, on),
  signin: () => { pusher.signin(); },
  members: ({ channel: name }) => ({ count: pusher.channel(name).members.count, me: pusher.channel(name).members.me, all: pusher.channel(name).members.members }),
  state: () => ({ state: pusher.connection.state, socket: pusher.connection.socket_id, user: pusher.user.user_data, subscribed: pusher.allChannels().filter((c) => c.subscribed).map((c) => c.name) }),
  echo: async () => {
    const { default: Echo } = await import(modules + '/laravel-echo/dist/echo.js');
    echo = new Echo({ broadcaster: 'pusher', client: pusher });
  },
  listen: ({ how, channel: name, name: event }) => {
    const note = (what) => (data) => say('echo', { channel: name, event: what, data });
    const c = watchers[how](name).listen('.' + event, note(event)).listenForWhisper('typing', note('typing')).error(note('error'));
    if (how === 'join') c.here(note('here')).joining(note('joining')).leaving(note('leaving'));
    else c.subscribed(note('subscribed'));
  },
  whisper: ({ how, channel: name, data }) => { watchers[how](name).whisper('typing', data); },
  sign: ({ socket, channel: name, data }) => (name ? application.authorizeChannel(socket, name, data ?? undefined) : application.authenticateUser(socket, data)),
};

readline.createInterface({ input: process.stdin }).on('line', async (line) => {
  const command = JSON.parse(line);
  try {
    say('result', { id: command.id, value: (await commands[command.do](command)) ?? null });
  } catch (err) {
    say('result', { id: command.id, error: { message: String(err.message ?? err) } });
  }
}).on('close', () => process.exit(0));
say('ready');
