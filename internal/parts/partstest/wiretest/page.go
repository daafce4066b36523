package wiretest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/remote"

	"github.com/sessionbridge/sessionbridge/internal/parts"
)

// Site is one origin with a page, the web application below /web/, and the
// socket service.
type Site struct {
	Page    string            // its HTML, which notes what happens in window.happened
	Files   map[string]string // the clients' own bundles, by their path on the site
	WebApp  string            // its URL
	Service map[string]http.Handler
}

func (s Site) handler(t testing.TB) http.Handler {
	t.Helper()
	target, err := url.Parse(s.WebApp)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	for pattern, h := range s.Service {
		mux.Handle(pattern, h)
	}
	mux.Handle("/web/", http.StripPrefix("/web", &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
		r.SetXForwarded()
	}}))
	for path, file := range s.Files {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) })
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, s.Page)
	})
	return mux
}

// Tab shows a site's page in Chromium.
type Tab struct {
	t   testing.TB
	ctx context.Context
	did string
}

// Open shows the page until the test ends.
func (s Site) Open(t testing.TB, browser *parts.Process) *Tab {
	t.Helper()
	srv := httptest.NewServer(s.handler(t))
	t.Cleanup(srv.Close)
	return Open(t, browser, srv.URL)
}

// Open shows the page at a URL until the test ends.
func Open(t testing.TB, browser *parts.Process, url string) *Tab {
	t.Helper()
	ctx, stop := remote.NewAllocator(t.Context(), browser.URL, remote.NoModifyURL)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
	return &Tab{t: t, ctx: ctx}
}

// Do runs a script in the page.
func (b *Tab) Do(script string) {
	b.t.Helper()
	b.did = script
	if _, err := chromedp.Run(b.ctx, chromedp.Evaluate[any](script+"; 0")); err != nil {
		b.t.Fatalf("%s: %v", script, err)
	}
}

// Notes waits until the page has noted all of that.
func (b *Tab) Notes(lines ...string) {
	b.t.Helper()
	for _, text := range lines {
		_, err := chromedp.Run(b.ctx, chromedp.Poll[bool](fmt.Sprintf("window.happened?.includes(%q)", text),
			chromedp.WithPollingTimeout(15*time.Second), chromedp.WithPollingInterval(20*time.Millisecond)))
		if err != nil {
			log, logErr := chromedp.Run(b.ctx, chromedp.Evaluate[[]string]("window.happened"))
			b.t.Fatalf("after %q, waiting for %q: %v; the page noted %q, %v", b.did, text, err, log, logErr)
		}
	}
}

// Walk does steps, one after the other. Each is the selector of what is
// clicked, or "", and what the page's element #log then says, which each click
// empties first.
func (b *Tab) Walk(steps [][2]string) {
	b.t.Helper()
	const log = "document.querySelector('#log').textContent"
	for _, step := range steps {
		click, then := step[0], step[1]
		if click != "" {
			b.Do(fmt.Sprintf("%s = ''; document.querySelector(%q).click()", log, click))
		}
		_, err := chromedp.Run(b.ctx, chromedp.Poll[bool](fmt.Sprintf("%s.includes(%q)", log, then),
			chromedp.WithPollingTimeout(15*time.Second), chromedp.WithPollingInterval(20*time.Millisecond)))
		if err != nil {
			shown, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string](log))
			b.t.Fatalf("after %q, waiting for %q: %v; the page shows:\n%s", click, then, err, shown)
		}
	}
}
