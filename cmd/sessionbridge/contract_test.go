package main

import (
	"encoding/base64"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	expressSecret = "keyboard cat"
	expressID     = "e09D3RSOwy1yssBjA-2bM5stRRDXy3xl"
	expressCookie = "connect.sid=s%3Ae09D3RSOwy1yssBjA-2bM5stRRDXy3xl.nKkjX16IPTG8FzuVun8jHsNB7QQNMDMlvCbinvv9ydE"
	expressValue  = `{"cookie":{"originalMaxAge":null,"expires":null},"passport":{"user":42}}`

	phpID     = "ie12vpe0dhmclqjbgktaseh6og"
	phpCookie = "PHPSESSID=" + phpID
	phpKey    = "PHPREDIS_SESSION:" + phpID

	springID     = "0f4c1a2e-1111-4222-8333-444455556666"
	springFields = `{"lastAccessedTime":"1795340000000","maxInactiveInterval":"1800","sessionAttr:user_id":"42"}`
)

// closedPort is an address that refuses connections.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// silentServer accepts connections and says nothing.
func silentServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var open []net.Conn
		for {
			c, err := l.Accept()
			if err != nil {
				break
			}
			open = append(open, c)
		}
		for _, c := range open {
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

func checkSilent(t *testing.T, r result, code int, says string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit status %d, not %d", r.code, code)
	}
	if r.stdout != "" {
		t.Errorf("standard output: %q", r.stdout)
	}
	if strings.Count(r.stderr, "\n") != 1 || !strings.HasSuffix(r.stderr, "\n") {
		t.Errorf("standard error is not one line: %q", r.stderr)
	}
	if !strings.Contains(r.stderr, says) {
		t.Errorf("standard error %q does not say %q", r.stderr, says)
	}
}

func TestUsage(t *testing.T) {
	for name, c := range map[string]struct {
		args string
		says string
	}{
		"nothing":               {"", "expected"},
		"unknown command":       {"examine", "unexpected argument"},
		"no stack":              {"inspect|--cookie|a=b", "--stack"},
		"unknown stack":         {"inspect|--stack|perl|--cookie|a=b", "symfony"},
		"unknown flag":          {"inspect|--stack|php|--cookie|a=b|--colour", "--colour"},
		"loose argument":        {"inspect|--stack|express|--cookie|a=b|--secret|keyboard|secretcat", "quotes"},
		"nothing to inspect":    {"inspect|--stack|php", "--cookie, --session-id or --value"},
		"no secret":             {"inspect|--stack|express|--cookie|" + expressCookie, "secret"},
		"empty secret":          {"inspect|--stack|express|--cookie|a=b|--secret|", "empty"},
		"no app key":            {"inspect|--stack|laravel|--cookie|laravel_session=x", "APP_KEY"},
		"no cookie name":        {"inspect|--stack|gorilla|--cookie|a=b", "--cookie-name"},
		"rails cookie name":     {"inspect|--stack|rails|--cookie|a=b", "--cookie-name"},
		"empty cookie name":     {"inspect|--stack|php|--cookie|a=b|--cookie-name|", "--cookie-name"},
		"empty session id":      {"inspect|--stack|php|--session-id|", "--session-id"},
		"foreign flag":          {"inspect|--stack|php|--cookie|a=b|--app-key|x", "php has no --app-key"},
		"foreign handler":       {"inspect|--stack|php|--cookie|a=b|--handler|gob", "igbinary"},
		"no handlers":           {"inspect|--stack|express|--cookie|a=b|--handler|php", "express has no --handler"},
		"compression":           {"inspect|--stack|php|--cookie|a=b|--compression|gzip", "zstd"},
		"time":                  {"inspect|--stack|php|--cookie|a=b|--at|noon", "--at"},
		"value":                 {"inspect|--stack|php|--value|testdata/none", "--value"},
		"redis URL":             {"inspect|--stack|php|--cookie|" + phpCookie + "|--redis|http://user:secretpassword@x", "redis://"},
		"save path":             {"inspect|--stack|php|--cookie|" + phpCookie + "|--save-path|tcp://", "--save-path"},
		"save path and more":    {"inspect|--stack|php|--cookie|" + phpCookie + "|--save-path|tcp://h|--prefix|x", "--prefix"},
		"id of a cookie":        {"inspect|--stack|cookie-session|--session-id|x|--secret|y", "--cookie"},
		"unsigned, not koa":     {"inspect|--stack|express|--cookie|a=b|--insecure-unsigned", "--insecure-unsigned"},
		"stacks with leftovers": {"stacks|more", "unexpected"},
	} {
		t.Run(name, func(t *testing.T) {
			var args []string
			if c.args != "" {
				args = strings.Split(c.args, "|")
			}
			r := doctor(t, nil, args...)
			checkSilent(t, r, exitUsage, c.says)
			for _, secret := range []string{"secretcat", "secretpassword", expressID, phpID} {
				if strings.Contains(r.stderr, secret) {
					t.Errorf("%q has %q", r.stderr, secret)
				}
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	timeout := lookupTimeout
	lookupTimeout = 200 * time.Millisecond
	t.Cleanup(func() { lookupTimeout = timeout })
	locked := realServer(t, "--requirepass", "the right password")
	refused, silent := closedPort(t), silentServer(t)
	for name, args := range map[string][]string{
		"refused":               {"--redis", "redis://" + refused},
		"no answer":             {"--redis", "redis://" + silent},
		"no password":           {"--redis", locked.url()},
		"wrong password":        {"--redis", "redis://:anothersecret@" + locked.addr},
		"refused, save_path":    {"--save-path", "tcp://" + refused},
		"no answer, save_path":  {"--save-path", "tcp://" + silent},
		"password of save_path": {"--save-path", "tcp://" + locked.addr + "?auth=anothersecret"},
		"no such database":      {"--redis", "redis://:the%20right%20password@" + locked.addr + "/99"},
	} {
		t.Run(name, func(t *testing.T) {
			r := doctor(t, nil, append([]string{"inspect", "--json", "--stack", "php", "--cookie", phpCookie}, args...)...)
			checkSilent(t, r, exitUnreachable, "Redis")
			if strings.Contains(r.stderr, "anothersecret") || strings.Contains(r.stderr, "right") || strings.Contains(r.stderr, phpID) {
				t.Errorf("a secret in %q", r.stderr)
			}
		})
	}
	t.Run("not asked", func(t *testing.T) {
		// What fails before the lookup, or needs none, asks nobody.
		for _, args := range [][]string{
			{"--stack", "php", "--cookie", "other=1"},
			{"--stack", "php", "--cookie", "PHPSESSID=short"},
			{"--stack", "php", "--value", "-"},
		} {
			if _, r := inspectJSON(t, nil, append(args, "--redis", "redis://"+refused)...); r.code != exitNoUser {
				t.Errorf("%q: exit status %d", args, r.code)
			}
		}
	})
}

// walkOf is what a walk came to.
type walkOf struct{ step, user, key, ttl string }

func TestContract(t *testing.T) {
	s := miniServer(t)
	session := "user_id|i:42;deep|a:1:{s:3:\"a.b\";a:1:{i:0;s:1:\"x\";}}"
	past := `{"cookie":{"expires":"2020-01-01T00:00:00.000Z"},"passport":{"user":"x"}}`
	file := filepath.Join(t.TempDir(), "value")
	if err := os.WriteFile(file, []byte(session), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key, value string
		ttl        int
		stdin      string
		args       string
		want       walkOf
	}{
		"php":                        {key: phpKey, value: session, ttl: 100, args: "php|--cookie|" + phpCookie, want: walkOf{"done", "42", "PHPREDIS_SESSION:ie12vp…", "100"}},
		"without expiry":             {key: phpKey, value: session, args: "php|--cookie|" + phpCookie, want: walkOf{"done", "42", "PHPREDIS_SESSION:ie12vp…", "-1"}},
		"empty prefix":               {key: phpID, value: session, args: "php|--prefix||--cookie|" + phpCookie, want: walkOf{"done", "42", "ie12vp…", "-1"}},
		"prefix left out":            {key: phpID, value: session, args: "php|--cookie|" + phpCookie, want: walkOf{"lookup", "", "PHPREDIS_SESSION:ie12vp…", ""}},
		"empty session":              {key: phpKey, value: "", args: "php|--cookie|" + phpCookie, want: walkOf{"user", "", "PHPREDIS_SESSION:ie12vp…", "-1"}},
		"not decodable":              {key: phpKey, value: "x|y", args: "php|--cookie|" + phpCookie, want: walkOf{"decode", "", "PHPREDIS_SESSION:ie12vp…", "-1"}},
		"escaped dot":                {key: phpKey, value: session, args: `php|--user|deep.a\.b.0|--cookie|` + phpCookie, want: walkOf{"done", "x", "PHPREDIS_SESSION:ie12vp…", "-1"}},
		"no cookie":                  {args: "php|--cookie|a=b", want: walkOf{"cookie", "", "", ""}},
		"empty header":               {args: "php|--cookie|", want: walkOf{"cookie", "", "", ""}},
		"id of a lock":               {args: "php|--cookie|" + phpCookie + "_LOCK", want: walkOf{"key", "", "", ""}},
		"given id":                   {key: "PHPREDIS_SESSION:a:b/c", value: session, args: "php|--session-id|a:b/c", want: walkOf{"done", "42", "PHPREDIS_SESSION:a:b/c…", "-1"}},
		"no cookie before no secret": {args: "express|--cookie|a=b", want: walkOf{"cookie", "", "", ""}},
		"no secret needed":           {key: "sess:" + expressID, value: expressValue, args: "express|--session-id|" + expressID, want: walkOf{"done", "42", "sess:e09D3R…", "-1"}},
		"wide characters":            {key: "sess:ñññññññ", value: expressValue, args: "express|--session-id|ñññññññ", want: walkOf{"done", "42", "sess:ññññññ…", "-1"}},
		"value on stdin":             {stdin: session, args: "php|--value|-", want: walkOf{"done", "42", "", ""}},
		"value in a file":            {args: "php|--value|" + file, want: walkOf{"done", "42", "", ""}},
		"empty value":                {args: "php|--value|-", want: walkOf{"user", "", "", ""}},
		"empty JSON value":           {stdin: `""`, args: "express|--value|-", want: walkOf{"lookup", "", "", ""}},
		"null":                       {key: "sess:" + expressID, value: "null", args: "express|--session-id|" + expressID, want: walkOf{"lookup", "", "sess:e09D3R…", ""}},
		"value and cookie":           {stdin: session, args: "php|--value|-|--cookie|a=b|--redis|redis://127.0.0.1:1", want: walkOf{"done", "42", "", ""}},
		"too large":                  {stdin: strings.Repeat("x", 8<<20+1), args: "php|--value|-", want: walkOf{"decode", "", "", ""}},
		"too large in Redis":         {key: phpKey, value: strings.Repeat("x", 8<<20+1), ttl: 100, args: "php|--cookie|" + phpCookie, want: walkOf{"decode", "", "PHPREDIS_SESSION:ie12vp…", "100"}},
		"hash as a value":            {stdin: springFields, args: "spring|--value|-|--user|user_id|--at|1795340100", want: walkOf{"done", "42", "", ""}},
		"hash, over":                 {stdin: springFields, args: "spring|--value|-|--user|user_id|--at|1795349999", want: walkOf{"decode", "", "", ""}},
		"deadline passed":            {stdin: past, args: "express|--value|-", want: walkOf{"decode", "", "", ""}},
		"as of then":                 {stdin: past, args: "express|--value|-|--at|2019-12-31T23:59:59Z", want: walkOf{"done", "x", "", ""}},
		"as of then, Unix":           {stdin: past, args: "express|--value|-|--at|1577836799", want: walkOf{"done", "x", "", ""}},
		"at the deadline":            {stdin: past, args: "express|--value|-|--at|1577836800", want: walkOf{"decode", "", "", ""}},
		"forged":                     {args: "express|--secret|x|--cookie|" + expressCookie, want: walkOf{"open", "", "", ""}},
		"secret like a flag":         {key: "sess:" + expressID, value: expressValue, args: "express|--secret|--json|--secret|-x|--secret|" + expressSecret + "|--cookie|" + expressCookie, want: walkOf{"done", "42", "sess:e09D3R…", "-1"}},
		"comma in a secret":          {key: "sess:" + expressID, value: expressValue, args: "express|--secret|a,b|--secret|" + expressSecret + "|--cookie|" + expressCookie, want: walkOf{"done", "42", "sess:e09D3R…", "-1"}},
		"pasted line":                {key: phpKey, value: session, args: "php|--cookie|Cookie: a=b; " + phpCookie, want: walkOf{"done", "42", "PHPREDIS_SESSION:ie12vp…", "-1"}},
		"unsigned koa":               {args: "koa-session|--secret|k|--cookie|koa.sess=eyJ1c2VyX2lkIjo0Mn0=", want: walkOf{"open", "", "", ""}},
		"unsigned, insecure":         {args: "koa-session|--insecure-unsigned|--cookie|koa.sess=eyJ1c2VyX2lkIjo0Mn0=", want: walkOf{"done", "42", "", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			s.flush(t)
			if c.key != "" {
				s.put(t, c.key, c.value, c.ttl)
			}
			args := append([]string{"--redis", s.url(), "--stack"}, strings.Split(c.args, "|")...)
			o, r := inspectJSON(t, []byte(c.stdin), args...)
			checkObject(t, o, r)
			got := walkOf{text(o["step"]), text(o["user"]), text(o["key"]), text(o["ttl_seconds"])}
			if got != c.want {
				t.Errorf("got %+v, want %+v: %v", got, c.want, o["reason"])
			}
		})
	}
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case interface{ String() string }:
		return v.String()
	}
	return ""
}

func TestWrongType(t *testing.T) {
	s := miniServer(t)
	if err := s.db(0).HSet(t.Context(), phpKey, "a", "b").Err(); err != nil {
		t.Fatal(err)
	}
	o, r := inspectJSON(t, nil, "--stack", "php", "--redis", s.url(), "--cookie", phpCookie)
	checkObject(t, o, r)
	if o["step"] != "lookup" || !strings.Contains(text(o["reason"]), "it is a hash") {
		t.Errorf("%v: %v", o["step"], o["reason"])
	}
}

// TestSpring: a session in a Redis hash. No vector has one.
func TestSpring(t *testing.T) {
	s := miniServer(t)
	err := s.db(0).HSet(t.Context(), "spring:session:sessions:"+springID,
		"lastAccessedTime", "1795340000000", "maxInactiveInterval", "1800", "sessionAttr:user_id", "42").Err()
	if err != nil {
		t.Fatal(err)
	}
	for _, stack := range []string{"spring", "auto"} {
		o, r := inspectJSON(t, nil, "--stack", stack, "--redis", s.url(), "--user", "user_id", "--at", "1795340100",
			"--cookie", "SESSION="+base64.StdEncoding.EncodeToString([]byte(springID)))
		checkObject(t, o, r)
		if o["stack"] != "spring" || o["user"] != "42" || o["key"] != "spring:session:sessions:0f4c1a…" {
			t.Errorf("%s: %v", stack, o)
		}
	}
	s.put(t, "spring:session:sessions:x"+springID, "{}", 0)
	o, r := inspectJSON(t, nil, "--stack", "spring", "--redis", s.url(), "--session-id", "x"+springID)
	checkObject(t, o, r)
	if o["step"] != "lookup" || !strings.Contains(text(o["reason"]), "it is a string") {
		t.Errorf("%v", o)
	}
}

func TestRememberMe(t *testing.T) {
	for stack, args := range map[string][]string{
		"laravel": {"--app-key", "base64:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
			"--cookie", "remember_web_59ba36addc2b2f9401580f014c7f58ea4e30989d=eyJpdiI6ImFiYyJ9"},
		"symfony": {"--cookie", "REMEMBERME=App.Entity.User%3AYWxpY2U~%3A1826880307%3Aabc"},
		"rails":   {"--cookie-name", "_app_session", "--cookie", "remember_user_token=abc"},
	} {
		o, r := inspectJSON(t, nil, append(args, "--stack", stack)...)
		checkObject(t, o, r)
		if o["step"] != "cookie" || !strings.Contains(text(o["reason"]), "application's database") {
			t.Errorf("%s: %v: %v", stack, o["step"], o["reason"])
		}
	}
}

// TestAutoNeedsNoStore: a session in the cookie is found without the store that
// other stacks would need.
func TestAutoNeedsNoStore(t *testing.T) {
	o, r := inspectJSON(t, nil, "--stack", "auto", "--redis", "redis://"+closedPort(t), "--secret", "key-new",
		"--cookie", "session=eyJ1c2VyX2lkIjo0MiwibmFtZSI6Ilpvw6sg8J+YgCJ9; session.sig=NXxhyi8gxdd4zgkzqNXCZMKldIo; PHPSESSID="+phpID)
	checkObject(t, o, r)
	if o["stack"] != "cookie-session" || o["user"] != "42" {
		t.Errorf("%v", o)
	}
}

func TestAutoWithoutCandidate(t *testing.T) {
	o, r := inspectJSON(t, nil, "--stack", "auto", "--cookie", "theme=dark")
	checkObject(t, o, r)
	if o["stack"] != "auto" || o["step"] != "cookie" {
		t.Errorf("%v", o)
	}
	// The stack is known, but not its secret.
	o, r = inspectJSON(t, nil, "--stack", "auto", "--cookie", expressCookie)
	checkObject(t, o, r)
	if o["stack"] != "express" || o["step"] != "open" || !strings.Contains(text(o["reason"]), "secret") {
		t.Errorf("%v", o)
	}
}

// TestAutoGuesses: auto finds the handler too.
func TestAutoGuesses(t *testing.T) {
	s := miniServer(t)
	s.put(t, phpKey, bytesOf(t, "AAAAAhQBEQd1c2VyX2lkBio="), 0)
	o, r := inspectJSON(t, nil, "--stack", "auto", "--redis", s.url(), "--cookie", phpCookie)
	checkObject(t, o, r)
	if o["stack"] != "php" || o["user"] != "42" {
		t.Errorf("%v", o)
	}
}

func TestStacks(t *testing.T) {
	r := doctor(t, nil, "stacks")
	if r.code != 0 || r.stderr != "" {
		t.Fatalf("exit status %d, %q", r.code, r.stderr)
	}
	var names []string
	for line := range strings.Lines(r.stdout) {
		name, _, _ := strings.Cut(line, " ")
		names = append(names, name)
	}
	for _, name := range strings.Fields("express php predis laravel symfony codeigniter3 codeigniter4 cookie-session koa-session koa-redis koa-generic fastify flask-session django spring rails gorilla auto") {
		found := 0
		for _, n := range names {
			if n == name {
				found++
			}
		}
		if found != 1 {
			t.Errorf("%d lines for %s", found, name)
		}
	}
	if len(names) != 18 {
		t.Errorf("%d lines", len(names))
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"inspect", "--help"}} {
		r := doctor(t, nil, args...)
		if r.code != 0 || r.stderr != "" || !strings.Contains(r.stdout, "sessionbridge") {
			t.Errorf("%q: exit status %d, %q, %q", args, r.code, r.stdout, r.stderr)
		}
	}
}
