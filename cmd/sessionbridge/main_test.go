package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// result is what one call of the command gave.
type result struct {
	code           int
	stdout, stderr string
}

// doctor runs the command in this process.
func doctor(t *testing.T, stdin []byte, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(context.Background(), args, bytes.NewReader(stdin), &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}

// object decodes what --json printed. Numbers stay as they were written.
func (r result) object(t *testing.T) map[string]any {
	t.Helper()
	if r.stderr != "" {
		t.Errorf("standard error: %s", r.stderr)
	}
	dec := json.NewDecoder(strings.NewReader(r.stdout))
	dec.UseNumber()
	var o map[string]any
	if err := dec.Decode(&o); err != nil {
		t.Fatalf("%v in %q", err, r.stdout)
	}
	return o
}

// inspectJSON is doctor for inspect --json.
func inspectJSON(t *testing.T, stdin []byte, args ...string) (map[string]any, result) {
	t.Helper()
	r := doctor(t, stdin, append([]string{"inspect", "--json"}, args...)...)
	return r.object(t), r
}

// server is a Redis to put sessions into.
type server struct {
	addr    string
	clients map[int]*redis.Client
}

func newServer(t *testing.T, addr string) *server {
	s := &server{addr, map[int]*redis.Client{}}
	t.Cleanup(func() {
		for _, c := range s.clients {
			_ = c.Close()
		}
	})
	return s
}

func miniServer(t *testing.T) *server {
	t.Helper()
	return newServer(t, miniredis.RunT(t).Addr())
}

func realServer(t *testing.T, args ...string) *server {
	t.Helper()
	return newServer(t, strings.TrimPrefix(partstest.Redis(t, args...).URL, "redis://"))
}

func (s *server) url() string { return "redis://" + s.addr }

func (s *server) db(n int) *redis.Client {
	if s.clients[n] == nil {
		s.clients[n] = redis.NewClient(&redis.Options{Addr: s.addr, DB: n})
	}
	return s.clients[n]
}

// put writes a string with a lifetime in seconds; 0 is without end.
func (s *server) put(t *testing.T, key, value string, ttl int) {
	t.Helper()
	s.entry(t, entryOf{Key: []byte(key), Value: []byte(value), TTL: ttl})
}

// entryOf is a key as the vectors have it.
type entryOf struct {
	Server, DB, TTL int
	Type            string
	Key, Value      []byte
}

func (s *server) entry(t *testing.T, e entryOf) {
	t.Helper()
	ctx, c := t.Context(), s.db(e.DB)
	var err error
	if e.Type == "hash" {
		err = c.HSet(ctx, string(e.Key), "field", e.Value).Err()
	} else {
		// Half a second more, so that the lifetime rounded down is this one.
		ttl := time.Duration(e.TTL) * time.Second
		if ttl > 0 {
			ttl += 900 * time.Millisecond
		}
		err = c.Set(ctx, string(e.Key), e.Value, ttl).Err()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (s *server) flush(t *testing.T) {
	t.Helper()
	if err := s.db(0).FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
}

// vector is a login that real software wrote, or a case with its verdict. The
// placeholders {url}, {redis} and {redis2} stand for the servers.
type vector struct {
	Name  string
	Args  []string
	Redis []entryOf
	Stdin *[]byte
	Want  map[string]json.RawMessage
}

func loadVectors(t *testing.T) map[string][]vector {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]vector{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var doc struct{ Cases []vector }
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if len(doc.Cases) == 0 {
			t.Fatalf("%s holds no vectors", file)
		}
		all[strings.TrimSuffix(filepath.Base(file), ".json")] = doc.Cases
	}
	if len(all) < 12 {
		t.Fatalf("vectors of %d stacks", len(all))
	}
	return all
}

// TestVectors: every login and case of the real software gives its session and
// its user, or its refusal; and nothing that is secret is printed on the way.
func TestVectors(t *testing.T) {
	vectors := loadVectors(t)
	t.Run("miniredis", func(t *testing.T) { testVectors(t, vectors, miniServer(t), miniServer(t)) })
	t.Run("redis", func(t *testing.T) { testVectors(t, vectors, realServer(t), realServer(t)) })
}

func testVectors(t *testing.T, vectors map[string][]vector, first, second *server) {
	replace := strings.NewReplacer("{url}", first.url(), "{redis}", first.addr, "{redis2}", second.addr)
	for stack, cases := range vectors {
		for _, v := range cases {
			t.Run(stack+"/"+v.Name, func(t *testing.T) {
				first.flush(t)
				second.flush(t)
				for _, e := range v.Redis {
					[]*server{first, second}[e.Server].entry(t, e)
				}
				args := make([]string, len(v.Args))
				for i, a := range v.Args {
					args[i] = replace.Replace(a)
				}
				var stdin []byte
				if v.Stdin != nil {
					stdin = *v.Stdin
				}
				got, r := inspectJSON(t, stdin, args...)
				for name, raw := range v.Want {
					want, have := sameNumbers(decode(t, raw)), sameNumbers(got[name])
					if name == "session" && stack == "laravel" {
						want, have = withoutFlash(want), withoutFlash(have)
					}
					if name == "ttl_seconds" && slow(want, have) {
						continue
					}
					if diff := cmp.Diff(want, have); diff != "" {
						t.Errorf("%s (-want +got):\n%s", name, diff)
					}
				}
				checkObject(t, got, r)
				human := doctor(t, stdin, append([]string{"inspect"}, args...)...)
				if human.code != r.code {
					t.Errorf("exit status %d, with --json %d", human.code, r.code)
				}
				checkSecrets(t, v, got, r.stdout, human.stdout)
			})
		}
	}
}

func decode(t *testing.T, raw json.RawMessage) (v any) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// sameNumbers gives numbers with a fraction or an exponent one spelling;
// integers keep every digit.
func sameNumbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = sameNumbers(v[k])
		}
	case []any:
		for i := range v {
			v[i] = sameNumbers(v[i])
		}
	case json.Number:
		if f, err := v.Float64(); err == nil && strings.ContainsAny(string(v), ".eE") {
			return f
		}
	}
	return v
}

// withoutFlash drops what Laravel changes with every request.
func withoutFlash(session any) any {
	if m, ok := session.(map[string]any); ok {
		delete(m, "_previous")
		delete(m, "_flash")
	}
	return session
}

// slow allows for a second that went by between writing and reading.
func slow(want, have any) bool {
	w, ok1 := want.(json.Number)
	h, ok2 := have.(json.Number)
	if !ok1 || !ok2 {
		return false
	}
	wn, err1 := w.Int64()
	hn, err2 := h.Int64()
	return err1 == nil && err2 == nil && wn-hn >= 0 && wn-hn <= 5
}

// checkObject holds the object against what is always true of it.
func checkObject(t *testing.T, o map[string]any, r result) {
	t.Helper()
	if len(o) != 8 {
		t.Errorf("%d members in %s", len(o), r.stdout)
	}
	ok, _ := o["ok"].(bool)
	if (r.code == exitUser) != ok || (o["step"] == "done") != ok || (o["user"] != nil) != ok || (o["reason"] == "") != ok {
		t.Errorf("exit status %d with %s", r.code, r.stdout)
	}
	if strings.Count(r.stdout, "\n") != 1 {
		t.Errorf("not one line: %q", r.stdout)
	}
	if key, ok := o["key"].(string); ok && !strings.HasSuffix(key, "…") {
		t.Errorf("key %q", key)
	}
	if (o["ttl_seconds"] != nil) != (o["key"] != nil && o["step"] != "lookup" && o["step"] != "key") {
		t.Errorf("ttl_seconds and key in %s", r.stdout)
	}
	if (o["session"] != nil) != (o["step"] == "user" || o["step"] == "done") {
		t.Errorf("session at step %v", o["step"])
	}
}

// checkSecrets looks for secrets, cookies and ids in what was printed.
func checkSecrets(t *testing.T, v vector, o map[string]any, asJSON, asText string) {
	t.Helper()
	var s settings
	var hidden []string
	for i := 0; i+1 < len(v.Args); i++ {
		value := v.Args[i+1]
		switch v.Args[i] {
		case "--secret", "--app-key":
			hidden = append(hidden, value, strings.TrimPrefix(value, "base64:"))
		case "--session-id":
			hidden = append(hidden, value)
		case "--cookie":
			s.Cookie = append(s.Cookie, value)
		}
	}
	for _, c := range cookies([]string(s.Cookie)) {
		decoded, _ := url.PathUnescape(c.value)
		hidden = append(hidden, c.value, decoded)
	}
	for _, e := range v.Redis {
		if id := e.Key[bytes.LastIndexAny(e.Key, ":_-/")+1:]; len(id) > 12 {
			hidden = append(hidden, string(id))
		}
	}
	if session, err := json.Marshal(o["session"]); err == nil && o["session"] != nil {
		start := strings.Index(asJSON, `"session":`)
		end := strings.LastIndex(asJSON, `,"key":`)
		if start < 0 || end < start {
			t.Fatalf("no session of %d bytes in %s", len(session), asJSON)
		}
		asJSON = asJSON[:start] + asJSON[end:]
	}
	for _, h := range hidden {
		if len(h) < 10 {
			continue
		}
		if strings.Contains(asJSON, h) {
			t.Errorf("--json prints %q", h)
		}
		if strings.Contains(asText, h) {
			t.Errorf("the text has %q:\n%s", h, asText)
		}
	}
}

// bytesOf is the base64 in a table.
func bytesOf(t *testing.T, text string) string {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
