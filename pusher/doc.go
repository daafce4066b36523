// Package pusher serves the clients of Pusher Channels (pusher-js 8,
// laravel-echo 2, protocol version 7) with the identities that a
// [bridge.Bridge] vouches for. The client stays as it is.
//
//	server, err := pusher.New(b, &pusher.Options{AppKey: key, Secret: secret})
//	http.Handle("/app/", server)
//	http.Handle("/pusher/auth", server.AuthHandler(
//		func(ctx context.Context, id *bridge.Identity, channel string) (*pusher.Member, error) {
//			if channel != "private-user-"+id.User {
//				return nil, pusher.ErrForbidden
//			}
//			return nil, nil
//		}))
//	http.Handle("/pusher/user-auth", server.UserAuthHandler(nil))
//	…
//	err = server.Trigger("private-user-42", "invoice", map[string]any{"number": 7})
//
// # Who is at the other end
//
// A socket is open to anybody whose origin may connect, and public channels
// are everybody's. Two things carry an identity: the upgrade request, whose
// session cookie or token makes the socket somebody's own, and the request to
// AuthHandler, whose credential stands for the channel that it grants. The
// signature that the client then shows is worth something only together with
// that grant, in this process; see Options.AcceptSignatures for signatures
// that the web application makes itself.
//
// # When the identity ends
//
// At logout, expiry, revocation or a change of the user, nothing that the
// identity was good for is delivered any more, at once. If it was the socket's
// own, or the one that signed in, the client gets pusher:error 4009 and the
// socket is closed with 4009, upon which the client does not reconnect. If it
// has only granted channels, the socket is unsubscribed from these: the client
// gets pusher:error 4009, and pusher:subscription_error on each of them (which
// is Echo's error), with the [bridge.Code] as the message; the others go on.
//
// Every code, and what a client does on it, is in docs/pusher.md.
package pusher
