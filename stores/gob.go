package stores

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strconv"
	"time"

	"github.com/gorilla/sessions"
	"github.com/rbcervilla/redisstore/v9"
)

// Gorilla returns the codec of gorilla/sessions with rbcervilla/redisstore: the
// store's own serializer, nil for its default, gob of map[any]any.
//
// Types of one's own in a session must be registered with [gob.Register], in
// this process as in the one that wrote them. A type that is not makes the
// whole session unreadable, never half of it. Scalars of such types, and what
// marshals itself as text (a UUID, a time), are looked up as what they are.
//
// A value longer than 1 MiB cannot be decoded: gob recurses without a bound,
// and a longer one could overflow the stack, which ends the process. Even so
// gob "is not designed to be hardened against adversarial inputs" (its
// documentation): once a map type is registered, a short value can make it
// reserve any amount of memory. Let nobody else write to the sessions' Redis.
func Gorilla(s redisstore.SessionSerializer) Codec {
	if s == nil {
		return gobCodec{"gob", redisstore.GobSerializer{}}
	}
	return gobCodec{fmt.Sprintf("%T", s), s}
}

const maxGob = 1 << 20

var (
	errGobTooLong         = errors.New("it is longer than 1 MiB")
	errSerializerPanicked = errors.New("the serializer panicked")
)

type gobCodec struct {
	name       string
	serializer redisstore.SessionSerializer
}

func (c gobCodec) Name() string { return c.name }

func (c gobCodec) Decode(value []byte) (_ Values, _ time.Time, err error) {
	if len(value) > maxGob {
		return nil, time.Time{}, errGobTooLong
	}
	defer func() { // gob panics over a key that is a struct with a list in it
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: %T", errSerializerPanicked, v)
			if e, ok := v.(runtime.Error); ok { // which names types and places only
				err = fmt.Errorf("%w: %w", errSerializerPanicked, e)
			}
		}
	}()
	s := sessions.Session{Values: map[any]any{}}
	if err := c.serializer.Deserialize(value, &s); err != nil {
		return nil, time.Time{}, err
	}
	return goValues(s.Values), time.Time{}, nil
}

// goValues are values of Go types, those of the application's own included.
type goValues map[any]any

func (v goValues) Lookup(path string) (any, bool) {
	at := reflect.ValueOf(map[any]any(v))
	for _, name := range SplitPath(path) {
		var ok bool
		if at, ok = goMember(at, name); !ok {
			return nil, false
		}
	}
	return plain(at, 0), true
}

// goMember finds a map's value, a struct's exported field or a list's element.
func goMember(v reflect.Value, name string) (reflect.Value, bool) {
	v = indirect(v)
	switch v.Kind() {
	case reflect.Map:
		return mapMember(v, name)
	case reflect.Struct:
		if f, ok := v.Type().FieldByName(name); ok && f.IsExported() {
			m, err := v.FieldByIndexErr(f.Index)
			return m, err == nil
		}
	case reflect.Slice, reflect.Array:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < v.Len() {
			return v.Index(i), true
		}
	}
	return reflect.Value{}, false
}

func mapMember(m reflect.Value, name string) (member reflect.Value, ok bool) {
	if key := reflect.ValueOf(name); key.Type().AssignableTo(m.Type().Key()) {
		if member = m.MapIndex(key); member.IsValid() {
			return member, true
		}
	}
	var best string
	for it := m.MapRange(); it.Next(); {
		if key, kind, is := keyName(it.Key()); is && key == name && (!ok || kind < best) {
			member, best, ok = it.Value(), kind, true
		}
	}
	return member, ok
}

func indirect(v reflect.Value) reflect.Value {
	for v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	return v
}

// keyName returns how a map's key is written in a path. Of keys that are
// written alike, 1 and "1" say, the one of the least kind counts: the plain
// string, or else the one whose type's name sorts first.
func keyName(v reflect.Value) (name, kind string, ok bool) {
	v = indirect(v)
	if !v.IsValid() {
		return "", "", false
	}
	if v.Type() != stringType {
		kind = v.Type().String()
	}
	switch {
	case v.Kind() == reflect.String:
		return v.String(), kind, true
	case v.CanInt():
		return strconv.FormatInt(v.Int(), 10), kind, true
	case v.CanUint():
		return strconv.FormatUint(v.Uint(), 10), kind, true
	}
	return "", "", false
}

var stringType = reflect.TypeFor[string]()

// maxGoDepth bounds how deep plain follows values: gob lets a type refer to
// itself.
const maxGoDepth = 64

// plain turns a value into map[string]any, []any and scalars. Scalars keep
// their type, so that integers stay exact.
func plain(v reflect.Value, depth int) any {
	v = indirect(v)
	if !v.IsValid() || depth > maxGoDepth {
		return nil
	}
	if _, ok := v.Interface().(interface{ MarshalText() ([]byte, error) }); ok {
		return v.Interface()
	}
	switch v.Kind() {
	case reflect.Map:
		m := make(map[string]any, v.Len())
		kinds := map[string]string{} // of the keys that are no plain strings
		for it := v.MapRange(); it.Next(); {
			key, kind, ok := keyName(it.Key())
			if _, twice := m[key]; !ok || twice && kinds[key] <= kind {
				continue
			}
			m[key] = plain(it.Value(), depth+1)
			if delete(kinds, key); kind != "" {
				kinds[key] = kind
			}
		}
		return m
	case reflect.Struct:
		m := make(map[string]any, v.NumField())
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				m[f.Name] = plain(v.Field(i), depth+1)
			}
		}
		return m
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return string(v.Bytes())
		}
		fallthrough
	case reflect.Array:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = plain(v.Index(i), depth+1)
		}
		return list
	}
	return v.Interface()
}

func (v goValues) Map() map[string]any {
	m, _ := plain(reflect.ValueOf(map[any]any(v)), 0).(map[string]any)
	return m
}
