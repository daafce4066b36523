package cookie

import (
	"fmt"
	"strings"

	"github.com/sessionbridge/sessionbridge/stores"
)

// Laravel is Laravel 8 to 13 with its sessions in Redis: cookie
// laravel_session, encrypted with the APP_KEY or a previous key, each as in
// .env; the key prefixes of Laravel's default configurations; and the user of
// the guard web.
//
// New applications call the cookie laravel-session; and the names of cookie
// and prefix derive from APP_NAME:
//
//	app := cookie.Laravel(os.Getenv("APP_KEY"))
//	app.Cookie = "my_shop_session"
//	app.Keyspace.Prefix = "my_shop_database_my_shop_cache_"
//	app.Keyspace.Alternatives = nil
//	app.User = cookie.LaravelGuard("admin")
//
// The prefix is the Redis connection's (database.redis.options.prefix) and the
// cache's (cache.prefix, or session.prefix from Laravel 13 on) behind it.
// Sessions are in the connection session.connection, by default the one called
// default.
func Laravel(appKey string, previous ...string) Stack {
	e := NewLaravelEncrypter(appKey, previous...)
	return Stack{
		Name:     "laravel",
		Cookie:   "laravel_session",
		Opener:   LaravelEncrypted(e),
		Keyspace: stores.LaravelKeyspace(e.Decrypt),
		User:     LaravelGuard("web"),
	}
}

// LaravelGuard returns the path of the user's id that the session guard called
// name keeps (SessionGuard::getName).
func LaravelGuard(name string) string {
	return stores.EscapeName("login_" + name + "_" + sessionGuardSHA1)
}

// sessionGuardSHA1 is sha1('Illuminate\Auth\SessionGuard').
const sessionGuardSHA1 = "59ba36addc2b2f9401580f014c7f58ea4e30989d"

// LaravelEncrypted opens a session cookie that Laravel's EncryptCookies
// encrypted.
func LaravelEncrypted(e *LaravelEncrypter) Opener { return laravelEncrypted{e} }

type laravelEncrypted struct{ *LaravelEncrypter }

// Open implements [Opener]. Encryption vouches for the id, but Opened is not
// Signed: Laravel itself takes an id for none unless it is 40 letters and
// digits (Session\Store::isValidId), whatever vouches for it.
func (o laravelEncrypted) Open(jar Jar, name string) (Opened, error) {
	id, err := o.open(jar, name)
	return Opened{ID: id}, err
}

func (o laravelEncrypted) open(jar Jar, name string) (id string, err error) {
	value := phpCookie(jar, name)
	if value == "" || value == "deleted" { // "deleted": Symfony's Cookie without a value
		if rememberMe(jar) {
			return "", fmt.Errorf("%w, only a remember-me cookie: that one needs the application's database; "+
				"have the client make any request to the application first, which starts a session", noCookie(name))
		}
		return "", noCookie(name)
	}
	text, err := o.cookie(name, phpRawURLDecode(value))
	return string(text), err
}

// rememberMe reports whether there is a cookie such as the SessionGuard's
// getRecallerName names: remember_<guard>_<sha1 of the guard's class>.
func rememberMe(jar Jar) bool {
	for pair := range jar.pairs() {
		name, value, _ := strings.Cut(pair, "=")
		name, array := phpName(name)
		class := name[strings.LastIndexByte(name, '_')+1:]
		if !array && value != "" && strings.HasPrefix(name, "remember_") && len(class) == len(sessionGuardSHA1) &&
			strings.Trim(class, "0123456789abcdef") == "" {
			return true
		}
	}
	return false
}
