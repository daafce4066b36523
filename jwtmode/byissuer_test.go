package jwtmode_test

import (
	"crypto/elliptic"
	"errors"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/jwtmode"
)

const ownIssuer = "https://app.example.com"

// twoIssuers accepts ES256 tokens of the provider at issuerURL, whose JWKS has
// key, and HS256 tokens of the application's own.
func twoIssuers(t testing.TB, key pair) *jwtmode.IssuerChoice {
	t.Helper()
	provider := &issuer{}
	provider.publish(keySet(jwk("a", key.verify, nil)))
	choice, err := jwtmode.ByIssuer(
		newAuth(t, jwtmode.Options{Name: "provider", Algorithms: []string{"ES256"}, JWKS: newJWKS(t, provider, jwtmode.JWKSOptions{}), Issuer: issuerURL, Audience: []string{"chat"}}),
		newAuth(t, jwtmode.Options{Name: "app", Issuer: ownIssuer}),
	)
	if err != nil {
		t.Fatal(err)
	}
	return choice
}

func TestByIssuer(t *testing.T) {
	key, other := p256Pair(), newECDSA(elliptic.P256())
	c := twoIssuers(t, key)
	ofProvider := jwt.MapClaims{"iss": issuerURL, "aud": "chat"}
	ofApp := jwt.MapClaims{"iss": ownIssuer}
	kid := map[string]any{"kid": "a"}
	for _, tt := range []struct {
		name, token string
		via         string // "" is refused
		message     string
	}{
		{"the provider's", sign(jwt.SigningMethodES256, key.sign, claims(ofProvider), kid), "provider", ""},
		{"the application's", hs256(claims(ofApp)), "app", ""},
		{"the application's name, the provider's key", sign(jwt.SigningMethodES256, key.sign, claims(ofApp), kid), "", "invalid algorithm"},
		{"the provider's name, the application's key", hs256(claims(ofProvider)), "", "invalid algorithm"},
		{"the provider's name, another key", sign(jwt.SigningMethodES256, other.sign, claims(ofProvider), kid), "", "invalid signature"},
		{"the provider's, for another service", sign(jwt.SigningMethodES256, key.sign, claims(jwt.MapClaims{"iss": issuerURL, "aud": "shop"}), kid), "", "jwt audience invalid"},
		{"another issuer", hs256(claims(jwt.MapClaims{"iss": "https://m4rker.example.com"})), "", "jwt issuer invalid"},
		{"no issuer", hs256(claims(nil)), "", "jwt issuer invalid"},
		{"a list of issuers", hs256(claims(jwt.MapClaims{"iss": []string{issuerURL, ownIssuer}})), "", "jwt issuer invalid"},
		{"an empty issuer", hs256(claims(jwt.MapClaims{"iss": ""})), "", "jwt issuer invalid"},
		{"no token at all", "m4rker", "", "jwt malformed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.via == "" {
				if _, err := authenticate(c, withBearer(tt.token)); tt.message == "jwt issuer invalid" && !strings.Contains(err.Error(), "provider or app: ") {
					t.Errorf("%q does not name the authenticators", err)
				}
				checkRefused(t, c, withBearer(tt.token), tt.token, "invalid_token", tt.message, nil)
				return
			}
			message := &bridge.Message{Kind: bridge.MessageToken, Token: tt.token}
			for what, ask := range map[string]func() (*bridge.Identity, error){
				"header":  func() (*bridge.Identity, error) { return authenticate(c, withBearer(tt.token)) },
				"message": func() (*bridge.Identity, error) { return say(c, request(), message) },
			} {
				id, err := ask()
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				if id.Via != tt.via || id.User != "42" {
					t.Errorf("%s: user %s via %s, want 42 via %s", what, id.User, id.Via, tt.via)
				}
			}
		})
	}
	if _, err := authenticate(c, request()); !errors.Is(err, bridge.ErrNoCredential) || !strings.Contains(err.Error(), "provider or app: ") {
		t.Errorf("without a token: %v", err)
	}
	if traits := c.Traits(); !traits.Message || traits.Ambient || traits.Challenge != "Bearer" {
		t.Errorf("traits %+v", traits)
	}
}

// namedStore is a store that is asked no more than its name.
type namedStore struct{ jwtmode.RevocationStore }

func (namedStore) Name() string { return "store" }

func TestByIssuerRefuses(t *testing.T) {
	one := newAuth(t, jwtmode.Options{Issuer: issuerURL})
	revoked := func(prefixes ...string) (all []*jwtmode.Authenticator) {
		for i, prefix := range prefixes {
			r := must(jwtmode.NewRevocations(namedStore{}, &jwtmode.RevocationOptions{Prefix: prefix}))
			all = append(all, newAuth(t, jwtmode.Options{Name: "n" + string(rune('0'+i)), Issuer: ownIssuer + "/" + string(rune('0'+i)), Revocations: r}))
		}
		return all
	}
	if _, err := jwtmode.ByIssuer(revoked("a:", "b:")...); err != nil {
		t.Errorf("with revocations of their own: %v", err)
	}
	for name, tt := range map[string]struct {
		all  []*jwtmode.Authenticator
		want string
	}{
		"none":                   {nil, "give it one for each issuer"},
		"nil":                    {[]*jwtmode.Authenticator{one, nil}, "an authenticator is nil"},
		"no issuer":              {[]*jwtmode.Authenticator{one, newAuth(t, jwtmode.Options{Name: "b"})}, `"b" has no Issuer`},
		"one issuer twice":       {[]*jwtmode.Authenticator{one, newAuth(t, jwtmode.Options{Name: "b", Issuer: issuerURL})}, "two authenticators have the Issuer"},
		"one name":               {[]*jwtmode.Authenticator{one, newAuth(t, jwtmode.Options{Issuer: ownIssuer})}, `two authenticators are called "jwt"`},
		"other sources":          {[]*jwtmode.Authenticator{one, newAuth(t, jwtmode.Options{Name: "b", Issuer: ownIssuer, Sources: []jwtmode.Source{jwtmode.SourceHeader}})}, "different places"},
		"one set of revocations": {revoked("a:", "b:", "a:"), `"n0" and "n2" have the same revocations`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := jwtmode.ByIssuer(tt.all...); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}
