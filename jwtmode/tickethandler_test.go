package jwtmode_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/jwtmode"
	"github.com/sessionbridge/sessionbridge/stores"
)

// loggedIn is a store with the session of user 42, and its authenticator.
func loggedIn(t testing.TB) (*stores.Memory, *cookie.Authenticator) {
	store := stores.NewMemory()
	store.Set(phpKey, []byte(phpLogin42), time.Hour)
	return store, phpSessions(t, store)
}

func TestTicketHandlerCORS(t *testing.T) {
	_, php := loggedIn(t)
	i := newIssuer(t, jwtmode.IssuerOptions{Sessions: []jwtmode.Sessions{php}})
	// The endpoint is asked as https://app.example.com.
	endpoint := must(jwtmode.TicketHandler(php, i, &jwtmode.TicketHandlerOptions{
		AllowedOrigins: []string{"https://chat.example.com", "http://localhost:3000"},
		Logger:         slog.New(slog.DiscardHandler),
	}))
	cors := func(origin string, more ...string) map[string]string {
		h := map[string]string{"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"}
		for i := 0; i < len(more); i += 2 {
			h["Access-Control-"+more[i]] = more[i+1]
		}
		return h
	}
	preflight := []string{"Allow-Methods", "POST", "Allow-Headers", "Authorization, Content-Type", "Max-Age", "600"}
	for _, tt := range []struct {
		name, method string
		header       []string
		status       int
		cors         map[string]string
	}{
		{"its own page", "POST", []string{"Origin", page}, 200, nil},
		{"no browser", "POST", nil, 200, nil},
		{"an allowed page", "POST", []string{"Origin", "https://chat.example.com"}, 200, cors("https://chat.example.com")},
		{"an allowed page with a port", "POST", []string{"Origin", "http://localhost:3000"}, 200, cors("http://localhost:3000")},
		{"a stranger's page", "POST", []string{"Origin", "https://evil.example"}, 403, nil},
		{"a page that begins like an allowed one", "POST", []string{"Origin", "https://chat.example.com.evil.example"}, 403, nil},
		{"an allowed page by http", "POST", []string{"Origin", "http://chat.example.com"}, 403, nil},
		{"a page without origin", "POST", []string{"Origin", "null"}, 403, nil},
		{"two origins", "POST", []string{"Origin", "https://chat.example.com", "Origin", "https://evil.example"}, 403, nil},
		{"a stranger's page that sends no Origin", "POST", []string{"Sec-Fetch-Site", "cross-site"}, 403, nil},
		{"an allowed page's preflight", "OPTIONS", []string{"Origin", "https://chat.example.com", "Access-Control-Request-Method", "POST"}, 204, cors("https://chat.example.com", preflight...)},
		{"a stranger's preflight", "OPTIONS", []string{"Origin", "https://evil.example", "Access-Control-Request-Method", "POST"}, 204, nil},
		{"a link", "GET", nil, 405, nil},
		{"an allowed page's GET", "GET", []string{"Origin", "https://chat.example.com"}, 405, cors("https://chat.example.com")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, page+"/ticket", nil)
			for i := 0; i < len(tt.header); i += 2 {
				r.Header.Add(tt.header[i], tt.header[i+1])
			}
			r.Header.Set("Cookie", phpCookie)
			w := httptest.NewRecorder()
			endpoint.ServeHTTP(w, r)
			if w.Code != tt.status || (w.Code == 200) != strings.Contains(w.Body.String(), `"token"`) {
				t.Errorf("got %d %s; want %d", w.Code, w.Body, tt.status)
			}
			got := map[string]string{}
			for name, v := range w.Header() {
				if strings.HasPrefix(name, "Access-Control-") {
					got[name] = strings.Join(v, "|")
				}
			}
			if tt.cors == nil {
				tt.cors = map[string]string{}
			}
			if diff := cmp.Diff(tt.cors, got); diff != "" {
				t.Errorf("CORS (-want +got):\n%s", diff)
			}
			if w.Header().Get("Vary") != "Origin" || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("Vary %q, Cache-Control %q", w.Header().Get("Vary"), w.Header().Get("Cache-Control"))
			}
			if w.Code == 405 && w.Header().Get("Allow") != "POST, OPTIONS" {
				t.Errorf("Allow is %q", w.Header().Get("Allow"))
			}
		})
	}
}

func TestTicketHandlerRefusesWhoIsNotLoggedIn(t *testing.T) {
	store, php := loggedIn(t)
	server := partstest.Redis(t)
	away := phpSessions(t, redisStore(t, server))
	server.Kill()
	i := newIssuer(t, jwtmode.IssuerOptions{Sessions: []jwtmode.Sessions{php, away}})
	endless := bridge.AuthenticatorFunc(func(context.Context, *bridge.Handshake) (*bridge.Identity, error) {
		return &bridge.Identity{User: "42", Via: "test"}, nil
	})
	stack := cookie.PHP()
	stack.Name = "legacy"
	for _, tt := range []struct {
		name   string
		auth   bridge.Authenticator
		cookie string
		status int
		code   bridge.Code
	}{
		{"no cookie", php, "", 401, bridge.CodeCredentialsRequired},
		{"a session that is over", php, "PHPSESSID=0123456789abcdef0123456789", 401, bridge.CodeCredentialsRequired},
		{"a malformed cookie", php, "PHPSESSID=a/b", 401, bridge.CodeInvalidSession},
		{"the store is away", away, phpCookie, 503, bridge.CodeUnavailable},
		{"an identity without end", endless, "", 503, bridge.CodeUnavailable},
		{"a session that no token can refer to", must(cookie.New(store, stack)), phpCookie, 503, bridge.CodeUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			endpoint := must(jwtmode.TicketHandler(tt.auth, i, &jwtmode.TicketHandlerOptions{Logger: slog.New(slog.DiscardHandler)}))
			got := ask(t, endpoint, "Cookie", tt.cookie)
			if got.status != tt.status || got.code != string(tt.code) || got.Token != "" {
				t.Errorf("got %d %q; want %d %q", got.status, got.code, tt.status, tt.code)
			}
			if tt.status == 503 && got.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		})
	}
}

func TestTicketHandlerCannotSign(t *testing.T) {
	_, php := loggedIn(t)
	var log strings.Builder
	i := newIssuer(t, jwtmode.IssuerOptions{Sessions: []jwtmode.Sessions{php}, Claims: func(*bridge.Identity) map[string]any {
		return map[string]any{"x": strings.Repeat(marker, 2000)}
	}})
	endpoint := must(jwtmode.TicketHandler(php, i, &jwtmode.TicketHandlerOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))}))
	if got := ask(t, endpoint, "Cookie", phpCookie); got.status != http.StatusInternalServerError || got.Token != "" {
		t.Errorf("got %d", got.status)
	}
	if !strings.Contains(log.String(), "8,192 bytes") {
		t.Errorf("the log says %q", log.String())
	}
	checkSilent(t, "", log.String())
}

// An access token gets another one as long as its session lives, and not longer
// than MaxAge.
func TestRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, php := loggedIn(t)
		i := newIssuer(t, jwtmode.IssuerOptions{Sessions: []jwtmode.Sessions{php}})
		endpoint := must(jwtmode.TicketHandler(php, i, &jwtmode.TicketHandlerOptions{
			AccessTokens: true, MaxAge: 12 * time.Minute, Logger: slog.New(slog.DiscardHandler),
		}))
		refresh := func(token string) tokenAnswer { return ask(t, endpoint, "Authorization", "Bearer "+token) }
		check := func(name string, got tokenAnswer, ttl time.Duration) string {
			t.Helper()
			if got.status != 200 || !got.Expires.Equal(time.Now().Add(ttl)) {
				t.Fatalf("%s: %d, until %v; want %v", name, got.status, got.Expires, time.Now().Add(ttl))
			}
			if id, err := authenticate(newAuth(t, i.Options()), withBearer(got.Token)); err != nil || id.User != "42" || id.Claims["via"] != "php" {
				t.Fatalf("%s: %v, %v", name, id, err)
			}
			return got.Token
		}
		first := check("first", ask(t, endpoint, "Cookie", phpCookie), 5*time.Minute)
		time.Sleep(4 * time.Minute)
		second := check("second", refresh(first), 5*time.Minute)
		time.Sleep(4 * time.Minute)
		if got := refresh(first); got.status != 401 || got.code != "invalid_token" {
			t.Errorf("an expired token: %d %q", got.status, got.code)
		}
		third := check("third, cut off by MaxAge", refresh(second), 4*time.Minute)
		fourth := check("fourth", refresh(third), 4*time.Minute)
		time.Sleep(4 * time.Minute)
		if got := refresh(fourth); got.status != 401 || got.code != "token_expired" {
			t.Errorf("at MaxAge: %d %q", got.status, got.code)
		}
		fresh := check("a new chain", ask(t, endpoint, "Cookie", phpCookie), 5*time.Minute)

		store.Set(phpKey, []byte("user_id|i:7;"), time.Hour)
		if got := refresh(fresh); got.status != 401 || got.code != "user_changed" {
			t.Errorf("another user's session: %d %q", got.status, got.code)
		}
		store.Delete(phpKey)
		if got := refresh(fresh); got.status != 401 || got.code != "session_ended" {
			t.Errorf("after the logout: %d %q", got.status, got.code)
		}
	})
}

func TestRefreshMaxAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, php := loggedIn(t)
		i := newIssuer(t, jwtmode.IssuerOptions{Sessions: []jwtmode.Sessions{php}, TTL: time.Hour})
		long := must(jwtmode.TicketHandler(php, i, &jwtmode.TicketHandlerOptions{AccessTokens: true, MaxAge: time.Hour}))
		short := must(jwtmode.TicketHandler(php, i, &jwtmode.TicketHandlerOptions{AccessTokens: true, MaxAge: time.Minute, Logger: slog.New(slog.DiscardHandler)}))
		token := ask(t, long, "Cookie", phpCookie).Token
		time.Sleep(time.Minute)
		if got := ask(t, short, "Authorization", "Bearer "+token); got.status != 401 || got.code != "token_expired" {
			t.Errorf("got %d %q", got.status, got.code)
		}
	})
}

func TestRefreshRefused(t *testing.T) {
	_, php := loggedIn(t)
	i := newIssuer(t, jwtmode.IssuerOptions{Sessions: []jwtmode.Sessions{php}})
	quiet := slog.New(slog.DiscardHandler)
	endpoint := must(jwtmode.TicketHandler(php, i, &jwtmode.TicketHandlerOptions{AccessTokens: true, Logger: quiet}))
	tickets := must(jwtmode.TicketHandler(php, i, &jwtmode.TicketHandlerOptions{Logger: quiet}))
	good := ask(t, endpoint, "Cookie", phpCookie).Token
	for _, tt := range []struct {
		name, authorization string
		status              int
		code                string
	}{
		{"a good one", "Bearer " + good, 200, ""},
		{"a ticket", "Bearer " + ask(t, tickets, "Cookie", phpCookie).Token, 401, "invalid_token"},
		{"forged", "Bearer " + good[:len(good)-4] + "AAAA", 401, "invalid_token"},
		{"two tokens", "Bearer " + good + " " + good, 401, "credentials_bad_format"},
		{"another issuer's", "Bearer " + hs256(claims(nil)), 401, "credentials_required"},
		{"of a session that no token refers to", "Bearer " + must(i.Issue(&bridge.Identity{User: "42", Via: "php"})).Text, 401, "invalid_token"},
		{"without what Issue writes", "Bearer " + hs256(claims(jwt.MapClaims{"iss": "https://app.example.com", "aud": "chat"}), map[string]any{"typ": "JWT"}), 401, "invalid_token"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ask(t, endpoint, "Authorization", tt.authorization)
			if got.status != tt.status || got.code != tt.code {
				t.Errorf("got %d %q; want %d %q", got.status, got.code, tt.status, tt.code)
			}
		})
	}
	t.Run("a bad token beside a good cookie", func(t *testing.T) {
		got := ask(t, endpoint, "Authorization", "Bearer "+good[:len(good)-4]+"AAAA", "Cookie", phpCookie)
		if got.status != 401 {
			t.Errorf("got %d", got.status)
		}
	})
	t.Run("a ticket for an access token", func(t *testing.T) {
		got := ask(t, tickets, "Authorization", "Bearer "+good)
		id, err := authenticate(must(jwtmode.NewTickets(i, once(), nil)), withBearer(got.Token))
		if err != nil || id.User != "42" || id.Via != "php" {
			t.Errorf("got %d, %v, %v", got.status, id, err)
		}
	})
}

func TestRefreshRevoked(t *testing.T) {
	server := partstest.Redis(t)
	_, php := loggedIn(t)
	i := newIssuer(t, jwtmode.IssuerOptions{Sessions: []jwtmode.Sessions{php}})
	r := must(jwtmode.NewRevocations(redisStore(t, server), nil))
	endpoint := must(jwtmode.TicketHandler(php, i, &jwtmode.TicketHandlerOptions{
		AccessTokens: true, Revocations: r, Logger: slog.New(slog.DiscardHandler),
	}))
	token := ask(t, endpoint, "Cookie", phpCookie).Token
	if got := ask(t, endpoint, "Authorization", "Bearer "+token); got.status != 200 {
		t.Fatalf("before: %d", got.status)
	}
	if err := r.RevokeUser(t.Context(), "42"); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, endpoint, "Authorization", "Bearer "+token); got.status != 401 || got.code != "revoked" {
		t.Errorf("after: %d %q", got.status, got.code)
	}
	if got := ask(t, endpoint, "Cookie", phpCookie); got.status != 200 {
		t.Errorf("the session is not the token's to end: %d", got.status)
	}
	server.Kill()
	if got := ask(t, endpoint, "Authorization", "Bearer "+token); got.status != 503 {
		t.Errorf("without Redis: %d", got.status)
	}
}

// An exp is in whole seconds: of a login that has less there is no token.
func TestTicketAtTheLastMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := stores.NewMemory()
		store.Set(phpKey, []byte(phpLogin42), 900*time.Millisecond)
		php := phpSessions(t, store)
		i := newIssuer(t, jwtmode.IssuerOptions{Sessions: []jwtmode.Sessions{php}})
		endpoint := must(jwtmode.TicketHandler(php, i, &jwtmode.TicketHandlerOptions{Logger: slog.New(slog.DiscardHandler)}))
		if got := ask(t, endpoint, "Cookie", phpCookie); got.status != 401 || got.code != "session_expired" {
			t.Errorf("got %d %q", got.status, got.code)
		}
	})
}

// A token that came from another issuer's token ends with that.
func TestTicketForAToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		theirs := newAuth(t, jwtmode.Options{Leeway: -1})
		i := newIssuer(t, jwtmode.IssuerOptions{})
		endpoint := must(jwtmode.TicketHandler(theirs, i, &jwtmode.TicketHandlerOptions{AccessTokens: true}))
		until := time.Now().Add(8 * time.Minute)
		got := ask(t, endpoint, "Authorization", "Bearer "+hs256(claims(jwt.MapClaims{"exp": until.Unix()})))
		if got.status != 200 || !got.Expires.Equal(time.Now().Add(5*time.Minute)) {
			t.Fatalf("got %d, until %v", got.status, got.Expires)
		}
		time.Sleep(4 * time.Minute)
		got = ask(t, endpoint, "Authorization", "Bearer "+got.Token)
		if got.status != 200 || !got.Expires.Equal(until) {
			t.Fatalf("refreshed: %d, until %v", got.status, got.Expires)
		}
	})
}

func TestNewTicketHandlerRefuses(t *testing.T) {
	_, php := loggedIn(t)
	i := newIssuer(t, jwtmode.IssuerOptions{})
	origins := func(s ...string) *jwtmode.TicketHandlerOptions {
		return &jwtmode.TicketHandlerOptions{AllowedOrigins: s}
	}
	for _, tt := range []struct {
		name   string
		auth   bridge.Authenticator
		issuer *jwtmode.Issuer
		opts   *jwtmode.TicketHandlerOptions
	}{
		{"no authenticator", nil, i, nil},
		{"a constructor's nil", (*cookie.Authenticator)(nil), i, nil},
		{"no issuer", php, nil, nil},
		{"every origin", php, i, origins("*")},
		{"a pattern", php, i, origins("https://*.example.com")},
		{"an origin without a scheme", php, i, origins("app.example.com")},
		{"an origin with a path", php, i, origins("https://app.example.com/")},
		{"an origin as no browser sends it", php, i, origins("https://App.example.com")},
		{"a default port", php, i, origins("https://app.example.com:443")},
		{"another scheme", php, i, origins("file://app")},
		{"null", php, i, origins("null")},
		{"a user", php, i, origins("https://user@app.example.com")},
		{"a tiny TTL", php, i, &jwtmode.TicketHandlerOptions{TTL: time.Millisecond}},
		{"tickets of an hour", php, i, &jwtmode.TicketHandlerOptions{TTL: time.Hour}},
		{"a negative MaxAge", php, i, &jwtmode.TicketHandlerOptions{MaxAge: -1}},
		{"access tokens of one page", php, i, &jwtmode.TicketHandlerOptions{AccessTokens: true, BindOrigin: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := jwtmode.TicketHandler(tt.auth, tt.issuer, tt.opts); got != nil || err == nil {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}
