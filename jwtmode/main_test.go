package jwtmode_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/jwtmode"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// marker is part of everything in the tests that must not be seen or logged.
const marker = "m4rker"

// secret is long enough for every HMAC algorithm.
var secret = []byte(marker + "-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")

// far is a date that no test reaches, 2100-01-01, so that tokens are the same
// in every run.
const far = 4102444800

var p256Curve = elliptic.P256()

// pair is a key that signs and the one that verifies.
type pair struct{ sign, verify any }

var (
	rsaPair      = sync.OnceValue(newRSA)
	otherRSAPair = sync.OnceValue(newRSA)
	ed25519Pair  = sync.OnceValue(func() pair {
		pub, priv, err := ed25519.GenerateKey(rand.Reader)
		return pair{must(priv, err), pub}
	})
	p256Pair = sync.OnceValue(func() pair { return newECDSA(p256Curve) })
	p384Pair = sync.OnceValue(func() pair { return newECDSA(elliptic.P384()) })
	p521Pair = sync.OnceValue(func() pair { return newECDSA(elliptic.P521()) })
)

func newRSA() pair {
	k := must(rsa.GenerateKey(rand.Reader, 2048))
	return pair{k, &k.PublicKey}
}

func newECDSA(c elliptic.Curve) pair {
	k := must(ecdsa.GenerateKey(c, rand.Reader))
	return pair{k, &k.PublicKey}
}

// algorithms are all that are supported, with a key for each.
var algorithms = []struct {
	method jwt.SigningMethod
	keys   func() pair
}{
	{jwt.SigningMethodHS256, func() pair { return pair{secret, secret} }},
	{jwt.SigningMethodHS384, func() pair { return pair{secret, secret} }},
	{jwt.SigningMethodHS512, func() pair { return pair{secret, secret} }},
	{jwt.SigningMethodRS256, rsaPair},
	{jwt.SigningMethodRS384, rsaPair},
	{jwt.SigningMethodRS512, rsaPair},
	{jwt.SigningMethodPS256, rsaPair},
	{jwt.SigningMethodPS384, rsaPair},
	{jwt.SigningMethodPS512, rsaPair},
	{jwt.SigningMethodES256, p256Pair},
	{jwt.SigningMethodES384, p384Pair},
	{jwt.SigningMethodES512, p521Pair},
	{jwt.SigningMethodEdDSA, ed25519Pair},
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// claims is a good claims set with some claims set otherwise; nil removes one.
func claims(with jwt.MapClaims) jwt.MapClaims {
	c := jwt.MapClaims{"sub": "42", "exp": far, "jti": marker}
	maps.Copy(c, with)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// sign makes a token.
func sign(m jwt.SigningMethod, key any, c jwt.MapClaims, header ...map[string]any) string {
	t := jwt.NewWithClaims(m, c)
	for _, h := range header {
		maps.Copy(t.Header, h)
	}
	return must(t.SignedString(key))
}

// hs256 makes a token that is signed with secret.
func hs256(c jwt.MapClaims, header ...map[string]any) string {
	return sign(jwt.SigningMethodHS256, secret, c, header...)
}

// rawToken signs, with HS256 and secret, parts that no library would make.
func rawToken(header, payload string) string {
	signed := b64(header) + "." + b64(payload)
	return signed + "." + b64(string(must(jwt.SigningMethodHS256.Sign(signed, secret))))
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func unb64(s string) string {
	b, _ := base64.RawURLEncoding.DecodeString(s) // what can be decoded of a hostile one
	return string(b)
}

// newAuth is an authenticator for HS256 and secret, if the options say nothing
// else.
func newAuth(t testing.TB, o jwtmode.Options) *jwtmode.Authenticator {
	t.Helper()
	if o.Algorithms == nil {
		o.Algorithms = []string{"HS256"}
	}
	if o.Key == nil && o.KeyFunc == nil && o.JWKS == nil && o.Provider == nil {
		o.Key = secret
	}
	a, err := jwtmode.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// request is an upgrade request with header lines, given as name, value, ….
func request(lines ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/ws", nil)
	for i := 0; i < len(lines); i += 2 {
		r.Header.Add(lines[i], lines[i+1])
	}
	return r
}

func withBearer(token string) *http.Request { return request("Authorization", "Bearer "+token) }

func authenticate(a bridge.Authenticator, r *http.Request) (*bridge.Identity, error) {
	return a.Authenticate(context.Background(), &bridge.Handshake{Request: r})
}

func say(a bridge.Authenticator, r *http.Request, m *bridge.Message) (*bridge.Identity, error) {
	return a.Authenticate(context.Background(), &bridge.Handshake{Request: r, Message: m})
}

// refusal is what a client is told, and what was logged of it.
type refusal struct {
	status        int
	code, message string
	challenge     string
	log           string
}

// refused lets the hook refuse a request.
func refused(t testing.TB, a bridge.Authenticator, r *http.Request) refusal {
	t.Helper()
	var log strings.Builder
	b, err := bridge.New(a, &bridge.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	b.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the request was let in")
	})).ServeHTTP(w, r)
	var body struct {
		Data struct{ Message, Code string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("the answer %q: %v", w.Body, err)
	}
	return refusal{w.Code, body.Data.Code, body.Data.Message, w.Header().Get("WWW-Authenticate"), log.String()}
}

// status lets the hook judge a request, and returns what it answers.
func status(t testing.TB, a bridge.Authenticator, r *http.Request) int {
	t.Helper()
	b, err := bridge.New(a, &bridge.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	b.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
	return w.Code
}

// syncBuilder is a strings.Builder that several goroutines write to.
type syncBuilder struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *syncBuilder) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuilder) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// waitFor waits until something is written.
func (s *syncBuilder) waitFor(t testing.TB, text string) {
	t.Helper()
	eventually(t, func() bool { return strings.Contains(s.String(), text) })
}

// eventually polls until something is so.
func eventually(t testing.TB, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("not in time")
		}
	}
}

// checkRefused checks that a token is rejected, that the client is told just
// that, and that nothing of the token gets out.
func checkRefused(t *testing.T, a bridge.Authenticator, r *http.Request, token, code, message string, is error) {
	t.Helper()
	id, err := authenticate(a, r)
	if id != nil || !errors.Is(err, bridge.ErrRejected) || errors.Is(err, bridge.ErrNoCredential) {
		t.Fatalf("Authenticate = %v, %v; want no identity and a rejection", id, err)
	}
	if is != nil && !errors.Is(err, is) {
		t.Errorf("the error is %q; want one that is %q", err, is)
	}
	got := refused(t, a, r)
	challenge := "Bearer"
	if code == "invalid_token" {
		challenge = `Bearer error="invalid_token"` // RFC 6750, section 3.1
	}
	if got.status != http.StatusUnauthorized || got.code != code || got.message != message || got.challenge != challenge {
		t.Errorf("the client got %d %q %q (challenge %q); want 401 %q %q (%q)", got.status, got.code, got.message, got.challenge, code, message, challenge)
	}
	checkSilent(t, token, err.Error(), got.message, got.log)
}

// checkSilent checks that no text has anything of a token in it.
func checkSilent(t *testing.T, token string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(text, marker) {
			t.Errorf("%q holds what was in the token or the key", text)
		}
		for part := range strings.SplitSeq(token, ".") {
			if len(part) >= 8 && strings.Contains(text, part[:8]) {
				t.Errorf("%.200q holds a part of the token", text)
			}
		}
	}
}

// bubbleStart is what the clock says at the start of a synctest bubble.
var bubbleStart = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func checkRejected(t *testing.T, id *bridge.Identity, err error) {
	t.Helper()
	if id != nil || !errors.Is(err, bridge.ErrRejected) || errors.Is(err, bridge.ErrNoCredential) {
		t.Errorf("got %v, %v; want no identity and a rejection", id, err)
	}
}

// encodings are the texts in which a public key is passed around.
func encodings(pub any) [][]byte {
	pkix := must(x509.MarshalPKIXPublicKey(pub))
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix})
	all := [][]byte{pkix, text, bytes.TrimSpace(text), []byte(base64.StdEncoding.EncodeToString(pkix))}
	if k, ok := pub.(*rsa.PublicKey); ok {
		pkcs1 := x509.MarshalPKCS1PublicKey(k)
		all = append(all, pkcs1, pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: pkcs1}))
	}
	return all
}
