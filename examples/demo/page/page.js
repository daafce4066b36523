const titles = { php: 'PHP', express: 'Express', go: 'Go' };
const users = { php: 'alice', express: 'bob', go: 'zero' };
const log = document.querySelector('#log');
let redisKey; // of the latest login

function note(text) {
  const line = document.createElement('li');
  const time = document.createElement('time');
  time.textContent = new Date().toISOString().slice(11, 23);
  line.append(time, `  ${text}`);
  log.prepend(line);
}

async function post(url, body) {
  const answer = await fetch(url, { method: 'POST', body });
  const data = await answer.json();
  note(`POST ${url}: ${data.error ?? data.data?.code ?? 'ok'}`);
  return data;
}

function addApp(name) {
  const card = document.querySelector('#app').content.cloneNode(true).firstElementChild;
  card.querySelector('h2').textContent = titles[name];
  card.elements.user.value = users[name];
  const who = async () => {
    const { user } = await (await fetch(`/${name}/me`)).json();
    card.querySelector('output').value = user === null ? 'nobody is logged in' : `user ${user} is logged in`;
  };
  card.addEventListener('submit', async (event) => {
    event.preventDefault();
    const { rediskey } = await post(`/${name}/login`, new URLSearchParams(new FormData(card)));
    redisKey = rediskey ?? redisKey;
    await who();
  });
  card.elements.logout.addEventListener('click', async () => {
    await post(`/${name}/logout`);
    await who();
  });
  document.querySelector('#apps').append(card);
  who();
}

let count = 0;
async function open(by) {
  let first;
  if (by === 'rediskey') {
    if (!redisKey) return note('log in first: the answer to the login holds the rediskey');
    first = { rediskey: redisKey };
  } else if (by === 'jwt') {
    const { token } = await post('/token');
    if (!token) return;
    first = { event: 'authenticate', data: { token } };
  }
  const number = ++count;
  const row = document.querySelector('#socket').content.cloneNode(true).firstElementChild;
  const [nr, how, identity, until, state] = row.cells;
  nr.textContent = number;
  how.textContent = by;
  state.textContent = 'connecting';
  document.querySelector('#sockets').prepend(row);

  // The browser sends the session cookies along; for the cookie there is nothing to add.
  const socket = new WebSocket(new URL('/ws', location.href.replace(/^http/, 'ws')));
  const say = (text) => { state.textContent = text; note(`socket ${number}: ${text}`); };
  socket.addEventListener('open', () => {
    say('open');
    if (first) socket.send(JSON.stringify(first));
  });
  socket.addEventListener('message', ({ data }) => {
    const frame = JSON.parse(data);
    switch (frame.event) {
      case 'authenticated':
        identity.textContent = `user ${frame.data.user} via ${frame.data.via}`;
        until.textContent = frame.data.expires ? new Date(frame.data.expires).toLocaleTimeString() : '–';
        return say('authenticated');
      case 'unauthorized':
      case 'deauthenticated':
        return say(`${frame.event}: ${frame.data.code}`);
      default:
        note(`socket ${number}: ${data}`);
    }
  });
  // 1006 right away means that the handshake was refused, for example with 401: log in first.
  socket.addEventListener('close', ({ code, reason }) => say(`closed, ${code} ${reason}`));
  const form = row.querySelector('form');
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (socket.readyState !== WebSocket.OPEN) return note(`socket ${number}: not open`);
    socket.send(form.elements.text.value);
  });
  form.elements.close.addEventListener('click', () => socket.close());
}

for (const button of document.querySelectorAll('[data-open]')) {
  button.addEventListener('click', () => open(button.dataset.open));
}

// Behind another front, /stacks may not be there; then the applications that answer are shown.
const about = await fetch('/stacks');
const { tokens = false, missing } = about.ok ? await about.json() : {};
document.querySelector('[data-open=jwt]').hidden = !tokens;
for (const name of Object.keys(titles)) {
  if ((await fetch(`/${name}/me`)).ok) addApp(name);
}
if (missing?.length) {
  const p = document.querySelector('#missing');
  p.textContent = missing.join('; ');
  p.hidden = false;
}
