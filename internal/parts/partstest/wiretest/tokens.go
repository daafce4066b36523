package wiretest

import (
	"maps"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/jwtmode"
)

// Secret signs the tokens that Tokens accepts.
var Secret = []byte("0123456789abcdef0123456789abcdef")

// Sign returns a token that holds for d, with further claims.
func Sign(t testing.TB, user string, d time.Duration, more ...jwt.MapClaims) string {
	t.Helper()
	claims := jwt.MapClaims{"sub": user, "exp": time.Now().Add(d).Unix()}
	for _, m := range more {
		maps.Copy(claims, m)
	}
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(Secret)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Tokens accepts tokens of HS256, and none that is over by however little.
func Tokens(t testing.TB) bridge.Authenticator {
	t.Helper()
	a, err := jwtmode.New(jwtmode.Options{Algorithms: []string{"HS256"}, Key: Secret, Leeway: -1})
	if err != nil {
		t.Fatal(err)
	}
	return a
}
