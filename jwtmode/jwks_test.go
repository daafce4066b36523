package jwtmode_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/jwtmode"
)

// jwk is a public key as an issuer publishes it, with some members set
// otherwise; nil removes one.
func jwk(kid string, pub any, with map[string]any) map[string]any {
	k := must(jwkset.NewJWKFromKey(pub, jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: kid, USE: jwkset.UseSig}}))
	var m map[string]any
	if err := json.Unmarshal(must(json.Marshal(k.Marshal())), &m); err != nil {
		panic(err)
	}
	maps.Copy(m, with)
	maps.DeleteFunc(m, func(_ string, v any) bool { return v == nil })
	return m
}

func keySet(keys ...map[string]any) string {
	return string(must(json.Marshal(map[string]any{"keys": keys})))
}

// issuer answers, as a transport, every request for keys.
type issuer struct {
	mu    sync.Mutex
	body  string
	err   error         // instead of an answer
	hang  chan struct{} // the answer waits for it
	asked int
}

func (i *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	i.mu.Lock()
	i.asked++
	body, err, hang := i.body, i.err, i.hang
	i.mu.Unlock()
	if hang != nil {
		select {
		case <-hang:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// publish sets what the issuer answers from now on; with an empty body it is
// down.
func (i *issuer) publish(body string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.body, i.err = body, nil; body == "" {
		i.err = errors.New("connection refused")
	}
}

// times returns how often the issuer was asked since the last call.
func (i *issuer) times() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	n := i.asked
	i.asked = 0
	return n
}

const issuerURL = "https://login.example.com"

// newJWKS returns the keys of the issuer.
func newJWKS(t testing.TB, i *issuer, o jwtmode.JWKSOptions) *jwtmode.JWKS {
	t.Helper()
	o.Client = &http.Client{Transport: i}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	k, err := jwtmode.NewJWKS(t.Context(), issuerURL+"/jwks", &o)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// byJWKS is an authenticator for the tokens of the issuer.
func byJWKS(t testing.TB, k *jwtmode.JWKS, algorithms ...string) *jwtmode.Authenticator {
	t.Helper()
	if algorithms == nil {
		algorithms = []string{"ES256"}
	}
	a, err := jwtmode.New(jwtmode.Options{Algorithms: algorithms, JWKS: k, Issuer: issuerURL, Audience: []string{"chat"}})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// issued makes a token of the issuer; kid may be nil for none.
func issued(m jwt.SigningMethod, key, kid any) string {
	header := map[string]any{}
	if kid != nil {
		header["kid"] = kid
	}
	return sign(m, key, claims(jwt.MapClaims{"iss": issuerURL, "aud": "chat"}), header)
}

func es256(key pair, kid any) string { return issued(jwt.SigningMethodES256, key.sign, kid) }

// outcome is "let in", "rejected" or "unavailable".
func outcome(t *testing.T, a bridge.Authenticator, token string) string {
	t.Helper()
	id, err := authenticate(a, withBearer(token))
	switch {
	case err == nil && id != nil:
		return "let in"
	case err == nil || id != nil || errors.Is(err, bridge.ErrNoCredential):
		t.Errorf("got %v, %v", id, err)
	}
	checkSilent(t, token, err.Error())
	if errors.Is(err, bridge.ErrRejected) {
		return "rejected"
	}
	return "unavailable"
}

func expectOutcome(t *testing.T, what string, a bridge.Authenticator, token, want string, i *issuer, asked int) {
	t.Helper()
	if got := outcome(t, a, token); got != want {
		t.Errorf("%s: %s, want %s", what, got, want)
	}
	synctest.Wait()
	if got := i.times(); got != asked {
		t.Errorf("%s: the issuer was asked %d times, want %d", what, got, asked)
	}
}

func TestJWKSFirstUse(t *testing.T) {
	key := p256Pair()
	t.Run("many handshakes at once share a fetch", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			i := &issuer{body: keySet(jwk("a", key.verify, nil)), hang: make(chan struct{})}
			a := byJWKS(t, newJWKS(t, i, jwtmode.JWKSOptions{}))
			if n := i.times(); n != 0 {
				t.Errorf("the issuer was asked %d times before the first token", n)
			}
			var all sync.WaitGroup
			for range 100 {
				all.Go(func() {
					if got := outcome(t, a, es256(key, "a")); got != "let in" {
						t.Error(got)
					}
				})
			}
			synctest.Wait()
			close(i.hang)
			all.Wait()
			if n := i.times(); n != 1 {
				t.Errorf("the issuer was asked %d times, want once", n)
			}
		})
	})
	t.Run("the issuer is down", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			i := &issuer{}
			i.publish("")
			a := byJWKS(t, newJWKS(t, i, jwtmode.JWKSOptions{}))
			expectOutcome(t, "at once", a, es256(key, "a"), "unavailable", i, 1)
			expectOutcome(t, "and again", a, es256(key, "a"), "unavailable", i, 0)
			if got := refused(t, a, withBearer(es256(key, "a"))); got.status != http.StatusServiceUnavailable || got.code != "unavailable" {
				t.Errorf("the client got %d %q", got.status, got.code)
			}
			i.publish(keySet(jwk("a", key.verify, nil)))
			time.Sleep(time.Second)
			expectOutcome(t, "a second later", a, es256(key, "a"), "let in", i, 1)
		})
	})
	t.Run("the issuer does not answer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			i := &issuer{body: keySet(jwk("a", key.verify, nil)), hang: make(chan struct{})}
			a := byJWKS(t, newJWKS(t, i, jwtmode.JWKSOptions{Timeout: 3 * time.Second}))
			began := time.Now()
			expectOutcome(t, "until the timeout", a, es256(key, "a"), "unavailable", i, 1)
			if took := time.Since(began); took != 3*time.Second {
				t.Errorf("it took %v, want the Timeout", took)
			}
			time.Sleep(time.Second)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			began = time.Now()
			_, err := a.Authenticate(ctx, &bridge.Handshake{Request: withBearer(es256(key, "a"))})
			if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, bridge.ErrRejected) || time.Since(began) != time.Second {
				t.Errorf("with a context of a second: %v after %v", err, time.Since(began))
			}
			close(i.hang)
			synctest.Wait()
			expectOutcome(t, "the fetch that nobody waits for counts", a, es256(key, "a"), "let in", i, 1)
		})
	})
}

func TestJWKSRotation(t *testing.T) {
	former, next := p256Pair(), newECDSA(p256Curve)
	both := keySet(jwk("a", former.verify, nil), jwk("b", next.verify, nil))
	t.Run("an unknown kid", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			i := &issuer{body: keySet(jwk("a", former.verify, nil))}
			a := byJWKS(t, newJWKS(t, i, jwtmode.JWKSOptions{}))
			expectOutcome(t, "the known key", a, es256(former, "a"), "let in", i, 1)
			i.publish(both)
			expectOutcome(t, "the next key, too soon", a, es256(next, "b"), "rejected", i, 0)
			time.Sleep(10 * time.Second)
			expectOutcome(t, "the next key", a, es256(next, "b"), "let in", i, 1)
			expectOutcome(t, "both are good", a, es256(former, "a"), "let in", i, 0)
			for range 100 {
				expectOutcome(t, "made-up kids", a, es256(next, rand.Text()), "rejected", i, 0)
			}
			time.Sleep(10 * time.Second)
			expectOutcome(t, "a made-up kid, later", a, es256(next, rand.Text()), "rejected", i, 1)
		})
	})
	t.Run("an unknown kid during an outage", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			i := &issuer{body: keySet(jwk("a", former.verify, nil))}
			a := byJWKS(t, newJWKS(t, i, jwtmode.JWKSOptions{}))
			expectOutcome(t, "the known key", a, es256(former, "a"), "let in", i, 1)
			i.publish("")
			time.Sleep(10 * time.Second)
			expectOutcome(t, "the next key", a, es256(next, "b"), "unavailable", i, 1)
			expectOutcome(t, "and again", a, es256(next, "b"), "unavailable", i, 0)
			expectOutcome(t, "the known key still", a, es256(former, "a"), "let in", i, 0)
			i.publish(both)
			time.Sleep(10 * time.Second)
			expectOutcome(t, "after it", a, es256(next, "b"), "let in", i, 1)
		})
	})
	t.Run("a key is taken back", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			i := &issuer{body: both}
			a := byJWKS(t, newJWKS(t, i, jwtmode.JWKSOptions{}))
			expectOutcome(t, "the former key", a, es256(former, "a"), "let in", i, 1)
			i.publish(keySet(jwk("b", next.verify, nil)))
			time.Sleep(10 * time.Minute)
			expectOutcome(t, "after MaxAge it is looked at", a, es256(former, "a"), "let in", i, 1)
			expectOutcome(t, "and found out", a, es256(former, "a"), "rejected", i, 0)
			i.publish(both)
			time.Sleep(time.Minute)
			expectOutcome(t, "it is back", a, es256(former, "a"), "let in", i, 1)
			i.publish(keySet(jwk("b", next.verify, nil)))
			time.Sleep(20 * time.Minute)
			expectOutcome(t, "after 2 × MaxAge it is waited for", a, es256(former, "a"), "rejected", i, 1)
		})
	})
}

func TestJWKSOutage(t *testing.T) {
	key := p256Pair()
	good := keySet(jwk("a", key.verify, nil))
	for name, answer := range map[string]string{
		"down":              "",
		"an error page":     "<html>",
		"a JSON string":     `"m4rker"`,
		"an empty object":   `{}`,
		"no keys":           `{"keys":[]}`,
		"keys of no use":    keySet(jwk("a", key.verify, map[string]any{"use": "enc"})),
		"too long":          good + strings.Repeat(" ", 512<<10),
		"too many keys":     `{"keys":[` + strings.Repeat(`{},`, 256) + strings.TrimSuffix(strings.TrimPrefix(good, `{"keys":[`), `]}`) + `]}`,
		"cut off":           good[:len(good)-1],
		"another after it":  good + good,
		"keys not a list":   `{"keys":{}}`,
		"nested very deep":  `{"keys":` + strings.Repeat("[", 20000),
		"keys within a key": `{"jwks":` + good + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log strings.Builder
				i := &issuer{body: good}
				a := byJWKS(t, newJWKS(t, i, jwtmode.JWKSOptions{MaxStale: time.Hour, Logger: slog.New(slog.NewTextHandler(&log, nil))}))
				expectOutcome(t, "before", a, es256(key, "a"), "let in", i, 1)
				i.publish(answer)
				time.Sleep(10 * time.Minute)
				expectOutcome(t, "after MaxAge", a, es256(key, "a"), "let in", i, 1)
				expectOutcome(t, "just after", a, es256(key, "a"), "let in", i, 0)
				time.Sleep(50 * time.Minute)
				expectOutcome(t, "later", a, es256(key, "a"), "let in", i, 1)
				time.Sleep(20 * time.Minute)
				expectOutcome(t, "after MaxStale", a, es256(key, "a"), "unavailable", i, 1)
				if n := strings.Count(log.String(), "level=WARN"); n != 1 {
					t.Errorf("%d warnings in the log, want one:\n%s", n, &log)
				}
				checkSilent(t, "", log.String())
				i.publish(good)
				time.Sleep(time.Minute)
				expectOutcome(t, "at last", a, es256(key, "a"), "let in", i, 1)
				if n := strings.Count(log.String(), "level=INFO"); n != 1 {
					t.Errorf("%d notices of the end in the log, want one:\n%s", n, &log)
				}
			})
		})
	}
}

// An outage costs no handshake any time while the last good keys hold.
func TestJWKSOutageIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := p256Pair()
		i := &issuer{body: keySet(jwk("a", key.verify, nil))}
		a := byJWKS(t, newJWKS(t, i, jwtmode.JWKSOptions{}))
		expectOutcome(t, "before", a, es256(key, "a"), "let in", i, 1)
		i.mu.Lock()
		i.hang = make(chan struct{}) // until the timeout
		i.mu.Unlock()
		time.Sleep(10 * time.Minute)
		began := time.Now()
		for range 10 {
			if got := outcome(t, a, es256(key, "a")); got != "let in" {
				t.Error(got)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("the handshakes took %v", took)
		}
		time.Sleep(30 * time.Minute) // well beyond 2 × MaxAge, and known to be down
		began = time.Now()
		if got := outcome(t, a, es256(key, "a")); got != "let in" || time.Since(began) != 0 {
			t.Errorf("%s after %v", got, time.Since(began))
		}
		time.Sleep(5 * time.Second) // the last fetch's timeout
	})
}

func TestJWKSContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := p256Pair()
		i := &issuer{body: keySet(jwk("a", key.verify, nil))}
		ctx, cancel := context.WithCancel(t.Context())
		opts := &jwtmode.JWKSOptions{Client: &http.Client{Transport: i}, Logger: slog.New(slog.DiscardHandler)}
		used, unused := must(jwtmode.NewJWKS(ctx, issuerURL, opts)), must(jwtmode.NewJWKS(ctx, issuerURL, opts))
		a, never := byJWKS(t, used), byJWKS(t, unused)
		expectOutcome(t, "before", a, es256(key, "a"), "let in", i, 1)
		i.hang = make(chan struct{})
		time.Sleep(10 * time.Second)
		done := make(chan string)
		go func() { done <- outcome(t, a, es256(key, "b")) }()
		synctest.Wait()
		cancel() // during a fetch, which ends with it or the bubble is never left
		if got := <-done; got != "unavailable" {
			t.Errorf("who waited for a fetch is %s", got)
		}
		i.times()
		time.Sleep(time.Minute)
		expectOutcome(t, "the keys at hand", a, es256(key, "a"), "let in", i, 0)
		expectOutcome(t, "an unknown kid", a, es256(key, "b"), "unavailable", i, 0)
		expectOutcome(t, "keys that were never fetched", never, es256(key, "a"), "unavailable", i, 0)
	})
}

// What a set may hold, and which tokens that lets in.
func TestJWKSKeys(t *testing.T) {
	rsaKey, ec, ec384, ed := rsaPair(), p256Pair(), p384Pair(), ed25519Pair()
	algs := []string{"RS256", "PS256", "ES256", "ES384", "EdDSA"}
	rs := issued(jwt.SigningMethodRS256, rsaKey.sign, "a")
	ps := issued(jwt.SigningMethodPS256, rsaKey.sign, "a")
	weak := must(rsa.GenerateKey(rand.Reader, 1024))
	private := must(jwkset.NewJWKFromKey(ec.sign, jwkset.JWKOptions{Marshal: jwkset.JWKMarshalOptions{Private: true}, Metadata: jwkset.JWKMetadataOptions{KID: "a"}}))
	var privateJWK map[string]any
	if err := json.Unmarshal(must(json.Marshal(private.Marshal())), &privateJWK); err != nil {
		t.Fatal(err)
	}
	good := jwk("good", ed.verify, nil)
	one := func(kid string, pub any, with map[string]any) string { return keySet(jwk(kid, pub, with), good) }
	const noKey, wrongAlg = "invalid signature", "invalid algorithm"
	tests := []struct {
		name, set, token string
		message          string // of the refusal; "" is let in
	}{
		{"RS256", one("a", rsaKey.verify, nil), rs, ""},
		{"PS256 with the same key", one("a", rsaKey.verify, nil), ps, ""},
		{"ES256", one("a", ec.verify, nil), es256(ec, "a"), ""},
		{"EdDSA", one("a", ed.verify, nil), issued(jwt.SigningMethodEdDSA, ed.sign, "a"), ""},
		{"EdDSA, called Ed25519", one("a", ed.verify, map[string]any{"alg": "Ed25519"}), issued(jwt.SigningMethodEdDSA, ed.sign, "a"), ""},
		{"no use", one("a", ec.verify, map[string]any{"use": nil}), es256(ec, "a"), ""},
		{"use enc", one("a", ec.verify, map[string]any{"use": "enc"}), es256(ec, "a"), noKey},
		{"use in capitals", one("a", ec.verify, map[string]any{"use": "SIG"}), es256(ec, "a"), noKey},
		{"key_ops verify", one("a", ec.verify, map[string]any{"key_ops": []string{"verify"}}), es256(ec, "a"), ""},
		{"key_ops for encryption", one("a", ec.verify, map[string]any{"key_ops": []string{"encrypt", "wrapKey"}}), es256(ec, "a"), noKey},
		{"alg of the token", one("a", rsaKey.verify, map[string]any{"alg": "RS256"}), rs, ""},
		{"alg of another token", one("a", rsaKey.verify, map[string]any{"alg": "RS256"}), ps, wrongAlg},
		{"alg for encryption", one("a", rsaKey.verify, map[string]any{"alg": "RSA-OAEP"}), rs, wrongAlg},

		{"kid of a key of another type", keySet(jwk("a", ec.verify, nil), jwk("b", rsaKey.verify, nil)), issued(jwt.SigningMethodRS256, rsaKey.sign, "a"), wrongAlg},
		{"kid of another curve", one("a", ec384.verify, nil), es256(ec, "a"), wrongAlg},
		{"kid of another's key of the type", keySet(jwk("a", otherRSAPair().verify, nil), jwk("b", rsaKey.verify, nil)), rs, "invalid signature"},
		{"kid unknown", one("b", ec.verify, nil), es256(ec, "a"), noKey},
		{"kid a path", one("a", ec.verify, nil), es256(ec, "../../etc/passwd"), noKey},
		{"kid empty", one("a", ec.verify, nil), es256(ec, ""), noKey},
		{"kid a number", one("a", ec.verify, nil), es256(ec, 1), "jwt malformed"},
		{"kid null", one("a", ec.verify, nil), rawHeaderToken(`{"alg":"ES256","kid":null}`, ec), "jwt malformed"},
		{"one kid for two types", keySet(jwk("a", ec.verify, nil), jwk("a", rsaKey.verify, nil)), rs, ""},
		{"no kid in the token", keySet(jwk("x", otherRSAPair().verify, nil), jwk("a", rsaKey.verify, nil)), issued(jwt.SigningMethodRS256, rsaKey.sign, nil), ""},
		{"no kid in the token, no key fits", one("a", rsaKey.verify, nil), es256(ec, nil), "invalid signature"},
		{"no kid anywhere", one("", ec.verify, nil), es256(ec, nil), ""},

		{"a weak RSA key", one("a", &weak.PublicKey, nil), issued(jwt.SigningMethodRS256, weak, "a"), noKey},
		{"an EC key off its curve", one("a", ec.verify, map[string]any{"x": jwk("a", newECDSA(p256Curve).verify, nil)["x"]}), es256(ec, "a"), noKey},
		{"a private key", keySet(privateJWK, good), es256(ec, "a"), noKey},
		{"a secret", keySet(map[string]any{"kty": "oct", "kid": "a", "k": b64(string(secret))}, good), es256(ec, "a"), noKey},
		{"other kinds of keys beside it", `{"keys":[null,1,"x",[],{},{"kty":"AKP"},{"kty":"OKP","crv":"X25519","x":"AA"},{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"},` + strings.TrimPrefix(one("a", ec.verify, nil), `{"keys":[`), es256(ec, "a"), ""},
		{"a certificate elsewhere", one("a", ec.verify, map[string]any{"x5u": "https://evil.example/", "x5c": []string{"AAAA"}, "x5t": "A"}), es256(ec, "a"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			i := &issuer{body: tt.set}
			a := byJWKS(t, newJWKS(t, i, jwtmode.JWKSOptions{}), algs...)
			if tt.message == "" {
				if _, err := authenticate(a, withBearer(tt.token)); err != nil {
					t.Error(err)
				}
				return
			}
			checkRefused(t, a, withBearer(tt.token), tt.token, "invalid_token", tt.message, nil)
			if n := i.times(); n != 1 {
				t.Errorf("the issuer was asked %d times", n)
			}
		})
	}
}

// rawHeaderToken signs, with ES256, a header that no library would make.
func rawHeaderToken(header string, key pair) string {
	signed := b64(header) + "." + b64(`{"sub":"42","exp":4102444800,"iss":"`+issuerURL+`","aud":"chat"}`)
	return signed + "." + b64(string(must(jwt.SigningMethodES256.Sign(signed, key.sign))))
}

// A token without a kid is not tried with any number of keys.
func TestJWKSTokenWithoutKID(t *testing.T) {
	key := p256Pair()
	stranger := jwk("", newECDSA(p256Curve).verify, nil)
	for n, want := range map[int]string{0: "let in", 15: "let in", 16: "rejected"} {
		var keys []map[string]any
		for range n {
			keys = append(keys, stranger)
		}
		i := &issuer{body: keySet(append(keys, jwk("", key.verify, nil))...)}
		if got := outcome(t, byJWKS(t, newJWKS(t, i, jwtmode.JWKSOptions{})), es256(key, nil)); got != want {
			t.Errorf("behind %d others: %s, want %s", n, got, want)
		}
	}
}

// A key that would take long to verify with is not tried at all.
func TestJWKSOversizedKey(t *testing.T) {
	key := rsaPair()
	oversized := jwk("a", key.verify, map[string]any{"n": strings.Repeat("_", 8<<10)})
	i := &issuer{body: keySet(oversized, jwk("b", key.verify, nil))}
	a := byJWKS(t, newJWKS(t, i, jwtmode.JWKSOptions{}), "RS256")
	token := issued(jwt.SigningMethodRS256, key.sign, "a")
	// Not the signature is wrong: the key is unknown.
	checkRefused(t, a, withBearer(token), token, "invalid_token", "invalid signature", jwt.ErrTokenUnverifiable)
}

// One way replaces the other: an HMAC secret, then the issuer's keys.
func TestJWKSBesideKey(t *testing.T) {
	key := rsaPair()
	i := &issuer{body: keySet(jwk("a", key.verify, nil))}
	a, err := jwtmode.New(jwtmode.Options{
		Algorithms: []string{"HS256", "RS256"},
		Key:        secret, MoreKeys: []any{otherRSAPair().verify},
		JWKS:   newJWKS(t, i, jwtmode.JWKSOptions{}),
		Issuer: issuerURL, Audience: []string{"chat"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, token, want string }{
		{"the secret", issued(jwt.SigningMethodHS256, secret, nil), "let in"},
		{"the former key", issued(jwt.SigningMethodRS256, otherRSAPair().sign, "z"), "let in"},
		{"the issuer's key", issued(jwt.SigningMethodRS256, key.sign, "a"), "let in"},
		{"another secret", issued(jwt.SigningMethodHS256, append([]byte("x"), secret...), "a"), "rejected"},
		{"the public key as a secret", issued(jwt.SigningMethodHS256, []byte(must(json.Marshal(jwk("a", key.verify, nil)))), "a"), "rejected"},
		{"the modulus as a secret", issued(jwt.SigningMethodHS256, key.verify.(*rsa.PublicKey).N.Bytes(), "a"), "rejected"},
	} {
		if got := outcome(t, a, tt.token); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestJWKSOverHTTP(t *testing.T) {
	key := p256Pair()
	set := keySet(jwk("a", key.verify, nil))
	mux := http.NewServeMux()
	mux.HandleFunc("/jwks", func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.Header.Get("Cookie") != "" || r.Header.Get("Authorization") != "" {
			t.Errorf("asked by %s with %v", r.Method, r.Header)
		}
		_, _ = io.WriteString(w, set)
	})
	mux.Handle("/moved", http.RedirectHandler("/jwks", http.StatusFound))
	mux.HandleFunc("/hops/{n}", func(w http.ResponseWriter, r *http.Request) {
		to := "/jwks"
		if n := must(strconv.Atoi(r.PathValue("n"))); n > 1 {
			to = "/hops/" + strconv.Itoa(n-1)
		}
		http.Redirect(w, r, to, http.StatusFound)
	})
	mux.HandleFunc("/password", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://user:password@"+r.Host+"/jwks", http.StatusFound)
	})
	mux.Handle("/away", http.RedirectHandler("http://issuer.example/jwks", http.StatusFound))
	mux.Handle("/file", http.RedirectHandler("file:///etc/passwd", http.StatusFound))
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("code") == "500" {
			w.WriteHeader(http.StatusInternalServerError)
		} else {
			w.WriteHeader(http.StatusAccepted)
		}
		_, _ = io.WriteString(w, set)
	})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, strings.Repeat(" ", 64<<10)); err != nil {
				return
			}
		}
	})
	s := httptest.NewServer(mux)
	defer s.Close()
	for path, want := range map[string]string{
		"/jwks": "let in", "/moved": "let in", "/hops/3": "let in", "/hops/4": "unavailable", "/password": "unavailable", "/away": "unavailable", "/file": "unavailable",
		"/status/500": "unavailable", "/status/202": "unavailable", "/endless": "unavailable", "/none": "unavailable",
	} {
		t.Run(strings.ReplaceAll(path, "/", " "), func(t *testing.T) {
			k, err := jwtmode.NewJWKS(t.Context(), s.URL+path, &jwtmode.JWKSOptions{Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			if got := outcome(t, byJWKS(t, k), es256(key, "a")); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}

func TestNewJWKSRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, url string
		opts      *jwtmode.JWKSOptions
		want      string // in the error; "" is accepted
	}{
		{"https", "https://login.example.com/jwks", nil, ""},
		{"http to this machine", "http://localhost:8080/jwks", nil, ""},
		{"http to 127.1.2.3", "http://127.1.2.3/jwks", nil, ""},
		{"http to ::1", "http://[::1]:80/jwks", nil, ""},
		{"http elsewhere", "http://login.example.com/jwks", nil, "use https"},
		{"http to a name that begins so", "http://localhost.example.com/jwks", nil, "use https"},
		{"http to a private address", "http://10.0.0.1/jwks", nil, "use https"},
		{"http elsewhere, insecure", "http://10.0.0.1/jwks", &jwtmode.JWKSOptions{InsecureHTTP: true}, ""},
		{"a file", "file:///etc/jwks.json", nil, "https://host/path"},
		{"another scheme", "ftp://login.example.com/jwks", nil, "use https"},
		{"no scheme", "login.example.com/jwks", nil, "https://host/path"},
		{"empty", "", nil, "https://host/path"},
		{"a password", "https://user:m4rker@login.example.com/jwks", nil, "https://host/path"},
		{"negative MaxAge", "https://login.example.com/jwks", &jwtmode.JWKSOptions{MaxAge: -1}, "MaxAge is negative"},
		{"negative MinInterval", "https://login.example.com/jwks", &jwtmode.JWKSOptions{MinInterval: -1}, "MinInterval is negative"},
		{"negative Timeout", "https://login.example.com/jwks", &jwtmode.JWKSOptions{Timeout: -1}, "Timeout is negative"},
		{"negative MaxBytes", "https://login.example.com/jwks", &jwtmode.JWKSOptions{MaxBytes: -1}, "MaxBytes is -1"},
		{"MaxBytes of a gigabyte", "https://login.example.com/jwks", &jwtmode.JWKSOptions{MaxBytes: 1 << 30}, "up to 16777216"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, err := jwtmode.NewJWKS(t.Context(), tt.url, tt.opts)
			if tt.want == "" {
				if err != nil || k == nil {
					t.Errorf("got %v, %v", k, err)
				}
				return
			}
			if k != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, %v; want an error with %q", k, err, tt.want)
			}
			checkSilent(t, "", err.Error())
		})
	}
}
