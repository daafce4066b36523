package jwtmode_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/jwtmode"
)

const (
	formatHeader      = "Format is Authorization: Bearer [token]"
	formatSubprotocol = "Format is Sec-WebSocket-Protocol: bearer, [token]"
	twoTokens         = "the request has two different tokens"
)

func TestRequestSources(t *testing.T) {
	good := hs256(claims(nil))
	other := hs256(claims(jwt.MapClaims{"sub": "43"}))
	expired := hs256(claims(jwt.MapClaims{"exp": 1}))
	const protocol = "Sec-WebSocket-Protocol"
	const let, nobody = "let in", "no credential" // or the message of the refusal
	tests := []struct {
		name  string
		lines []string
		want  string
	}{
		{"nothing", nil, nobody},
		{"header", []string{"Authorization", "Bearer " + good}, let},
		{"header, scheme in small letters", []string{"Authorization", "bearer " + good}, let},
		{"header, two spaces", []string{"Authorization", "Bearer  " + good}, let}, // RFC 6750: 1*SP
		{"header, no token", []string{"Authorization", "Bearer"}, formatHeader},
		{"header, only a space", []string{"Authorization", "Bearer "}, formatHeader},
		{"header, three parts", []string{"Authorization", "Bearer " + good + " x"}, formatHeader},
		{"header, two tokens with a comma", []string{"Authorization", "Bearer " + good + ", Bearer " + good}, formatHeader},
		{"header, a tab", []string{"Authorization", "Bearer\t" + good}, formatHeader},
		{"header, a tab behind a space", []string{"Authorization", "Bearer \t" + good}, formatHeader},
		{"header, quoted", []string{"Authorization", `Bearer "` + good + `"`}, "jwt malformed"},
		{"header, no scheme", []string{"Authorization", good}, nobody},
		{"header, empty", []string{"Authorization", ""}, nobody},
		{"header, Basic", []string{"Authorization", "Basic dXNlcjpwYXNz"}, nobody},
		{"header, Basic with a token", []string{"Authorization", "Basic " + good}, nobody},
		{"header, another scheme that begins so", []string{"Authorization", "BearerX " + good}, nobody},
		{"header, Basic and Bearer", []string{"Authorization", "Basic dXNlcjpwYXNz", "Authorization", "Bearer " + good}, formatHeader},
		{"header twice", []string{"Authorization", "Bearer " + good, "Authorization", "Bearer " + good}, formatHeader},

		{"subprotocol", []string{protocol, "bearer, " + good}, let},
		{"subprotocol, no space", []string{protocol, "bearer," + good}, let},
		{"subprotocol, in two lines", []string{protocol, "bearer", protocol, good}, let},
		{"subprotocol, others before and behind", []string{protocol, "chat.v1, bearer, " + good + ", chat.v2"}, let},
		{"subprotocol, only others", []string{protocol, "chat.v1, chat.v2"}, nobody},
		{"subprotocol, no marker", []string{protocol, good}, nobody},
		{"subprotocol, marker in capitals", []string{protocol, "Bearer, " + good}, nobody},
		{"subprotocol, no token", []string{protocol, "bearer"}, formatSubprotocol},
		{"subprotocol, an empty one", []string{protocol, "bearer, , " + good}, formatSubprotocol},
		{"subprotocol, the wrong way round", []string{protocol, good + ", bearer"}, formatSubprotocol},
		{"subprotocol, marker twice", []string{protocol, "bearer, " + good + ", bearer, " + good}, formatSubprotocol},
		{"subprotocol, marker as the token", []string{protocol, "bearer, bearer"}, formatSubprotocol},
		{"subprotocol, another one as the token", []string{protocol, "bearer, chat.v1"}, "jwt malformed"},

		{"both, the same", []string{"Authorization", "Bearer " + good, protocol, "bearer, " + good}, let},
		{"both, different and good", []string{"Authorization", "Bearer " + good, protocol, "bearer, " + other}, twoTokens},
		{"both, one expired", []string{"Authorization", "Bearer " + expired, protocol, "bearer, " + good}, twoTokens},
		{"both, one malformed", []string{"Authorization", "Bearer " + good, protocol, "bearer"}, formatSubprotocol},
		{"both, the header malformed", []string{"Authorization", "Bearer", protocol, "bearer, " + good}, formatHeader},
		{"both, the header somebody else's", []string{"Authorization", "Basic dXNlcjpwYXNz", protocol, "bearer, " + good}, let},

		{"query", []string{"X-Nothing", ""}, nobody},
		{"cookie", []string{"Cookie", "token=" + good}, nobody},
	}
	a := newAuth(t, jwtmode.Options{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := request(tt.lines...)
			r.URL.RawQuery = "token=" + good
			id, err := authenticate(a, r)
			switch tt.want {
			case let:
				if err != nil || id.User != "42" {
					t.Errorf("got %v, %v; want user 42", id, err)
				}
			case nobody:
				if id != nil || !errors.Is(err, bridge.ErrNoCredential) || errors.Is(err, bridge.ErrRejected) {
					t.Errorf("got %v, %v; want no credential", id, err)
				}
			case "jwt malformed":
				checkRefused(t, a, r, good, "invalid_token", tt.want, jwt.ErrTokenMalformed)
			default:
				checkRefused(t, a, r, good, "credentials_bad_format", tt.want, nil)
			}
			if err != nil {
				checkSilent(t, good, err.Error())
			}
		})
	}
}

// A source that is off is not read, however wrong it is.
func TestSourcesOff(t *testing.T) {
	good := hs256(claims(nil))
	header := jwtmode.Options{Sources: []jwtmode.Source{jwtmode.SourceHeader}}
	sub := jwtmode.Options{Sources: []jwtmode.Source{jwtmode.SourceSubprotocol}}
	message := jwtmode.Options{Sources: []jwtmode.Source{jwtmode.SourceMessage}}
	for _, tt := range []struct {
		name  string
		opts  jwtmode.Options
		lines []string
		let   bool
	}{
		{"header only", header, []string{"Authorization", "Bearer " + good, "Sec-WebSocket-Protocol", "bearer"}, true},
		{"header off", sub, []string{"Authorization", "Bearer", "Sec-WebSocket-Protocol", "bearer, " + good}, true},
		{"only the other", sub, []string{"Authorization", "Bearer " + good}, false},
		{"both off", message, []string{"Authorization", "Bearer " + good, "Sec-WebSocket-Protocol", "bearer, " + good}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := authenticate(newAuth(t, tt.opts), request(tt.lines...))
			if tt.let && err != nil || !tt.let && !errors.Is(err, bridge.ErrNoCredential) {
				t.Errorf("let in: %v, error %v", tt.let, err)
			}
		})
	}
	t.Run("message off", func(t *testing.T) {
		_, err := say(newAuth(t, header), request(), &bridge.Message{Kind: bridge.MessageToken, Token: good})
		if !errors.Is(err, bridge.ErrNoCredential) {
			t.Errorf("got %v", err)
		}
	})
}

func TestMessage(t *testing.T) {
	a := newAuth(t, jwtmode.Options{})
	good := hs256(claims(nil))
	t.Run("good", func(t *testing.T) {
		id, err := say(a, request(), &bridge.Message{Kind: bridge.MessageToken, Token: good})
		if err != nil || id.User != "42" {
			t.Errorf("got %v, %v", id, err)
		}
	})
	t.Run("beside a former token in the request", func(t *testing.T) {
		id, err := say(a, withBearer(hs256(claims(jwt.MapClaims{"exp": 1}))), &bridge.Message{Kind: bridge.MessageToken, Token: good})
		if err != nil || id.User != "42" {
			t.Errorf("got %v, %v", id, err)
		}
	})
	t.Run("bad, beside a good token in the request", func(t *testing.T) {
		id, err := say(a, withBearer(good), &bridge.Message{Kind: bridge.MessageToken, Token: "x"})
		checkRejected(t, id, err)
	})
	t.Run("malformed", func(t *testing.T) {
		id, err := say(a, request(), &bridge.Message{Kind: bridge.MessageToken, Malformed: true})
		checkRejected(t, id, err)
	})
	t.Run("a rediskey", func(t *testing.T) {
		_, err := say(a, withBearer(good), &bridge.Message{Kind: bridge.MessageRedisKey, SessionID: good})
		if !errors.Is(err, bridge.ErrNoCredential) {
			t.Errorf("got %v", err)
		}
	})
}

// A token that is bad never lets the next authenticator decide.
func TestNoFallThrough(t *testing.T) {
	anybody := bridge.AuthenticatorFunc(nil)
	a := bridge.First(newAuth(t, jwtmode.Options{}), anybody) // would panic
	for _, tt := range hostile() {
		id, err := authenticate(a, withBearer(tt.token))
		checkRejected(t, id, err)
	}
	id, err := authenticate(a, request("Authorization", "Bearer"))
	checkRejected(t, id, err)
}

func TestReasonNamesTheAuthenticator(t *testing.T) {
	a := newAuth(t, jwtmode.Options{Name: "mobile"})
	for _, r := range []string{"", "Bearer", "Bearer x"} {
		if _, err := authenticate(a, request("Authorization", r)); err == nil || !strings.Contains(err.Error(), "mobile: ") {
			t.Errorf("%q: the error is %v", r, err)
		}
	}
}
