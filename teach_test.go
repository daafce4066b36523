package sessionbridge_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/remote"
	"github.com/golang-jwt/jwt/v5"
	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/stores"
)

// mistake is one that somebody makes who sets the service up.
type mistake struct {
	name string

	// make makes it: it returns the settings of the service beside its Redis,
	// and the request of a visitor who is logged in.
	make func(t *testing.T, w *workshop) ([]string, *http.Request)

	message string // that the visitor then sends on a WebSocket; "": it asks /auth

	status int      // that the visitor sees
	code   string   // that the visitor sees
	log    []string // what must be in one line of the log
	doctor []string // how the doctor is asked; nil: it is not
	try    string   // what the doctor must say
}

func signed(t *testing.T, method jwt.SigningMethod, secret string, claims jwt.MapClaims) *http.Request {
	t.Helper()
	claims["sub"] = "42"
	s, err := jwt.NewWithClaims(method, claims).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return visit(t, "Authorization", "Bearer "+s)
}

// tokens are the settings of a service that takes JWTs.
var tokens = []string{"JWT_SECRET=" + string(jwtSecret), "JWT_AUDIENCE=socket"}

const inPHP = "PHPSESSID=abcdefghij0123456789abcdef"

func soon() int64 { return time.Now().Add(time.Hour).Unix() }

var mistakes = []mistake{
	{name: "no Redis there", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		w.redis.Stop()
		return nil, visit(t, "Cookie", inPHP)
	}, status: 503, code: "unavailable",
		log:    []string{"handshake refused code=unavailable", "php: stores: reading from Redis at 127.0.0.1:", ", database 0: no answer in time: dial tcp 127.0.0.1:", "connection refused; nothing listens there: start Redis, or give its address"},
		doctor: []string{"--stack", "php"}, try: "connection refused; nothing listens there: start Redis"},
	{name: "no Redis there, at the start", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		w.redis.Stop()
		return nil, visit(t, "Cookie", inPHP)
	}, status: 503, code: "unavailable", log: []string{"sessions cannot be read: visitors get 503 until they can", "connection refused; nothing listens there"}},
	{name: "no such host", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		w.env = []string{"REDIS_URL=redis://redis.invalid:6379"}
		return nil, visit(t, "Cookie", inPHP)
	}, status: 503, code: "unavailable", log: []string{"lookup redis.invalid", "give a host name that this machine can look up"},
		doctor: []string{"--stack", "php", "--redis", "redis://redis.invalid:6379"}, try: "give a host name that this machine can look up"},
	{name: "no password", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		w.configure(t, "CONFIG", "SET", "requirepass", newSecret)
		return nil, visit(t, "Cookie", inPHP)
	}, status: 503, code: "unavailable", log: []string{"NOAUTH Authentication required.; give the client the server's password"},
		doctor: []string{"--stack", "php"}, try: "NOAUTH Authentication required.; give the client the server's password"},
	{name: "another password", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		w.configure(t, "CONFIG", "SET", "requirepass", newSecret)
		w.env = []string{"REDIS_URL=redis://:hunter2@" + w.addr}
		return nil, visit(t, "Cookie", inPHP)
	}, status: 503, code: "unavailable", log: []string{"WRONGPASS", "the user name or the password is not one of this server's"},
		doctor: []string{"--stack", "php", "--redis", "redis://:hunter2@ADDR"}, try: "the user name or the password is not one of this server's"},
	{name: "a right too few", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		w.configure(t, "ACL", "SETUSER", "socket", "on", ">hunter2", "~other:*", "+@all")
		w.env = []string{"REDIS_URL=redis://socket:hunter2@" + w.addr}
		return nil, visit(t, "Cookie", inPHP)
	}, status: 503, code: "unavailable", log: []string{"NOPERM", "give the client's user the right to it (ACL SETUSER)"},
		doctor: []string{"--stack", "php", "--redis", "redis://socket:hunter2@ADDR"}, try: "give the client's user the right to it"},
	{name: "no such database", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		w.env = []string{"REDIS_URL=" + w.redis.URL + "/99"}
		return nil, visit(t, "Cookie", inPHP)
	}, status: 503, code: "unavailable", log: []string{"database 99: ERR DB index is out of range; this server has no database of that number"},
		doctor: []string{"--stack", "php", "--redis", "redis://ADDR/99"}, try: "this server has no database of that number"},
	{name: "TLS where there is none", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		w.env = []string{"REDIS_URL=rediss://" + w.addr}
		return nil, visit(t, "Cookie", inPHP)
	}, status: 503, code: "unavailable", log: []string{"no answer in time: context deadline exceeded; the server hangs, cannot be reached, or only one of the two speaks TLS (redis:// or rediss://)"}},

	{name: "another database", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		return nil, login(t, w.php(t, "-d", `session.save_path="tcp://`+w.addr+`?database=2"`))
	}, status: 401, code: "credentials_required",
		log:    []string{`no credential: php: no such session under "PHPREDIS_SESSION:" in Redis at 127.0.0.1:`, ", database 0; if the user is logged in, the application has another prefix, server or database, or another session handler"},
		doctor: []string{"--stack", "php"}, try: `database 2 holds "PHPREDIS_SESSION:`},
	{name: "another prefix", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		return nil, login(t, w.php(t, "-d", `session.save_path="tcp://`+w.addr+`?prefix=app:"`))
	}, status: 401, code: "credentials_required", log: []string{`php: no such session under "PHPREDIS_SESSION:"`, "the application has another prefix"},
		doctor: []string{"--stack", "php"}, try: "try:    --prefix app:"},
	{name: "sessions in files", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		return nil, login(t, w.php(t, "-d", "session.save_handler=files", "-d", "session.save_path="+t.TempDir()))
	}, status: 401, code: "credentials_required", log: []string{`php: no such session under "PHPREDIS_SESSION:"`, "or another session handler"},
		doctor: []string{"--stack", "php"}, try: "database 0 of this Redis is empty"},
	{name: "PHP without its extension", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		return nil, login(t, w.php(t, "-n"))
	}, status: 401, code: "credentials_required", log: []string{`php: no cookie "PHPSESSID"`, `; the request has none at all: check Domain, Path, Secure and SameSite`}},
	{name: "handler php_serialize", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		return nil, login(t, w.php(t, "-d", "session.serialize_handler=php_serialize"))
	}, status: 503, code: "unavailable", log: []string{"php: the session cannot be decoded as php: ", "it looks like php_serialize: set Keyspace.Codec to what the application writes"},
		doctor: []string{"--stack", "php"}, try: "--handler php_serialize"},
	{name: "handler php_binary", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		return nil, login(t, w.php(t, "-d", "session.serialize_handler=php_binary"))
	}, status: 503, code: "unavailable", log: []string{"it looks like php_binary"},
		doctor: []string{"--stack", "php"}, try: "--handler php_binary"},
	{name: "handler igbinary", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		return nil, login(t, w.php(t, "-d", "session.serialize_handler=igbinary"))
	}, status: 503, code: "unavailable", log: []string{"it looks like igbinary"},
		doctor: []string{"--stack", "php"}, try: "--handler igbinary"},
	{name: "handler msgpack", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		return nil, login(t, w.php(t, "-d", "session.serialize_handler=msgpack"))
	}, status: 503, code: "unavailable", log: []string{"it looks like msgpack"},
		doctor: []string{"--stack", "php"}, try: "--handler msgpack"},
	{name: "handler php for php_serialize", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		return []string{"PHP_HANDLER=php_serialize"}, login(t, w.php(t))
	}, status: 503, code: "unavailable", log: []string{"it looks like php: set Keyspace.Codec"}},
	{name: "user elsewhere", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		return nil, login(t, w.php(t)+"/?elsewhere")
	}, status: 401, code: "credentials_required", log: []string{`php: nobody is logged in to the session: nothing at "user_id"; if the user is logged in, set User to "auth.user.id"`},
		doctor: []string{"--stack", "php"}, try: "--user auth.user.id"},
	{name: "another cookie name", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		return nil, login(t, w.php(t, "-d", "session.name=APPSESS"))
	}, status: 401, code: "credentials_required", log: []string{`php: no cookie "PHPSESSID"`, `; the request has "APPSESS": if none is the session's, check its Domain, Path, Secure and SameSite`},
		doctor: []string{"--stack", "php"}, try: "--cookie-name APPSESS"},
	{name: "ids of the application's own", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		return nil, visit(t, "Cookie", "PHPSESSID=user-42")
	}, status: 401, code: "invalid_session", log: []string{"php: not a session id: it is 7 bytes long, not 22 to 256; if the application makes such ids, set Keyspace.ID"},
		doctor: []string{"--stack", "php"}, try: "it is 7 bytes long, not 22 to 256"},

	{name: "cookie of another path", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		return nil, login(t, w.php(t, "-d", "session.cookie_path=/app"))
	}, status: 401, code: "credentials_required", log: []string{"the request has none at all: check Domain, Path, Secure and SameSite"}},
	{name: "Secure cookie over http", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		return nil, login(t, w.php(t, "-d", "session.cookie_secure=1"))
	}, status: 401, code: "credentials_required", log: []string{"the request has none at all: check Domain, Path, Secure and SameSite"}},
	{name: "localhost and 127.0.0.1", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		r := loginAt(t, "http://localhost:8080", w.php(t), "http://127.0.0.1:8090/auth")
		r.Header.Set("Origin", "http://localhost:8080")
		return []string{"ALLOWED_ORIGINS=localhost:*"}, r
	}, status: 401, code: "credentials_required", log: []string{`the request has none at all: the page is of "http://localhost:8080", and cookies go only to the host that set them, cross-site only with SameSite=None`}},

	{name: "page of another origin", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		return nil, visit(t, "Origin", "https://page.example")
	}, status: 403, code: "origin_not_allowed", log: []string{`handshake refused code=origin_not_allowed`, `origin "https://page.example" is not the requested host "app.example"`, "if the page is yours, list its origin in AllowedOrigins, and if a proxy stands between, let it pass the Host header on"}},
	{name: "proxy that changes Host", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		r := visit(t)
		r.Header.Set("Through", "proxy")
		return nil, r
	}, status: 403, code: "origin_not_allowed", log: []string{"X-Forwarded-Host has the page's host, but is not believed, as any client can send it: let the proxy pass the Host header on"}},
	{name: "page without an origin", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		return nil, visit(t, "Origin", "null")
	}, status: 403, code: "origin_not_allowed", log: []string{`origin "null" is not the requested host`, "a file, a sandboxed frame and a data: URL have no origin"}},

	{name: "another secret", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		return nil, login(t, w.express(t, "SECRET="+oldSecret)+"/passport")
	}, status: 401, code: "invalid_session", log: []string{"express: the signature does not fit the one secret; if the cookie is the application's, compare its name and secret with those set here"},
		doctor: []string{"--stack", "express", "--secret", newSecret}, try: "the secret is not the application's"},
	{name: "no secret", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		return []string{"EXPRESS_SECRETS="}, login(t, w.express(t)+"/passport")
	}, status: 401, code: "credentials_required", log: []string{"EXPRESS_SECRETS is empty: Express sessions are not accepted"}},
	{name: "another store prefix", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		return nil, login(t, w.express(t, "PREFIX=myapp:sess:")+"/passport")
	}, status: 401, code: "credentials_required", log: []string{`express: no such session under "sess:" in Redis at`, "the application has another prefix"},
		doctor: []string{"--stack", "express", "--secret", newSecret}, try: "--prefix myapp:sess:"},
	{name: "a visitor's session", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		return nil, login(t, w.express(t)+"/anonymous")
	}, status: 401, code: "credentials_required", log: []string{`express: nobody is logged in to the session: nothing at "passport.user"; the session has "cookie"`},
		doctor: []string{"--stack", "express", "--secret", newSecret}, try: "nobody is logged in to this session"},
	{name: "Express' user elsewhere", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		return nil, login(t, w.express(t)+"/object")
	}, status: 401, code: "credentials_required", log: []string{`nothing at "passport.user"; if the user is logged in, set User to "user.id"`},
		doctor: []string{"--stack", "express", "--secret", newSecret}, try: "--user user.id"},
	{name: "the user is an object", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		return []string{"EXPRESS_USER=user"}, login(t, w.express(t)+"/object")
	}, status: 503, code: "unavailable", log: []string{`express: an object at "user" is no user id; inside it are "user.id", "user.name"`},
		doctor: []string{"--stack", "express", "--secret", newSecret, "--user", "user"}, try: `inside it are "user.id"`},

	{name: "a frame before the login", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		return nil, visit(t)
	}, message: `{"event":"hello"}`, code: "credentials_required",
		log: []string{"handshake refused code=credentials_required", "the client sent something else before it was authenticated"}},
	{name: "a rediskey in another case", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		return nil, visit(t)
	}, message: `{"redisKey":"abcdefghij0123456789abcdef"}`, code: "credentials_required",
		log: []string{"handshake refused code=credentials_required", `the client's first message is not of the form {"rediskey": "<session id>"}, in lower case`}},
	{name: "a rediskey that is a whole key", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		return nil, visit(t)
	}, message: `{"rediskey":"PHPREDIS_SESSION:abcdefghij0123456789abcdef"}`, code: "invalid_session",
		log: []string{"handshake refused code=invalid_session", "rediskey: not a session id: it is a whole key; the message is to hold what is behind the prefix"}},
	{name: "a rediskey that is a cookie", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		return nil, visit(t)
	}, message: `{"rediskey":"s:abcdefghij0123456789abcdefghijkl.0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"}`, code: "invalid_session",
		log: []string{"handshake refused code=invalid_session", "rediskey: not a session id: its byte 1 is outside the stack's alphabet"}},
	{name: "a rediskey of no session", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		return nil, visit(t)
	}, message: rediskey("abcdefghij0123456789abcdef"), code: "invalid_session",
		log: []string{`rediskey: no such session under "PHPREDIS_SESSION:" or "sess:"; if the user is logged in, the application has another prefix`}},

	{name: "another algorithm", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		return tokens, signed(t, jwt.SigningMethodHS512, string(jwtSecret), jwt.MapClaims{"aud": "socket", "exp": soon()})
	}, status: 401, code: "invalid_token", log: []string{"handshake refused code=invalid_token", "jwt: token is unverifiable: its alg is not one of the Algorithms"}},
	{name: "another JWT secret", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		return tokens, signed(t, jwt.SigningMethodHS256, oldSecret+oldSecret, jwt.MapClaims{"aud": "socket", "exp": soon()})
	}, status: 401, code: "invalid_token", log: []string{"handshake refused code=invalid_token", "jwt: token signature is invalid"}},
	{name: "another audience", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		return tokens, signed(t, jwt.SigningMethodHS256, string(jwtSecret), jwt.MapClaims{"aud": "web", "exp": soon()})
	}, status: 401, code: "invalid_token", log: []string{"handshake refused code=invalid_token", `jwt: token has invalid audience: its aud has none of ["socket"]`}},
	{name: "another issuer", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		claims := jwt.MapClaims{"aud": "socket", "iss": "https://login.example.com/", "exp": soon()}
		return append(slices.Clone(tokens), "JWT_ISSUER=https://login.example.com"), signed(t, jwt.SigningMethodHS256, string(jwtSecret), claims)
	}, status: 401, code: "invalid_token", log: []string{"handshake refused code=invalid_token", `jwt: token has invalid issuer: its iss is not "https://login.example.com"`}},
	{name: "exp in milliseconds", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		return tokens, signed(t, jwt.SigningMethodHS256, string(jwtSecret), jwt.MapClaims{"aud": "socket", "exp": 1000 * soon()})
	}, status: 401, code: "invalid_token", log: []string{"handshake refused code=invalid_token", "jwt: token has invalid claims: exp is not a date in seconds since 1970"}},
	{name: "no exp", make: func(t *testing.T, w *workshop) ([]string, *http.Request) {
		return tokens, signed(t, jwt.SigningMethodHS256, string(jwtSecret), jwt.MapClaims{"aud": "socket"})
	}, status: 401, code: "invalid_token", log: []string{"handshake refused code=invalid_token", "jwt: token is missing required claim: exp"}},
}

// Each mistake is made for real. The log says in one line what was seen and
// what to try, and holds no secret; the doctor says it, too; and the page on
// troubleshooting quotes what is really written.
func TestMistakesTeach(t *testing.T) {
	programs := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", programs, "./examples/socket", "./cmd/sessionbridge").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	all := &heard{}
	complete := true
	run := func(name string, f func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			defer func() { complete = complete && !t.Skipped() }()
			f(t)
		})
	}
	for _, m := range mistakes {
		run(m.name, func(t *testing.T) {
			w := newWorkshop(t, programs)
			defer func() { all.take(w.heard) }()
			env, r := m.make(t, w)
			service := w.service(t, env...)
			if r.Header.Get("Through") != "" {
				service = throughProxy(t, service)
				r.Header.Set("Origin", service)
				r.Host = mustURL(t, service).Host
			}
			status, code := ask(t, service, r, m.message)
			if status != m.status || code != m.code {
				t.Errorf("the visitor sees %d %s, want %d %s", status, code, m.status, m.code)
			}
			w.expect(t, r, m.log...)
			if m.doctor != nil {
				w.consult(t, r, m.doctor, m.try)
			}
		})
	}
	for _, m := range laravelMistakes {
		run("Laravel: "+m.name, func(t *testing.T) {
			w := newWorkshop(t, programs)
			defer func() { all.take(w.heard) }()
			m.run(t, w)
		})
	}
	run("SameSite", func(t *testing.T) {
		w := newWorkshop(t, programs)
		defer func() { all.take(w.heard) }()
		sameSite(t, w)
	})
	t.Run("docs/troubleshooting.md", func(t *testing.T) {
		if !complete {
			t.Skip("not all mistakes could be made")
		}
		checkPage(t, all)
	})
}

const (
	appKey   = "base64:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	otherKey = "base64:YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODk="
)

// laravelMistake is a mistake with a Laravel application; ask are the doctor's
// arguments.
type laravelMistake struct {
	name string
	set  func(*cookie.Stack, *redis.Options)
	key  string
	log  []string
	ask  []string
	try  string
}

// laravelMistakes are made with the library, as examples/socket has no Laravel.
var laravelMistakes = []laravelMistake{
	{"another APP_KEY", nil, otherKey, []string{"laravel: the MAC does not fit the one APP_KEY; if the cookie is the application's, compare its name and secret with those set here"},
		[]string{"--app-key", otherKey}, "the key is not the application's"},
	{"another prefix", func(s *cookie.Stack, _ *redis.Options) {
		s.Keyspace.Prefix, s.Keyspace.Alternatives = "shop_database_shop_cache_", nil
	}, appKey, []string{`laravel: no such session under "shop_database_shop_cache_" in Redis at`, "the application has another prefix"},
		[]string{"--app-key", appKey, "--prefix", "shop_database_shop_cache_"}, "--prefix laravel_database_laravel_cache:"},
	{"another database", func(_ *cookie.Stack, o *redis.Options) { o.DB = 1 }, appKey, []string{"laravel: no such session under", "database 1; if the user is logged in"},
		[]string{"--app-key", appKey, "--redis", "redis://ADDR/1"}, "database 0 holds"},
	{"another guard", func(s *cookie.Stack, _ *redis.Options) { s.User = cookie.LaravelGuard("admin") }, appKey,
		[]string{`laravel: nobody is logged in to the session: nothing at "login_admin_59ba36addc2b2f9401580f014c7f58ea4e30989d"; if the user is logged in, set User to "login_web_59ba36addc2b2f9401580f014c7f58ea4e30989d"`},
		[]string{"--app-key", appKey, "--user", cookie.LaravelGuard("admin")}, "--user login_web_59ba36addc2b2f9401580f014c7f58ea4e30989d"},
}

// run makes the mistake.
func (m *laravelMistake) run(t *testing.T, w *workshop) {
	app := partstest.PHPFramework(t, "laravel", w.redis, "DRIVER=redis", "CIPHER=AES-256-CBC", "ENCRYPT=0", "APP_KEY="+appKey)
	r := login(t, app.URL+"/login")
	opts, err := redis.ParseURL(w.redis.URL)
	if err != nil {
		t.Fatal(err)
	}
	stack := cookie.Laravel(m.key)
	if m.set != nil {
		m.set(&stack, opts)
	}
	client := redis.NewClient(opts)
	t.Cleanup(func() { client.Close() })
	store, err := stores.NewRedis(client, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := cookie.New(store, stack)
	if err != nil {
		t.Fatal(err)
	}
	b, err := bridge.New(a, &bridge.Options{Logger: slog.New(slog.NewTextHandler(w.heard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	service := httptest.NewServer(b.ForwardAuth())
	t.Cleanup(func() { _ = b.Shutdown(context.Background()); service.Close() })
	if status, code := ask(t, service.URL, r, ""); status != http.StatusUnauthorized {
		t.Errorf("the visitor sees %d %s", status, code)
	}
	w.expect(t, r, m.log...)
	w.consult(t, r, append([]string{"--stack", "laravel"}, m.ask...), m.try)
}

// sameSite has a browser hold the cookie back, because the page is of another
// site.
func sameSite(t *testing.T, w *workshop) {
	app := w.php(t, "-d", "session.cookie_samesite=Lax")
	service := w.service(t, "ALLOWED_ORIGINS=localhost:*")
	browser := partstest.Chromium(t)
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!doctype html><title>page</title>")
	}))
	t.Cleanup(page.Close)
	ctx, stop := remote.NewAllocator(t.Context(), browser.URL, remote.NoModifyURL)
	defer stop()
	ctx, stop = chromedp.NewContext(ctx)
	defer stop()
	if err := chromedp.Do(ctx, chromedp.Navigate(app), chromedp.Navigate(strings.Replace(page.URL, "127.0.0.1", "localhost", 1))); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[any](`fetch("`+service+`/auth", {credentials: "include"}).catch(() => 0); 0`)); err != nil {
		t.Fatal(err)
	}
	w.expect(t, visit(t), `php: no cookie "PHPSESSID"`, `; the request has none at all: the page is of "http://localhost:`, "cross-site only with SameSite=None")
}

// checkPage finds each text that the first column of the page's tables quotes
// in what was really written, and each code of its second.
func checkPage(t *testing.T, all *heard) {
	page, err := os.ReadFile(filepath.Join("docs", "troubleshooting.md"))
	if err != nil {
		t.Fatal(err)
	}
	quoted := regexp.MustCompile("`([^`]+)`")
	checked := 0
	for row := range strings.Lines(string(page)) {
		if !strings.HasPrefix(row, "| `") {
			continue
		}
		first, _, _ := strings.Cut(row[2:], " | ")
		for _, m := range quoted.FindAllStringSubmatch(first, -1) {
			checked++
			if !all.has(strings.Split(m[1], "…")...) {
				t.Errorf("nothing has written %q", m[1])
			}
		}
	}
	if checked < len(mistakes)/2 {
		t.Errorf("the page quotes %d texts, of %d mistakes", checked, len(mistakes))
	}
}
