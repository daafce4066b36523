package main

import (
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httputil"
	"net/url"

	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/examples/web"
)

//go:embed page
var pageFiles embed.FS

// contentPolicy is that of examples/nginx: the page is of its own files only.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// handler serves the page, the applications and the socket on one origin, as a
// reverse proxy in front of them would.
func (d *demo) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", page())
	mux.HandleFunc("GET /bridge-client.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		_, _ = w.Write(web.Client) // the browser may be gone
	})
	mux.Handle("/go/", http.StripPrefix("/go", d.goApp))
	for stack, app := range d.apps {
		mux.Handle("/"+stack+"/", http.StripPrefix("/"+stack, proxy(app.URL)))
	}
	mux.HandleFunc("GET /stacks", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"tokens": true, "missing": d.missing, "redis": d.redis.about})
	})
	// Whoever is logged in by any stack may have a token, and sees the page.
	mux.Handle("POST /token", d.bridge.Middleware(http.HandlerFunc(d.tokens.issue)))
	mux.Handle("GET /members/", d.bridge.Middleware(http.HandlerFunc(members)))
	socket := d.bridge.Handler(talk)
	mux.Handle("/ws", socket)
	mux.Handle("/ws/message", withoutCookies(socket))
	return mux
}

func page() http.Handler {
	files, err := fs.Sub(pageFiles, "page")
	if err != nil {
		panic(err) // embedded at build time
	}
	next := http.FileServerFS(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", contentPolicy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-cache") // a demo that was rebuilt shows its new page
		next.ServeHTTP(w, r)
	})
}

func proxy(to string) http.Handler {
	target, err := url.Parse(to)
	if err != nil {
		panic(err) // made from a port number
	}
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
		r.SetXForwarded()
	}}
}

// withoutCookies is for sockets that present their credential in a message: one
// that a cookie has authenticated already may not become another user's.
func withoutCookies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.Clone(r.Context())
		r.Header.Del("Cookie")
		next.ServeHTTP(w, r)
	})
}

// members is a page for those who are logged in, by whatever stack.
func members(w http.ResponseWriter, r *http.Request) {
	id, _ := bridge.FromContext(r.Context())
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "user %s via %s\n", id.User, id.Via)
}

// talk answers each message with who sent it.
func talk(c *bridge.Conn) {
	for {
		messageType, text, err := c.ReadMessage()
		if err != nil {
			return
		}
		if messageType != websocket.TextMessage {
			continue
		}
		id := c.Identity()
		if err := c.WriteJSON(map[string]string{"user": id.User, "via": id.Via, "echo": string(text)}); err != nil {
			return
		}
	}
}
