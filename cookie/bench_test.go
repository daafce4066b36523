package cookie_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"testing"

	"github.com/sessionbridge/sessionbridge/cookie"
)

// BenchmarkExpressSigned opens a cookie that the only secret has signed, and
// one that the oldest of three has, with the bare HMAC beside it.
func BenchmarkExpressSigned(b *testing.B) {
	b.Run("bare-HMAC", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			mac := hmac.New(sha256.New, []byte("first secret"))
			mac.Write([]byte(sid))
			mac.Sum(nil)
		}
	})
	for name, secrets := range map[string][]string{"1-secret": {"secret"}, "3-secrets": {"first", "second", "secret"}} {
		b.Run(name, func(b *testing.B) {
			opener := cookie.ExpressSigned(secrets...)
			jar := cookie.Jar{"theme=dark; connect.sid=" + encoded("secret", sid) + "; lang=en"}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := opener.Open(jar, "connect.sid"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAuthenticate is all of a handshake but the store's round trip.
func BenchmarkAuthenticate(b *testing.B) {
	a := newAuth(b, expressLogin(), cookie.Express("secret"))
	h := handshake(b, "theme=dark; connect.sid="+encoded("secret", sid)+"; lang=en")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Authenticate(context.Background(), h); err != nil {
			b.Fatal(err)
		}
	}
}
