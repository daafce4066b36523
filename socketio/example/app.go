package main

import (
	"context"
	"net/http"

	"github.com/alicebob/miniredis/v2"
	"github.com/gorilla/sessions"
	"github.com/rbcervilla/redisstore/v9"
	"github.com/redis/go-redis/v9"
)

const sessionCookie = "app-session"

// openRedis returns a client of the Redis at url, or of one in the process.
func openRedis(url string) (client *redis.Client, closeAll func(), err error) {
	stop := func() {}
	if url == "" {
		inside, err := miniredis.Run()
		if err != nil {
			return nil, nil, err
		}
		url, stop = "redis://"+inside.Addr(), inside.Close
	}
	opts, err := redis.ParseURL(url)
	if err != nil {
		stop()
		return nil, nil, err
	}
	client = redis.NewClient(opts)
	return client, func() { _ = client.Close(); stop() }, nil
}

// newApp is a web application with a login, which knows nothing of sockets. Who
// says they are alice is believed.
func newApp(ctx context.Context, client redis.UniversalClient) (*http.ServeMux, error) {
	store, err := redisstore.NewRedisStore(ctx, client)
	if err != nil {
		return nil, err
	}
	end := func(w http.ResponseWriter, r *http.Request) error {
		s, err := store.Get(r, sessionCookie)
		if err != nil || s.IsNew {
			return err
		}
		s.Options.MaxAge = -1
		return s.Save(r, w)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		// A session id from before the login must not become a logged-in one.
		err := end(w, r)
		if err == nil {
			s := sessions.NewSession(store, sessionCookie)
			s.Options = &sessions.Options{Path: "/", MaxAge: 3600, HttpOnly: true, SameSite: http.SameSiteLaxMode}
			s.Values["user_id"] = r.FormValue("user")
			w.Header().Del("Set-Cookie") // that of the session that was ended
			err = s.Save(r, w)
		}
		answer(w, err)
	})
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) { answer(w, end(w, r)) })
	return mux, nil
}

func answer(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
