package main

import (
	"crypto/rand"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/jwtmode"
)

const (
	tokenIssuer   = "demo"
	tokenAudience = "demo-socket"
	tokenLife     = 5 * time.Minute
)

// tokens signs JWTs for those who are logged in.
type tokens struct {
	secret []byte
}

func newTokens() *tokens {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	return &tokens{secret}
}

// options are what the socket service must know to accept the tokens.
func (t *tokens) options() jwtmode.Options {
	return jwtmode.Options{
		Algorithms: []string{"HS256"},
		Key:        t.secret,
		Issuer:     tokenIssuer,
		Audience:   []string{tokenAudience},
	}
}

// sign returns a token for a user that holds for d.
func (t *tokens) sign(user string, d time.Duration) (string, error) {
	now := time.Now()
	return jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{
		Issuer:    tokenIssuer,
		Audience:  jwt.ClaimStrings{tokenAudience},
		Subject:   user,
		IssuedAt:  jwt.NewNumericDate(now),
		ExpiresAt: jwt.NewNumericDate(now.Add(d)),
	}).SignedString(t.secret)
}

// issue gives whoever is logged in a token.
func (t *tokens) issue(w http.ResponseWriter, r *http.Request) {
	id, ok := bridge.FromContext(r.Context())
	if !ok {
		http.Error(w, "log in first", http.StatusUnauthorized)
		return
	}
	token, err := t.sign(id.User, tokenLife)
	if err != nil {
		fail(w, err)
		return
	}
	answer(w, http.StatusOK, map[string]any{"token": token})
}
