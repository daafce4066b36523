package stores

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sessionbridge/sessionbridge/stores/php"
)

// laravelID is what Laravel's Session\Store::isValidId lets through.
var laravelID = IDRule{Min: 40, Max: 40, Chars: alphanum}

// LaravelKeyspace is Laravel 8 to 13 with its default key prefixes, which are
// the Redis connection's and the cache's, one after the other. decrypt opens
// the sessions of an application with session.encrypt; nil if it has none.
// Lifetime is session.lifetime, by default 120 minutes.
func LaravelKeyspace(decrypt func(payload string) ([]byte, error)) Keyspace {
	return Keyspace{
		Prefix: "laravel_database_laravel_cache_", // the skeletons of 9 to early 12
		Alternatives: []string{
			"laravel-database-laravel-cache-",  // the skeletons since
			"laravel_database_laravel_cache:",  // 8: the framework puts the colon
			"laravel_database_laravel_cache_:", // the skeletons of 9 and 10: the framework puts it until 11
			"laravel_database_laravel_cache",   // 8's configuration, kept with 11 and later
		},
		ID:       laravelID,
		Codec:    Laravel(LaravelFormat{Decrypt: decrypt}),
		Lifetime: 2 * time.Hour,
	}
}

// LaravelFormat is how a Laravel application writes its sessions. The zero
// value finds everything out, but opens no encrypted sessions.
type LaravelFormat struct {
	// Serialization is session.serialization: "php" or "json" (Laravel 9 and
	// later). Empty: found out; JSON then counts only if it has the _token
	// that Laravel puts into every session.
	Serialization string

	// Client is the serializer of the phpredis client
	// (database.redis.options.serializer): "none", "php", "igbinary",
	// "msgpack" or "json". Empty: found out.
	Client string

	// Compression is the phpredis client's
	// (database.redis.options.compression).
	Compression Compression

	// Decrypt opens the sessions of an application with session.encrypt.
	Decrypt func(payload string) ([]byte, error)
}

// Laravel returns the codec of Laravel's CacheBasedSessionHandler over a Redis
// store: a serialized string, in it the session, serialized or as JSON.
//
// Where Laravel goes on with an empty session because it cannot read what is
// there, the codec gives an error: to the service that is a misconfiguration,
// not a logout. An empty value, a serialized null and a serialized false are
// empty sessions.
func Laravel(f LaravelFormat) Codec {
	return Compressed(laravelCodec{f}, f.Compression)
}

// LaravelInCookie returns the codec of Laravel's CookieSessionHandler: JSON
// with the session at "data" and its deadline at "expires".
func LaravelInCookie(f LaravelFormat) Codec { return laravelCookieCodec{laravelCodec{f}} }

type laravelCodec struct{ LaravelFormat }

func (c laravelCodec) Name() string { return "Laravel" }

func (c laravelCodec) validate() error {
	if !slices.Contains([]string{"", "php", "json"}, c.Serialization) {
		return fmt.Errorf("Laravel has no session.serialization %q; write php or json, or leave it empty", c.Serialization)
	}
	if !slices.Contains([]string{"", "none", "php", "igbinary", "msgpack", "json"}, c.Client) {
		return fmt.Errorf("phpredis has no serializer %q; write none, php, igbinary, msgpack or json, or leave it empty", c.Client)
	}
	return nil
}

var (
	errLaravelOuter   = errors.New("it is not the serialized string that Laravel's cache keeps a session in")
	errLaravelInner   = errors.New("the string in it is neither a serialized array nor a JSON session")
	errLaravelPHP     = errors.New("the session in it is serialized, not JSON: set Serialization to php")
	errLaravelJSON    = errors.New("the session in it is JSON, not serialized: set Serialization to json")
	errLaravelToken   = errors.New("the JSON in it has no _token, as Laravel's sessions have; if it is one, set Serialization to json")
	errLaravelCrypt   = errors.New("the session in it is encrypted (session.encrypt), and no key is given to decrypt it")
	errLaravelClosed  = errors.New("the session in it is encrypted (session.encrypt), and does not decrypt")
	errLaravelHandler = errors.New(`it is not the JSON with "data" and "expires" that Laravel's cookie driver keeps a session in`)
)

func (c laravelCodec) Decode(value []byte) (Values, time.Time, error) {
	text, err := c.stored(value)
	if err != nil {
		return nil, time.Time{}, err
	}
	v, err := c.session(text)
	return v, time.Time{}, err
}

var emptyPHP = phpValues{}

// stored takes off what the Redis client and the cache put around the session:
// the phpredis client's serializer, if it has one, and serialize(). Before
// Laravel 11.41 both are applied, since then only the first (RedisStore,
// connectionAwareSerialize).
func (c laravelCodec) stored(value []byte) (text []byte, err error) {
	if len(value) == 0 {
		return nil, nil
	}
	layers, most := 0, 2
	client := c.Client
	if client == "" {
		client = sniffClient(value)
	}
	switch client {
	case "none":
		most = 1
	case "igbinary", "msgpack", "json":
		if value, err = unpackString(client, value); err != nil {
			return nil, err
		}
		layers++
	}
	// The client's own php serializer writes as the cache's does.
	for ; layers < most && bytes.HasPrefix(value, []byte("s:")); layers++ {
		v, err := php.Unserialize(value)
		if err != nil {
			return nil, err
		}
		value = []byte(v.Text())
	}
	if layers > 0 {
		return value, nil
	}
	// What the cache has as null or false is an empty session.
	if v, err := php.Unserialize(value); err == nil && (v.Kind() == php.Null || v.Kind() == php.Bool && !v.Bool()) {
		return nil, nil
	}
	return nil, errLaravelOuter
}

// sniffClient tells the serializers of a phpredis client apart, of which each
// makes a string of the session begin in its own way.
func sniffClient(value []byte) string {
	switch c := value[0]; {
	case c == '"':
		return "json"
	case bytes.HasPrefix(value, []byte("\x00\x00\x00\x01")), bytes.HasPrefix(value, []byte("\x00\x00\x00\x02")):
		return "igbinary"
	case 0xd9 <= c && c <= 0xdb, 0xa0 <= c && c <= 0xbf, 0xc4 <= c && c <= 0xc6:
		return "msgpack"
	}
	return ""
}

func unpackString(client string, value []byte) (text []byte, err error) {
	if client == "json" {
		var s string
		if value[0] != '"' || json.Unmarshal(value, &s) != nil {
			return nil, errLaravelOuter
		}
		return []byte(s), nil
	}
	unserialize := php.UnserializeIgbinary
	if client == "msgpack" {
		unserialize = php.UnserializeMsgpack
	}
	v, err := unserialize(value)
	switch {
	case err != nil:
		return nil, err
	case v.Kind() == php.String:
		return []byte(v.Text()), nil
	case v.IsZero(), v.Kind() == php.Bool && !v.Bool():
		return nil, nil
	}
	return nil, errLaravelOuter
}

// session reads what Session\Store::readFromHandler gets.
func (c laravelCodec) session(text []byte) (Values, error) {
	if len(text) == 0 {
		return emptyPHP, nil
	}
	if encrypted(text) {
		if c.Decrypt == nil {
			return nil, errLaravelCrypt
		}
		plain, err := c.Decrypt(string(text))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errLaravelClosed, err)
		}
		// EncryptedStore lets the encrypter serialize what is a string.
		v, err := php.Unserialize(plain)
		if err != nil {
			return nil, err
		}
		if v.Kind() != php.String {
			return nil, errLaravelInner
		}
		text = []byte(v.Text())
	}
	if looksJSON(text) {
		return c.json(text)
	}
	if c.Serialization == "json" {
		if bytes.HasPrefix(text, []byte("a:")) {
			return nil, errLaravelPHP
		}
		return nil, errLaravelInner
	}
	v, err := php.Unserialize(text)
	switch {
	case err != nil:
		return nil, err
	case v.Kind() != php.Array:
		return nil, errLaravelInner
	}
	return phpValues{v}, nil
}

func (c laravelCodec) json(text []byte) (Values, error) {
	if c.Serialization == "php" {
		return nil, errLaravelJSON
	}
	v, err := parsePHPJSON(text)
	if err != nil {
		return nil, err
	}
	if _, ok := v.root.at("_token"); !ok && c.Serialization == "" {
		return nil, errLaravelToken
	}
	return v, nil
}

func looksJSON(text []byte) bool {
	text = bytes.TrimLeft(text, " \t\r\n")
	return len(text) > 0 && (text[0] == '{' || text[0] == '[')
}

// encrypted reports whether text is what Laravel's Encrypter writes: base64 of
// a JSON object. What is serialized has a colon or a semicolon second.
func encrypted(text []byte) bool {
	return bytes.HasPrefix(text, []byte("ey")) // {"
}

type laravelCookieCodec struct{ laravelCodec }

func (c laravelCookieCodec) Decode(value []byte) (Values, time.Time, error) {
	v, err := parsePHPJSON(value)
	if err != nil {
		return nil, time.Time{}, errLaravelHandler
	}
	expires, ok := v.root.at("expires")
	if !ok || expires[0] == 'n' {
		return nil, time.Time{}, ErrNotFound // as Laravel has it
	}
	seconds, err := strconv.ParseFloat(string(expires), 64)
	data, ok := v.Lookup("data")
	text, isString := data.(string)
	if err != nil || !ok || !isString {
		return nil, time.Time{}, errLaravelHandler
	}
	session, err := c.session([]byte(text))
	return session, phpTime(seconds), err
}
