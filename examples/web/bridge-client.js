// The browser's side of a socket that knows who is connected: it waits for the identity, holds back
// what is sent until then, and connects again when that can help. It depends on nothing.
//
//   import { connect } from './bridge-client.js';
//   const connection = connect('/ws', {
//     onidentity: ({ user, via }) => …,
//     onmessage: (data) => …,
//     onended: ({ code }) => …,        // log in again
//   });
//   connection.send('hello');
//
// bridge-client.d.ts describes every option. A browser hides the status of a refused upgrade from
// its page, which sees close code 1006 and nothing else, as when the network is down; this client
// then tries again and again. Set RefuseAfterUpgrade on the service: then it says why.

// What to do on each code of the service: 'end' for good; 'once', connect again a single time with
// what the browser has by then (the web application may have given the session another id, or the
// token function a newer token); 'retry', with growing pauses.
const policies = new Map(Object.entries({
  credentials_required: 'end',
  credentials_bad_format: 'end',
  origin_not_allowed: 'end',
  client_request: 'end',
  credentials_rejected: 'once',
  invalid_secret: 'once',
  invalid_session: 'once',
  invalid_token: 'once',
  session_ended: 'once',
  session_expired: 'once',
  token_expired: 'once',
  user_changed: 'once',
  revoked: 'once',
  authentication_timeout: 'retry',
  unavailable: 'retry',
  draining: 'retry',
}));

// Close codes, for a socket that closed without one of the codes above.
const endingCloseCodes = new Set([
  1000, // the service's handler is done
  1002, 1003, 1008, 1010, // the two do not understand each other, and will not the next time
  3003, // forbidden
]);

// On these the service leaves a socket open that is not authenticated yet, for another attempt.
const leftOpen = new Set(['credentials_bad_format', 'credentials_rejected', 'invalid_secret', 'invalid_session', 'invalid_token']);

const farewell = 1000; // ms that a service has to close a socket after it said why
const stable = 10_000; // ms after which a connection counts as one that worked
const longestEvent = 8192; // characters; no event of the service is longer

export function connect(url, options = {}) {
  return new Connection(url, options);
}

class Connection {
  #url;
  #options;
  #socket = null;
  #state = 'connecting';
  #identity = null;
  #former = null; // who the last identity was; what is queued is said in that name
  #queue = [];
  #queued = 0; // bytes
  #failures = 0; // in a row, for the pause between attempts
  #secondChance = true; // whether 'once' has not been used up
  #refreshing = null; // the socket that a fresh token is being fetched for
  #reason = null; // what the service said before it closed
  #timers = new Map(); // by purpose
  #online = () => this.#state === 'waiting' && this.#dial();

  constructor(url, options) {
    this.#url = new URL(url, globalThis.location?.href);
    this.#url.protocol = this.#url.protocol.replace(/^http/, 'ws');
    if (!/^wss?:$/.test(this.#url.protocol)) throw new TypeError('the URL is none of a WebSocket: write ws:, wss:, http: or https:');
    if (this.#url.username || this.#url.password) throw new TypeError('no secret belongs in a URL: use the option token or rediskey');
    if (options.token !== undefined && options.rediskey !== undefined) throw new TypeError('give a token or a rediskey, not both');
    this.#options = {
      WebSocket: globalThis.WebSocket,
      reconnect: true,
      timeout: 10_000,
      minDelay: 500,
      maxDelay: 30_000,
      maxQueue: 64,
      maxQueueBytes: 65_536,
      ...options,
    };
    if (typeof this.#options.WebSocket !== 'function') throw new TypeError('there is no WebSocket here: give one as an option');
    globalThis.addEventListener?.('online', this.#online);
    this.#dial();
  }

  get state() {
    return this.#state;
  }

  get identity() {
    return this.#identity;
  }

  get queued() {
    return this.#queue.length;
  }

  send(data) {
    if (this.#state === 'ended') throw new Error('the connection has ended');
    if (this.#state === 'authenticated') return this.#socket.send(data);
    const size = data.byteLength ?? data.size ?? 3 * data.length; // a character takes 3 bytes at most
    if (this.#queue.length >= this.#options.maxQueue || this.#queued + size > this.#options.maxQueueBytes) {
      throw new Error('too much is waiting to be sent; wait for onidentity');
    }
    this.#queue.push(data);
    this.#queued += size;
  }

  close() {
    if (this.#state === 'ended') return;
    const socket = this.#socket;
    this.#end({ code: 'client_request', closeCode: 1000, message: '' });
    socket?.close?.(1000);
  }

  deauthenticate() {
    if (this.#state === 'authenticated') this.#socket.send('{"event":"deauthenticate"}');
    else this.close();
  }

  // The credential first, then the socket: a socket that waits for its first message has little time.
  async #dial() {
    this.#state = 'connecting';
    this.#reason = null;
    this.#clear('retry');
    const attempt = {};
    this.#socket = attempt; // takes the place until there is a socket
    this.#set('timeout', this.#options.timeout, () => this.#settle(this.#late()));
    let message;
    try {
      message = await this.#credential();
    } catch {
      if (this.#socket === attempt) this.#settle({ code: 'unavailable', closeCode: 0, message: 'the credential could not be had' });
      return;
    }
    if (this.#socket !== attempt) return; // closed meanwhile
    if (message === null) return this.#end({ code: 'credentials_required', closeCode: 0, message: 'nobody is logged in' });
    this.#open(message);
  }

  // The first message: undefined if a cookie says it all, null if there is nothing to say.
  async #credential() {
    const { token, rediskey, stack } = this.#options;
    if (token !== undefined) {
      const value = await valueOf(token);
      return value == null ? null : JSON.stringify({ event: 'authenticate', data: { token: value } });
    }
    if (rediskey !== undefined) {
      const value = await valueOf(rediskey);
      return value == null ? null : JSON.stringify({ rediskey: value, stack });
    }
    return undefined;
  }

  #open(message) {
    const { WebSocket, protocols, binaryType, onopen } = this.#options;
    let socket;
    try {
      socket = protocols === undefined ? new WebSocket(this.#url) : new WebSocket(this.#url, protocols);
    } catch (error) {
      return this.#end({ code: null, closeCode: 0, message: error.message });
    }
    this.#socket = socket;
    if (binaryType) socket.binaryType = binaryType;
    // A socket that was given up may still speak; nobody listens to it.
    const on = (type, listener) => socket.addEventListener(type, (event) => this.#socket === socket && listener(event));
    on('open', () => {
      onopen?.();
      if (message !== undefined && this.#socket === socket) socket.send(message);
    });
    on('message', ({ data }) => this.#receive(data));
    on('close', ({ code, reason }) => {
      this.#settle({ code: this.#reason?.code ?? (policies.has(reason) ? reason : null), closeCode: code, message: this.#reason?.message ?? reason });
    });
    on('error', () => {}); // a close follows
  }

  #receive(data) {
    const frame = eventOf(data);
    switch (frame?.event) {
      case 'authenticated':
        // The service never changes the user of a socket: this is what somebody wrote, relayed.
        if (this.#state === 'authenticated' && !sameUser(this.#identity, frame.data)) return this.#options.onmessage?.(data);
        return this.#authenticated(frame.data);
      case 'unauthorized':
        return this.#unauthorized(frame.data);
      case 'deauthenticated':
        return this.#leaving(frame.data);
      case 'expiring':
        return this.#refresh();
      default:
        this.#options.onmessage?.(data);
    }
  }

  #authenticated({ user, via, expires }) {
    const identity = { user, via, expires: expires ? new Date(expires) : null };
    const anew = this.#state !== 'authenticated';
    this.#identity = identity;
    this.#state = 'authenticated';
    this.#clear('timeout');
    this.#set('stable', stable, () => {
      this.#failures = 0;
      this.#secondChance = true;
    });
    // What was written as one user is never sent as another.
    if (this.#former && !sameUser(this.#former, identity)) this.#drop();
    this.#former = identity;
    this.#options.onidentity?.(identity);
    if (!anew) return;
    const socket = this.#socket;
    while (this.#queue.length > 0 && this.#state === 'authenticated' && this.#socket === socket) {
      socket.send(this.#queue.shift());
    }
    if (this.#queue.length === 0) this.#queued = 0;
  }

  #unauthorized({ code, message }) {
    this.#options.onrefused?.({ code, message });
    if (this.#state === 'connecting') this.#leaving({ code, message });
    // Otherwise a refresh failed; the former identity stands until it runs out.
  }

  // The service has said why it closes; the close code follows.
  #leaving({ code, message = '' }) {
    this.#reason = { code, message };
    const pending = this.#state === 'connecting';
    this.#identity = null;
    this.#state = 'closing';
    this.#set('timeout', pending && leftOpen.has(code) ? 0 : farewell, () => this.#settle({ code, closeCode: 0, message }));
  }

  // An open socket without an identity waits for a credential. A page that has only cookies has
  // sent all there is, so nobody is logged in.
  #late() {
    if (this.#cookieOnly && this.#socket.readyState === 1) return { code: 'credentials_required', closeCode: 0, message: 'log in first' };
    return { code: 'authentication_timeout', closeCode: 0, message: 'no identity in time' };
  }

  get #cookieOnly() {
    return this.#options.token === undefined && this.#options.rediskey === undefined;
  }

  async #refresh() {
    const socket = this.#socket;
    if (typeof this.#options.token !== 'function' || this.#refreshing === socket) return;
    this.#refreshing = socket;
    try {
      const message = await this.#credential();
      if (message !== null && this.#socket === socket && this.#state === 'authenticated') socket.send(message);
    } catch {
      // The token in force runs out, and then a connection with a fresh one is tried.
    } finally {
      if (this.#refreshing === socket) this.#refreshing = null;
    }
  }

  // The socket is over: decide what becomes of the connection.
  #settle(end) {
    const socket = this.#socket;
    this.#socket = null;
    this.#identity = null;
    for (const purpose of [...this.#timers.keys()]) this.#clear(purpose);
    if (socket?.readyState <= 1) socket.close();
    const policy = this.#policy(end);
    if (policy === 'end') return this.#end(end);
    if (policy === 'once') this.#secondChance = false;
    this.#state = 'waiting';
    const delay = this.#delay();
    this.#failures++;
    this.#set('retry', delay, () => this.#dial());
    this.#options.onretry?.({ ...end, delay });
  }

  #policy({ code, closeCode }) {
    let policy = policies.get(code);
    if (!policy) policy = endingCloseCodes.has(closeCode) || closeCode >= 4000 ? 'end' : closeCode === 3000 ? 'once' : 'retry';
    // Without a credential to send, the next wait would be in vain, too.
    if (code === 'authentication_timeout' && this.#cookieOnly && closeCode !== 0) policy = 'end';
    if (!this.#options.reconnect || (policy === 'once' && !this.#secondChance)) return 'end';
    return policy;
  }

  // Between half and the whole of a pause that doubles: thousands that lost the same service must
  // not return in the same moment.
  #delay() {
    const { minDelay, maxDelay } = this.#options;
    return Math.min(maxDelay, minDelay * 2 ** Math.min(this.#failures, 30)) * (0.5 + Math.random() / 2);
  }

  #end(end) {
    this.#state = 'ended';
    this.#socket = null;
    this.#identity = null;
    for (const purpose of [...this.#timers.keys()]) this.#clear(purpose);
    globalThis.removeEventListener?.('online', this.#online);
    this.#drop();
    this.#options.onended?.(end);
  }

  #drop() {
    this.#queue = [];
    this.#queued = 0;
  }

  #set(purpose, delay, run) {
    this.#clear(purpose);
    this.#timers.set(purpose, setTimeout(run, delay));
  }

  #clear(purpose) {
    clearTimeout(this.#timers.get(purpose));
    this.#timers.delete(purpose);
  }
}

const sameUser = (a, b) => a.user === b.user && a.via === b.via;

const valueOf = (credential) => (typeof credential === 'function' ? credential() : credential);

// The frame as an event of the service; null if it is the application's.
function eventOf(data) {
  if (typeof data !== 'string' || data.length > longestEvent || data[0] !== '{' || !data.includes('"event"')) return null;
  try {
    const frame = JSON.parse(data);
    return typeof frame.data === 'object' && frame.data !== null ? frame : null;
  } catch {
    return null;
  }
}
