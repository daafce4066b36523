package socketcluster_test

import (
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sessionbridge/sessionbridge/internal/parts/partstest/wiretest"
)

// iso is a date as JavaScript writes it.
func iso(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// What the client's own events say of each token in its handshake, and
// whether it keeps the token.
func TestHandshake(t *testing.T) {
	s := newService(t, wiretest.Tokens(t), newOptions())
	good := wiretest.Sign(t, "42", time.Hour)
	past := time.Now().Add(-time.Hour).Truncate(time.Second)
	future := time.Now().Add(time.Hour).Truncate(time.Second)
	head, _, _ := strings.Cut(good, ".")
	forged, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "42", "exp": future.Unix()}).SignedString([]byte("another secret, of 32 bytes also"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name    string
		token   *string
		user    any
		err     map[string]any
		removed bool
	}{
		{name: "no token"},
		{name: "an empty token", token: new("")},
		{name: "a good token", token: &good, user: "42"},
		{"an expired token", new(wiretest.Sign(t, "42", -time.Hour)), nil,
			map[string]any{"name": "AuthTokenExpiredError", "message": "jwt expired", "expiry": iso(past), "isBadToken": true}, true},
		{"a forged token", &forged, nil,
			map[string]any{"name": "AuthTokenInvalidError", "message": "invalid signature", "isBadToken": true}, true},
		{"no token at all", new("null"), nil,
			map[string]any{"name": "AuthTokenInvalidError", "message": "jwt malformed", "isBadToken": true}, true},
		{"an unsigned token", new(head + "." + strings.Split(good, ".")[1] + "."), nil,
			map[string]any{"name": "AuthTokenInvalidError", "message": "jwt signature is required", "isBadToken": true}, true},
		{"a token of tomorrow", new(wiretest.Sign(t, "42", 2*time.Hour, jwt.MapClaims{"nbf": future.Unix()})), nil,
			map[string]any{"name": "AuthTokenNotBeforeError", "message": "jwt not active", "date": iso(future), "isBadToken": false}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := s.node(t, with{Token: tc.token})
			status := c.start()
			wiretest.Equal(t, "isAuthenticated", any(tc.user != nil), status["isAuthenticated"])
			wiretest.Equal(t, "pingTimeout", any(20000.0), status["pingTimeout"])
			if got, _ := status["authError"].(map[string]any); !sameError(tc.err, got) {
				t.Errorf("authError = %v, want %v", got, tc.err)
			}
			if tc.removed {
				c.Wait("removeAuthToken")
			}
			if tc.user != nil {
				change := c.Wait("authStateChange")
				wiretest.Equal(t, "newAuthState", any("authenticated"), change["newAuthState"])
				wiretest.Equal(t, "signedAuthToken", any(*tc.token), change["signedAuthToken"])
			}
			wiretest.Equal(t, "whoami", tc.user, c.Must(map[string]any{"do": "invoke", "name": "whoami"}))
			stored := c.State()["stored"].(map[string]any)
			if kept := len(stored) > 0; kept != (tc.token != nil && !tc.removed) {
				t.Errorf("the client's store holds %v", stored)
			}
			if !tc.removed && c.Count("removeAuthToken", nil) > 0 {
				t.Error("#removeAuthToken although the token is not bad")
			}
		})
	}
}

// sameError compares an error's members, but for the stack.
func sameError(want, got map[string]any) bool {
	delete(got, "stack")
	if len(want) != len(got) {
		return false
	}
	for name, value := range want {
		if got[name] != value {
			return false
		}
	}
	return true
}

// #authenticate on the open socket.
func TestAuthenticate(t *testing.T) {
	s := newService(t, wiretest.Tokens(t), newOptions())
	good := wiretest.Sign(t, "42", time.Hour)
	for _, tc := range []struct {
		name  string
		token any
		value map[string]any
		err   map[string]any
	}{
		{"good", good, map[string]any{"isAuthenticated": true, "authError": nil}, nil},
		{"malformed", "nonsense", nil, map[string]any{"name": "AuthTokenInvalidError", "message": "jwt malformed", "isBadToken": true}},
		{"none", nil, nil, map[string]any{"name": "AuthTokenInvalidError", "message": "jwt must be provided", "isBadToken": true}},
		{"a number", 5, nil, map[string]any{"name": "AuthTokenInvalidError", "message": "invalid token datatype", "isBadToken": true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := s.node(t, with{})
			c.start()
			r := c.Do(map[string]any{"do": "authenticate", "token": tc.token})
			if got, _ := r.Value.(map[string]any); !sameError(tc.value, got) {
				t.Errorf("result = %v, want %v", got, tc.value)
			}
			if !sameError(tc.err, r.Error) {
				t.Errorf("error = %v, want %v", r.Error, tc.err)
			}
			if tc.err != nil {
				c.Wait("removeAuthToken")
				wiretest.Equal(t, "authState", any("unauthenticated"), c.State()["authState"])
				return
			}
			wiretest.Equal(t, "newAuthState", any("authenticated"), c.Wait("authStateChange")["newAuthState"])
			wiretest.Equal(t, "whoami", any("42"), c.Must(map[string]any{"do": "invoke", "name": "whoami"}))
		})
	}
}

// A bad token beside a good authentication changes nothing: the client is
// given its former token back.
func TestAuthenticateBadKeepsFormer(t *testing.T) {
	s := newService(t, wiretest.Tokens(t), newOptions())
	good := wiretest.Sign(t, "42", time.Hour)
	for _, bad := range []string{"nonsense", wiretest.Sign(t, "42", 2*time.Hour, jwt.MapClaims{"nbf": time.Now().Add(time.Hour).Unix()})} {
		c := s.node(t, with{Token: &good})
		c.start()
		c.subscribe("news")
		c.Wait("authenticate")
		c.Do(map[string]any{"do": "authenticate", "token": bad})
		wiretest.Equal(t, "deauthenticated meanwhile", any("unauthenticated"), c.WaitFor("authStateChange", func(d map[string]any) bool { return d["oldAuthState"] == "authenticated" })["newAuthState"])
		wiretest.Equal(t, "the token again", any(good), c.Wait("authenticate")["signedAuthToken"])
		state := c.State()
		wiretest.Equal(t, "authState", any("authenticated"), state["authState"])
		for _, stored := range state["stored"].(map[string]any) {
			wiretest.Equal(t, "stored", any(good), stored)
		}
		wiretest.Equal(t, "whoami", any("42"), c.Must(map[string]any{"do": "invoke", "name": "whoami"}))
		c.Must(map[string]any{"do": "publish", "channel": "news", "data": "still here"})
		wiretest.Equal(t, "message", any("still here"), c.Wait("message")["data"])
		if n := c.Count("kickOut", nil); n > 0 {
			t.Errorf("%d kick-outs", n)
		}
	}
}

// Another user's token is a new login: what was the former user's is asked
// about again.
func TestAuthenticateAsAnother(t *testing.T) {
	o := newOptions()
	o.Authorize = ownChannel
	s := newService(t, wiretest.Tokens(t), o)
	c := s.node(t, with{Token: new(wiretest.Sign(t, "42", time.Hour))})
	c.start()
	c.subscribe("user/42")
	c.subscribe("common")
	c.Must(map[string]any{"do": "authenticate", "token": wiretest.Sign(t, "7", time.Hour)})
	wiretest.Equal(t, "kickOut", map[string]any{"channel": "user/42", "message": "user_changed"}, c.Wait("kickOut"))
	wiretest.Equal(t, "whoami", any("7"), c.Must(map[string]any{"do": "invoke", "name": "whoami"}))
	if err := s.server.Publish("user/42", "secret"); err != nil {
		t.Fatal(err)
	}
	if err := s.server.Publish("common", "hello"); err != nil {
		t.Fatal(err)
	}
	wiretest.Equal(t, "first message", map[string]any{"channel": "common", "data": "hello"}, c.Wait("message"))
}
