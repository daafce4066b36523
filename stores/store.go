package stores

import (
	"context"
	"errors"
	"time"
)

// Errors of [Keyspace.Load] and [UserID]. Test for them with [errors.Is].
var (
	// ErrNotFound: there is no such session, or the stack regards what is
	// there as none.
	ErrNotFound = errors.New("no such session")

	// ErrExpired: the session is there, but a deadline that it holds itself
	// has passed.
	ErrExpired = errors.New("the session's time is over")

	// ErrNoUser: the session is there, but nobody is logged in to it.
	ErrNoUser = errors.New("nobody is logged in to the session")

	// ErrWrongType: the key holds another Redis type than the stack's.
	ErrWrongType = errors.New("the key holds another Redis type than the session's")

	// ErrTooLarge: the value is longer than MaxValue.
	ErrTooLarge = errors.New("the session is larger than 8 MiB")

	// ErrBadID: the session id is none of the stack's.
	ErrBadID = errors.New("not a session id")
)

// MaxValue is the longest session value that is read, in bytes.
const MaxValue = 8 << 20

// Key names one session in a store.
type Key struct {
	Prefix string // literally everything before the id
	ID     string // the session id
	Hash   bool   // the value is a Redis hash, not a string
}

// String returns the key as the store has it.
func (k Key) String() string { return k.Prefix + k.ID }

// Record is what a store holds under one key.
type Record struct {
	// Found: the key is there. The other fields count only then.
	Found bool

	// Value is what a string key holds, Fields what a hash holds.
	Value  []byte
	Fields map[string]string

	// TTL is the remaining lifetime; negative if it has no end.
	TTL time.Duration

	// Err is why this one key could not be read although the store answered:
	// ErrWrongType or ErrTooLarge.
	Err error
}

// Store is where session values are kept. Implementations are safe for
// concurrent use.
type Store interface {
	// Fetch reads the value and the remaining lifetime of each key, in the
	// keys' order and in one round trip. A key that is missing gives a Record
	// that is not Found. An error says that the store could not be asked, and
	// comes without records.
	Fetch(ctx context.Context, keys ...Key) ([]Record, error)

	// Name tells this store from others in the process, for keys in memory
	// and in logs. It holds no password.
	Name() string
}
