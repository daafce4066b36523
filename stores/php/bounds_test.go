package php

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// allocated gives how many bytes f allocates in all, which is at least what it
// holds at any time.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// budget is what decoding n bytes may hold.
func budget(n int) uint64 { return 64*uint64(n) + 64<<10 }

type hostile struct {
	name    string
	h       Handler
	data    []byte
	invalid bool
}

func hostileInputs() []hostile {
	rep := strings.Repeat
	be := binary.BigEndian
	ig := func(s string) []byte { return append([]byte{0, 0, 0, 2}, s...) }
	array16 := func(lead byte, n int, body string) string {
		return string(be.AppendUint32([]byte{lead}, uint32(n))) + body
	}
	var refs strings.Builder // each value is twice the one before
	refs.WriteString(`a:61:{i:0;a:1:{i:0;i:1;}`)
	for i, slot := 1, 2; i < 61; i++ {
		fmt.Fprintf(&refs, "i:%d;a:2:{i:0;R:%d;i:1;R:%d;}", i, slot, slot)
		slot += 1
		if i == 1 {
			slot++ // the first array has an element with a number
		}
	}
	refs.WriteString("}")
	var many strings.Builder
	fmt.Fprintf(&many, "x|a:3000:{")
	for i := range 3000 {
		fmt.Fprintf(&many, "s:4:\"%04x\";i:1;", i*2654435761&0xffff)
	}
	many.WriteString("}")
	return []hostile{
		{"length 2^31", HandlerPHP, []byte(`x|s:2147483648:"a";`), true},
		{"length 2^63", HandlerPHP, []byte(`x|s:9223372036854775808:"a";`), true},
		{"escaped length 2^31", HandlerPHP, []byte(`x|S:2147483648:"a";`), true},
		{"count 999999999", HandlerSerialize, []byte(`a:999999999:{i:0;i:0;`), true},
		{"count 2^63", HandlerSerialize, []byte(`a:9223372036854775808:{i:0;i:0;`), true},
		{"properties 2^63", HandlerSerialize, []byte(`O:1:"a":9223372036854775807:{`), true},
		{"body 2^63", HandlerSerialize, []byte(`C:1:"a":9223372036854775807:{}`), true},
		{"4096 levels", HandlerPHP, []byte("x|" + nested(4096)), false},
		{"4097 levels", HandlerPHP, []byte("x|" + nested(4097)), true},
		{"4096 objects", HandlerSerialize, []byte(rep(`O:1:"a":1:{i:0;`, 4096) + "N;" + rep("}", 4096)), false},
		{"4097 objects", HandlerSerialize, []byte(rep(`O:1:"a":1:{i:0;`, 4097) + "N;" + rep("}", 4097)), true},
		{"100000 levels", HandlerSerialize, []byte(nested(100000)), true},
		{"references to references", HandlerSerialize, []byte(refs.String()), false},
		{"small elements", HandlerSerialize, []byte("a:10000:{" + rep("i:0;N;", 10000) + "}"), false},
		{"one duplicate name", HandlerPHP, []byte(rep("|N;", 20000)), false},
		{"many keys", HandlerPHP, []byte(many.String()), false},
		{"references to one slot", HandlerSerialize, []byte("a:10001:{i:0;i:0;" + rep("i:0;R:2;", 5000) + rep("i:1;R:1;", 5000) + "}"), true},
		{"duplicates of two keys", HandlerSerialize, []byte("a:40001:{" + rep("i:0;N;", 20000) + "i:-1;N;" + rep("i:-1;N;", 20000) + "}"), false},
		{"escaped text", HandlerPHP, []byte(`x|S:20000:"` + rep(`\41`, 20000) + `";`), false},
		{"msgpack 1-byte elements", HandlerMsgpack, []byte(array16(0xdd, 60000, rep("\xc0", 60000))), false},
		{"msgpack map of 2-byte entries", HandlerMsgpack, []byte(array16(0xdf, 30000, rep("\x01\xc0", 30000))), false},
		{"msgpack empty maps", HandlerMsgpack, []byte("\x81\xa1a" + array16(0xdd, 30000, rep("\x80", 30000))), false},
		{"msgpack array 2^32-1", HandlerMsgpack, []byte("\xdd\xff\xff\xff\xff\x01"), false},
		{"msgpack map 2^32-1", HandlerMsgpack, []byte("\xdf\xff\xff\xff\xff\x01"), false},
		{"msgpack string 2^32-1", HandlerMsgpack, []byte("\x81\xa1a\xdb\xff\xff\xff\xff\x01"), false},
		{"msgpack 1024 levels", HandlerMsgpack, []byte("\x81\xa1a" + rep("\x91", 1023) + "\x01"), false},
		{"msgpack 1024 levels of keys", HandlerMsgpack, []byte("\x81\xa1a" + rep("\x8b", 1020) + "\x01"), false},
		{"msgpack classes", HandlerMsgpack, []byte(array16(0xdf, 30000, rep("\xc0\xa1A", 30000))), false},
		{"msgpack 100000 levels", HandlerMsgpack, []byte(rep("\x91", 100000)), false},
		{"msgpack large numbers", HandlerMsgpack, []byte("\x81\xa1a" + array16(0xdd, 5000, rep("\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 5000))), false},
		{"igbinary 1-byte keys and values", HandlerIgbinary, ig(array16(0x16, 30000, rep("\x0d\x00", 30000))), false},
		{"igbinary missing entries", HandlerIgbinary, ig(array16(0x16, 30000, rep("\x00", 30000))), false},
		{"igbinary array 2^31", HandlerIgbinary, ig(array16(0x16, 1<<31, "\x06\x00")), true},
		{"igbinary string 2^63", HandlerIgbinary, ig("\x14\x01\x26\x80\x00\x00\x00\x00\x00\x00\x00a"), true},
		{"igbinary 4096 levels", HandlerIgbinary, ig(rep("\x14\x01\x0d", 4096) + "\x00"), false},
		{"igbinary 4097 levels", HandlerIgbinary, ig(rep("\x14\x01\x0d", 4097) + "\x00"), true},
		{"igbinary empty strings", HandlerIgbinary, ig(array16(0x16, 10000, rep("\x11\x00\x05", 10000))), false},
		{"igbinary long text many times", HandlerIgbinary, ig("\x14\x02\x11\x01a\x12\x40\x00" + rep("x", 0x4000) + "\x11\x01b" + array16(0x16, 5000, "\x06\x00\x0e\x01"+rep("\x0d\x0e\x01", 4999))), false},
		{"igbinary long enum many times", HandlerIgbinary, ig("\x14\x02\x11\x01a\x12\x40\x00" + rep("x", 0x4000) + "\x11\x01b" + array16(0x16, 5000, rep("\x0d\x1a\x01\x27\x0e\x01", 5000))), true},
		{"igbinary long names many times", HandlerIgbinary, ig("\x14\x03\x11\x01a\x12\x40\x00\x00A\x00" + rep("x", 0x4000-3) + "\x11\x01b\x12\x40\x00\x00B\x00" + rep("x", 0x4000-3) +
			"\x11\x01c" + array16(0x16, 2000, rep("\x0d\x1a\x00\x14\x02\x0e\x01\x00\x0e\x03\x00", 2000))), false},
	}
}

func TestBounds(t *testing.T) {
	for _, in := range hostileInputs() {
		t.Run(in.name, func(t *testing.T) {
			start := time.Now()
			var v Value
			var err error
			held := allocated(func() { v, err = Decode(in.h, in.data) })
			if max := budget(len(in.data)); held > max {
				t.Errorf("Decode of %d bytes allocates %d, limit %d", len(in.data), held, max)
			}
			if (err != nil) != in.invalid {
				t.Fatalf("error %v", err)
			}
			if err != nil {
				return
			}
			held = allocated(func() { v.Any() })
			if max := 3 * budget(len(in.data)); held > max { // Go's maps
				t.Errorf("Any of %d bytes allocates %d, limit %d", len(in.data), held, max)
			}
			const limit = 1 << 20
			held = allocated(func() { _, err = v.AppendSessionJSON(nil, limit) })
			if max := budget(len(in.data)) + 8*limit; held > max {
				t.Errorf("AppendSessionJSON of %d bytes allocates %d, limit %d", len(in.data), held, max)
			}
			if err != nil && !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrTooDeep) {
				t.Errorf("AppendSessionJSON: %v", err)
			}
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
}

func TestDepthError(t *testing.T) {
	for _, h := range []Handler{HandlerPHP, HandlerSerialize, HandlerBinary} {
		prefix := map[Handler]string{HandlerPHP: "x|", HandlerBinary: "\x01x"}[h]
		if _, err := Decode(h, []byte(prefix+nested(MaxDepth))); err != nil {
			t.Errorf("%s: %d levels: %v", h, MaxDepth, err)
		}
		if _, err := Decode(h, []byte(prefix+nested(MaxDepth+1))); !errors.Is(err, ErrTooDeep) {
			t.Errorf("%s: %d levels: %v", h, MaxDepth+1, err)
		}
	}
	if _, err := Decode(HandlerIgbinary, []byte("\x00\x00\x00\x02"+strings.Repeat("\x14\x01\x0d", MaxDepth+1)+"\x00")); !errors.Is(err, ErrTooDeep) {
		t.Errorf("igbinary: %v", err)
	}
}

// TestErrorsAreSilent: an error's text must not show what is in a session.
func TestErrorsAreSilent(t *testing.T) {
	const secret = "s3cr3t"
	for _, h := range handlers {
		for _, v := range load(t, string(h)+".json") {
			data := bytes.ReplaceAll(v.Value, []byte("user"), []byte(secret))
			for i := 0; i < min(len(data), 500); i += 3 {
				_, err := Decode(h, data[:i])
				if err != nil && strings.Contains(err.Error(), secret) {
					t.Fatalf("%s: %v", h, err)
				}
			}
		}
	}
}
