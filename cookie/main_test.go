package cookie_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/stores"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// handshake is an upgrade request with Cookie headers.
func handshake(tb testing.TB, headers ...string) *bridge.Handshake {
	tb.Helper()
	r, err := http.NewRequest("GET", "http://app.test/socket", nil)
	if err != nil {
		tb.Fatal(err)
	}
	for _, h := range headers {
		r.Header.Add("Cookie", h)
	}
	return &bridge.Handshake{Request: r}
}

// rediskey is a handshake whose first message names a session.
func rediskey(tb testing.TB, id, stack string) *bridge.Handshake {
	h := handshake(tb)
	h.Message = &bridge.Message{Kind: bridge.MessageRedisKey, SessionID: id, Stack: stack}
	return h
}

func newAuth(tb testing.TB, store stores.Store, stack cookie.Stack) *cookie.Authenticator {
	tb.Helper()
	a, err := cookie.New(store, stack)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// verdict is one of an authenticator's outcomes.
type verdict string

const (
	accepted     verdict = "accepted"
	noCredential verdict = "no credential"
	rejected     verdict = "rejected"
	unknown      verdict = "could not be found out"
)

// authenticate asks an authenticator and holds it to what every one must do:
// an identity or an error, an error of one kind, and nothing secret in it.
func authenticate(tb testing.TB, a bridge.Authenticator, h *bridge.Handshake, secrets ...string) (*bridge.Identity, verdict, error) {
	tb.Helper()
	id, err := a.Authenticate(context.Background(), h)
	for _, s := range secrets {
		switch {
		case s == "":
		case err != nil && strings.Contains(err.Error(), s):
			tb.Errorf("error %q contains a secret", err)
		case id != nil && (strings.Contains(id.User, s) || strings.Contains(id.Via, s)):
			tb.Errorf("identity of %q by %q contains a secret", id.User, id.Via)
		}
	}
	none, bad := errors.Is(err, bridge.ErrNoCredential), errors.Is(err, bridge.ErrRejected)
	switch {
	case (id != nil) == (err != nil):
		tb.Errorf("identity %v and error %v", id, err)
	case none && bad:
		tb.Errorf("error %v is of two kinds", err)
	case err == nil:
		return id, accepted, nil
	case none:
		return nil, noCredential, err
	case bad:
		return nil, rejected, err
	}
	return nil, unknown, err
}

// expect asks an authenticator and compares the verdict; user may be "".
func expect(tb testing.TB, a bridge.Authenticator, h *bridge.Handshake, want verdict, user string, secrets ...string) error {
	tb.Helper()
	id, got, err := authenticate(tb, a, h, secrets...)
	if got != want {
		tb.Errorf("%s (%v), want %s", got, err, want)
	} else if id != nil && id.User != user {
		tb.Errorf("user %q, want %q", id.User, user)
	}
	return err
}

// spy is a store that counts, remembers, and fails on demand.
type spy struct {
	stores.Store
	fetches [][]stores.Key
	before  func(keys []stores.Key)
	err     error
}

func (s *spy) Fetch(ctx context.Context, keys ...stores.Key) ([]stores.Record, error) {
	s.fetches = append(s.fetches, keys)
	if s.before != nil {
		s.before(keys)
	}
	if s.err != nil {
		return nil, s.err
	}
	return s.Store.Fetch(ctx, keys...)
}

const (
	sid     = "8ATkNW1g3rInD1isL8QhJY42Gy5L2puJ" // of the recorded cookies
	sid2    = "8hV75wyxJm1TsDLkki_DqK8KcV_qs9RS"
	phpSID  = "ie12vpe0dhmclqjbgktaseh6og"
	login42 = `{"cookie":{"path":"/"},"passport":{"user":42}}`
)

// expressLogin is a store with one session, of user 42.
func expressLogin() *stores.Memory {
	m := stores.NewMemory()
	m.Set("sess:"+sid, []byte(login42), time.Hour)
	return m
}
