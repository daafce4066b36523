package main

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func environment(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := vars[name]
		return v, ok
	}
}

func TestParseConfig(t *testing.T) {
	defaults := config{
		listen: ":8090", redisURL: "redis://127.0.0.1:6379",
		phpCookie: "PHPSESSID", phpPrefix: "PHPREDIS_SESSION:", phpUser: "user_id", phpHandler: "php",
		expressCookie: "connect.sid", expressPrefix: "sess:", expressUser: "passport.user",
		goCookie: "session-key", goPrefix: "session:", goUser: "user_id",
		maxStale: 30 * time.Second, cacheBytes: 32 << 20,
	}
	for _, tc := range []struct {
		name string
		args []string
		env  map[string]string
		want func(*config)
		err  string // what the error must say
	}{
		{"nothing set", nil, nil, func(*config) {}, ""},
		{"environment", nil, map[string]string{"PHP_USER": "auth.user.id", "EXPRESS_SECRETS": "new, old,", "ALLOWED_ORIGINS": "https://a.example"},
			func(c *config) {
				c.phpUser, c.expressSecrets, c.origins = "auth.user.id", []string{"new", "old"}, []string{"https://a.example"}
			}, ""},
		{"a flag wins", []string{"-php-user", "uid"}, map[string]string{"PHP_USER": "other"}, func(c *config) { c.phpUser = "uid" }, ""},
		{"tokens", nil, map[string]string{"JWT_SECRET": "s", "JWKS_URL": "u", "JWT_ISSUER": "i", "JWT_AUDIENCE": "a, b", "JWT_QUERY": "token"},
			func(c *config) {
				c.jwtSecret, c.jwksURL, c.jwtIssuer, c.jwtAudience, c.jwtQuery = "s", "u", "i", []string{"a", "b"}, "token"
			}, ""},
		{"set but empty", nil, map[string]string{"PHP_PREFIX": "", "GO_COOKIE": ""}, func(c *config) { c.phpPrefix, c.goCookie = "", "" }, ""},
		{"zero is none", nil, map[string]string{"MAX_STALE": "0", "CACHE_BYTES": "0"}, func(c *config) { c.maxStale, c.cacheBytes = -1, -1 }, ""},
		{"watch", nil, map[string]string{"WATCH": "keyevents", "SWEEP": "1m"}, func(c *config) { c.watch, c.sweep = "keyevents", time.Minute }, ""},
		{"touch", nil, map[string]string{"TOUCH": "2m", "METRICS_LISTEN": ":9"}, func(c *config) { c.touch, c.metrics = 2*time.Minute, ":9" }, ""},
		{"touch too often", nil, map[string]string{"TOUCH": "30s"}, nil, "TOUCH"},
		{"no such watch", nil, map[string]string{"WATCH": "poll"}, nil, "WATCH"},
		{"no time", nil, map[string]string{"SWEEP": "5"}, nil, "SWEEP"},
		{"no number", nil, map[string]string{"CACHE_BYTES": "1G"}, nil, "CACHE_BYTES"},
		{"no flag", []string{"listen"}, nil, nil, "listen"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := parseConfig(tc.args, environment(tc.env))
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("error %v, want one about %s", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := defaults
			tc.want(&want)
			if diff := cmp.Diff(want, *got, cmp.AllowUnexported(config{})); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// Neither -h nor an error shows a secret that the environment holds.
func TestNoSecretIsShown(t *testing.T) {
	const secret = "hunter2-hunter2"
	stderr := os.Stderr
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	os.Stderr = w
	_, _ = parseConfig([]string{"-h"}, environment(map[string]string{
		"REDIS_URL": "redis://:" + secret + "@localhost", "EXPRESS_SECRETS": secret, "JWT_SECRET": secret,
	}))
	os.Stderr = stderr
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	help, err := io.ReadAll(r)
	if err != nil || len(help) == 0 {
		t.Fatalf("-h printed %d bytes, %v", len(help), err)
	}
	if strings.Contains(string(help), secret) {
		t.Error("-h shows a secret")
	}
	for _, url := range []string{"redis://:" + secret + "@h:bad/x y", "redis://u:" + secret + "@[::1", "redis://:%zz" + secret + "@h", secret} {
		if err := run(t.Context(), &config{redisURL: url}); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("the error is %v", err)
		}
	}
}
