package pusher_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest/wiretest"
	"github.com/sessionbridge/sessionbridge/pusher"
)

func TestNew(t *testing.T) {
	b, err := bridge.New(wiretest.NewSessions(), &bridge.Options{Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	for _, tc := range []struct {
		name   string
		bridge *bridge.Bridge
		opts   *pusher.Options
		err    string // contained; "" for none
	}{
		{"the least", b, &pusher.Options{AppKey: appKey, Secret: appSecret}, ""},
		{"no bridge", nil, &pusher.Options{AppKey: appKey, Secret: appSecret}, "the bridge is nil"},
		{"no options", b, nil, "set Options.AppKey and Options.Secret"},
		{"no key", b, &pusher.Options{Secret: appSecret}, "AppKey is empty"},
		{"a key with a colon", b, &pusher.Options{AppKey: "a:b", Secret: appSecret}, "AppKey may have"},
		{"a key that is not ASCII", b, &pusher.Options{AppKey: "š", Secret: appSecret}, "AppKey may have"},
		{"no secret", b, &pusher.Options{AppKey: appKey}, "Secret has 0 bytes"},
		{"a short secret", b, &pusher.Options{AppKey: appKey, Secret: "short"}, "Secret has 5 bytes"},
		{"a negative limit", b, &pusher.Options{AppKey: appKey, Secret: appSecret, MaxChannels: -1}, "MaxChannels is negative"},
		{"half a second", b, &pusher.Options{AppKey: appKey, Secret: appSecret, ActivityTimeout: 1500 * time.Millisecond}, "whole seconds"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := pusher.New(tc.bridge, tc.opts)
			switch {
			case tc.err == "" && (err != nil || s == nil):
				t.Errorf("New: %v", err)
			case tc.err != "" && (s != nil || err == nil || !strings.Contains(err.Error(), tc.err)):
				t.Errorf("error = %v, want %q", err, tc.err)
			case err != nil && tc.opts != nil && tc.opts.Secret != "" && strings.Contains(err.Error(), tc.opts.Secret):
				t.Errorf("the secret is in the error")
			}
		})
	}
}

func TestTriggerErrors(t *testing.T) {
	s := newService(t, wiretest.NewSessions(), pusher.Options{}).server
	for _, tc := range []struct {
		name string
		err  error
	}{
		{"no channel", s.Trigger("", "a", nil)},
		{"a user's channel", s.Trigger("#server-to-user-42", "a", nil)},
		{"no event", s.Trigger("a", "", nil)},
		{"the protocol's event", s.Trigger("a", "pusher:error", nil)},
		{"its internal event", s.Trigger("a", "pusher_internal:subscription_succeeded", nil)},
		{"a long event", s.Trigger("a", strings.Repeat("x", 201), nil)},
		{"no JSON", s.Trigger("a", "b", func() {})},
		{"no user", s.SendToUser("", "a", nil)},
	} {
		if tc.err == nil {
			t.Errorf("%s: no error", tc.name)
		}
	}
	if err := s.Trigger("nobody", "is there", nil); err != nil {
		t.Error(err)
	}
}
