package main

import (
	"strings"
	"time"

	"github.com/sessionbridge/sessionbridge/stores"
)

// gobCodec reads gob as the service does. Where that fails for a type of the
// application's own, which only the service can know, it goes by the
// descriptions that the value holds.
type gobCodec struct {
	stores.Codec
	strip func(value []byte) []byte // what stands before the gob
}

func (c gobCodec) Decode(value []byte) (stores.Values, time.Time, error) {
	v, deadline, err := c.Codec.Decode(value)
	if err == nil || !strings.Contains(err.Error(), "name not registered for interface") {
		return v, deadline, err
	}
	if c.strip != nil {
		value = c.strip(value)
	}
	v, _, err = stores.GorillaTypes().Decode(value)
	if err != nil {
		return nil, time.Time{}, err
	}
	return ownTypes{v}, deadline, nil
}

// ownTypes is a session with types that the service must register.
type ownTypes struct{ stores.Values }

func (v ownTypes) AppendJSON(dst []byte, limit int) ([]byte, error) {
	return v.Values.(jsonAppender).AppendJSON(dst, limit)
}

func (ownTypes) note() string {
	return "it holds types of the application's own: the service must gob.Register them too"
}
