package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sessionbridge/sessionbridge/bridge"
)

func TestFirst(t *testing.T) {
	type (
		id  = bridge.Identity
		err = error
	)
	answers := map[string]struct {
		id  *id
		err err
	}{
		"ann":     {user("ann"), nil},
		"bob":     {user("bob"), nil},
		"none":    {nil, fmt.Errorf("%w: no cookie", bridge.ErrNoCredential)},
		"bad":     {nil, fmt.Errorf("%w: forged", bridge.ErrRejected)},
		"reject":  {nil, bridge.Reject(bridge.CodeInvalidToken, "no", errors.New("forged"))},
		"outage":  {nil, errOutage},
		"neither": {nil, nil},
		"nobody":  {user(""), nil},
		"both":    {user("eve"), errOutage},
		"absent and bad": {nil, fmt.Errorf("%w and %w", bridge.ErrNoCredential,
			bridge.Reject(bridge.CodeInvalidToken, "no", nil))},
	}
	const unknown = "could not find out"
	tests := map[string]struct {
		ask   []string
		asked int // how many are asked
		want  string
	}{
		"the first identity wins":             {[]string{"ann", "bob"}, 1, "ann"},
		"no credential: the next":             {[]string{"none", "bob", "ann"}, 2, "bob"},
		"nobody vouches":                      {[]string{"none", "none"}, 2, "no credential"},
		"a bad credential stops":              {[]string{"bad", "bob"}, 1, "rejected"},
		"a rejection with a code stops":       {[]string{"none", "reject", "bob"}, 2, "rejected"},
		"an outage stops":                     {[]string{"outage", "bob"}, 1, unknown},
		"neither identity nor error stops":    {[]string{"neither", "bob"}, 1, unknown},
		"an identity without a user is none":  {[]string{"nobody", "bob"}, 1, unknown},
		"an error beats an identity":          {[]string{"both", "bob"}, 1, unknown},
		"absent and bad at once is bad":       {[]string{"absent and bad", "bob"}, 1, "rejected"},
		"one that says none, alone":           {[]string{"none"}, 1, "no credential"},
		"an outage after no credential stops": {[]string{"none", "outage", "bob"}, 2, unknown},
	}
	for name, tt := range tests {
		for _, nested := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/nested=%t", name, nested), func(t *testing.T) {
				asked := 0
				var chain []bridge.Authenticator
				for _, n := range tt.ask {
					a := bridge.Authenticator(bridge.AuthenticatorFunc(func(context.Context, *bridge.Handshake) (*id, err) {
						asked++
						return answers[n].id, answers[n].err
					}))
					if nested {
						a = bridge.First(a)
					}
					chain = append(chain, a)
				}
				got, err := bridge.First(chain...).Authenticate(t.Context(), &bridge.Handshake{})
				if outcome(got, err) != tt.want || asked != tt.asked {
					t.Errorf("%s after asking %d, want %s after %d (error: %v)", outcome(got, err), asked, tt.want, tt.asked, err)
				}
				if err != nil && got != nil {
					t.Error("an identity beside an error")
				}
			})
		}
	}
}

// outcome names one of the outcomes that the Authenticator contract has.
func outcome(id *bridge.Identity, err error) string {
	none, bad := errors.Is(err, bridge.ErrNoCredential), errors.Is(err, bridge.ErrRejected)
	switch {
	case err == nil:
		return id.User
	case none && bad:
		return "two outcomes at once"
	case none:
		return "no credential"
	case bad:
		return "rejected"
	default:
		return "could not find out"
	}
}

func TestFirstKeepsEveryReason(t *testing.T) {
	var (
		one = fmt.Errorf("%w: no cookie", bridge.ErrNoCredential)
		two = fmt.Errorf("%w: session over", bridge.ErrNoCredential)
	)
	_, err := bridge.First(says(nil, one), bridge.First(says(nil, two))).Authenticate(t.Context(), &bridge.Handshake{})
	if !errors.Is(err, one) || !errors.Is(err, two) {
		t.Errorf("the reasons are not kept: %v", err)
	}
	if got, want := err.Error(), "no credential: no cookie; session over"; got != want {
		t.Errorf("text %q, want %q", got, want)
	}
}

// What several have to say of one request, a line says once.
func TestFirstSaysItOnce(t *testing.T) {
	tests := map[string]struct {
		reasons []string
		want    string
	}{
		"the same advice":                 {[]string{"php: no cookie; the request has none", "go: no cookie; the request has none", "jwt: no token"}, "no credential: php: no cookie; go: no cookie; the request has none; jwt: no token"},
		"the same advice with more in it": {[]string{"php: none; a; b", "express: none; a; b"}, "no credential: php: none; express: none; a; b"},
		"another's advice":                {[]string{"php: none; a", "express: none; b"}, "no credential: php: none; a; express: none; b"},
		"not one after the other":         {[]string{"php: none; a", "jwt: none", "express: none; a"}, "no credential: php: none; a; jwt: none; express: none; a"},
		"none":                            {[]string{"php: none", "express: none"}, "no credential: php: none; express: none"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var all []bridge.Authenticator
			for _, reason := range tt.reasons {
				all = append(all, says(nil, fmt.Errorf("%w: %s", bridge.ErrNoCredential, reason)))
			}
			if _, err := bridge.First(all...).Authenticate(t.Context(), &bridge.Handshake{}); err.Error() != tt.want {
				t.Errorf("%s, want %s", err, tt.want)
			}
		})
	}
}

func TestFirstIsNotChangedByItsCaller(t *testing.T) {
	list := []bridge.Authenticator{says(user("ann"), nil)}
	first := bridge.First(list...)
	list[0] = says(user("eve"), nil)
	if id, _ := first.Authenticate(t.Context(), &bridge.Handshake{}); id.User != "ann" {
		t.Errorf("the chain now vouches for %s", id.User)
	}
}

func TestTraits(t *testing.T) {
	var (
		cookie = stub{traits: bridge.Traits{Ambient: true}}
		key    = stub{traits: bridge.Traits{Message: true}}
		token  = stub{traits: bridge.Traits{Message: true, Subprotocols: []string{"bearer"}, Challenge: "Bearer"}}
		basic  = stub{traits: bridge.Traits{Subprotocols: []string{"basic"}, Challenge: "Basic"}}
	)
	tests := map[string]struct {
		a    bridge.Authenticator
		want bridge.Traits
	}{
		"unknown is ambient":  {says(nil, nil), bridge.Traits{Ambient: true}},
		"one":                 {bridge.First(token), token.traits},
		"none of it":          {bridge.First(stub{}), bridge.Traits{}},
		"merged":              {bridge.First(cookie, key), bridge.Traits{Ambient: true, Message: true}},
		"nested":              {bridge.First(key, bridge.First(key, cookie)), bridge.Traits{Ambient: true, Message: true}},
		"challenges once":     {bridge.First(token, key, bridge.First(token)), bridge.Traits{Message: true, Subprotocols: []string{"bearer", "bearer"}, Challenge: "Bearer"}},
		"challenges in order": {bridge.First(token, basic), bridge.Traits{Message: true, Subprotocols: []string{"bearer", "basic"}, Challenge: "Bearer, Basic"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, bridge.TraitsOf(tt.a)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
