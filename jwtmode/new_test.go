package jwtmode_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/jwtmode"
)

func TestNewRefuses(t *testing.T) {
	pub := rsaPair().verify.(*rsa.PublicKey)
	p256 := p256Pair().verify.(*ecdsa.PublicKey)
	pkix := must(x509.MarshalPKIXPublicKey(pub))
	keyFunc := func(context.Context, *http.Request, *jwt.Token) (any, error) { return secret, nil }
	jwks := newJWKS(t, &issuer{}, jwtmode.JWKSOptions{})
	provider := &jwtmode.Provider{Issuer: issuerURL, JWKS: jwks, Algorithms: []string{"RS256"}}
	hs := []string{"HS256"}
	rs := []string{"RS256"}
	es := []string{"ES256"}
	tests := []struct {
		name string
		opts jwtmode.Options
		want string // in the error: what to write instead
	}{
		{"nothing", jwtmode.Options{}, "no Algorithms; list"},
		{"no algorithms", jwtmode.Options{Key: secret}, "no Algorithms; list"},
		{"an algorithm that is none", jwtmode.Options{Key: secret, Algorithms: []string{"HS256", "HS1"}}, "may list ES256, ES384"},
		{"an empty algorithm", jwtmode.Options{Key: secret, Algorithms: []string{""}}, "may list ES256"},
		{"an algorithm in small letters", jwtmode.Options{Key: secret, Algorithms: []string{"hs256"}}, "may list ES256"},
		{"none", jwtmode.Options{Key: secret, Algorithms: []string{"HS256", "none"}}, `"none" lets anybody sign`},
		{"None", jwtmode.Options{Key: secret, Algorithms: []string{"None"}}, `"none" lets anybody sign`},

		{"no key", jwtmode.Options{Algorithms: hs}, "no Key; give the secret"},
		{"Key and KeyFunc", jwtmode.Options{Algorithms: hs, Key: secret, KeyFunc: keyFunc}, "no effect beside KeyFunc"},
		{"MoreKeys and KeyFunc", jwtmode.Options{Algorithms: hs, MoreKeys: []any{secret}, KeyFunc: keyFunc}, "no effect beside KeyFunc"},
		{"MoreKeys without Key", jwtmode.Options{Algorithms: hs, MoreKeys: []any{secret}}, "Key: the key is nil"},
		{"nil in MoreKeys", jwtmode.Options{Algorithms: hs, Key: secret, MoreKeys: []any{secret, nil}}, "MoreKeys[1]: the key is nil"},
		{"empty secret", jwtmode.Options{Algorithms: hs, Key: []byte{}}, "environment variable unset"},
		{"empty secret, insecure", jwtmode.Options{Algorithms: hs, Key: []byte(nil), InsecureShortSecrets: true}, "environment variable unset"},
		{"nil RSA key", jwtmode.Options{Algorithms: rs, Key: (*rsa.PublicKey)(nil)}, "RSA key is nil"},
		{"zero RSA key", jwtmode.Options{Algorithms: rs, Key: &rsa.PublicKey{}}, "RSA key is nil"},
		{"nil ECDSA key", jwtmode.Options{Algorithms: es, Key: (*ecdsa.PublicKey)(nil)}, "ECDSA key is nil"},
		{"zero ECDSA key", jwtmode.Options{Algorithms: es, Key: &ecdsa.PublicKey{}}, "ECDSA key is nil"},
		{"ECDSA key of a curve only", jwtmode.Options{Algorithms: es, Key: &ecdsa.PublicKey{Curve: elliptic.P256()}}, "ECDSA key is nil"},
		{"nil Ed25519 key", jwtmode.Options{Algorithms: []string{"EdDSA"}, Key: ed25519.PublicKey(nil)}, "has 32 bytes"},
		{"short Ed25519 key", jwtmode.Options{Algorithms: []string{"EdDSA"}, Key: make(ed25519.PublicKey, 31)}, "has 32 bytes"},

		{"string secret", jwtmode.Options{Algorithms: hs, Key: string(secret)}, "[]byte(secret)"},
		{"PEM string", jwtmode.Options{Algorithms: rs, Key: "-----BEGIN PUBLIC KEY-----"}, "jwt.ParseRSAPublicKeyFromPEM"},
		{"RSA key as a value", jwtmode.Options{Algorithms: rs, Key: *pub}, "pointer"},
		{"RSA private key", jwtmode.Options{Algorithms: rs, Key: rsaPair().sign}, "public half"},
		{"Ed25519 private key", jwtmode.Options{Algorithms: []string{"EdDSA"}, Key: ed25519Pair().sign}, "public half"},
		{"a list as the key", jwtmode.Options{Algorithms: hs, Key: []any{secret}}, "see Options.Key"},

		{"short secret for HS256", jwtmode.Options{Algorithms: hs, Key: secret[:31]}, "has 31 bytes and HS256 needs 32"},
		{"short secret for HS384", jwtmode.Options{Algorithms: []string{"HS384"}, Key: secret[:47]}, "HS384 needs 48"},
		{"short secret for HS512", jwtmode.Options{Algorithms: []string{"HS256", "HS512"}, Key: secret[:63]}, "HS512 needs 64"},
		{"short secret among others", jwtmode.Options{Algorithms: hs, Key: secret, MoreKeys: []any{secret[:31]}}, "MoreKeys[0]: the secret has 31 bytes"},
		{"short RSA key", jwtmode.Options{Algorithms: rs, Key: &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2046), E: 65537}}, "has 2047 bits; 2048"},
		{"short RSA key, insecure", jwtmode.Options{Algorithms: rs, Key: &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}, InsecureShortSecrets: true}, "has 1024 bits; 2048"},
		{"RSA exponent 1", jwtmode.Options{Algorithms: rs, Key: &rsa.PublicKey{N: pub.N, E: 1}}, "exponent 1"},
		{"RSA exponent even", jwtmode.Options{Algorithms: rs, Key: &rsa.PublicKey{N: pub.N, E: 65536}}, "exponent 65536"},
		{"ECDSA key off its curve", jwtmode.Options{Algorithms: es, Key: offCurve(p256)}, "no point on its curve"},
		{"ECDSA key on P-224", jwtmode.Options{Algorithms: es, Key: &must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader)).PublicKey}, "curve of no JWT algorithm"},

		{"secret for RS256", jwtmode.Options{Algorithms: rs, Key: secret}, "allow that key's algorithm"},
		{"RSA key for HS256", jwtmode.Options{Algorithms: hs, Key: pub}, "allow that key's algorithm"},
		{"RSA key for ES256", jwtmode.Options{Algorithms: es, Key: pub}, "allow that key's algorithm"},
		{"P-384 key for ES256", jwtmode.Options{Algorithms: es, Key: p384Pair().verify}, "allow that key's algorithm"},
		{"RSA key for RS256 and HS256", jwtmode.Options{Algorithms: []string{"RS256", "HS256"}, Key: pub}, "HS256 is verified with an HMAC secret"},
		{"P-256 key for ES256 and ES384", jwtmode.Options{Algorithms: []string{"ES256", "ES384"}, Key: p256}, "ES384 is verified with a P-384 public key"},
		{"a key that serves no algorithm", jwtmode.Options{Algorithms: rs, Key: pub, MoreKeys: []any{secret}}, "MoreKeys[0] is an HMAC secret"},
		{"PEM as a secret", jwtmode.Options{Algorithms: hs, Key: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix})}, "jwt.ParseRSAPublicKeyFromPEM"},
		{"DER as a secret", jwtmode.Options{Algorithms: hs, Key: pkix}, "encoding of a key"},
		{"PKCS #1 as a secret", jwtmode.Options{Algorithms: hs, Key: x509.MarshalPKCS1PublicKey(pub)}, "encoding of a key"},
		{"JWK as a secret", jwtmode.Options{Algorithms: hs, Key: []byte(`{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_w","e":"AQAB"}`)}, "encoding of a key"},

		{"leeway of an hour", jwtmode.Options{Algorithms: hs, Key: secret, Leeway: time.Hour}, "at most 5m0s"},
		{"unknown source", jwtmode.Options{Algorithms: hs, Key: secret, Sources: []jwtmode.Source{"headers"}}, `["header" "subprotocol" "message" "cookie" "query"]`},
		{"source twice", jwtmode.Options{Algorithms: hs, Key: secret, Sources: []jwtmode.Source{"header", "message", "header"}}, `"header" twice`},
		{"cookie without a name", jwtmode.Options{Algorithms: hs, Key: secret, Sources: []jwtmode.Source{jwtmode.SourceCookie}}, "name the cookie"},
		{"cookie that can be none", jwtmode.Options{Algorithms: hs, Key: secret, Sources: []jwtmode.Source{jwtmode.SourceCookie}, Cookie: "a b"}, "name the cookie"},
		{"cookie that is not read", jwtmode.Options{Algorithms: hs, Key: secret, Cookie: "token"}, "list it in Sources"},
		{"parameter that is not read", jwtmode.Options{Algorithms: hs, Key: secret, QueryParam: "token"}, "list it in Sources"},
		{"empty claim", jwtmode.Options{Algorithms: hs, Key: secret, RequiredClaims: []string{""}}, "RequiredClaims"},
		{"RFC 9068 without an audience", jwtmode.Options{Algorithms: hs, Key: secret, RFC9068: true, Issuer: issuerURL}, "an Issuer and an Audience"},
		{"RFC 9068 without an issuer", jwtmode.Options{Algorithms: hs, Key: secret, RFC9068: true, Audience: []string{"chat"}}, "an Issuer and an Audience"},
		{"RFC 9068 of another type", jwtmode.Options{Algorithms: hs, Key: secret, RFC9068: true, Issuer: issuerURL, Audience: []string{"chat"}, Type: "JWT"}, "leave Type empty"},

		{"JWKS without an issuer", jwtmode.Options{Algorithms: rs, JWKS: jwks, Audience: []string{"chat"}}, "InsecureAnyIssuer"},
		{"JWKS without an audience", jwtmode.Options{Algorithms: rs, JWKS: jwks, Issuer: issuerURL}, "InsecureAnyAudience"},
		{"JWKS without algorithms", jwtmode.Options{JWKS: jwks, Issuer: issuerURL, Audience: []string{"chat"}}, "no Algorithms; list"},
		{"JWKS for a secret", jwtmode.Options{Algorithms: []string{"RS256", "HS256"}, JWKS: jwks, Issuer: issuerURL, Audience: []string{"chat"}}, "no part of a JWKS"},
		{"JWKS and KeyFunc", jwtmode.Options{Algorithms: rs, JWKS: jwks, KeyFunc: keyFunc, Issuer: issuerURL, Audience: []string{"chat"}}, "no effect beside KeyFunc"},
		{"JWKS and a key that serves nothing", jwtmode.Options{Algorithms: rs, JWKS: jwks, Key: secret, Issuer: issuerURL, Audience: []string{"chat"}}, "allow that key's algorithm"},
		{"Provider and JWKS", jwtmode.Options{JWKS: jwks, Provider: provider, Audience: []string{"chat"}}, "no effect beside Provider"},
		{"Provider and KeyFunc", jwtmode.Options{KeyFunc: keyFunc, Provider: provider, Audience: []string{"chat"}}, "no effect beside Provider"},
		{"Provider and another issuer", jwtmode.Options{Provider: provider, Issuer: "https://evil.example", Audience: []string{"chat"}}, "leave Issuer empty"},
		{"Provider without an audience", jwtmode.Options{Provider: provider}, "InsecureAnyAudience"},
		{"Provider without algorithms", jwtmode.Options{Provider: &jwtmode.Provider{Issuer: issuerURL, JWKS: jwks}, Audience: []string{"chat"}}, "no Algorithms; list"},
		{"Provider not discovered", jwtmode.Options{Provider: &jwtmode.Provider{}, Audience: []string{"chat"}}, "Discover makes one"},
		{"empty audience", jwtmode.Options{Algorithms: hs, Key: secret, Audience: []string{""}}, "leave Audience nil"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := jwtmode.New(tt.opts)
			if err == nil || a != nil {
				t.Fatalf("New = %v, %v; want an error only", a, err)
			}
			if !strings.HasPrefix(err.Error(), "jwtmode: ") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("the error is %q; want one with %q", err, tt.want)
			}
			checkSilent(t, "", err.Error())
		})
	}
}

// offCurve is k with one coordinate of another point.
func offCurve(k *ecdsa.PublicKey) *ecdsa.PublicKey {
	other := newECDSA(k.Curve).verify.(*ecdsa.PublicKey)
	bad := *k
	bad.Y = other.Y //lint:ignore SA1019 there is no other way to make a bad key
	return &bad
}

func TestShortSecretsInsecure(t *testing.T) {
	short := []byte("keyboard cat")
	a := newAuth(t, jwtmode.Options{Key: short, InsecureShortSecrets: true})
	if _, err := authenticate(a, withBearer(sign(jwt.SigningMethodHS256, short, claims(nil)))); err != nil {
		t.Error(err)
	}
}

// What the caller does with his slices later changes nothing.
func TestOptionsAreCopied(t *testing.T) {
	key, audience, sources := []byte(string(secret)), []string{"chat"}, []jwtmode.Source{jwtmode.SourceHeader}
	a := newAuth(t, jwtmode.Options{Key: key, Audience: audience, Sources: sources})
	clear(key)
	audience[0] = "shop"
	sources[0] = jwtmode.SourceMessage
	if _, err := authenticate(a, withBearer(hs256(claims(jwt.MapClaims{"aud": "chat"})))); err != nil {
		t.Error(err)
	}
}

func TestTraits(t *testing.T) {
	tests := []struct {
		name    string
		sources []jwtmode.Source
		want    bridge.Traits
	}{
		{"default", nil, bridge.Traits{Message: true, Subprotocols: []string{"bearer"}, Challenge: "Bearer"}},
		{"header", []jwtmode.Source{jwtmode.SourceHeader}, bridge.Traits{Challenge: "Bearer"}},
		{"subprotocol", []jwtmode.Source{jwtmode.SourceSubprotocol}, bridge.Traits{Subprotocols: []string{"bearer"}, Challenge: "Bearer"}},
		{"query", []jwtmode.Source{jwtmode.InsecureSourceQuery}, bridge.Traits{Challenge: "Bearer"}},
		{"message", []jwtmode.Source{jwtmode.SourceMessage}, bridge.Traits{Message: true, Challenge: "Bearer"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, bridge.TraitsOf(newAuth(t, jwtmode.Options{Sources: tt.sources}))); diff != "" {
				t.Errorf("traits (-want +got):\n%s", diff)
			}
		})
	}
}

// A browser attaches a cookie by itself.
func TestTraitsOfCookie(t *testing.T) {
	want := bridge.Traits{Ambient: true, Message: true, Subprotocols: []string{"bearer"}, Challenge: "Bearer"}
	if diff := cmp.Diff(want, bridge.TraitsOf(newAuth(t, everywhere()))); diff != "" {
		t.Errorf("traits (-want +got):\n%s", diff)
	}
}
