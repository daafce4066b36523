package main

import (
	"strings"
	"testing"
)

// TestHints: what is likely and what to try, where it can be told cheaply.
func TestHints(t *testing.T) {
	s := realServer(t)
	igbinary := bytesOf(t, "AAAAAhQBEQd1c2VyX2lkBio=")
	for name, c := range map[string]struct {
		db         int
		key, value string
		args       string
		reason     string
		try        string
	}{
		"signature": {
			args:   "express|--secret|one|--secret|two|--cookie|" + expressCookie,
			reason: "the signature fits none of 2 secrets",
		},
		"secret in quotes": {
			args:   "express|--secret|\"" + expressSecret + "\"|--cookie|" + expressCookie,
			reason: "a secret has quotes or white space around it",
		},
		"form-decoded": {
			args:   "express|--secret|old-secret|--cookie|connect.sid=s:8ATkNW1g3rInD1isL8QhJY42Gy5L2puJ.arCADC3asiBOuxP8 eG3h iWzPYhFKLHYQajBKct5ag",
			reason: "a + in the cookie became a space",
		},
		"encoded twice": {
			args:   "express|--secret|" + expressSecret + "|--cookie|" + strings.Replace(expressCookie, "%3A", "%253A", 1),
			reason: "percent-encoded once too often",
		},
		"another prefix": {
			key: "myapp:sess:" + expressID, value: expressValue,
			args:   "express|--secret|" + expressSecret + "|--cookie|" + expressCookie,
			reason: `no key "sess:e09D3R…", but "myapp:sess:e09D3R…" exists: --prefix myapp:sess:`,
			try:    "--prefix myapp:sess:",
		},
		"no prefix": {
			key: phpID, value: "user_id|i:42;",
			args:   "php|--cookie|" + phpCookie,
			reason: `no key "PHPREDIS_SESSION:ie12vp…", but "ie12vp…" exists: --prefix ''`,
			try:    "--prefix ''",
		},
		"another database": {
			db: 3, key: "sess:" + expressID, value: expressValue,
			args:   "express|--secret|" + expressSecret + "|--cookie|" + expressCookie,
			reason: `but database 3 holds "sess:e09D3R…"`,
			try:    "database 3 in --redis",
		},
		"empty database": {
			args:   "php|--cookie|" + phpCookie,
			reason: "database 0 of this Redis is empty",
		},
		"save path": {
			key: "app:" + phpID, value: "user_id|i:42;",
			args:   "php|--save-path|tcp://{redis}|--cookie|" + phpCookie,
			reason: `but "app:ie12vp…" exists: prefix=app%3A in --save-path`,
			try:    "prefix=app%3A",
		},
		"another handler": {
			key: phpKey, value: igbinary,
			args:   "php|--cookie|" + phpCookie,
			reason: "the value is igbinary, not php: --handler igbinary",
			try:    "--handler igbinary",
		},
		"JSON": {
			key: phpID, value: `{"user_id":42}`,
			args:   "predis|--cookie|" + phpCookie,
			reason: "the value is json, not php: --handler json",
			try:    "--handler json",
		},
		"PHP in Express' place": {
			key: "sess:" + expressID, value: "user_id|i:42;",
			args:   "express|--session-id|" + expressID,
			reason: "the value is php, not json: a PHP stack",
		},
		"user elsewhere": {
			key: phpKey, value: `auth|a:1:{s:4:"user";a:2:{s:2:"id";i:42;s:4:"name";s:1:"x";}}`,
			args:   "php|--cookie|" + phpCookie,
			reason: `nothing at "user_id", but "auth.user.id" holds a number: --user auth.user.id`,
			try:    "--user auth.user.id",
		},
		"user at a name with a dot": {
			key: phpKey, value: `my.app|a:1:{s:7:"user_id";s:1:"x";}`,
			args:   "php|--cookie|" + phpCookie,
			reason: `"my\.app.user_id" holds a string`,
			try:    `--user 'my\.app.user_id'`,
		},
		"another cookie": {
			args:   "php|--cookie|APPSESS=" + phpID,
			reason: `but "APPSESS" is there and can be opened: --cookie-name APPSESS`,
			try:    "--cookie-name APPSESS",
		},
		"another stack's cookie": {
			args:   "php|--cookie|" + strings.Replace(expressCookie, "connect.sid", "PHPSESSID", 1),
			reason: "the cookie has the shape of express's: --stack express",
			try:    "--stack express",
		},
		"JSON in PHP's place": {
			key: phpKey, value: `{"user_id":42}`,
			args:   "php|--cookie|" + phpCookie,
			reason: "the value is json, not php",
			try:    "--stack predis --handler json --prefix PHPREDIS_SESSION:",
		},
		"the value alone": {
			args: "php|--cookie|" + phpID,
			try:  "--cookie 'PHPSESSID=…'",
		},
		"no signature": {
			args:   "express|--secret|x|--cookie|connect.sid=abcdef",
			reason: "the cookie is not signed",
			try:    "--cookie with the whole header",
		},
		"no secret for any stack": {
			args: "auto|--cookie|" + expressCookie,
			try:  "--secret with the one that the running application has",
		},
		"expired without a lifetime in Redis": {
			key: "sess:" + expressID, value: `{"cookie":{"originalMaxAge":1000,"expires":"2020-01-01T00:00:00.000Z"},"passport":{"user":42}}`,
			args: "express|--session-id|" + expressID,
			try:  "a fresh login",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s.flush(t)
			if c.key != "" {
				s.entry(t, entryOf{DB: c.db, Key: []byte(c.key), Value: []byte(c.value)})
			}
			args := strings.Split(strings.ReplaceAll(c.args, "{redis}", s.addr), "|")
			args = append([]string{"--redis", s.url(), "--stack"}, args...)
			o, r := inspectJSON(t, nil, args...)
			checkObject(t, o, r)
			if !strings.Contains(text(o["reason"]), c.reason) {
				t.Errorf("reason %q, not %q", o["reason"], c.reason)
			}
			human := doctor(t, nil, append([]string{"inspect"}, args...)...)
			if c.try != "" && !strings.Contains(human.stdout, "try:    "+c.try) {
				t.Errorf("no line to try %q in\n%s", c.try, human.stdout)
			}
			if !strings.Contains(human.stdout, "FAILED") {
				t.Errorf("no failed step in\n%s", human.stdout)
			}
			for _, id := range []string{expressID, phpID} {
				if strings.Contains(r.stdout+human.stdout, id) {
					t.Errorf("an id is printed:\n%s%s", r.stdout, human.stdout)
				}
			}
		})
	}
}

// TestHintWithoutSearch: what could not be searched for is not said to be
// nowhere.
func TestHintWithoutSearch(t *testing.T) {
	s := realServer(t)
	rules := []any{"acl", "setuser", "svc", "on", ">pw", "~*", "+hello", "+ping", "+client", "+getrange", "+pttl"}
	if err := s.db(0).Do(t.Context(), rules...).Err(); err != nil {
		t.Fatal(err)
	}
	s.put(t, "other:"+phpID, "user_id|i:42;", 0)
	args := []string{"inspect", "--stack", "php", "--redis", "redis://svc:pw@" + s.addr, "--cookie", phpCookie}
	out := doctor(t, nil, args...).stdout
	for _, want := range []string{"has another prefix; Redis could not be searched for it: NOPERM", "try:    --redis with a user that may SCAN"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}
