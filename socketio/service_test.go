package socketio_test

import (
	"context"
	"io"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/redis/go-redis/v9"
	"github.com/zishang520/socket.io/servers/socket/v3"
	"github.com/zishang520/socket.io/v3/pkg/types"
	"go.uber.org/goleak"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/jwtmode"
	"github.com/sessionbridge/sessionbridge/socketio"
	"github.com/sessionbridge/sessionbridge/stores"
)

func TestMain(m *testing.M) {
	const library = "github.com/zishang520/socket.io/v3/pkg/"
	goleak.VerifyTestMain(m,
		// The library's timers and queues outlive their socket now and then.
		goleak.IgnoreAnyFunction(library+"utils.SetTimeout.func1"),
		goleak.IgnoreAnyFunction(library+"utils.SetInterval.func1"),
		goleak.IgnoreAnyFunction(library+"queue.(*Queue).loop"))
}

var (
	silent    = slog.New(slog.NewTextHandler(io.Discard, nil))
	jwtSecret = []byte("0123456789abcdef0123456789abcdef")
)

// raceDetector is whether it is on. The library has races of its own: between
// a poll that comes and the one before that goes, and between the sockets of a
// broadcast, or the frames of one with attachments.
var raceDetector bool

func transports() []string {
	if raceDetector {
		return []string{"websocket"}
	}
	return []string{"websocket", "polling"}
}

func attachment(text string) any {
	if raceDetector {
		return text
	}
	return []byte(text)
}

const expressSecret = "the secret of the cookie"

// sign returns a token that differs from a good one as change says.
func sign(t testing.TB, change func(jwt.MapClaims)) string {
	t.Helper()
	claims := jwt.MapClaims{"sub": "42", "exp": time.Now().Add(time.Hour).Unix()}
	if change != nil {
		change(claims)
	}
	s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(jwtSecret)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func tokens(t testing.TB, change func(*jwtmode.Options)) bridge.Authenticator {
	t.Helper()
	opts := jwtmode.Options{Algorithms: []string{"HS256"}, Key: jwtSecret, Leeway: -1}
	if change != nil {
		change(&opts)
	}
	a, err := jwtmode.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// sessions accepts PHP's and Express' cookies, rediskeys and tokens.
func sessions(t testing.TB, redisURL string) (bridge.Authenticator, *redis.Client) {
	t.Helper()
	opts, err := redis.ParseURL(redisURL)
	if err != nil {
		t.Fatal(err)
	}
	opts.ContextTimeoutEnabled = true
	rdb := redis.NewClient(opts)
	t.Cleanup(func() { rdb.Close() })
	store, err := stores.NewRedis(rdb, &stores.RedisOptions{Watch: stores.WatchOptions{Logger: silent}})
	if err != nil {
		t.Fatal(err)
	}
	php, err := cookie.New(store, cookie.PHP())
	if err != nil {
		t.Fatal(err)
	}
	express, err := cookie.New(store, cookie.Express(expressSecret))
	if err != nil {
		t.Fatal(err)
	}
	key, err := cookie.RedisKey(php, express)
	if err != nil {
		t.Fatal(err)
	}
	return bridge.First(tokens(t, nil), php, express, key), rdb
}

func newBridge(t testing.TB, a bridge.Authenticator, opts *bridge.Options) *bridge.Bridge {
	t.Helper()
	if opts == nil {
		opts = &bridge.Options{}
	}
	opts.Logger = silent
	b, err := bridge.New(a, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := b.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v; %d lives are left", err, b.Len())
		}
	})
	return b
}

// service is a Socket.IO service.
type service struct {
	url string
	io  *socket.Server
}

// newService serves a Socket.IO server that knows both protocols; set guards
// its namespaces.
func newService(t testing.TB, cors *types.Cors, set func(*socket.Server) error) *service {
	t.Helper()
	opts := socket.DefaultServerOptions()
	opts.SetAllowEIO3(true)
	if cors != nil {
		opts.SetCors(cors)
	}
	io := socket.NewServer(nil, opts)
	if err := set(io); err != nil {
		t.Fatal(err)
	}
	serve(io.Sockets())
	srv := httptest.NewServer(socketio.Handler(io.ServeHandler(nil)))
	t.Cleanup(func() {
		io.Close(nil)
		srv.CloseClientConnections()
		srv.Close()
	})
	return &service{srv.URL, io}
}

// guarded is a service with one guarded namespace.
func guarded(t testing.TB, b *bridge.Bridge, opts *socketio.Options) *service {
	t.Helper()
	o := socketio.Options{Logger: silent}
	if opts != nil {
		o = *opts
		o.Logger = silent
	}
	return newService(t, nil, func(io *socket.Server) error { return socketio.Use(io.Sockets(), b, &o) })
}

// serve is the application: who asks is told who they are, and everybody is in
// a room.
func serve(nsp socket.Namespace) {
	_ = nsp.On("connection", func(args ...any) {
		s := args[0].(*socket.Socket)
		s.Join("everybody")
		_ = s.On("whoami", func(args ...any) {
			if answer, ok := args[len(args)-1].(socket.Ack); ok {
				user := any(nil)
				if id := socketio.Identity(s); id != nil {
					user = id.User
				}
				answer([]any{user}, nil)
			}
		})
		_ = s.On("say", func(args ...any) { nsp.To("everybody").Emit("news", args...) })
	})
}
