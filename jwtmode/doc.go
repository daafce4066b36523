// Package jwtmode makes authenticators that carry a token: a JWT in the form
// of RFC 7519, signed as in RFC 7515, that the web application or an identity
// provider issued.
//
//	auth, err := jwtmode.New(jwtmode.Options{
//		Algorithms: []string{"RS256"},
//		Key:        publicKey,
//		Issuer:     "https://login.example.com",
//		Audience:   []string{"chat"},
//	})
//
// What must hold of a token is said in full by [Options]. Nothing is guessed
// from the token: its alg must be one that is allowed, and its kid, jwk, jku,
// x5u and x5c headers are never read.
//
// # Where the token comes from
//
// One round trip, in the upgrade request: an Authorization: Bearer header, or,
// as a browser's WebSocket can set no header, a pair of subprotocols:
//
//	new WebSocket("wss://example.com/ws", ["bearer", token])
//
// Two round trips, in a message on the open socket:
//
//	{"event": "authenticate", "data": {"token": "<token>"}}
//
// # What a refused client sees
//
// A [bridge.Code] and one of the messages of socketio-jwt and jsonwebtoken:
// "jwt expired", "invalid signature", "jwt malformed", … The log gets the
// reason. Neither carries anything of the token.
//
// The tokens are taken apart here and not by golang-jwt's parser, which skips
// line breaks within a token and, where numbers are kept exact, whatever
// follows the claims, and whose errors quote characters of it. golang-jwt's
// signing methods verify the signatures.
package jwtmode
