package metrics_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/metrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Two users come, one is revoked, one leaves; a third is nobody and a fourth
// finds the store down.
func TestBridge(t *testing.T) {
	reg := prometheus.NewRegistry()
	m, err := metrics.New(reg)
	if err != nil {
		t.Fatal(err)
	}
	auth := bridge.AuthenticatorFunc(func(ctx context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
		name := h.Request.Header.Get("User")
		return h.Load(ctx, bridge.Binding{Key: "key-of-" + name, Reload: func(context.Context) (*bridge.Identity, error) {
			switch name {
			case "":
				return nil, bridge.ErrNoCredential
			case "outage":
				return nil, errors.New("the store is down")
			}
			return &bridge.Identity{User: name, Via: "php", Key: "key-of-" + name}, nil
		}})
	})
	b, err := bridge.New(auth, &bridge.Options{Observe: m.Observe, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	request := func(ctx context.Context, name string, serve http.HandlerFunc) {
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
		r.Header.Set("User", name)
		b.Middleware(serve).ServeHTTP(httptest.NewRecorder(), r)
	}
	request(t.Context(), "ann-the-user", func(_ http.ResponseWriter, r *http.Request) {
		want(t, reg, `sessionbridge_connections{via="php"} 1`)
		if err := b.Revoke(t.Context(), bridge.Target{User: "ann-the-user"}); err != nil {
			t.Error(err)
		}
		<-r.Context().Done()
	})
	request(t.Context(), "bob-the-user", func(http.ResponseWriter, *http.Request) {})
	for _, name := range []string{"", "outage"} {
		request(t.Context(), name, func(http.ResponseWriter, *http.Request) { t.Error("served") })
	}
	want(t, reg,
		`sessionbridge_connections{via="php"} 0`,
		`sessionbridge_ends_total{reason="revoked",via="php"} 1`,
		`sessionbridge_ends_total{reason="left",via="php"} 1`,
		`sessionbridge_handshake_seconds_count{outcome="ok",via="php"} 2`,
		`sessionbridge_handshake_seconds_count{outcome="credentials_required",via=""} 1`,
		`sessionbridge_handshake_seconds_count{outcome="unavailable",via=""} 1`,
		`sessionbridge_lookup_seconds_count{outcome="ok"} 2`,
		`sessionbridge_store_errors_total 1`,
	)
	for _, line := range gather(t, reg) {
		if strings.Contains(line, "-the-user") || strings.Contains(line, "key-of-") {
			t.Errorf("a label names a user or session: %s", line)
		}
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}

// What a store tells of itself.
func TestWatching(t *testing.T) {
	reg := prometheus.NewRegistry()
	m, err := metrics.New(reg)
	if err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		e     bridge.Event
		lines []string
		gone  string
	}{
		{bridge.Event{Kind: bridge.EventWatchLost, Store: "redis-1"}, []string{`sessionbridge_watch_losses_total{store="redis-1"} 1`}, "sessionbridge_watching"},
		{bridge.Event{Kind: bridge.EventWatchRestored, Store: "redis-1", Mode: "tracking"}, []string{`sessionbridge_watching{mode="tracking",store="redis-1"} 1`}, ""},
		{bridge.Event{Kind: bridge.EventWatchLost, Store: "redis-1"}, []string{`sessionbridge_watching{mode="tracking",store="redis-1"} 0`, `sessionbridge_watch_losses_total{store="redis-1"} 2`}, ""},
		{bridge.Event{Kind: bridge.EventWatchRestored, Store: "redis-1", Mode: "keyevents"}, []string{`sessionbridge_watching{mode="keyevents",store="redis-1"} 1`}, "tracking"},
		{bridge.Event{Kind: bridge.EventWatchRefused, Store: "redis-2"}, []string{`sessionbridge_watching{mode="none",store="redis-2"} 1`, `sessionbridge_watching{mode="keyevents",store="redis-1"} 1`}, ""},
		{bridge.Event{Kind: bridge.EventResync, Store: "redis-1", Count: 7, Duration: time.Second}, []string{`sessionbridge_resync_sessions_total{store="redis-1"} 7`, `sessionbridge_resync_seconds_sum{store="redis-1"} 1`}, ""},
		{bridge.Event{Kind: bridge.EventChangeJudged, Duration: time.Second}, []string{`sessionbridge_change_seconds_sum 1`}, ""},
		{bridge.Event{Kind: bridge.EventCacheHit, Via: "php"}, []string{`sessionbridge_cache_hits_total 1`}, ""},
		{bridge.Event{Kind: bridge.EventPendingBegin}, []string{`sessionbridge_pending_connections 1`}, ""},
		{bridge.Event{Kind: bridge.EventPendingEnd}, []string{`sessionbridge_pending_connections 0`}, ""},
	}
	for i, step := range steps {
		if m.Observe(t.Context(), step.e) != t.Context() {
			t.Error("another context")
		}
		want(t, reg, step.lines...)
		for _, line := range gather(t, reg) {
			if step.gone != "" && strings.Contains(line, step.gone) {
				t.Errorf("step %d: %s is still there", i, line)
			}
		}
	}
}

func TestRegisteredTwice(t *testing.T) {
	reg := prometheus.NewRegistry()
	if _, err := metrics.New(reg); err != nil {
		t.Fatal(err)
	}
	if _, err := metrics.New(reg); err == nil {
		t.Error("no error")
	}
}

// The dashboard asks for nothing that is not there.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile("../examples/grafana/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(text) {
		t.Fatal("the dashboard is no JSON")
	}
	reg := prometheus.NewRegistry()
	m, err := metrics.New(reg)
	if err != nil {
		t.Fatal(err)
	}
	for kind := bridge.EventHandshakeBegin; kind <= bridge.EventResync; kind++ {
		m.Observe(t.Context(), bridge.Event{Kind: kind, Via: "php", Store: "redis-1", Mode: "tracking", Code: bridge.CodeUnavailable})
	}
	lines := strings.Join(gather(t, reg), "\n")
	names := regexp.MustCompile(`sessionbridge_[a-z_]+`).FindAllString(string(text), -1)
	slices.Sort(names)
	if names = slices.Compact(names); len(names) < 10 {
		t.Fatalf("the dashboard shows only %q", names)
	}
	for _, name := range names {
		if !strings.Contains(lines, "\n"+name+"{") && !strings.Contains(lines, "\n"+name+" ") && !strings.HasPrefix(lines, name) {
			t.Errorf("there is no metric %s", name)
		}
	}
}

// gather returns the metrics as Prometheus reads them.
func gather(t *testing.T, reg *prometheus.Registry) []string {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, f := range families {
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			suffix := ""
			if len(labels) > 0 {
				suffix = "{" + strings.Join(labels, ",") + "}"
			}
			switch {
			case m.Histogram != nil:
				lines = append(lines, fmt.Sprintf("%s_count%s %d", f.GetName(), suffix, m.Histogram.GetSampleCount()),
					fmt.Sprintf("%s_sum%s %v", f.GetName(), suffix, m.Histogram.GetSampleSum()),
					fmt.Sprintf("%s_bucket%s %d", f.GetName(), suffix, len(m.Histogram.Bucket)))
			case m.Counter != nil:
				lines = append(lines, fmt.Sprintf("%s%s %v", f.GetName(), suffix, m.Counter.GetValue()))
			default:
				lines = append(lines, fmt.Sprintf("%s%s %v", f.GetName(), suffix, m.Gauge.GetValue()))
			}
		}
	}
	return lines
}

func want(t *testing.T, reg *prometheus.Registry, lines ...string) {
	t.Helper()
	have := gather(t, reg)
	for _, line := range lines {
		if !slices.Contains(have, line) {
			t.Errorf("%s is not among\n%s", line, strings.Join(have, "\n"))
		}
	}
}
