package cookie

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
	"sync"
)

// LaravelEncrypter opens what Laravel's Encrypter sealed: cookies, and the
// sessions of an application with session.encrypt. It is as lenient as Laravel
// (Illuminate\Encryption\Encrypter, 9 to 13; 8 differs in that it lets mac and
// tag be other scalars than strings).
type LaravelEncrypter struct {
	// Cipher is the application's app.cipher: AES-128-CBC, AES-256-CBC,
	// AES-128-GCM or AES-256-GCM, in any case. Empty: CBC and GCM are both
	// opened, and the key's length says how many bits.
	Cipher string

	keys []*laravelKey
}

// laravelKey is one application key, ready to use. What it holds is safe for
// concurrent use.
type laravelKey struct {
	err   error // why it is none
	size  int
	block cipher.Block
	gcm   cipher.AEAD
	mac   sync.Pool // of HMAC-SHA256, for payloads
	name  sync.Pool // of HMAC-SHA1, for cookie names
}

// NewLaravelEncrypter returns an encrypter for the application's APP_KEY and
// its APP_PREVIOUS_KEYS, each as in .env: "base64:" and the key in base64, or
// the key itself.
func NewLaravelEncrypter(appKey string, previous ...string) *LaravelEncrypter {
	e := &LaravelEncrypter{keys: []*laravelKey{newLaravelKey(appKey)}}
	for _, k := range previous {
		e.keys = append(e.keys, newLaravelKey(k))
	}
	return e
}

var (
	errNoAppKey  = errors.New("no APP_KEY; give the application's, as in its .env: base64:…")
	errBadAppKey = errors.New("an APP_KEY is not 16 or 32 bytes long; copy it from the application's .env whole, base64: and all, without quotes")
)

func newLaravelKey(text string) *laravelKey {
	key := []byte(text)
	if encoded, ok := strings.CutPrefix(text, "base64:"); ok {
		key, _ = phpBase64([]byte(encoded), false)
	}
	k := &laravelKey{size: len(key)}
	switch len(key) {
	case 0:
		k.err = errNoAppKey
		return k
	case 16, 32:
	default:
		k.err = errBadAppKey
		return k
	}
	if k.block, k.err = aes.NewCipher(key); k.err == nil {
		k.gcm, k.err = cipher.NewGCM(k.block)
	}
	k.mac.New = func() any { return hmac.New(sha256.New, key) }
	k.name.New = func() any { return hmac.New(sha1.New, key) }
	return k
}

// laravelCiphers gives the key's length and the mode of each cipher.
var laravelCiphers = map[string]struct {
	size int
	gcm  bool
}{
	"aes-128-cbc": {16, false},
	"aes-256-cbc": {32, false},
	"aes-128-gcm": {16, true},
	"aes-256-gcm": {32, true},
}

// Validate returns what is wrong with the keys or the cipher.
func (e *LaravelEncrypter) Validate() error {
	if e == nil || len(e.keys) == 0 {
		return errNoAppKey
	}
	for _, k := range e.keys {
		if k.err != nil {
			return k.err
		}
		if k.size != e.keys[0].size {
			return errors.New("one APP_KEY is 16 and another 32 bytes long; an application has one cipher, so give only the keys of that length")
		}
	}
	if e.Cipher == "" {
		return nil
	}
	c, ok := laravelCiphers[strings.ToLower(e.Cipher)]
	switch {
	case !ok:
		return fmt.Errorf("Laravel has no cipher %q; write AES-256-CBC, AES-128-CBC, AES-256-GCM or AES-128-GCM, or leave it empty", e.Cipher)
	case c.size != e.keys[0].size:
		return fmt.Errorf("%s takes an APP_KEY of %d bytes, this one has %d; leave Cipher empty, or give the key of that application", strings.ToUpper(e.Cipher), c.size, e.keys[0].size)
	}
	return nil
}

var (
	errLaravelPayload = errors.New("it is not what Laravel's Encrypter writes: base64 of JSON with the strings iv, value and mac")
	errLaravelIV      = errors.New("its iv has not the cipher's length")
	errLaravelTag     = errors.New("its tag has not the cipher's length")
	errLaravelPadding = errors.New("its MAC fits, but the padding inside is broken")
)

// Decrypt opens a payload, of which it returns the text as Laravel's
// decryptString does. Errors hold nothing of the payload.
func (e *LaravelEncrypter) Decrypt(payload string) ([]byte, error) {
	text, _ := phpBase64([]byte(payload), false)
	p, ok := parseLaravelPayload(text)
	if !ok {
		return nil, errLaravelPayload
	}
	iv, ok := phpBase64(p.iv, true)
	if !ok {
		return nil, errLaravelIV
	}
	var tag []byte
	if tagged := string(p.tag); tagged != "" && tagged != "0" { // PHP's empty()
		tag, _ = phpBase64(p.tag, false)
	}
	cbc, gcm := len(iv) == aes.BlockSize, len(iv) == 12
	if c, set := laravelCiphers[strings.ToLower(e.Cipher)]; set {
		cbc, gcm = cbc && !c.gcm, gcm && c.gcm
	}
	switch {
	case cbc && tag == nil:
		return e.openCBC(p, iv)
	case gcm && len(tag) == 16:
		return e.openGCM(p, iv, tag)
	case cbc || gcm:
		return nil, errLaravelTag
	}
	return nil, errLaravelIV
}

// openCBC checks the MAC, which is over the base64 and compared as text, and
// decrypts with the key that it fits.
func (e *LaravelEncrypter) openCBC(p laravelPayload, iv []byte) ([]byte, error) {
	for _, k := range e.keys {
		if k.err != nil || !k.fits(p) {
			continue
		}
		text, _ := phpBase64(p.value, false)
		if len(text) == 0 || len(text)%aes.BlockSize != 0 {
			return nil, errLaravelPadding
		}
		cipher.NewCBCDecrypter(k.block, iv).CryptBlocks(text, text)
		n := int(text[len(text)-1])
		if n == 0 || n > aes.BlockSize {
			return nil, errLaravelPadding
		}
		for _, b := range text[len(text)-n:] {
			if int(b) != n {
				return nil, errLaravelPadding
			}
		}
		return text[:len(text)-n], nil
	}
	return nil, e.misfit("MAC")
}

func (k *laravelKey) fits(p laravelPayload) bool {
	mac := k.mac.Get().(hash.Hash)
	defer k.mac.Put(mac)
	mac.Reset()
	_, _ = mac.Write(p.iv) // a hash never fails
	_, _ = mac.Write(p.value)
	var sum [sha256.Size]byte
	var text [2 * sha256.Size]byte
	hex.Encode(text[:], mac.Sum(sum[:0]))
	return hmac.Equal(text[:], p.mac)
}

// openGCM lets the tag vouch. The payload's mac must be there, but says
// nothing: Laravel writes an empty one and reads none.
func (e *LaravelEncrypter) openGCM(p laravelPayload, iv, tag []byte) ([]byte, error) {
	sealed, _ := phpBase64(p.value, false)
	sealed = append(sealed, tag...)
	for _, k := range e.keys {
		if k.err != nil {
			continue
		}
		if text, err := k.gcm.Open(nil, iv, sealed, nil); err == nil {
			return text, nil
		}
	}
	return nil, e.misfit("tag")
}

func (e *LaravelEncrypter) misfit(what string) error {
	if len(e.keys) == 1 {
		return fmt.Errorf("the %s does not fit the one APP_KEY", what)
	}
	return fmt.Errorf("the %s fits none of %d APP_KEYs", what, len(e.keys))
}

var errLaravelName = errors.New("it opens, but was not made for a cookie of this name")

// namePrefix is the length of the hex HMAC-SHA1 and the bar that stand before
// a cookie's value.
const namePrefix = 2*sha1.Size + 1

// cookie opens the value of the cookie called name, percent-decoded, and takes
// off the prefix that binds it to that name (CookieValuePrefix::validate): any
// of the keys may have made it.
func (e *LaravelEncrypter) cookie(name, value string) ([]byte, error) {
	text, err := e.Decrypt(value)
	if err != nil {
		return nil, err
	}
	if len(text) >= namePrefix {
		for _, k := range e.keys {
			if k.err == nil && k.named(name, text[:namePrefix]) {
				return text[namePrefix:], nil
			}
		}
	}
	return nil, errLaravelName
}

func (k *laravelKey) named(name string, prefix []byte) bool {
	mac := k.name.Get().(hash.Hash)
	defer k.name.Put(mac)
	mac.Reset()
	_, _ = mac.Write([]byte(name))
	_, _ = mac.Write([]byte("v2"))
	var sum [sha1.Size]byte
	var text [namePrefix]byte
	hex.Encode(text[:], mac.Sum(sum[:0]))
	text[namePrefix-1] = '|'
	return hmac.Equal(text[:], prefix)
}
