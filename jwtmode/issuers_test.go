package jwtmode_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"github.com/sessionbridge/sessionbridge/internal/parts"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/jwtmode"
)

// nodeClient keeps no connection open, so that no goroutine outlives a test.
var nodeClient = &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}

func answer(t *testing.T, r *http.Request) []byte {
	t.Helper()
	res, err := nodeClient.Do(r.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s, %v: %.300s", r.Method, r.URL, res.Status, err, body)
	}
	return body
}

// nodeToken has a token made by the issuer of package parts' tokens.js.
func nodeToken(t *testing.T, node *parts.Process, c jwt.MapClaims, query ...string) string {
	t.Helper()
	body := bytes.NewReader(must(json.Marshal(c)))
	r := must(http.NewRequest(http.MethodPost, node.URL+"/sign?"+strings.Join(query, "&"), body))
	return string(answer(t, r))
}

func post(t *testing.T, node *parts.Process, path string) {
	t.Helper()
	answer(t, must(http.NewRequest(http.MethodPost, node.URL+path, nil)))
}

// nodeAlgorithms are those of the two npm packages.
var nodeAlgorithms = map[string][]string{
	"jose":         {"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"},
	"jsonwebtoken": {"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"},
}

func issuedByNode(with jwt.MapClaims) jwt.MapClaims {
	c := claims(jwt.MapClaims{"iss": issuerURL, "aud": "chat"})
	for name, value := range with {
		c[name] = value
	}
	return c
}

// nodeJWKS are the keys of the issuer of tokens.js.
func nodeJWKS(t *testing.T, node *parts.Process) *jwtmode.JWKS {
	t.Helper()
	k, err := jwtmode.NewJWKS(t.Context(), node.URL+"/jwks", &jwtmode.JWKSOptions{
		MinInterval: time.Millisecond, // a test rotates faster than an issuer
		Logger:      slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func nodeOptions(k *jwtmode.JWKS) jwtmode.Options {
	return jwtmode.Options{Algorithms: nodeAlgorithms["jose"], Key: secret, JWKS: k, Issuer: issuerURL, Audience: []string{"chat"}, Type: "JWT"}
}

func TestTokensOfNode(t *testing.T) {
	node := partstest.Tokens(t, secret)
	a := newAuth(t, nodeOptions(nodeJWKS(t, node)))
	for library, algs := range nodeAlgorithms {
		for _, alg := range algs {
			t.Run(library+"/"+alg, func(t *testing.T) {
				token := nodeToken(t, node, issuedByNode(nil), "library="+library, "alg="+alg)
				id, err := authenticate(a, withBearer(token))
				if err != nil || id.User != "42" {
					t.Fatalf("got %v, %v", id, err)
				}
				if !strings.HasPrefix(alg, "HS") {
					withoutKID := nodeToken(t, node, issuedByNode(nil), "library="+library, "alg="+alg, "nokid=1")
					if _, err := authenticate(a, withBearer(withoutKID)); err != nil {
						t.Errorf("without a kid: %v", err)
					}
				}
				for _, bad := range []struct {
					name, message string
					with          jwt.MapClaims
					query         []string
				}{
					{"expired", "jwt expired", jwt.MapClaims{"exp": 1}, nil},
					{"early", "jwt not active", jwt.MapClaims{"nbf": far - 1}, nil},
					{"for another audience", "jwt audience invalid", jwt.MapClaims{"aud": []string{"shop", "mail"}}, nil},
					{"by another issuer", "jwt issuer invalid", jwt.MapClaims{"iss": "https://evil.example"}, nil},
					{"of another type", "invalid token type", nil, []string{"typ=at%2Bjwt"}},
					{"of 1 MB", "jwt malformed", jwt.MapClaims{"x": strings.Repeat("x", 1<<20)}, nil},
				} {
					token := nodeToken(t, node, issuedByNode(bad.with), append(bad.query, "library="+library, "alg="+alg)...)
					checkRefused(t, a, withBearer(token), token, "invalid_token", bad.message, nil)
				}
			})
		}
	}
}

func TestRotationOfNodesKeys(t *testing.T) {
	node := partstest.Tokens(t, secret)
	a := newAuth(t, nodeOptions(nodeJWKS(t, node)))
	for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		former := nodeToken(t, node, issuedByNode(nil), "alg="+alg)
		if got := outcome(t, a, former); got != "let in" {
			t.Fatalf("%s: before the rotation: %s", alg, got)
		}
		post(t, node, "/rotate")
		next := nodeToken(t, node, issuedByNode(nil), "alg="+alg)
		eventually(t, func() bool { return outcome(t, a, next) == "let in" })
		if got := outcome(t, a, former); got != "let in" {
			t.Errorf("%s: the former key, while both are published: %s", alg, got)
		}
		post(t, node, "/retire")
		// The next rotation's kid makes the retirement known.
		post(t, node, "/rotate")
		eventually(t, func() bool {
			return outcome(t, a, nodeToken(t, node, issuedByNode(nil), "alg="+alg)) == "let in"
		})
		if got := outcome(t, a, former); got != "rejected" {
			t.Errorf("%s: a key that was taken back: %s", alg, got)
		}
	}
	// A kid swapped for that of the key of another type, or of another's.
	for _, tt := range []struct{ alg, kid, message string }{
		{"RS256", "p256-1", "invalid signature"}, // gone
		{"RS256", "p256-9", "invalid algorithm"},
		{"ES256", "rsa-9", "invalid algorithm"},
		{"ES256", "p384-9", "invalid algorithm"},
		{"EdDSA", "p256-9", "invalid algorithm"},
		{"RS256", "rsa-8", "invalid signature"},
		{"RS256", "rsa-1000", "invalid signature"},
	} {
		token := nodeToken(t, node, issuedByNode(nil), "alg="+tt.alg, "kid="+tt.kid)
		checkRefused(t, a, withBearer(token), token, "invalid_token", tt.message, nil)
	}
	// The keys stay while the issuer is away, and only what is new is unknown.
	last := nodeToken(t, node, issuedByNode(nil), "alg=ES256")
	if got := outcome(t, a, last); got != "let in" {
		t.Fatal(got)
	}
	unknown := nodeToken(t, node, issuedByNode(nil), "alg=ES256", "kid=next")
	node.Kill()
	if got := outcome(t, a, last); got != "let in" {
		t.Errorf("a known key during the outage: %s", got)
	}
	eventually(t, func() bool { return outcome(t, a, unknown) == "unavailable" })
}

// RS→HS confusion with the keys as the issuer really publishes them: everything
// that an attacker can read of them, as a secret.
func TestPublishedKeysAreNoSecrets(t *testing.T) {
	node := partstest.Tokens(t, secret)
	body := answer(t, must(http.NewRequest(http.MethodGet, node.URL+"/jwks", nil)))
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(body, &set); err != nil {
		t.Fatal(err)
	}
	a := newAuth(t, nodeOptions(nodeJWKS(t, node)))
	secrets := [][]byte{body}
	for _, raw := range set.Keys {
		k, err := jwkset.NewJWKFromRawJSON(raw, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, raw)
		for _, text := range []string{k.Marshal().N, k.Marshal().X, k.Marshal().KID} {
			decoded, _ := base64.RawURLEncoding.DecodeString(text)
			secrets = append(secrets, []byte(text), decoded)
		}
		switch pub := k.Key().(type) {
		case *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey:
			secrets = append(secrets, encodings(pub)...)
		default:
			t.Fatalf("the issuer publishes a %T", pub)
		}
	}
	if len(secrets) < 40 {
		t.Fatalf("only %d secrets to try", len(secrets))
	}
	for _, s := range secrets {
		if len(s) == 0 {
			continue
		}
		for _, kid := range []any{nil, "rsa-1", "p256-1"} {
			if got := outcome(t, a, issued(jwt.SigningMethodHS256, s, kid)); got != "rejected" {
				t.Errorf("a token signed with a public key's text is %s", got)
			}
		}
	}
}

// oidcToken asks the provider for an access token for a service.
func oidcToken(t *testing.T, p *parts.Provider, grant, resource string) string {
	t.Helper()
	form := url.Values{"grant_type": {grant}, "resource": {resource}}
	if grant == "account" {
		form.Set("account", "42")
	}
	r := must(http.NewRequest(http.MethodPost, p.URL+"/token", strings.NewReader(form.Encode())))
	r.SetBasicAuth(p.ClientID, p.ClientSecret)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var token struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(answer(t, r), &token); err != nil || token.AccessToken == "" {
		t.Fatalf("the provider gave no token: %v", err)
	}
	return token.AccessToken
}

// npm's oidc-provider: discovery, its keys, and its access tokens of RFC 9068.
func TestOIDCProvider(t *testing.T) {
	oidc := partstest.OIDC(t)
	p, err := jwtmode.Discover(t.Context(), oidc.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if p.IntrospectionEndpoint != oidc.URL+"/token/introspection" || slices.Contains(p.Algorithms, "HS256") {
		t.Errorf("discovered %+v", p)
	}
	for _, alg := range []string{"rs256", "ps256", "es256", "eddsa"} {
		t.Run(alg, func(t *testing.T) {
			resource := "https://" + alg + ".example"
			a, err := jwtmode.New(jwtmode.Options{Provider: p, Audience: []string{resource}, RFC9068: true})
			if err != nil {
				t.Fatal(err)
			}
			token := oidcToken(t, oidc, "account", resource)
			id, err := authenticate(a, withBearer(token))
			if err != nil || id.User != "42" || id.Claims["client_id"] != oidc.ClientID || id.Claims["scope"] != "chat" {
				t.Errorf("got %+v, %v", id, err)
			}
			id, err = authenticate(a, withBearer(oidcToken(t, oidc, "client_credentials", resource)))
			if err != nil || id.User != oidc.ClientID { // RFC 9068, section 5: no user is there
				t.Errorf("for itself the client got %+v, %v", id, err)
			}
			other := oidcToken(t, oidc, "account", "https://"+alg+".other.example")
			checkRefused(t, a, withBearer(other), other, "invalid_token", "jwt audience invalid", jwt.ErrTokenInvalidAudience)
			opaque := oidcToken(t, oidc, "account", "https://opaque.example")
			checkRefused(t, a, withBearer(opaque), opaque, "invalid_token", "jwt malformed", jwt.ErrTokenMalformed)
			// A token with one character of each part changed.
			for i, part := range strings.Split(token, ".") {
				parts := strings.Split(token, ".")
				flipped := []byte(part)
				flipped[len(part)/2] ^= 1
				parts[i] = string(flipped)
				if got := outcome(t, a, strings.Join(parts, ".")); got != "rejected" {
					t.Errorf("part %d changed: %s", i, got)
				}
			}
		})
	}
}
