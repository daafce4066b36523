package cookie

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/stores"
)

// KeyAuthenticator is a [bridge.Authenticator] by a {"rediskey": …} message.
type KeyAuthenticator struct {
	stacks []*Authenticator
}

// RedisKey returns an authenticator that takes the session id from a message
// that the client sends on the socket:
//
//	{"rediskey": "<session id>"}
//
// The id is looked up in the keyspace of each given authenticator whose ID
// rule it fits, in one round trip to each store; an id that is found in two is
// rejected. With several, {"rediskey": …, "stack": "php"} names one.
//
// The session id is a secret like a password: send it over wss only, and give
// it to the page in the answer to the login, never in a URL.
func RedisKey(stacks ...*Authenticator) (*KeyAuthenticator, error) {
	if len(stacks) == 0 {
		return nil, errors.New("cookie: RedisKey needs at least one authenticator, made by New, whose sessions it may look up")
	}
	seen := map[string]bool{}
	for _, a := range stacks {
		if a == nil {
			return nil, errors.New("cookie: an authenticator is nil; was the error of New checked?")
		}
		if a.store == nil || holdsSession(a.stack.Opener) {
			return nil, fmt.Errorf("cookie: %s keeps its sessions in the cookie; there is nothing that a session id could name", a.stack.Name)
		}
		if seen[a.stack.Name] {
			return nil, fmt.Errorf("cookie: two stacks are called %q; set the Name of one, so that a message can tell them apart", a.stack.Name)
		}
		seen[a.stack.Name] = true
	}
	return &KeyAuthenticator{stacks: append([]*Authenticator(nil), stacks...)}, nil
}

// Feeds implements [bridge.FeedsOf]: those of the stacks.
func (k *KeyAuthenticator) Feeds() []bridge.Feed {
	var all []bridge.Feed
	for _, a := range k.stacks {
		all = append(all, a.Feeds()...)
	}
	return all
}

// Traits implements [bridge.TraitsOf]: the credential is a message.
func (k *KeyAuthenticator) Traits() bridge.Traits { return bridge.Traits{Message: true} }

var (
	errNotString = errors.New(`"rediskey" and "stack" must be strings`)
	errNoStack   = errors.New("the message names a stack that is not configured")
	errAmbiguous = errors.New(`the session id is found in two keyspaces; the message must name the "stack"`)
	errNoMessage = errors.New("rediskey: no message yet")
	errWholeKey  = fmt.Errorf("%w: it is a whole key; the message is to hold what is behind the prefix", stores.ErrBadID)
	errValue     = fmt.Errorf("%w: it is the cookie's value; the message is to hold the id that is in it", stores.ErrBadID)
)

// Authenticate implements [bridge.Authenticator]. An id that no stack could
// have made is rejected; one that is unknown, or whose session is over or
// nobody's, is no credential.
func (k *KeyAuthenticator) Authenticate(ctx context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
	m := h.Message
	if m == nil || m.Kind != bridge.MessageRedisKey {
		return nil, fmt.Errorf("%w: %w", bridge.ErrNoCredential, errNoMessage)
	}
	if m.Malformed {
		return nil, bridge.Reject(bridge.CodeCredentialsBadFormat, "rediskey must be a string", fmt.Errorf("rediskey: %w", errNotString))
	}
	candidates, err := k.candidates(m)
	if err != nil {
		return nil, bridge.Reject(bridge.CodeInvalidSession, "the session is unknown, over, or nobody is logged in to it", fmt.Errorf("rediskey: %w", err))
	}
	for _, a := range candidates {
		h.Bind(a.binding(m.SessionID))
	}
	records, err := fetchAll(ctx, candidates, m.SessionID)
	if err != nil {
		return nil, fmt.Errorf("rediskey: %w", err)
	}
	found := -1
	for i := range candidates {
		switch {
		case !records[i][stores.FirstFound(records[i])].Found:
		case found >= 0:
			return nil, bridge.Reject(bridge.CodeInvalidSession, "the session id is ambiguous", fmt.Errorf("rediskey: %w", errAmbiguous))
		default:
			found = i
		}
	}
	if found < 0 {
		err := missingIn(candidates)
		if slices.ContainsFunc(candidates, func(a *Authenticator) bool { return a.isKey(m.SessionID) }) {
			err = errWholeKey
		}
		return nil, explain(fmt.Errorf("%w: rediskey: %w", bridge.ErrNoCredential, err))
	}
	a := candidates[found]
	id, err := a.identity(a.bindingKey(a.stack.Keyspace.Keys(m.SessionID)[0]), &records[found][stores.FirstFound(records[found])])
	if err != nil {
		return nil, explain(err)
	}
	return id, nil
}

// missingIn is the error of an id that none of the stacks has a session for.
func missingIn(stacks []*Authenticator) error {
	if len(stacks) == 1 {
		return stacks[0].missing
	}
	all := make([]*Stack, len(stacks))
	for i, a := range stacks {
		all[i] = &a.stack
	}
	return missing(nil, all...)
}

// isKey reports whether a text is a whole key of the stack, prefix and id.
func (a *Authenticator) isKey(text string) bool {
	id, ok := strings.CutPrefix(text, a.stack.Keyspace.Prefix)
	return ok && a.stack.Keyspace.Prefix != "" && a.stack.Keyspace.ID.Check(id) == nil
}

// isValue reports whether a text is the value of the stack's cookie, and not
// the id alone.
func (a *Authenticator) isValue(text string) bool {
	r := http.Request{Header: http.Header{"Cookie": {a.stack.Cookie + "=" + text}}}
	opened, err := a.stack.Opener.Open(JarOf(&r), a.stack.Cookie)
	return err == nil && opened.ID != text && a.stack.Keyspace.ID.Check(opened.ID) == nil
}

// candidates returns the stacks that could have made the message's id.
func (k *KeyAuthenticator) candidates(m *bridge.Message) ([]*Authenticator, error) {
	var fit []*Authenticator
	err := errNoStack
	for _, a := range k.stacks {
		if m.Stack != "" && m.Stack != a.stack.Name {
			continue
		}
		if e := a.stack.Keyspace.ID.Check(m.SessionID); e != nil {
			switch {
			case a.isKey(m.SessionID):
				err = errWholeKey
			case a.isValue(m.SessionID):
				err = errValue
			case err == errNoStack:
				err = e
			}
			continue
		}
		fit = append(fit, a)
	}
	if len(fit) == 0 {
		return nil, err
	}
	return fit, nil
}

// fetchAll looks an id up for each stack: in one round trip if they share a
// store, else in one to each store, all at once.
func fetchAll(ctx context.Context, stacks []*Authenticator, id string) ([][]stores.Record, error) {
	type batch struct {
		store stores.Store
		keys  []stores.Key
		whose []int // for each key, the place of its stack
		err   error
	}
	var batches []*batch
	byName := map[string]*batch{}
	for i, a := range stacks {
		b := byName[a.store.Name()]
		if b == nil {
			b = &batch{store: a.store}
			byName[a.store.Name()] = b
			batches = append(batches, b)
		}
		for _, k := range a.stack.Keyspace.Keys(id) {
			b.keys, b.whose = append(b.keys, k), append(b.whose, i)
		}
	}
	records := make([][]stores.Record, len(stacks))
	var all sync.WaitGroup
	for _, b := range batches {
		// The stacks of one batch are in no other: nothing is shared.
		all.Go(func() {
			var got []stores.Record
			if got, b.err = b.store.Fetch(ctx, b.keys...); b.err != nil {
				return
			}
			for j, r := range got {
				records[b.whose[j]] = append(records[b.whose[j]], r)
			}
		})
	}
	all.Wait()
	for _, b := range batches {
		if b.err != nil {
			return nil, b.err
		}
	}
	return records, nil
}
