package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func resp(words ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b.String()
}

func scan(pieces ...string) (commands []string) {
	s := commandScanner{emit: func(name, key string) { commands = append(commands, name+" "+key) }}
	for _, p := range pieces {
		s.feed([]byte(p))
	}
	return commands
}

func TestCommandScanner(t *testing.T) {
	long := strings.Repeat("k", 3*maxKept)
	for _, tc := range []struct {
		name  string
		input string
		want  []string
	}{
		{"one", resp("DEL", "sess:1"), []string{"DEL sess:1"}},
		{"lower case", resp("setex", "sess:1", "60", "v"), []string{"SETEX sess:1"}},
		{"a pipeline", resp("GET", "a") + resp("SET", "b", "v\r\n*1\r\n") + resp("PING"), []string{"GET a", "SET b", "PING "}},
		{"empty words", resp("", ""), []string{" "}},
		{"no words", "*0\r\n" + resp("PING"), []string{"PING "}},
		{"a long key", resp("DEL", long), []string{"DEL " + long[:maxKept]}},
		{"inline", "PING\r\n" + resp("DEL", "a"), nil},
		{"negative", "*1\r\n$-1\r\n" + resp("DEL", "a"), nil},
		{"too long", "*1\r\n$99999999999999999999\r\n", nil},
		{"no end of a line", "*" + strings.Repeat("1", 2*maxLine), nil},
		{"unfinished", resp("DEL", "sess:1")[:15], nil},
		{"a reply", "+OK\r\n", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, scan(tc.input)); diff != "" {
				t.Errorf("in one piece (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.want, scan(strings.Split(tc.input, "")...)); diff != "" {
				t.Errorf("byte by byte (-want +got):\n%s", diff)
			}
		})
	}
}

// However the bytes are cut, the commands are the same, and what is kept is
// bounded.
func FuzzCommandScanner(f *testing.F) {
	seeds := []string{resp("DEL", "sess:1"), resp("GET", "a") + resp("SET", "b", "v"), "*1\r\n$-1\r\n", "PING\r\n", "*0\r\n", "*2\r\n$3\r\nDEL\r\n$1\r\n"}
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	for _, s := range seeds {
		f.Add([]byte(s), uint(3))
	}
	f.Fuzz(func(t *testing.T, input []byte, cut uint) {
		whole := scan(string(input))
		at := int(cut % uint(len(input)+1))
		if diff := cmp.Diff(whole, scan(string(input[:at]), string(input[at:]))); diff != "" {
			t.Errorf("cut at %d (-whole +cut):\n%s", at, diff)
		}
		for _, c := range whole {
			if len(c) > 2*maxKept+1 {
				t.Errorf("a command of %d bytes was kept", len(c))
			}
		}
	})
}
