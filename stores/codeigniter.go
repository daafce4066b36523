package stores

import (
	"time"

	"github.com/sessionbridge/sessionbridge/stores/php"
)

// codeIgniterLifetime is the default of sess_expiration and, in CodeIgniter 4,
// of the session's expiration.
const codeIgniterLifetime = 2 * time.Hour

// codeIgniterID is an id of at least 160 bits, as CodeIgniter makes PHP's
// (CI_Session::_configure_sid_length): 40 of 0-9a-f, 32 of 0-9a-v, or 27 of 64
// characters, or more if session.sid_length says so. CodeIgniter 4.7 has 32
// hexadecimal digits.
var codeIgniterID = IDRule{Min: 27, Max: 256, Chars: alphanum + ",-"}

// CodeIgniter3Keyspace is CodeIgniter 3's redis driver: "ci_session:" and the
// id, written by session.serialize_handler php. Lifetime is sess_expiration, by
// default 2 hours.
func CodeIgniter3Keyspace() Keyspace {
	return Keyspace{Prefix: "ci_session:", ID: codeIgniterID, Codec: PHP(php.HandlerPHP), Lifetime: codeIgniterLifetime}
}

// CodeIgniter4Keyspace is CodeIgniter 4's RedisHandler for a cookie of the
// given name: "ci_session:", since 4.4 the cookie's name and a colon, and the
// id, written by session.serialize_handler php. Lifetime is the session's
// expiration, by default 2 hours.
func CodeIgniter4Keyspace(cookieName string) Keyspace {
	return Keyspace{
		Prefix:       "ci_session:" + cookieName + ":",
		Alternatives: []string{"ci_session:"},
		ID:           codeIgniterID,
		Codec:        PHP(php.HandlerPHP),
		Lifetime:     codeIgniterLifetime,
	}
}
