package jwtmode

import (
	"math/big"
	"strings"
	"testing"
	"time"
)

// FuzzMoment compares parseMoment with exact arithmetic.
func FuzzMoment(f *testing.F) {
	for _, s := range []string{"1700000000", "1700000000.5", "1700000000.123456", "1700000000.1234567", "0", "253370764800", "253370764801",
		"", ".", "1.", ".5", "-1", "+1", "1e9", "01", "1.5.5", " 1", "999999999999", strings.Repeat("9", 40), "1." + strings.Repeat("0", 33)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, ok := parseMoment(s)
		if !ok {
			if m != (moment{}) {
				t.Fatalf("%q: %v", s, m)
			}
			return
		}
		exact, isNumber := new(big.Rat).SetString(s)
		if !isNumber || strings.ContainsAny(s, "eEpPxX_/+-") {
			t.Fatalf("%q is taken for a number", s)
		}
		micros := new(big.Rat).Mul(exact, big.NewRat(microsPerSecond, 1))
		if from, until := big.NewRat(m.from, 1), big.NewRat(m.until, 1); micros.Cmp(from) < 0 || micros.Cmp(until) >= 0 {
			t.Fatalf("%q is not within %d and %d", s, m.from, m.until)
		}
		if _, fraction, _ := strings.Cut(s, "."); len(fraction) <= 6 && micros.Cmp(big.NewRat(m.from, 1)) != 0 {
			t.Fatalf("%q does not begin at %d", s, m.from)
		}
	})
}

func TestNumericDate(t *testing.T) {
	for _, tt := range []struct {
		time time.Time
		want string
	}{
		{time.Unix(1700000000, 0), "1700000000.000000"},
		{time.Unix(1700000000, 1), "1700000000.000000"},
		{time.Unix(1700000000, 1999), "1700000000.000001"},
		{time.Unix(1700000000, 999999999), "1700000000.999999"},
	} {
		got := numericDate(tt.time).String()
		if got != tt.want {
			t.Errorf("%v is %q, want %q", tt.time, got, tt.want)
		}
		if m, ok := parseMoment(got); !ok || m.from != tt.time.UnixMicro() || m.until != m.from+1 {
			t.Errorf("%q is read as %v, %v", got, m, ok)
		}
	}
}
