package jwtmode_test

import (
	"errors"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/jwtmode"
)

// FuzzJWKS lets an issuer answer anything. A token is let in only by the key
// that signed it, and an answer that is none never rejects it.
func FuzzJWKS(f *testing.F) {
	key, foreign := p256Pair(), ed25519Pair()
	ours, theirs := jwk("a", key.verify, nil), jwk("b", foreign.verify, nil)
	seeds := []string{
		keySet(ours), keySet(theirs), keySet(ours, theirs), keySet(),
		keySet(jwk("a", rsaPair().verify, nil), jwk("a", p521Pair().verify, nil)),
		keySet(jwk("a", key.verify, map[string]any{"use": "enc", "alg": "ECDH-ES"})),
		keySet(jwk("a", key.verify, map[string]any{"x5u": "https://issuer.example/", "x5c": []string{"AAAA"}})),
		`{"keys":[{"kty":"oct","kid":"a","k":"AAAA"},{"kty":"RSA","kid":"a","n":"AQ","e":"AQAB"}]}`,
		`{"keys":null}`, `[]`, ``,
	}
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	good, forged := es256(key, "a"), issued(jwt.SigningMethodES256, newECDSA(p256Curve).sign, "a")
	f.Fuzz(func(t *testing.T, body []byte) {
		a := byJWKS(t, newJWKS(t, &issuer{body: string(body)}, jwtmode.JWKSOptions{}), "ES256", "RS256", "EdDSA")
		id, err := authenticate(a, withBearer(good))
		if (id == nil) == (err == nil) || errors.Is(err, bridge.ErrNoCredential) {
			t.Fatalf("got %v, %v", id, err)
		}
		if id, err := authenticate(a, withBearer(forged)); err == nil {
			t.Fatalf("a forged token is let in as %v", id)
		}
	})
}
