package socketcluster_test

// pageText is a page with the client as its documentation shows it.
const pageText = `<!doctype html><meta charset="utf-8"><script type="module">
import * as socketClusterClient from "/client.js";
window.happened = [];
const note = (...words) => happened.push(words.join(' '));
const socket = window.socket = socketClusterClient.create();
const watch = async (name, f) => { for await (const event of socket.listener(name)) f(event); };
watch('connect', (e) => note('connect', e.isAuthenticated));
watch('authenticate', (e) => e.authToken && note('authenticated', e.authToken.sub));
watch('authStateChange', (e) => e.newAuthState === 'unauthenticated' && note('unauthenticated'));
watch('kickOut', (e) => note('kickOut', e.channel, e.message));
watch('subscribe', (e) => note('subscribe', e.channel));
watch('removeAuthToken', () => note('stored', localStorage.length));
const post = (path, form) => fetch('/web' + path, { method: 'POST', body: new URLSearchParams(form) });
window.logIn = async () => {
  await post('/login', { user: 'alice', password: 'demo' });
  socket.reconnect();
  for await (const data of socket.subscribe('news', { waitForAuth: true })) note('message', data);
};
window.logOut = () => post('/logout', {});
</script>`
