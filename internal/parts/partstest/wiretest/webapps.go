package wiretest

import (
	"log/slog"
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
