package jwtmode_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"time"

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

// An identity provider of OpenID Connect: its URL and one's own name are all
// that is to be known.
func ExampleDiscover() {
	provider, err := jwtmode.Discover(context.Background(), "https://login.example.com", nil)
	if err != nil {
		log.Fatal(err) // the provider is down, say: try again
	}
	auth, err := jwtmode.New(jwtmode.Options{
		Provider: provider,
		Audience: []string{"https://chat.example.com"},
		RFC9068:  true, // access tokens, not ID tokens
	})
	if err != nil {
		log.Fatal(err)
	}
	_ = auth
}

// The keys of an issuer that has a URL for them but no discovery. The service
// starts while the issuer is down.
func ExampleNewJWKS() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	keys, err := jwtmode.NewJWKS(ctx, "https://login.example.com/jwks.json", &jwtmode.JWKSOptions{MaxAge: time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	auth, err := jwtmode.New(jwtmode.Options{
		Algorithms: []string{"RS256", "ES256"},
		JWKS:       keys,
		Issuer:     "https://login.example.com",
		Audience:   []string{"chat"},
	})
	if err != nil {
		log.Fatal(err)
	}
	_ = auth
}

func ExampleSecretBase64() {
	secret, err := jwtmode.SecretBase64(os.Getenv("JWT_SECRET"))
	if err != nil {
		log.Fatal(err)
	}
	auth, err := jwtmode.New(jwtmode.Options{Algorithms: []string{"HS256"}, Key: secret})
	if err != nil {
		log.Fatal(err)
	}
	_ = auth
}

// A token in a cookie, and one in the query for clients that can do nothing
// else.
func ExampleOptions_sources() {
	auth, err := jwtmode.New(jwtmode.Options{
		Algorithms: []string{"HS256"},
		Key:        []byte("a secret of the application, of 32 bytes or more"),
		Sources:    []jwtmode.Source{jwtmode.SourceCookie, jwtmode.InsecureSourceQuery},
		Cookie:     "__Host-token",
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = auth.Authenticate(context.Background(), &bridge.Handshake{
		Request: httptest.NewRequest(http.MethodGet, "/ws?token=a.b.c", nil),
	})
	fmt.Println(err, auth.Traits().Ambient)
	// Output: jwt: token is malformed: its header is not in base64url true
}

// A user who was banned since the token was issued.
func ExampleOptions_check() {
	banned := func(context.Context, string) (bool, error) { return true, nil } // asks a database
	auth, err := jwtmode.New(jwtmode.Options{
		Algorithms: []string{"HS256"},
		Key:        []byte("a secret of the application, of 32 bytes or more"),
		Check: func(ctx context.Context, id *bridge.Identity) error {
			is, err := banned(ctx, id.User)
			if err == nil && is {
				err = bridge.Reject("banned", "you are banned", nil)
			}
			return err // of the database: could not find out
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	_ = auth
}
