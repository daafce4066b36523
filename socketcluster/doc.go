// Package socketcluster serves the clients of SocketCluster
// (socketcluster-client 20, protocol version 2) with the identities that a
// [bridge.Bridge] vouches for. The client stays as it is.
//
//	server, err := socketcluster.New(b, &socketcluster.Options{
//		Authorize: func(ctx context.Context, r *socketcluster.Request) error {
//			if r.Identity == nil {
//				return errors.New("log in first")
//			}
//			return nil
//		},
//		Issuer: issuer,
//	})
//	server.Handle("login", login)
//	http.Handle("/socketcluster/", server)
//
// # Who is at the other end
//
// A socket is open to anybody whose origin may connect; authentication is a
// state that it may have. It comes from the session cookie of the upgrade
// request, from the token in the client's #handshake, from #authenticate, or
// from a procedure that calls [Conn.SetAuthToken] or [Conn.Authenticate]. A
// token that does not hold is a soft error, as in the original: the socket
// stays, unauthenticated, and the client drops the token.
//
// When both a session and a token are there, and Options.Issuer is set, the
// session counts: it ends at logout, a token does not. The client is then
// given a token that is issued for the session, and a new one before that runs
// out, for as long as the session lives. Without an Issuer the token counts.
//
// # When the identity ends
//
// At logout, expiry, revocation or a change of the user, nothing that the
// identity was good for is delivered any more, at once. The client is sent
// #removeAuthToken, so that it emits deauthenticate and authStateChange and
// forgets its token. Each channel that was subscribed to under the identity is
// asked about again, with nobody in its place; those that are refused are
// kicked out (#kickOut, with the [bridge.Code] as its message). With
// Options.CloseOnEnd the socket is closed with [CloseUnauthorized], upon which
// the client does not reconnect.
//
// Where this is not what the original server does, docs/socketcluster.md says
// so and why.
package socketcluster
