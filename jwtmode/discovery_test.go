package jwtmode_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/sessionbridge/sessionbridge/jwtmode"
)

// provider serves a configuration, which is a good one but for some members,
// and its keys.
func provider(t *testing.T, keys string, with map[string]any) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		config := map[string]any{
			"issuer":                                s.URL,
			"jwks_uri":                              s.URL + "/jwks",
			"authorization_endpoint":                s.URL + "/auth",
			"introspection_endpoint":                s.URL + "/introspect",
			"id_token_signing_alg_values_supported": []string{"HS256", "none", "ES256", "RS256", "ES256K", "ES256"},
		}
		maps.Copy(config, with)
		maps.DeleteFunc(config, func(_ string, v any) bool { return v == nil })
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(config); err != nil {
			t.Error(err)
		}
	})
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, keys) })
	return s
}

func TestDiscover(t *testing.T) {
	key := p256Pair()
	s := provider(t, keySet(jwk("a", key.verify, nil)), nil)
	p, err := jwtmode.Discover(t.Context(), s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if p.Issuer != s.URL || p.IntrospectionEndpoint != s.URL+"/introspect" {
		t.Errorf("got %+v", p)
	}
	if diff := cmp.Diff([]string{"ES256", "RS256"}, p.Algorithms); diff != "" {
		t.Errorf("algorithms (-want +got):\n%s", diff)
	}
	a, err := jwtmode.New(jwtmode.Options{Provider: p, Audience: []string{"chat"}})
	if err != nil {
		t.Fatal(err)
	}
	with := func(c jwt.MapClaims) string {
		return sign(jwt.SigningMethodES256, key.sign, claims(c), map[string]any{"kid": "a"})
	}
	for _, tt := range []struct{ name, token, want string }{
		{"its token for us", with(jwt.MapClaims{"iss": s.URL, "aud": "chat"}), "let in"},
		{"its token for another", with(jwt.MapClaims{"iss": s.URL, "aud": "shop"}), "rejected"},
		{"another issuer's", with(jwt.MapClaims{"iss": issuerURL, "aud": "chat"}), "rejected"},
		{"nobody's", with(jwt.MapClaims{"aud": "chat"}), "rejected"},
	} {
		if got := outcome(t, a, tt.token); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	// Options may narrow what the provider says, and only that.
	if a, err = jwtmode.New(jwtmode.Options{Provider: p, Issuer: p.Issuer, Audience: []string{"chat"}, Algorithms: []string{"RS256"}}); err != nil {
		t.Fatal(err)
	}
	if got := outcome(t, a, with(jwt.MapClaims{"iss": s.URL, "aud": "chat"})); got != "rejected" {
		t.Errorf("an algorithm that the options leave out: %s", got)
	}
}

func TestDiscoverRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		with map[string]any
		want string
	}{
		{"another issuer", map[string]any{"issuer": "https://evil.example"}, "did not match"},
		{"a slash behind the issuer", map[string]any{"issuer": "/"}, "did not match"},
		{"no keys", map[string]any{"jwks_uri": nil}, "the JWKS: the URL is not"},
		{"keys by http elsewhere", map[string]any{"jwks_uri": "http://keys.example/jwks"}, "use https"},
		{"keys in a file", map[string]any{"jwks_uri": "file://host/etc/passwd"}, "use https"},
		{"keys not a URL", map[string]any{"jwks_uri": 1}, "decode"},
		{"introspection not a URL", map[string]any{"introspection_endpoint": []int{1}}, "OpenID Connect Discovery"},
		{"too long", map[string]any{"x": strings.Repeat("x", 600<<10)}, "MaxBytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := provider(t, "", tt.with)
			p, err := jwtmode.Discover(t.Context(), s.URL, nil)
			if p != nil || err == nil || !strings.HasPrefix(err.Error(), "jwtmode: ") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, %v; want an error with %q", p, err, tt.want)
			}
		})
	}
	s := provider(t, "", nil)
	for name, url := range map[string]string{
		"not found":      s.URL + "/tenant",
		"http elsewhere": "http://login.example.com",
		"no URL":         "login.example.com",
		"a password":     "https://user:m4rker@login.example.com",
	} {
		if p, err := jwtmode.Discover(t.Context(), url, nil); p != nil || err == nil {
			t.Errorf("%s: got %v, %v", name, p, err)
		} else {
			checkSilent(t, "", err.Error())
		}
	}
	s.Close()
	if p, err := jwtmode.Discover(t.Context(), s.URL, &jwtmode.JWKSOptions{Logger: slog.New(slog.DiscardHandler)}); p != nil || err == nil {
		t.Errorf("a provider that is down: got %v, %v", p, err)
	}
}

// A provider that answers with an error page does not get it into the log.
func TestDiscoverErrorPage(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
		_, _ = io.WriteString(w, strings.Repeat(marker, 1000))
	}))
	defer s.Close()
	_, err := jwtmode.Discover(t.Context(), s.URL, nil)
	if err == nil || !strings.Contains(err.Error(), "answered 502") || len(err.Error()) > 300 {
		t.Fatalf("got %v", err)
	}
	checkSilent(t, "", err.Error())
}

func TestDiscoverTimeout(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer s.Close()
	_, err := jwtmode.Discover(context.Background(), s.URL, &jwtmode.JWKSOptions{Timeout: 50 * time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), context.DeadlineExceeded.Error()) {
		t.Errorf("got %v", err)
	}
}
