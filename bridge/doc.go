// Package bridge tells a Go WebSocket service who is at the other end of each
// connection, at the handshake and for as long as the connection lives.
//
// An [Authenticator] turns what a client presents (a session cookie, a
// {"rediskey": …} message, a JWT) into an [Identity]. [New] makes the one hook
// out of it, in three shapes:
//
//   - [Bridge.Handler] serves gorilla/websocket connections that carry their
//     identity,
//
//   - [Bridge.Upgrade] does the same inside a handler of one's own,
//
//   - [Bridge.Middleware] puts the identity into the request's context for any
//     other WebSocket library, for server-sent events or a plain handler; see
//     [FromContext].
//
//     b, err := bridge.New(auth, nil)
//     http.Handle("/ws", b.Handler(func(c *bridge.Conn) {
//     for {
//     kind, message, err := c.ReadMessage()
//     if err != nil {
//     return
//     }
//     _ = c.WriteMessage(kind, message) // to c.Identity().User
//     }
//     }))
//
// Beside these, [Bridge.ForwardAuth] and [Bridge.CentrifugoConnect] answer
// proxies, [Bridge.Open] gives a [Link] to adapters for other dialects, and
// [Bridge.Revoke] ends connections by hand, on all nodes.
//
// The package knows neither Redis nor JWT: packages cookie and jwtmode make
// authenticators, and anything else that can vouch for somebody may be one.
//
// # The life of a connection
//
// A connection is pending (upgraded, waiting for the client's first message),
// then authenticated, then ended. It ends when its session or token runs out
// or is no longer that user's, when the client leaves or asks for it, and when
// the service drains. From that moment nothing is delivered in either
// direction, and [Conn.Context] is cancelled with an [*EndError] as its cause,
// or with the connection's own error if the client went away.
//
// # What a refused client sees
//
// Before the upgrade: status 401, 403 (origin) or 503 with Retry-After (whether
// the client is logged in could not be found out). After it: an "unauthorized"
// event with a [Code] from a fixed list, then a close code. The reason goes to
// the log only; neither carries a session id, a token or a secret.
package bridge
