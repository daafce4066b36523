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

// open returns the id. The result is no Opened because that is kept in memory,
// and for what verifies the id a handshake's stack just suffices.
func (signers idSigners) open(signed string) (id string, err error) {
	dot := strings.LastIndexByte(signed, '.')
	if dot < 0 {
		return "", errNoDot
	}
	id = signed[:dot]
	for _, pool := range signers {
		s := pool.Get().(*idSigner)
		ok := s.signed(id, signed[dot+1:])
		pool.Put(s)
		if ok {
			return id, nil
		}
	}
	return "", misfit(len(signers), "secret")
}

// idSigner signs with one secret, and has room for what it needs: to have it on
// the stack would make a handshake's stack grow.
type idSigner struct {
	mac  hash.Hash
	id   [64]byte // what most ids fit into
	sum  [sha256.Size]byte
	text [signatureLen]byte
	sent [signatureLen]byte
}

// signatureLen is the length of a signature: 32 bytes in base64.
const signatureLen = 43

// signed reports whether an id's signature is the one that was sent.
func (s *idSigner) signed(id, sent string) bool {
	if len(sent) != signatureLen {
		return false
	}
	s.mac.Reset()
	_, _ = s.mac.Write(append(s.id[:0], id...)) // a hash never fails
	base64.RawStdEncoding.Encode(s.text[:], s.mac.Sum(s.sum[:0]))
	copy(s.sent[:], sent)
	// Compared as text: a decoder would accept padding and non-canonical last
	// bits that the stacks refuse.
	return hmac.Equal(s.text[:], s.sent[:])
}
