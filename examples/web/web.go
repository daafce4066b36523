// Package web holds the browser's side of a socket: an ES module without
// dependencies that waits for the identity and connects again when that can
// help. Copy bridge-client.js and bridge-client.d.ts into the page's own files;
// Client is for Go programs that serve them.
package web

import _ "embed"

// Client is bridge-client.js, to be served as text/javascript.
//
//go:embed bridge-client.js
var Client []byte
