package socketcluster_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest/wiretest"
	"github.com/sessionbridge/sessionbridge/socketcluster"
)

func newOptions() *socketcluster.Options {
	return &socketcluster.Options{Authorize: private, Issuer: issuer(time.Hour)}
}

// ownChannel lets a user have user/<id> of its own, and everybody the others.
func ownChannel(_ context.Context, r *socketcluster.Request) error {
	if owner, ok := strings.CutPrefix(r.Channel, "user/"); ok && (r.Identity == nil || r.Identity.User != owner) {
		return errors.New("somebody else's")
	}
	return nil
}

func TestNewRefuses(t *testing.T) {
	b, err := bridge.New(wiretest.Tokens(t), &bridge.Options{Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Shutdown(t.Context())
	for _, tc := range []struct {
		name   string
		bridge *bridge.Bridge
		opts   *socketcluster.Options
		want   string
	}{
		{"no bridge", nil, nil, "the bridge is nil"},
		{"a negative limit", b, &socketcluster.Options{MaxQueue: -1}, "MaxQueue is negative"},
		{"a negative time", b, &socketcluster.Options{PingInterval: -1}, "PingInterval is negative"},
		{"pings too rare", b, &socketcluster.Options{PingInterval: 30 * time.Second}, "must be longer than PingInterval"},
		{"a timer too long", b, &socketcluster.Options{PingTimeout: 1000 * time.Hour}, "more than a client's timer can hold"},
		{"renewal of nothing", b, &socketcluster.Options{Renew: func(context.Context, *bridge.Identity) (*bridge.Identity, error) { return nil, nil }}, "without an Issuer"},
		{"nothing", b, nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := socketcluster.New(tc.bridge, tc.opts)
			if tc.want == "" {
				if err != nil || s == nil {
					t.Fatalf("New: %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) || s != nil {
				t.Errorf("error = %v, want one that says %q", err, tc.want)
			}
		})
	}
}

func TestHandlePanics(t *testing.T) {
	b, err := bridge.New(wiretest.Tokens(t), &bridge.Options{Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Shutdown(t.Context())
	s, err := socketcluster.New(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Handle("taken", socketcluster.Logout)
	for _, name := range []string{"", "#publish", "taken"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Handle(%q) did not panic", name)
				}
			}()
			s.Handle(name, socketcluster.Logout)
		}()
	}
}
