package jwtmode

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// moment is a time as it is written, which stands for a whole unit of its last
// digit. Both ends are in microseconds since 1970; until is not in it.
type moment struct{ from, until int64 }

const (
	microsPerSecond = 1_000_000
	// minDate is the earliest time that an entry may hold, the year 2001: the
	// "1" of somebody who did not know that it is a time is none.
	minDate = 1_000_000_000
)

// parseMoment reads a Unix time in seconds: digits, perhaps with a fraction, of
// which six digits count.
func parseMoment(s string) (m moment, ok bool) {
	whole, fraction, dotted := strings.Cut(s, ".")
	if whole == "" || len(whole) > 12 || len(fraction) > 32 || dotted && fraction == "" {
		return moment{}, false
	}
	seconds, ok := digits(whole)
	if !ok || seconds > maxDate {
		return moment{}, false
	}
	if _, ok := digits(fraction); !ok {
		return moment{}, false
	}
	m.from = seconds * microsPerSecond
	unit := int64(microsPerSecond)
	for _, d := range []byte(fraction[:min(len(fraction), 6)]) {
		unit /= 10
		m.from += int64(d-'0') * unit
	}
	m.until = m.from + unit
	return m, true
}

// digits reads decimal digits; of more than 18 only whether they are digits.
func digits(s string) (n int64, ok bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		if i < 18 {
			n = 10*n + int64(s[i]-'0')
		}
	}
	return n, true
}

// numericDate is a time as a NumericDate with microseconds: "non-integer values
// can be represented" (RFC 7519, section 2).
func numericDate(t time.Time) json.Number {
	us := t.UnixMicro()
	return json.Number(fmt.Sprintf("%d.%06d", us/microsPerSecond, us%microsPerSecond))
}
