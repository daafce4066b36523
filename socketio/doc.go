// Package socketio authenticates the clients of a Socket.IO server,
// [github.com/zishang520/socket.io/servers/socket/v3], by a [bridge.Bridge], and
// ends them when their identity does. socket.io-client 4 and 2 need no change.
//
//	io := socket.NewServer(nil, nil)
//	err := socketio.Use(io.Sockets(), b, nil)
//	…
//	mux.Handle("/socket.io/", socketio.Handler(io.ServeHandler(nil)))
//
// # At the handshake
//
// Without options a client must present its credential when it connects, and
// is refused with a connect_error otherwise:
//
//	io()                                          the session's cookie
//	io({ auth: { token } })                       a token, with or without "Bearer " before it
//	io({ auth: { rediskey } })                    a session id
//	io({ extraHeaders: { authorization: … } })    a token
//	io({ query: { token } })                      a token, if Options.InsecureQueryToken
//
// What auth holds is judged alone: a bad token does not fall back on a cookie.
// The error's data is {message, code, type}, the type "UnauthorizedError".
//
// # In two round trips
//
// With [Options.TwoRoundTrips] a client connects first, and then sends one of
//
//	socket.emit("authenticate", { token })
//	socket.emit("message", { rediskey })
//
// It is answered by the event authenticated, without data, or unauthorized.
// Until then no event but those two reaches it and none of its own reaches a
// handler. Both messages also renew the identity of an authenticated socket,
// in either mode; it must stay the same user's. The event expiring, with
// {expires}, asks for the next token, as long before as the bridge's
// Options.ExpiryNotice says.
//
// # The end
//
// When the identity ends, nothing is delivered any more, in either direction,
// rooms and broadcasts included, but
//
//	socket.on("deauthenticated", ({ code }) => …)
//
// and a disconnect with the reason "io server disconnect", after which the
// client does not reconnect by itself. If the service stops (draining), or the
// session could not be looked at for too long (unavailable), the transport is
// closed instead, and the client comes back after a while.
package socketio
