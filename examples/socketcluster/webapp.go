package main

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/alicebob/miniredis/v2"
	"github.com/gorilla/sessions"
	"github.com/rbcervilla/redisstore/v9"
	"github.com/redis/go-redis/v9"
)

const (
	sessionCookie = "app-session"
	cdn           = "https://cdn.jsdelivr.net/npm/socketcluster-client@20.0.2/socketcluster-client.min.js"
)

// accounts stand in for a users table. Everybody's password is "demo".
var accounts = map[string]int{"alice": 42, "bob": 7}

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

// checkPassword returns the id of the user whose password it is.
func checkPassword(data json.RawMessage) (user string, ok bool) {
	var form struct{ User, Password string }
	if json.Unmarshal(data, &form) != nil {
		return "", false
	}
	id, known := accounts[form.User]
	return strconv.Itoa(id), known && subtle.ConstantTimeCompare([]byte(form.Password), []byte("demo")) == 1
}

// newWebApp is a web application with a login, on gorilla/sessions in Redis.
// It knows nothing of sockets.
func newWebApp(ctx context.Context, rdb redis.UniversalClient, client string) (*http.ServeMux, error) {
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
		form, _ := json.Marshal(map[string]string{"user": r.FormValue("user"), "password": r.FormValue("password")}) // strings
		user, ok := checkPassword(form)
		if !ok {
			http.Error(w, "wrong user or password", http.StatusUnauthorized)
			return
		}
		s := sessions.NewSession(store, sessionCookie) // never one from before the login
		s.Values["user_id"] = user
		save(w, r, s, 3600)
	})
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		if s, err := store.Get(r, sessionCookie); err == nil && !s.IsNew {
			save(w, r, s, -1)
		}
	})
	mux.HandleFunc("GET /client.js", func(w http.ResponseWriter, r *http.Request) {
		if client == "" {
			http.Redirect(w, r, cdn, http.StatusFound)
			return
		}
		http.ServeFile(w, r, client)
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page) // the browser may be gone
	})
	return mux, nil
}
