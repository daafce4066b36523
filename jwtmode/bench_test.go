package jwtmode_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/jwtmode"
)

// BenchmarkAuthenticate measures, for each algorithm, a handshake's token from
// the header to the identity, with a key at hand and with one out of a JWKS,
// beside golang-jwt's own parser, with the same checks, on the same token.
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
		if _, isSecret := keys.verify.([]byte); !isSecret {
			b.Run(alg.method.Alg()+"/JWKS", func(b *testing.B) {
				set := newJWKS(b, &issuer{body: keySet(jwk("a", keys.verify, nil))}, jwtmode.JWKSOptions{})
				a := newAuth(b, jwtmode.Options{Algorithms: names, JWKS: set, Issuer: "https://login.example.com", Audience: []string{"chat"}})
				token := sign(alg.method, keys.sign, jwt.MapClaims{"sub": "42", "exp": far, "iat": 1, "iss": "https://login.example.com", "aud": "chat"}, map[string]any{"kid": "a"})
				h := &bridge.Handshake{Request: withBearer(token)}
				ctx := context.Background()
				b.ReportAllocs()
				for b.Loop() {
					if _, err := a.Authenticate(ctx, h); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
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

// BenchmarkHandshake is a whole handshake over loopback, client included: with
// a token in the header, beside a bare gorilla upgrade.
func BenchmarkHandshake(b *testing.B) {
	upgrader := websocket.Upgrader{}
	bare := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ws, err := upgrader.Upgrade(w, r, nil); err == nil {
			_, _, _ = ws.ReadMessage()
			_ = ws.Close()
		}
	})
	header := http.Header{"Authorization": {"Bearer " + hs256(claims(nil))}}
	b.Run("bare", func(b *testing.B) { handshakes(b, bare, header) })
	for _, alg := range algorithms {
		name := alg.method.Alg()
		if !slices.Contains([]string{"HS256", "RS256", "PS256", "ES256", "EdDSA"}, name) {
			continue
		}
		keys := alg.keys()
		header := http.Header{"Authorization": {"Bearer " + issued(alg.method, keys.sign, "a")}}
		opts := jwtmode.Options{Algorithms: []string{name}, Issuer: issuerURL, Audience: []string{"chat"}, Key: keys.verify}
		b.Run(name, func(b *testing.B) { handshakes(b, served(b, opts), header) })
		if name != "HS256" {
			opts.Key, opts.JWKS = nil, newJWKS(b, &issuer{body: keySet(jwk("a", keys.verify, nil))}, jwtmode.JWKSOptions{})
			b.Run(name+" by JWKS", func(b *testing.B) { handshakes(b, served(b, opts), header) })
		}
	}
}

// served is the hook, which reads until the client leaves.
func served(b *testing.B, o jwtmode.Options) http.Handler {
	hook, err := bridge.New(newAuth(b, o), &bridge.Options{OmitEvents: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := hook.Shutdown(ctx); err != nil {
			b.Error(err)
		}
	})
	return hook.Handler(func(c *bridge.Conn) {
		for {
			if _, _, err := c.ReadMessage(); err != nil {
				return
			}
		}
	})
}

func handshakes(b *testing.B, h http.Handler, header http.Header) {
	srv := httptest.NewServer(h)
	defer srv.Close()
	url := "ws" + strings.TrimPrefix(srv.URL, "http")
	b.ReportAllocs()
	for b.Loop() {
		ws, _, err := websocket.DefaultDialer.Dial(url, header)
		if err != nil {
			b.Fatal(err)
		}
		_ = ws.Close()
	}
}
