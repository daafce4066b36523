// Package stores knows where web applications keep their sessions and how each
// stack writes them.
//
// A [Store] is where the bytes are: [Redis], or [Memory] for tests. A
// [Keyspace] is how one stack writes there: the prefix of its keys, what its
// session ids look like, and the [Codec] of its values. [Keyspace.Load] joins
// the two and returns a [Session], whose user [UserID] finds.
//
// Absent is not broken: a session that is not there, or whose time is over, is
// [ErrNotFound] or [ErrExpired]. Every other error says that it could not be
// found out, and must never be taken for a logout.
package stores
