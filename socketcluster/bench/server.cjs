// socketcluster-server as it comes from npm, with a secret and nothing else.
const http = require('node:http');
const { createRequire } = require('node:module');
const [modules, secret] = process.argv.slice(2);
const sc = createRequire(modules + '/')('socketcluster-server');

const httpServer = http.createServer();
sc.attach(httpServer, { authKey: secret, authVerifyAlgorithms: ['HS256'] });
httpServer.listen(0, '127.0.0.1', () => console.log(`listening on 127.0.0.1:${httpServer.address().port}`));
