package jwtmode_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"weak"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"
	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/internal/parts"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/jwtmode"
	"github.com/sessionbridge/sessionbridge/stores"
)

// redisClient is a client of a server that ends with the test.
func redisClient(t testing.TB, server *parts.Process) *redis.Client {
	t.Helper()
	c := redis.NewClient(must(redis.ParseURL(server.URL)))
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// redisStore is what a node has of its own: a client and a store.
func redisStore(t testing.TB, server *parts.Process) *stores.Redis {
	t.Helper()
	return must(stores.NewRedis(redisClient(t, server), &stores.RedisOptions{
		Watch: stores.WatchOptions{Logger: slog.New(slog.DiscardHandler)},
	}))
}

// recent makes a token of user 42, issued a minute ago and good for an hour,
// with some claims set otherwise.
func recent(with jwt.MapClaims) string {
	now := time.Now().Unix()
	c := jwt.MapClaims{"iat": now - 60, "exp": now + 3600}
	for name, v := range with {
		c[name] = v
	}
	return hs256(claims(c))
}

// revocable is an authenticator by tokens that the revocations in a server end.
func revocable(t testing.TB, server *parts.Process, o *jwtmode.RevocationOptions) (*jwtmode.Authenticator, *jwtmode.Revocations) {
	t.Helper()
	r := must(jwtmode.NewRevocations(redisStore(t, server), o))
	return newAuth(t, jwtmode.Options{Revocations: r}), r
}

// feedless is an authenticator whose hook has nothing to follow, and so nothing
// to shut down.
type feedless struct{ bridge.Authenticator }

func (f feedless) Traits() bridge.Traits { return bridge.TraitsOf(f.Authenticator) }

// connect opens a socket with a token, or another credential, and waits until
// it is authenticated.
func connect(t *testing.T, url string, h http.Header, subprotocols ...string) *websocket.Conn {
	t.Helper()
	ws, res := dial(t, url, h, subprotocols...)
	if ws == nil {
		t.Fatalf("refused with %s", res.Status)
	}
	_, p, err := ws.ReadMessage()
	if err != nil || !bytes.Contains(p, []byte(`"event":"authenticated"`)) {
		t.Fatalf("got %s, %v", p, err)
	}
	return ws
}

// expectEnded checks that a socket is told why it ends, and is closed.
func expectEnded(t *testing.T, ws *websocket.Conn, code bridge.Code) {
	t.Helper()
	expect(t, ws, `{"event":"deauthenticated","data":{"code":"`+string(code)+`"}}`)
	if _, p, err := ws.ReadMessage(); !websocket.IsCloseError(err, code.CloseCode()) {
		t.Errorf("got %s, %v; want it closed with %d", p, err, code.CloseCode())
	}
}

// expectAlive checks that a socket still serves its user.
func expectAlive(t *testing.T, ws *websocket.Conn, user string) {
	t.Helper()
	send(t, ws, "who am I")
	expect(t, ws, `"`+user+`"`)
}

func sha256Hex(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func TestRevocationReachesAllNodes(t *testing.T) {
	server := partstest.Redis(t)
	here, r := revocable(t, server, nil)
	there, _ := revocable(t, server, nil)
	urls := []string{serve(t, here, &bridge.Options{}), serve(t, there, &bridge.Options{})}
	token := func(user, jti string) http.Header {
		return http.Header{"Authorization": {"Bearer " + recent(jwt.MapClaims{"sub": user, "jti": jti})}}
	}
	for _, tt := range []struct {
		name        string
		revoke      func(t *testing.T, user, jti string) error
		otherTokens bool // of the user are revoked, too
	}{
		{"a token", func(t *testing.T, _, jti string) error {
			return r.RevokeToken(t.Context(), jti, time.Now().Add(time.Hour))
		}, false},
		{"a token of unknown end", func(t *testing.T, _, jti string) error { return r.RevokeToken(t.Context(), jti, time.Time{}) }, false},
		{"a user", func(t *testing.T, user, _ string) error { return r.RevokeUser(t.Context(), user) }, true},
		{"a user, by PHP", func(t *testing.T, user, _ string) error {
			return runDocumented(t, "$redis->setex(", user, func(line string) *exec.Cmd {
				return phpCommand(t, server, line)
			})
		}, true},
		{"a user, by Node", func(t *testing.T, user, _ string) error {
			return runDocumented(t, "redis.set(", user, func(line string) *exec.Cmd {
				return nodeCommand(t, server, line)
			})
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			user := "user of " + tt.name
			mine, other, strangers := token(user, user+"/1"), token(user, user+"/2"), token("7", user)
			var ended, second, alive []*websocket.Conn
			for _, url := range urls {
				ended = append(ended, connect(t, url, mine))
				second = append(second, connect(t, url, other))
				alive = append(alive, connect(t, url, strangers))
			}
			if err := tt.revoke(t, user, user+"/1"); err != nil {
				t.Fatal(err)
			}
			for i, ws := range ended {
				expectEnded(t, ws, bridge.CodeRevoked)
				if ws, res := dial(t, urls[i], mine); ws != nil || res.StatusCode != http.StatusUnauthorized {
					t.Error("the token opens another socket")
				}
			}
			for _, ws := range second {
				if tt.otherTokens {
					expectEnded(t, ws, bridge.CodeRevoked)
				} else {
					expectAlive(t, ws, user)
				}
			}
			for _, ws := range alive {
				expectAlive(t, ws, "7")
			}
		})
	}
}

// runDocumented runs the line of the documentation that begins so.
func runDocumented(t *testing.T, begin, user string, command func(line string) *exec.Cmd) error {
	t.Helper()
	source, err := os.ReadFile("revoke.go")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(source)) {
		if text, ok := strings.CutPrefix(line, "//\t"); ok && strings.HasPrefix(text, begin) {
			cmd := command(strings.TrimSpace(text))
			cmd.Env = append(os.Environ(), "REVOKE="+user)
			out, err := cmd.CombinedOutput()
			if err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		}
	}
	t.Fatalf("no line of the documentation begins with %s", begin)
	return nil
}

func phpCommand(t *testing.T, server *parts.Process, line string) *exec.Cmd {
	host, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "redis://"), ":")
	path, err := parts.PHP(t.Context())
	partstest.Here(t, err)
	return exec.CommandContext(t.Context(), path, "-r",
		fmt.Sprintf("$redis = new Redis(); $redis->connect('%s', %s); $user = getenv('REVOKE'); %s", host, port, line))
}

func nodeCommand(t *testing.T, server *parts.Process, line string) *exec.Cmd {
	path, modules := partstest.Node(t, "examples/express", "redis")
	cmd := exec.CommandContext(t.Context(), path, "-e", fmt.Sprintf(`
		const crypto = require('crypto');
		const user = process.env.REVOKE;
		(async () => {
			const redis = await require('redis').createClient({url: %q}).connect();
			await %s
			await redis.close();
		})();`, server.URL, line))
	cmd.Dir = filepath.Dir(modules)
	return cmd
}

func TestRevocationMoments(t *testing.T) {
	server := partstest.Redis(t)
	c := redisClient(t, server)
	a, _ := revocable(t, server, nil)
	second := time.Now().Unix() - 60
	at := func(fraction string) string { return strconv.FormatInt(second, 10) + fraction }
	for i, tt := range []struct {
		name, iat, entry string
		revoked          bool
	}{
		{"issued the second before, told in seconds", at(""), strconv.FormatInt(second+1, 10), true},
		{"issued in the same second, both in seconds", at(""), at(""), true},
		{"issued in the same second, before or after", at(""), at(".500000"), true},
		{"issued the second after", strconv.FormatInt(second+1, 10), at(""), false},
		{"issued the second after a fraction", strconv.FormatInt(second+1, 10), at(".999999"), false},
		{"issued a microsecond before", at(".499999"), at(".500000"), true},
		{"issued in the same microsecond", at(".500000"), at(".500000"), true},
		{"issued a microsecond after", at(".500001"), at(".500000"), false},
		{"nanoseconds do not count", at(".500001999"), at(".500001000"), true},
		{"issued in the same millisecond", at(".500900"), at(".500"), true},
		{"issued a millisecond after", at(".501"), at(".500"), false},
		{"issued in the rest of a second", at(".999999"), at(""), true},
		{"a float", strconv.FormatFloat(float64(second), 'e', -1, 64), at(""), true},
		{"a later float", strconv.FormatFloat(float64(second+1), 'e', -1, 64), at(""), false},
		{"no time: empty", at(""), "", true},
		{"no time: one", at(""), "1", true},
		{"no time: in milliseconds", at(""), at("000"), true},
		{"no time: before 2001", at(""), "999999999", true},
		{"no time: a word", at(""), "now", true},
		{"no time: negative", at(""), "-1", true},
		{"no time: only a point", at(""), at("."), true},
		{"no time: two points", at(""), at(".5.5"), true},
		{"a time long ago", at(""), "1000000000", false},
		{"a time to come", at(""), strconv.FormatInt(second+3600, 10), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			user := strconv.Itoa(i)
			if err := c.Set(t.Context(), "sessionbridge:revoked:sub:"+sha256Hex(user), tt.entry, time.Minute).Err(); err != nil {
				t.Fatal(err)
			}
			token := recent(jwt.MapClaims{"sub": user, "iat": json.Number(tt.iat)})
			id, err := authenticate(a, withBearer(token))
			if !tt.revoked {
				if err != nil || id.User != user {
					t.Fatalf("got %v, %v", id, err)
				}
				return
			}
			checkRefused(t, feedless{a}, withBearer(token), token, "revoked", "jwt revoked", bridge.ErrRejected)
		})
	}
}

// What an Issuer signs is told from what it signed before a revocation, in
// whatever part of a second.
func TestRevocationOfIssued(t *testing.T) {
	server := partstest.Redis(t)
	r := must(jwtmode.NewRevocations(redisStore(t, server), nil))
	i := must(jwtmode.NewIssuer(jwtmode.IssuerOptions{Issuer: "us", Audience: []string{"chat"}, Algorithm: "HS256", Key: secret}))
	o := i.Options()
	o.Revocations = r
	a := newAuth(t, o)
	id := &bridge.Identity{User: "42", Via: "php"}
	for range 50 {
		before := must(i.Issue(id))
		if err := r.RevokeUser(t.Context(), "42"); err != nil {
			t.Fatal(err)
		}
		after := must(i.Issue(id))
		if id, err := authenticate(a, withBearer(before.Text)); err == nil {
			t.Fatalf("issued before: %v", id)
		}
		if _, err := authenticate(a, withBearer(after.Text)); err != nil {
			t.Fatalf("issued after: %v", err)
		}
	}
}

func TestRevocationEntriesEnd(t *testing.T) {
	server := partstest.Redis(t)
	c := redisClient(t, server)
	_, r := revocable(t, server, &jwtmode.RevocationOptions{Prefix: "gone:", MaxTokenAge: 2 * time.Hour})
	for _, tt := range []struct {
		name   string
		revoke func() error
		key    string
		ttl    time.Duration
	}{
		{"a token", func() error { return r.RevokeToken(t.Context(), "a", time.Now().Add(10*time.Minute)) }, "gone:jti:" + sha256Hex("a"), 15 * time.Minute},
		{"a token in its leeway", func() error { return r.RevokeToken(t.Context(), "b", time.Now().Add(-time.Minute)) }, "gone:jti:" + sha256Hex("b"), 4 * time.Minute},
		{"a token that is over", func() error { return r.RevokeToken(t.Context(), "c", time.Now().Add(-time.Hour)) }, "gone:jti:" + sha256Hex("c"), 0},
		{"a token of no known end", func() error { return r.RevokeToken(t.Context(), "d", time.Time{}) }, "gone:jti:" + sha256Hex("d"), 2*time.Hour + 5*time.Minute},
		{"a token that would be refused for its length", func() error { return r.RevokeToken(t.Context(), "e", time.Now().Add(100*time.Hour)) }, "gone:jti:" + sha256Hex("e"), 2*time.Hour + 5*time.Minute},
		{"a user", func() error { return r.RevokeUser(t.Context(), "42") }, "gone:sub:" + sha256Hex("42"), 2*time.Hour + 5*time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.revoke(); err != nil {
				t.Fatal(err)
			}
			got := max(0, c.PTTL(t.Context(), tt.key).Val())
			if got > tt.ttl || got < tt.ttl-5*time.Second {
				t.Errorf("the entry lives for %v, want %v", got, tt.ttl)
			}
		})
	}
	if err := r.RevokeToken(t.Context(), "", time.Time{}); err == nil {
		t.Error("RevokeToken took no jti")
	}
	if err := r.RevokeUser(t.Context(), ""); err == nil {
		t.Error("RevokeUser took no user")
	}
}

func TestRevocationNeedsToKnowTheAge(t *testing.T) {
	server := partstest.Redis(t)
	a, _ := revocable(t, server, &jwtmode.RevocationOptions{MaxTokenAge: time.Hour})
	now := time.Now().Unix()
	for _, tt := range []struct {
		name, message string
		with          jwt.MapClaims
	}{
		{"no iat", "invalid iat value", jwt.MapClaims{"iat": nil}},
		{"a life longer than an entry's", "jwt lives too long", jwt.MapClaims{"iat": now - 60, "exp": now + 3541}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			token := recent(tt.with)
			checkRefused(t, feedless{a}, withBearer(token), token, "invalid_token", tt.message, nil)
		})
	}
	if _, err := authenticate(a, withBearer(recent(jwt.MapClaims{"iat": now - 60, "exp": now + 3540, "jti": nil}))); err != nil {
		t.Errorf("a token without a jti: %v", err)
	}
}

func TestRevocationOutage(t *testing.T) {
	server := partstest.Redis(t)
	strict, r := revocable(t, server, nil)
	lax, _ := revocable(t, server, &jwtmode.RevocationOptions{InsecureIgnoreOutage: true})
	token := recent(nil)
	for _, a := range []*jwtmode.Authenticator{strict, lax} {
		if _, err := authenticate(a, withBearer(token)); err != nil {
			t.Fatal(err)
		}
	}
	server.Kill()
	if got := status(t, feedless{strict}, withBearer(token)); got != http.StatusServiceUnavailable {
		t.Errorf("without Redis: %d, want 503", got)
	}
	if _, err := authenticate(lax, withBearer(token)); err != nil {
		t.Errorf("with InsecureIgnoreOutage: %v", err)
	}
	if err := r.RevokeUser(t.Context(), "42"); err == nil {
		t.Error("RevokeUser gave no error")
	}
}

// A revocation that nobody is told of, as the stream is cut in the same moment,
// is found when it is there again.
func TestRevocationWhileTheStreamIsCut(t *testing.T) {
	server := partstest.Redis(t)
	a, _ := revocable(t, server, nil)
	url := serve(t, a, &bridge.Options{})
	ws := connect(t, url, http.Header{"Authorization": {"Bearer " + recent(nil)}})
	pipe := redisClient(t, server).TxPipeline()
	pipe.Do(t.Context(), "CLIENT", "KILL", "TYPE", "pubsub")
	pipe.Set(t.Context(), "sessionbridge:revoked:jti:"+sha256Hex(marker), "1", time.Minute)
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	expectEnded(t, ws, bridge.CodeRevoked)
}

// As long as Redis reports changes, a token that was found not to be revoked is
// not asked about again.
func TestRevocationIsReadOnce(t *testing.T) {
	server := partstest.Redis(t)
	c := redisClient(t, server)
	a, r := revocable(t, server, nil)
	hook := must(bridge.New(a, &bridge.Options{Logger: slog.New(slog.DiscardHandler)}))
	t.Cleanup(func() { _ = hook.Shutdown(t.Context()) })
	served := hook.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	token := recent(nil)
	ask := func() (status, reads int) {
		before := commandCalls(t, c, "getrange")
		w := httptest.NewRecorder()
		served.ServeHTTP(w, withBearer(token))
		return w.Code, commandCalls(t, c, "getrange") - before
	}
	eventually(t, func() bool { // the stream has to begin
		status, reads := ask()
		if status != http.StatusOK {
			t.Fatalf("got %d", status)
		}
		return reads == 0
	})
	if err := r.RevokeUser(t.Context(), "42"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { status, _ := ask(); return status == http.StatusUnauthorized })
}

// What is kept of a token that was found not to be revoked does not keep the
// connection that presented it.
func TestRevocationKeepsNoConnection(t *testing.T) {
	server := partstest.Redis(t)
	store := redisStore(t, server)
	for name, keyFunc := range map[string]jwtmode.KeyFunc{
		"a key":   nil,
		"KeyFunc": func(context.Context, *http.Request, *jwt.Token) (any, error) { return secret, nil },
	} {
		t.Run(name, func(t *testing.T) {
			a := newAuth(t, jwtmode.Options{KeyFunc: keyFunc, Revocations: must(jwtmode.NewRevocations(store, nil))})
			hook := must(bridge.New(a, &bridge.Options{Logger: slog.New(slog.DiscardHandler)}))
			var kept weak.Pointer[bridge.Conn]
			ended := make(chan struct{})
			url := serveHandler(t, hook, func(c *bridge.Conn) {
				kept = weak.Make(c)
				for {
					if _, _, err := c.ReadMessage(); err != nil {
						break
					}
				}
				close(ended)
			})
			ws := connect(t, url, http.Header{"Authorization": {"Bearer " + recent(jwt.MapClaims{"jti": "1"})}})
			send(t, ws, `{"event":"authenticate","data":{"token":"`+recent(jwt.MapClaims{"jti": "2"})+`"}}`)
			if _, p, err := ws.ReadMessage(); err != nil || !bytes.Contains(p, []byte(`"event":"authenticated"`)) {
				t.Fatalf("got %s, %v", p, err)
			}
			_ = ws.Close()
			<-ended
			eventually(t, func() bool {
				runtime.GC()
				return kept.Value() == nil
			})
		})
	}
}

func commandCalls(t testing.TB, c *redis.Client, command string) int {
	t.Helper()
	info := c.Info(t.Context(), "commandstats").Val()
	_, rest, ok := strings.Cut(info, "cmdstat_"+command+":calls=")
	if !ok {
		return 0
	}
	n, _, _ := strings.Cut(rest, ",")
	return must(strconv.Atoi(n))
}

func TestNewRevocationsRefuses(t *testing.T) {
	c := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	t.Cleanup(func() { _ = c.Close() })
	store := must(stores.NewRedis(c, nil))
	for _, tt := range []struct {
		name  string
		store jwtmode.RevocationStore
		opts  *jwtmode.RevocationOptions
	}{
		{"no store", nil, nil},
		{"a constructor's nil", (*stores.Redis)(nil), nil},
		{"a negative age", store, &jwtmode.RevocationOptions{MaxTokenAge: -1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if r, err := jwtmode.NewRevocations(tt.store, tt.opts); r != nil || err == nil {
				t.Errorf("got %v, %v", r, err)
			}
		})
	}
}
