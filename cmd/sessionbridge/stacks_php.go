package main

import (
	"slices"
	"strings"

	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/stores"
	"github.com/sessionbridge/sessionbridge/stores/php"
)

var phpHandlers = []string{
	string(php.HandlerPHP), string(php.HandlerSerialize), string(php.HandlerBinary),
	string(php.HandlerIgbinary), string(php.HandlerMsgpack),
}

const takesPHP = takesPrefix | takesCompression

var phpStacks = []*entry{
	{
		name:     "php",
		about:    "PHP's native sessions with phpredis",
		example:  cookie.PHP(),
		takes:    takesPHP | takesSavePath,
		handlers: phpHandlers,
		shape:    phpShape,
		ways: func(s *settings, name string) ([]cookie.Stack, error) {
			return s.php(name, cookie.PHP()), nil
		},
	},
	{
		name:     "symfony",
		about:    "Symfony 5.4 to 7 with RedisSessionHandler",
		example:  cookie.Symfony(),
		takes:    takesPHP,
		handlers: phpHandlers,
		shape:    phpShape,
		ways: func(s *settings, name string) ([]cookie.Stack, error) {
			return s.php(name, cookie.Symfony()), nil
		},
	},
	{
		name:     "predis",
		about:    "PHP's sessions with Predis\\Session\\Handler, or as JSON by a handler of one's own",
		example:  cookie.Predis(""),
		takes:    takesPHP,
		handlers: append(slices.Clone(phpHandlers), "json"),
		shape:    phpShape,
		ways: func(s *settings, name string) ([]cookie.Stack, error) {
			if s.Handler == "json" {
				return one(name, cookie.PredisJSON("")), nil
			}
			return s.php(name, cookie.Predis("")), nil
		},
	},
	// Before codeigniter4, which finds what is under codeigniter3's prefix too.
	{
		name:     "codeigniter3",
		about:    "CodeIgniter 3 with the redis driver",
		example:  cookie.CodeIgniter3(),
		takes:    takesPHP,
		handlers: phpHandlers,
		shape:    phpShape,
		ways: func(s *settings, name string) ([]cookie.Stack, error) {
			return s.php(name, cookie.CodeIgniter3()), nil
		},
	},
	{
		name:     "codeigniter4",
		about:    "CodeIgniter 4 with RedisHandler",
		example:  cookie.CodeIgniter4(),
		takes:    takesPHP,
		handlers: phpHandlers,
		shape:    codeIgniter4Shape,
		ways: func(s *settings, name string) ([]cookie.Stack, error) {
			stack := cookie.CodeIgniter4()
			stack.Keyspace = stores.CodeIgniter4Keyspace(name)
			return s.php(name, stack), nil
		},
	},
	{
		name:     "laravel",
		about:    "Laravel 8 to 13, its sessions in Redis or in a cookie",
		example:  cookie.Laravel(""),
		takes:    takesPHP | takesAppKey | takesGuard,
		handlers: []string{"php", "json"},
		cookies:  []string{"laravel-session"},
		shape:    laravelShape,
		ways:     laravelWays,
	},
}

func phpShape(c namedCookie, _ cookie.Jar) shape {
	if stores.PHPKeyspace().ID.Check(c.value) != nil {
		return noShape
	}
	return plainShape
}

// codeIgniter4Shape: CodeIgniter 4.7 has ids of 32 hexadecimal digits, which
// CodeIgniter 3 finds too short.
func codeIgniter4Shape(c namedCookie, jar cookie.Jar) shape {
	if c.name == "ci_session" && len(c.value) == 32 && strings.Trim(c.value, "0123456789abcdef") == "" {
		return ownShape
	}
	return phpShape(c, jar)
}

// php applies --handler and --compression.
func (s *settings) php(cookieName string, stack cookie.Stack) []cookie.Stack {
	h := php.HandlerPHP
	if s.Handler != "" {
		h = php.Handler(s.Handler)
	}
	stack.Keyspace.Codec = s.phpCodec(h)
	return one(cookieName, stack)
}

func (s *settings) phpCodec(h php.Handler) stores.Codec {
	return stores.Compressed(stores.PHP(h), stores.Compression(s.Compression))
}

// laravelShape: base64 of a JSON object.
func laravelShape(c namedCookie, _ cookie.Jar) shape {
	return shapeIf(strings.HasPrefix(c.value, "eyJpdiI6I")) // {"iv":"
}

// laravelWays has the session in Redis, and in a second cookie if one was sent
// that could hold it.
func laravelWays(s *settings, name string) (list []cookie.Stack, err error) {
	var key string
	var previous []string
	if len(s.AppKey) > 0 {
		key, previous = s.AppKey[0], s.AppKey[1:]
	}
	format := stores.LaravelFormat{Serialization: s.Handler, Compression: stores.Compression(s.Compression)}
	if key != "" {
		format.Decrypt = cookie.NewLaravelEncrypter(key, previous...).Decrypt
	}
	inCookie := cookie.LaravelCookieDriver(key, previous...)
	inCookie.Keyspace.Codec = stores.LaravelInCookie(format)
	inRedis := cookie.Laravel(key, previous...)
	inRedis.Keyspace.Codec = stores.Laravel(format)
	list = one(name, inRedis)
	switch {
	case s.value != nil:
		list = append(list, one(name, inCookie)...)
	case s.SessionID == nil && s.sessionCookie(inCookie, name):
		list = one(name, inCookie)
	}
	if s.Guard != "" {
		for i := range list {
			list[i].User = cookie.LaravelGuard(s.Guard)
		}
	}
	return list, nil
}

// sessionCookie reports whether a stack's opener finds the session itself in
// the cookies, or what should be it.
func (s *settings) sessionCookie(stack cookie.Stack, name string) bool {
	if stack.Opener.Validate() != nil {
		return false
	}
	opened, err := stack.Opener.Open(s.jar, name)
	return err == nil && opened.Value != nil
}
