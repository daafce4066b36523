package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/stores"
	"github.com/sessionbridge/sessionbridge/stores/php"
)

// hints says what is likely the cause of a refusal and what to try, the
// likeliest first. But for a guess where nothing better is known, a hint is
// given only for what was seen to be so, or to help.
func (in *inspection) hints(ctx context.Context, w *walked) []hint {
	var list []hint
	switch w.step {
	case stepCookie:
		list = in.cookieHints(w)
	case stepOpen:
		list = append(in.openHints(w), in.shapeHints(w)...)
	case stepKey:
		list = in.shapeHints(w)
	case stepLookup:
		list = in.lookupHints(ctx, w)
	case stepDecode:
		list = in.decodeHints(w)
	case stepUser:
		list = in.userHints(w)
	}
	if len(list) == 0 {
		list = in.guess(w)
	}
	return list
}

// guess is the common cause of a refusal.
func (in *inspection) guess(w *walked) []hint {
	h := hint{guess: true}
	switch {
	case w.step == stepCookie && len(cookies(in.jar)) > 0:
		var names []string
		for _, c := range cookies(in.jar) {
			if tellable(c.name) && oneLine(c.name) == c.name && len(names) < 12 {
				names = append(names, c.name)
			}
		}
		if len(names) == 0 {
			return nil
		}
		h.likely = "the cookie is called otherwise, or was not sent to this path or host; sent were " + strings.Join(names, ", ")
		h.try = "--cookie-name, if one of them is the session's"
	case w.step == stepCookie && len(in.Cookie) > 0 && !strings.Contains(strings.Join(in.Cookie, ""), "="):
		h.likely = "only the cookie's value is given"
		h.try = fmt.Sprintf("--cookie '%s=…'", w.way.stack.Cookie)
	case w.step == stepOpen && w.way.stack.Opener.Validate() != nil:
		h.likely = "the cookie is signed or encrypted, and nothing is given to open it with"
		h.try = "--secret with the one that the running application has"
		if w.way.entry.takes&takesAppKey != 0 {
			h.try = "--app-key with the running application's APP_KEY"
		}
	case w.step == stepOpen && strings.Contains(w.err.Error(), "not signed"):
		h.likely = "another application has set a cookie of this name, or the value is not as the browser sent it"
		h.try = "--cookie with the whole header of a browser that is logged in; --cookie-name, if the application's is called otherwise"
	case w.step == stepOpen && w.way.entry.takes&takesAppKey != 0:
		h.likely, h.try = "the key is not the application's, or the cookie is from another environment", "--app-key with the running application's APP_KEY, then the previous ones"
	case w.step == stepOpen && w.way.entry.takes&takesSecret != 0:
		h.likely, h.try = "the secret is not the application's, or the cookie is from another environment", "--secret with the one that the running application has, then the older ones"
	case w.step == stepLookup && w.record != nil && !w.record.Found:
		h.likely, h.try = "the session is over, by a logout or its time, or is in another Redis", "a fresh login; or the application's own server in --redis"
		if in.unsearched != nil {
			h.likely = fmt.Sprintf("the session is over, or has another prefix; Redis could not be searched for it: %v", in.unsearched)
			if strings.HasPrefix(in.unsearched.Error(), "NOPERM") {
				h.try = "--redis with a user that may SCAN; or a fresh login"
			}
		}
	case errors.Is(w.err, stores.ErrExpired):
		h.likely, h.try = "the session's time is over", "a fresh login"
	case w.step == stepUser:
		h.likely, h.try = "nobody is logged in to this session", "a cookie of a browser that is logged in; or --user with the path of the id"
	default:
		return nil
	}
	return []hint{h}
}

// cookieHints looks for the session under another name.
func (in *inspection) cookieHints(w *walked) (list []hint) {
	stack := w.way.stack
	if stack.Opener == nil {
		return nil
	}
	for _, c := range cookies(in.jar) {
		if c.name == stack.Cookie || !tellable(c.name) || !w.way.entry.fits(c, in.jar, c.named()) {
			continue
		}
		if opened, err := stack.Opener.Open(in.jar, c.name); err == nil &&
			(opened.Signed || stack.Keyspace.ID.Check(opened.ID) == nil) {
			list = append(list, hint{likely: fmt.Sprintf("%q is there and can be opened", c.name), try: "--cookie-name " + quoteArg(c.name)})
		}
	}
	return list
}

// tellable reports whether a cookie's name may be printed: Laravel's cookie
// driver has one that is the session id.
func tellable(name string) bool { return len(name) <= 32 }

// openHints mends the cookie, then the secrets, in the ways in which they are
// often damaged, and reports what opens.
func (in *inspection) openHints(w *walked) (list []hint) {
	stack := w.way.stack
	value, ok := in.jar.Get(stack.Cookie)
	if !ok || stack.Opener.Validate() != nil {
		return nil
	}
	for _, m := range []struct {
		mend func(string) string
		what string
	}{
		{func(v string) string { return strings.ReplaceAll(v, " ", "+") }, "a + in the cookie became a space: it was decoded like a form"},
		{unescape, "the cookie is percent-encoded once too often"},
		{url.QueryEscape, "the cookie was percent-decoded; it must be given as the browser sent it"},
		{func(v string) string { return strings.Trim(v, `"'`) }, "the cookie has quotes around it"},
	} {
		mended := m.mend(value)
		if mended == value {
			continue
		}
		jar := make(cookie.Jar, len(in.jar)) // whole: the signature may be in another cookie
		for i, header := range in.jar {
			jar[i] = strings.Replace(header, value, mended, 1)
		}
		if _, err := stack.Opener.Open(jar, stack.Cookie); err == nil {
			list = append(list, hint{likely: m.what, try: "send the cookie's value as the application set it"})
		}
	}
	if in.secretMended(w, func(s string) string { return strings.Trim(s, " \t\r\n\"'") }) {
		list = append(list, hint{likely: "a secret has quotes or white space around it that do not belong to it", try: "give it without"})
	}
	return list
}

// secretMended reports whether the cookie opens if the secrets are changed.
func (in *inspection) secretMended(w *walked, mend func(string) string) bool {
	changed := *in.settings
	each := func(list []string) (out []string) {
		for _, s := range list {
			out = append(out, mend(s))
		}
		return out
	}
	changed.Secret, changed.AppKey = each(in.Secret), each(in.AppKey)
	if slices.Equal(changed.Secret, in.Secret) && slices.Equal(changed.AppKey, in.AppKey) {
		return false
	}
	stacks, err := w.way.entry.ways(&changed, w.way.stack.Cookie)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(stacks, func(stack cookie.Stack) bool {
		if stack.Opener.Validate() != nil {
			return false
		}
		_, err := stack.Opener.Open(in.jar, w.way.stack.Cookie)
		return err == nil
	})
}

// shapeHints names the stacks whose cookies look like this one.
func (in *inspection) shapeHints(w *walked) (list []hint) {
	value, ok := in.jar.Get(w.way.stack.Cookie)
	c := namedCookie{w.way.stack.Cookie, value}
	if !ok || w.way.entry.fits(c, in.jar, true) {
		return nil
	}
	for _, e := range registry {
		if e != w.way.entry && e.fits(c, in.jar, false) {
			list = append(list, hint{likely: "the cookie has the shape of " + e.name + "'s", try: "--stack " + e.name})
		}
	}
	return list
}

// Bounds of the search for near-by keys: SCAN is cheap for the server in small
// steps, but must not go on for ever on a large one.
const (
	scanStep  = 1000
	scanSteps = 200
	scanTime  = 2 * time.Second
)

// lookupHints searches Redis for the id under other prefixes and in other
// databases.
func (in *inspection) lookupHints(ctx context.Context, w *walked) (list []hint) {
	if w.key == nil || w.record == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, scanTime)
	defer cancel()
	if errors.Is(w.record.Err, stores.ErrWrongType) {
		return in.typeHints(ctx, w)
	}
	if w.record.Found {
		return nil
	}
	for i, client := range in.clients {
		found := in.nearKeys(ctx, w, client)
		for j := range found {
			if len(in.clients) > 1 {
				found[j].likely = fmt.Sprintf("server %d: ", i+1) + found[j].likely
			}
		}
		list = append(list, found...)
	}
	return list
}

func (in *inspection) typeHints(ctx context.Context, w *walked) []hint {
	for _, client := range in.clients {
		kind, err := client.Type(ctx, w.key.String()).Result()
		if err != nil || kind == "none" {
			continue
		}
		want := "string"
		if w.key.Hash {
			want = "hash"
		}
		return []hint{{
			likely: fmt.Sprintf("it is a %s, and %s keeps a %s", kind, w.way.entry.name, want),
			try:    "the --stack, or the --prefix, of the application that writes it",
		}}
	}
	return nil
}

func (in *inspection) nearKeys(ctx context.Context, w *walked, client *redis.Client) (list []hint) {
	prefixes, err := nearPrefixes(ctx, client, w.key.ID)
	if err != nil {
		in.unsearched = err
	}
	for _, prefix := range prefixes {
		if slices.ContainsFunc(w.keys, func(k stores.Key) bool { return k.Prefix == prefix }) {
			continue
		}
		try := "--prefix " + quoteArg(prefix)
		if in.SavePath != nil {
			try = "prefix=" + url.QueryEscape(prefix) + " in --save-path"
		}
		list = append(list, hint{likely: fmt.Sprintf("%q exists", showKey(stores.Key{Prefix: prefix, ID: w.key.ID})), try: try})
	}
	if len(list) == 0 {
		list = otherDatabases(ctx, client, w.keys)
	}
	if len(list) == 0 {
		if n, err := client.DBSize(ctx).Result(); err == nil && n == 0 {
			list = append(list, hint{
				likely: fmt.Sprintf("database %d of this Redis is empty", client.Options().DB),
				try:    "the server and the database that the application uses",
			})
		}
	}
	return list
}

// nearPrefixes finds keys that end with the id. An error says that it did not
// look at all of them.
func nearPrefixes(ctx context.Context, client *redis.Client, id string) (prefixes []string, err error) {
	if len(id) < 8 {
		return nil, nil // it would end other ids
	}
	pattern := "*" + globEscape(id)
	var cursor uint64
	for range scanSteps {
		var keys []string
		var next uint64
		if keys, next, err = client.Scan(ctx, cursor, pattern, scanStep).Result(); err != nil {
			break
		}
		for _, key := range keys {
			prefix, ok := strings.CutSuffix(key, id)
			// Spring's expires: keys stand beside sessions and hold none.
			if ok && oneLine(prefix) == prefix && !strings.HasSuffix(prefix, ":expires:") && !slices.Contains(prefixes, prefix) {
				prefixes = append(prefixes, prefix)
			}
		}
		if cursor = next; cursor == 0 || len(prefixes) >= 3 {
			break
		}
	}
	slices.Sort(prefixes)
	return prefixes, err
}

func globEscape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(s)
}

// otherDatabases looks for the keys in the databases that hold any.
func otherDatabases(ctx context.Context, client *redis.Client, keys []stores.Key) []hint {
	info, err := client.Info(ctx, "keyspace").Result()
	if err != nil {
		return nil
	}
	for line := range strings.Lines(info) {
		name, _, _ := strings.Cut(line, ":")
		n, err := strconv.Atoi(strings.TrimPrefix(name, "db"))
		if err != nil || n == client.Options().DB {
			continue
		}
		if key, ok := inDatabase(ctx, client, n, keys); ok {
			return []hint{{likely: fmt.Sprintf("database %d holds %q", n, showKey(key)), try: fmt.Sprintf("database %d in --redis (redis://…/%d)", n, n)}}
		}
	}
	return nil
}

func inDatabase(ctx context.Context, client *redis.Client, db int, keys []stores.Key) (stores.Key, bool) {
	o := *client.Options()
	o.DB = db
	other := redis.NewClient(careful(&o))
	defer other.Close()
	for _, k := range keys {
		if n, err := other.Exists(ctx, k.String()).Result(); err == nil && n > 0 {
			return k, true
		}
	}
	return stores.Key{}, false
}

// decodeHints says what the value looks like instead.
func (in *inspection) decodeHints(w *walked) (list []hint) {
	if w.record == nil || len(w.record.Value) == 0 || errors.Is(w.err, stores.ErrExpired) || errors.Is(w.err, stores.ErrTooLarge) {
		return nil
	}
	value, e := w.record.Value, w.way.entry
	is := w.way.stack.Keyspace.Codec.Name()
	if fit := php.Guess(value); len(fit) > 0 { // the most specific first
		try := "--handler " + string(fit[0])
		if !slices.Contains(e.handlers, string(fit[0])) {
			try = "a PHP stack, such as --stack php --handler " + string(fit[0])
		}
		return []hint{{likely: fmt.Sprintf("the value is %s, not %s", fit[0], is), try: try, whole: true}}
	}
	trimmed := bytes.TrimSpace(value)
	switch {
	case len(trimmed) > 0 && trimmed[0] == '{' && json.Valid(trimmed) && is != "json":
		try := "a stack that writes JSON, such as --stack express"
		switch {
		case slices.Contains(e.handlers, "json"):
			try = "--handler json"
		case slices.Contains(e.handlers, string(php.HandlerPHP)): // by a handler of the application's own
			try = "--stack predis --handler json"
			if w.key != nil {
				try += " --prefix " + quoteArg(w.key.Prefix)
			}
		}
		list = append(list, hint{likely: "the value is json, not " + is, try: try, whole: true})
	case in.value != nil && len(value) > len(trimmed) && value[len(value)-1] == '\n':
		if _, err := w.way.stack.Keyspace.Decode(stores.Record{Found: true, Value: bytes.TrimRight(value, "\r\n"), TTL: -1}, in.now); err == nil {
			list = append(list, hint{likely: "the value has a line end that is not part of it", try: "redis-cli --raw GET … | head -c -1"})
		}
	}
	return list
}

// userHints names paths in the session that look like a user's id.
func (in *inspection) userHints(w *walked) (list []hint) {
	if w.session == nil {
		return nil
	}
	find := w.way.stack.FindUser
	if find == nil {
		find = stores.UserID
	}
	for _, path := range stores.UserPaths(w.session) {
		if _, err := find(w.session, path); err != nil {
			continue
		}
		kind := "number"
		if v, _ := w.session.Lookup(path); isText(v) {
			kind = "string"
		}
		list = append(list, hint{likely: `"` + path + `" holds a ` + kind, try: "--user " + quoteArg(path)})
		if len(list) == 3 {
			break
		}
	}
	return list
}

func isText(v any) bool {
	_, ok := v.(string)
	return ok
}
