package stores

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Spring returns the codec of Spring Session in Redis: a hash whose fields
// "sessionAttr:<name>" are the session's attributes, as JSON. What
// java.io.Serializable makes of strings, Longs, Integers and Booleans is read
// too, since Spring's own fields are written that way by default; a session
// with any other object in Java's serialization cannot be decoded.
//
// The session is over maxInactiveInterval after lastAccessedTime, as in
// MapSession.isExpired; the indexed repository keeps the hash for 5 minutes
// after that.
//
// Decode takes the same hash as a JSON object of its fields.
func Spring() HashCodec { return springCodec{} }

type springCodec struct{}

var (
	errSpringField = errors.New("it is no hash of Spring Session's: lastAccessedTime or maxInactiveInterval is missing, or is no number")
	errSpringJSON  = errors.New("an attribute is not valid JSON")
	errSpringJava  = errors.New("define a bean springSessionDefaultRedisSerializer that returns a GenericJackson2JsonRedisSerializer")
)

const springAttribute = "sessionAttr:" // RedisSessionMapper.ATTRIBUTE_PREFIX

func (springCodec) Name() string { return "Spring Session" }

func (c springCodec) Decode(value []byte) (Values, time.Time, error) {
	doc, err := parseJSON(value)
	if err != nil {
		return nil, time.Time{}, err
	}
	var raw map[string]json.RawMessage
	_ = json.Unmarshal(doc, &raw) // checked before
	fields := make(map[string]string, len(raw))
	for name, text := range raw {
		var s string
		if text[0] != '"' || json.Unmarshal(text, &s) != nil {
			s = string(text)
		}
		fields[name] = s
	}
	return c.DecodeHash(fields)
}

func (springCodec) DecodeHash(fields map[string]string) (Values, time.Time, error) {
	if len(fields) == 0 {
		return nil, time.Time{}, ErrNotFound
	}
	deadline, err := springDeadline(fields)
	if err != nil {
		return nil, time.Time{}, err
	}
	doc := []byte{'{'}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		attribute, ok := strings.CutPrefix(name, springAttribute)
		value := fields[name]
		if !ok || value == "" { // a removed attribute, to Spring
			continue
		}
		if !utf8.ValidString(attribute) {
			return nil, time.Time{}, errNotUTF8
		}
		text, err := springValue(value)
		if err != nil {
			return nil, time.Time{}, err
		}
		if len(doc) > 1 {
			doc = append(doc, ',')
		}
		doc = appendQuoted(doc, attribute)
		doc = append(append(doc, ':'), text...)
	}
	return exactJSON{append(doc, '}')}, deadline, nil
}

// springDeadline is when the session ends; zero if it does not.
func springDeadline(fields map[string]string) (time.Time, error) {
	accessed, ok1 := springNumber(fields["lastAccessedTime"])
	seconds, ok2 := springNumber(fields["maxInactiveInterval"])
	if !ok1 || !ok2 || accessed < 0 || accessed > maxDate || seconds != int64(int32(seconds)) {
		return time.Time{}, errSpringField
	}
	if seconds < 0 {
		return time.Time{}, nil
	}
	return time.UnixMilli(accessed).Add(time.Duration(seconds) * time.Second), nil
}

// springNumber reads a number in JSON, where its type may stand before it
// (["java.lang.Long",1]), or in Java's serialization.
func springNumber(value string) (int64, bool) {
	if strings.HasPrefix(value, string(javaMagic)) {
		v, err := javaScalar([]byte(value))
		n, ok := v.(int64)
		return n, ok && err == nil
	}
	if typed, ok := strings.CutPrefix(strings.TrimSpace(value), `["java.lang.Long",`); ok {
		value = strings.TrimSuffix(typed, "]")
	}
	n, err := strconv.ParseInt(strings.Trim(value, " \""), 10, 64)
	return n, err == nil
}

// springValue returns an attribute's value as JSON.
func springValue(value string) ([]byte, error) {
	if !strings.HasPrefix(value, string(javaMagic[:2])) {
		text := bytes.Trim([]byte(value), " \t\r\n")
		switch {
		case !utf8.Valid(text):
			return nil, errNotUTF8
		case jsonDepth(text) >= maxJSONDepth:
			return nil, errJSONDepth
		case !json.Valid(text):
			return nil, errSpringJSON
		}
		return text, nil
	}
	v, err := javaScalar([]byte(value))
	switch v := v.(type) {
	case int64:
		return strconv.AppendInt(nil, v, 10), err
	case bool:
		return strconv.AppendBool(nil, v), err
	case string:
		return appendQuoted(nil, v), err
	}
	if errors.Is(err, errJavaObject) {
		err = fmt.Errorf("%w; %w", err, errSpringJava)
	}
	return []byte("null"), err
}

// SpringKeyspace is Spring Session in Redis: a hash under
// "spring:session:sessions:" and the id, a UUID.
func SpringKeyspace() Keyspace {
	return Keyspace{Prefix: "spring:session:sessions:", ID: uuidRule, Codec: Spring()}
}
