package jwtmode_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/jwtmode"
)

func TestType(t *testing.T) {
	for _, tt := range []struct {
		want string
		typ  any // nil: none
		let  bool
	}{
		{"", nil, true},
		{"", "JWT", true},
		{"", 1, true},
		{"", "ticket+jwt", false},
		{"", "application/Ticket+JWT", false},
		{"JWT", "JWT", true},
		{"JWT", "jwt", true},
		{"jwt", "application/JWT", true},
		{"JWT", "at+jwt", false},
		{"JWT", nil, false},
		{"at+jwt", "at+jwt", true},
		{"at+jwt", "AT+JWT", true},
		{"at+jwt", "application/at+jwt", true},
		{"application/at+jwt", "at+jwt", true},
		{"at+jwt", "JWT", false},
		{"at+jwt", "at+jwt ", false},
		{"at+jwt", "text/at+jwt", false},
		{"at+jwt", "application/application/at+jwt", false},
		{"at+jwt", "", false},
		{"at+jwt", nil, false},
		{"at+jwt", []string{"at+jwt"}, false},
	} {
		header := map[string]any{"typ": tt.typ}
		if tt.typ == nil {
			header = map[string]any{"x": 1}
		}
		token := hs256(claims(nil), header)
		if tt.typ == nil {
			token = rawToken(`{"alg":"HS256"}`, `{"sub":"42","exp":4102444800}`)
		}
		a := newAuth(t, jwtmode.Options{Type: tt.want})
		if !tt.let {
			checkRefused(t, a, withBearer(token), token, "invalid_token", "invalid token type", jwt.ErrTokenUnverifiable)
		} else if _, err := authenticate(a, withBearer(token)); err != nil {
			t.Errorf("Type %q, typ %v: %v", tt.want, tt.typ, err)
		}
	}
}

func TestRequiredClaims(t *testing.T) {
	a := newAuth(t, jwtmode.Options{RequiredClaims: []string{"scope", "https://example.com/tenant"}})
	for _, tt := range []struct {
		name string
		with jwt.MapClaims
		want string
	}{
		{"all", jwt.MapClaims{"scope": "", "https://example.com/tenant": 0}, ""},
		{"one missing", jwt.MapClaims{"scope": "chat"}, "invalid https://example.com/tenant value"},
		{"one null", jwt.MapClaims{"scope": any((*int)(nil)), "https://example.com/tenant": 0}, "invalid scope value"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			token := hs256(claims(tt.with))
			if tt.want == "" {
				if _, err := authenticate(a, withBearer(token)); err != nil {
					t.Error(err)
				}
				return
			}
			checkRefused(t, a, withBearer(token), token, "invalid_token", tt.want, jwt.ErrTokenRequiredClaimMissing)
		})
	}
}

// RFC 9068, section 2.2 and 4.
func TestRFC9068(t *testing.T) {
	a := newAuth(t, jwtmode.Options{RFC9068: true, Issuer: issuerURL, Audience: []string{"chat"}})
	full := func(with jwt.MapClaims) jwt.MapClaims {
		c := claims(jwt.MapClaims{"iss": issuerURL, "aud": "chat", "client_id": "app", "iat": 1})
		for name, value := range with {
			c[name] = value
			if value == nil {
				delete(c, name)
			}
		}
		return c
	}
	typ := map[string]any{"typ": "at+jwt"}
	if _, err := authenticate(a, withBearer(hs256(full(nil), typ))); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ missing, message string }{
		{"iss", "invalid iss value"}, {"aud", "invalid aud value"}, {"exp", "invalid exp value"}, {"sub", "invalid sub value"},
		{"client_id", "invalid client_id value"}, {"iat", "invalid iat value"}, {"jti", "invalid jti value"},
	} {
		token := hs256(full(jwt.MapClaims{tt.missing: nil}), typ)
		checkRefused(t, a, withBearer(token), token, "invalid_token", tt.message, jwt.ErrTokenRequiredClaimMissing)
	}
	idToken := hs256(full(nil))
	checkRefused(t, a, withBearer(idToken), idToken, "invalid_token", "invalid token type", nil)
	elsewhere := hs256(full(jwt.MapClaims{"aud": "shop"}), typ)
	checkRefused(t, a, withBearer(elsewhere), elsewhere, "invalid_token", "jwt audience invalid", jwt.ErrTokenInvalidAudience)
}

func TestCheck(t *testing.T) {
	banned := errors.New("the user is banned")
	for _, tt := range []struct {
		name    string
		err     error
		status  int
		code    string
		message string
	}{
		{"content", nil, http.StatusOK, "", ""},
		{"rejected with a code", bridge.Reject("banned", "you are banned", banned), http.StatusUnauthorized, "banned", "you are banned"},
		{"rejected", bridge.ErrRejected, http.StatusUnauthorized, "credentials_rejected", "the credential is not valid"},
		{"no credential", bridge.ErrNoCredential, http.StatusUnauthorized, "invalid_token", "jwt not accepted"},
		{"could not find out", errors.New("connection refused"), http.StatusServiceUnavailable, "unavailable", "try again later"},
		{"timeout", context.DeadlineExceeded, http.StatusServiceUnavailable, "unavailable", "try again later"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			a := newAuth(t, jwtmode.Options{Name: "api", Check: func(ctx context.Context, id *bridge.Identity) error {
				asked++
				if ctx.Value(contextKey{}) != "ctx" || id.User != "42" || id.Via != "api" || id.Expires.IsZero() || id.Claims["jti"] != marker {
					t.Errorf("asked about %+v", id)
				}
				return tt.err
			}})
			token := hs256(claims(nil))
			ctx := context.WithValue(t.Context(), contextKey{}, "ctx")
			id, err := bridge.First(a, bridge.AuthenticatorFunc(nil)).Authenticate(ctx, &bridge.Handshake{Request: withBearer(token)})
			if (id != nil) != (tt.err == nil) || (err != nil) != (tt.err != nil) || asked != 1 {
				t.Errorf("got %v, %v; asked %d times", id, err, asked)
			}
			if tt.err == nil {
				return
			}
			got := refused(t, a, withBearer(token).WithContext(ctx))
			if got.status != tt.status || got.code != tt.code || got.message != tt.message {
				t.Errorf("the client got %d %q %q, want %d %q %q", got.status, got.code, got.message, tt.status, tt.code, tt.message)
			}
			asked = 0
			for _, tt := range hostile() {
				if _, err := authenticate(a, withBearer(tt.token)); err == nil || asked > 0 {
					t.Fatalf("%s: %v; asked %d times", tt.name, err, asked)
				}
			}
		})
	}
}

func TestSecretBase64(t *testing.T) {
	raw := "\xfb\xef\xbe\xff\xff\xffm4rker"
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.RawURLEncoding} {
		for n := range len(raw) {
			s := e.EncodeToString([]byte(raw[n:]))
			for _, text := range []string{s, s + "\n", " " + s + "\r\n"} {
				if got, err := jwtmode.SecretBase64(text); err != nil || string(got) != raw[n:] {
					t.Errorf("%q: got %q, %v", text, got, err)
				}
			}
		}
	}
	good := base64.StdEncoding.EncodeToString([]byte(raw))
	for name, s := range map[string]string{
		"empty":             "",
		"only a line break": "\n",
		"broken into lines": good[:8] + "\n" + good[8:],
		"a space within":    good[:8] + " " + good[8:],
		"padding within":    base64.StdEncoding.EncodeToString([]byte("four")) + good,
		"half the padding":  strings.TrimSuffix(base64.StdEncoding.EncodeToString([]byte("four")), "="),
		"both alphabets":    "++--",
		"one character":     "A",
		"last bits not 0":   "AB",
		"not base64":        marker + "!",
		"quoted":            `"` + good + `"`,
		"hexadecimal":       "0x6d34726b6572",
	} {
		if got, err := jwtmode.SecretBase64(s); err == nil || got != nil {
			t.Errorf("%s: got %q, %v", name, got, err)
		} else {
			checkSilent(t, "", err.Error())
		}
	}
}

func FuzzSecretBase64(f *testing.F) {
	for _, s := range []string{"", "QUJD", "QUI=", "QUI", "-_-_", "+/+/", "Q\nQ==", " QQ== "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		secret, err := jwtmode.SecretBase64(s)
		if err != nil {
			if secret != nil {
				t.Errorf("%q and an error", secret)
			}
			return
		}
		// One text, but for the alphabet and the padding.
		canonical := strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(strings.TrimSpace(s))
		if got := base64.RawURLEncoding.EncodeToString(secret); got != canonical {
			t.Errorf("%q is taken for %q", s, got)
		}
	})
}
