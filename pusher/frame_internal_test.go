package pusher

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sessionbridge/sessionbridge/bridge"
)

func TestParse(t *testing.T) {
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	for _, tc := range []struct {
		name string
		text string
		want frame
		ok   bool
	}{
		{"an event", `{"event":"pusher:ping","data":{}}`, frame{event: "pusher:ping", data: raw("{}")}, true},
		{"with a channel", ` {"event":"client-a","channel":"private-b","data":"c"}`, frame{"client-a", "private-b", raw(`"c"`)}, true},
		{"names of another case", `{"Event":"a"}`, frame{}, false},
		{"two events", `{"event":"a","event":"b"}`, frame{event: "b"}, true},
		{"an event that is no string", `{"event":5}`, frame{}, false},
		{"an empty event", `{"event":""}`, frame{}, false},
		{"no event", `{}`, frame{}, false},
		{"an array", `[{"event":"a"}]`, frame{}, false},
		{"null", `null`, frame{}, false},
		{"nothing", ``, frame{}, false},
		{"half an object", `{"event":"a"`, frame{}, false},
		{"more behind it", `{"event":"a"}{}`, frame{}, false},
		{"too deep", `{"event":"a","data":` + strings.Repeat(`[`, 20000), frame{}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, ok := parse([]byte(tc.text))
			if ok != tc.ok {
				t.Errorf("ok = %t", ok)
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(frame{})); ok && diff != "" {
				t.Errorf("frame (-want +got):\n%s", diff)
			}
		})
	}
}

func TestKindOf(t *testing.T) {
	for _, tc := range []struct {
		name string
		want kind
	}{
		{"news", public},
		{"App.Models_User-1=@,;", public},
		{"private-a", private},
		{"private-encrypted-a", private},
		{"presence-a", presence},
		{"#server-to-user-42", toUser},
		{"#server-to-user-", malformed},
		{"#server-to-user-" + strings.Repeat("x", maxUserID+1), malformed},
		{"#other", malformed},
		{"", malformed},
		{"a b", malformed},
		{"a\n", malformed},
		{"ä", malformed},
		{strings.Repeat("x", maxChannelName), public},
		{strings.Repeat("x", maxChannelName+1), malformed},
	} {
		if got := kindOf(tc.name); got != tc.want {
			t.Errorf("kindOf(%q) = %d, want %d", tc.name, got, tc.want)
		}
	}
}

func TestParseMember(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       *member
	}{
		{"a string", `{"user_id":"42","user_info":{"a":1}}`, &member{"42", json.RawMessage(`{"a":1}`)}},
		{"a number", `{"user_id":42}`, &member{id: "42"}},
		{"a fraction", `{"user_id":4.2}`, nil},
		{"an empty id", `{"user_id":""}`, nil},
		{"an object", `{"user_id":{}}`, nil},
		{"null", `{"user_id":null}`, nil},
		{"no id", `{}`, nil},
		{"too long an id", `{"user_id":"` + strings.Repeat("x", maxUserID+1) + `"}`, nil},
		{"too long", `{"user_id":"42","user_info":"` + strings.Repeat("x", maxMember) + `"}`, nil},
		{"no JSON", `42`, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, ok := parseMember(tc.text, "user_id")
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(member{})); diff != "" || ok != (tc.want != nil) {
				t.Errorf("ok = %t, member (-want +got):\n%s", ok, diff)
			}
		})
	}
}

func TestParseAuthRequest(t *testing.T) {
	const form, object = "application/x-www-form-urlencoded", "application/json; charset=utf-8"
	for _, tc := range []struct {
		name, media, body string
		want              authRequest
		ok                bool
	}{
		{"a form", form, "socket_id=1.2&channel_name=private-a", authRequest{socket: "1.2", channel: "private-a"}, true},
		{"JSON", object, `{"socket_id":"1.2","channel_name":"private-a"}`, authRequest{socket: "1.2", channel: "private-a"}, true},
		{"a rediskey", form, "socket_id=1.2&rediskey=abc&stack=php", authRequest{socket: "1.2", message: &bridge.Message{Kind: bridge.MessageRedisKey, SessionID: "abc", Stack: "php"}}, true},
		{"a token", object, `{"socket_id":"1.2","token":"abc"}`, authRequest{socket: "1.2", message: &bridge.Message{Kind: bridge.MessageToken, Token: "abc"}}, true},
		{"no socket", form, "channel_name=private-a", authRequest{}, false},
		{"no socket id", form, "socket_id=1.2%0A", authRequest{}, false},
		{"half a socket id", form, "socket_id=1.", authRequest{}, false},
		{"a number", object, `{"socket_id":1.2}`, authRequest{}, false},
		{"no form", form, "socket_id=1.2&%zz", authRequest{}, false},
		{"another media type", "text/plain", "socket_id=1.2", authRequest{}, false},
		{"none", "", "socket_id=1.2", authRequest{}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, ok := parseAuthRequest(tc.media, []byte(tc.body))
			if ok != tc.ok {
				t.Errorf("ok = %t", ok)
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(authRequest{})); ok && diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

// Whatever comes, parsing does not panic, and what it returns can be passed on
// as JSON.
func FuzzParse(f *testing.F) {
	seeds := []string{
		`{"event":"pusher:subscribe","data":{"channel":"presence-a","auth":"k:00","channel_data":"{\"user_id\":\"1\",\"user_info\":{}}"}}`,
		`{"event":"pusher:subscribe","data":"{\"channel\":\"a\"}"}`,
		`{"event":"pusher:signin","data":{"auth":"k:00","user_data":"{\"id\":\"1\"}"}}`,
		`{"event":"client-a","channel":"private-b","data":[1,"x"]}`,
		`[[[[`, `{"event":"\ud800","data":"\ud800"}`, ``, `null`, `{"event":"a","data":"1e999"}`,
	}
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		got, ok := parse(p)
		if !ok {
			return
		}
		if !json.Valid(clientEvent(got, "")) {
			t.Fatalf("passing on %q", p)
		}
		all := content(got.data)
		name, _ := jsonString(all["channel"])
		if kindOf(name) != malformed && len(name) > maxChannelName {
			t.Fatalf("the channel %q", name)
		}
		for _, member := range []string{"channel_data", "user_data"} {
			data, ok := optionalString(all[member])
			if !ok || data == nil {
				continue
			}
			for _, idName := range []string{"user_id", "id"} {
				m, ok := parseMember(*data, idName)
				if !ok {
					continue
				}
				if m.id == "" || len(m.id) > maxUserID {
					t.Fatalf("the id %q", m.id)
				}
				for _, frame := range [][]byte{m.added("presence-a"), m.removed("presence-a"), roll(map[string]*present{m.id: {member: m}}), signinSuccess(*data)} {
					if !json.Valid(frame) {
						t.Fatalf("no JSON: %q", frame)
					}
				}
			}
		}
	})
}

// Whatever is posted, parsing does not panic, and names a socket.
func FuzzParseAuthRequest(f *testing.F) {
	seeds := []struct{ media, body string }{
		{"application/x-www-form-urlencoded", "socket_id=1.2&channel_name=private-a&rediskey=b"},
		{"application/json", `{"socket_id":"1.2","channel_name":"private-a","token":"b"}`},
		{"application/json;=", "{"},
	}
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	for _, s := range seeds {
		f.Add(s.media, []byte(s.body))
	}
	f.Fuzz(func(t *testing.T, media string, body []byte) {
		if a, ok := parseAuthRequest(media, body); ok && !isSocketID(a.socket) {
			t.Fatalf("the socket %q", a.socket)
		}
	})
}
