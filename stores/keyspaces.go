package stores

import (
	"time"

	"github.com/sessionbridge/sessionbridge/stores/php"
)

// phpLifetime is PHP's default of session.gc_maxlifetime.
const phpLifetime = 1440 * time.Second

// phpID is what session_create_id makes of session.sid_length (22 to 256) and
// sid_bits_per_character (4 to 6), php-src ext/session/session.c.
var phpID = IDRule{Min: 22, Max: 256, Chars: alphanum + ",-"}

// PHPKeyspace is PHP's native sessions by phpredis: "PHPREDIS_SESSION:" and
// the id, written by session.serialize_handler php. Lifetime is PHP's
// session.gc_maxlifetime, by default 24 minutes.
func PHPKeyspace() Keyspace {
	return Keyspace{Prefix: "PHPREDIS_SESSION:", ID: phpID, Codec: PHP(php.HandlerPHP), Lifetime: phpLifetime}
}

// ExpressKeyspace is express-session by connect-redis 3 to 10: "sess:" and the
// id. By default an id is 32 characters of base64url; the rule also fits UUIDs
// and other tokens that a genid function may return. An id in a signed cookie
// may be anything. Lifetime is the ttl of connect-redis, by default 24 hours,
// for sessions without a maxAge; zero stands for its disableTouch.
func ExpressKeyspace() Keyspace {
	return Keyspace{Prefix: "sess:", ID: IDRule{Min: 20, Max: 128, Chars: alphanum + "-_"}, Codec: Express(), Lifetime: 24 * time.Hour}
}

// GorillaKeyspace is gorilla/sessions by rbcervilla/redisstore: "session:" and
// the id, which is 103 characters of base32. An application that saves its
// sessions on every request has their MaxAge, by default 30 days, as Lifetime.
func GorillaKeyspace() Keyspace {
	return Keyspace{Prefix: "session:", ID: IDRule{Min: 26, Max: 256, Chars: upper + "234567"}, Codec: Gorilla(nil)}
}
