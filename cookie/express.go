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
		o.signers = append(o.signers, &sync.Pool{New: func() any { return &expressSigner{mac: hmac.New(sha256.New, key)} }})
	}
	return o
}

type expressSigned struct {
	secrets []string
	signers []*sync.Pool // of *expressSigner, one for each secret
}

var (
	errUnsigned = errors.New(`the cookie is not signed: it does not begin with "s:"`)
	errNoDot    = errors.New("the cookie is signed, but has no signature")
)

func (o *expressSigned) Validate() error {
	if len(o.secrets) == 0 {
		return errors.New("no secret; give the one of the application's session({secret: …})")
	}
	if slices.Contains(o.secrets, "") {
		return errors.New("an empty secret signs for anybody; is an environment variable unset?")
	}
	return nil
}

func (o *expressSigned) Open(jar Jar, name string) (Opened, error) {
	value, _ := jar.Get(name)
	if value = unquote(value); value == "" {
		return Opened{}, noCookie(name)
	}
	signed, ok := strings.CutPrefix(decodeURIComponent(fromLatin1(value)), "s:")
	if !ok {
		return Opened{}, errUnsigned
	}
	dot := strings.LastIndexByte(signed, '.')
	if dot < 0 {
		return Opened{}, errNoDot
	}
	id, signature := signed[:dot], signed[dot+1:]
	idBytes, sent := []byte(id), []byte(signature)
	for _, pool := range o.signers {
		s := pool.Get().(*expressSigner)
		// Compared as text: a decoder would accept padding and non-canonical
		// last bits that the stack refuses.
		ok := hmac.Equal(s.sign(idBytes), sent)
		pool.Put(s)
		if ok {
			return Opened{ID: id, Signed: true}, nil
		}
	}
	return Opened{}, fmt.Errorf("the signature fits none of %d secrets", len(o.signers))
}

// expressSigner signs with one secret, and has room for what it needs.
type expressSigner struct {
	mac  hash.Hash
	sum  [sha256.Size]byte
	text [43]byte
}

// sign returns an id's signature, until the next is made.
func (s *expressSigner) sign(id []byte) []byte {
	s.mac.Reset()
	_, _ = s.mac.Write(id) // a hash never fails
	base64.RawStdEncoding.Encode(s.text[:], s.mac.Sum(s.sum[:0]))
	return s.text[:]
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

// unquote drops the quotes around a value, as the npm package cookie does: a
// single quote mark is both of them.
func unquote(s string) string {
	if s == `"` {
		return ""
	}
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

// fromLatin1 makes UTF-8 of a header: to Node, its bytes are Latin-1.
func fromLatin1(s string) string {
	ascii := true
	for i := range len(s) {
		ascii = ascii && s[i] < utf8.RuneSelf
	}
	if ascii {
		return s
	}
	b := make([]byte, 0, 2*len(s))
	for i := range len(s) {
		b = utf8.AppendRune(b, rune(s[i]))
	}
	return string(b)
}
