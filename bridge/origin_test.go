package bridge_test

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sessionbridge/sessionbridge/bridge"
)

func TestOrigin(t *testing.T) {
	const ok, no = http.StatusOK, http.StatusForbidden
	tests := map[string]struct {
		host    string
		origins []string // of the request
		allowed []string
		tls     bool
		want    int
	}{
		"absent":                              {host: "app.example.com", want: ok},
		"same host":                           {host: "app.example.com", origins: []string{"http://app.example.com"}, want: ok},
		"same host behind a TLS proxy":        {host: "app.example.com", origins: []string{"https://app.example.com"}, want: ok},
		"same host in another case":           {host: "App.Example.COM", origins: []string{"http://aPP.example.com"}, want: ok},
		"same host and port":                  {host: "app.example.com:8080", origins: []string{"http://app.example.com:8080"}, want: ok},
		"another port":                        {host: "app.example.com:8080", origins: []string{"http://app.example.com:8081"}, want: no},
		"a port where none is":                {host: "app.example.com", origins: []string{"http://app.example.com:8080"}, want: no},
		"no port where one is":                {host: "app.example.com:8080", origins: []string{"http://app.example.com"}, want: no},
		"default port in Host":                {host: "app.example.com:80", origins: []string{"http://app.example.com"}, want: ok},
		"default port in Origin":              {host: "app.example.com", origins: []string{"http://app.example.com:80"}, want: ok},
		"default TLS port in Host":            {host: "app.example.com:443", origins: []string{"https://app.example.com"}, tls: true, want: ok},
		"the other scheme's port":             {host: "app.example.com:80", origins: []string{"https://app.example.com"}, want: no},
		"https on TLS":                        {host: "app.example.com", origins: []string{"https://app.example.com"}, tls: true, want: ok},
		"http on TLS":                         {host: "app.example.com", origins: []string{"http://app.example.com"}, tls: true, want: no},
		"another host":                        {host: "app.example.com", origins: []string{"https://evil.example"}, want: no},
		"a subdomain":                         {host: "example.com", origins: []string{"https://evil.example.com"}, want: no},
		"the parent domain":                   {host: "app.example.com", origins: []string{"https://example.com"}, want: no},
		"the host as a prefix":                {host: "app.example.com", origins: []string{"https://app.example.com.evil.example"}, want: no},
		"the host as a user":                  {host: "app.example.com", origins: []string{"https://app.example.com@evil.example"}, want: no},
		"null":                                {host: "app.example.com", origins: []string{"null"}, want: no},
		"empty":                               {host: "app.example.com", origins: []string{""}, want: no},
		"not a URL":                           {host: "app.example.com", origins: []string{"http://app.example.com:x"}, want: no},
		"another scheme":                      {host: "app.example.com", origins: []string{"file://app.example.com"}, want: no},
		"several header fields":               {host: "app.example.com", origins: []string{"http://app.example.com", "http://app.example.com"}, want: no},
		"several in one field":                {host: "app.example.com", origins: []string{"http://app.example.com http://evil.example"}, want: no},
		"IPv6":                                {host: "[::1]", origins: []string{"http://[::1]"}, want: ok},
		"IPv6 and port":                       {host: "[::1]:8080", origins: []string{"http://[::1]:8080"}, want: ok},
		"IPv6, another port":                  {host: "[::1]:8080", origins: []string{"http://[::1]:8081"}, want: no},
		"IPv6, another host":                  {host: "[::1]", origins: []string{"http://[::2]"}, want: no},
		"a Host that cannot be split":         {host: "::1", origins: []string{"http://[::1]"}, want: no},
		"no Host":                             {host: "", origins: []string{"http://"}, want: no},
		"listed":                              {host: "ws.example.com", origins: []string{"https://app.example.com"}, allowed: []string{"app.example.com"}, want: ok},
		"listed in another case":              {host: "ws.example.com", origins: []string{"https://app.example.com"}, allowed: []string{"HTTPS://APP.example.com"}, want: ok},
		"listed with its default port":        {host: "ws.example.com", origins: []string{"https://app.example.com"}, allowed: []string{"https://app.example.com:443"}, want: ok},
		"listed for https":                    {host: "ws.example.com", origins: []string{"http://app.example.com"}, allowed: []string{"https://app.example.com"}, want: no},
		"listed without a port":               {host: "ws.example.com", origins: []string{"https://app.example.com:8443"}, allowed: []string{"app.example.com"}, want: no},
		"listed with a port":                  {host: "ws.example.com", origins: []string{"https://app.example.com:8443"}, allowed: []string{"app.example.com:8443"}, want: ok},
		"listed with a port, another":         {host: "ws.example.com", origins: []string{"https://app.example.com:8444"}, allowed: []string{"app.example.com:8443"}, want: no},
		"listed with port 443, no scheme":     {host: "ws.example.com", origins: []string{"https://app.example.com"}, allowed: []string{"app.example.com:443"}, want: ok},
		"listed with port 443, but http":      {host: "ws.example.com", origins: []string{"http://app.example.com"}, allowed: []string{"app.example.com:443"}, want: no},
		"any port":                            {host: "ws.example.com", origins: []string{"http://localhost:5173"}, allowed: []string{"localhost:*"}, want: ok},
		"any port, none":                      {host: "ws.example.com", origins: []string{"http://localhost"}, allowed: []string{"localhost:*"}, want: ok},
		"any port, another host":              {host: "ws.example.com", origins: []string{"http://localhost.evil.example:5173"}, allowed: []string{"localhost:*"}, want: no},
		"wildcard: a subdomain":               {host: "ws.example.com", origins: []string{"https://a.example.com"}, allowed: []string{"*.example.com"}, want: ok},
		"wildcard: two labels":                {host: "ws.example.com", origins: []string{"https://b.a.example.com"}, allowed: []string{"*.example.com"}, want: ok},
		"wildcard: the domain itself":         {host: "ws.example.com", origins: []string{"https://example.com"}, allowed: []string{"*.example.com"}, want: no},
		"wildcard: evil-example.com":          {host: "ws.example.com", origins: []string{"https://evil-example.com"}, allowed: []string{"*.example.com"}, want: no},
		"wildcard: example.com.evil":          {host: "ws.example.com", origins: []string{"https://a.example.com.evil"}, allowed: []string{"*.example.com"}, want: no},
		"wildcard with scheme: http":          {host: "ws.example.com", origins: []string{"http://a.example.com"}, allowed: []string{"https://*.example.com"}, want: no},
		"IPv6 listed":                         {host: "ws.example.com", origins: []string{"http://[2001:db8::1]:8080"}, allowed: []string{"[2001:db8::1]:8080"}, want: ok},
		"same host beside a list":             {host: "ws.example.com", origins: []string{"https://ws.example.com"}, allowed: []string{"app.example.com"}, want: ok},
		"the second of a list":                {host: "ws.example.com", origins: []string{"https://b.example"}, allowed: []string{"a.example", "b.example"}, want: ok},
		"null beside a list":                  {host: "ws.example.com", origins: []string{"null"}, allowed: []string{"*.example.com:*"}, want: no},
		"listed http page on a TLS handshake": {host: "ws.example.com", origins: []string{"http://app.example.com"}, allowed: []string{"http://app.example.com"}, tls: true, want: ok},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b, book := newBridge(t, says(user("ann"), nil), bridge.Options{AllowedOrigins: tt.allowed})
			got := origin(b, tt.host, tt.tls, tt.origins...)
			if got != tt.want {
				t.Errorf("status %d, want %d; log: %s", got, tt.want, book)
			}
		})
	}
}

// origin returns the status that a request of an origin gets.
func origin(b *bridge.Bridge, host string, secure bool, origins ...string) int {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Host = host
	if secure {
		r.TLS = &tls.ConnectionState{}
	}
	if origins != nil {
		r.Header["Origin"] = origins
	}
	w := httptest.NewRecorder()
	b.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
	return w.Code
}

// Whether the origin is checked depends on what the credential is.
func TestOriginGuard(t *testing.T) {
	const evil = "https://evil.example"
	cookie := stub{bridge.Traits{Ambient: true}, says(user("ann"), nil)}
	token := stub{bridge.Traits{}, says(user("ann"), nil)}
	tests := map[string]struct {
		a    bridge.Authenticator
		o    bridge.Options
		want int
	}{
		"cookie":                      {cookie, bridge.Options{}, http.StatusForbidden},
		"unknown authenticator":       {says(user("ann"), nil), bridge.Options{}, http.StatusForbidden},
		"token":                       {token, bridge.Options{}, http.StatusOK},
		"token, then cookie":          {bridge.First(token, cookie), bridge.Options{}, http.StatusForbidden},
		"token with a list":           {token, bridge.Options{AllowedOrigins: []string{"a.example"}}, http.StatusForbidden},
		"cookie, opted out by name":   {cookie, bridge.Options{InsecureAnyOrigin: true}, http.StatusOK},
		"cookie, with another's list": {cookie, bridge.Options{AllowedOrigins: []string{"a.example"}}, http.StatusForbidden},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b, _ := newBridge(t, tt.a, tt.o)
			if got := origin(b, "app.example.com", true, evil); got != tt.want {
				t.Errorf("status %d, want %d", got, tt.want)
			}
		})
	}
}

// A page of another site makes its visitor's browser open a socket here; the
// browser attaches the visitor's cookie by itself.
func TestCrossSiteWebSocketHijackingIsRefused(t *testing.T) {
	asked := false
	a := stub{bridge.Traits{Ambient: true}, func(context.Context, *bridge.Handshake) (*bridge.Identity, error) {
		asked = true
		return user("victim"), nil
	}}
	b, _ := newBridge(t, a, bridge.Options{})
	s := loopback(t, b.Handler(func(*bridge.Conn) { t.Error("the socket was served") }))
	_, resp, err := s.try("Origin", "https://evil.example", "Cookie", "PHPSESSID=victims")
	if err == nil || resp == nil || resp.StatusCode != http.StatusForbidden {
		t.Fatalf("dial: %v, response %v; want 403", err, resp)
	}
	if asked {
		t.Error("the session was looked up for a page that may not connect")
	}
}

// A page elsewhere may embed a plain handler by a script or an image, without
// an Origin; a link to it may be followed.
func TestEmbeddingFromElsewhereIsRefused(t *testing.T) {
	h := func(kv ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(kv); i += 2 {
			h.Set(kv[i], kv[i+1])
		}
		return h
	}
	for name, tt := range map[string]struct {
		method string
		header http.Header
		want   int
	}{
		"script":            {http.MethodGet, h("Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "script"), 403},
		"sibling's image":   {http.MethodGet, h("Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"), 403},
		"frame":             {http.MethodGet, h("Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"), 403},
		"form":              {http.MethodPost, h("Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"), 403},
		"link":              {http.MethodGet, h("Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"), 200},
		"own page":          {http.MethodGet, h("Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"), 200},
		"address bar":       {http.MethodGet, h("Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"), 200},
		"no browser at all": {http.MethodGet, h(), 200},
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := newBridge(t, says(user("ann"), nil), bridge.Options{})
			r := httptest.NewRequest(tt.method, "https://app.example.com/", nil)
			r.Header = tt.header
			w := httptest.NewRecorder()
			b.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
			if w.Code != tt.want {
				t.Errorf("status %d, want %d", w.Code, tt.want)
			}
		})
	}
}

// The log says what was compared and, for what is often wrong, why.
func TestOriginRefusalTeaches(t *testing.T) {
	for name, tt := range map[string]struct {
		origin, forwarded string
		secure            bool
		says              string
	}{
		"another host":             {"https://a.example", "", false, `origin \"https://a.example\" is not the requested host \"ws.example.com\"; if the page is yours, list its origin in AllowedOrigins, and if a proxy stands between, let it pass the Host header on`},
		"X-Forwarded-Host":         {"https://a.example", "A.example", false, "X-Forwarded-Host has the page's host, but is not believed"},
		"another X-Forwarded-Host": {"https://a.example", "b.example", false, "list its origin in AllowedOrigins"},
		"http page":                {"http://ws.example.com", "", true, "the page came by http and this connection by https"},
		"no origin of its own":     {"null", "", false, "a file, a sandboxed frame and a data: URL have no origin"},
	} {
		t.Run(name, func(t *testing.T) {
			b, book := newBridge(t, says(user("ann"), nil), bridge.Options{})
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Host = "ws.example.com"
			r.Header.Set("Origin", tt.origin)
			if tt.forwarded != "" {
				r.Header.Set("X-Forwarded-Host", tt.forwarded)
			}
			if tt.secure {
				r.TLS = &tls.ConnectionState{}
			}
			w := httptest.NewRecorder()
			b.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
			if w.Code != http.StatusForbidden || !strings.Contains(book.String(), tt.says) {
				t.Errorf("status %d, want 403 and %q in the log:\n%s", w.Code, tt.says, book)
			}
		})
	}
}
