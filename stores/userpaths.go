package stores

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode"
)

const (
	maxSearched  = 64 << 10 // bytes of JSON that are searched for a user
	maxPath      = 100      // bytes of a path that is named
	maxUserPaths = 10
	maxUserDepth = 8
)

// UserPaths returns the paths at which a session seems to keep its user's id,
// going by their names alone, the likeliest first and ten at the most. They are
// what to try when [UserID] finds nobody. A session of more than 64 KiB of JSON
// is not searched.
func UserPaths(v Values) []string {
	list := userPathsIn(plainMap(v))
	if len(list) > maxUserPaths {
		list = list[:maxUserPaths]
	}
	paths := make([]string, len(list))
	for i, p := range list {
		paths[i] = p.String()
	}
	return paths
}

// Members returns the names of a session's own members, sorted; none if the
// session is of more than 64 KiB of JSON.
func Members(v Values) []string { return slices.Sorted(maps.Keys(plainMap(v))) }

// plainMap returns a session as plain Go values; nil if it is a long one, which
// in Go's maps could take many times its length.
func plainMap(v Values) map[string]any {
	a, ok := v.(interface {
		AppendJSON(dst []byte, limit int) ([]byte, error)
	})
	if !ok {
		return v.Map()
	}
	text, err := a.AppendJSON(nil, maxSearched)
	if err != nil {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var m map[string]any
	_ = dec.Decode(&m) // of what is no object there is nothing to say
	return m
}

// userPath is the way to a member of a session that is named like a user's id.
type userPath struct {
	names []string
	score int
}

func (p userPath) String() string {
	escaped := make([]string, len(p.names))
	for i, n := range p.names {
		escaped[i] = EscapeName(n)
	}
	return strings.Join(escaped, ".")
}

func userPathsIn(session map[string]any) (list []userPath) {
	const enough = 100
	var visit func(v any, names []string)
	visit = func(v any, names []string) {
		switch v := v.(type) {
		case nil, bool, []any:
			return
		case map[string]any:
			if len(names) == maxUserDepth {
				return
			}
			for name, member := range v {
				if len(list) == enough {
					return
				}
				visit(member, append(names[:len(names):len(names)], name))
			}
			return
		case string:
			if v == "" {
				return
			}
		}
		p := userPath{names, userScore(names)}
		if text := p.String(); p.score > 0 && len(text) <= maxPath && !strings.ContainsFunc(text, unprintable) {
			list = append(list, p)
		}
	}
	visit(session, nil)
	slices.SortFunc(list, func(a, b userPath) int {
		switch {
		case a.score != b.score:
			return b.score - a.score
		case len(a.names) != len(b.names):
			return len(a.names) - len(b.names)
		}
		return strings.Compare(a.String(), b.String())
	})
	return list
}

func unprintable(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }

var (
	idNames   = []string{"userid", "uid", "authuserid", "accountid", "memberid", "customerid", "loginid", "identityid", "personid"}
	nameNames = []string{"user", "username", "email", "login", "sub", "useridentifier", "loginname"}
	owners    = []string{"user", "auth", "account", "member", "customer", "login", "identity", "person", "admin", "profile", "currentuser", "passport", "principal"}
)

// userScore says how much the names on the way to a value are those of a
// user's id; 0 is not at all.
func userScore(names []string) int {
	if len(names) == 0 {
		return 0
	}
	plain := func(back int) string {
		if back > len(names) {
			return ""
		}
		return strings.NewReplacer("_", "", "-", "", ".", "").Replace(strings.ToLower(names[len(names)-back]))
	}
	name, owner := plain(1), plain(2)
	switch {
	case slices.Contains(idNames, name), strings.HasPrefix(names[len(names)-1], "login_"):
		return 4
	case (name == "id" || name == "uuid") && slices.Contains(owners, owner):
		return 4
	case slices.Contains(nameNames, name):
		return 2
	case name == "id":
		return 1
	}
	return 0
}
