package jwtmode_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/jwtmode"
)

// seeds are tokens of all sorts. Where the hostile ones come to nothing the
// fuzzing would begin blind, and pass.
func seeds(f *testing.F) (good string, all []string) {
	good = hs256(claims(nil))
	for _, tt := range hostile() {
		if len(tt.token) <= 16<<10 {
			all = append(all, tt.token)
		}
	}
	if len(all) < 50 {
		f.Fatalf("only %d hostile tokens to begin with", len(all))
	}
	return good, append(all, good)
}

// checkOutcome checks what must hold of any input: one of the three outcomes,
// a text without the token, and that nobody is let in but with a token that is
// byte by byte one that was signed.
func checkOutcome(t *testing.T, presented, good string, id *bridge.Identity, err error) {
	t.Helper()
	none, bad := errors.Is(err, bridge.ErrNoCredential), errors.Is(err, bridge.ErrRejected)
	switch {
	case err == nil && (id == nil || id.User != "42" || !strings.Contains(presented, good)):
		t.Fatalf("%q is let in as %v", presented, id)
	case err != nil && (id != nil || none == bad):
		t.Fatalf("%q: got %v, %v", presented, id, err)
	case err != nil:
		checkSilent(t, "", err.Error())
	}
}

func FuzzToken(f *testing.F) {
	good, all := seeds(f)
	for _, s := range all {
		f.Add(s)
	}
	a := newAuth(f, jwtmode.Options{})
	f.Fuzz(func(t *testing.T, token string) {
		id, err := say(a, request(), &bridge.Message{Kind: bridge.MessageToken, Token: token})
		checkOutcome(t, token, good, id, err)
		if err == nil && token != good {
			t.Fatalf("%q is let in", token)
		}
		if errors.Is(err, bridge.ErrNoCredential) {
			t.Fatalf("%q counts as no credential", token)
		}
	})
}

// FuzzContent signs what it is given, so that the JSON of both parts is
// reached.
func FuzzContent(f *testing.F) {
	added := 0
	for _, tt := range hostile() {
		parts := strings.Split(tt.token, ".")
		if len(parts) != 3 || len(tt.token) > 16<<10 {
			continue
		}
		f.Add(unb64(parts[0]), unb64(parts[1]))
		added++
	}
	if added < 50 {
		f.Fatalf("only %d tokens to begin with", added)
	}
	a := newAuth(f, jwtmode.Options{})
	f.Fuzz(func(t *testing.T, header, payload string) {
		id, err := authenticate(a, withBearer(rawToken(header, payload)))
		if (id == nil) == (err == nil) || err != nil && !errors.Is(err, bridge.ErrRejected) {
			t.Fatalf("got %v, %v", id, err)
		}
		if err != nil {
			checkSilent(t, "", err.Error())
			return
		}
		if id.User == "" || id.Expires.IsZero() || id.Expires.Year() > 9999 || id.Claims["exp"] == nil {
			t.Fatalf("let in as %+v", id)
		}
		if n := countNames(header) + countNames(payload); n != len(decoded([]byte(header)).(map[string]any))+len(id.Claims) {
			t.Fatalf("let in with a name that is there twice: %q %q", header, payload)
		}
	})
}

// countNames counts an object's names, however often each is there.
func countNames(object string) int {
	n := 0
	d := json.NewDecoder(strings.NewReader(object))
	for _, err := d.Token(); err == nil && d.More(); n++ {
		var value json.RawMessage
		if _, err = d.Token(); err == nil {
			err = d.Decode(&value)
		}
	}
	return n
}

func FuzzRequest(f *testing.F) {
	good, all := seeds(f)
	for _, s := range all {
		f.Add("Bearer "+s, "", "", "")
		f.Add("", "bearer, "+s, "", "")
		f.Add("", "", "token="+s, "")
		f.Add("", "", "", "token="+s)
	}
	for _, s := range []string{"Bearer", "Bearer  ", "bearer\t" + good, "Bearer " + good + " x", "Basic dXNlcjpwYXNz"} {
		f.Add(s, "chat.v1, bearer, "+good+", bearer", "a=b; token="+good, "token="+good+"&token=x")
	}
	a := newAuth(f, everywhere())
	f.Fuzz(func(t *testing.T, authorization, subprotocols, cookies, query string) {
		r := request()
		r.Header = http.Header{}
		for name, lines := range map[string]string{"Authorization": authorization, "Sec-Websocket-Protocol": subprotocols, "Cookie": cookies} {
			if lines != "" {
				r.Header[name] = strings.Split(lines, "\n")
			}
		}
		r.URL.RawQuery = query
		id, err := authenticate(a, r)
		presented := []string{authorization, subprotocols, cookies}
		for _, values := range r.URL.Query() {
			presented = append(presented, values...)
		}
		checkOutcome(t, strings.Join(presented, "\n"), good, id, err)
	})
}
