package main

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
)

// The tap passes everything on, and notes the first change of a key.
func TestTap(t *testing.T) {
	server := partstest.Redis(t)
	tap, err := newTap(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer tap.close()
	opts, err := redis.ParseURL(tap.url)
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(opts)
	defer rdb.Close()
	ctx := t.Context()
	if err := rdb.Set(ctx, "sess:1", "x", time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	if got := tap.stored(); got != "sess:1" {
		t.Errorf("stored = %q", got)
	}
	tap.forget("sess:1")
	if v := rdb.Get(ctx, "sess:1").Val(); v != "x" {
		t.Errorf("the value is %q", v)
	}
	if err := rdb.Expire(ctx, "sess:1", time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	if c, ok := tap.change("sess:1"); ok {
		t.Errorf("%s is a change", c.command)
	}
	began := time.Now()
	if err := rdb.Del(ctx, "sess:1").Err(); err != nil {
		t.Fatal(err)
	}
	ended := time.Now()
	if err := rdb.Set(ctx, "sess:1", "y", time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	c, ok := tap.change("sess:1")
	if !ok || c.command != "DEL" || c.at.Before(began) || c.at.After(ended) {
		t.Errorf("the first change is %+v, %t", c, ok)
	}
}
