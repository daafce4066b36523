package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
)

// partOf names the part that a stack needs.
var partOf = map[string]string{"php": "php", "express": "node"}

// startDemo starts the demo and serves what wrap makes of its handler; nil: the
// handler as it is. Whatever BRIDGE_REQUIRE names must be there, unless the
// kind of Redis is "auto", which makes do with what there is.
func startDemo(t *testing.T, redisKind string, wrap func(d *demo, next http.Handler) http.Handler) (d *demo, url string) {
	t.Helper()
	d, err := newDemo(t.Context(), redisKind, slog.New(slog.NewTextHandler(io.Discard, nil)))
	partstest.Here(t, err)
	for stack, get := range d.missing {
		if redisKind != "auto" && partstest.Required(partOf[stack]) {
			t.Errorf("%s is missing: %s", stack, get)
		}
	}
	handler := d.handler()
	if wrap != nil {
		handler = wrap(d, handler)
	}
	srv := httptest.NewServer(handler)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := d.bridge.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		srv.Close()
		d.close()
	})
	return d, srv.URL
}

func TestCheck(t *testing.T) {
	for _, redisKind := range []string{"builtin", "server"} {
		t.Run(redisKind, func(t *testing.T) {
			d, url := startDemo(t, redisKind, nil)
			var table strings.Builder
			if err := d.check(t.Context(), &table, url); err != nil {
				t.Errorf("%v\n%s", err, table.String())
			}
			for _, want := range []string{"go       logout while connected", "jwt      message", "members' page, nobody logged in"} {
				if !strings.Contains(table.String(), want) {
					t.Errorf("no row %q in\n%s", want, table.String())
				}
			}
		})
	}
}

// A service that lets anybody in, or nobody, must not pass.
func TestCheckFails(t *testing.T) {
	for name, spoil := range map[string]func(next http.Handler) http.Handler{
		"nobody gets in": func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/ws" {
					r.Header.Del("Cookie")
				}
				next.ServeHTTP(w, r)
			})
		},
		"every page gets in": func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.Header.Del("Origin")
				next.ServeHTTP(w, r)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, url := startDemo(t, "builtin", func(_ *demo, next http.Handler) http.Handler { return spoil(next) })
			c := checker{base: url, stacks: []string{"go"}}
			var table strings.Builder
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if err := c.check(ctx, &table); err == nil {
				t.Errorf("the check passed:\n%s", table.String())
			}
		})
	}
}

func TestRedisKind(t *testing.T) {
	if _, err := startRedis(t.Context(), "mysql"); err == nil || !strings.Contains(err.Error(), "builtin") {
		t.Errorf("error %v, want one that names the kinds", err)
	}
}
