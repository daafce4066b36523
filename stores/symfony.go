package stores

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sessionbridge/sessionbridge/stores/php"
)

// SymfonyKeyspace is Symfony's RedisSessionHandler: "sf_s" and the id, written
// by session.serialize_handler php. Lifetime is the handler's ttl, by default
// PHP's session.gc_maxlifetime, 24 minutes.
func SymfonyKeyspace() Keyspace {
	return Keyspace{Prefix: "sf_s", ID: phpID, Codec: PHP(php.HandlerPHP), Lifetime: phpLifetime}
}

// SymfonyUser finds the user in Symfony's sessions (5.4 to 7): in the security
// token that a firewall keeps, serialized, among the session's attributes.
//
// A user that is a plain string is the id itself. Of a user that is an object
// the property called path is the id, or with an empty path the first scalar
// of id, uuid, username and email; a path can lead into the property, as in
// "id.uid". Several firewalls may hold a token as long as the user is the same;
// else [SymfonyFirewall] names one. A token that waits for the second factor
// (scheb/2fa) is nobody's.
//
// A session without a token, of an application that logs its users in by hand,
// has the user at the attribute called path, by default user_id. A path that
// begins with "_sf2_attributes." always is one from the root of the session.
func SymfonyUser(v Values, path string) (string, error) { return symfonyUser(v, "", path) }

// SymfonyFirewall returns SymfonyUser for the token of one firewall only, or
// of one firewall context.
func SymfonyFirewall(name string) func(v Values, path string) (string, error) {
	return func(v Values, path string) (string, error) { return symfonyUser(v, "_security_"+name, path) }
}

// Where Symfony's AttributeBag keeps attributes, and how ContextListener calls
// the one with the token.
const (
	symfonyAttributes = "_sf2_attributes"
	symfonyToken      = "_security_"
)

func symfonyUser(v Values, token, path string) (string, error) {
	if strings.HasPrefix(path, symfonyAttributes+".") {
		return UserID(v, path)
	}
	found, _ := v.Lookup(symfonyAttributes)
	attributes, _ := found.(map[string]any)
	var names []string
	for name, value := range attributes {
		if _, ok := value.(string); ok && strings.HasPrefix(name, symfonyToken) && (token == "" || token == name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		if token != "" {
			return "", fmt.Errorf("%w: the firewall has no token in the session", ErrNoUser)
		}
		if path == "" {
			path = "user_id"
		}
		return UserID(v, symfonyAttributes+"."+path)
	}
	slices.Sort(names)
	user := ""
	for i, name := range names {
		u, err := tokenUser(attributes[name].(string), path)
		if err != nil {
			return "", fmt.Errorf("the token %q: %w", name, err)
		}
		if i > 0 && u != user {
			return "", fmt.Errorf("the firewalls' tokens %q are not of one user; choose one with SymfonyFirewall", names)
		}
		user = u
	}
	return user, nil
}

var (
	errTokenShape   = errors.New("it is not what Symfony's AbstractToken::__serialize returns")
	errTokenOpaque  = errors.New("its user implements Serializable, which only the application can read; give the class __serialize")
	errTokenNoParts = errors.New("its user has none of the properties id, uuid, username and email with a plain value; give the property's name as User")
)

// tokenUser finds the user in a serialized token.
func tokenUser(token, path string) (string, error) {
	v, err := php.Unserialize([]byte(token))
	if err != nil {
		return "", err
	}
	if v.Kind() != php.Object {
		return "", errTokenShape
	}
	if strings.HasSuffix(v.Class(), `\TwoFactorToken`) {
		return "", fmt.Errorf("%w: it waits for the second factor", ErrNoUser)
	}
	state, ok := tokenState(v)
	if !ok {
		return "", errTokenShape
	}
	if authenticated, _ := state.At("1"); !authenticated.Bool() {
		return "", fmt.Errorf("%w: it is not authenticated", ErrNoUser)
	}
	user, _ := state.At("0")
	switch user.Kind() {
	case php.String:
		return userID(user.Text(), "user")
	case php.Object, php.Array:
		return propertyUser(user, path)
	case php.Opaque:
		return "", errTokenOpaque
	case php.Null:
		return "", fmt.Errorf("%w: it has no user", ErrNoUser)
	}
	return "", errTokenShape
}

// tokenState finds AbstractToken's own state. A class that adds to it keeps
// what its parent returned as the last of its values.
func tokenState(v php.Value) (state php.Value, ok bool) {
	for range maxTokenParents {
		last, n := php.Value{}, 0
		for _, member := range v.All() {
			last, n = member, n+1
		}
		if n == 5 && isTokenState(v) {
			return v, true
		}
		if last.Kind() != php.Array {
			break
		}
		v = last
	}
	return php.Value{}, false
}

// maxTokenParents bounds how many classes may add to a token's state.
const maxTokenParents = 16

// isTokenState: user, true, null, attributes, role names; in that order.
func isTokenState(v php.Value) bool {
	kinds := map[string]php.Kind{"1": php.Bool, "3": php.Array, "4": php.Array}
	for name, kind := range kinds {
		if member, ok := v.At(name); !ok || member.Kind() != kind {
			return false
		}
	}
	_, ok := v.At("0")
	return ok
}

func propertyUser(user php.Value, path string) (string, error) {
	if path != "" {
		at, ok := user.At(SplitPath(path)...)
		if !ok {
			members := make(map[string]any)
			for key, member := range user.All() {
				members[key.String()] = scalar(member)
			}
			return "", fmt.Errorf("its user has no property %q: %w", path, notScalar("the user", "", members))
		}
		return userID(at.Any(), path)
	}
	for _, name := range [...]string{"id", "uuid", "username", "email"} {
		if at, ok := user.At(name); ok {
			if at.Kind() == php.Int || at.Kind() == php.String && at.Len() > 0 {
				return userID(at.Any(), name)
			}
		}
	}
	return "", errTokenNoParts
}

// scalar stands for a value whose content does not matter.
func scalar(v php.Value) any {
	switch v.Kind() {
	case php.Array, php.Object:
		return []any(nil)
	}
	return nil
}
