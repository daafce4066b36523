package cookie

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"hash"
	"strings"
	"sync"
)

// idSigners verify an id that is followed by a dot and the unpadded base64 of
// its HMAC-SHA256: what cookie-signature and @fastify/cookie write.
type idSigners []*sync.Pool // of *idSigner, one for each secret

func newIDSigners(secrets []string) idSigners {
	signers := make(idSigners, len(secrets))
	for i, s := range secrets {
		key := []byte(s)
		signers[i] = &sync.Pool{New: func() any { return &idSigner{mac: hmac.New(sha256.New, key)} }}
	}
	return signers
}

var errNoDot = errors.New("the cookie is signed, but has no signature")

func (signers idSigners) open(signed string) (Opened, error) {
	dot := strings.LastIndexByte(signed, '.')
	if dot < 0 {
		return Opened{}, errNoDot
	}
	id := signed[:dot]
	idBytes, sent := []byte(id), []byte(signed[dot+1:])
	for _, pool := range signers {
		s := pool.Get().(*idSigner)
		// Compared as text: a decoder would accept padding and non-canonical
		// last bits that the stacks refuse.
		ok := hmac.Equal(s.sign(idBytes), sent)
		pool.Put(s)
		if ok {
			return Opened{ID: id, Signed: true}, nil
		}
	}
	return Opened{}, misfit(len(signers), "secret")
}

// idSigner signs with one secret, and has room for what it needs.
type idSigner struct {
	mac  hash.Hash
	sum  [sha256.Size]byte
	text [43]byte
}

// sign returns an id's signature, until the next is made.
func (s *idSigner) sign(id []byte) []byte {
	s.mac.Reset()
	_, _ = s.mac.Write(id) // a hash never fails
	base64.RawStdEncoding.Encode(s.text[:], s.mac.Sum(s.sum[:0]))
	return s.text[:]
}
