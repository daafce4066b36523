package jwtmode_test

import (
	"context"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/jwtmode"
)

// BenchmarkAuthenticate measures, for each algorithm, a handshake's token from
// the header to the identity, beside golang-jwt's own parser, with the same
// checks, on the same token.
func BenchmarkAuthenticate(b *testing.B) {
	for _, alg := range algorithms {
		keys := alg.keys()
		names := []string{alg.method.Alg()}
		token := sign(alg.method, keys.sign, jwt.MapClaims{"sub": "42", "exp": far, "iat": 1, "iss": "https://login.example.com", "aud": "chat"})
		b.Run(alg.method.Alg()+"/authenticate", func(b *testing.B) {
			a := newAuth(b, jwtmode.Options{Algorithms: names, Key: keys.verify, Issuer: "https://login.example.com", Audience: []string{"chat"}})
			h := &bridge.Handshake{Request: withBearer(token)}
			ctx := context.Background()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := a.Authenticate(ctx, h); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(alg.method.Alg()+"/golang-jwt", func(b *testing.B) {
			p := jwt.NewParser(jwt.WithValidMethods(names), jwt.WithJSONNumber(), jwt.WithStrictDecoding(), jwt.WithExpirationRequired(),
				jwt.WithIssuedAt(), jwt.WithIssuer("https://login.example.com"), jwt.WithAudience("chat"))
			key := func(*jwt.Token) (any, error) { return keys.verify, nil }
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Parse(token, key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
