package stores

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Keyspace is how one stack keeps its sessions.
type Keyspace struct {
	// Prefix is literally everything before the session id in a key.
	Prefix string

	// Alternatives are prefixes to look under, in the same round trip, if
	// there is no such session under Prefix: a stack's defaults may have
	// changed from version to version.
	Alternatives []string

	// ID is what a session id looks like that nothing vouches for.
	ID IDRule

	// Spell returns how a session id may stand in a key, the likeliest first,
	// if not as it is: hashed, say. The Prefix of each goes after the
	// keyspace's.
	Spell func(id string) []Key

	// Codec decodes the stack's values.
	Codec Codec

	// Lifetime is how long a session lives in the store after a request that
	// only reads it, where a [LifetimeCodec] finds nothing else in the value.
	// It is used by [Keyspace.Touch] alone. Zero: such a request does not
	// extend a session.
	Lifetime time.Duration
}

// IDRule says which session ids are well-formed. Ids that a client sends
// unsigned must fit before they become part of a key; or a client could reach
// other keys, a PHP session's "<id>_LOCK" say.
type IDRule struct {
	Min, Max int    // length in bytes, both included
	Chars    string // every byte that may occur
}

// Bytes that occur in session ids.
const (
	digits   = "0123456789"
	lower    = "abcdefghijklmnopqrstuvwxyz"
	upper    = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	alphanum = digits + lower + upper
)

// Check returns an error that wraps [ErrBadID] and names what is wrong, but
// not the id.
func (r IDRule) Check(id string) error {
	if len(id) < r.Min || len(id) > r.Max {
		return fmt.Errorf("%w: it is %d bytes long, not %d to %d", ErrBadID, len(id), r.Min, r.Max)
	}
	for i := range len(id) {
		if strings.IndexByte(r.Chars, id[i]) < 0 {
			return fmt.Errorf("%w: its byte %d is outside the stack's alphabet", ErrBadID, i)
		}
	}
	return nil
}

// maxSignedID bounds an id that a signature vouches for: express-session's
// genid, say, may return anything.
const maxSignedID = 1024

// CheckSigned is the rule for an id that a signature vouches for: it is not
// empty, and at most 1,024 bytes long.
func CheckSigned(id string) error {
	if id == "" || len(id) > maxSignedID {
		return fmt.Errorf("%w: it is %d bytes long, not 1 to %d", ErrBadID, len(id), maxSignedID)
	}
	return nil
}

// Keys returns the keys that a session id may be kept under, the likeliest
// first; there is at least one.
func (ks *Keyspace) Keys(id string) []Key {
	return ks.appendKeys(make([]Key, 0, 1), id) // nearly always it is one
}

func (ks *Keyspace) appendKeys(keys []Key, id string) []Key {
	_, hash := ks.Codec.(HashCodec)
	if ks.Spell == nil && len(ks.Alternatives) == 0 {
		return append(keys, Key{Prefix: ks.Prefix, ID: id, Hash: hash})
	}
	spellings := []Key{{ID: id}}
	if ks.Spell != nil {
		spellings = ks.Spell(id)
	}
	for i := range 1 + len(ks.Alternatives) {
		prefix := ks.Prefix
		if i > 0 {
			prefix = ks.Alternatives[i-1]
		}
		for _, k := range spellings {
			keys = append(keys, Key{Prefix: prefix + k.Prefix, ID: k.ID, Hash: hash})
		}
	}
	return keys
}

// Validate returns what is missing or wrong in the keyspace.
func (ks *Keyspace) Validate() error {
	switch {
	case ks.Codec == nil:
		return errors.New("stores: the keyspace has no Codec")
	case ks.ID.Min < 1 || ks.ID.Max < ks.ID.Min || ks.ID.Chars == "":
		return errors.New("stores: the keyspace's ID rule lets nothing, or an empty id, in; give it Min, Max and Chars")
	case ks.Lifetime < 0:
		return errors.New("stores: the keyspace's Lifetime is negative; leave it zero if a request that only reads extends no session")
	}
	if c, ok := ks.Codec.(interface{ validate() error }); ok {
		if err := c.validate(); err != nil {
			return fmt.Errorf("stores: the keyspace's Codec: %w", err)
		}
	}
	return nil
}

// Session is one decoded session.
type Session struct {
	Values

	// Expires is when the session ends if nobody uses it: the earlier of the
	// store's lifetime and a deadline inside the value; with a [LifetimeCodec]
	// the former, if there is one. Zero: no end.
	Expires time.Time
}

// Load reads and decodes a session. The id must have passed ks.ID.Check or
// [CheckSigned]. Errors wrap ErrNotFound, ErrExpired, ErrWrongType or
// ErrTooLarge, are a [*DecodeError], or say that the store could not be asked.
func (ks *Keyspace) Load(ctx context.Context, s Store, id string) (*Session, error) {
	records, err := s.Fetch(ctx, ks.Keys(id)...)
	if err != nil {
		return nil, err
	}
	return ks.Decode(records[FirstFound(records)], time.Now())
}

// FirstFound returns the index of the first record that is there, or 0.
func FirstFound(records []Record) int {
	return max(0, slices.IndexFunc(records, func(r Record) bool { return r.Found }))
}

func (ks *Keyspace) decode(r Record) (Values, time.Time, error) {
	if h, ok := ks.Codec.(HashCodec); ok {
		return h.DecodeHash(r.Fields)
	}
	return ks.Codec.Decode(r.Value)
}

// Decode decodes what a store holds, as of now, with the errors of
// [Keyspace.Load].
func (ks *Keyspace) Decode(r Record, now time.Time) (*Session, error) {
	switch {
	case !r.Found:
		return nil, ErrNotFound
	case r.Err != nil:
		return nil, r.Err
	case len(r.Value) > MaxValue:
		return nil, ErrTooLarge
	}
	v, deadline, err := ks.decode(r)
	if err != nil {
		if errors.Is(err, ErrNotFound) {
			return nil, err
		}
		return nil, &DecodeError{Codec: ks.Codec.Name(), Err: err, Like: formatOf(r.Value, ks.Codec.Name())}
	}
	if _, ok := ks.Codec.(LifetimeCodec); ok && r.TTL >= 0 {
		deadline = time.Time{}
	}
	session := &Session{Values: v, Expires: deadline}
	if !deadline.IsZero() && !now.Before(deadline) {
		return nil, ErrExpired
	}
	if r.TTL >= 0 {
		if end := now.Add(r.TTL); deadline.IsZero() || end.Before(deadline) {
			session.Expires = end
		}
	}
	return session, nil
}
