package main

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
)

// The doctor says how the server in question will report a logout.
func TestLogoutLine(t *testing.T) {
	const sid = "0123456789abcdef0123456789abcdef"
	for name, tt := range map[string]struct {
		args []string // of redis-server
		want string
	}{
		"tracking":   {nil, "logout  reported by client tracking"},
		"key events": {[]string{"--rename-command", "CLIENT", "", "--notify-keyspace-events", "KA"}, "logout  reported by key events"},
		"nothing":    {[]string{"--rename-command", "CLIENT", ""}, "logout  not reported by this Redis"},
	} {
		t.Run(name, func(t *testing.T) {
			server := partstest.Redis(t, tt.args...)
			opts, err := redis.ParseURL(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			opts.DisableIdentity = true
			rdb := redis.NewClient(opts)
			defer rdb.Close()
			if err := rdb.Set(t.Context(), "PHPREDIS_SESSION:"+sid, "user_id|i:42;", time.Hour).Err(); err != nil {
				t.Fatal(err)
			}
			r := doctor(t, nil, "inspect", "--stack", "php", "--cookie", "PHPSESSID="+sid, "--redis", server.URL)
			if r.code != 0 || !strings.Contains(r.stdout, "\n"+tt.want) {
				t.Errorf("exit status %d; %q is not in\n%s%s", r.code, tt.want, r.stdout, r.stderr)
			}
		})
	}
}
