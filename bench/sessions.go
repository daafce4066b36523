package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/redis/go-redis/v9"
)

// goCookie is the cookie of the Go web application.
const goCookie = "go-session"

// sessionLife is how long the sessions hold that the benchmark makes itself.
const sessionLife = 24 * time.Hour

// secrets are those of the web applications.
type secrets struct{ express, laravel string }

func newSecrets() secrets {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return secrets{express: rand.Text(), laravel: "base64:" + base64.StdEncoding.EncodeToString(key)}
}

// stacks are all that the benchmark knows.
func (s secrets) stacks() []Stack {
	return []Stack{{"php", ""}, {"symfony", ""}, {"express", s.express}, {"laravel", s.laravel}, {"go", ""}}
}

// session is one that the benchmark wrote itself, as a stack would, with what
// the example applications keep in theirs.
type session struct{ key, value, cookie string }

func phpSession(user int) session {
	id := strings.ToLower(rand.Text()) // 26 of PHP's own alphabet, near enough
	return session{
		key: "PHPREDIS_SESSION:" + id,
		value: fmt.Sprintf(`user_id|i:%d;name|s:5:"alice";profile|a:2:{s:5:"roles";a:2:{i:0;s:5:"admin";i:1;s:6:"editor";}`+
			`s:5:"login";a:2:{s:2:"at";i:%d;s:3:"via";s:8:"password";}}`, user, time.Now().Unix()),
		cookie: "PHPSESSID=" + id,
	}
}

func expressSession(secret string, user int) session {
	id := rand.Text()
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(id))
	return session{
		key: "sess:" + id,
		value: fmt.Sprintf(`{"cookie":{"originalMaxAge":null,"expires":null,"secure":false,"httpOnly":true,"path":"/","sameSite":"lax"},`+
			`"passport":{"user":%d},"profile":{"roles":["admin","editor"],"login":{"at":%d,"via":"password"}}}`, user, time.Now().Unix()),
		cookie: "connect.sid=" + url.QueryEscape("s:"+id+"."+base64.RawStdEncoding.EncodeToString(mac.Sum(nil))),
	}
}

// expressSessions writes n sessions of as many users.
func expressSessions(ctx context.Context, rdb *redis.Client, secret string, n int) ([]session, error) {
	all := make([]session, n)
	for i := range all {
		all[i] = expressSession(secret, i)
	}
	return all, store(ctx, rdb, all)
}

func phpSessions(ctx context.Context, rdb *redis.Client, n int) ([]session, error) {
	all := make([]session, n)
	for i := range all {
		all[i] = phpSession(i)
	}
	return all, store(ctx, rdb, all)
}

func store(ctx context.Context, rdb *redis.Client, all []session) error {
	const batch = 1000
	for len(all) > 0 {
		n := min(batch, len(all))
		if _, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, s := range all[:n] {
				p.Set(ctx, s.key, s.value, sessionLife)
			}
			return nil
		}); err != nil {
			return fmt.Errorf("writing sessions: %w", err)
		}
		all = all[n:]
	}
	return nil
}

// newToken signs a token with a new key, and returns it with what verifies it.
func newToken(algorithm string) (token string, verify *Token, err error) {
	var key crypto.Signer
	switch algorithm {
	case "HS256":
		secret := make([]byte, 32)
		_, _ = rand.Read(secret)
		token, err = sign(algorithm, secret)
		return token, &Token{algorithm, secret}, err
	case "RS256":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		err = fmt.Errorf("no key is made for %q", algorithm)
	}
	if err != nil {
		return "", nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return "", nil, err
	}
	token, err = sign(algorithm, key)
	return token, &Token{algorithm, public}, err
}

func sign(algorithm string, key any) (string, error) {
	now := time.Now()
	return jwt.NewWithClaims(jwt.GetSigningMethod(algorithm), jwt.MapClaims{
		"sub": "42", "iat": now.Unix(), "exp": now.Add(sessionLife).Unix(),
	}).SignedString(key)
}
