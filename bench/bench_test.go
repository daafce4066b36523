package main

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
)

func TestLogout(t *testing.T) {
	for i := range webApps {
		app := webApps[i]
		t.Run(app.name+"/"+app.action, func(t *testing.T) {
			r, err := measureLogout(t.Context(), []webApp{app}, quickScale.logout)
			partstest.Here(t, err)
			l := r.apps[0]
			partstest.Here(t, l.skipped)
			if err := r.err(); err != nil {
				t.Error(err)
			}
			n := quickScale.logout.logouts
			for name, latencies := range map[string][]time.Duration{"push": l.push, "event": l.event, "close": l.close} {
				if len(latencies) != n {
					t.Errorf("%d latencies of %s, want %d", len(latencies), name, n)
				}
				if len(latencies) > 0 && slices.Min(latencies) <= 0 {
					t.Errorf("%s came before the logout: %v", name, latencies)
				}
			}
			if r.writes == 0 {
				t.Error("no session was written meanwhile")
			}
		})
	}
}

// A logout that ends no socket is found out: here the application only stores
// the session once more.
func TestLogoutMissed(t *testing.T) {
	app := webApp{"gorilla/sessions", "another login", http.MethodPost, "/login", startGoApp}
	scale := quickScale.logout
	scale.patience = 200 * time.Millisecond
	r, err := measureLogout(t.Context(), []webApp{app}, scale)
	partstest.Here(t, err)
	if r.apps[0].missed != scale.logouts || r.err() == nil {
		t.Errorf("%d missed, %v, want %d and an error", r.apps[0].missed, r.err(), scale.logouts)
	}
}

func TestWhatMustNotHappen(t *testing.T) {
	for name, err := range map[string]error{
		"logout missed":          (&logoutResult{apps: []logoutLatency{{app: &webApps[0], missed: 1}}}).err(),
		"ended without a logout": (&logoutResult{wronglyClosed: 1}).err(),
		"outlived in the storm":  stormErr([]stormResult{{survived: 1}}),
		"out after the storm":    stormErr([]stormResult{{wronglyOut: 1}}),
		"nothing":                errors.Join((&logoutResult{}).err(), stormErr([]stormResult{{}})),
	} {
		if wrong := name != "nothing"; wrong != (err != nil) {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
}

func TestStorm(t *testing.T) {
	all, err := measureStorm(t.Context(), quickScale.storm)
	partstest.Here(t, err)
	if err := stormErr(all); err != nil {
		t.Error(err)
	}
	for _, r := range all {
		scale := quickScale.storm
		if r.dropped != scale.sockets {
			t.Errorf("%s: %d connections were cut, want %d", r.name, r.dropped, scale.sockets)
		}
		if r.refused+r.ended != scale.logouts {
			t.Errorf("%s: %d refused and %d ended, want %d together", r.name, r.refused, r.ended, scale.logouts)
		}
	}
	cached, uncached := all[0], all[1]
	if uncached.reads < int64(uncached.sockets) {
		t.Errorf("%d reads by %d sockets without the cache: they are not counted", uncached.reads, uncached.sockets)
	}
	// Each logout is read of, and each that comes back after it.
	if most := int64(2 * cached.loggedOut); cached.reads > most {
		t.Errorf("%d reads with the cache, want at most %d", cached.reads, most)
	}
}

func TestHandshakes(t *testing.T) {
	scale := quickScale.handshake
	scale.profiles = t.TempDir()
	all, err := measureHandshakes(t.Context(), scale)
	partstest.Here(t, err)
	for _, v := range all {
		t.Run(v.name, func(t *testing.T) {
			partstest.Here(t, v.skipped)
			if len(v.runs) < scale.rounds || len(v.bare) != len(v.runs) {
				t.Fatalf("%d runs beside %d of the bare server, want %d", len(v.runs), len(v.bare), scale.rounds)
			}
			for _, r := range v.runs {
				if r.cpu <= 0 || r.rate <= 0 {
					t.Errorf("%+v", r)
				}
			}
		})
	}
	profiles, err := filepath.Glob(filepath.Join(scale.profiles, "*.pprof"))
	if err != nil || len(profiles) != len(all)-1 {
		t.Errorf("%d profiles, %v, want one of each service", len(profiles), err)
	}
}

func TestMemory(t *testing.T) {
	scale := quickScale.memory
	scale.profiles = t.TempDir()
	r, err := measureMemory(t.Context(), scale)
	partstest.Here(t, err)
	for _, f := range r.all {
		if f.heap <= 0 || f.resident <= 0 {
			t.Errorf("%s: heap %.0f, resident %.0f", f.name, f.heap, f.resident)
		}
		if g := round(f.goroutines); g > 1.1 {
			t.Errorf("%s: %.2f goroutines a connection", f.name, g)
		}
	}
	if r.index <= 0 {
		t.Errorf("the index takes nothing: is it still called so? %+v", r.sites)
	}
	if _, err := os.Stat(filepath.Join(scale.profiles, "memory.heap.pprof")); err != nil {
		t.Error(err)
	}
}

func TestOptions(t *testing.T) {
	for _, tc := range []struct {
		name  string
		args  []string
		names []string
		err   string
	}{
		{"all", nil, measurements, ""},
		{"one", []string{"-quick", "storm"}, []string{"storm"}, ""},
		{"unknown", []string{"speed"}, nil, `"speed" is none of`},
		{"negative", []string{"-sockets", "-1"}, nil, "-sockets is negative"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o, err := parseOptions(tc.args)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("%v, want %q", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.names, o.names); diff != "" {
				t.Error(diff)
			}
		})
	}
	o, err := parseOptions([]string{"-sockets", "20", "-logouts", "3"})
	if err != nil {
		t.Fatal(err)
	}
	if o.logout.sockets != 20 || o.storm.sockets != 20 || o.storm.logouts != 20 || o.logout.logouts != 3 || o.logout.writes != wholeScale.logout.writes {
		t.Errorf("%+v", o)
	}
}

// What is printed is a table of Markdown: every line has as many columns.
func TestTables(t *testing.T) {
	l := logoutLatency{app: &webApps[0], command: "DEL", push: []time.Duration{1}, event: []time.Duration{2}, close: []time.Duration{4}}
	skipped := logoutLatency{app: &webApps[1], skipped: errors.New("a|b is missing")}
	quick, slow := []run{{cpu: 2, rate: 4}}, []run{{cpu: 4, rate: 2}}
	bare := &variant{name: "bare", runs: quick, bare: quick}
	half := &variant{name: "half", bar: 1.6, runs: slow, bare: quick}
	absent := &variant{name: "node", skipped: errors.New("missing")}
	memory := &memoryResult{all: []footprint{{name: "bare", resident: 2}, {name: "ours", bars: 2, resident: 1}}, sites: []Site{{"f", 1}}}
	for name, tab := range map[string]*table{
		"logout":    (&logoutResult{apps: []logoutLatency{l, skipped}}).table(),
		"storm":     stormTable([]stormResult{{name: "cache", sockets: 1}, {name: "no cache", sockets: 1}}),
		"handshake": handshakeTable([]*variant{bare, half, absent}),
		"memory":    memory.tables()[0],
		"sites":     memory.tables()[1],
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := tab.writeTo(&b); err != nil {
				t.Fatal(err)
			}
			bar := regexp.MustCompile(`(^|[^\\])\|`)
			for line := range strings.Lines(strings.TrimSpace(b.String())) {
				if n := len(bar.FindAllString(line, -1)); n != len(tab.columns)+1 {
					t.Errorf("%d columns, want %d: %s", n-1, len(tab.columns), line)
				}
			}
		})
	}
	if diff := cmp.Diff([]float64{2}, over(slow, quick, cpuOf)); diff != "" {
		t.Errorf("the ratio of twice the CPU time (-want +got):\n%s", diff)
	}
}

func TestQuantile(t *testing.T) {
	for _, tc := range []struct {
		name   string
		values []int
		q      float64
		want   int
	}{
		{"none", nil, 0.5, 0},
		{"one", []int{7}, 0.99, 7},
		{"median of an odd number", []int{3, 1, 2}, 0.5, 2},
		{"median of an even number", []int{4, 1, 3, 2}, 0.5, 2},
		{"p99 of 100", upTo(100), 0.99, 99},
		{"p99 of few", upTo(10), 0.99, 10},
		{"least", upTo(10), 0, 1},
		{"greatest", upTo(10), 1, 10},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := quantile(tc.values, tc.q); got != tc.want {
				t.Errorf("= %d, want %d", got, tc.want)
			}
		})
	}
}

func upTo(n int) (values []int) {
	for i := range n {
		values = append(values, i+1)
	}
	return values
}

func TestAgainst(t *testing.T) {
	for _, tc := range []struct {
		name     string
		v, bar   float64
		strictly bool
		met      bool
	}{
		{"below", 1, 2, true, true},
		{"on a bar that must not be reached", 2, 2, true, false},
		{"on a bar that may be reached", 2, 2, false, true},
		{"above", 3, 2, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := against(tc.v, tc.bar, tc.strictly, "bar"); strings.HasSuffix(got, ": met") != tc.met {
				t.Errorf("= %q", got)
			}
		})
	}
}

// A service ends with its parent, and says what it cannot serve.
func TestService(t *testing.T) {
	if _, err := startService(t.Context(), &Config{Hook: "none"}); err == nil {
		t.Error("an unknown hook is served")
	}
	s, err := startService(t.Context(), &Config{Hook: HookBare})
	if err != nil {
		t.Fatal(err)
	}
	c, err := handshake(t.Context(), s.address, upgradeRequest(s.address, "X", "y"))
	if err != nil {
		t.Error(err)
	} else {
		_ = c.Close()
	}
	s.stop()
	select {
	case <-s.done:
	default:
		t.Error("it did not end")
	}
}
