package cookie

import "github.com/sessionbridge/sessionbridge/stores"

// CookieSession is cookie-session for Express: the session is in the cookie
// "session", signed with one of the keys (newest first), the user at "user_id".
// It needs no store. Nothing but the browser knows of a logout: a cookie that
// was copied before it stays good.
func CookieSession(keys ...string) Stack {
	return Stack{
		Name:     "cookie-session",
		Cookie:   "session",
		Opener:   KeygripJSON(Keygrip{Keys: keys}),
		Keyspace: stores.CookieSessionKeyspace(),
		User:     "user_id",
	}
}
