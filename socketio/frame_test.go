package socketio

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zishang520/socket.io/parsers/socket/v3/parser"
	"github.com/zishang520/socket.io/v3/pkg/types"
)

func TestParseHead(t *testing.T) {
	type result struct {
		Kind        byte
		Attachments int
		Nsp         string
		Payload     string
	}
	for name, test := range map[string]struct {
		packet   string
		protocol int
		want     *result
	}{
		"an event":                     {`2["a"]`, 4, &result{'2', 0, "/", `["a"]`}},
		"with an id":                   {`212["a"]`, 4, &result{'2', 0, "/", `["a"]`}},
		"of a namespace":               {`2/admin,12["a"]`, 4, &result{'2', 0, "/admin", `["a"]`}},
		"of nothing but a namespace":   {`1/admin`, 4, &result{'1', 0, "/admin", ""}},
		"with attachments":             {`52-/admin,1["a"]`, 4, &result{'5', 2, "/admin", `["a"]`}},
		"an answer with attachments":   {`61-3[]`, 4, &result{'6', 1, "/", "[]"}},
		"a query is part of the name":  {`0/admin?a=1,`, 4, &result{'0', 0, "/admin?a=1", ""}},
		"but not in protocol 3":        {`0/admin?a=1,`, 3, &result{'0', 0, "/admin", ""}},
		"escapes in protocol 3":        {`2/%61dmin,["a"]`, 3, &result{'2', 0, "/admin", `["a"]`}},
		"empty":                        {"", 4, nil},
		"another type":                 {"7", 4, nil},
		"attachments without a number": {"5-[]", 4, nil},
		"attachments without a dash":   {`52["a"]`, 4, nil},
		"too many attachments":         {"59999-[]", 4, nil},
		"negative attachments":         {"5-1-[]", 4, nil},
		"a bad escape in protocol 3":   {"2/%zz,[]", 3, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got *result
			if h, ok := parseHead([]byte(test.packet), test.protocol); ok {
				got = &result{h.kind, h.attachments, h.nsp, string(h.payload)}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

var packets = []string{
	"0", "1", `2["a"]`, `2/admin,1["authenticate",{"token":"x"}]`, "3[]", "4{}", `51-["a",{"_placeholder":true,"num":0}]`,
	`61-1[{"_placeholder":true,"num":0}]`, `2["message",{"rediskey":"x","stack":"php"}]`, "0/a?b=c,{}", `2["deauthenticated"]`,
	`2["authenticate",{"token":"x"}]]`,
}

// What the library reads of a packet is what is judged here, or the packet is
// taken for somebody else's.
func FuzzParseHead(f *testing.F) {
	if len(packets) == 0 {
		f.Fatal("no seeds")
	}
	for _, p := range packets {
		f.Add([]byte(p))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		h, ok := parseHead(p, 4)
		parseHead(p, 3)
		if ok {
			eventCredential(h.event())
		}
		d := parser.NewDecoder()
		var read *parser.Packet
		_ = d.On("decoded", func(args ...any) { read = args[0].(*parser.Packet) })
		if d.Add(types.NewStringBuffer(bytes.Clone(p))) != nil || read == nil {
			return
		}
		if !ok {
			t.Fatalf("%q: the library reads a packet here", p)
		}
		if h.nsp != read.Nsp || h.kind != byte(read.Type)+'0' {
			t.Fatalf("%q: read as %q of %q, and by the library as %d of %q", p, h.kind, h.nsp, read.Type, read.Nsp)
		}
		if event, isEvent := read.Data.([]any); isEvent && h.kind == eventPacket {
			if diff := cmp.Diff(eventCredential(event), eventCredential(h.event())); diff != "" {
				t.Fatalf("%q: %s", p, diff)
			}
		}
	})
}
