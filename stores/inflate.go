package stores

import (
	"bytes"
	"compress/zlib"
	"errors"
	"io"
)

var errZlib = errors.New("it is not valid zlib data")

// inflate decompresses zlib data that holds at most limit bytes.
func inflate(data []byte, limit int) ([]byte, error) {
	r, err := zlib.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, errZlib
	}
	var out bytes.Buffer
	n, err := out.ReadFrom(io.LimitReader(r, int64(limit)+1))
	switch {
	case n > int64(limit):
		return nil, ErrTooLarge
	case err != nil:
		return nil, errZlib
	}
	return out.Bytes(), nil
}
