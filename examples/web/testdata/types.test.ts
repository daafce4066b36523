// Compiled, not run: what a program in TypeScript may and may not write.
import { connect, type Code, type Connection, type End, type Identity } from '../bridge-client.js';

const connection: Connection = connect('/ws', {
  token: async () => (await (await fetch('/token')).json()).token as string | null,
  binaryType: 'arraybuffer',
  onidentity: ({ user, via, expires }: Identity) => console.log(user.length, via.length, expires?.getTime()),
  onmessage: (data: string | ArrayBuffer) => console.log(data),
  onretry: ({ code, delay }) => console.log(code === 'draining', delay.toFixed()),
  onended: (end: End) => console.log(end.code, end.closeCode.toFixed(), end.message.length),
});
connection.send('text');
connection.send(new Uint8Array(1));
const code: Code | undefined = connection.identity ? undefined : 'session_ended';
console.log(code, connection.state === 'waiting', connection.queued.toFixed());
connection.deauthenticate();
connection.close();

connect(new URL('wss://example.com/ws'), { rediskey: 'id', stack: 'php', WebSocket });

// @ts-expect-error: no such option
connect('/ws', { onIdentity() {} });
// @ts-expect-error: no such code
const none: Code = 'logged_out';
// @ts-expect-error: the service says who is here, not the page
connection.identity = { user: '1', via: 'php', expires: null };
// @ts-expect-error: a token is a string
connect('/ws', { token: 42 });
