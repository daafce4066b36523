package cookie

import (
	"encoding/base64"
	"strings"

	"github.com/sessionbridge/sessionbridge/stores"
)

// springPrincipal is where Spring Security keeps who is logged in.
const springPrincipal = "SPRING_SECURITY_CONTEXT.authentication.principal"

// Spring is Spring Session in Redis: cookie "SESSION", the base64 of the id, or
// the id itself (useBase64Encoding=false). The user is the username of Spring
// Security's principal, or the attribute "user_id" in a session without one.
func Spring() Stack {
	return Stack{
		Name:     "spring",
		Cookie:   "SESSION",
		Opener:   springPlain{},
		Keyspace: stores.SpringKeyspace(),
		User:     springPrincipal,
		FindUser: springUser,
	}
}

// springUser finds a user where an application's JSON has a scalar, one with
// its type before it (["java.lang.Long", 42]), or an object with a username.
func springUser(v stores.Values, path string) (string, error) {
	value, ok := v.Lookup(path)
	if !ok && path == springPrincipal {
		if _, ok := v.Lookup("user_id"); ok {
			return springUser(v, "user_id")
		}
	}
	switch value := value.(type) {
	case []any:
		if len(value) == 2 {
			if class, ok := value[0].(string); ok && strings.HasPrefix(class, "java.") {
				return stores.UserID(v, join(path, "1"))
			}
		}
	case map[string]any:
		if name, ok := value["username"].(string); ok && name != "" {
			return name, nil
		}
	}
	return stores.UserID(v, path)
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

type springPlain struct{}

func (springPlain) Validate() error { return nil }

// Open takes the first cookie of the name that is an id, as
// DefaultCookieSerializer passes over those that are no base64. The route of a
// JVM, after a dot, is cut off.
func (springPlain) Open(jar Jar, name string) (Opened, error) {
	found := ""
	for pair := range jar.pairs() {
		n, value, ok := strings.Cut(pair, "=")
		if value = strings.Trim(value, " \t"); !ok || value == "" || strings.Trim(n, " \t") != name {
			continue
		}
		id, ok := springID(value)
		if ok {
			return Opened{ID: id}, nil
		}
		found = value
	}
	if found == "" {
		return Opened{}, noCookie(name)
	}
	return Opened{}, errNotBase64
}

func springID(value string) (id string, ok bool) {
	if len(value) > maxSealed {
		return "", false
	}
	if strings.Count(value, "-") == 4 { // a UUID, and no base64
		id, _, _ = strings.Cut(value, ".")
		return id, true
	}
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(value, "="))
	if err != nil || strings.ContainsAny(value, "\r\n") {
		return "", false
	}
	id, _, _ = strings.Cut(string(b), ".")
	return id, true
}
