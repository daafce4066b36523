package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/sessions"
	"github.com/rbcervilla/redisstore/v9"
	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/internal/parts"
)

// webApp is a web application, and one of the ways in which it logs out.
type webApp struct {
	name   string
	action string
	method string
	logout string // the path; /login logs in
	start  func(ctx context.Context, redisURL string, s secrets) (url string, stop func(), err error)
}

func laravelEnv(s secrets) []string {
	return []string{"DRIVER=redis", "CIPHER=AES-256-CBC", "ENCRYPT=0", "APP_KEY=" + s.laravel}
}

func part(p *parts.Process, err error) (string, func(), error) {
	if err != nil {
		return "", nil, err
	}
	return p.URL, p.Stop, nil
}

var webApps = []webApp{
	{"PHP", "session_destroy", http.MethodPost, "/logout",
		func(ctx context.Context, redisURL string, _ secrets) (string, func(), error) {
			return part(parts.StartPHP(ctx, redisURL))
		}},
	{"Express", "passport's logout", http.MethodPost, "/logout",
		func(ctx context.Context, redisURL string, s secrets) (string, func(), error) {
			return part(parts.StartExpress(ctx, redisURL, s.express))
		}},
	{"express-session", "destroy", http.MethodPost, "/destroy",
		func(ctx context.Context, redisURL string, s secrets) (string, func(), error) {
			p, err := startNode(ctx, redisURL, s.express)
			if err != nil {
				return "", nil, err
			}
			return p.url, p.stop, nil
		}},
	{"Laravel", "logout, invalidate", http.MethodGet, "/logout",
		func(ctx context.Context, redisURL string, s secrets) (string, func(), error) {
			return part(parts.StartPHPFramework(ctx, "laravel", redisURL, laravelEnv(s)...))
		}},
	{"Laravel", "logout alone", http.MethodGet, "/leave",
		func(ctx context.Context, redisURL string, s secrets) (string, func(), error) {
			whole, err := parts.StartPHPFramework(ctx, "laravel", redisURL, laravelEnv(s)...)
			if err != nil {
				return "", nil, err // Laravel is missing
			}
			whole.Stop()
			p, err := startLaravel(ctx, redisURL, s.laravel)
			if err != nil {
				return "", nil, err
			}
			return p.url, p.stop, nil
		}},
	{"Symfony", "invalidate", http.MethodGet, "/logout",
		func(ctx context.Context, redisURL string, _ secrets) (string, func(), error) {
			return part(parts.StartPHPFramework(ctx, "symfony", redisURL))
		}},
	{"gorilla/sessions", "MaxAge -1", http.MethodPost, "/logout", startGoApp},
}

// startGoApp is a web application on gorilla/sessions and redisstore.
func startGoApp(ctx context.Context, redisURL string, _ secrets) (string, func(), error) {
	opts, err := redis.ParseURL(redisURL)
	if err != nil {
		return "", nil, err
	}
	client := redis.NewClient(opts)
	store, err := redisstore.NewRedisStore(ctx, client)
	if err != nil {
		_ = client.Close()
		return "", nil, err
	}
	save := func(maxAge int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			s, err := store.Get(r, goCookie)
			if err == nil {
				s.Options = &sessions.Options{Path: "/", MaxAge: maxAge, HttpOnly: true}
				s.Values["user_id"] = 42
				err = s.Save(r, w)
			}
			if err != nil {
				http.Error(w, "the session could not be saved", http.StatusInternalServerError)
			}
		}
	}
	mux := http.NewServeMux()
	mux.Handle("POST /login", save(3600))
	mux.Handle("POST /logout", save(-1))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		_ = client.Close()
		return "", nil, err
	}
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = srv.Serve(l) }()
	return "http://" + l.Addr().String(), func() { _ = srv.Close(); _ = client.Close() }, nil
}

// visitor has the cookies of a browser, as they were sent.
type visitor struct {
	app     *webApp
	url     string
	cookies map[string]string
}

// pages asks the web applications. PHP's server answers one request on a
// connection, so none is kept.
var pages = http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}

func newVisitor(ctx context.Context, app *webApp, url string) (*visitor, error) {
	v := &visitor{app: app, url: url, cookies: map[string]string{}}
	if err := v.visit(ctx, "/login"); err != nil {
		return nil, err
	}
	if len(v.cookies) == 0 {
		return nil, fmt.Errorf("%s: the login set no cookie", app.name)
	}
	return v, nil
}

func (v *visitor) visit(ctx context.Context, path string) error {
	var body io.Reader
	if v.app.method == http.MethodPost {
		body = strings.NewReader(url.Values{"user": {"alice"}, "password": {"demo"}}.Encode())
	}
	r, err := http.NewRequestWithContext(ctx, v.app.method, v.url+path, body)
	if err != nil {
		return err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if c := v.cookie(); c != "" {
		r.Header.Set("Cookie", c)
	}
	resp, err := pages.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s answered %s", v.app.name, path, resp.Status)
	}
	for _, line := range resp.Header["Set-Cookie"] {
		pair, _, _ := strings.Cut(line, ";")
		name, value, _ := strings.Cut(pair, "=")
		v.cookies[name] = value
	}
	return nil
}

// cookie is the header that the browser sends.
func (v *visitor) cookie() string {
	var pairs []string
	for name, value := range v.cookies {
		pairs = append(pairs, name+"="+value)
	}
	return strings.Join(pairs, "; ")
}
