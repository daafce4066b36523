// The original server: AUTH is none, or jwt for a token in the handshake's auth
// signed with SECRET.
import { createServer } from 'node:http';

import jwt from 'jsonwebtoken';
import { Server } from 'socket.io';

const http = createServer();
const io = new Server(http, { serveClient: false });
if (process.env.AUTH === 'jwt') {
  io.use((socket, next) => {
    jwt.verify(socket.handshake.auth.token, process.env.SECRET, { algorithms: ['HS256'] }, (err, claims) => {
      socket.user = claims?.sub;
      next(err);
    });
  });
}
http.listen(0, '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${http.address().port}`));
