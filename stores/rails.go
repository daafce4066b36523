package stores

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Rails returns the codec of Rails' sessions, in its encrypted cookie or in
// Redis: JSON or Ruby's Marshal, which is found out. In a cookie they are in an
// envelope of ActiveSupport's, whose "exp" is the deadline.
//
// Marshal data is read as far as it is plain: strings, symbols, numbers,
// booleans, nil, arrays and hashes. A session that holds any other object
// cannot be decoded.
func Rails() Codec { return railsCodec{} }

type railsCodec struct{}

var (
	errRailsEnvelope = errors.New("the envelope of the Rails message is malformed")
	errRailsMarshal  = errors.New("set config.action_dispatch.cookies_serializer = :json (in Redis: give the session store the serializer JSON), or keep plain data in the session")
	errRailsFormat   = errors.New("it is neither JSON nor Ruby's Marshal")
)

func (railsCodec) Name() string { return "JSON or Marshal" }

func (railsCodec) Decode(value []byte) (Values, time.Time, error) {
	if len(value) > 0 && value[0] == '{' {
		doc, err := parseJSON(value)
		if err != nil {
			return nil, time.Time{}, err
		}
		if envelope, ok := doc.at("_rails"); ok {
			return openRails(envelope)
		}
		return exactJSON{doc}, time.Time{}, nil
	}
	v, err := railsValue(value)
	return v, time.Time{}, err
}

// openRails reads an envelope (ActiveSupport::Messages::Metadata): "message"
// is the serialized session in base64; where the serializer is JSON itself,
// "data" is the session.
func openRails(envelope jsonValues) (Values, time.Time, error) {
	if envelope[0] != '{' {
		return nil, time.Time{}, errRailsEnvelope
	}
	var deadline time.Time
	if raw, ok := envelope.at("exp"); ok && raw[0] != 'n' {
		t, err := time.Parse(time.RFC3339Nano, jsonString(raw))
		if err != nil {
			return nil, time.Time{}, errRailsEnvelope
		}
		deadline = t
	}
	if data, ok := envelope.at("data"); ok && data[0] == '{' {
		return exactJSON{data}, deadline, nil
	}
	raw, ok := envelope.at("message")
	if !ok || raw[0] != '"' {
		return nil, time.Time{}, errRailsEnvelope
	}
	text := jsonString(raw)
	message, err := base64.StdEncoding.DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return nil, time.Time{}, errRailsEnvelope
	}
	v, err := railsValue(message)
	return v, deadline, err
}

func railsValue(value []byte) (Values, error) {
	switch {
	case len(value) == 0:
		return nil, ErrNotFound
	case value[0] == 4:
		root, err := unmarshalRuby(value)
		if errors.Is(err, errObject) {
			err = fmt.Errorf("it is Ruby's Marshal: %w; %w", err, errRailsMarshal)
		}
		if err != nil {
			return nil, err
		}
		return newTreeValues(root)
	case value[0] >= 0x80 || value[0] < '\t':
		return nil, errRailsFormat
	}
	doc, err := parseJSON(value)
	if err != nil {
		return nil, err
	}
	return exactJSON{doc}, nil
}

// RailsKeyspace is Rails' cookie_store, which keeps sessions in the encrypted
// cookie.
func RailsKeyspace() Keyspace { return inCookie(Rails()) }

// RailsRedisKeyspace is Rails' redis_store (redis-actionpack): the namespace,
// by default "rack:session", a colon, "2::" and the SHA-256 of the id, which is
// 32 hexadecimal digits; or, from before Rack 2.0.8, the id itself, which the
// stack looks under too. The prefix may also be given with the "2::".
// An application with expire_after has that as Lifetime.
func RailsRedisKeyspace() Keyspace {
	return Keyspace{
		Prefix: "rack:session:",
		ID:     IDRule{Min: 32, Max: 32, Chars: digits + "abcdef"},
		Spell:  spellRack,
		Codec:  Rails(),
	}
}

// spellRack is the private_id of Rack::Session::SessionId, and then its
// public_id.
func spellRack(id string) []Key {
	sum := sha256.Sum256([]byte(id))
	private := hex.EncodeToString(sum[:])
	return []Key{{Prefix: "2::", ID: private}, {ID: private}, {ID: id}}
}
