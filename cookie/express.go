package cookie

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"net/url"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// ExpressSigned opens the cookie of express-session: "s:", the id, a dot, and
// the unpadded base64 of the id's HMAC-SHA256, percent-encoded
// (cookie-signature's index.js). Any of the secrets may have signed it; the
// first is the one that the application signs with now.
func ExpressSigned(secrets ...string) Opener {
	o := &expressSigned{secrets: slices.Clone(secrets)}
	for _, s := range secrets {
		key := []byte(s)
		o.macs = append(o.macs, &sync.Pool{New: func() any { return hmac.New(sha256.New, key) }})
	}
	return o
}

type expressSigned struct {
	secrets []string
	macs    []*sync.Pool // of hash.Hash, one for each secret
}

var (
	errUnsigned = errors.New(`the cookie is not signed: it does not begin with "s:"`)
	errNoDot    = errors.New("the cookie is signed, but has no signature")
)

func (o *expressSigned) Validate() error {
	if len(o.secrets) == 0 {
		return errors.New(`cookie: no secret; give the one of the application's session({secret: …})`)
	}
	if slices.Contains(o.secrets, "") {
		return errors.New("cookie: an empty secret signs for anybody; is an environment variable unset?")
	}
	return nil
}

func (o *expressSigned) Open(jar Jar, name string) (Opened, error) {
	value, ok := jar.Get(name)
	if !ok || value == "" {
		return Opened{}, noCookie(name)
	}
	signed, ok := strings.CutPrefix(decodeURIComponent(unquote(value)), "s:")
	if !ok {
		return Opened{}, errUnsigned
	}
	dot := strings.LastIndexByte(signed, '.')
	if dot < 0 {
		return Opened{}, errNoDot
	}
	id, signature := signed[:dot], signed[dot+1:]
	for _, pool := range o.macs {
		if checkMAC(pool, id, signature) {
			return Opened{ID: id, Signed: true}, nil
		}
	}
	return Opened{}, fmt.Errorf("the signature fits none of %d secrets", len(o.macs))
}

// checkMAC compares the signatures as text: a decoder would accept padding and
// non-canonical last bits that the stack refuses.
func checkMAC(pool *sync.Pool, id, signature string) bool {
	mac := pool.Get().(hash.Hash)
	defer pool.Put(mac)
	mac.Reset()
	_, _ = mac.Write([]byte(id)) // a hash never fails
	var sum [sha256.Size]byte
	var text [43]byte
	base64.RawStdEncoding.Encode(text[:], mac.Sum(sum[:0]))
	return hmac.Equal(text[:], []byte(signature))
}

// decodeURIComponent decodes as the npm package cookie does: what is not well
// encoded stays as it is.
func decodeURIComponent(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	decoded, err := url.PathUnescape(s)
	if err != nil || !utf8.ValidString(decoded) {
		return s
	}
	return decoded
}

// unquote drops the quotes around a value, as the npm package cookie does.
func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}
