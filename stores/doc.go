// Package stores knows where web applications keep their sessions and how each
// stack writes them.
//
// Most programs only make a store here, and leave the rest to package cookie:
//
//	rdb := redis.NewClient(&redis.Options{Addr: "localhost:6379", ContextTimeoutEnabled: true})
//	store, err := stores.NewRedis(rdb, nil)
//	…
//	auth, err := cookie.New(store, cookie.PHP())
//
// [NewSavePath] makes one out of PHP's session.save_path, with several servers
// perhaps, and [NewMemory] one for tests. To read a session by its id:
//
//	ks := stores.PHPKeyspace()
//	session, err := ks.Load(ctx, store, id)
//	…
//	user, err := stores.UserID(session, "user_id")
//
// # The parts
//
// A [Store] is where the bytes are: [Redis], or [Memory] for tests. A
// [Keyspace] is how one stack writes there: the prefix of its keys, what its
// session ids look like, and the [Codec] of its values. [Keyspace.Load] joins
// the two and returns a [Session], whose user [UserID] finds.
//
// # Errors
//
// Absent is not broken: a session that is not there, or whose time is over, is
// [ErrNotFound] or [ErrExpired]. Every other error says that it could not be
// found out, and must never be taken for a logout.
package stores
