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
// from the token: its alg must be one that is allowed, and its jwk, jku, x5u
// and x5c headers are never read.
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
// These three are on by default. A cookie ([SourceCookie]) and a parameter of
// the query ([InsecureSourceQuery]) are read where [Options.Sources] lists
// them. Two different tokens in one request are refused, whichever is good.
//
// # Where the keys come from
//
// [Options.Key] and MoreKeys are one secret or public key, or several side by
// side; [SecretBase64] reads a secret that is written in base64. [NewJWKS]
// takes the issuer's keys from a URL, and [Discover] all that is to be known of
// an OpenID Connect provider. [Options.KeyFunc] finds the key of each token, of
// a tenant say.
//
// # Tokens of our own, and others
//
// [Issuer] signs tokens from an identity. [TicketHandler] gives whoever is
// logged in, by a session's cookie say, a ticket for another origin's socket:
// for one use and 30 s, and its socket ends with the session; [NewTickets]
// accepts them. [NewIntrospection] asks an OAuth 2 server about opaque tokens.
// [Revocations] end tokens before their time, on all nodes.
//
// # What a refused client sees
//
// A [bridge.Code] and one of the messages of socketio-jwt and jsonwebtoken. The
// log gets the reason. Neither carries anything of the token.
//
//	credentials_required    no token came
//	credentials_bad_format  a header, subprotocol pair, cookie or query that is
//	                        none, or two different tokens
//	invalid_token           jwt malformed, jwt signature is required, invalid
//	                        algorithm, invalid token type, invalid signature,
//	                        jwt not active, jwt expired, invalid exp value,
//	                        jwt audience invalid, jwt issuer invalid, jwt
//	                        subject invalid, invalid token datatype, …
//	invalid_secret          KeyFunc knows no key for it
//	revoked                 it was revoked; see [Revocations]
//	unavailable             the keys, KeyFunc or Check could not be reached:
//	                        nothing is said about the token
//
// The tokens are taken apart here and not by golang-jwt's parser, which skips
// line breaks within a token and, where numbers are kept exact, whatever
// follows the claims, and whose errors quote characters of it. golang-jwt's
// signing methods verify the signatures. The keys of a JWKS are decoded by
// jwkset and kept here and not by keyfunc, which makes a handshake wait out the
// rate limit, reads an answer of any length, gives up a whole set for one bad
// key, and takes a secret in it for a key.
package jwtmode
