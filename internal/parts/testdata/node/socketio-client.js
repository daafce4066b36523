// Drives unmodified socket.io clients: commands are lines of JSON on stdin, and
// what the clients' own events deliver are lines of JSON on stdout.
//
//   {"do":"open","id":"a","version":4,"url":"http://…/nsp","options":{…},"ack":false}
//   {"do":"emit","id":"a","args":["event",…]}       with "ask":true, the answer is the event "answer"
//   {"do":"close","id":"a"}
//   {"do":"many","id":"a","url":…,"options":{…},"count":300,"parallel":8}
import { createInterface } from 'node:readline';

import { io as io4 } from 'socket.io-client';
import io2 from 'socket.io-client-2';

const sockets = new Map();
const names = ['authenticated', 'unauthorized', 'deauthenticated', 'expiring', 'news', 'message'];

function report(id, event, ...args) {
  process.stdout.write(`${JSON.stringify({ id, event, args })}\n`);
}

const describe = (e) => (e instanceof Error ? { message: e.message, data: e.data } : e);

function open({ id, version, url, options, ack }) {
  const socket = (version === 2 ? io2 : io4)(url, { forceNew: true, reconnectionDelay: 20, reconnectionDelayMax: 40, ...options });
  sockets.set(id, socket);
  socket.on('connect', () => report(id, 'connect', socket.io.engine.transport.name));
  socket.on('connect_error', (e) => report(id, 'connect_error', describe(e)));
  socket.on('error', (e) => report(id, 'error', describe(e)));
  socket.on('disconnect', (reason) => report(id, 'disconnect', reason));
  (version === 2 ? socket : socket.io).on('reconnect_attempt', () => report(id, 'reconnect_attempt'));
  for (const name of names) {
    socket.on(name, (...args) => {
      const answer = typeof args.at(-1) === 'function' ? args.pop() : null;
      report(id, name, ...args);
      if (answer && ack) answer();
    });
  }
}

// many connects one client after another, each of which is asked who it is.
async function many({ id, url, options, count, parallel }) {
  let next = 0;
  const failed = [];
  const one = () => new Promise((resolve) => {
    const socket = io4(url, { forceNew: true, reconnection: false, ...options });
    const done = (failure) => {
      clearTimeout(timer);
      if (failure) failed.push(failure);
      socket.close();
      resolve();
    };
    const timer = setTimeout(() => done('timeout'), 10000);
    socket.on('connect', () => socket.emit('whoami', (user) => done(user === '42' ? null : `is ${user}`)));
    socket.on('connect_error', (e) => done(e.message));
  });
  await Promise.all(Array.from({ length: parallel }, async () => {
    while (next < count) {
      next += 1;
      await one();
    }
  }));
  report(id, 'done', count, failed);
}

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  const socket = sockets.get(command.id);
  switch (command.do) {
    case 'open': open(command); break;
    case 'emit':
      if (command.ask) socket.emit(...command.args, (...answer) => report(command.id, 'answer', ...answer));
      else socket.emit(...command.args);
      break;
    case 'close': socket.close(); break;
    case 'many': many(command); break;
    default: throw new Error(`unknown command ${command.do}`);
  }
}
process.exit(0);
