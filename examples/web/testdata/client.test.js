// node --test client.test.js, with the service of client_test.go at BRIDGE_URL.
import test from 'node:test';

import { WebSocket } from 'ws';

import { connect } from '../bridge-client.js';
import { run, scenarios } from './scenarios.js';

const base = process.env.BRIDGE_URL;
if (!base) throw new Error('BRIDGE_URL is not set: run go test ./examples/web');

// Node 20 has no WebSocket of its own. The origin is what a browser sets by itself.
const withSocket = (url, { origin, ...options } = {}) =>
  connect(url, {
    WebSocket: class extends WebSocket {
      constructor(address, protocols) {
        super(address, protocols, { origin: origin ?? base });
      }
    },
    ...options,
  });

for (const name of Object.keys(scenarios)) {
  test(name, { timeout: 30_000 }, () => run(name, { base, connect: withSocket, cookies: false }));
}
