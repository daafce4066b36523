package jwtmode

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

// maxDate is the latest date that a claim may hold, the year 9999 in seconds
// since 1970. An exp in milliseconds, an easy mistake in JavaScript, would
// otherwise be good for fifty thousand years.
const maxDate = 253370764800

// date returns a claim that is a NumericDate (RFC 7519, section 2).
func date(claims jwt.MapClaims, name string) (t time.Time, ok bool, err error) {
	value, ok := claims[name]
	if !ok {
		return time.Time{}, false, nil
	}
	number, _ := value.(json.Number)
	seconds, err := number.Float64()
	if err != nil || seconds < 0 || seconds > maxDate {
		return time.Time{}, true, token("invalid "+name+" value", detail(jwt.ErrTokenInvalidClaims, name+" is not a date in seconds since 1970"))
	}
	return time.UnixMilli(int64(seconds * 1000)), true, nil
}

// accessTokenType and accessTokenClaims are those of RFC 9068, section 2. Of
// its claims, exp, iss, aud and sub are looked at by name.
const accessTokenType = "at+jwt"

var accessTokenClaims = []string{"iss", "exp", "aud", "sub", "client_id", "iat", "jti"}

// mediaType is a typ as it is compared: "the 'application/' prefix" is left
// out and upper and lower case are the same (RFC 7515, section 4.1.9; RFC
// 2045, section 5.1).
func mediaType(typ string) string {
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}

// checkType judges the typ of a token's header. A ticket passes only where
// tickets are asked for, as elsewhere it could be used more than once.
func (o *Options) checkType(header map[string]any) error {
	typ, _ := header["typ"].(string)
	typ = mediaType(typ)
	if o.Type != "" && typ != o.Type || o.Type == "" && typ == typeTicket {
		return flawType
	}
	return nil
}

// check judges the claims of a token whose signature is good, in the order of
// jsonwebtoken's verify.js. It returns until when the token holds.
func (o *Options) check(claims jwt.MapClaims, now time.Time) (expires time.Time, err error) {
	nbf, ok, err := date(claims, "nbf")
	switch {
	case err != nil:
		return time.Time{}, err
	case ok && now.Before(nbf.Add(-o.Leeway)):
		return time.Time{}, flawNotActive
	}
	exp, ok, err := date(claims, "exp")
	expires = exp.Add(o.Leeway)
	switch {
	case err != nil:
		return time.Time{}, err
	case !ok:
		return time.Time{}, token("invalid exp value", detail(jwt.ErrTokenRequiredClaimMissing, "exp"))
	case !now.Before(expires):
		return time.Time{}, flawExpired
	}
	iat, ok, err := date(claims, "iat")
	switch {
	case err != nil:
		return time.Time{}, err
	case ok && now.Before(iat.Add(-o.Leeway)):
		return time.Time{}, flawNotIssued
	}
	for _, name := range o.RequiredClaims {
		if claims[name] == nil {
			return time.Time{}, token("invalid "+name+" value", detail(jwt.ErrTokenRequiredClaimMissing, name))
		}
	}
	if len(o.Audience) > 0 {
		aud, err := claims.GetAudience()
		if err != nil || !slices.ContainsFunc(aud, func(s string) bool { return slices.Contains(o.Audience, s) }) {
			return time.Time{}, wrongAudience(o.Audience)
		}
	}
	if o.Issuer != "" {
		if iss, err := claims.GetIssuer(); err != nil || iss != o.Issuer {
			return time.Time{}, wrongIssuer(o.Issuer)
		}
	}
	return expires, nil
}

// user returns the user's id.
func (o *Options) user(claims jwt.MapClaims) (string, error) {
	invalid := func(text string) error {
		return token("jwt subject invalid", detail(jwt.ErrTokenInvalidSubject, text))
	}
	switch u := claims[o.UserClaim].(type) {
	case nil:
		return "", invalid("the user claim is missing or null")
	case string:
		switch {
		case u == "":
			return "", invalid("the user claim is empty")
		case strings.ContainsRune(u, utf8.RuneError):
			// Half a surrogate pair decodes to this, whichever half it is, so
			// that two ids would become one.
			return "", invalid("the user claim is not well-formed Unicode")
		}
		return u, nil
	case json.Number:
		// 1e3 and 1000.0 would be users other than 1000.
		if digits := strings.TrimPrefix(u.String(), "-"); strings.Trim(digits, "0123456789") != "" || u == "-0" {
			return "", invalid("the user claim is a number, but no integer")
		}
		return u.String(), nil
	default:
		return "", invalid("the user claim is neither a string nor an integer")
	}
}
