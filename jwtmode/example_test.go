package jwtmode_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/jwtmode"
)

// A secret that the web application and this service share.
func ExampleNew() {
	auth, err := jwtmode.New(jwtmode.Options{
		Algorithms: []string{"HS256"},
		Key:        []byte(os.Getenv("JWT_SECRET")),
		Audience:   []string{"chat"},
	})
	if err != nil {
		log.Fatal(err) // JWT_SECRET is not set, say
	}
	hook, err := bridge.New(auth, nil)
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/ws", hook.Handler(func(c *bridge.Conn) {
		log.Printf("user %s, roles %v", c.Identity().User, c.Identity().Claims["roles"])
		for {
			if _, _, err := c.ReadMessage(); err != nil {
				return
			}
		}
	}))
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", nil))
}

// The public key of an identity provider, beside the one that it had before.
func ExampleNew_publicKey() {
	var keys []any
	for _, name := range []string{"login.pem", "login-former.pem"} {
		text, err := os.ReadFile(name)
		if err != nil {
			log.Fatal(err)
		}
		key, err := jwt.ParseRSAPublicKeyFromPEM(text)
		if err != nil {
			log.Fatal(err)
		}
		keys = append(keys, key)
	}
	auth, err := jwtmode.New(jwtmode.Options{
		Algorithms: []string{"RS256", "PS256"},
		Key:        keys[0],
		MoreKeys:   keys[1:],
		Issuer:     "https://login.example.com",
		Audience:   []string{"chat"},
		Sources:    []jwtmode.Source{jwtmode.SourceSubprotocol, jwtmode.SourceMessage}, // browsers only
	})
	if err != nil {
		log.Fatal(err)
	}
	_ = auth
}

// A secret for each tenant, by the host that the client called.
func ExampleKeyFunc() {
	secrets := map[string][]byte{"a.example.com": []byte("the secret of a, of 32 bytes or more")}
	auth, err := jwtmode.New(jwtmode.Options{
		Algorithms: []string{"HS256"},
		KeyFunc: func(_ context.Context, r *http.Request, _ *jwt.Token) (any, error) {
			if secret, ok := secrets[r.Host]; ok {
				return secret, nil
			}
			return nil, fmt.Errorf("%w: no tenant has this host", bridge.ErrRejected)
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	r, _ := http.NewRequest(http.MethodGet, "https://a.example.com/ws", nil)
	r.Header.Set("Authorization", "Bearer x")
	_, err = auth.Authenticate(context.Background(), &bridge.Handshake{Request: r})
	fmt.Println(err, errors.Is(err, bridge.ErrRejected), errors.Is(err, jwt.ErrTokenMalformed))
	// Output: jwt: token is malformed: it has not three parts true true
}
