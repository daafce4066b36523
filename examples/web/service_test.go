package web_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/jwtmode"
	"github.com/sessionbridge/sessionbridge/stores"
)

const (
	phpPrefix = "PHPREDIS_SESSION:"
	phpCookie = "PHPSESSID"
)

// service is what the scenarios talk to: a real bridge on a real Redis, where
// sessions begin and end as PHP writes and deletes them.
type service struct {
	rdb    *redis.Client
	secret []byte
	script script
}

func newService(t *testing.T) string {
	opts, err := redis.ParseURL(partstest.Redis(t).URL)
	if err != nil {
		t.Fatal(err)
	}
	opts.ContextTimeoutEnabled = true
	s := &service{rdb: redis.NewClient(opts), secret: []byte(rand.Text() + rand.Text())}
	t.Cleanup(func() { s.rdb.Close() })
	store, err := stores.NewRedis(s.rdb, nil)
	if err != nil {
		t.Fatal(err)
	}
	phpAuth, err := cookie.New(store, cookie.PHP())
	if err != nil {
		t.Fatal(err)
	}
	keyAuth, err := cookie.RedisKey(phpAuth)
	if err != nil {
		t.Fatal(err)
	}
	tokenAuth, err := jwtmode.New(jwtmode.Options{Algorithms: []string{"HS256"}, Key: s.secret, Leeway: -1})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/ws", s.echo(t, bridge.First(tokenAuth, phpAuth, keyAuth), bridge.Options{RefuseAfterUpgrade: true}))
	mux.Handle("/refused", s.echo(t, phpAuth, bridge.Options{}))
	mux.HandleFunc("POST /login", s.login)
	mux.HandleFunc("POST /logout", s.logout)
	mux.HandleFunc("POST /token", s.token)
	mux.HandleFunc("GET /scripted", s.script.serve)
	mux.HandleFunc("GET /report", s.script.report)
	mux.Handle("/", http.FileServer(http.Dir("testdata")))
	mux.HandleFunc("/bridge-client.js", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, "bridge-client.js")
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL
}

// echo sends every message back.
func (s *service) echo(t *testing.T, auth bridge.Authenticator, opts bridge.Options) http.Handler {
	opts.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	b, err := bridge.New(auth, &opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := b.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
	return b.Handler(func(c *bridge.Conn) {
		for {
			kind, p, err := c.ReadMessage()
			if err != nil || c.WriteMessage(kind, p) != nil {
				return
			}
		}
	})
}

// login begins a session as PHP's own handler writes it.
func (s *service) login(w http.ResponseWriter, r *http.Request) {
	id := fmt.Sprintf("%x", rand.Text())[:32]
	value := fmt.Sprintf("user_id|s:%d:\"%s\";", len(r.FormValue("user")), r.FormValue("user"))
	if err := s.rdb.Set(r.Context(), phpPrefix+id, value, time.Hour).Err(); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if r.FormValue("cookie") != "" {
		http.SetCookie(w, &http.Cookie{Name: phpCookie, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	}
	answer(w, map[string]string{"id": id})
}

func (s *service) logout(w http.ResponseWriter, r *http.Request) {
	if r.FormValue("cookie") != "" {
		http.SetCookie(w, &http.Cookie{Name: phpCookie, Path: "/", MaxAge: -1})
		// The cookie is gone before its session is: the answer comes first.
		answer(w, map[string]bool{"ok": true})
		_ = http.NewResponseController(w).Flush()
	}
	if err := s.rdb.Del(context.WithoutCancel(r.Context()), phpPrefix+r.FormValue("id")).Err(); err != nil {
		slog.Error("the session was not deleted", "error", err)
		return
	}
	if r.FormValue("cookie") == "" {
		answer(w, map[string]bool{"ok": true})
	}
}

func (s *service) token(w http.ResponseWriter, r *http.Request) {
	life := time.Minute
	if n, err := strconv.Atoi(r.FormValue("seconds")); err == nil {
		life = time.Duration(n) * time.Second
	}
	// Whole seconds, rounded up: the token holds for as long as it was asked.
	expires := time.Now().Add(life).Truncate(time.Second).Add(time.Second)
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{
		Subject: r.FormValue("user"), ExpiresAt: jwt.NewNumericDate(expires),
	}).SignedString(s.secret)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, map[string]string{"token": token})
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // the client may be gone
}
