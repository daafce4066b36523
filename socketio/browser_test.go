package socketio_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/remote"
	"github.com/google/go-cmp/cmp"
	"github.com/zishang520/socket.io/servers/socket/v3"
	"github.com/zishang520/socket.io/v3/pkg/types"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/socketio"
)

// bundle is the client as a browser loads it, by version.
var bundle = map[int]string{
	4: filepath.Join(nodeFolder, "node_modules", "socket.io-client", "dist", "socket.io.js"),
	2: filepath.Join(nodeFolder, "node_modules", "socket.io-client-2", "dist", "socket.io.js"),
}

const page = `<!doctype html><script src="/client/%d.js"></script><script>
const seen = [];
const socket = io(%q, { withCredentials: true, transports: [%q], upgrade: false, reconnectionDelay: 20, reconnectionDelayMax: 40 });
socket.on("connect", () => socket.emit("whoami", (user) => seen.push(["whoami", user])));
for (const name of ["deauthenticated", "disconnect"]) socket.on(name, (data) => seen.push([name, data]));
for (const name of ["connect_error", "error"]) socket.on(name, (e) => seen.push(["refused", (e.data ?? e).code ?? e.message ?? e]));
</script>`

// pages serves a page for each version and transport, whose socket goes to the
// service at target. A visitor comes with their cookies of the application,
// which a browser sends to every port of a host.
func pages(v *partstest.Visitor, target string) http.Handler {
	mux := http.NewServeMux()
	for version, file := range bundle {
		mux.HandleFunc(fmt.Sprintf("/client/%d.js", version), func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) })
		for _, transport := range transports() {
			mux.HandleFunc(fmt.Sprintf("/%d/%s", version, transport), func(w http.ResponseWriter, _ *http.Request) {
				cookies, err := http.ParseCookie(v.Cookie())
				if err != nil {
					http.Error(w, err.Error(), http.StatusInternalServerError)
					return
				}
				for _, c := range cookies {
					http.SetCookie(w, &http.Cookie{Name: c.Name, Value: c.Value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
				}
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				fmt.Fprintf(w, page, version, target, transport)
			})
		}
	}
	return mux
}

// In Chromium the session's cookie is all that there is: a page of the
// service's own origin, or of one that is allowed, is who is logged in to PHP,
// until they log out; any other is refused, polling or not.
func TestChromium(t *testing.T) {
	redis := partstest.Redis(t)
	v := partstest.NewVisitor(t, partstest.PHP(t, redis).URL)
	startClients(t) // there is no bundle without npm's packages
	chromium := partstest.Chromium(t)
	a, _ := sessions(t, redis.URL)

	ctx, cancel := remote.NewAllocator(context.Background(), chromium.URL, remote.NoModifyURL)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, 90*time.Second)
	defer cancel()

	for name, test := range map[string]struct {
		foreign, allowed bool
	}{
		"the service's own page":      {},
		"a page of an allowed origin": {foreign: true, allowed: true},
		"a page of another origin":    {foreign: true},
	} {
		t.Run(name, func(t *testing.T) {
			other := httptest.NewUnstartedServer(nil)
			origin := "http://" + other.Listener.Addr().String()
			opts := &bridge.Options{}
			if test.allowed {
				opts.AllowedOrigins = []string{origin}
			}
			b := newBridge(t, a, opts)
			// What the library may tell any page it reads; it is no lock.
			s := newService(t, &types.Cors{Origin: origin, Credentials: true}, func(io *socket.Server) error {
				return socketio.Use(io.Sockets(), b, &socketio.Options{Logger: silent})
			})
			if test.foreign {
				other.Config.Handler = pages(v, s.url)
			} else {
				mux := http.NewServeMux()
				mux.Handle("/socket.io/", socketio.Handler(s.io.ServeHandler(nil)))
				mux.Handle("/", pages(v, ""))
				other.Config.Handler = mux
			}
			other.Start()
			t.Cleanup(func() {
				other.CloseClientConnections()
				other.Close()
			})
			for version := range bundle {
				for _, transport := range transports() {
					v.Login("alice")
					id := fmt.Sprintf("version %d, %s", version, transport)
					if err := chromedp.Do(ctx, chromedp.Navigate(fmt.Sprintf("%s/%d/%s", origin, version, transport))); err != nil {
						t.Fatal(err)
					}
					if test.foreign && !test.allowed {
						if diff := cmp.Diff([]any{[]any{"refused", "origin_not_allowed"}}, seen(t, ctx, 1)); diff != "" {
							t.Errorf("%s: %s", id, diff)
						}
						continue
					}
					seen(t, ctx, 1)
					v.Logout()
					want := []any{
						[]any{"whoami", "42"},
						[]any{"deauthenticated", map[string]any{"code": "session_ended"}},
						[]any{"disconnect", leftByServer},
					}
					if diff := cmp.Diff(want, seen(t, ctx, len(want))); diff != "" {
						t.Errorf("%s: %s", id, diff)
					}
				}
			}
		})
	}
}

// seen returns what the page has seen, once it is n things.
func seen(t *testing.T, ctx context.Context, n int) []any {
	t.Helper()
	all, err := chromedp.Run(ctx, chromedp.Poll[[]any](fmt.Sprintf("seen.length >= %d && seen", n), chromedp.WithPollingTimeout(15*time.Second), chromedp.WithPollingInterval(20*time.Millisecond)))
	if err != nil {
		t.Fatalf("the page has not seen %d things: %v", n, err)
	}
	return all
}

// JSONP is a script of anybody's page, with its visitor's cookies.
func TestJSONPIsRefused(t *testing.T) {
	b := newBridge(t, tokens(t, nil), nil)
	s := guarded(t, b, nil)
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	do := func(method, query, body string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, s.url+"/socket.io/?EIO=4&transport=polling&j=0"+query, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+sign(t, nil))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var text strings.Builder
		if _, err := fmt.Fprint(&text, resp.Status); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096)
		n, _ := resp.Body.Read(buf)
		return text.String() + string(buf[:n])
	}
	opened := do("GET", "", "")
	_, rest, ok := strings.Cut(opened, `\"sid\":\"`)
	sid, _, ok2 := strings.Cut(rest, `\"`)
	if !ok || !ok2 {
		t.Fatalf("opened by %q", opened)
	}
	do("POST", "&sid="+sid, url.Values{"d": {"40"}}.Encode())
	if got := do("GET", "&sid="+sid, ""); !strings.Contains(got, "origin_not_allowed") {
		t.Errorf("answered by %q", got)
	}
}
