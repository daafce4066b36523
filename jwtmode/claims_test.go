package jwtmode_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sessionbridge/sessionbridge/jwtmode"
)

func TestAudienceAndIssuer(t *testing.T) {
	one := jwtmode.Options{Audience: []string{"chat"}, Issuer: "https://login.example.com"}
	two := jwtmode.Options{Audience: []string{"chat", "game"}}
	tests := []struct {
		name    string
		opts    jwtmode.Options
		claims  jwt.MapClaims
		message string // "" is let in
	}{
		{"not checked", jwtmode.Options{}, jwt.MapClaims{"aud": "shop", "iss": marker}, ""},
		{"both right", one, jwt.MapClaims{"aud": "chat", "iss": "https://login.example.com"}, ""},
		{"one of the token's audiences", one, jwt.MapClaims{"aud": []string{"shop", "chat"}, "iss": "https://login.example.com"}, ""},
		{"one of ours", two, jwt.MapClaims{"aud": "game"}, ""},
		{"wrong audience", one, jwt.MapClaims{"aud": "m4rker", "iss": "https://login.example.com"}, "jwt audience invalid"},
		{"wrong audiences", two, jwt.MapClaims{"aud": []string{"shop", "m4rker"}}, "jwt audience invalid"},
		{"no audience", one, jwt.MapClaims{"iss": "https://login.example.com"}, "jwt audience invalid"},
		{"empty audiences", one, jwt.MapClaims{"aud": []string{}}, "jwt audience invalid"},
		{"audience in capitals", one, jwt.MapClaims{"aud": "CHAT"}, "jwt audience invalid"},
		{"audience part of ours", one, jwt.MapClaims{"aud": "cha"}, "jwt audience invalid"},
		{"audience a number", one, jwt.MapClaims{"aud": 1}, "jwt audience invalid"},
		{"audience an object", one, jwt.MapClaims{"aud": map[string]any{"chat": true}}, "jwt audience invalid"},
		{"audiences not all strings", one, jwt.MapClaims{"aud": []any{"chat", 1}}, "jwt audience invalid"},
		{"wrong issuer", one, jwt.MapClaims{"aud": "chat", "iss": "https://m4rker.example.com"}, "jwt issuer invalid"},
		{"no issuer", one, jwt.MapClaims{"aud": "chat"}, "jwt issuer invalid"},
		{"issuer with a slash behind", one, jwt.MapClaims{"aud": "chat", "iss": "https://login.example.com/"}, "jwt issuer invalid"},
		{"issuer a list", one, jwt.MapClaims{"aud": "chat", "iss": []string{"https://login.example.com"}}, "jwt issuer invalid"},
		{"expired for another audience", one, jwt.MapClaims{"exp": 1, "aud": "shop"}, "jwt expired"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newAuth(t, tt.opts)
			token := hs256(claims(tt.claims))
			if tt.message != "" {
				checkRefused(t, a, withBearer(token), token, "invalid_token", tt.message, nil)
			} else if _, err := authenticate(a, withBearer(token)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestUser(t *testing.T) {
	tests := []struct{ name, claim, payload, want string }{
		{"string", "", `"sub":"auth0|5f7c"`, "auth0|5f7c"},
		{"text", "", `"sub":"Jürgen 👋"`, "Jürgen 👋"},
		{"integer", "", `"sub":42`, "42"},
		{"zero", "", `"sub":0`, "0"},
		{"negative", "", `"sub":-7`, "-7"},
		{"integer that is no float64", "", `"sub":9007199254740993`, "9007199254740993"},
		{"integer that is no int64", "", `"sub":340282366920938463463374607431768211455`, "340282366920938463463374607431768211455"},
		{"own claim", "user_id", `"sub":"x","user_id":42`, "42"},
		{"own claim with dots", "https://example.com/uid", `"https://example.com/uid":"42"`, "42"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newAuth(t, jwtmode.Options{UserClaim: tt.claim})
			id, err := authenticate(a, withBearer(rawToken(`{"alg":"HS256"}`, `{"exp":4102444800,`+tt.payload+`}`)))
			if err != nil {
				t.Fatal(err)
			}
			if id.User != tt.want {
				t.Errorf("user %q, want %q", id.User, tt.want)
			}
		})
	}
	t.Run("sub does not stand in for the own claim", func(t *testing.T) {
		a := newAuth(t, jwtmode.Options{UserClaim: "user_id"})
		token := hs256(claims(nil))
		checkRefused(t, a, withBearer(token), token, "invalid_token", "jwt subject invalid", jwt.ErrTokenInvalidSubject)
	})
}

// To the second, by the bubble's clock.
func TestLeeway(t *testing.T) {
	now := bubbleStart.Unix()
	tests := []struct {
		name   string
		leeway time.Duration
		claims jwt.MapClaims
		is     error // nil is let in
	}{
		{"default: exp 29 s ago", 0, jwt.MapClaims{"exp": now - 29}, nil},
		{"default: exp 30 s ago", 0, jwt.MapClaims{"exp": now - 30}, jwt.ErrTokenExpired},
		{"default: nbf in 30 s", 0, jwt.MapClaims{"nbf": now + 30}, nil},
		{"default: nbf in 31 s", 0, jwt.MapClaims{"nbf": now + 31}, jwt.ErrTokenNotValidYet},
		{"default: iat in 30 s", 0, jwt.MapClaims{"iat": now + 30}, nil},
		{"default: iat in 31 s", 0, jwt.MapClaims{"iat": now + 31}, jwt.ErrTokenUsedBeforeIssued},
		{"none: exp in 1 s", -1, jwt.MapClaims{"exp": now + 1}, nil},
		{"none: exp in 1 ms", -1, jwt.MapClaims{"exp": float64(now) + 0.001}, nil},
		{"none: exp now", -1, jwt.MapClaims{"exp": now}, jwt.ErrTokenExpired},
		{"none: nbf and iat now", -1, jwt.MapClaims{"nbf": now, "iat": now}, nil},
		{"none: nbf in 1 s", -1, jwt.MapClaims{"nbf": now + 1}, jwt.ErrTokenNotValidYet},
		{"5 min: exp 299 s ago", 5 * time.Minute, jwt.MapClaims{"exp": now - 299}, nil},
		{"5 min: exp 300 s ago", 5 * time.Minute, jwt.MapClaims{"exp": now - 300}, jwt.ErrTokenExpired},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAuth(t, jwtmode.Options{Leeway: tt.leeway})
				token := hs256(claims(tt.claims))
				if tt.is != nil {
					message := "jwt not active"
					if tt.is == jwt.ErrTokenExpired {
						message = "jwt expired"
					}
					checkRefused(t, a, withBearer(token), token, "invalid_token", message, tt.is)
				} else if id, err := authenticate(a, withBearer(token)); err != nil {
					t.Error(err)
				} else if !id.Expires.After(time.Now()) {
					t.Errorf("let in, but until %v", id.Expires)
				}
			})
		})
	}
}
