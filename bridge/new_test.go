package bridge_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// feeds is an authenticator with feeds and nothing else.
type feeds []bridge.Feed

func (f feeds) Feeds() []bridge.Feed { return f }

func (feeds) Authenticate(context.Context, *bridge.Handshake) (*bridge.Identity, error) {
	return nil, bridge.ErrNoCredential
}

func TestNewRefuses(t *testing.T) {
	var (
		good     = says(user("ann"), nil)
		typedNil *store
		origins  = func(s ...string) *bridge.Options { return &bridge.Options{AllowedOrigins: s} }
	)
	tests := map[string]struct {
		a    bridge.Authenticator
		o    *bridge.Options
		want string // part of the error
	}{
		"nil":                               {nil, nil, "the authenticator is nil"},
		"a nil pointer":                     {typedNil, nil, "the authenticator is nil"},
		"a nil function":                    {bridge.AuthenticatorFunc(nil), nil, "the authenticator is nil"},
		"First of nothing":                  {bridge.First(), nil, "give it at least one"},
		"nil inside First":                  {bridge.First(good, nil), nil, "the authenticator is nil"},
		"a nil pointer inside nested First": {bridge.First(good, bridge.First(typedNil)), nil, "the authenticator is nil"},
		"empty First inside First":          {bridge.First(good, bridge.First()), nil, "give it at least one"},

		"negative AuthTimeout":     {good, &bridge.Options{AuthTimeout: -1}, "AuthTimeout is negative"},
		"negative MaxPending":      {good, &bridge.Options{MaxPending: -1}, "MaxPending is negative"},
		"negative MaxPendingFrame": {good, &bridge.Options{MaxPendingFrame: -1}, "MaxPendingFrame is negative"},
		"negative MaxAttempts":     {good, &bridge.Options{MaxAttempts: -1}, "MaxAttempts is negative"},
		"negative ReadLimit":       {good, &bridge.Options{ReadLimit: -1}, "ReadLimit is negative"},
		"negative WriteTimeout":    {good, &bridge.Options{WriteTimeout: -time.Second}, "WriteTimeout is negative"},
		"negative RetryAfter":      {good, &bridge.Options{RetryAfter: -time.Second}, "RetryAfter is negative"},

		"Touch below a minute":  {good, &bridge.Options{Touch: 59 * time.Second}, "Touch is less than a minute"},
		"negative Touch":        {good, &bridge.Options{Touch: -1}, "Touch is less than a minute"},
		"a feed without Follow": {feeds{{Name: "s", Store: "redis"}}, nil, "has no Follow"},

		"two ways to open the origin": {good, &bridge.Options{InsecureAnyOrigin: true, AllowedOrigins: []string{"a.example"}}, "set one of them"},
		"every origin":                {good, origins("*"), "InsecureAnyOrigin"},
		"every host":                  {good, origins("https://*"), "whole labels"},
		"every host by port":          {good, origins("*:443"), "whole labels"},
		"no host":                     {good, origins(""), "the host is empty"},
		"no host but a port":          {good, origins(":8080"), "the host is empty"},
		"no host after a wildcard":    {good, origins("*."), "the host is empty"},
		"wildcard inside":             {good, origins("app.*.example.com"), "whole labels"},
		"wildcard within a label":     {good, origins("*app.example.com"), "whole labels"},
		"two wildcards":               {good, origins("*.*.example.com"), "whole labels"},
		"another scheme":              {good, origins("wss://app.example.com"), "neither http nor https"},
		"a path":                      {good, origins("https://app.example.com/"), "only scheme, host and port"},
		"a user":                      {good, origins("https://me@app.example.com"), "only scheme, host and port"},
		"a list in one":               {good, origins("a.example, b.example"), "only scheme, host and port"},
		"a port that is none":         {good, origins("app.example.com:http"), "neither a number"},
		"a port out of range":         {good, origins("app.example.com:65536"), "neither a number"},
		"a port that is not sent so":  {good, origins("app.example.com:0443"), "neither a number"},
		"two ports":                   {good, origins("app.example.com:1:2"), "cannot be told apart"},
		"IPv6 without brackets":       {good, origins("::1"), "cannot be told apart"},
		"a host that is never sent":   {good, origins("münchen.example"), "xn--"},
		"a backslash":                 {good, origins(`app.example.com\`), "not one that a browser sends"},
		"the second of two":           {good, origins("a.example", "*"), "InsecureAnyOrigin"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b, err := bridge.New(tt.a, tt.o)
			switch {
			case err == nil:
				t.Fatal("no error")
			case b != nil:
				t.Error("a bridge beside an error")
			case !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "bridge: "):
				t.Errorf("error %q, want one of the package with %q", err, tt.want)
			}
		})
	}
}

func TestNewAccepts(t *testing.T) {
	for name, o := range map[string]*bridge.Options{
		"nil":               nil,
		"the zero value":    {},
		"no sweep":          {Sweep: -1},
		"no staleness":      {MaxStale: -1},
		"any origin, named": {InsecureAnyOrigin: true},
		"origins": {AllowedOrigins: []string{
			"app.example.com", "https://App.Example.com", "*.example.com:*", "localhost:*", "http://127.0.0.1:8080", "[::1]", "https://[2001:db8::1]:8443",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := bridge.New(says(user("ann"), nil), o); err != nil {
				t.Error(err)
			}
		})
	}
}

// An options struct that is changed after New, or used for a second bridge,
// changes nothing.
func TestNewCopiesOptions(t *testing.T) {
	o := bridge.Options{Subprotocols: []string{"chat"}, AllowedOrigins: []string{"https://a.example"}}
	b, err := bridge.New(says(user("ann"), nil), &o)
	if err != nil {
		t.Fatal(err)
	}
	o.Subprotocols[0], o.AllowedOrigins[0] = "other", "https://evil.example"
	c := loopback(t, b.Handler(echo)).open("Origin", "https://a.example", "Sec-WebSocket-Protocol", "chat")
	if got := c.ws.Subprotocol(); got != "chat" {
		t.Errorf("subprotocol %q, want chat", got)
	}
}
