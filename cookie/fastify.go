package cookie

import (
	"errors"
	"slices"
	"strings"

	"github.com/sessionbridge/sessionbridge/stores"
)

// Fastify is @fastify/session with connect-redis: cookie "sessionId" signed
// with one of the secrets (newest first), the user at "user.id". For an
// application with a cookiePrefix, set the Opener to [FastifySigned].
func Fastify(secrets ...string) Stack {
	return Stack{
		Name:     "fastify",
		Cookie:   "sessionId",
		Opener:   FastifySigned("", secrets...),
		Keyspace: stores.FastifyKeyspace(),
		User:     "user.id",
	}
}

// FastifySigned opens the cookie of @fastify/session: its cookiePrefix option,
// the id, a dot, and the unpadded base64 of the id's HMAC-SHA256
// (@fastify/cookie's signer.js). Any of the secrets may have signed it.
func FastifySigned(cookiePrefix string, secrets ...string) Opener {
	return fastifySigned{cookiePrefix, slices.Clone(secrets), newIDSigners(secrets)}
}

type fastifySigned struct {
	prefix  string
	secrets []string
	signers idSigners
}

var (
	errFastifySecret = errors.New("no secret; give the one of the application's session plugin")
	errFastifyPrefix = errors.New("the cookie does not begin with the cookiePrefix")
)

func (o fastifySigned) Validate() error {
	if len(o.secrets) == 0 {
		return errFastifySecret
	}
	if slices.Contains(o.secrets, "") {
		return errEmptyKey
	}
	return nil
}

func (o fastifySigned) Open(jar Jar, name string) (Opened, error) {
	value, _ := jar.Get(name)
	if value = decodeURIComponent(fromLatin1(value)); value == "" {
		return Opened{}, noCookie(name)
	}
	signed, ok := strings.CutPrefix(value, o.prefix)
	if !ok {
		return Opened{}, errFastifyPrefix
	}
	id, err := o.signers.open(signed)
	return Opened{ID: id, Signed: err == nil}, err
}
