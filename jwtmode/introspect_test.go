package jwtmode_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/internal/parts"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/jwtmode"
)

// opaque is a token that says nothing to who has it.
const opaque = marker + "-opaque-0123456789"

// authorizationServer answers introspection requests without a network.
type authorizationServer struct {
	mu     sync.Mutex
	answer func(r *http.Request) (*http.Response, error)
	asked  atomic.Int64
}

func (s *authorizationServer) RoundTrip(r *http.Request) (*http.Response, error) {
	s.asked.Add(1)
	s.mu.Lock()
	answer := s.answer
	s.mu.Unlock()
	return answer(r)
}

func (s *authorizationServer) answers(body string) { s.replies(200, "application/json", body) }

func (s *authorizationServer) replies(status int, kind, body string) {
	s.does(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(strings.NewReader(body))}, nil
	})
}

func (s *authorizationServer) does(f func(*http.Request) (*http.Response, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

// introspecting is an authenticator that asks the server.
func introspecting(t testing.TB, s *authorizationServer, o jwtmode.IntrospectionOptions) *jwtmode.Introspection {
	t.Helper()
	if o.URL == "" {
		o.URL = "https://login.example.com/introspect"
	}
	o.ClientID, o.ClientSecret, o.Client = "socket service", marker+":&secret", &http.Client{Transport: s}
	a, err := jwtmode.NewIntrospection(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

const active42 = `{"active":true,"sub":"42","token_type":"Bearer","scope":"chat profile","aud":["chat"],"iss":"https://login.example.com","exp":4102444800}`

func TestIntrospection(t *testing.T) {
	s := &authorizationServer{}
	s.answers(active42)
	a := introspecting(t, s, jwtmode.IntrospectionOptions{Audience: []string{"chat"}, Scopes: []string{"chat"}, Issuer: "https://login.example.com"})
	id, err := authenticate(a, withBearer(opaque))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"active": true, "sub": "42", "token_type": "Bearer", "scope": "chat profile", "aud": []any{"chat"},
		"iss": "https://login.example.com", "exp": json.Number("4102444800")}
	if diff := cmp.Diff(want, id.Claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if id.User != "42" || id.Via != "oauth2" || !id.Expires.Equal(time.Unix(far, 0).Add(30*time.Second)) {
		t.Errorf("got %s by %s until %v", id.User, id.Via, id.Expires)
	}
}

func TestIntrospectionRequest(t *testing.T) {
	for _, tt := range []struct {
		name   string
		inBody bool
		user   string
		form   url.Values
	}{
		// Form-encoded, then Basic (RFC 6749, section 2.3.1).
		{"basic", false, "socket+service", url.Values{"token": {opaque}, "token_type_hint": {"access_token"}}},
		{"in the body", true, "", url.Values{"token": {opaque}, "token_type_hint": {"access_token"}, "client_id": {"socket service"}, "client_secret": {marker + ":&secret"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &authorizationServer{}
			s.does(func(r *http.Request) (*http.Response, error) {
				body := must(io.ReadAll(r.Body))
				user, password, ok := r.BasicAuth()
				if user != tt.user || ok && password != marker+"%3A%26secret" || ok == tt.inBody {
					t.Errorf("Basic %q %q", user, password)
				}
				if diff := cmp.Diff(tt.form, must(url.ParseQuery(string(body)))); diff != "" {
					t.Errorf("form (-want +got):\n%s", diff)
				}
				if r.Method != http.MethodPost || r.Header.Get("Accept") != "application/json" || r.URL.RawQuery != "" {
					t.Errorf("%s %s, Accept %q", r.Method, r.URL, r.Header.Get("Accept"))
				}
				return nil, errors.New("enough")
			})
			a := introspecting(t, s, jwtmode.IntrospectionOptions{SecretInBody: tt.inBody})
			if got := status(t, a, withBearer(opaque)); got != http.StatusServiceUnavailable || s.asked.Load() == 0 {
				t.Errorf("got %d after %d requests", got, s.asked.Load())
			}
		})
	}
}

func TestIntrospectionRejects(t *testing.T) {
	for _, tt := range []struct {
		name, answer, message string
		opts                  jwtmode.IntrospectionOptions
	}{
		{"inactive", `{"active":false}`, "invalid token", jwtmode.IntrospectionOptions{}},
		{"inactive, with more", `{"active":false,"sub":"42","exp":4102444800}`, "invalid token", jwtmode.IntrospectionOptions{}},
		{"expired", `{"active":true,"sub":"42","exp":1}`, "jwt expired", jwtmode.IntrospectionOptions{}},
		{"an exp that is no date", `{"active":true,"sub":"42","exp":"tomorrow"}`, "invalid exp value", jwtmode.IntrospectionOptions{}},
		{"no user", `{"active":true}`, "jwt subject invalid", jwtmode.IntrospectionOptions{}},
		{"an empty user", `{"active":true,"sub":""}`, "jwt subject invalid", jwtmode.IntrospectionOptions{}},
		{"no user of this claim", `{"active":true,"sub":"42"}`, "jwt subject invalid", jwtmode.IntrospectionOptions{UserClaim: "username"}},
		{"another audience", active42, "jwt audience invalid", jwtmode.IntrospectionOptions{Audience: []string{"mail"}}},
		{"no audience", `{"active":true,"sub":"42"}`, "jwt audience invalid", jwtmode.IntrospectionOptions{Audience: []string{"chat"}}},
		{"another issuer", active42, "jwt issuer invalid", jwtmode.IntrospectionOptions{Issuer: "https://evil.example"}},
		{"a scope less", active42, "insufficient scope", jwtmode.IntrospectionOptions{Scopes: []string{"chat", "admin"}}},
		{"a scope that is part of another", active42, "insufficient scope", jwtmode.IntrospectionOptions{Scopes: []string{"chat prof"}}},
		{"no scope", `{"active":true,"sub":"42"}`, "insufficient scope", jwtmode.IntrospectionOptions{Scopes: []string{"chat"}}},
		{"a token that needs a key", `{"active":true,"sub":"42","cnf":{"jkt":"x"}}`, "invalid token type", jwtmode.IntrospectionOptions{}},
		{"a DPoP token", `{"active":true,"sub":"42","token_type":"DPoP"}`, "invalid token type", jwtmode.IntrospectionOptions{}},
		{"a refresh token", `{"active":true,"sub":"42","token_use":"refresh_token"}`, "invalid token type", jwtmode.IntrospectionOptions{}},
		{"a type that is no text", `{"active":true,"sub":"42","token_type":1}`, "invalid token type", jwtmode.IntrospectionOptions{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &authorizationServer{}
			s.answers(tt.answer)
			checkRefused(t, introspecting(t, s, tt.opts), withBearer(opaque), opaque, "invalid_token", tt.message, bridge.ErrRejected)
		})
	}
}

// Nothing but an answer as the RFC has it says that a token is good or bad.
func TestIntrospectionCannotFindOut(t *testing.T) {
	failing := func(err error) func(*http.Request) (*http.Response, error) {
		return func(*http.Request) (*http.Response, error) { return nil, err }
	}
	reply := func(status int, kind, body string) func(*http.Request) (*http.Response, error) {
		return func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {kind}, "Location": {"https://evil.example/"}},
				Body: io.NopCloser(strings.NewReader(body))}, nil
		}
	}
	for _, tt := range []struct {
		name   string
		answer func(*http.Request) (*http.Response, error)
	}{
		{"the server is away", failing(errors.New("connection refused"))},
		{"it is broken", reply(500, "application/json", active42)},
		{"it refuses the client", reply(401, "application/json", `{"error":"invalid_client"}`)},
		{"it forbids", reply(403, "application/json", `{"active":false}`)},
		{"it redirects", reply(307, "application/json", active42)},
		{"it has no such page", reply(404, "text/html", "<p>")},
		{"a page", reply(200, "text/html", active42)},
		{"no kind", reply(200, "", active42)},
		{"a signed answer that was not asked for", reply(200, "application/token-introspection+jwt", "a.b.c")},
		{"nothing", reply(200, "application/json", "")},
		{"null", reply(200, "application/json", "null")},
		{"a list", reply(200, "application/json", "[true]")},
		{"no active", reply(200, "application/json", `{"sub":"42"}`)},
		{"an active of text", reply(200, "application/json", `{"active":"true","sub":"42"}`)},
		{"an active of one", reply(200, "application/json", `{"active":1,"sub":"42"}`)},
		{"active twice", reply(200, "application/json", `{"active":false,"sub":"42","active":true}`)},
		{"more behind it", reply(200, "application/json", active42+`{}`)},
		{"broken UTF-8", reply(200, "application/json", `{"active":true,"sub":"4`+"\xff"+`2"}`)},
		{"too much", reply(200, "application/json", `{"active":true,"sub":"42","x":"`+strings.Repeat("x", 64<<10)+`"}`)},
		{"too deep", reply(200, "application/json", `{"active":true,"sub":"42","x":`+strings.Repeat("[", 20000)+strings.Repeat("]", 20000)+`}`)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &authorizationServer{}
			s.does(tt.answer)
			a := introspecting(t, s, jwtmode.IntrospectionOptions{})
			id, err := authenticate(a, withBearer(opaque))
			if id != nil || err == nil || errors.Is(err, bridge.ErrRejected) || errors.Is(err, bridge.ErrNoCredential) {
				t.Fatalf("got %v, %v", id, err)
			}
			checkSilent(t, opaque, err.Error())
			if got := status(t, a, withBearer(opaque)); got != http.StatusServiceUnavailable {
				t.Errorf("got %d, want 503", got)
			}
			if s.asked.Load() != 2 {
				t.Errorf("asked %d times: an outage is remembered", s.asked.Load())
			}
		})
	}
}

// What cannot be a token is not sent anywhere.
func TestIntrospectionAsksAboutTokensOnly(t *testing.T) {
	s := &authorizationServer{}
	s.answers(active42)
	a := introspecting(t, s, jwtmode.IntrospectionOptions{})
	for name, token := range map[string]string{
		"empty": "", "with a space": "a b", "with a line break": "a\r\nb", "with a byte of 8 bits": "a\xff", "long": strings.Repeat("a", 8193),
	} {
		t.Run(name, func(t *testing.T) {
			id, err := say(a, request(), &bridge.Message{Kind: bridge.MessageToken, Token: token})
			checkRejected(t, id, err)
		})
	}
	if id, err := authenticate(a, request()); id != nil || !errors.Is(err, bridge.ErrNoCredential) {
		t.Errorf("no token: %v, %v", id, err)
	}
	if s.asked.Load() != 0 {
		t.Errorf("asked %d times", s.asked.Load())
	}
}

func TestIntrospectionIsRemembered(t *testing.T) {
	const shortLived = `{"active":true,"sub":"42","exp":946684820}` // 20 s in the bubble
	for _, tt := range []struct {
		name   string
		opts   jwtmode.IntrospectionOptions
		answer string
		again  []time.Duration // after the one before
		asked  []int64         // in all, by then
	}{
		{"for the interval", jwtmode.IntrospectionOptions{Interval: 10 * time.Second}, active42,
			[]time.Duration{0, 9 * time.Second, time.Second, 9 * time.Second}, []int64{1, 1, 2, 2}},
		{"not longer than the token", jwtmode.IntrospectionOptions{Leeway: -1}, shortLived,
			[]time.Duration{0, 19 * time.Second, time.Second}, []int64{1, 1, 2}},
		{"a rejection only for a second", jwtmode.IntrospectionOptions{}, `{"active":false}`,
			[]time.Duration{0, time.Second - 1, 1}, []int64{1, 1, 2}},
		{"not at all", jwtmode.IntrospectionOptions{CacheBytes: -1}, active42,
			[]time.Duration{0, 0}, []int64{1, 2}},
		{"not if there is no room", jwtmode.IntrospectionOptions{CacheBytes: 1024}, active42,
			[]time.Duration{0, 0}, []int64{1, 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &authorizationServer{}
				s.answers(tt.answer)
				a := introspecting(t, s, tt.opts)
				for i, d := range tt.again {
					time.Sleep(d)
					_, _ = authenticate(a, withBearer(opaque))
					if got := s.asked.Load(); got != tt.asked[i] {
						t.Fatalf("asked %d times after look %d, want %d", got, i, tt.asked[i])
					}
				}
			})
		})
	}
}

// The memory for answers is bounded: the one that was not used for longest goes.
func TestIntrospectionForgets(t *testing.T) {
	s := &authorizationServer{}
	s.answers(active42)
	a := introspecting(t, s, jwtmode.IntrospectionOptions{CacheBytes: 3 * (1024 + 4*int64(len(active42)))})
	for _, step := range []struct {
		token string
		asked int64
	}{{"a", 1}, {"b", 2}, {"c", 3}, {"a", 3}, {"d", 4}, {"a", 4}, {"c", 4}, {"b", 5}} {
		if _, err := authenticate(a, withBearer(step.token)); err != nil {
			t.Fatal(err)
		}
		if got := s.asked.Load(); got != step.asked {
			t.Fatalf("asked %d times after %q, want %d", got, step.token, step.asked)
		}
	}
}

// Many who ask about one token at once are one request; about many tokens, no
// more than MaxConcurrent.
func TestIntrospectionTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &authorizationServer{}
		var now, most atomic.Int64
		s.does(func(r *http.Request) (*http.Response, error) {
			n := now.Add(1)
			defer now.Add(-1)
			most.Store(max(most.Load(), n))
			time.Sleep(time.Second)
			return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(active42))}, nil
		})
		a := introspecting(t, s, jwtmode.IntrospectionOptions{MaxConcurrent: 4})
		var all sync.WaitGroup
		ask := func(token string, want bool) {
			all.Go(func() {
				if id, err := authenticate(a, withBearer(token)); (err == nil) != want || err == nil && id.User != "42" || errors.Is(err, bridge.ErrRejected) {
					t.Errorf("%s: %v, %v", token, id, err)
				}
			})
		}
		for range 100 {
			ask("same", true)
		}
		// One who leaves does not take the answer away from the others.
		ctx, cancel := context.WithCancel(t.Context())
		all.Go(func() {
			if _, err := a.Authenticate(ctx, &bridge.Handshake{Request: withBearer("same")}); !errors.Is(err, context.Canceled) {
				t.Errorf("who left: %v", err)
			}
		})
		synctest.Wait()
		cancel()
		all.Wait()
		if s.asked.Load() != 1 {
			t.Errorf("one token: asked %d times", s.asked.Load())
		}
		began := time.Now()
		for i := range 8 {
			ask(fmt.Sprint("other", i), true)
		}
		all.Wait()
		if most.Load() != 4 || time.Since(began) != 2*time.Second {
			t.Errorf("%d at once, for %v", most.Load(), time.Since(began))
		}
	})
}

// A server that hangs holds nobody for longer than the timeout.
func TestIntrospectionTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &authorizationServer{}
		s.does(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		a := introspecting(t, s, jwtmode.IntrospectionOptions{})
		began := time.Now()
		if id, err := authenticate(a, withBearer(opaque)); err == nil || errors.Is(err, bridge.ErrRejected) {
			t.Errorf("got %v, %v", id, err)
		}
		if got := time.Since(began); got != 4*time.Second {
			t.Errorf("it took %v", got)
		}
	})
}

// npm's oidc-provider: its opaque tokens, and their revocation there, which
// ends the live socket.
func TestIntrospectionByOIDCProvider(t *testing.T) {
	oidc := partstest.OIDC(t)
	p, err := jwtmode.Discover(t.Context(), oidc.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, inBody := range []bool{false, true} {
		t.Run(fmt.Sprint("secret in body ", inBody), func(t *testing.T) {
			o := jwtmode.IntrospectionOptions{
				URL: p.IntrospectionEndpoint, ClientID: oidc.ClientID, ClientSecret: oidc.ClientSecret, SecretInBody: inBody, Client: client,
				Issuer: oidc.URL, Audience: []string{"https://opaque.example"}, Scopes: []string{"chat"}, Interval: 50 * time.Millisecond,
			}
			a := must(jwtmode.NewIntrospection(o))
			token := oidcToken(t, oidc, "account", "https://opaque.example")
			ws := connect(t, serve(t, a, &bridge.Options{}), http.Header{"Authorization": {"Bearer " + token}})
			expectAlive(t, ws, "42")
			checkRefused(t, a, withBearer(opaque), opaque, "invalid_token", "invalid token", nil)

			o.ClientSecret = "another"
			wrong := must(jwtmode.NewIntrospection(o))
			if got := status(t, wrong, withBearer(token)); got != http.StatusServiceUnavailable {
				t.Errorf("with a wrong secret: %d", got)
			}

			revoke(t, oidc, token)
			expectEnded(t, ws, bridge.CodeRevoked)
			eventually(t, func() bool {
				_, err := authenticate(a, withBearer(token))
				return errors.Is(err, bridge.ErrRejected)
			})
		})
	}
}

// revoke revokes a token at its provider (RFC 7009).
func revoke(t *testing.T, p *parts.Provider, token string) {
	t.Helper()
	r := must(http.NewRequest(http.MethodPost, p.URL+"/token/revocation", strings.NewReader(url.Values{"token": {token}}.Encode())))
	r.SetBasicAuth(p.ClientID, p.ClientSecret)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer(t, r)
}

// A redirect would give the token and the credentials to somebody else.
func TestIntrospectionFollowsNoRedirect(t *testing.T) {
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect is followed") }))
	defer thief.Close()
	server := httptest.NewServer(http.RedirectHandler(thief.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	a := must(jwtmode.NewIntrospection(jwtmode.IntrospectionOptions{URL: server.URL, ClientID: "a", ClientSecret: "b", Client: server.Client()}))
	if got := status(t, a, withBearer(opaque)); got != http.StatusServiceUnavailable {
		t.Errorf("got %d", got)
	}
}

func TestNewIntrospectionRefuses(t *testing.T) {
	good := jwtmode.IntrospectionOptions{URL: "https://login.example.com/introspect", ClientID: "a", ClientSecret: marker}
	for _, tt := range []struct {
		name   string
		change func(*jwtmode.IntrospectionOptions)
	}{
		{"no URL", func(o *jwtmode.IntrospectionOptions) { o.URL = "" }},
		{"http elsewhere", func(o *jwtmode.IntrospectionOptions) { o.URL = "http://login.example.com/introspect" }},
		{"credentials in the URL", func(o *jwtmode.IntrospectionOptions) { o.URL = "https://a:" + marker + "@login.example.com/" }},
		{"no client", func(o *jwtmode.IntrospectionOptions) { o.ClientID = "" }},
		{"no secret", func(o *jwtmode.IntrospectionOptions) { o.ClientSecret = "" }},
		{"an empty scope", func(o *jwtmode.IntrospectionOptions) { o.Scopes = []string{""} }},
		{"an empty audience", func(o *jwtmode.IntrospectionOptions) { o.Audience = []string{""} }},
		{"a negative interval", func(o *jwtmode.IntrospectionOptions) { o.Interval = -1 }},
		{"a leeway of an hour", func(o *jwtmode.IntrospectionOptions) { o.Leeway = time.Hour }},
		{"an unknown source", func(o *jwtmode.IntrospectionOptions) { o.Sources = []jwtmode.Source{"body"} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := good
			tt.change(&o)
			a, err := jwtmode.NewIntrospection(o)
			if a != nil || err == nil {
				t.Fatalf("got %v, %v", a, err)
			}
			checkSilent(t, "", err.Error())
		})
	}
	for _, change := range []func(*jwtmode.IntrospectionOptions){
		func(o *jwtmode.IntrospectionOptions) { o.URL = "http://127.0.0.1:4444/introspect" },
		func(o *jwtmode.IntrospectionOptions) {
			o.URL, o.InsecureHTTP = "http://login.example.com/introspect", true
		},
	} {
		o := good
		change(&o)
		if _, err := jwtmode.NewIntrospection(o); err != nil {
			t.Errorf("%s: %v", o.URL, err)
		}
	}
}

// FuzzIntrospectionAnswer gives whatever as the server's answer. Nobody gets in
// but by an object that says active and a user, once each.
func FuzzIntrospectionAnswer(f *testing.F) {
	for _, s := range []string{active42, `{"active":false}`, `{"active":true}`, `{"active":true,"sub":42}`, `{"active":true,"active":false,"sub":"42"}`,
		`{"active":true,"sub":"42","exp":1e99}`, `{"active":true,"sub":"42","aud":[1]}`, `{"\u0061ctive":true,"sub":"42"}`,
		`{"active":true,"activE":false,"sub":"42"}`, `{"active":false,"ACTIVE":true,"sub":"42"}`, `null`, `[]`, ``, active42 + "x"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s := &authorizationServer{}
		s.answers(string(body))
		id, err := authenticate(introspecting(t, s, jwtmode.IntrospectionOptions{}), withBearer(opaque))
		if err != nil {
			if id != nil || errors.Is(err, bridge.ErrNoCredential) {
				t.Fatalf("%q: %v, %v", body, id, err)
			}
			checkSilent(t, opaque, err.Error())
			return
		}
		var said map[string]json.RawMessage // a struct would take "ACTIVE" for active, too
		if json.Unmarshal(body, &said) != nil || string(said["active"]) != "true" || id.User == "" {
			t.Fatalf("%q is let in as %v", body, id)
		}
	})
}
