package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/remote"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
)

var (
	screenshots = flag.String("screenshots", "", "folder to keep a picture of each state of the page in")
	elsewhere   = flag.String("url", "", "where the page runs, behind nginx say; default: it is started")
)

// browser is a running Chromium.
func browser(t *testing.T) context.Context {
	t.Helper()
	p := partstest.Chromium(t)
	ctx, cancel := remote.NewAllocator(t.Context(), p.URL, remote.NoModifyURL)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// tab is one tab of a visitor's browser.
type tab struct {
	t   *testing.T
	ctx context.Context
}

// newVisitorTab opens a tab with cookies of its own; newTab one beside it, with
// the same cookies.
func newVisitorTab(t *testing.T, browser context.Context) *tab {
	return openTab(t, browser, chromedp.WithNewBrowserContext())
}

func (p *tab) newTab() *tab { return openTab(p.t, p.ctx) }

func openTab(t *testing.T, parent context.Context, opts ...chromedp.ContextOption) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(parent, opts...)
	t.Cleanup(cancel)
	p := &tab{t, ctx}
	p.do(chromedp.EmulateViewport(1280, 900))
	return p
}

func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

// wait waits until a JavaScript expression is true.
func (p *tab) wait(expression string) {
	p.t.Helper()
	_, err := chromedp.Run(p.ctx, chromedp.Poll[chromedp.Void](expression,
		chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(15*time.Second)))
	if err != nil {
		text, _ := chromedp.Run(p.ctx, chromedp.Evaluate[string](`document.body.innerText`))
		p.t.Fatalf("waiting for %s: %v; the page shows:\n%s", expression, err, text)
	}
}

// waitText waits until the first element that a selector finds holds a text.
func (p *tab) waitText(selector, text string) {
	p.t.Helper()
	s, _ := json.Marshal([]string{selector, text}) // strings: cannot fail
	p.wait(fmt.Sprintf(`(([s, text]) => document.querySelector(s)?.textContent.includes(text))(%s)`, s))
}

func (p *tab) text(selector string) string {
	p.t.Helper()
	text, err := chromedp.Run(p.ctx, chromedp.TextContent(chromedp.CSS(selector)))
	if err != nil {
		p.t.Fatal(err)
	}
	return text
}

// view is how the page is looked at.
type view struct {
	width  int64
	scheme string
}

// shoot takes pictures of the page as a wide screen and a phone show it, and
// fails if it does not fit. Those that are kept are of light and dark both.
func (p *tab) shoot(name string) {
	p.t.Helper()
	dir, views := *screenshots, []view{{1280, "light"}, {1280, "dark"}, {360, "light"}, {360, "dark"}}
	if dir == "" {
		dir, views = p.t.TempDir(), []view{{1280, "light"}, {360, "dark"}}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		p.t.Fatal(err)
	}
	for _, v := range views {
		var opts []chromedp.EmulateViewportOption
		if v.width < 600 {
			opts = append(opts, chromedp.EmulateMobile) // whose scroll bar takes no room
		}
		p.do(chromedp.EmulateViewport(v.width, 800, opts...), chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: v.scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}},
			})
			return err
		}))
		overflow, err := chromedp.Run(p.ctx, chromedp.Evaluate[int64](`document.documentElement.scrollWidth - document.documentElement.clientWidth`))
		if err != nil {
			p.t.Fatal(err)
		}
		if overflow > 0 {
			p.t.Errorf("%s: at a width of %d the page is %d pixels too wide", name, v.width, overflow)
		}
		picture, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
		if err != nil {
			p.t.Fatal(err)
		}
		file := filepath.Join(dir, fmt.Sprintf("%s-%d-%s.png", name, v.width, v.scheme))
		if err := os.WriteFile(file, picture, 0o644); err != nil {
			p.t.Fatal(err)
		}
	}
	p.do(chromedp.EmulateViewport(1280, 900))
}

func (p *tab) logIn(stack string) {
	p.t.Helper()
	p.do(chromedp.Click(chromedp.CSS("#" + stack + " .login button")))
	p.waitText("#"+stack+" .pill", "user")
}

func TestPage(t *testing.T) {
	b := browser(t)
	demoURL, missing := *elsewhere, map[string]string(nil)
	if demoURL == "" {
		var d *demo
		d, demoURL = startDemo(t, "server", nil)
		missing = d.missing
	}
	// What each application's form is filled with.
	users := map[string]string{"php": "alice (user 42) via php", "express": "bob (user 7) via express", "go": "zero (user 0) via go"}
	titles := map[string]string{"php": "PHP", "express": "Express", "go": "Go"}
	for _, stack := range stacks() {
		t.Run(stack, func(t *testing.T) {
			if get, ok := missing[stack]; ok {
				t.Skip(get)
			}
			page := newVisitorTab(t, b)
			page.do(chromedp.Navigate(demoURL))
			page.waitText("#go .pill", "nobody")
			page.shoot(stack + "-1-nobody")

			page.logIn(stack)
			page.waitText(".socket .identity", users[stack])
			page.waitText(".socket .credential", "session cookie")
			page.waitText(".socket .pill", "live")
			page.do(chromedp.Click(chromedp.CSS(".socket .hello")))
			page.waitText("#log", "the service heard “hello”")

			second := page.newTab()
			second.do(chromedp.Navigate(demoURL))
			second.waitText(".socket .identity", users[stack])
			page.wait(`document.querySelectorAll('.socket.good').length === 2`)
			page.shoot(stack + "-2-live")

			page.do(chromedp.Click(chromedp.CSS("#" + stack + " .logout")))
			for _, p := range []*tab{page, second} {
				p.wait(`document.querySelectorAll('.socket.bad').length === 2`)
				p.waitText("#"+stack+" .pill", "nobody")
				end := p.text(".socket .end")
				if !strings.HasPrefix(end, "session_ended, 3000 · ") || !strings.HasSuffix(end, "ms after the logout of "+titles[stack]) {
					t.Errorf("the socket ended: %s", end)
				}
			}
			page.waitText("#log", "Another tab: Socket 1: ended, session_ended, 3000")
			page.shoot(stack + "-3-logged-out")
		})
	}
}

func TestPageCredentials(t *testing.T) {
	b := browser(t)
	_, demoURL := startDemo(t, "server", nil)
	page := newVisitorTab(t, b)
	page.do(chromedp.Navigate(demoURL))
	page.waitText("#go .pill", "nobody")

	page.do(chromedp.SetValue(chromedp.CSS("#go [name=password]"), "wrong"), chromedp.Click(chromedp.CSS("#go .login button")))
	page.waitText("#go .status", "wrong user or password")
	page.shoot("wrong-password")
	page.do(chromedp.SetValue(chromedp.CSS("#go [name=password]"), "demo"))

	page.logIn("go")
	page.waitText(".socket .pill", "live")
	for credential, via := range map[string]string{"rediskey": "via go", "token": "via jwt"} {
		page.do(chromedp.Click(chromedp.CSS("#go [data-open=" + credential + "]")))
		page.wait(`document.querySelector('.socket .pill').textContent === 'live'`)
		page.waitText(".socket .identity", via)
	}
	page.shoot("three-credentials")

	// One that connects again by itself does so once, and is then told the truth.
	page.do(chromedp.Click(chromedp.CSS("#reconnect")), chromedp.Click(chromedp.CSS("#go [data-open=rediskey]")))
	page.waitText(".socket h3", "Socket 4")
	page.waitText(".socket .pill", "live")
	page.do(chromedp.Click(chromedp.CSS("#go .logout")))
	page.waitText("#log", "Socket 4: session_ended, 3000; another attempt in")
	page.waitText(".socket .pill", "ended")
	page.shoot("reconnect")
}

// With nothing but Go the page says what is missing, and the rest works.
func TestPageWithoutParts(t *testing.T) {
	b := browser(t)
	t.Setenv("PATH", "")
	d, demoURL := startDemo(t, "auto", nil)
	if d.redis.pushes || len(d.apps) > 0 {
		t.Fatalf("Redis is %q, and %d applications run", d.redis.about, len(d.apps))
	}
	page := newVisitorTab(t, b)
	page.do(chromedp.Navigate(demoURL))
	page.waitText("#go .pill", "nobody")
	page.waitText("#php .get", "php-redis")
	page.waitText("#express .get", "npm ci --prefix examples/express")
	page.waitText("#redis", "within 2 s")
	page.logIn("go")
	page.waitText(".socket .identity", "zero (user 0) via go")
	page.shoot("without-parts")
	page.do(chromedp.Click(chromedp.CSS("#go .logout")))
	page.waitText(".socket .end", "session_ended, 3000")
}

// The keyboard alone does: focus follows the form that a login replaces.
func TestPageByKeyboard(t *testing.T) {
	b := browser(t)
	_, demoURL := startDemo(t, "builtin", nil)
	page := newVisitorTab(t, b)
	page.do(chromedp.Navigate(demoURL))
	page.waitText("#go .pill", "nobody")
	page.do(chromedp.Focus(chromedp.CSS("#go [name=password]")), chromedp.KeyEvent("\r"))
	page.wait(`document.activeElement.matches('#go .logout')`)
	page.waitText(".socket .pill", "live")
	page.do(chromedp.KeyEvent("\r"))
	page.wait(`document.activeElement.matches('#go select')`)
	page.waitText(".socket .end", "session_ended")
}

// A page of another origin opens a socket with its visitor's cookie:
// cross-site WebSocket hijacking. The service must not let it.
func TestHijacking(t *testing.T) {
	b := browser(t)
	var mu sync.Mutex
	var seen []http.Header // of each handshake
	d, demoURL := startDemo(t, "builtin", func(d *demo, next http.Handler) http.Handler {
		open, err := bridge.New(d.auth, &bridge.Options{
			InsecureAnyOrigin: true, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			_ = open.Shutdown(ctx)
		})
		mux := http.NewServeMux()
		mux.Handle("/", next)
		mux.Handle("/open", open.Handler(talk))
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Upgrade") != "" {
				mu.Lock()
				seen = append(seen, r.Header.Clone())
				mu.Unlock()
			}
			mux.ServeHTTP(w, r)
		})
	})
	target, err := url.Parse(demoURL)
	if err != nil {
		t.Fatal(err)
	}
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><title>Win a prize</title><style>pre { white-space: pre-wrap; overflow-wrap: anywhere }</style><h1>Win a prize</h1><pre></pre><script>
			window.events = [];
			const say = (text) => { events.push(text); document.querySelector('pre').append(text, '\n'); };
			const socket = new WebSocket('ws://%s' + location.pathname);
			socket.onmessage = ({ data }) => say('heard ' + data);
			socket.onclose = ({ code, reason }) => say('closed ' + code + ' ' + reason);
		</script>`, target.Host)
	}))
	t.Cleanup(evil.Close)

	page := newVisitorTab(t, b)
	page.do(chromedp.Navigate(demoURL))
	page.waitText("#go .pill", "nobody")
	page.logIn("go")
	page.waitText(".socket .pill", "live")

	otherSite := strings.Replace(evil.URL, "127.0.0.1", "localhost", 1)
	for _, tc := range []struct {
		name, url  string
		withCookie bool // the browser sends it along
		heard      string
		closed     string
	}{
		// SameSite does not tell ports apart: only the origin's check is left.
		{"another port", evil.URL + "/ws", true, "origin_not_allowed", "closed 3003 origin_not_allowed"},
		{"another host", otherSite + "/ws", false, "origin_not_allowed", "closed 3003 origin_not_allowed"},
		// The attack works where it is not fended off, or the test would prove nothing.
		{"unguarded", evil.URL + "/open", true, `"authenticated","data":{"user":"0"`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			mu.Lock()
			seen = nil
			mu.Unlock()
			attack := page.newTab()
			attack.t = t
			attack.do(chromedp.Navigate(tc.url))
			attack.wait(fmt.Sprintf(`events.some((e) => e.startsWith('heard ') && e.includes(%q))`, tc.heard))
			if tc.closed != "" {
				attack.wait(fmt.Sprintf(`events.at(-1) === %q`, tc.closed))
				attack.shoot("attack-" + strings.ReplaceAll(tc.name, " ", "-"))
			}
			events, err := chromedp.Run(attack.ctx, chromedp.Evaluate[[]string](`events`))
			if err != nil {
				t.Fatal(err)
			}
			if tc.closed != "" && strings.Contains(strings.Join(events, "\n"), "authenticated\"") {
				t.Errorf("the attacker heard %q", events)
			}
			mu.Lock()
			defer mu.Unlock()
			if len(seen) != 1 {
				t.Fatalf("%d handshakes, want the attacker's alone", len(seen))
			}
			if got := strings.Contains(seen[0].Get("Cookie"), goCookie+"="); got != tc.withCookie {
				t.Errorf("the visitor's cookie came along: %v, want %v", got, tc.withCookie)
			}
			if origin := seen[0].Get("Origin"); origin == "" || origin == demoURL {
				t.Errorf("the origin is %q", origin)
			}
		})
	}
	if n := d.bridge.Len(); n != 1 {
		t.Errorf("%d connections are left, want the visitor's own", n)
	}
}
