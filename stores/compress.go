package stores

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Compression is how phpredis compresses values: its
// redis.session.compression, or a client's OPT_COMPRESSION.
type Compression string

// The methods that phpredis has.
const (
	// CompressionFound is the default: it is found out for each value.
	CompressionFound Compression = ""

	CompressionNone Compression = "none" // values are never compressed
	CompressionLZF  Compression = "lzf"  // without a header, as phpredis writes it
	CompressionLZ4  Compression = "lz4"  // behind phpredis' own header
	CompressionZstd Compression = "zstd" // a frame of RFC 8878
)

// Compressed returns a codec for values that phpredis compressed after they
// were encoded for c. As phpredis does, it takes a value that cannot be
// decompressed as it is. A value that decompresses to more than [MaxValue]
// cannot be decoded.
//
// With CompressionFound, zstd is known by its frame's header and lz4 by its
// checksum. lzf has neither, so it is tried when a value cannot be decoded as
// it is, or begins with a control character, as lzf does and hardly anything
// else.
func Compressed(c Codec, method Compression) Codec {
	if method == CompressionNone {
		return c
	}
	return compressedCodec{c, method}
}

type compressedCodec struct {
	Codec
	method Compression
}

func (c compressedCodec) validate() error {
	switch c.method {
	case CompressionFound, CompressionLZF, CompressionLZ4, CompressionZstd:
	default:
		return fmt.Errorf("phpredis has no compression %q; write lzf, lz4, zstd or none", string(c.method))
	}
	if v, ok := c.Codec.(interface{ validate() error }); ok {
		return v.validate()
	}
	return nil
}

// errNotCompressed says that a value is not what the method writes.
var errNotCompressed = errors.New("it is not compressed")

var errDecompressed = fmt.Errorf("it decompresses to more than %d MiB", MaxValue>>20)

func (c compressedCodec) Decode(value []byte) (Values, time.Time, error) {
	if c.method == CompressionFound {
		return c.find(value)
	}
	plain, err := decompress(c.method, value)
	switch err {
	case nil:
		value = plain
	case errDecompressed:
		return nil, time.Time{}, err
	}
	return c.Codec.Decode(value)
}

func (c compressedCodec) find(value []byte) (Values, time.Time, error) {
	var tooLarge error
	for _, method := range [...]Compression{CompressionZstd, CompressionLZ4} {
		switch plain, err := decompress(method, value); err {
		case nil:
			return c.Codec.Decode(plain)
		case errDecompressed:
			tooLarge = err
		}
	}
	v, deadline, err := c.Codec.Decode(value)
	if err == nil && (len(value) == 0 || value[0] >= lzfLiterals) {
		return v, deadline, nil
	}
	switch plain, lzfErr := decompress(CompressionLZF, value); lzfErr {
	case nil:
		if v, deadline, err := c.Codec.Decode(plain); err == nil {
			return v, deadline, nil
		}
	case errDecompressed:
		tooLarge = lzfErr
	}
	if err != nil && tooLarge != nil {
		err = tooLarge
	}
	return v, deadline, err
}

// decompress does what phpredis' redis_uncompress does (library.c).
func decompress(method Compression, value []byte) ([]byte, error) {
	switch method {
	case CompressionLZF:
		return unlzf(value)
	case CompressionLZ4:
		return unlz4(value)
	case CompressionZstd:
		return unzstd(value)
	}
	return nil, errNotCompressed
}

// lz4Header is a crc8 of the four bytes behind it, which are the length of
// what follows when decompressed.
const lz4Header = 5

func unlz4(value []byte) ([]byte, error) {
	if len(value) < lz4Header || crc8(value[1:lz4Header]) != value[0] {
		return nil, errNotCompressed
	}
	size, block := int64(binary.LittleEndian.Uint32(value[1:])), value[lz4Header:]
	// One byte gives at most 255, so text whose first byte happens to be the
	// checksum of the next four is not taken for something huge.
	if size == 0 || size > 255*int64(len(block)) {
		return nil, errNotCompressed
	}
	if size > MaxValue {
		return nil, errDecompressed
	}
	plain := make([]byte, size)
	if n, err := lz4.UncompressBlock(block, plain); err != nil || int64(n) != size {
		return nil, errNotCompressed
	}
	return plain, nil
}

// crc8 is phpredis' own: polynomial 0x31, initially 0xFF.
func crc8(b []byte) byte {
	crc := byte(0xff)
	for _, c := range b {
		crc ^= c
		for range 8 {
			if crc&0x80 != 0 {
				crc = crc<<1 ^ 0x31
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}

var zstdReader = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderMaxMemory(MaxValue), zstd.WithDecoderLowmem(true))
})

// unzstd reads frames whose header says how long they decompress, as those of
// ZSTD_compress do; phpredis takes others for not compressed.
func unzstd(value []byte) ([]byte, error) {
	var h zstd.Header
	if h.Decode(value) != nil || h.Skippable || !h.HasFCS {
		return nil, errNotCompressed
	}
	if h.FrameContentSize > MaxValue {
		return nil, errDecompressed
	}
	r, err := zstdReader()
	if err != nil {
		return nil, err
	}
	plain, err := r.DecodeAll(value, nil)
	if err != nil || uint64(len(plain)) != h.FrameContentSize {
		return nil, errNotCompressed
	}
	return plain, nil
}
