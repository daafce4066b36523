package stores

import (
	"context"
	"math"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// answer is what Redis said of one key. Without an error, it is a record or,
// if cut is set, only that the value is longer than was asked for.
type answer struct {
	record Record
	cut    bool
	err    error
}

// ask reads keys in one pipeline, and of a string no more than limit bytes,
// and one to see that it is longer. It returns when ctx ends at the latest. An
// error is one of all keys.
func (s *Redis) ask(ctx context.Context, keys []Key, limit int) ([]answer, error) {
	if s.direct {
		return s.pipeline(ctx, keys, limit)
	}
	return inTime(ctx, func() ([]answer, error) { return s.pipeline(ctx, keys, limit) })
}

// inTime calls f, which may not obey ctx, and returns when ctx ends at the
// latest.
func inTime[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := f()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

func (s *Redis) pipeline(ctx context.Context, keys []Key, limit int) ([]answer, error) {
	type lookup struct {
		value  *redis.StringCmd
		fields *redis.MapStringStringCmd
		ttl    *redis.IntCmd
	}
	lookups := make([]lookup, len(keys))
	commands := make([]redis.Cmder, 0, 2*len(keys))
	all := make([]any, 0, 6*len(keys)) // arguments of all commands
	with := func(more ...any) []any {
		first := len(all)
		all = append(all, more...)
		return all[first:len(all):len(all)]
	}
	var end any = limit
	for i, k := range keys {
		l := &lookups[i]
		var name any = k.String()
		// GETRANGE rather than GET: no more than the limit is ever sent. It
		// answers a missing key with an empty string, which PTTL tells apart
		// from an empty session.
		if k.Hash {
			l.fields = redis.NewMapStringStringCmd(ctx, with("hgetall", name)...)
			commands = append(commands, l.fields)
		} else {
			l.value = redis.NewStringCmd(ctx, with("getrange", name, 0, end)...)
			commands = append(commands, l.value)
		}
		l.ttl = redis.NewIntCmd(ctx, with("pttl", name)...) // go-redis' own PTTL overflows after 292 years
		commands = append(commands, l.ttl)
	}
	pipe := s.client.Pipeline()
	_ = pipe.BatchProcess(ctx, commands...)
	if _, err := pipe.Exec(ctx); err != nil && !anyFailed(commands) {
		return nil, err // of a hook of the client's, say
	}
	answers := make([]answer, len(keys))
	for i, l := range lookups {
		if l.fields != nil {
			fields, err := l.fields.Result()
			answers[i] = hashAnswer(fields, err, l.ttl)
		} else {
			value, err := l.value.Bytes()
			answers[i] = stringAnswer(value, err, l.ttl, limit)
		}
	}
	return answers, nil
}

func anyFailed(commands []redis.Cmder) bool {
	for _, c := range commands {
		if c.Err() != nil {
			return true
		}
	}
	return false
}

func stringAnswer(value []byte, err error, ttl *redis.IntCmd, limit int) answer {
	a := keyAnswer(err, ttl)
	switch {
	case a.err != nil || !a.record.Found || a.record.Err != nil:
	case len(value) <= limit:
		a.record.Value = value
	case limit < MaxValue:
		a = answer{cut: true}
	default:
		a.record = Record{Found: true, Err: ErrTooLarge}
	}
	return a
}

func hashAnswer(fields map[string]string, err error, ttl *redis.IntCmd) answer {
	a := keyAnswer(err, ttl)
	if a.err != nil || !a.record.Found || a.record.Err != nil {
		return a
	}
	size := 0
	for name, value := range fields {
		size += len(name) + len(value)
	}
	if size > MaxValue {
		return answer{record: Record{Found: true, Err: ErrTooLarge}}
	}
	a.record.Fields = fields
	return a
}

// keyAnswer is an answer without the value yet; err is that of reading it.
func keyAnswer(err error, ttl *redis.IntCmd) answer {
	ms, ttlErr := ttl.Result()
	switch {
	case isWrongType(err):
		return answer{record: Record{Found: true, Err: ErrWrongType}}
	case err != nil:
		return answer{err: err}
	case ttlErr != nil:
		return answer{err: ttlErr}
	case ms == -2:
		return answer{}
	case ms >= 0 && ms <= maxMillis:
		return answer{record: Record{Found: true, TTL: time.Duration(ms) * time.Millisecond}}
	}
	return answer{record: Record{Found: true, TTL: -1}}
}

// maxMillis is the longest lifetime that a Duration holds, 292 years.
const maxMillis = math.MaxInt64 / int64(time.Millisecond)

// recordsOf returns the records of a lookup, or the first error in it.
func recordsOf(answers []answer, err error) ([]Record, error) {
	if err != nil {
		return nil, err
	}
	records := make([]Record, len(answers))
	for i := range answers {
		a := &answers[i]
		if a.err != nil {
			return nil, a.err
		}
		records[i] = a.record
	}
	return records, nil
}

func isWrongType(err error) bool {
	return err != nil && strings.HasPrefix(err.Error(), "WRONGTYPE")
}
