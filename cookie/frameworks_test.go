package cookie_test

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/securecookie"

	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/internal/vectors"
	"github.com/sessionbridge/sessionbridge/stores"
)

// frameworkCase is what a browser and Redis held, and what the real software
// made of it.
type frameworkCase struct {
	Name, Stack string
	Secrets     []string
	Cookie      string
	Key         string
	TTL         int64
	Session     json.RawMessage
	User        string // empty: nobody
	At          *int64 // when it was asked, in Unix seconds
	Status      int
}

// frameworkLogin is a case with the raw value, which may be binary.
type frameworkLogin struct {
	frameworkCase
	Value []byte
}

// frameworkVerdict is a case whose value, if any, is text.
type frameworkVerdict struct {
	frameworkCase
	Value *string
}

// frameworkStacks are the stacks by their names in testdata, with a prefix that
// the recorded keys have.
func (c *frameworkCase) stack(tb testing.TB) cookie.Stack {
	var s cookie.Stack
	first := ""
	if len(c.Secrets) > 0 {
		first = c.Secrets[0]
	}
	name, _, _ := strings.Cut(c.Cookie, "=")
	switch c.Stack {
	case "cookie-session":
		s = cookie.CookieSession(c.Secrets...)
	case "koa-session":
		s = cookie.KoaSession(c.Secrets...)
	case "koa-unsigned":
		s = cookie.KoaSession()
		s.Opener = cookie.KeygripJSON(cookie.Keygrip{InsecureUnsigned: true})
	case "koa-redis":
		s = cookie.KoaRedis(c.Secrets...)
	case "koa-generic":
		s = cookie.KoaGeneric(c.Secrets...)
	case "fastify":
		s = cookie.Fastify(c.Secrets...)
	case "fastify-prefix":
		s = cookie.Fastify(c.Secrets...)
		s.Opener = cookie.FastifySigned("s:", c.Secrets...)
	case "flask-session", "flask-signer":
		s = cookie.FlaskSession(first)
		if strings.HasPrefix(c.Key, "app:sess:") {
			s.Keyspace.Prefix = "app:sess:"
		}
	case "flask":
		s = cookie.Flask(c.Secrets...)
	case "django":
		s = cookie.Django()
	case "django-cookie":
		s = cookie.DjangoCookie(c.Secrets...)
	case "rails":
		s = cookie.Rails("_myapp_session", c.Secrets...)
	case "rails-redis":
		s = cookie.RailsRedis(name)
		s.Keyspace.Prefix = "myapp:session:"
	case "rails-sealed":
		s = cookie.RailsRedis("_myapp_session", c.Secrets...)
	case "gorilla-cookie":
		s = cookie.GorillaCookie("session", []byte(first))
	default:
		tb.Fatalf("no stack %q", c.Stack)
	}
	return s
}

// recordedAt is when the logins were written.
var recordedAt = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

// look goes the way of a cookie: opened, found under one of its keys, decoded.
func (c *frameworkCase) look(tb testing.TB, value []byte) (v stores.Values, user string, err error) {
	tb.Helper()
	s := c.stack(tb)
	if err := s.Opener.Validate(); err != nil {
		tb.Fatal(err)
	}
	opened, err := s.Opener.Open(cookie.Jar{c.Cookie}, s.Cookie)
	if err != nil {
		return nil, "", err
	}
	record := stores.Record{Found: true, Value: opened.Value, TTL: -1}
	if opened.Value == nil {
		check := s.Keyspace.ID.Check
		if opened.Signed {
			check = stores.CheckSigned
		}
		if err := check(opened.ID); err != nil {
			return nil, "", err
		}
		record = stores.Record{Value: value, TTL: time.Duration(c.TTL) * time.Second}
		for _, k := range s.Keyspace.Keys(opened.ID) {
			record.Found = record.Found || k.String() == c.Key
		}
	} else if !opened.Signed {
		tb.Error("a session in the cookie that nothing vouches for")
	}
	at := recordedAt
	if c.At != nil {
		at = time.Unix(*c.At, 0)
	}
	session, err := s.Keyspace.Decode(record, at)
	if err != nil {
		return nil, "", err
	}
	find := s.FindUser
	if find == nil {
		find = stores.UserID
	}
	user, err = find(session, s.User)
	return session.Values, user, err
}

func TestFrameworkLogins(t *testing.T) {
	for _, c := range vectors.Read[frameworkLogin](t, "framework-logins.json") {
		t.Run(c.Stack+"/"+c.Name, func(t *testing.T) {
			v, user, err := c.look(t, c.Value)
			if user != c.User || (err != nil) != (c.User == "") {
				t.Fatalf("user = %q, %v, want %q", user, err, c.User)
			}
			if v == nil {
				return
			}
			got := []byte(nil)
			if p, ok := v.(interface {
				AppendJSON([]byte, int) ([]byte, error)
			}); ok {
				if got, err = p.AppendJSON(nil, 1<<20); err != nil {
					t.Fatal(err)
				}
			} else if got, err = json.Marshal(v.Map()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(vectors.JSON(t, c.Session), vectors.JSON(t, got)); diff != "" {
				t.Errorf("session (-want +got):\n%s", diff)
			}
		})
	}
}

// stricter lists where this library refuses what the real software accepts, or
// accepts what it fails on, and why.
var stricter = map[string]string{
	"cookie-session/Latin-1 value": "Node's base64 decoder passes over bytes that are no base64",
	"koa-session/Latin-1 value":    "Node's base64 decoder passes over bytes that are no base64",
	"koa-generic/redis: expired":   "cookie.expires has passed, whatever the key's lifetime",
	"rails/four parts":             "Rails since 7.1 refuses it too",
}

func TestFrameworkVerdicts(t *testing.T) {
	for _, c := range vectors.Read[frameworkVerdict](t, "framework-cases.json") {
		t.Run(c.Stack+"/"+c.Name, func(t *testing.T) {
			c.TTL = 3600
			var value []byte
			if c.Value != nil {
				value = []byte(*c.Value)
			}
			var user string
			var err error
			if c.Stack == "flask-signer" || c.Stack == "rails-sealed" { // the verdict is the id
				s := c.stack(t)
				opened, e := s.Opener.Open(cookie.Jar{c.Cookie}, s.Cookie)
				user, err = opened.ID, e
			} else {
				_, user, err = c.look(t, value)
			}
			want := c.User
			if stricter[c.Stack+"/"+c.Name] != "" {
				want = ""
			}
			if user != want || (err != nil) != (want == "") {
				t.Errorf("user = %q, %v, want %q", user, err, want)
			}
			nobody := errors.Is(err, cookie.ErrNoCookie) || errors.Is(err, stores.ErrNotFound) ||
				errors.Is(err, stores.ErrExpired) || errors.Is(err, stores.ErrNoUser)
			if c.Status == 500 && (err == nil || nobody) {
				t.Errorf("err = %v, want one that is no logout: the stack fails", err)
			}
			for _, part := range strings.FieldsFunc(c.Cookie, func(r rune) bool { return strings.ContainsRune("=;. ", r) }) {
				if len(part) > 16 && err != nil && strings.Contains(err.Error(), part) {
					t.Errorf("the error holds a part of the cookie: %v", err)
				}
			}
		})
	}
}

func TestFrameworkValidation(t *testing.T) {
	ok := map[string]cookie.Stack{
		"cookie-session": cookie.CookieSession("k"), "koa-session": cookie.KoaSession("k", "l"), "koa-redis": cookie.KoaRedis("k"),
		"koa-generic": cookie.KoaGeneric("k"), "fastify": cookie.Fastify("k"), "flask-session": cookie.FlaskSession(""),
		"signed flask-session": cookie.FlaskSession("k"), "flask": cookie.Flask("k"), "django": cookie.Django(),
		"django-cookie": cookie.DjangoCookie("k"), "spring": cookie.Spring(), "rails": cookie.Rails("s", "k"),
		"rails-redis": cookie.RailsRedis("s"), "gorilla": cookie.GorillaCookie("s", []byte("k"), make([]byte, 16), []byte("l"), nil),
	}
	for name, s := range ok {
		if _, err := cookie.New(stores.NewMemory(), s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	bad := map[string]cookie.Stack{
		"cookie-session": cookie.CookieSession(), "empty key": cookie.CookieSession("k", ""), "koa-session": cookie.KoaSession(), "koa-redis": cookie.KoaRedis(),
		"koa-generic": cookie.KoaGeneric(""), "fastify": cookie.Fastify(), "empty fastify": cookie.Fastify(""), "flask": cookie.Flask(), "empty flask": cookie.Flask(""),
		"django-cookie": cookie.DjangoCookie(), "empty django": cookie.DjangoCookie(""), "rails": cookie.Rails("s"), "empty rails": cookie.Rails("s", ""),
		"empty rails-redis": cookie.RailsRedis("s", ""), "rails without a name": cookie.Rails("", "k"),
		"gorilla": cookie.GorillaCookie("s"), "empty gorilla": cookie.GorillaCookie("s", nil), "short block key": cookie.GorillaCookie("s", []byte("k"), []byte("short")),
	}
	for name, s := range bad {
		if _, err := cookie.New(stores.NewMemory(), s); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	// Sessions in the cookie need no store, others do.
	for name, s := range ok {
		_, err := cookie.New(nil, s)
		inCookie := map[string]bool{"cookie-session": true, "koa-session": true, "flask": true, "django-cookie": true, "rails": true, "gorilla": true}[name]
		if (err == nil) != inCookie {
			t.Errorf("%s without a store: %v", name, err)
		}
	}
}

// No message can name a session that is in a cookie.
func TestRedisKeyNeedsIDs(t *testing.T) {
	a := newAuth(t, stores.NewMemory(), cookie.KoaSession("k"))
	if _, err := cookie.RedisKey(a); err == nil {
		t.Error("RedisKey takes a stack that keeps its sessions in the cookie")
	}
}

// Ids that nothing vouches for may be nothing but ids, and errors say what is
// wrong with a cookie.
func TestFrameworkIDs(t *testing.T) {
	unsigned := cookie.KoaRedis()
	unsigned.Opener = cookie.KeygripID(cookie.Keygrip{InsecureUnsigned: true})
	const uuid = "29fb8008-17e5-438c-923a-33048750f07c"
	for _, c := range []struct {
		name   string
		stack  cookie.Stack
		cookie string
		id     string // "": refused
	}{
		{"koa unsigned", unsigned, "koa.sess=" + uuid, uuid},
		{"koa unsigned, any key", unsigned, "koa.sess=PHPREDIS_SESSION:0123456789012345678", ""},
		{"koa unsigned, with a signature", unsigned, "koa.sess=" + uuid + "; koa.sess.sig=x", uuid},
		{"flask", cookie.FlaskSession(""), "session=" + uuid, uuid},
		{"flask, since 0.6", cookie.FlaskSession(""), "session=PYDCB9hJEbF8mDBVcSx2RiwBO0xUZVmFb5nkBMHN2OY", "PYDCB9hJEbF8mDBVcSx2RiwBO0xUZVmFb5nkBMHN2OY"},
		{"flask, client side", cookie.FlaskSession(""), "session=eyJfdXNlcl9pZCI6IjQyIn0.awJLOw.7xdaFzlYc8rIXdA710YvR2wjJ-Q", ""},
		{"flask, octal", cookie.FlaskSession(""), `session="\062` + uuid[1:] + `"`, uuid},
		{"django", cookie.Django(), "sessionid=cuhrq5vqrunjd19duvw9sqqrrypfi6pz", "cuhrq5vqrunjd19duvw9sqqrrypfi6pz"},
		{"django, upper case", cookie.Django(), "sessionid=CUHRQ5VQRUNJD19DUVW9SQQRRYPFI6PZ", ""},
		{"django, last cookie", cookie.Django(), "sessionid=bad; sessionid=cuhrq5vqrunjd19duvw9sqqrrypfi6pz", "cuhrq5vqrunjd19duvw9sqqrrypfi6pz"},
		{"spring", cookie.Spring(), "SESSION=MjlmYjgwMDgtMTdlNS00MzhjLTkyM2EtMzMwNDg3NTBmMDdj", uuid},
		{"spring, not encoded", cookie.Spring(), "SESSION=" + uuid, uuid},
		{"spring, with a route", cookie.Spring(), "SESSION=MjlmYjgwMDgtMTdlNS00MzhjLTkyM2EtMzMwNDg3NTBmMDdjLm5vZGUx", uuid},
		{"spring, second cookie", cookie.Spring(), "SESSION=!; SESSION=MjlmYjgwMDgtMTdlNS00MzhjLTkyM2EtMzMwNDg3NTBmMDdj", uuid},
		{"spring, another key", cookie.Spring(), "SESSION=ZXhwaXJlczoyOWZiODAwOC0xN2U1LTQzOGMtOTIzYS0zMzA0ODc1MGYwN2M=", ""},
		{"spring, no base64", cookie.Spring(), "SESSION=!", ""},
		{"spring, nothing", cookie.Spring(), "SESSION=", ""},
		{"rails", cookie.RailsRedis("s"), "s=9a864c84e3b0101f907ca763c7a29ec3", "9a864c84e3b0101f907ca763c7a29ec3"},
		{"rails, encrypted", cookie.RailsRedis("s"), "s=a--b--c", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			opened, err := c.stack.Opener.Open(cookie.Jar{c.cookie}, c.stack.Cookie)
			if err == nil && opened.Signed {
				t.Error("the id counts as signed")
			}
			if err == nil {
				err = c.stack.Keyspace.ID.Check(opened.ID)
			}
			if err == nil && opened.ID != c.id || (err == nil) != (c.id != "") {
				t.Errorf("id = %q, %v, want %q", opened.ID, err, c.id)
			}
		})
	}
}

// With keys, InsecureUnsigned still checks a signature that is there.
func TestInsecureUnsigned(t *testing.T) {
	const session = "eyJ1c2VyX2lkIjo0Mn0="
	for _, c := range []struct {
		name, cookie string
		keys         []string
		ok           bool
	}{
		{"no keys, no signature", "s=" + session, nil, true},
		{"no keys, a signature", "s=" + session + "; s.sig=x", nil, true},
		{"keys, no signature", "s=" + session, []string{"k"}, true},
		{"keys, a wrong signature", "s=" + session + "; s.sig=x", []string{"k"}, false},
	} {
		o := cookie.KeygripJSON(cookie.Keygrip{Keys: c.keys, InsecureUnsigned: true})
		if err := o.Validate(); err != nil {
			t.Fatal(err)
		}
		opened, err := o.Open(cookie.Jar{c.cookie}, "s")
		if (err == nil) != c.ok || err == nil && (!opened.Signed || string(opened.Value) != `{"user_id":42}`) {
			t.Errorf("%s: %+v, %v", c.name, opened, err)
		}
	}
}

type fakeValues map[string]any

func (v fakeValues) Map() map[string]any { return v }
func (v fakeValues) Lookup(path string) (value any, ok bool) {
	value = map[string]any(v)
	for _, name := range stores.SplitPath(path) {
		switch at := value.(type) {
		case map[string]any:
			value, ok = at[name]
		case []any:
			i, _ := strconv.Atoi(name)
			value, ok = at[i], true
		default:
			ok = false
		}
		if !ok {
			return nil, false
		}
	}
	return value, true
}

func TestSpringUser(t *testing.T) {
	security := func(principal any) fakeValues {
		return fakeValues{"SPRING_SECURITY_CONTEXT": map[string]any{"authentication": map[string]any{"principal": principal}}, "user_id": "not me"}
	}
	s := cookie.Spring()
	for _, c := range []struct {
		name, path string
		v          fakeValues
		user       string
	}{
		{"username", s.User, security(map[string]any{"@class": "org.springframework.security.core.userdetails.User", "username": "alice"}), "alice"},
		{"principal is a name", s.User, security("alice"), "alice"},
		{"principal without a username", s.User, security(map[string]any{"id": "1"}), ""},
		{"nobody", s.User, security(nil), ""},
		{"no Spring Security", s.User, fakeValues{"user_id": int64(42)}, "42"},
		{"typed number", s.User, fakeValues{"user_id": []any{"java.lang.Long", int64(42)}}, "42"},
		{"another list", s.User, fakeValues{"user_id": []any{"a", "b"}}, ""},
		{"nothing", s.User, fakeValues{}, ""},
		{"own path", "account.id", fakeValues{"account": map[string]any{"id": int64(7)}, "user_id": "not me"}, "7"},
		{"own path, absent", "account.id", fakeValues{"user_id": "not me"}, ""},
	} {
		user, err := s.FindUser(c.v, c.path)
		if user != c.user || (err != nil) != (c.user == "") {
			t.Errorf("%s: %q, %v, want %q", c.name, user, err, c.user)
		}
	}
}

func TestGorillaCookie(t *testing.T) {
	hash, old, block := []byte("0123456789abcdef0123456789abcdef"), []byte("old"), []byte("0123456789abcdef")
	session := map[any]any{"user_id": 42}
	seal := func(hash, block []byte) string {
		text, err := securecookie.New(hash, block).Encode("s", session)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for _, c := range []struct {
		name, value string
		ok          bool
	}{
		{"signed", seal(old, nil), true}, {"encrypted", seal(hash, block), true},
		{"other hash key", seal([]byte("x"), nil), false}, {"other block key", seal(hash, []byte("fedcba9876543210")), false},
		{"not signed", "AAAA", false}, {"no base64", "!", false}, {"nothing", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := cookie.GorillaCookie("s", hash, block, old)
			opened, err := s.Opener.Open(cookie.Jar{"s=" + c.value}, s.Cookie)
			user := ""
			if err == nil {
				var got *stores.Session
				if got, err = s.Keyspace.Decode(stores.Record{Found: true, Value: opened.Value, TTL: -1}, time.Now()); err == nil {
					user, err = stores.UserID(got, s.User)
				}
			}
			if c.ok != (err == nil) || c.ok != (user == "42") {
				t.Errorf("user = %q, %v, want ok: %v", user, err, c.ok)
			}
		})
	}
	s := cookie.GorillaCookie("s", hash, block)
	opened, err := s.Opener.Open(cookie.Jar{"s=" + seal(hash, block)}, s.Cookie)
	if err != nil {
		t.Fatal(err)
	}
	record := stores.Record{Found: true, Value: opened.Value, TTL: -1}
	if _, err := s.Keyspace.Decode(record, time.Now().Add(31*24*time.Hour)); !errors.Is(err, stores.ErrExpired) {
		t.Errorf("after 31 days: %v, want ErrExpired", err)
	}
}
