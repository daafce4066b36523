package stores_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/sessionbridge/sessionbridge/internal/vectors"
	"github.com/sessionbridge/sessionbridge/stores"
	"github.com/sessionbridge/sessionbridge/stores/php"
)

type compressedVector struct {
	byteVector
	Method  stores.Compression
	Handler php.Handler
}

var methods = []stores.Compression{
	stores.CompressionFound, stores.CompressionNone, stores.CompressionLZF, stores.CompressionLZ4, stores.CompressionZstd,
}

// Sessions that phpredis 6.1 compressed.
func TestCompressedVectors(t *testing.T) {
	for _, v := range vectors.Read[compressedVector](t, "compressed.json") {
		t.Run(v.Name, func(t *testing.T) {
			value := v.bytes(t)
			for _, method := range []stores.Compression{v.Method, stores.CompressionFound} {
				ks := stores.PHPKeyspace()
				ks.Codec = stores.Compressed(stores.PHP(v.Handler), method)
				path := "user_id"
				if strings.HasSuffix(v.Name, "large_10k") || strings.HasSuffix(v.Name, "level19") {
					path = "cart.item9999.id"
					v.User = "9999"
				}
				checkUser(t, ks, record(value, 1440), path, v.User)
			}
		})
	}
}

func zstdFrame(tb testing.TB, plain []byte, opts ...zstd.EOption) []byte {
	tb.Helper()
	w, err := zstd.NewWriter(nil, append(opts, zstd.WithEncoderConcurrency(1), zstd.WithSingleSegment(true))...)
	if err != nil {
		tb.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(plain, nil)
}

func lz4Value(tb testing.TB, plain []byte) []byte {
	tb.Helper()
	block := make([]byte, lz4.CompressBlockBound(len(plain)))
	n, err := lz4.CompressBlock(plain, block, nil)
	if err != nil || n == 0 {
		tb.Fatalf("CompressBlock = %d, %v", n, err)
	}
	return lz4Header(len(plain), block[:n])
}

// lz4Header puts phpredis' header before a block: the crc8 of the length (init
// 0xFF, polynomial 0x31), and the length.
func lz4Header(size int, block []byte) []byte {
	length := binary.LittleEndian.AppendUint32(nil, uint32(size))
	crc := byte(0xff)
	for _, c := range length {
		crc ^= c
		for range 8 {
			if crc&0x80 != 0 {
				crc = crc<<1 ^ 0x31
			} else {
				crc <<= 1
			}
		}
	}
	return append(append([]byte{crc}, length...), block...)
}

// lzfLiteral writes text as LibLZF does when it finds nothing to copy.
func lzfLiteral(text string) []byte {
	var b []byte
	for len(text) > 0 {
		n := min(len(text), 32)
		b = append(append(b, byte(n-1)), text[:n]...)
		text = text[n:]
	}
	return b
}

// A value that was not compressed, or by another method, is taken as it is.
func TestCompressedMismatch(t *testing.T) {
	const plain = "user_id|i:42;logged_in|b:1;csrf|s:4:\"ab12\";last|i:1700000000;"
	for _, v := range vectors.Read[compressedVector](t, "compressed.json") {
		if !strings.HasSuffix(v.Name, "login_simple") {
			continue
		}
		for _, method := range methods {
			if method == v.Method || method == stores.CompressionFound {
				continue
			}
			codec := stores.Compressed(stores.PHP(php.HandlerPHP), method)
			got, _, err := codec.Decode(v.bytes(t))
			want, _, wantErr := stores.PHP(php.HandlerPHP).Decode(v.bytes(t))
			if (err == nil) != (wantErr == nil) || err == nil && len(got.Map()) != len(want.Map()) {
				t.Errorf("%s read with %q: %v, as it is: %v", v.Name, method, err, wantErr)
			}
		}
	}
	for _, method := range methods {
		ks := stores.PHPKeyspace()
		ks.Codec = stores.Compressed(ks.Codec, method)
		checkUser(t, ks, record([]byte(plain), 1440), "user_id", "42")
		checkUser(t, ks, record(nil, 1440), "user_id", "")
	}
}

func TestCompressed(t *testing.T) {
	const plain = "user_id|i:42;"
	long := []byte(plain + `x|s:20000:"` + strings.Repeat("0123456789", 2000) + `";`)
	frame := zstdFrame(t, long)
	block := lz4Value(t, long)
	noSize := func() []byte {
		var b bytes.Buffer
		w, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
		if err == nil {
			_, err = w.Write(long)
			err = errors.Join(err, w.Flush())
		}
		if err := errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}()
	for _, c := range []struct {
		name    string
		method  stores.Compression
		value   []byte
		handler php.Handler
		user    string // empty: it cannot be decoded
	}{
		{name: "zstd", method: "zstd", value: frame, user: "42"},
		{name: "zstd found", value: frame, user: "42"},
		{name: "zstd cut off", method: "zstd", value: frame[:len(frame)-3]},
		{name: "zstd with bytes behind", method: "zstd", value: append(frame[:len(frame):len(frame)], "xxxx"...)},
		{name: "zstd twice, which is longer than the header says", method: "zstd", value: append(frame[:len(frame):len(frame)], frame...)},
		{name: "zstd that does not say its length", method: "zstd", value: noSize},
		{name: "lz4", method: "lz4", value: block, user: "42"},
		{name: "lz4 found", value: block, user: "42"},
		{name: "lz4 cut off", method: "lz4", value: block[:len(block)-3]},
		{name: "lz4 with another length", method: "lz4", value: lz4Header(len(long)+1, block[5:])},
		{name: "lz4 with a wrong checksum", method: "lz4", value: append([]byte{block[0] + 1}, block[1:]...)},
		{name: "lzf", method: "lzf", value: lzfLiteral(plain), user: "42"},
		{name: "lzf found, though it can be read as it is", value: lzfLiteral(plain), user: "42"},
		{name: "lzf found, longer", value: lzfLiteral(string(long)), user: "42"},
		{name: "lzf of php_serialize", value: lzfLiteral(`a:1:{s:7:"user_id";i:42;}`), handler: php.HandlerSerialize, user: "42"},
		{name: "lzf with a copy", method: "lzf", value: []byte("\x0cuser_id|i:42;\x04x|s:9\x00:\x01\"z\xc0\x00\x01\";"), user: "42"},
		{name: "lzf that copies from before the start", method: "lzf", value: []byte("\x00a\x20\x05")},
		{name: "lzf cut off in a run", method: "lzf", value: []byte("\x0cuser_id|")},
		{name: "lzf cut off in a copy", method: "lzf", value: []byte("\x0cuser_id|i:42;\xe0")},
		{name: "php_binary is not taken for lzf", value: []byte("\x07user_idi:42;"), handler: php.HandlerBinary, user: "42"},
		{name: "a name whose first byte is the checksum of the next four", value: []byte("\x9esess|i:1;user_id|i:42;"), user: "42"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.handler == "" {
				c.handler = php.HandlerPHP
			}
			v, _, err := stores.Compressed(stores.PHP(c.handler), c.method).Decode(c.value)
			user := ""
			if err == nil {
				user, err = stores.UserID(v, "user_id")
			}
			if user != c.user || (err == nil) != (c.user != "") {
				t.Errorf("user %q, %v, want %q", user, err, c.user)
			}
		})
	}
}

// A few bytes that decompress to more than the limit are refused, and do not
// cost it.
func TestDecompressionBombs(t *testing.T) {
	zeros := make([]byte, stores.MaxValue+1)
	lzf := []byte("\x00a")
	for range len(zeros)/264 + 1 {
		lzf = append(lzf, 0xe0, 0xff, 0x00)
	}
	for name, value := range map[string][]byte{
		"zstd": zstdFrame(t, zeros),
		"lz4":  lz4Value(t, zeros),
		"lzf":  lzf,
	} {
		for _, method := range []stores.Compression{stores.Compression(name), stores.CompressionFound} {
			var err error
			held := heldBy(func() {
				_, _, err = stores.Compressed(stores.PHP(php.HandlerPHP), method).Decode(value)
			})
			if err == nil || !strings.Contains(err.Error(), "more than 8 MiB") {
				t.Errorf("%s with %q: Decode = %v, want one that names the limit", name, method, err)
			}
			if most := 64*uint64(len(value)) + 64<<10; held > most {
				t.Errorf("%s with %q: %d bytes take %d, want at most %d", name, method, len(value), held, most)
			}
		}
	}
	// Up to the limit it is read.
	text := []byte(`user_id|i:42;x|s:8000000:"` + strings.Repeat("x", 8_000_000) + `";`)
	for name, value := range map[string][]byte{"zstd": zstdFrame(t, text), "lz4": lz4Value(t, text)} {
		ks := stores.PHPKeyspace()
		ks.Codec = stores.Compressed(ks.Codec, "")
		t.Run(name, func(t *testing.T) { checkUser(t, ks, record(value, 1440), "user_id", "42") })
	}
}

func TestCompressedValidate(t *testing.T) {
	ks := stores.PHPKeyspace()
	for _, method := range methods {
		ks.Codec = stores.Compressed(stores.PHP(php.HandlerPHP), method)
		if err := ks.Validate(); err != nil {
			t.Error(err)
		}
		ks.Codec = stores.Compressed(stores.PHP("xml"), method)
		if ks.Validate() == nil {
			t.Errorf("%q: a handler that does not exist passes", method)
		}
	}
	ks.Codec = stores.Compressed(stores.PHP(php.HandlerPHP), "gzip")
	if err := ks.Validate(); err == nil || !strings.Contains(err.Error(), "write lzf, lz4, zstd or none") {
		t.Errorf("Validate = %v", err)
	}
}
