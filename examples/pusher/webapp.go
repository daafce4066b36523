package main

import (
	"context"
	"crypto/subtle"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/alicebob/miniredis/v2"
	"github.com/gorilla/sessions"
	"github.com/rbcervilla/redisstore/v9"
	"github.com/redis/go-redis/v9"
)

const (
	sessionCookie = "app-session"
	cdn           = "https://cdn.jsdelivr.net/npm/"
)

// accounts stand in for a users table. Everybody's password is "demo".
var accounts = map[string]string{"alice": "42", "bob": "7"}

// bundles are the clients as npm has them.
var bundles = map[string]string{
	"/pusher.js": "pusher-js@8.6.0/dist/web/pusher.min.js",
	"/echo.js":   "laravel-echo@2.5.0/dist/echo.js",
}

// connectRedis connects to a Redis, or starts one inside the process, which
// cannot report changes.
func connectRedis(url string) (client *redis.Client, pushes bool, err error) {
	if url != "" {
		opts, err := redis.ParseURL(url)
		if err != nil {
			return nil, false, err
		}
		opts.ContextTimeoutEnabled = true
		return redis.NewClient(opts), true, nil
	}
	builtIn, err := miniredis.Run()
	if err != nil {
		return nil, false, err
	}
	return redis.NewClient(&redis.Options{Addr: builtIn.Addr(), ContextTimeoutEnabled: true}), false, nil
}

// nameOf returns the name of a user.
func nameOf(user string) string {
	for name, id := range accounts {
		if id == user {
			return name
		}
	}
	return ""
}

// newWebApp is a web application with a login, on gorilla/sessions in Redis.
// It knows nothing of sockets.
func newWebApp(ctx context.Context, rdb redis.UniversalClient, clients string) (*http.ServeMux, error) {
	mux := http.NewServeMux()
	store, err := redisstore.NewRedisStore(ctx, rdb)
	if err != nil {
		return nil, err
	}
	save := func(w http.ResponseWriter, r *http.Request, s *sessions.Session, maxAge int) {
		s.Options = &sessions.Options{Path: "/", MaxAge: maxAge, HttpOnly: true, SameSite: http.SameSiteLaxMode}
		if err := s.Save(r, w); err != nil {
			http.Error(w, "internal error", http.StatusInternalServerError)
		}
	}
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		user, known := accounts[r.FormValue("user")]
		if subtle.ConstantTimeCompare([]byte(r.FormValue("password")), []byte("demo")) != 1 || !known {
			http.Error(w, "wrong user or password", http.StatusUnauthorized)
			return
		}
		s := sessions.NewSession(store, sessionCookie) // never one from before the login
		s.Values["user_id"] = user
		save(w, r, s, 3600)
		fmt.Fprint(w, user)
	})
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		if s, err := store.Get(r, sessionCookie); err == nil && !s.IsNew {
			save(w, r, s, -1)
		}
	})
	for path, bundle := range bundles {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			if clients == "" {
				http.Redirect(w, r, cdn+bundle, http.StatusFound)
				return
			}
			name, rest, _ := strings.Cut(bundle, "@")
			_, file, _ := strings.Cut(rest, "/")
			http.ServeFile(w, r, filepath.Join(clients, name, file))
		})
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page) // the browser may be gone
	})
	return mux, nil
}
