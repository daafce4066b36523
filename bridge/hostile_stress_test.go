package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// shelf is a store of sessions with a feed; each session has a second key.
type shelf struct {
	name string

	mu       sync.Mutex
	sessions map[string]Identity

	stream sync.RWMutex // held for writing while the stream is lost or restored
	lost   bool
	ready  chan struct{}
	f      Follower
}

func (s *shelf) Traits() Traits { return Traits{Ambient: true, Message: true} }

func (s *shelf) Feeds() []Feed {
	return []Feed{{Name: s.name, Store: s.name, Prefixes: []string{s.name + ":", s.name + "-old:"}, Follow: func(ctx context.Context, _ []string, f Follower) error {
		s.f = f
		f.Restored("test")
		close(s.ready)
		beat := time.NewTicker(100 * time.Millisecond)
		defer beat.Stop()
		for {
			f.Alive(time.Now().Add(time.Second))
			select {
			case <-ctx.Done():
				return nil
			case <-beat.C:
			}
		}
	}}}
}

func (s *shelf) Authenticate(ctx context.Context, h *Handshake) (*Identity, error) {
	sid := h.Request.Header.Get(s.name)
	if m := h.Message; m != nil && m.Stack == s.name {
		sid = m.SessionID
	} else if m != nil {
		sid = ""
	}
	if sid == "" {
		return nil, ErrNoCredential
	}
	n := Binding{
		Key: s.name + "/" + s.name + ":" + sid, Aliases: []string{s.name + "/" + s.name + "-old:" + sid}, Feed: s.name,
		Reload: func(ctx context.Context) (*Identity, error) { return s.load(ctx, sid) },
		Touch:  func(ctx context.Context) error { return ctx.Err() },
	}
	if rand.N(2) == 0 {
		h.Bind(n)
		return s.load(ctx, sid)
	}
	return h.Load(ctx, n)
}

func (s *shelf) load(ctx context.Context, sid string) (*Identity, error) {
	s.mu.Lock()
	id, ok := s.sessions[sid]
	s.mu.Unlock()
	switch rand.N(200) {
	case 0:
		return nil, errors.New("the store stumbled")
	case 1:
		panic("the store's bug")
	case 2, 3, 4:
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	if !ok || id.expired(time.Now()) {
		return nil, ErrNoCredential
	}
	id.Key = s.name + "/" + s.name + ":" + sid
	return &id, nil
}

// change sets a session and reports that under one of its keys, if the stream
// is there.
func (s *shelf) change(sid string, id *Identity) {
	s.stream.RLock()
	defer s.stream.RUnlock()
	s.mu.Lock()
	if id == nil {
		delete(s.sessions, sid)
	} else {
		s.sessions[sid] = *id
	}
	s.mu.Unlock()
	if !s.lost {
		s.f.Changed([]string{s.name + [...]string{":", "-old:"}[rand.N(2)] + sid})
	}
}

func (s *shelf) setLost(lost bool) {
	s.stream.Lock()
	defer s.stream.Unlock()
	s.lost = lost
	if lost {
		s.f.Lost(errors.New("the stream broke"))
	} else {
		s.f.Restored("test")
	}
}

// short is an authenticator by tokens that hold for some milliseconds.
type short struct{}

func (short) Traits() Traits { return Traits{Message: true} }

func (short) Authenticate(_ context.Context, h *Handshake) (*Identity, error) {
	token := h.Request.Header.Get("Token")
	if h.Message != nil {
		token = h.Message.Token
	}
	if token == "" {
		return nil, ErrNoCredential
	}
	d, err := strconv.Atoi(token)
	if err != nil {
		return nil, Reject(CodeInvalidToken, "bad", nil)
	}
	h.Bind(Binding{Key: "jwt/" + token, Reload: func(context.Context) (*Identity, error) { return nil, errors.New("away") }})
	return &Identity{User: "ann", Via: "jwt", Key: "jwt/" + token, Claims: map[string]any{}, Expires: time.Now().Add(time.Duration(d) * time.Millisecond)}, nil
}

// loop carries a bus's messages back to the bridge.
type loop struct{ messages chan []byte }

func (l loop) Publish(ctx context.Context, message []byte) error {
	select {
	case l.messages <- message:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l loop) Follow(ctx context.Context, receive func([]byte)) error {
	for range 50 {
		select {
		case m := <-l.messages:
			receive(m)
		case <-ctx.Done():
			return nil
		}
	}
	return errors.New("broken")
}

// Everything at once, for a few seconds: nothing is left of it, and meanwhile
// everybody who stays is whom the store says.
func TestEverythingAtOnce(t *testing.T) {
	const sessions, lasting = 30, 3 * time.Second
	shelves := []*shelf{
		{name: "a", sessions: map[string]Identity{}, ready: make(chan struct{})},
		{name: "b", sessions: map[string]Identity{}, ready: make(chan struct{})},
	}
	var counts [EventResync + 1]atomic.Int64
	bus := loop{make(chan []byte, 1000)}
	b, err := New(First(shelves[0], shelves[1], short{}), &Options{
		Logger: slog.New(slog.DiscardHandler), CacheBytes: 64 << 10, MaxPending: 20, MaxStale: 5 * time.Second,
		Touch: time.Minute, ExpiryNotice: 20 * time.Millisecond, Bus: bus,
		Observe: func(ctx context.Context, e Event) context.Context { counts[e.Kind].Add(1); return ctx },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range shelves {
		<-s.ready
	}
	stop := make(chan struct{})
	time.AfterFunc(lasting, func() { close(stop) })
	var all sync.WaitGroup
	repeat := func(n int, f func()) {
		for range n {
			all.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						f()
					}
				}
			})
		}
	}
	handshake := func() *http.Request {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		for _, s := range shelves {
			if rand.N(2) == 0 {
				r.Header.Set(s.name, strconv.Itoa(rand.N(sessions)))
			}
		}
		if rand.N(3) == 0 {
			r.Header.Set("Token", strconv.Itoa(10+rand.N(100)))
		}
		return r
	}
	message := func() *Message {
		switch rand.N(4) {
		case 0:
			return &Message{Kind: MessageToken, Token: strconv.Itoa(10 + rand.N(100))}
		case 1:
			return &Message{Kind: MessageToken, Token: "bad"}
		}
		return &Message{Kind: MessageRedisKey, SessionID: strconv.Itoa(rand.N(sessions)), Stack: shelves[rand.N(2)].name}
	}
	// recovered is what net/http does for a handler.
	recovered := func(f func()) {
		defer func() { _ = recover() }()
		f()
	}
	var mu sync.Mutex
	var links []*Link
	var handed, told atomic.Int64
	repeat(4, func() {
		l, err := b.Open(handshake())
		if err != nil {
			return
		}
		var ends atomic.Int64
		if rand.N(2) == 0 {
			l.OnEnd(func(*EndError) {
				if told.Add(1); ends.Add(1) > 1 {
					t.Error("told twice of one end")
				}
			})
		}
		l.OnExpiring(func(*Identity) {
			recovered(func() { _ = l.Authenticate(context.Background(), &Message{Kind: MessageToken, Token: "100"}) })
		})
		if rand.N(3) == 0 {
			_ = l.Wait(time.Duration(1+rand.N(50)) * time.Millisecond)
		}
		recovered(func() { _ = l.Authenticate(context.Background(), nil) })
		l.Active()
		handed.Add(1)
		mu.Lock()
		links = append(links, l)
		if len(links) > 200 {
			i := rand.N(len(links))
			leaver := links[i]
			links[i] = links[len(links)-1]
			links = links[:len(links)-1]
			mu.Unlock()
			leaver.Close(nil)
			return
		}
		mu.Unlock()
	})
	pick := func() *Link {
		mu.Lock()
		defer mu.Unlock()
		if len(links) == 0 {
			return nil
		}
		return links[rand.N(len(links))]
	}
	repeat(1, func() { // the one that authenticates anew
		if l := pick(); l != nil {
			recovered(func() { _ = l.Authenticate(context.Background(), message()) })
		}
	})
	repeat(1, func() { // and what else may come at any moment
		l := pick()
		if l == nil {
			return
		}
		switch rand.N(40) {
		case 0:
			l.Close(nil)
		case 1:
			l.End(&EndError{Code: CodeClientRequest})
		case 2:
			_ = l.Wait(time.Millisecond)
		case 3:
			l.OnEnd(func(*EndError) {})
		default:
			l.Active()
			_ = l.Identity()
		}
	})
	repeat(1, func() { // a request
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.N(5))*time.Millisecond)
		defer cancel()
		recovered(func() {
			b.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })).
				ServeHTTP(httptest.NewRecorder(), handshake().WithContext(ctx))
		})
	})
	for _, s := range shelves {
		repeat(1, func() {
			id := &Identity{User: "ann", Via: s.name, Size: 100}
			switch rand.N(6) {
			case 0:
				id = nil
			case 1:
				id.User = "bob"
			case 2:
				id.Expires = time.Now().Add(time.Duration(rand.N(200)) * time.Millisecond)
			}
			s.change(strconv.Itoa(rand.N(sessions)), id)
			<-time.After(100 * time.Microsecond)
		})
		repeat(1, func() {
			s.setLost(rand.N(2) == 0)
			<-time.After(3 * time.Millisecond)
		})
	}
	repeat(1, func() {
		<-time.After(5 * time.Millisecond)
		target := Target{Session: shelves[rand.N(2)].name + [...]string{":", "-old:"}[rand.N(2)] + strconv.Itoa(rand.N(sessions))}
		switch rand.N(20) {
		case 0:
			target = Target{Everybody: true}
		case 1:
			target = Target{User: "bob", Via: "a"}
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if rand.N(2) == 0 {
			_ = b.Revoke(ctx, target)
		} else {
			_ = bus.Publish(ctx, fmt.Appendf(nil, `{"session":%q}`, "a:"+strconv.Itoa(rand.N(sessions))))
		}
		_ = b.Sessions()
	})
	all.Wait()

	// Now that all is quiet and reported again, everybody is whom the store says.
	for _, s := range shelves {
		s.setLost(false)
	}
	wrong := func() (n int) {
		for _, l := range links {
			if l.Context().Err() != nil || l.Identity() == nil || l.Identity().Via == "jwt" {
				continue
			}
			id := l.Identity()
			for _, s := range shelves {
				if id.Via != s.name {
					continue
				}
				s.mu.Lock()
				now, ok := s.sessions[id.Key[len(s.name+"/"+s.name+":"):]]
				s.mu.Unlock()
				if !ok || now.User != id.User || now.expired(time.Now()) {
					n++
				}
			}
		}
		return n
	}
	awaitNone(t, "connections are not their session's user", wrong)
	live := b.Len()

	for _, l := range links {
		if rand.N(2) == 0 {
			l.Close(nil)
		} else {
			l.OnEnd(func(*EndError) { l.Close(nil) })
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := b.Shutdown(ctx); err != nil {
		t.Errorf("%v, with %d left", err, b.Len())
	}
	x := b.index
	awaitNone(t, "closers at work", func() int {
		b.closers.mu.Lock()
		defer b.closers.mu.Unlock()
		b.touchers.mu.Lock()
		defer b.touchers.mu.Unlock()
		return b.closers.workers + len(b.closers.queue) + b.touchers.workers + len(b.touchers.queue)
	})
	awaitNone(t, "workers or sessions to be looked at", func() int {
		x.mu.Lock()
		defer x.mu.Unlock()
		n := x.workers + len(x.queue)
		for _, e := range x.entries {
			if e.queued || e.checking || e.flight != nil {
				n++
			}
		}
		return n
	})
	awaitNone(t, "deadlines", func() int {
		b.deadlines.mu.Lock()
		defer b.deadlines.mu.Unlock()
		return len(b.deadlines.soon) + len(b.deadlines.later)
	})
	if n := b.pending.Load(); n != 0 {
		t.Errorf("%d places for pending connections are taken", n)
	}
	for begin, end := range map[EventKind]EventKind{
		EventConnectionBegin: EventConnectionEnd, EventPendingBegin: EventPendingEnd, EventLookupBegin: EventLookupEnd,
	} {
		if n, m := counts[begin].Load(), counts[end].Load(); n != m || n == 0 {
			t.Errorf("of kind %d %d began and %d ended", begin, n, m)
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.count != 0 || x.lives != nil {
		t.Errorf("%d lives are left", x.count)
	}
	var size int64
	kept, aliases := 0, 0
	for key, e := range x.entries {
		if e.members != nil || e.cached == nil || e.key != key {
			t.Errorf("the entry %q is left: bound %t, cached %t", key, e.members != nil, e.cached != nil)
			continue
		}
		kept++
		size += cost(e.key, e.cached)
		if e.extras != nil {
			aliases += len(e.extras.aliases)
		}
	}
	listed := 0
	for e := x.cache.newest; e != nil; e = e.older {
		listed++
	}
	if x.cache.size != size || listed != kept {
		t.Errorf("the cache counts %d bytes of %d sessions, and holds %d of %d", x.cache.size, listed, size, kept)
	}
	there := 0
	for alias, entries := range x.aliases {
		there += len(entries)
		for _, e := range entries {
			if x.entries[e.key] != e {
				t.Errorf("the alias %q leads to an entry that is gone", alias)
			}
		}
	}
	if there != aliases {
		t.Errorf("%d aliases for %d", there, aliases)
	}
	for key := range x.changes {
		if e := x.entries[key]; e == nil || e.members == nil {
			t.Errorf("the time of a change of %q is kept", key)
		}
	}
	t.Logf("%d handshakes, %d lived at the end; told of %d ends; %d connections, %d lookups, %d hits, %d resyncs", handed.Load(), live, told.Load(),
		counts[EventConnectionBegin].Load(), counts[EventLookupBegin].Load(), counts[EventCacheHit].Load(), counts[EventResync].Load())
}

func awaitNone(t *testing.T, what string, count func() int) {
	t.Helper()
	n := count()
	for deadline := time.Now().Add(10 * time.Second); n > 0; n = count() {
		if time.Now().After(deadline) {
			t.Errorf("%d %s", n, what)
			return
		}
		<-time.After(5 * time.Millisecond)
	}
}
