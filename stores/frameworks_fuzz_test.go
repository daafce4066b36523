package stores_test

import (
	"encoding/base64"
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"github.com/sessionbridge/sessionbridge/internal/vectors"
	"github.com/sessionbridge/sessionbridge/stores"
)

// fuzzCodec decodes anything without a panic, and within the bound on memory.
// What it decodes can be printed, walked and looked up.
func fuzzCodec(f *testing.F, codec stores.Codec, files ...string) {
	for _, file := range files {
		for _, c := range vectors.Read[frameworkValue](f, file) {
			f.Add(c.Value)
		}
	}
	f.Fuzz(func(t *testing.T, value []byte) { checkAnything(t, codec, value) })
}

func checkAnything(t *testing.T, codec stores.Codec, value []byte) {
	t.Helper()
	v, _, err := codec.Decode(value)
	if (v == nil) == (err == nil) {
		t.Fatalf("Decode = %v, %v", v, err)
	}
	if err != nil {
		return
	}
	p, ok := v.(interface {
		AppendJSON([]byte, int) ([]byte, error)
	})
	if !ok {
		return
	}
	out, err := p.AppendJSON(nil, 1<<20)
	if err == nil && !json.Valid(out) {
		t.Errorf("AppendJSON = %q, which is no JSON", out)
	}
	if err == nil && len(out) > 1<<20 {
		t.Errorf("AppendJSON made %d bytes of at most %d", len(out), 1<<20)
	}
	for name := range v.Map() {
		if _, ok := v.Lookup(stores.EscapeName(name)); !ok && name != "" {
			t.Errorf("Map has %q, Lookup has not", name)
		}
	}
	_, _ = stores.UserID(v, "user_id")
}

func FuzzPickle(f *testing.F) {
	fuzzCodec(f, stores.FlaskSession(), "pickle.json", "pickle-refused.json")
}

func FuzzMsgpack(f *testing.F) {
	fuzzCodec(f, stores.FlaskSession(), "msgpack.json", "msgpack-refused.json")
}

func FuzzMarshal(f *testing.F) {
	fuzzCodec(f, stores.Rails(), "marshal.json", "marshal-refused.json")
}

func FuzzFlaskCookie(f *testing.F) {
	fuzzCodec(f, stores.FlaskCookie(0), "flask-tags.json")
}

func FuzzFlaskTags(f *testing.F) {
	f.Add([]byte(`{"a":{" t":[1,{" b":"AA=="}]},"b":{" di":{" t__":{" u":"00000000000000000000000000000005"}}},"d":{" d":"Tue, 02 Jan 2024 03:04:05 GMT"}}`))
	f.Add([]byte(`{"n":[NaN,-Infinity,Infinity]}`))
	f.Fuzz(func(t *testing.T, value []byte) { checkAnything(t, stores.FlaskCookie(0), value) })
}

func FuzzDjangoCookie(f *testing.F) {
	for _, payload := range []string{`{"_auth_user_id":"42"}`, "\x80\x04}\x94."} {
		f.Add([]byte(base64.RawURLEncoding.EncodeToString([]byte(payload)) + ":1xV59o"))
	}
	f.Add([]byte(".eJxVjMsOgjAQRf9l1qbpkyJL935DM52ZCmogoaAL478rCRu295xzP_Aa5F2hMydIuC59WqvMaWDowFs4jBnpIeNG-I7jbVI0jcs8ZLUpaqdVXSeW52V3Dwc91v5ftyWWEO2ZSgi2ULaNGJ0JKQZ0nAWd0c4QO2q19zFa1l6kYW21N8gWvj87OjtP:1xV59o"))
	f.Fuzz(func(t *testing.T, value []byte) { checkAnything(t, stores.DjangoCookie(0), value) })
}

func FuzzRailsEnvelope(f *testing.F) {
	message := base64.StdEncoding.EncodeToString([]byte("\x04\x08{\x06\"\x0cuser_idi/"))
	f.Add([]byte(`{"_rails":{"message":"` + message + `","exp":"2026-11-22T12:30:46.000Z","pur":"cookie.s"}}`))
	f.Add([]byte(`{"_rails":{"data":{"user_id":42}}}`))
	f.Fuzz(func(t *testing.T, value []byte) { checkAnything(t, stores.Rails(), value) })
}

func FuzzKoaSession(f *testing.F) {
	f.Add([]byte(`{"user_id":42,"name":"Zo\u00eb","_expire":1795347083196,"_maxAge":3600000,"_session":true}`))
	f.Add([]byte(` { "a" : [ "\ud83d" , { } ] , "a" : 1 , "_expire" : -1e3 } `))
	f.Fuzz(func(t *testing.T, value []byte) {
		checkAnything(t, stores.KoaSessionCookie(), value)
		checkAnything(t, stores.CookieJSON(), value)
	})
}

func FuzzSpring(f *testing.F) {
	type java struct{ Value []byte }
	for _, c := range vectors.Read[java](f, "java.json") {
		f.Add("user_id", string(c.Value), "1795341600000", "1800")
	}
	f.Add("SPRING_SECURITY_CONTEXT", `{"authentication":{"principal":{"username":"a"}}}`, `["java.lang.Long",1]`, "-1")
	f.Fuzz(func(t *testing.T, name, value, accessed, interval string) {
		fields := map[string]string{"lastAccessedTime": accessed, "maxInactiveInterval": interval, "sessionAttr:" + name: value}
		v, _, err := stores.Spring().DecodeHash(fields)
		if (v == nil) == (err == nil) {
			t.Fatalf("DecodeHash = %v, %v", v, err)
		}
		if err != nil {
			return
		}
		if m := v.Map(); len(m) > 1 {
			t.Errorf("one attribute became %d: %v", len(m), m)
		}
		printed(t, v)
	})
}

func FuzzGorillaCookie(f *testing.F) {
	f.Add([]byte("1795344528|\r\x7f\x04\x01\x02\xff\x80\x00\x01\x10\x01\x10\x00\x00\x1e\xff\x80\x00\x01\x06string\x0c\x09\x00\x07user_id\x03int\x04\x02\x00T"))
	f.Fuzz(func(t *testing.T, value []byte) { checkAnything(t, stores.GorillaCookie(0), value) })
}

// No value of n bytes makes a decoder hold more than 64·n and 64 KiB, counting
// even what it has let go of.
func TestFrameworkMemory(t *testing.T) {
	many := func(s string, n int) string { return strings.Repeat(s, n) }
	pickles := map[string]string{}
	for name, s := range map[string]string{
		"lists": "]", "dicts": "}", "sets": "\x8f", "marks": "(", "nothing": "N", "empty tuples": ")", "memo": "\x94", "memoed lists": "]\x94",
		"small strings": "\x8c\x01a", "strings of two": "\x8c\x02ab", "empty strings": "\x8c\x00", "long ints": "\x8a\x01\xff", "ints of 9 bytes": "\x8a\x09\x01\x01\x01\x01\x01\x01\x01\x01\x01", "decimals": "I1\n", "longs": "L1L\n",
		"big decimals": "L" + many("9", 40) + "L\n", "floats": "F1\n", "binary floats": "G\x00\x00\x00\x00\x00\x00\x00\x01", "unicode": "Va\n", "repr": "S'a'\n", "frames": "\x95\x00\x00\x00\x00\x00\x00\x00\x00",
		"puts": "r\xff\xff\xff\x7f", "bytes": "C\x01\xff", "DUP": "2",
	} {
		pickles[name] = "\x80\x04N" + many(s, 100_000/len(s))
		pickles["popped "+name] = "\x80\x04N" + many(s+"0", 100_000/(len(s)+1))
		pickles["few "+name] = "\x80\x04N" + many(s, 2000/len(s))
	}
	puts := ""
	for i := range 20_000 {
		puts += "r" + string([]byte{byte(i), byte(i >> 8), byte(i >> 16), 1})
	}
	list := "\x80\x04]q\x00(" + many("K\x01", 5000) + "e"
	for name, s := range map[string]string{
		"one by one":            "\x80\x04]" + many("Na", 50_000),
		"SETITEM":               "\x80\x04}" + many("NNs", 30_000),
		"bulks":                 "\x80\x04]" + many("("+many("N", 10_000)+"e", 11),
		"nested tuples":         "\x80\x04N" + many("\x85", 100_000),
		"triples":               "\x80\x04N" + many("NN\x87", 30_000),
		"memo out of order":     "\x80\x04N" + puts,
		"declared bytes":        "\x80\x04B\xff\xff\xff\x7f",
		"declared bytes8":       "\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f",
		"declared long":         "\x80\x04\x8b\xff\xff\xff\x7f",
		"doubling":              "\x80\x04]" + many("q\x00]h\x00ah\x00a", 10_000),
		"a list made sets":      list + "cbuiltins\nset\nq\x01h\x00\x85q\x020" + many("h\x01h\x02R", 10_000),
		"a list made dicts":     "\x80\x04](" + many("N)\x86", 5000) + "e\x85q\x02ccollections\nOrderedDict\nq\x01" + many("h\x01h\x02R", 10_000),
		"text encoded":          "\x80\x04X\x00\x40\x00\x00" + many("a", 1<<14) + "\x85q\x02c_codecs\nencode\nq\x01" + many("h\x01h\x02R", 10_000),
		"a key used repeatedly": "\x80\x04C\xff" + many("\xff", 255) + "q\x00}" + many("h\x00Ns", 20_000),
		"dates":                 "\x80\x04C\x0a\x07\xe8\x01\x02\x03\x04\x05\x00\x00\x01\x85q\x02cdatetime\ndatetime\nq\x01" + many("h\x01h\x02R", 20_000),
		"dates of text":         "\x80\x04\x8c\x0a\x07\x68\x01\x02\x03\x04\x05\x00\x00\x01\x85q\x02cdatetime\ndatetime\nq\x01" + many("h\x01h\x02R", 20_000),
		"UUIDs":                 "\x80\x04cuuid\nUUID\nq\x01" + many("h\x01)\x81", 20_000),
	} {
		pickles[name] = s
		pickles["ended "+name] = s + "."
	}
	for name, value := range pickles {
		checkMemory(t, "pickle of "+name, stores.FlaskSession(), value)
	}
	for name, value := range map[string]string{
		"2^31 items":       "\xdd\x7f\xff\xff\xff",
		"2^31 members":     "\xdf\x7f\xff\xff\xff",
		"2^31 bytes":       "\x81\xa1a\xc6\x7f\xff\xff\xff",
		"nested arrays":    "\x81\xa1a" + many("\x91", 100_000),
		"nested wide":      "\x81\xa1a" + many("\xdc\xff\xff", 30_000),
		"nested wide maps": "\x81\xa1a" + many("\xde\xff\xff", 30_000),
		"levels of maps":   many("\x81\xa1a", 30_000),
		"empty arrays":     "\x81\xa1a\xdd\x00\x01\x86\xa0" + many("\x90", 100_000),
		"empty maps":       "\x81\xa1a\xdd\x00\x01\x86\xa0" + many("\x80", 100_000),
		"nothing":          "\x81\xa1a\xdd\x00\x01\x86\xa0" + many("\xc0", 100_000),
		"small arrays":     "\x81\xa1a\xdd\x00\x00\xc3\x50" + many("\x91\xc0", 50_000),
		"small maps":       "\x81\xa1a\xdd\x00\x00\x82\x35" + many("\x81\xa0\xc0", 33_333),
		"small strings":    "\x81\xa1a\xdd\x00\x00\xc3\x50" + many("\xa1a", 50_000),
		"strings":          "\x81\xa1a\xdd\x00\x00\x82\x35" + many("\xa2ab", 33_333),
		"integers":         "\x81\xa1a\xdd\x00\x00\x82\x35" + many("\xcd\xff\xff", 33_333),
		"members":          "\xdf\x00\x00\xc3\x50" + many("\xa0\xc0", 50_000),
		"times":            "\x81\xa1a\xdd\x00\x00\x40\x00" + many("\xd6\xff\x00\x00\x00\x01", 1<<14),
	} {
		checkMemory(t, "msgpack of "+name, stores.FlaskSession(), value)
	}
	w := "\x03\xa0\x86\x01" // 100,000
	for name, value := range map[string]string{
		"2^31 items":       "{\x06\"\x00[\x04\xff\xff\xff\x7f",
		"nested arrays":    "{\x06\"\x00" + many("[\x06", 50_000),
		"nested wide":      "{\x06\"\x00" + many("["+w, 30_000),
		"nested hashes":    "{\x06\"\x00" + many("{"+w, 30_000),
		"nothing":          "{\x06\"\x00[" + w + many("0", 100_000),
		"empty arrays":     "{\x06\"\x00[" + w + many("[\x00", 100_000),
		"empty hashes":     "{\x06\"\x00[" + w + many("{\x00", 100_000),
		"empty strings":    "{\x06\"\x00[" + w + many("\"\x00", 100_000),
		"strings":          "{\x06\"\x00[" + w + many("\"\x07ab", 100_000),
		"linked strings":   "{\x06\"\x00[" + w + many("\"\x00", 99_999) + "@\x06",
		"symbols":          "{\x06\"\x00[" + w + many(":\x06a", 100_000),
		"empty symbols":    "{\x06\"\x00[" + w + many(":\x00", 100_000),
		"floats":           "{\x06\"\x00[" + w + many("f\x060", 100_000),
		"big integers":     "{\x06\"\x00[" + w + many("l+\x09\x01\x01\x01\x01\x01\x01\x01\x01", 100_000),
		"encoded strings":  "{\x06\"\x00[" + w + many("I\"\x06a\x06:\x06ET", 100_000),
		"members":          "{" + w + many("i\x000", 100_000),
		"levels of I":      "{\x06\"\x00" + many("I", 100_000),
		"doubling":         "{\x06\"\x00" + many("[\x07", 40) + many("@\x06", 41),
		"a key repeatedly": "{" + "\x03\x40\x9c\x00" + "\"\x01\xff" + many("\xff", 255) + "0" + many("@\x060", 39_999),
	} {
		checkMemory(t, "Marshal of "+name, stores.Rails(), "\x04\x08"+value)
	}
	for name, value := range map[string]string{
		"levels": many("[", 100_000), "levels of objects": many(`{"":`, 50_000), "tags": `{"a":` + many(`{" t":[`, 200) + many("]}", 200) + "}",
		"empty objects": `{"a":[` + many("{},", 50_000) + "0]}", "NaN": `{"a":[` + many("NaN,", 20_000) + "0]}",
		"tuples": `{"a":[` + many(`{" t":[]},`, 10_000) + "0]}", "members": `{` + many(`"":0,`, 20_000) + `"":0}`,
	} {
		checkMemory(t, "JSON of "+name, stores.FlaskCookie(0), value)
		checkMemory(t, "JSON of "+name, stores.Django(), value)
		checkMemory(t, "JSON of "+name, stores.Rails(), value)
		checkMemory(t, "JSON of "+name, stores.KoaSessionCookie(), value)
		checkMemory(t, "JSON of "+name, stores.CookieJSON(), value)
		checkMemory(t, "JSON of "+name, stores.Spring(), value)
	}
}

func checkMemory(t *testing.T, name string, codec stores.Codec, value string) {
	t.Helper()
	text := []byte(value)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, _ = codec.Decode(text)
	runtime.ReadMemStats(&after)
	held, most := after.TotalAlloc-before.TotalAlloc, 64*uint64(len(value))+64<<10
	if held > most {
		t.Errorf("%s: %d bytes take %d, want at most %d (%.1f a byte)", name, len(value), held, most, float64(held)/float64(len(value)))
	}
}
