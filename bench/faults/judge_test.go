package main

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sessionbridge/sessionbridge/bridge"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// at is so many seconds after noon.
func at(s float64) time.Time { return noon.Add(time.Duration(s * float64(time.Second))) }

func TestGone(t *testing.T) {
	away := span{began: at(10), ended: at(30), away: true}
	for name, tc := range map[string]struct {
		l    logout
		f    span
		want time.Time // zero: never
	}{
		"never tried":                 {logout{}, away, time.Time{}},
		"never answered":              {logout{first: at(1), uncertain: at(1), broken: at(2)}, away, time.Time{}},
		"answered at once":            {logout{first: at(1), sent: at(1), answered: at(1.1), effective: true}, away, at(1)},
		"under way as Redis went":     {logout{first: at(9.9), sent: at(9.9), answered: at(31), effective: true}, away, at(30)},
		"answered as Redis was back":  {logout{first: at(11), sent: at(29), answered: at(30.5), effective: true}, away, at(30)},
		"answered later":              {logout{first: at(11), sent: at(32), answered: at(32.1), effective: true}, away, at(32)},
		"done by an earlier try":      {logout{first: at(11), uncertain: at(11), broken: at(12), sent: at(32), answered: at(32.1)}, away, at(30)},
		"the same, nothing was away":  {logout{first: at(11), uncertain: at(11), broken: at(12), sent: at(32), answered: at(32.1)}, span{began: at(10), ended: at(30)}, at(11)},
		"of a shard that was there":   {logout{first: at(11), sent: at(11), answered: at(11.1), effective: true}, away, at(11)},
		"everything went":             {logout{}, span{began: at(10), ended: at(10), wiped: at(10)}, at(10)},
		"before everything went":      {logout{first: at(1), sent: at(1), answered: at(1.1), effective: true}, span{wiped: at(10)}, at(1)},
		"after everything had gone":   {logout{first: at(11), sent: at(11), answered: at(11.1)}, span{wiped: at(10)}, at(10)},
		"not answered, all were gone": {logout{first: at(9)}, span{wiped: at(10)}, at(10)},
	} {
		t.Run(name, func(t *testing.T) {
			got, ever := tc.l.gone(tc.f)
			if !got.Equal(tc.want) || ever != !tc.want.IsZero() {
				t.Errorf("gone = %v, %v, want %v", got, ever, tc.want)
			}
		})
	}
}

// ended is a socket that ended then, with a code.
func ended(then float64, code bridge.Code) *socket {
	s := &socket{done: make(chan struct{}), ended: at(then), code: code, err: errors.New("closed")}
	close(s.done)
	return s
}

func TestJudge(t *testing.T) {
	alive := &socket{done: make(chan struct{})}
	f := span{began: at(10), ended: at(20), away: true}
	loggedOut := func(s float64) *logout {
		return &logout{first: at(s), sent: at(s), answered: at(s + 0.1), effective: true}
	}
	wiped := span{began: at(10), ended: at(20), wiped: at(20)}
	for name, tc := range map[string]struct {
		s     *socket
		l     *logout
		there bool
		f     span
		want  result
	}{
		"lives with its session":           {alive, nil, true, f, result{}},
		"ended by its logout":              {ended(5.5, bridge.CodeSessionEnded), loggedOut(5), false, f, result{before: outlived{1, time.Second / 2}}},
		"ended by its logout, later":       {ended(27, bridge.CodeSessionEnded), loggedOut(25), false, f, result{later: outlived{1, 2 * time.Second}}},
		"ended when everything went":       {ended(21, bridge.CodeSessionEnded), nil, false, wiped, result{later: outlived{1, time.Second}}},
		"the logout was lost in the fault": {ended(5.5, bridge.CodeSessionEnded), loggedOut(5), true, f, result{undone: 1}},
		"unavailable after MaxStale":       {ended(16, bridge.CodeUnavailable), nil, true, f, result{unavailable: 1}},
		"unavailable before MaxStale":      {ended(12, bridge.CodeUnavailable), nil, true, f, result{endedWrongly: []string{""}}},
		"unavailable, logged out before":   {ended(16, bridge.CodeUnavailable), loggedOut(9), false, f, result{unavailable: 1, before: outlived{1, 7 * time.Second}}},
		"ended with its session":           {ended(15, bridge.CodeSessionEnded), nil, true, f, result{endedWrongly: []string{""}}},
		"ended before its logout":          {ended(4, bridge.CodeSessionEnded), loggedOut(5), false, f, result{endedWrongly: []string{""}}},
		"cut without a reason":             {ended(4, ""), nil, true, f, result{endedWrongly: []string{""}}},
		"no session, and no logout":        {ended(15, bridge.CodeSessionEnded), nil, false, f, result{wrong: []string{""}}},
	} {
		t.Run(name, func(t *testing.T) {
			var r result
			r.judge(tc.s, tc.l, tc.there, tc.f, 5*time.Second)
			sameLength := cmp.Comparer(func(a, b []string) bool { return len(a) == len(b) })
			if diff := cmp.Diff(tc.want, r, cmp.AllowUnexported(result{}, outlived{}), cmpopts.IgnoreFields(result{}, "fault", "promise"), sameLength); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}

	t.Run("lives without its session", func(t *testing.T) {
		var r result
		r.judge(alive, loggedOut(5), false, f, 0)
		if len(r.wrong) != 1 || r.before.sockets != 1 || r.before.longest < time.Hour {
			t.Errorf("%+v", r)
		}
	})
}

func TestFailures(t *testing.T) {
	p := promise{before: time.Second, later: 2 * time.Second}
	for name, tc := range map[string]struct {
		r    result
		want int
	}{
		"kept":          {result{before: outlived{1, time.Second}, later: outlived{1, 2 * time.Second}}, 0},
		"before":        {result{before: outlived{1, time.Second + 1}}, 1},
		"later":         {result{later: outlived{1, 2*time.Second + 1}}, 1},
		"ended wrongly": {result{endedWrongly: []string{"x"}}, 1},
		"wrong":         {result{wrong: []string{"x"}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			tc.r.promise = p
			if got := tc.r.failures(); len(got) != tc.want {
				t.Errorf("failures %q, want %d", got, tc.want)
			}
		})
	}
}

func TestCommandLine(t *testing.T) {
	for args, want := range map[string]string{
		"-fault earthquake": "there is no fault",
		"-sockets 9":        "10 is the least",
		"flushall":          "unexpected argument",
	} {
		var out bytes.Buffer
		err := command(t.Context(), strings.Fields(args), &out, io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", args, err, want)
		}
		if out.Len() > 0 {
			t.Errorf("%s: printed %q", args, out.String())
		}
	}
}
