package jwtmode_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/jwtmode"
)

func TestRotation(t *testing.T) {
	former := []byte("former-" + string(secret))
	t.Run("two secrets", func(t *testing.T) {
		a := newAuth(t, jwtmode.Options{MoreKeys: []any{former}})
		for name, key := range map[string][]byte{"the present one": secret, "the former": former} {
			if _, err := authenticate(a, withBearer(sign(jwt.SigningMethodHS256, key, claims(nil)))); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		third := sign(jwt.SigningMethodHS256, append([]byte("x"), secret...), claims(nil))
		checkRefused(t, a, withBearer(third), third, "invalid_token", "invalid signature", jwt.ErrTokenSignatureInvalid)
	})
	t.Run("from HMAC to RSA to EdDSA", func(t *testing.T) {
		a := newAuth(t, jwtmode.Options{
			Algorithms: []string{"HS256", "RS256", "EdDSA"},
			Key:        ed25519Pair().verify,
			MoreKeys:   []any{rsaPair().verify, secret, otherRSAPair().verify},
		})
		for _, token := range []string{
			hs256(claims(nil)),
			sign(jwt.SigningMethodRS256, rsaPair().sign, claims(nil)),
			sign(jwt.SigningMethodRS256, otherRSAPair().sign, claims(nil)),
			sign(jwt.SigningMethodEdDSA, ed25519Pair().sign, claims(nil)),
		} {
			if _, err := authenticate(a, withBearer(token)); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("a kid chooses nothing", func(t *testing.T) {
		a := newAuth(t, jwtmode.Options{MoreKeys: []any{former}})
		if _, err := authenticate(a, withBearer(hs256(claims(nil), map[string]any{"kid": "another's"}))); err != nil {
			t.Error(err)
		}
	})
}

type contextKey struct{}

func TestKeyFunc(t *testing.T) {
	a := newAuth(t, jwtmode.Options{
		Algorithms: []string{"HS256", "RS256"},
		KeyFunc: func(ctx context.Context, r *http.Request, tok *jwt.Token) (any, error) {
			if ctx.Value(contextKey{}) != "ctx" || r.Host != "example.com" {
				t.Errorf("the function got another context or request")
			}
			if c := tok.Claims.(jwt.MapClaims); tok.Valid || tok.Method == nil || c["sub"] != "42" {
				t.Errorf("the function got the token %+v", tok)
			}
			if tok.Header["kid"] == "rsa" {
				return rsaPair().verify, nil
			}
			return secret, nil
		},
	})
	ctx := context.WithValue(context.Background(), contextKey{}, "ctx")
	for _, token := range []string{
		hs256(claims(nil)),
		sign(jwt.SigningMethodRS256, rsaPair().sign, claims(nil), map[string]any{"kid": "rsa"}),
	} {
		if _, err := a.Authenticate(ctx, &bridge.Handshake{Request: withBearer(token)}); err != nil {
			t.Error(err)
		}
	}
}

func TestKeyFuncOutcomes(t *testing.T) {
	token := hs256(claims(nil))
	tests := []struct {
		name    string
		key     any
		err     error
		message string // of a refusal with 401; "" is could not find out, 503
	}{
		{"cannot be reached", nil, errors.New("connection refused"), ""},
		{"timeout", secret, context.DeadlineExceeded, ""},
		{"nothing", nil, nil, "no secret is known for this token"},
		{"a string", string(secret), nil, ""},
		{"an empty secret", []byte{}, nil, ""},
		{"a short secret", secret[:31], nil, ""},
		{"a private key", rsaPair().sign, nil, ""},
		{"no key of this kid", nil, bridge.ErrNoCredential, "no secret is known for this token"},
		{"rejected", nil, bridge.ErrRejected, "the credential is not valid"},
		{"rejected with a message", nil, bridge.Reject(bridge.CodeInvalidToken, "jwt revoked", nil), "jwt revoked"},
		{"another's secret", append([]byte("x"), secret...), nil, "invalid signature"},
		{"an RSA key for an HMAC", rsaPair().verify, nil, "invalid algorithm"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newAuth(t, jwtmode.Options{
				Algorithms: []string{"HS256", "RS256"},
				KeyFunc:    func(context.Context, *http.Request, *jwt.Token) (any, error) { return tt.key, tt.err },
			})
			id, err := authenticate(a, withBearer(token))
			if id != nil || err == nil || errors.Is(err, bridge.ErrNoCredential) || errors.Is(err, bridge.ErrRejected) != (tt.message != "") {
				t.Fatalf("got %v, %v", id, err)
			}
			got := refused(t, a, withBearer(token))
			if tt.message == "" {
				if got.status != http.StatusServiceUnavailable || got.code != "unavailable" {
					t.Errorf("the client got %d %q", got.status, got.code)
				}
			} else if got.status != http.StatusUnauthorized || got.message != tt.message || (got.code == "invalid_secret") != strings.HasPrefix(tt.message, "no secret") {
				t.Errorf("the client got %d %q %q, want 401 %q", got.status, got.code, got.message, tt.message)
			}
			checkSilent(t, token, err.Error(), got.message, got.log)
		})
	}
}

// KeyFunc is not asked for tokens that cannot be good.
func TestKeyFuncIsSpared(t *testing.T) {
	asked := false
	a := newAuth(t, jwtmode.Options{KeyFunc: func(context.Context, *http.Request, *jwt.Token) (any, error) {
		asked = true
		return secret, nil
	}})
	for _, tt := range hostile() {
		asked = false
		id, err := authenticate(a, withBearer(tt.token))
		checkRejected(t, id, err)
		if early := tt.message == "jwt malformed" || tt.message == "invalid algorithm" || tt.message == "jwt signature is required"; asked == early {
			t.Errorf("%s: asked = %v", tt.name, asked)
		}
	}
}
