package jwtmode_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/jwtmode"
)

func TestEveryAlgorithm(t *testing.T) {
	for _, alg := range algorithms {
		t.Run(alg.method.Alg(), func(t *testing.T) {
			keys := alg.keys()
			a := newAuth(t, jwtmode.Options{Algorithms: []string{alg.method.Alg()}, Key: keys.verify})
			token := sign(alg.method, keys.sign, claims(nil))
			id, err := authenticate(a, withBearer(token))
			if err != nil {
				t.Fatal(err)
			}
			if id.User != "42" || id.Via != "jwt" {
				t.Errorf("user %q via %q", id.User, id.Via)
			}

			// One bit of the signature, of the claims, of the header.
			for i, part := range strings.Split(token, ".") {
				flipped := []byte(part)
				flipped[len(part)/2] ^= 1
				parts := strings.Split(token, ".")
				parts[i] = string(flipped)
				if id, err := authenticate(a, withBearer(strings.Join(parts, "."))); err == nil {
					t.Errorf("a token with a bit of part %d flipped is %v", i, id)
				}
			}
		})
	}
}

func TestIdentity(t *testing.T) {
	a := newAuth(t, jwtmode.Options{Name: "api"})
	token := rawToken(`{"alg":"HS256","typ":"JWT","kid":"k","b64":true}`,
		`{"sub":"42","exp":4102444800.5,"id":9007199254740993,"roles":["a"],"org":{"name":"x","name":"y"},"\"{:":":\\"}`)
	id, err := authenticate(a, withBearer(token))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"sub":   "42",
		"exp":   json.Number("4102444800.5"),
		"id":    json.Number("9007199254740993"), // 2^53+1, no float64
		"roles": []any{"a"},
		"org":   map[string]any{"name": "y"}, // RFC 7519 wants unique names of claims only
		`"{:`:   `:\`,
	}
	if diff := cmp.Diff(want, id.Claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if got := id.Expires.UTC().Format("2006-01-02T15:04:05.000"); id.Via != "api" || got != "2100-01-01T00:00:30.500" {
		t.Errorf("via %q, expires %s", id.Via, got)
	}
}

// hostile tokens are refused by an authenticator for HS256 and secret.
func hostile() []hostileToken {
	good := hs256(claims(nil))
	part := strings.Split(good, ".")
	header, payload := `{"alg":"HS256"}`, `{"sub":"42","exp":4102444800,"jti":"m4rker"}`
	foreign := rsaPair()
	return []hostileToken{
		{"empty parts", "..", "jwt signature is required", jwt.ErrTokenSignatureInvalid},
		{"one part", part[0], "jwt malformed", jwt.ErrTokenMalformed},
		{"two parts", part[0] + "." + part[1], "jwt malformed", jwt.ErrTokenMalformed},
		{"four parts", good + ".", "jwt malformed", jwt.ErrTokenMalformed},
		{"five parts, a JWE", good + "." + part[1] + "." + part[2], "jwt malformed", jwt.ErrTokenMalformed},
		{"no JWT at all", marker + "-opaque-token", "jwt malformed", jwt.ErrTokenMalformed},
		{"1 MB", strings.Repeat("A", 1<<20), "jwt malformed", jwt.ErrTokenMalformed},
		{"1 MB of dots", strings.Repeat(".", 1<<20), "jwt malformed", jwt.ErrTokenMalformed},
		{"1 MB, signed", hs256(claims(jwt.MapClaims{"x": strings.Repeat("x", 1<<20)})), "jwt malformed", jwt.ErrTokenMalformed},
		{"a byte over 8 KiB, signed", ofLength(8<<10 + 1), "jwt malformed", jwt.ErrTokenMalformed},
		{"padding", good + "=", "jwt malformed", jwt.ErrTokenMalformed},
		{"plain base64", part[0] + "." + strings.NewReplacer("-", "+", "_", "/").Replace(b64(`{"sub":"ÿÿÿ>>>???"}`)) + "." + part[2], "jwt malformed", jwt.ErrTokenMalformed},
		{"a comma behind", good + ",", "jwt malformed", jwt.ErrTokenMalformed},
		{"last bits of the signature not zero", part[0] + "." + part[1] + "." + nextBits(part[2]), "jwt malformed", jwt.ErrTokenMalformed},

		{"header not JSON", rawToken(`{"alg":"HS256"`, payload), "jwt malformed", jwt.ErrTokenMalformed},
		{"header null", rawToken(`null`, payload), "jwt malformed", jwt.ErrTokenMalformed},
		{"header a list", rawToken(`["HS256"]`, payload), "jwt malformed", jwt.ErrTokenMalformed},
		{"header a string", rawToken(`"m4rker"`, payload), "jwt malformed", jwt.ErrTokenMalformed},
		{"header with something behind", rawToken(header+`m4rker`, payload), "jwt malformed", jwt.ErrTokenMalformed},
		{"alg twice", rawToken(`{"alg":"none","alg":"HS256"}`, payload), "jwt malformed", jwt.ErrTokenMalformed},
		{"alg twice, escaped", rawToken(`{"alg":"HS256","\u0061lg":"HS256"}`, payload), "jwt malformed", jwt.ErrTokenMalformed},
		{"alg in capitals", rawToken(`{"ALG":"HS256"}`, payload), "invalid algorithm", jwt.ErrTokenUnverifiable},
		{"alg a number", rawToken(`{"alg":256}`, payload), "invalid algorithm", jwt.ErrTokenUnverifiable},
		{"alg missing", rawToken(`{}`, payload), "invalid algorithm", jwt.ErrTokenUnverifiable},
		{"alg in small letters", rawToken(`{"alg":"hs256"}`, payload), "invalid algorithm", jwt.ErrTokenUnverifiable},
		{"alg unknown", rawToken(`{"alg":"m4rker"}`, payload), "invalid algorithm", jwt.ErrTokenUnverifiable},
		{"alg none", must(jwt.NewWithClaims(jwt.SigningMethodNone, claims(nil)).SignedString(jwt.UnsafeAllowNoneSignatureType)), "jwt signature is required", jwt.ErrTokenSignatureInvalid},
		{"alg none, with a signature", rawToken(`{"alg":"none"}`, payload), "invalid algorithm", jwt.ErrTokenUnverifiable},
		{"alg None, with a signature", rawToken(`{"alg":"None"}`, payload), "invalid algorithm", jwt.ErrTokenUnverifiable},
		{"signature cut off", part[0] + "." + part[1] + ".", "jwt signature is required", jwt.ErrTokenSignatureInvalid},
		{"alg known but not allowed", sign(jwt.SigningMethodHS512, secret, claims(nil)), "invalid algorithm", jwt.ErrTokenUnverifiable},
		{"crit", rawToken(`{"alg":"HS256","crit":["exp"],"exp":1}`, payload), "jwt malformed", jwt.ErrTokenMalformed},
		{"crit empty", rawToken(`{"alg":"HS256","crit":[]}`, payload), "jwt malformed", jwt.ErrTokenMalformed},
		{"b64 false", rawToken(`{"alg":"HS256","b64":false}`, payload), "jwt malformed", jwt.ErrTokenMalformed},
		{"b64 false and crit", rawToken(`{"alg":"HS256","b64":false,"crit":["b64"]}`, payload), "jwt malformed", jwt.ErrTokenMalformed},

		{"claims not JSON", rawToken(header, payload[:20]), "jwt malformed", jwt.ErrTokenMalformed},
		{"claims null", rawToken(header, `null`), "jwt malformed", jwt.ErrTokenMalformed},
		{"claims a string", rawToken(header, `"m4rker"`), "jwt malformed", jwt.ErrTokenMalformed},
		{"claims a list", rawToken(header, `[`+payload+`]`), "jwt malformed", jwt.ErrTokenMalformed},
		{"claims with something behind", rawToken(header, payload+payload), "jwt malformed", jwt.ErrTokenMalformed},
		{"claims not UTF-8", rawToken(header, "{\"sub\":\"\xff\",\"exp\":4102444800}"), "jwt malformed", jwt.ErrTokenMalformed},
		{"claims with a byte order mark", rawToken(header, "\ufeff"+payload), "jwt malformed", jwt.ErrTokenMalformed},
		{"claims nested deep", rawToken(header, `{"x":`+strings.Repeat("[", 5000)), "jwt malformed", jwt.ErrTokenMalformed},
		{"sub twice", rawToken(header, `{"sub":"42","exp":4102444800,"sub":"1"}`), "jwt malformed", jwt.ErrTokenMalformed},
		{"sub twice, among much else", rawToken(header, `{"a":{"x":1,"y":[{"z":2}]},"b":"\\\":\"{","sub":"42","exp":4102444800,"\u0073ub":"1"}`), "jwt malformed", jwt.ErrTokenMalformed},
		{"exp twice", rawToken(header, `{"sub":"42","exp":4102444800,"exp":1}`), "jwt malformed", jwt.ErrTokenMalformed},

		{"another's secret", sign(jwt.SigningMethodHS256, append([]byte("x"), secret...), claims(nil)), "invalid signature", jwt.ErrTokenSignatureInvalid},
		{"the empty secret", sign(jwt.SigningMethodHS256, []byte{}, claims(nil)), "invalid signature", jwt.ErrTokenSignatureInvalid},
		{"signature cut short", part[0] + "." + part[1] + "." + part[2][:40], "invalid signature", jwt.ErrTokenSignatureInvalid},
		{"signature of other claims", part[0] + "." + b64(`{"sub":"1","exp":4102444800}`) + "." + part[2], "invalid signature", jwt.ErrTokenSignatureInvalid},
		{"another's secret and expired", sign(jwt.SigningMethodHS256, append([]byte("x"), secret...), claims(jwt.MapClaims{"exp": 1})), "invalid signature", jwt.ErrTokenSignatureInvalid},
		{"kid swapped", sign(jwt.SigningMethodHS256, []byte(marker), claims(nil), map[string]any{"kid": marker}), "invalid signature", jwt.ErrTokenSignatureInvalid},
		{"kid a path", sign(jwt.SigningMethodHS256, []byte{}, claims(nil), map[string]any{"kid": "../../dev/null"}), "invalid signature", jwt.ErrTokenSignatureInvalid},
		{"jwk of the attacker", sign(jwt.SigningMethodHS256, []byte(marker), claims(nil), map[string]any{"jwk": map[string]any{"kty": "oct", "k": b64(marker)}}), "invalid signature", jwt.ErrTokenSignatureInvalid},
		{"jwk of the attacker, RSA", sign(jwt.SigningMethodRS256, foreign.sign, claims(nil), map[string]any{"jwk": map[string]any{"kty": "RSA"}}), "invalid algorithm", jwt.ErrTokenUnverifiable},

		{"expired", hs256(claims(jwt.MapClaims{"exp": 1300819380})), "jwt expired", jwt.ErrTokenExpired},
		{"exp zero", hs256(claims(jwt.MapClaims{"exp": 0})), "jwt expired", jwt.ErrTokenExpired},
		{"exp missing", hs256(claims(jwt.MapClaims{"exp": nil})), "invalid exp value", jwt.ErrTokenRequiredClaimMissing},
		{"exp null", rawToken(header, `{"sub":"42","exp":null}`), "invalid exp value", jwt.ErrTokenInvalidClaims},
		{"exp a string", hs256(claims(jwt.MapClaims{"exp": "4102444800"})), "invalid exp value", jwt.ErrTokenInvalidClaims},
		{"exp in milliseconds", hs256(claims(jwt.MapClaims{"exp": far * 1000})), "invalid exp value", jwt.ErrTokenInvalidClaims},
		{"exp beyond all numbers", rawToken(header, `{"sub":"42","exp":1e999}`), "invalid exp value", jwt.ErrTokenInvalidClaims},
		{"exp negative", hs256(claims(jwt.MapClaims{"exp": -far})), "invalid exp value", jwt.ErrTokenInvalidClaims},
		{"early", hs256(claims(jwt.MapClaims{"nbf": far - 1})), "jwt not active", jwt.ErrTokenNotValidYet},
		{"nbf a string", hs256(claims(jwt.MapClaims{"nbf": "1"})), "invalid nbf value", jwt.ErrTokenInvalidClaims},
		{"issued in the future", hs256(claims(jwt.MapClaims{"iat": far - 1})), "jwt not active", jwt.ErrTokenUsedBeforeIssued},
		{"iat a list", hs256(claims(jwt.MapClaims{"iat": []int{1}})), "invalid iat value", jwt.ErrTokenInvalidClaims},

		{"sub missing", hs256(claims(jwt.MapClaims{"sub": nil})), "jwt subject invalid", jwt.ErrTokenInvalidSubject},
		{"sub null", rawToken(header, `{"sub":null,"exp":4102444800}`), "jwt subject invalid", jwt.ErrTokenInvalidSubject},
		{"sub empty", hs256(claims(jwt.MapClaims{"sub": ""})), "jwt subject invalid", jwt.ErrTokenInvalidSubject},
		{"sub true", hs256(claims(jwt.MapClaims{"sub": true})), "jwt subject invalid", jwt.ErrTokenInvalidSubject},
		{"sub a list", hs256(claims(jwt.MapClaims{"sub": []string{marker}})), "jwt subject invalid", jwt.ErrTokenInvalidSubject},
		{"sub an object", hs256(claims(jwt.MapClaims{"sub": map[string]any{marker: 1}})), "jwt subject invalid", jwt.ErrTokenInvalidSubject},
		{"sub a fraction", hs256(claims(jwt.MapClaims{"sub": 42.5})), "jwt subject invalid", jwt.ErrTokenInvalidSubject},
		{"sub with an exponent", rawToken(header, `{"sub":1e3,"exp":4102444800}`), "jwt subject invalid", jwt.ErrTokenInvalidSubject},
		{"sub minus zero", rawToken(header, `{"sub":-0,"exp":4102444800}`), "jwt subject invalid", jwt.ErrTokenInvalidSubject},
		{"sub half a surrogate pair", rawToken(header, `{"sub":"\ud800","exp":4102444800}`), "jwt subject invalid", jwt.ErrTokenInvalidSubject},
	}
}

type hostileToken struct {
	name, token, message string
	is                   error
}

func TestHostileTokens(t *testing.T) {
	a := newAuth(t, jwtmode.Options{})
	for _, tt := range hostile() {
		t.Run(tt.name, func(t *testing.T) {
			checkRefused(t, a, withBearer(tt.token), tt.token, "invalid_token", tt.message, tt.is)
		})
	}
}

// A message may hold bytes that a header cannot.
func TestHostileMessages(t *testing.T) {
	a := newAuth(t, jwtmode.Options{})
	good := hs256(claims(nil))
	for name, token := range map[string]string{
		"empty":                     "",
		"a space before":            " " + good,
		"a line break behind":       good + "\n",
		"a line break in the parts": good[:5] + "\r\n" + good[5:],
		"a NUL behind":              good + "\x00",
		"not UTF-8":                 good + "\xff",
		"quoted":                    `"` + good + `"`,
		"with the scheme":           "Bearer " + good,
	} {
		t.Run(name, func(t *testing.T) {
			id, err := say(a, request(), &bridge.Message{Kind: bridge.MessageToken, Token: token})
			checkRejected(t, id, err)
			checkSilent(t, token, err.Error())
		})
	}
}

// ofLength is a good token of n bytes. Base64 has no text of every fourth
// length, which the header's kid makes up for.
func ofLength(n int) string {
	for kid := range 4 {
		for pad := n/4*3 - 200; ; pad++ {
			token := hs256(claims(jwt.MapClaims{"x": strings.Repeat("x", pad)}), map[string]any{"kid": strings.Repeat("k", kid)})
			if len(token) == n {
				return token
			}
			if len(token) > n {
				break
			}
		}
	}
	panic("no token has this length")
}

func TestLongestToken(t *testing.T) {
	a := newAuth(t, jwtmode.Options{})
	if _, err := authenticate(a, withBearer(ofLength(8<<10))); err != nil {
		t.Errorf("a token of 8 KiB: %v", err)
	}
}

// nextBits is another text that a lenient decoder takes for the same 32 bytes:
// their last character has two bits to spare.
func nextBits(signature string) string {
	last := signature[len(signature)-1]
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return signature[:len(signature)-1] + string(alphabet[strings.IndexByte(alphabet, last)|1])
}

// The attack of CVE-2015-9235: the public key as an HMAC secret.
func TestPublicKeyAsSecret(t *testing.T) {
	pair := rsaPair()
	pkix := must(x509.MarshalPKIXPublicKey(pair.verify))
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix})
	forged := []string{
		sign(jwt.SigningMethodHS256, text, claims(nil)),
		sign(jwt.SigningMethodHS256, []byte(strings.TrimSpace(string(text))), claims(nil)),
		sign(jwt.SigningMethodHS256, pkix, claims(nil)),
	}
	onlyRS := newAuth(t, jwtmode.Options{Algorithms: []string{"RS256"}, Key: pair.verify})
	both := newAuth(t, jwtmode.Options{Algorithms: []string{"RS256", "HS256"}, Key: pair.verify, MoreKeys: []any{secret}})
	for _, token := range forged {
		checkRefused(t, onlyRS, withBearer(token), token, "invalid_token", "invalid algorithm", jwt.ErrTokenUnverifiable)
		checkRefused(t, both, withBearer(token), token, "invalid_token", "invalid signature", jwt.ErrTokenSignatureInvalid)
	}
}

func TestHeaderURLsAreNotFetched(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the token's URL was fetched")
	}))
	defer s.Close()
	attacker := otherRSAPair()
	a := newAuth(t, jwtmode.Options{Algorithms: []string{"RS256"}, Key: rsaPair().verify})
	for _, name := range []string{"jku", "x5u"} {
		token := sign(jwt.SigningMethodRS256, attacker.sign, claims(nil), map[string]any{name: s.URL})
		checkRefused(t, a, withBearer(token), token, "invalid_token", "invalid signature", jwt.ErrTokenSignatureInvalid)
	}
	cert := sign(jwt.SigningMethodRS256, attacker.sign, claims(nil), map[string]any{"x5c": []string{b64(marker)}})
	checkRefused(t, a, withBearer(cert), cert, "invalid_token", "invalid signature", jwt.ErrTokenSignatureInvalid)
}

// RFC 7518, section 3.5: the salt has the length of the hash.
func TestPSSSaltOfAnotherLength(t *testing.T) {
	auto := *jwt.SigningMethodPS256
	auto.Options = auto.VerifyOptions
	token := sign(&auto, rsaPair().sign, claims(nil))
	a := newAuth(t, jwtmode.Options{Algorithms: []string{"PS256"}, Key: rsaPair().verify})
	checkRefused(t, a, withBearer(token), token, "invalid_token", "invalid signature", jwt.ErrTokenSignatureInvalid)
}
