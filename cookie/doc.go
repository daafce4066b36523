// Package cookie makes authenticators from the login that a web application
// keeps in a session: the browser's cookie names the session, and the session,
// looked up where the application stores it, names the user.
//
// A [Stack] says how one kind of application does that. [New] makes an
// authenticator out of a stack and a store:
//
//	php, err := cookie.New(store, cookie.PHP())
//	express, err := cookie.New(store, cookie.Express("keyboard cat"))
//
// Every part of a stack can be set before:
//
//	app := cookie.PHP()
//	app.Cookie = "APPSESS"
//	app.Keyspace.Prefix = "app:"
//	app.User = "auth.user.id"
//
// [RedisKey] accepts the same sessions by a {"rediskey": "<session id>"}
// message, for clients that cannot send the cookie.
package cookie
