package main

import (
	"io"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/alecthomas/kong"

	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/stores"
)

// settings are the flags of inspect. A pointer is nil if its flag was left out,
// which differs from an empty value: an empty --prefix is a key without one.
type settings struct {
	Stack            string  `required:"" placeholder:"NAME" help:"The stack that wrote the session; see sessionbridge stacks. auto tries all that may fit."`
	Redis            string  `default:"redis://127.0.0.1:6379" placeholder:"URL" help:"Where the sessions are: redis://[user:password@]host:port/database, rediss: or unix:."`
	Cookie           texts   `placeholder:"HEADER" help:"The Cookie header as the browser sent it: 'a=b; c=d'."`
	CookieName       *string `placeholder:"NAME" help:"The session cookie's name; unset: the stack's own."`
	SessionID        *string `name:"session-id" placeholder:"ID" help:"A session id; there is no cookie then, and no secret is needed."`
	Value            *string `placeholder:"FILE" help:"A raw session value in place of Redis; - reads it from standard input."`
	Secret           texts   `placeholder:"SECRET" help:"What signs or encrypts the cookie; repeatable, newest first."`
	AppKey           texts   `placeholder:"KEY" help:"Laravel's APP_KEY as in .env, then the previous keys."`
	Prefix           *string `placeholder:"PREFIX" help:"Literally everything before the id in the key; may be empty."`
	Handler          string  `placeholder:"HANDLER" help:"How the value is written: php, php_serialize, php_binary, igbinary, msgpack, json or gob."`
	Compression      string  `placeholder:"ALGORITHM" help:"lzf, lz4, zstd or none; unset: found out."`
	SavePath         *string `placeholder:"PATH" help:"PHP's session.save_path as in php.ini, in place of --redis and --prefix."`
	User             *string `placeholder:"PATH" help:"Where the user's id is in the session: names joined by dots; \\. is a dot inside a name."`
	Guard            string  `placeholder:"NAME" help:"Laravel's guard."`
	At               string  `placeholder:"TIME" help:"Judge deadlines as of then (RFC 3339, or seconds since 1970) instead of now."`
	InsecureUnsigned bool    `help:"Accept koa cookies without a signature, which anybody can make."`
	JSON             bool    `name:"json" help:"Print one JSON object."`

	value []byte    // of --value
	now   time.Time // of --at
	jar   cookie.Jar
}

// texts is a flag that can be repeated. kong's own would split its values at
// commas, and refuse one that begins with a hyphen.
type texts []string

// Decode implements kong.MapperValue.
func (t *texts) Decode(ctx *kong.DecodeContext) error {
	token, err := ctx.Scan.PopValue("string")
	if err != nil {
		return err
	}
	*t = append(*t, token.String())
	return nil
}

// takes are the flags that not every stack has a use for.
type takes uint

const (
	takesSecret takes = 1 << iota
	takesAppKey
	takesCompression
	takesSavePath
	takesGuard
	takesUnsigned
	takesPrefix

	takesAll = takesSecret | takesAppKey | takesCompression | takesSavePath | takesGuard | takesUnsigned | takesPrefix
)

// check validates the flags, and reads --value.
func (s *settings) check(e *entry, stdin io.Reader) (err error) {
	s.now = time.Now()
	if s.At != "" {
		if s.now, err = parseTime(s.At); err != nil {
			return err
		}
	}
	if s.Cookie == nil && s.SessionID == nil && s.Value == nil {
		return usagef("nothing to inspect: give --cookie, --session-id or --value")
	}
	for _, header := range s.Cookie {
		if hasPrefixFold(header, "cookie: ") { // a line that was copied whole
			header = header[len("cookie: "):]
		}
		s.jar = append(s.jar, header)
	}
	if s.CookieName != nil && *s.CookieName == "" {
		return usagef("--cookie-name is empty; leave it out for the stack's own")
	}
	if s.SessionID != nil && *s.SessionID == "" {
		return usagef("--session-id is empty; is a variable unset?")
	}
	if slices.Contains(s.Secret, "") {
		return usagef("an empty --secret signs for anybody; is a variable unset?")
	}
	if slices.Contains(s.AppKey, "") {
		return usagef("--app-key is empty; is a variable unset?")
	}
	if s.SavePath != nil && s.Prefix != nil {
		return usagef("--save-path says the prefix itself (…?prefix=…); give it or --prefix")
	}
	if err := s.checkTaken(e); err != nil {
		return err
	}
	if s.Value != nil {
		return s.readValue(stdin)
	}
	return nil
}

// checkTaken refuses a flag that the stack has no use for: it stands for a
// misunderstanding that the user would otherwise look for elsewhere.
func (s *settings) checkTaken(e *entry) error {
	for _, f := range []struct {
		given bool
		takes takes
		name  string
	}{
		{len(s.Secret) > 0, takesSecret, "--secret"},
		{len(s.AppKey) > 0, takesAppKey, "--app-key"},
		{s.Compression != "", takesCompression, "--compression"},
		{s.SavePath != nil, takesSavePath, "--save-path"},
		{s.Guard != "", takesGuard, "--guard"},
		{s.InsecureUnsigned, takesUnsigned, "--insecure-unsigned"},
	} {
		if f.given && e.takes&f.takes == 0 {
			return usagef("%s has no %s; it has %s", e.name, f.name, strings.Join(e.flags(), ", "))
		}
	}
	if s.Handler != "" && !slices.Contains(e.handlers, s.Handler) {
		if len(e.handlers) == 0 {
			return usagef("%s has no --handler; it has %s", e.name, strings.Join(e.flags(), ", "))
		}
		return usagef("--handler of %s is one of %s", e.name, strings.Join(e.handlers, ", "))
	}
	switch s.Compression {
	case "", "lzf", "lz4", "zstd", "none":
	default:
		return usagef("--compression is one of lzf, lz4, zstd, none")
	}
	return nil
}

func (s *settings) readValue(stdin io.Reader) error {
	in := stdin
	if *s.Value != "-" {
		f, err := os.Open(*s.Value)
		if err != nil {
			return usagef("--value: %v", err)
		}
		defer f.Close()
		in = f
	}
	// One byte more than the library reads, so that it says itself that it is
	// too much.
	value, err := io.ReadAll(io.LimitReader(in, stores.MaxValue+1))
	if err != nil {
		return usagef("--value: %v", err)
	}
	s.value = value
	return nil
}

func parseTime(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", time.DateTime, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.Unix(n, 0), nil
	}
	return time.Time{}, usagef("--at is no time; write it as 2006-01-02T15:04:05Z, or in seconds since 1970")
}

// redact takes out of a text everything that must not be printed. The parts
// of the library keep it out of their errors themselves; this is for the one
// that forgets.
func (s *settings) redact(text string) string {
	var hidden []string
	hidden = append(hidden, s.Secret...)
	for _, key := range s.AppKey {
		hidden = append(hidden, key, strings.TrimPrefix(key, "base64:"))
	}
	if u, err := url.Parse(s.Redis); err == nil && u.User != nil {
		if password, ok := u.User.Password(); ok {
			hidden = append(hidden, password)
		}
	}
	if s.SessionID != nil {
		hidden = append(hidden, *s.SessionID)
	}
	for _, c := range cookies(s.jar) {
		hidden = append(hidden, c.value)
		if decoded, err := url.PathUnescape(c.value); err == nil {
			hidden = append(hidden, decoded)
		}
	}
	// The longer first: one may be a part of another.
	slices.SortFunc(hidden, func(a, b string) int { return len(b) - len(a) })
	for _, h := range hidden {
		// Shorter ones would be found in ordinary words.
		if len(h) >= 8 {
			text = strings.ReplaceAll(text, h, "…")
		}
	}
	return text
}

// oneLine makes a text fit for one line of a terminal.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
}

type namedCookie struct{ name, value string }

// cookies lists what a Cookie header holds.
func cookies(jar cookie.Jar) (list []namedCookie) {
	for _, header := range jar {
		for pair := range strings.SplitSeq(header, ";") {
			if name, value, ok := strings.Cut(pair, "="); ok {
				list = append(list, namedCookie{strings.Trim(name, " \t"), strings.Trim(value, " \t")})
			}
		}
	}
	return list
}
