package socketcluster

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	type p = packet
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	for _, tc := range []struct {
		name string
		text string
		want []packet
		err  error
	}{
		{"a call", `{"event":"#handshake","data":{"authToken":null},"cid":1}`, []p{{"#handshake", raw(`{"authToken":null}`), raw("1")}}, nil},
		{"an event", ` {"event":"a"}`, []p{{event: "a"}}, nil},
		{"a batch", `[{"event":"a","cid":-1.5e3}, {"event":"b","data":null}]`, []p{{event: "a", call: raw("-1.5e3")}, {event: "b", data: raw("null")}}, nil},
		{"an empty batch", "\n[]", nil, nil},
		{"a batch with something else", `[1,[],null,{}]`, []p{{}, {}, {}, {}}, nil},
		{"an answer", `{"rid":1,"data":2}`, []p{{data: raw("2")}}, nil},
		{"an event that is no string", `{"event":5,"cid":1}`, []p{{call: raw("1")}}, nil},
		{"a call id that is no number", `{"event":"a","cid":"1"}`, []p{{event: "a"}}, nil},
		{"a call id that is too long", `{"event":"a","cid":` + strings.Repeat("9", 21) + `}`, []p{{event: "a"}}, nil},
		{"names of another case", `{"Event":"a","CID":1}`, []p{{}}, nil},
		{"two events", `{"event":"a","event":"b"}`, []p{{event: "b"}}, nil},
		{"a string", `"a"`, nil, errNoPacket},
		{"nothing", ``, nil, errNoPacket},
		{"half an object", `{"event":"a"`, nil, errNoPacket},
		{"half a batch", `[{"event":"a"}`, nil, errNoPacket},
		{"more behind an object", `{"event":"a"}{}`, nil, errNoPacket},
		{"more behind a batch", `[{"event":"a"}]]`, nil, errNoPacket},
		{"as long as a batch may be", "[" + strings.Repeat("0,", maxBatch-1) + "0]", make([]packet, maxBatch), nil},
		{"too long a batch", "[" + strings.Repeat("0,", maxBatch) + "0]", nil, errBatch},
		{"too deep", strings.Repeat(`[`, 20000), nil, errNoPacket},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := parse([]byte(tc.text))
			if err != tc.err {
				t.Errorf("error = %v, want %v", err, tc.err)
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(packet{})); diff != "" {
				t.Errorf("packets (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDate(t *testing.T) {
	for _, tc := range []struct{ name, token, want string }{
		{"a date", "h.eyJleHAiOjE3OTUzODM0ODh9.s", "2026-11-22T21:38:08.000Z"},
		{"no such claim", "h.e30.s", ""},
		{"a claim that is no number", "h.eyJleHAiOiJ4In0.s", ""},
		{"too large", "h.eyJleHAiOjFlMzAwfQ.s", ""},
		{"no base64", "h.$.s", ""},
		{"two parts", "h.e30", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := date(tc.token, "exp"); got != tc.want {
				t.Errorf("date = %q, want %q", got, tc.want)
			}
		})
	}
}

// Whatever comes, parsing does not panic, and what it returns can be answered
// and passed on as JSON.
func FuzzParse(f *testing.F) {
	seeds := []string{
		`{"event":"#handshake","data":{"authToken":"a.b.c"},"cid":1}`,
		`[{"event":"#publish","data":{"channel":"c","data":[1,"x"]},"cid":2},{"event":"#unsubscribe","data":"c"}]`,
		`{"rid":1,"error":{"name":"Error"}}`, `[[[[`, `{"event":"\ud800","cid":1e999}`, ``, `null`, `[null]`,
	}
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		packets, err := parse(p)
		if err != nil && packets != nil {
			t.Fatal("packets and an error")
		}
		if len(packets) > maxBatch {
			t.Fatal("too many packets")
		}
		for _, one := range packets {
			if one.call != nil && (len(one.call) > maxCallID || !json.Valid(failure(one.call, errInternal)) || !json.Valid(success(one.call))) {
				t.Fatalf("the call id %q", one.call)
			}
			channel, data, ok := channelOf(one.data)
			if !ok {
				continue
			}
			frame, err := publication(channel, data)
			if err != nil || !json.Valid(frame) {
				t.Fatalf("publishing %q: %v", data, err)
			}
			tokenMessage(member(one.data, "authToken"))
			date(one.event, "exp")
		}
	})
}
