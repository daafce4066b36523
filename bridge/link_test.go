package bridge_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// request is a handshake's, with header fields given as name, value, ….
func request(fields ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://service.example/", nil)
	for i := 0; i+1 < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	return r
}

func refusalCode(err error) bridge.Code {
	if ref := (*bridge.Refusal)(nil); errors.As(err, &ref) {
		return ref.Code
	}
	if err != nil {
		return bridge.Code(err.Error())
	}
	return ""
}

// open opens a link, and returns what it is told at its end.
func openLink(t *testing.T, b *bridge.Bridge, r *http.Request) (*bridge.Link, func() bridge.Code) {
	t.Helper()
	l, err := b.Open(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(nil) })
	var mu sync.Mutex
	var told []bridge.Code
	l.OnEnd(func(e *bridge.EndError) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, e.Code)
	})
	return l, func() bridge.Code {
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if len(told) > 1 {
			t.Errorf("told of %d ends: %q", len(told), told)
		}
		if len(told) == 0 {
			return ""
		}
		return told[0]
	}
}

func TestLink(t *testing.T) {
	token := func(s string) *bridge.Message { return &bridge.Message{Kind: bridge.MessageToken, Token: s} }
	tests := map[string]struct {
		fields   []string
		messages []*bridge.Message // nil judges the request
		want     []bridge.Code     // of each attempt
		user     string
		end      bridge.Code
	}{
		"by the request":              {[]string{"Token", "ann"}, []*bridge.Message{nil}, []bridge.Code{""}, "ann", ""},
		"nobody":                      {nil, []*bridge.Message{nil}, []bridge.Code{bridge.CodeCredentialsRequired}, "", ""},
		"by a message":                {nil, []*bridge.Message{nil, token("ann")}, []bridge.Code{bridge.CodeCredentialsRequired, ""}, "ann", ""},
		"the second time":             {nil, []*bridge.Message{token("bad"), token("ann")}, []bridge.Code{bridge.CodeInvalidToken, ""}, "ann", ""},
		"a failure changes nothing":   {nil, []*bridge.Message{token("ann"), token("bad")}, []bridge.Code{"", bridge.CodeInvalidToken}, "ann", ""},
		"an outage changes nothing":   {nil, []*bridge.Message{token("ann"), token("outage")}, []bridge.Code{"", bridge.CodeUnavailable}, "ann", ""},
		"another user ends it":        {nil, []*bridge.Message{token("ann"), token("bob")}, []bridge.Code{"", bridge.CodeUserChanged}, "ann", bridge.CodeUserChanged},
		"after the end nobody is let": {nil, []*bridge.Message{token("ann"), token("bob"), token("ann")}, []bridge.Code{"", bridge.CodeUserChanged, bridge.CodeUserChanged}, "ann", bridge.CodeUserChanged},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, _ := newBridge(t, tokens{}, bridge.Options{})
				l, told := openLink(t, b, request(tt.fields...))
				var got []bridge.Code
				for _, m := range tt.messages {
					got = append(got, refusalCode(l.Authenticate(t.Context(), m)))
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("attempts: -want +got:\n%s", diff)
				}
				user := ""
				if id := l.Identity(); id != nil {
					user = id.User
				}
				if user != tt.user || told() != tt.end || (l.Context().Err() != nil) != (tt.end != "") {
					t.Errorf("user %q, told %q, cause %v; want %q, %q", user, told(), context.Cause(l.Context()), tt.user, tt.end)
				}
				if id, ok := bridge.FromContext(l.Context()); ok != (tt.user != "") || ok && id.User != tt.user {
					t.Errorf("the context has %v", id)
				}
				l.Close(nil)
				l.Close(nil)
				if b.Len() != 0 {
					t.Errorf("%d are left", b.Len())
				}
			})
		})
	}
}

func TestLinkEnds(t *testing.T) {
	tests := map[string]struct {
		do   func(*pushed, *bridge.Bridge, *bridge.Link)
		want bridge.Code // "" if nobody is told
	}{
		"logout":  {func(p *pushed, _ *bridge.Bridge, _ *bridge.Link) { p.change("anns", "", time.Time{}) }, bridge.CodeSessionEnded},
		"another": {func(p *pushed, _ *bridge.Bridge, _ *bridge.Link) { p.change("anns", "bob", time.Time{}) }, bridge.CodeUserChanged},
		"the client": {func(_ *pushed, _ *bridge.Bridge, l *bridge.Link) {
			l.End(&bridge.EndError{Code: bridge.CodeClientRequest})
		}, bridge.CodeClientRequest},
		"an operator": {func(_ *pushed, b *bridge.Bridge, _ *bridge.Link) {
			_ = b.Revoke(context.Background(), bridge.Target{Everybody: true})
		}, bridge.CodeRevoked},
		"closed": {func(_ *pushed, _ *bridge.Bridge, l *bridge.Link) { l.Close(nil) }, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, b := newPushed(t, bridge.Options{})
				l, told := openLink(t, b, request("Sid", "anns"))
				if err := l.Authenticate(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
				tt.do(p, b, l)
				synctest.Wait()
				if told() != tt.want || l.Context().Err() == nil {
					t.Errorf("told %q, want %q; context %v", told(), tt.want, context.Cause(l.Context()))
				}
				late := bridge.Code("")
				l.OnEnd(func(e *bridge.EndError) { late = e.Code })
				if late != tt.want {
					t.Errorf("who asks later is told %q, want %q", late, tt.want)
				}
				l.Close(nil)
			})
		})
	}
}

func TestLinkWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, book := newBridge(t, tokens{}, bridge.Options{MaxPending: 2})
		slow, toldSlow := openLink(t, b, request())
		quick, toldQuick := openLink(t, b, request())
		third, toldThird := openLink(t, b, request())
		for i, l := range []*bridge.Link{slow, quick, quick} {
			if err := l.Wait(5 * time.Second); err != nil {
				t.Fatal(i, err)
			}
		}
		if err := third.Wait(0); refusalCode(err) != bridge.CodeUnavailable {
			t.Errorf("one more than MaxPending: %v", err)
		}
		pass(4 * time.Second)
		if err := quick.Authenticate(t.Context(), &bridge.Message{Kind: bridge.MessageToken, Token: "ann"}); err != nil {
			t.Fatal(err)
		}
		if err := third.Wait(0); err != nil {
			t.Errorf("a place is free: %v", err)
		}
		pass(2 * time.Second)
		if toldSlow() != bridge.CodeTimeout || toldQuick() != "" || toldThird() != "" {
			t.Errorf("told %q, %q, %q; want only a timeout of the first", toldSlow(), toldQuick(), toldThird())
		}
		pass(14 * time.Second) // AuthTimeout
		if toldThird() != bridge.CodeTimeout {
			t.Error("0 is not AuthTimeout", book)
		}
		slow.Close(nil)
		third.Close(nil)
		for range 2 { // both places are free again
			l, _ := openLink(t, b, request())
			if err := l.Wait(time.Second); err != nil {
				t.Error(err)
			}
			l.Close(nil)
		}
		pass(2 * time.Second)
	})
}

func TestOpenRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, book := newBridge(t, newStore(map[string]bridge.Identity{"anns": *user("ann")}), bridge.Options{})
		if _, err := b.Open(request("Origin", "https://evil.example", "Sid", "anns")); refusalCode(err) != bridge.CodeOriginNotAllowed {
			t.Errorf("another origin: %v", err)
		}
		if l, err := b.Open(request("Origin", "http://service.example")); err != nil {
			t.Error(err)
		} else {
			l.Close(nil)
		}
		if err := b.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Open(request()); refusalCode(err) != bridge.CodeDraining {
			t.Errorf("while draining: %v", err)
		}
		for _, code := range []string{"origin_not_allowed", "draining"} {
			if !strings.Contains(book.String(), "code="+code) {
				t.Errorf("%s is not logged: %s", code, book)
			}
		}
	})
}
