package wiretest

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/internal/parts"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/stores"
)

// LogoutBound is how soon after the web application's logout the client's own
// event must come: that of a plain socket.
const LogoutBound = time.Second

// App is a kind of web application.
type App struct {
	Name  string
	Start func(t testing.TB, redis *parts.Process) *parts.Process
	stack func() cookie.Stack
}

// Apps returns the web applications.
func Apps() []App {
	const secret = "a secret"
	return []App{
		{"php", func(t testing.TB, r *parts.Process) *parts.Process { return partstest.PHP(t, r) }, cookie.PHP},
		{
			"express",
			func(t testing.TB, r *parts.Process) *parts.Process { return partstest.Express(t, r, secret) },
			func() cookie.Stack { return cookie.Express(secret) },
		},
	}
}

// Auth reads the application's sessions, by cookie and by rediskey, and tokens.
func (a App) Auth(t testing.TB, redisURL string) bridge.Authenticator {
	t.Helper()
	opts, err := redis.ParseURL(redisURL)
	if err != nil {
		t.Fatal(err)
	}
	opts.ContextTimeoutEnabled = true
	client := redis.NewClient(opts)
	t.Cleanup(func() { client.Close() })
	store, err := stores.NewRedis(client, &stores.RedisOptions{Watch: stores.WatchOptions{Logger: slog.New(slog.DiscardHandler)}})
	if err != nil {
		t.Fatal(err)
	}
	app, err := cookie.New(store, a.stack())
	if err != nil {
		t.Fatal(err)
	}
	key, err := cookie.RedisKey(app)
	if err != nil {
		t.Fatal(err)
	}
	return bridge.First(app, key, Tokens(t))
}

// Visitor is a browser's session with a web application.
type Visitor struct {
	Key string // the rediskey of the login

	t      testing.TB
	app    string
	client *http.Client
}

// NewVisitor returns a visitor of the application at a URL.
func NewVisitor(t testing.TB, app string) *Visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &Visitor{t: t, app: app, client: &http.Client{Jar: jar, Transport: transport}}
}

func (v *Visitor) post(path string, form url.Values) {
	v.t.Helper()
	resp, err := v.client.PostForm(v.app+path, form)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		v.t.Fatalf("POST %s: %s %s %v", path, resp.Status, body, err)
	}
	var answer struct{ RedisKey string }
	if err := json.Unmarshal(body, &answer); err != nil {
		v.t.Fatal(err)
	}
	if answer.RedisKey != "" {
		v.Key = answer.RedisKey
	}
}

// Login logs alice in, who is user 42, and returns the Cookie header that the
// browser then sends.
func (v *Visitor) Login() string {
	v.t.Helper()
	v.post("/login", url.Values{"user": {"alice"}, "password": {"demo"}})
	u, err := url.Parse(v.app)
	if err != nil {
		v.t.Fatal(err)
	}
	var all []string
	for _, c := range v.client.Jar.Cookies(u) {
		all = append(all, c.Name+"="+c.Value)
	}
	if len(all) == 0 || v.Key == "" {
		v.t.Fatal("the login gave no cookie, or no rediskey")
	}
	return strings.Join(all, "; ")
}

// Logout logs out.
func (v *Visitor) Logout() {
	v.t.Helper()
	v.post("/logout", nil)
}
