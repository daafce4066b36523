package stores_test

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sessionbridge/sessionbridge/stores"
)

func TestMemoryFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := stores.NewMemory()
		value := []byte("value")
		s.Set("s:minute", value, time.Minute)
		s.Set("s:forever", value, 0)
		s.Set("s:negative", value, -time.Second)
		s.Set("s:empty", nil, 0)
		s.Set("s:long", make([]byte, stores.MaxValue+1), 0)
		s.Set("s:deleted", value, 0)
		s.Delete("s:deleted")
		s.Delete("s:never was")
		value[0] = 'X' // the store keeps a copy

		keys := []stores.Key{
			{Prefix: "s:", ID: "minute"}, {Prefix: "s:", ID: "forever"}, {Prefix: "s:", ID: "negative"},
			{Prefix: "s:", ID: "empty"}, {Prefix: "s:", ID: "long"}, {Prefix: "s:", ID: "deleted"},
			{Prefix: "s:m", ID: "inute"}, {Prefix: "", ID: "minute"}, {Prefix: "s:", ID: "minute", Hash: true},
		}
		fetch := func() []stores.Record {
			t.Helper()
			got, err := s.Fetch(t.Context(), keys...)
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		found := stores.Record{Found: true, Value: []byte("value"), TTL: -1}
		want := []stores.Record{
			{Found: true, Value: []byte("value"), TTL: time.Minute}, found, found,
			{Found: true, TTL: -1}, {Found: true, Err: stores.ErrTooLarge}, {},
			{Found: true, Value: []byte("value"), TTL: time.Minute}, {}, {Found: true, Err: stores.ErrWrongType},
		}
		opts := cmp.Options{cmpopts.EquateErrors(), cmpopts.EquateEmpty()}
		if diff := cmp.Diff(want, fetch(), opts); diff != "" {
			t.Errorf("records (-want +got):\n%s", diff)
		}
		<-time.After(time.Minute - 1) // by the bubble's clock
		want[0].TTL, want[6].TTL = 1, 1
		if diff := cmp.Diff(want, fetch(), opts); diff != "" {
			t.Errorf("just before the end (-want +got):\n%s", diff)
		}
		<-time.After(1)
		want[0], want[6], want[8] = stores.Record{}, stores.Record{}, stores.Record{}
		if diff := cmp.Diff(want, fetch(), opts); diff != "" {
			t.Errorf("at the end (-want +got):\n%s", diff)
		}
	})
}

func TestMemoryContextCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := stores.NewMemory().Fetch(ctx, stores.Key{ID: "x"}); got != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("= %v, %v", got, err)
	}
}

func TestMemoryNames(t *testing.T) {
	if a, b := stores.NewMemory(), stores.NewMemory(); a.Name() == b.Name() || a.Name() == "" {
		t.Errorf("two stores are called %q and %q", a.Name(), b.Name())
	}
}

// Sessions whose time is over do not fill the memory.
func TestMemoryForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := stores.NewMemory()
		value := make([]byte, 10_000)
		for i := range 20_000 { // 200 MB in all
			s.Set(strconv.Itoa(i), value, time.Second)
			<-time.After(time.Millisecond)
		}
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		if m.HeapAlloc > 100<<20 {
			t.Errorf("the heap has %d MiB", m.HeapAlloc>>20)
		}
		runtime.KeepAlive(s)
	})
}

func TestMemoryConcurrently(t *testing.T) {
	s := stores.NewMemory()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 200 {
				key := strconv.Itoa((i + n) % 10)
				s.Set(key, []byte(key), time.Duration(n%2)*time.Hour)
				got, err := s.Fetch(t.Context(), stores.Key{ID: key})
				if err != nil || got[0].Found && string(got[0].Value) != key {
					t.Errorf("= %v, %v", got, err)
				}
				s.Delete(key)
			}
		})
	}
	all.Wait()
}
