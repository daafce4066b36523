package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"github.com/sessionbridge/sessionbridge/bridge"
)

const tokenSecret = "a-secret-of-the-tests-of-32-bytes-or-more"

// openid is an OpenID Connect provider with one key.
func openid(t *testing.T) (url string, key ed25519.PrivateKey) {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := jwkset.NewJWKFromKey(pub, jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: "k"}})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	answer := func(path string, v any) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(v) })
	}
	answer("/.well-known/openid-configuration", map[string]any{
		"issuer": s.URL, "jwks_uri": s.URL + "/jwks", "id_token_signing_alg_values_supported": []string{"EdDSA"}})
	answer("/jwks", jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{jwk.Marshal()}})
	return s.URL, key
}

func TestTokenSettings(t *testing.T) {
	url, key := openid(t)
	signed := func(m jwt.SigningMethod, key any, c jwt.MapClaims) string {
		token := jwt.NewWithClaims(m, c)
		token.Header["kid"] = "k"
		c["sub"], c["exp"] = "42", time.Now().Add(time.Hour).Unix()
		s, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	ours := func() jwt.MapClaims { return jwt.MapClaims{"iss": url, "aud": "chat"} }
	bySecret := signed(jwt.SigningMethodHS256, []byte(tokenSecret), ours())
	byKey := signed(jwt.SigningMethodEdDSA, key, ours())
	elsewhere := signed(jwt.SigningMethodEdDSA, key, jwt.MapClaims{"iss": url, "aud": "shop"})
	const let, bad, none = "let in", "rejected", "no credential"
	for _, tt := range []struct {
		name  string
		env   map[string]string
		query bool // the token comes in the query
		token string
		want  string // let, bad, none, or part of the error at the start
	}{
		{"secret", map[string]string{"JWT_SECRET": tokenSecret}, false, bySecret, let},
		{"secret, another's token", map[string]string{"JWT_SECRET": tokenSecret}, false, byKey, bad},
		{"short secret", map[string]string{"JWT_SECRET": "short"}, false, signed(jwt.SigningMethodHS256, []byte("short"), ours()), let},
		{"keys", map[string]string{"JWKS_URL": url + "/jwks", "JWT_ISSUER": url, "JWT_AUDIENCE": "mail, chat"}, false, byKey, let},
		{"keys, a token for another", map[string]string{"JWKS_URL": url + "/jwks", "JWT_ISSUER": url, "JWT_AUDIENCE": "mail, chat"}, false, elsewhere, bad},
		{"keys without an audience", map[string]string{"JWKS_URL": url + "/jwks", "JWT_ISSUER": url}, false, "", "Audience"},
		{"keys without an issuer", map[string]string{"JWKS_URL": url + "/jwks", "JWT_AUDIENCE": "chat"}, false, "", "Issuer"},
		{"keys and secret", map[string]string{"JWKS_URL": url + "/jwks", "JWT_ISSUER": url, "JWT_AUDIENCE": "chat", "JWT_SECRET": tokenSecret}, false, bySecret, let},
		{"provider", map[string]string{"JWT_ISSUER": url, "JWT_AUDIENCE": "chat"}, false, byKey, let},
		{"provider, a token for another", map[string]string{"JWT_ISSUER": url, "JWT_AUDIENCE": "chat"}, false, elsewhere, bad},
		{"provider that is none", map[string]string{"JWT_ISSUER": url + "/x", "JWT_AUDIENCE": "chat"}, false, "", "404"},
		{"only an audience", map[string]string{"JWT_AUDIENCE": "chat"}, false, "", "JWT_SECRET, JWKS_URL or JWT_ISSUER"},
		{"query off", map[string]string{"JWT_SECRET": tokenSecret}, true, bySecret, none},
		{"query on", map[string]string{"JWT_SECRET": tokenSecret, "JWT_QUERY": "token"}, true, bySecret, let},
		{"query on, a header", map[string]string{"JWT_SECRET": tokenSecret, "JWT_QUERY": "token"}, false, bySecret, let},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := parseConfig(nil, environment(tt.env))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			a, err := c.jwt(ctx)
			if err != nil {
				if tt.token != "" || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("the error is %v, want %s", err, tt.want)
				}
				return
			}
			r := httptest.NewRequest(http.MethodGet, "/ws", nil)
			if tt.query {
				r.URL.RawQuery = "token=" + tt.token
			} else {
				r.Header.Set("Authorization", "Bearer "+tt.token)
			}
			got := let
			switch _, err := a.Authenticate(ctx, &bridge.Handshake{Request: r}); {
			case errors.Is(err, bridge.ErrNoCredential):
				got = none
			case errors.Is(err, bridge.ErrRejected):
				got = bad
			case err != nil:
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// Without any of the settings no token is accepted, and none is looked for.
func TestNoTokens(t *testing.T) {
	c, err := parseConfig(nil, environment(nil))
	if err != nil || c.tokens() {
		t.Errorf("tokens are asked for without a setting; %v", err)
	}
}
