package cookie

import "github.com/sessionbridge/sessionbridge/stores"

// KoaSession is koa-session without a store: the session is in the cookie
// "koa.sess", signed with one of app.keys (newest first) and good until its
// _expire, the user at "user_id" (koa-passport: "passport.user"). It needs no
// store. Nothing but the browser knows of a logout.
//
// An application with signed: false needs the Opener
// KeygripJSON(Keygrip{InsecureUnsigned: true}).
func KoaSession(keys ...string) Stack {
	return Stack{
		Name:     "koa-session",
		Cookie:   "koa.sess",
		Opener:   KeygripJSON(Keygrip{Keys: keys}),
		Keyspace: stores.KoaSessionKeyspace(),
		User:     "user_id",
	}
}

// KoaRedis is koa-session with koa-redis: the value of the cookie "koa.sess",
// signed with one of app.keys (newest first), is the whole Redis key, the user
// at "user_id" (koa-passport: "passport.user"). Keyspace.Prefix is ioredis'
// keyPrefix; what koa-session's prefix option puts before an id is in the
// cookie.
//
// An application with signed: false needs the Opener
// KeygripID(Keygrip{InsecureUnsigned: true}).
func KoaRedis(keys ...string) Stack {
	return Stack{
		Name:     "koa-redis",
		Cookie:   "koa.sess",
		Opener:   KeygripID(Keygrip{Keys: keys}),
		Keyspace: stores.KoaRedisKeyspace(),
		User:     "user_id",
	}
}

// KoaGeneric is koa-generic-session with koa-redis: cookie "koa.sid" signed
// with one of app.keys (newest first), the user at "user_id" (koa-passport:
// "passport.user").
func KoaGeneric(keys ...string) Stack {
	return Stack{
		Name:     "koa-generic",
		Cookie:   "koa.sid",
		Opener:   KeygripID(Keygrip{Keys: keys}),
		Keyspace: stores.KoaGenericKeyspace(),
		User:     "user_id",
	}
}
