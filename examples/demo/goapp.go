package main

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/gorilla/sessions"
	"github.com/rbcervilla/redisstore/v9"
	"github.com/redis/go-redis/v9"
)

// accounts stand in for a users table. Everybody's password is "demo". Id 0 is
// here because it is a valid user that careless checks miss.
var accounts = map[string]int{"alice": 42, "bob": 7, "zero": 0}

// goApp is a Go web application with a login, on gorilla/sessions in Redis. It
// knows nothing of the socket service.
type goApp struct {
	store *redisstore.RedisStore
}

func newGoApp(ctx context.Context, client redis.UniversalClient) (http.Handler, error) {
	store, err := redisstore.NewRedisStore(ctx, client)
	if err != nil {
		return nil, err
	}
	store.Options(sessions.Options{Path: "/", MaxAge: 3600, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	app := &goApp{store}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", app.login)
	mux.HandleFunc("POST /logout", app.logout)
	mux.HandleFunc("GET /me", app.me)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		if err := client.Ping(r.Context()).Err(); err != nil {
			fail(w, err)
			return
		}
		answer(w, http.StatusOK, map[string]any{"status": "ok"})
	})
	return mux, nil
}

func (app *goApp) login(w http.ResponseWriter, r *http.Request) {
	id, ok := accounts[r.FormValue("user")]
	if subtle.ConstantTimeCompare([]byte(r.FormValue("password")), []byte("demo")) == 0 || !ok {
		answer(w, http.StatusUnauthorized, map[string]any{"error": "wrong user or password"})
		return
	}
	// A session id from before the login must not become a logged-in one.
	if err := app.end(w, r); err != nil {
		fail(w, err)
		return
	}
	session := sessions.NewSession(app.store, goCookie)
	session.Options = &sessions.Options{Path: "/", MaxAge: 3600, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	session.Values["user_id"] = id
	session.Values["name"] = r.FormValue("user")
	w.Header().Del("Set-Cookie") // that of the session that was ended
	if err := session.Save(r, w); err != nil {
		fail(w, err)
		return
	}
	answer(w, http.StatusOK, map[string]any{"user": fmt.Sprint(id), "name": r.FormValue("user"), "rediskey": session.ID})
}

func (app *goApp) logout(w http.ResponseWriter, r *http.Request) {
	if err := app.end(w, r); err != nil {
		fail(w, err)
		return
	}
	answer(w, http.StatusOK, map[string]any{"user": nil})
}

// end deletes the session of a request, if it has one.
func (app *goApp) end(w http.ResponseWriter, r *http.Request) error {
	session, err := app.store.Get(r, goCookie)
	if err != nil || session.IsNew {
		return err
	}
	session.Options.MaxAge = -1
	return session.Save(r, w)
}

func (app *goApp) me(w http.ResponseWriter, r *http.Request) {
	session, err := app.store.Get(r, goCookie)
	if err != nil {
		fail(w, err)
		return
	}
	var user any
	if id, ok := session.Values["user_id"]; ok {
		user = fmt.Sprint(id)
	}
	answer(w, http.StatusOK, map[string]any{"user": user})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the browser may be gone
}

func fail(w http.ResponseWriter, err error) {
	fmt.Println("go app:", err)
	answer(w, http.StatusInternalServerError, map[string]any{"error": "internal error"})
}
