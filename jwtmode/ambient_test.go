package jwtmode_test

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/jwtmode"
)

// everywhere reads all sources.
func everywhere() jwtmode.Options {
	return jwtmode.Options{
		Sources: []jwtmode.Source{jwtmode.SourceHeader, jwtmode.SourceSubprotocol, jwtmode.SourceCookie, jwtmode.InsecureSourceQuery, jwtmode.SourceMessage},
		Cookie:  "token",
	}
}

func TestCookieAndQuery(t *testing.T) {
	good := hs256(claims(nil))
	other := hs256(claims(jwt.MapClaims{"sub": "43"}))
	const let, nobody = "let in", "no credential" // or the message of the refusal
	bearer := []string{"Authorization", "Bearer " + good}
	tests := []struct {
		name  string
		query string
		lines []string
		want  string
	}{
		{"cookie", "", []string{"Cookie", "token=" + good}, let},
		{"cookie among others", "", []string{"Cookie", "a=b; token=" + good + "; c"}, let},
		{"cookie in a second line", "", []string{"Cookie", "a=b", "Cookie", "token=" + good}, let},
		{"cookie with white space", "", []string{"Cookie", "a=b;\ttoken = " + good + " "}, let},
		{"cookie twice, the same", "", []string{"Cookie", "token=" + good + "; token=" + good}, let},
		{"cookie twice, another first", "", []string{"Cookie", "token=" + other + "; token=" + good}, twoTokens},
		{"cookie twice, another in a second line", "", []string{"Cookie", "token=" + good, "Cookie", "token=x"}, twoTokens},
		{"cookie empty", "", []string{"Cookie", "token="}, nobody},
		{"cookie empty and good", "", []string{"Cookie", "token=; token=" + good}, let},
		{"cookie good and empty", "", []string{"Cookie", "token=" + good + "; token="}, let},
		{"cookie without a value", "", []string{"Cookie", "token"}, nobody},
		{"cookie of another name", "", []string{"Cookie", "xtoken=" + good + "; tokenx=" + good + "; Token=" + good}, nobody},
		{"cookie quoted", "", []string{"Cookie", `token="` + good + `"`}, "jwt malformed"},
		{"cookie escaped", "", []string{"Cookie", "token=" + strings.ReplaceAll(good, ".", "%2E")}, "jwt malformed"},

		{"query", "token=" + good, nil, let},
		{"query among others", "a=b&token=" + good + "&c", nil, let},
		{"query escaped", "token=" + strings.ReplaceAll(good, ".", "%2E"), nil, let},
		{"query twice, the same", "token=" + good + "&token=" + good, nil, let},
		{"query twice, different", "token=" + good + "&token=" + other, nil, twoTokens},
		{"query empty", "token=", nil, nobody},
		{"query good and empty", "token=" + good + "&token=", nil, let},
		{"query of another name", "Token=" + good + "&access_token=" + good, nil, nobody},
		{"query with half an escape", "token=" + good + "&x=%G", nil, let},
		{"query with a bad name before", "%G=x&token=" + good, nil, let},
		{"query with a plus", "token=" + good + "+", nil, "jwt malformed"},

		{"all the same", "token=" + good, append([]string{"Cookie", "token=" + good, "Sec-WebSocket-Protocol", "bearer, " + good}, bearer...), let},
		{"header and another cookie", "", append([]string{"Cookie", "token=" + other}, bearer...), twoTokens},
		{"header and an expired cookie", "", append([]string{"Cookie", "token=" + hs256(claims(jwt.MapClaims{"exp": 1}))}, bearer...), twoTokens},
		{"header and another query", "token=" + other, bearer, twoTokens},
		{"cookie and another query", "token=" + good, []string{"Cookie", "token=" + other}, twoTokens},
		{"query and another subprotocol", "token=" + good, []string{"Sec-WebSocket-Protocol", "bearer, " + other}, twoTokens},
		{"header and an empty query", "token=", bearer, let},
	}
	a := newAuth(t, everywhere())
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := request(tt.lines...)
			r.URL.RawQuery = tt.query
			switch id, err := authenticate(a, r); {
			case tt.want == let:
				if err != nil || id.User != "42" {
					t.Errorf("got %v, %v; want user 42", id, err)
				}
			case tt.want == nobody:
				if id != nil || !errors.Is(err, bridge.ErrNoCredential) || errors.Is(err, bridge.ErrRejected) {
					t.Errorf("got %v, %v; want no credential", id, err)
				}
			case tt.want == twoTokens:
				checkRefused(t, a, r, good, "credentials_bad_format", tt.want, nil)
			default:
				checkRefused(t, a, r, good, "invalid_token", tt.want, jwt.ErrTokenMalformed)
			}
		})
	}
}

func TestNamesOfCookieAndQuery(t *testing.T) {
	good := hs256(claims(nil))
	o := everywhere()
	o.Cookie, o.QueryParam = "__Host-jwt", "access_token"
	a := newAuth(t, o)
	for name, r := range map[string]*http.Request{
		"cookie": request("Cookie", "token=x; __Host-jwt="+good),
		"query":  request(),
	} {
		if name == "query" {
			r.URL.RawQuery = "token=x&access_token=" + good
		}
		if _, err := authenticate(a, r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Cross-site WebSocket hijacking: a browser attaches the cookie to a handshake
// that another site's page makes.
func TestCookieNeedsTheOrigin(t *testing.T) {
	good := hs256(claims(nil))
	for _, tt := range []struct {
		name   string
		opts   jwtmode.Options
		origin string
		header string
		want   int
	}{
		{"cookie, own page", everywhere(), "http://example.com", "Cookie", http.StatusOK},
		{"cookie, another site's page", everywhere(), "https://evil.example", "Cookie", http.StatusForbidden},
		{"header, another site's page, cookies read too", everywhere(), "https://evil.example", "Authorization", http.StatusForbidden},
		{"header, another site's page", jwtmode.Options{}, "https://evil.example", "Authorization", http.StatusOK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			value := "token=" + good
			if tt.header == "Authorization" {
				value = "Bearer " + good
			}
			got := status(t, newAuth(t, tt.opts), request("Origin", tt.origin, tt.header, value))
			if got != tt.want {
				t.Errorf("status %d, want %d", got, tt.want)
			}
		})
	}
}

// What the service logs of a connection by the query, from the handshake to
// the end, has nothing of the token.
func TestQueryIsNotLogged(t *testing.T) {
	var log syncBuilder
	for _, token := range []string{hs256(claims(nil)), hs256(claims(jwt.MapClaims{"exp": 1})), marker} {
		o := &bridge.Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
		url := serveLogged(t, newAuth(t, everywhere()), o)
		ws, _ := dial(t, url+"?token="+token, nil)
		if ws != nil {
			expect(t, ws, authenticated)
			send(t, ws, authenticateFrame(marker))
			expect(t, ws, unauthorized("jwt malformed"))
			send(t, ws, `{"event":"deauthenticate"}`)
			expect(t, ws, `{"event":"deauthenticated","data":{"code":"client_request"}}`)
		}
		log.waitFor(t, "level=INFO")
		checkSilent(t, token, log.String())
	}
}
