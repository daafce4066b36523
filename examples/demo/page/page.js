// Log in, watch the sockets, log out. What each tab knows it tells the others, so that a logout
// here and the end of a socket there stand in one list.
import { connect } from './bridge-client.js';

const stacks = {
  php: { title: 'PHP', parts: 'native sessions, phpredis' },
  express: { title: 'Express', parts: 'express-session, connect-redis, passport' },
  go: { title: 'Go', parts: 'gorilla/sessions, redisstore' },
};
const names = { 42: 'alice', 7: 'bob', 0: 'zero' };
const credentials = { cookie: 'session cookie', rediskey: 'rediskey message', token: 'JWT message' };
const longestLog = 200; // entries

const $ = (selector, within = document) => within.querySelector(selector);
const clone = (id) => $(id).content.cloneNode(true).firstElementChild;
const now = () => performance.timeOrigin + performance.now(); // comparable between tabs
const userName = (user) => (names[user] ? `${names[user]} (user ${user})` : `user ${user}`);

// The other tabs.
const tab = Math.random().toString(36).slice(2);
const others = new BroadcastChannel('sessionbridge-demo');
const tell = (type, body = {}) => others.postMessage({ type, tab, ...body });

// What happened.

const log = $('#log');
const lastLogout = {}; // by stack: when

function show({ at, text, kind = '', since, cause, tab: from }) {
  const entry = clone('#entry-template');
  const time = $('time', entry);
  const date = new Date(at);
  time.dateTime = date.toISOString();
  time.textContent = `${date.toLocaleTimeString('en-GB')}.${String(date.getMilliseconds()).padStart(3, '0')}`;
  $('.text', entry).textContent = from === tab ? text : `Another tab: ${text}`;
  $('.text', entry).className = `text ${kind}`;
  if (since !== undefined) $('.since', entry).textContent = `${elapsed(at - since)} after ${cause}`;
  log.prepend(entry);
  while (log.children.length > longestLog) log.lastElementChild.remove();
}

function note(text, details = {}) {
  const entry = { at: now(), text, tab, ...details };
  show(entry);
  tell('note', { entry });
  return entry.at;
}

const elapsed = (ms) => (ms < 1000 ? `${Math.max(ms, 0).toFixed(ms < 10 ? 1 : 0)} ms` : `${(ms / 1000).toFixed(2)} s`);

function untilText(date) {
  const today = date.toDateString() === new Date().toDateString();
  return `${today ? '' : `${date.toLocaleDateString('en-GB', { day: 'numeric', month: 'short' })}, `}${date.toLocaleTimeString('en-GB')}`;
}

// The web applications.

const apps = {}; // by stack: { user, key, refresh }

function addApp(stack) {
  const { title, parts } = stacks[stack];
  const card = clone('#app-template');
  const app = (apps[stack] = { user: null, key: null });
  card.id = stack;
  $('h3', card).textContent = title;
  $('.parts', card).textContent = parts;
  const [form, session, status, pill] = ['.login', '.session', '.status', '.pill'].map((s) => $(s, card));
  form.setAttribute('aria-label', `Log in to ${title}`);
  form.elements.user.value = { php: 'alice', express: 'bob', go: 'zero' }[stack];
  $('.logout', card).setAttribute('aria-label', `Log out of ${title}`);

  const present = () => {
    const loggedIn = app.user !== null;
    form.hidden = loggedIn;
    session.hidden = !loggedIn;
    pill.textContent = loggedIn ? userName(app.user) : 'nobody';
    pill.className = `pill ${loggedIn ? 'good' : ''}`;
    const byKey = $('[data-open=rediskey]', card);
    byKey.disabled = !app.key;
    byKey.title = app.key ? '' : 'Only the answer to a login holds the key: log in in this tab.';
  };
  app.refresh = async () => {
    const answer = await fetch(`/${stack}/me`);
    if (!answer.ok) throw new Error(`${title} answers ${answer.status}`);
    app.user = (await answer.json()).user;
    if (app.user === null) app.key = null;
    present();
  };
  const attempt = async (button, run) => {
    status.textContent = '';
    button.disabled = true;
    try {
      await run();
    } catch (error) {
      status.textContent = error.message;
      note(`${title}: ${error.message}`, { kind: 'bad' });
    } finally {
      button.disabled = false;
    }
  };

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const name = form.elements.user.value;
    attempt($('button', form), async () => {
      const since = note(`${title}: log in as ${name}`, { kind: 'cause' });
      const { rediskey } = await post(`/${stack}/login`, new URLSearchParams(new FormData(form)));
      note(`${title}: logged in`, { since, cause: 'asking', kind: 'good' });
      app.key = rediskey ?? null;
      const elsewhere = Object.entries(apps).some(([other, { user }]) => other !== stack && user !== null);
      await app.refresh();
      tell('login', { stack });
      $('.logout', card).focus();
      // The browser sends the cookies of all applications, and the service takes the first that
      // is good. The key says which login is meant.
      open(elsewhere && app.key ? 'rediskey' : 'cookie', stack);
    });
  });
  $('.logout', card).addEventListener('click', ({ currentTarget }) => {
    attempt(currentTarget, async () => {
      const since = note(`${title}: log out`, { kind: 'cause' });
      lastLogout[stack] = since;
      tell('logout', { stack, at: since });
      await post(`/${stack}/logout`);
      note(`${title}: logged out`, { since, cause: 'asking', kind: 'good' });
      await app.refresh();
      tell('login', { stack });
      form.elements.user.focus();
    });
  });
  for (const button of card.querySelectorAll('[data-open]')) {
    button.setAttribute('aria-label', `${credentials[button.dataset.open]}, ${title}`);
    button.addEventListener('click', () => open(button.dataset.open, stack));
  }
  present();
  $('#apps').append(card);
  return app.refresh();
}

function addMissing(stack, get) {
  const card = clone('#missing-template');
  card.id = stack;
  $('h3', card).textContent = stacks[stack].title;
  $('.parts', card).textContent = stacks[stack].parts;
  $('.get', card).textContent = `To see it here: ${get}`;
  $('#apps').append(card);
}

async function post(url, body) {
  const answer = await fetch(url, { method: 'POST', body });
  const data = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(data.error ?? data.data?.message ?? `the answer is ${answer.status}`);
  return data;
}

// The sockets.

const rows = new Map(); // by tab and number
const mine = new Map(); // by number: what the other tabs may know of it
let count = 0;

function showSocket({ tab: from, number, state, kind, identity, credential, until, end, over }) {
  const key = `${from} ${number}`;
  let row = rows.get(key);
  if (!row) {
    row = clone('#socket-template');
    rows.set(key, row);
    $('#sockets').prepend(row);
    $('h3', row).textContent = `Socket ${number}`;
    if (from !== tab) {
      const where = document.createElement('small');
      where.textContent = 'another tab';
      $('h3', row).append(' ', where);
      $('.buttons', row).replaceChildren();
    }
  }
  row.className = `socket ${kind}`;
  $('.pill', row).textContent = state;
  $('.pill', row).className = `pill ${kind}`;
  $('.identity', row).textContent = identity ?? 'nobody yet';
  $('.credential', row).textContent = credential;
  $('.until', row).textContent = until ?? '–';
  $('.end', row).textContent = end ?? '';
  if (from === tab) {
    $('.remove', row).hidden = !over;
    for (const action of ['.hello', '.close']) $(action, row).hidden = over;
    $('.hello', row).disabled = state !== 'live';
  }
  $('#no-sockets').hidden = true;
  return row;
}

function removeSockets(from, number = '') {
  for (const [key, row] of rows) {
    if (!key.startsWith(`${from} ${number}`) || (number !== '' && key !== `${from} ${number}`)) continue;
    row.remove();
    rows.delete(key);
  }
  $('#no-sockets').hidden = rows.size > 0;
}

function open(credential, stack) {
  const number = ++count;
  const name = `Socket ${number}`;
  const socket = { tab, number, credential: credentials[credential], over: false };
  let via; // who vouched for it last
  let since = 0; // the handshake that is under way
  let lastHello = 0;
  let first = ''; // why the last live socket ended, if it was tried again
  const update = (state, kind, more = {}) => {
    Object.assign(socket, { state, kind }, more);
    mine.set(number, socket);
    tell('socket', { socket });
    return showSocket(socket);
  };
  const handshake = (text) => (since = note(`${name}: ${text}`, { kind: 'cause' }));
  // Why it ended, and how long after the logout that it ended for.
  const reason = ({ code, closeCode, message }) => {
    if (code === 'credentials_required' && closeCode === 0) return { what: message };
    const what = `${code ?? (closeCode === 1006 ? 'refused or cut off' : message || 'no reason given')}${closeCode ? `, ${closeCode}` : ''}`;
    return code === 'session_ended' && lastLogout[via]
      ? { what, since: lastLogout[via], cause: `the logout of ${stacks[via]?.title ?? via}` }
      : { what, since, cause: 'the handshake' };
  };
  const told = ({ what, since, cause }) => {
    const text = since === undefined ? what : `${what} · ${elapsed(now() - since)} after ${cause}`;
    return first ? `${first}; then: ${text}` : text;
  };

  const row = update('connecting', 'busy');
  handshake(`handshake with the ${credentials[credential]}`);
  // The cookies go along by themselves, and who they say is there no message changes; so a socket
  // with another credential is opened where they count for nothing.
  const connection = connect(credential === 'cookie' ? '/ws' : '/ws/message', {
    reconnect: $('#reconnect').checked,
    timeout: 3000,
    stack: credential === 'rediskey' ? stack : undefined,
    rediskey: credential === 'rediskey' ? () => apps[stack].key : undefined,
    token: credential === 'token' ? async () => (await post('/token')).token : undefined,
    onopen: () => note(`${name}: open`, { since, cause: 'the handshake' }),
    onidentity: ({ user, via: by, expires }) => {
      via = by;
      first = '';
      note(`${name}: ${userName(user)} via ${by}`, { since, cause: 'the handshake', kind: 'good' });
      update('live', 'good', { identity: `${userName(user)} via ${by}`, until: expires ? untilText(expires) : 'no end known', end: undefined });
    },
    onmessage: (text) => {
      const { user, via, echo } = JSON.parse(text);
      note(`${name}: the service heard “${echo}” from user ${user} via ${via}`, { since: lastHello, cause: 'saying it' });
    },
    onretry: (end) => {
      const why = reason(end);
      note(`${name}: ${why.what}; another attempt in ${elapsed(end.delay)}`, { ...why, kind: 'bad' });
      if (socket.state === 'live') first = told(why);
      update('waiting', 'busy', { end: first || told(why) });
      setTimeout(() => connection.state === 'connecting' && handshake('another handshake'), end.delay + 1);
    },
    onended: (end) => {
      const why = reason(end);
      note(`${name}: ended, ${why.what}`, { ...why, kind: 'bad' });
      update('ended', 'bad', { end: told(why), over: true });
    },
  });
  $('.hello', row).setAttribute('aria-label', `Say hello on ${name}`);
  $('.hello', row).addEventListener('click', () => {
    lastHello = now();
    connection.send('hello');
  });
  $('.close', row).setAttribute('aria-label', `Close ${name}`);
  $('.close', row).addEventListener('click', () => {
    connection.close();
    $('.remove', row).focus();
  });
  $('.remove', row).setAttribute('aria-label', `Remove ${name} from the list`);
  $('.remove', row).addEventListener('click', () => {
    mine.delete(number);
    removeSockets(tab, number);
    tell('removed', { number });
    $('#sockets-title').focus();
  });
}

others.addEventListener('message', ({ data }) => {
  switch (data.type) {
    case 'hello': // a tab that has just opened
      for (const socket of mine.values()) tell('socket', { socket });
      break;
    case 'note':
      show(data.entry);
      break;
    case 'socket':
      showSocket(data.socket);
      break;
    case 'removed':
      removeSockets(data.tab, data.number);
      break;
    case 'gone':
      removeSockets(data.tab);
      break;
    case 'logout':
      lastLogout[data.stack] = data.at;
      break;
    case 'login':
      apps[data.stack]?.refresh().catch(() => {}); // the tab that it happened in says so
      break;
  }
});
addEventListener('pagehide', () => tell('gone'));
addEventListener('pageshow', ({ persisted }) => persisted && mine.forEach((socket) => tell('socket', { socket })));
$('#clear').addEventListener('click', () => log.replaceChildren());
$('#sockets-title').tabIndex = -1; // takes the focus of a row that is removed

// Behind another front, /stacks is not there; then the applications that answer are shown.
const about = await fetch('/stacks').then((answer) => (answer.ok ? answer.json() : {}), () => ({}));
if (about.redis) {
  $('#redis').textContent = `Redis: ${about.redis}.`;
  $('#redis').hidden = false;
}
for (const stack of Object.keys(stacks)) {
  if (about.missing?.[stack]) addMissing(stack, about.missing[stack]);
  else await addApp(stack).catch((error) => ($('.status', document.getElementById(stack)).textContent = error.message));
}
for (const button of document.querySelectorAll('[data-open=token]')) button.hidden = !about.tokens;
tell('hello');
const present = Object.keys(apps).find((stack) => apps[stack].user !== null);
if (present) open('cookie', present);
