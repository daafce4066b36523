package jwtmode_test

import (
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/jwtmode"
)

// newIssuer is an issuer with HS256 and secret, if the options say nothing
// else.
func newIssuer(t testing.TB, o jwtmode.IssuerOptions) *jwtmode.Issuer {
	t.Helper()
	if o.Issuer == "" {
		o.Issuer = "https://app.example.com"
	}
	if o.Audience == nil {
		o.Audience = []string{"chat"}
	}
	if o.Key == nil {
		o.Algorithm, o.Key = "HS256", secret
	}
	i, err := jwtmode.NewIssuer(o)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestIssue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t, jwtmode.IssuerOptions{
			KeyID: "k1",
			Claims: func(id *bridge.Identity) map[string]any {
				return map[string]any{"roles": []string{"admin"}, "sub": "7", "exp": 1, "jti": "x", "nbf": 1,
					"session": "x", "until": 1, "origin": "x", "via": "x", "auth_time": 1, "iat": 1, "iss": "x", "aud": "x"}
			},
		})
		token, err := i.Issue(&bridge.Identity{User: "42", Via: "php"})
		if err != nil {
			t.Fatal(err)
		}
		id, err := authenticate(newAuth(t, i.Options()), withBearer(token.Text))
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]any{
			"iss": "https://app.example.com", "aud": "chat", "sub": "42", "via": "php", "jti": token.ID,
			"iat": json.Number("946684800.000000"), "auth_time": json.Number("946684800"), "exp": json.Number("946685100"),
			"roles": []any{"admin"},
		}
		if diff := cmp.Diff(want, map[string]any(id.Claims)); diff != "" {
			t.Errorf("claims (-want +got):\n%s", diff)
		}
		if !token.Expires.Equal(bubbleStart.Add(5*time.Minute)) || len(token.ID) != 22 {
			t.Errorf("expires %v, id of %d characters", token.Expires, len(token.ID))
		}
		header, _, _ := strings.Cut(token.Text, ".")
		if diff := cmp.Diff(decoded([]byte(`{"alg":"HS256","typ":"JWT","kid":"k1"}`)), decoded([]byte(unb64(header)))); diff != "" {
			t.Errorf("header (-want +got):\n%s", diff)
		}
		again := must(i.Issue(&bridge.Identity{User: "42", Via: "php"}))
		if again.ID == token.ID {
			t.Error("two tokens have one jti")
		}
	})
}

func TestIssueAlgorithms(t *testing.T) {
	for _, alg := range algorithms {
		t.Run(alg.method.Alg(), func(t *testing.T) {
			i := newIssuer(t, jwtmode.IssuerOptions{Algorithm: alg.method.Alg(), Key: alg.keys().sign})
			token := must(i.Issue(&bridge.Identity{User: "42", Via: "php"}))
			if id, err := authenticate(newAuth(t, i.Options()), withBearer(token.Text)); err != nil || id.User != "42" {
				t.Errorf("got %v, %v", id, err)
			}
		})
	}
}

func TestIssuedByAFormerKey(t *testing.T) {
	former := newIssuer(t, jwtmode.IssuerOptions{})
	next := newIssuer(t, jwtmode.IssuerOptions{Algorithm: "HS256", Key: []byte(strings.Repeat("n", 32)), MoreKeys: []any{secret}})
	a := newAuth(t, next.Options())
	for _, i := range []*jwtmode.Issuer{former, next} {
		if _, err := authenticate(a, withBearer(must(i.Issue(&bridge.Identity{User: "42", Via: "php"})).Text)); err != nil {
			t.Error(err)
		}
	}
}

// A token never holds longer than the identity that it is made of.
func TestIssueEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		left time.Duration // 0: no end
		want time.Duration // 0: no token
	}{
		{"an identity without end", 0, 5 * time.Minute},
		{"an identity of an hour", time.Hour, 5 * time.Minute},
		{"an identity of a minute", time.Minute, time.Minute},
		{"an identity of part of a second more", time.Minute + 500*time.Millisecond, time.Minute},
		{"an identity of part of a second", 900 * time.Millisecond, 0},
		{"an identity that is over", -time.Second, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				id := &bridge.Identity{User: "42", Via: "php"}
				if tt.left != 0 {
					id.Expires = time.Now().Add(tt.left)
				}
				token, err := newIssuer(t, jwtmode.IssuerOptions{}).Issue(id)
				if tt.want == 0 {
					if err == nil {
						t.Errorf("a token until %v", token.Expires)
					}
					return
				}
				if err != nil || !token.Expires.Equal(time.Now().Add(tt.want)) {
					t.Errorf("got %v, %v; want %v", token.Expires, err, time.Now().Add(tt.want))
				}
			})
		})
	}
}

func TestIssueRefuses(t *testing.T) {
	wordy := newIssuer(t, jwtmode.IssuerOptions{Claims: func(*bridge.Identity) map[string]any {
		return map[string]any{"x": strings.Repeat(marker, 2000)}
	}})
	broken := newIssuer(t, jwtmode.IssuerOptions{Claims: func(*bridge.Identity) map[string]any {
		return map[string]any{"x": make(chan int)}
	}})
	plain := newIssuer(t, jwtmode.IssuerOptions{})
	good := &bridge.Identity{User: "42", Via: "php"}
	for _, tt := range []struct {
		name string
		i    *jwtmode.Issuer
		id   *bridge.Identity
	}{
		{"no user", plain, &bridge.Identity{Via: "php"}},
		{"no via", plain, &bridge.Identity{User: "42"}},
		{"a user that JSON would make another", plain, &bridge.Identity{User: marker + "\xff", Via: "php"}},
		{"a user that no token may name", plain, &bridge.Identity{User: marker + "\ufffd", Via: "php"}},
		{"a token that nobody would accept", wordy, good},
		{"claims that are no JSON", broken, good},
	} {
		t.Run(tt.name, func(t *testing.T) {
			token, err := tt.i.Issue(tt.id)
			if err == nil || token.Text != "" {
				t.Fatalf("issued %q", token.Text)
			}
			checkSilent(t, "", err.Error())
		})
	}
}

func TestNewIssuerRefuses(t *testing.T) {
	good := jwtmode.IssuerOptions{Issuer: "us", Audience: []string{"chat"}, Algorithm: "HS256", Key: secret}
	for _, tt := range []struct {
		name   string
		change func(*jwtmode.IssuerOptions)
		says   string
	}{
		{"no name", func(o *jwtmode.IssuerOptions) { o.Issuer = "" }, "no name"},
		{"no audience", func(o *jwtmode.IssuerOptions) { o.Audience = nil }, "Audience"},
		{"an empty audience", func(o *jwtmode.IssuerOptions) { o.Audience = []string{""} }, "Audience"},
		{"no algorithm", func(o *jwtmode.IssuerOptions) { o.Algorithm = "" }, "algorithm"},
		{"none", func(o *jwtmode.IssuerOptions) { o.Algorithm = "none" }, "lets anybody sign"},
		{"no key", func(o *jwtmode.IssuerOptions) { o.Key = nil }, "nil"},
		{"a secret as text", func(o *jwtmode.IssuerOptions) { o.Key = string(secret) }, "[]byte(secret)"},
		{"a short secret", func(o *jwtmode.IssuerOptions) { o.Key = secret[:31] }, "31 bytes"},
		{"a PEM as a secret", func(o *jwtmode.IssuerOptions) { o.Key = []byte("-----BEGIN PUBLIC KEY-----\n" + string(secret)) }, "encoding of a key"},
		{"an RSA key for HS256", func(o *jwtmode.IssuerOptions) { o.Key = rsaPair().sign }, "HS256"},
		{"a secret for RS256", func(o *jwtmode.IssuerOptions) { o.Algorithm = "RS256" }, "RS256"},
		{"a public key", func(o *jwtmode.IssuerOptions) { o.Algorithm, o.Key = "RS256", rsaPair().verify }, "cannot sign"},
		{"a nil RSA key", func(o *jwtmode.IssuerOptions) { o.Algorithm, o.Key = "RS256", (*rsaPrivate)(nil) }, "nil"},
		{"a nil ECDSA key", func(o *jwtmode.IssuerOptions) { o.Algorithm, o.Key = "ES256", (*ecdsaPrivate)(nil) }, "nil"},
		{"another curve", func(o *jwtmode.IssuerOptions) { o.Algorithm, o.Key = "ES256", newECDSA(elliptic.P384()).sign }, "ES256"},
		{"half an Ed25519 key", func(o *jwtmode.IssuerOptions) { o.Algorithm, o.Key = "EdDSA", ed25519.PrivateKey(secret[:32]) }, "64 bytes"},
		{"a former key of another kind", func(o *jwtmode.IssuerOptions) { o.MoreKeys = []any{rsaPair().sign} }, "MoreKeys[0]"},
		{"a tiny TTL", func(o *jwtmode.IssuerOptions) { o.TTL = time.Millisecond }, "TTL"},
		{"a short reference key", func(o *jwtmode.IssuerOptions) { o.ReferenceKey = secret[:31] }, "ReferenceKey"},
		{"nil sessions", func(o *jwtmode.IssuerOptions) { o.Sessions = []jwtmode.Sessions{nil} }, "Sessions is nil"},
		{"sessions without a secret", func(o *jwtmode.IssuerOptions) {
			o.Algorithm, o.Key, o.Sessions = "RS256", rsaPair().sign, []jwtmode.Sessions{phpSessions(t, nil)}
		}, "ReferenceKey"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := good
			tt.change(&o)
			i, err := jwtmode.NewIssuer(o)
			if i != nil || err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("got %v, %v; want an error with %q", i, err, tt.says)
			}
			checkSilent(t, "", err.Error())
		})
	}
}

// What an issuer signs is accepted by nobody but those whom it is for.
func TestIssuedForOthers(t *testing.T) {
	i := newIssuer(t, jwtmode.IssuerOptions{})
	token := must(i.Issue(&bridge.Identity{User: "42", Via: "php"})).Text
	for _, tt := range []struct {
		name, message string
		change        func(*jwtmode.Options)
		is            error
	}{
		{"another audience", "jwt audience invalid", func(o *jwtmode.Options) { o.Audience = []string{"mail"} }, jwt.ErrTokenInvalidAudience},
		{"another issuer", "jwt issuer invalid", func(o *jwtmode.Options) { o.Issuer = "them" }, jwt.ErrTokenInvalidIssuer},
		{"another secret", "invalid signature", func(o *jwtmode.Options) { o.Key = []byte(strings.Repeat("o", 32)) }, jwt.ErrTokenSignatureInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := i.Options()
			tt.change(&o)
			checkRefused(t, newAuth(t, o), withBearer(token), token, "invalid_token", tt.message, tt.is)
		})
	}
}
