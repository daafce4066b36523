package jwtmode_test

import (
	"context"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/jwtmode"
	"github.com/sessionbridge/sessionbridge/stores"
)

// A page of https://app.example.com, where the user is logged in with PHP, gets
// a ticket for the socket of another host. Here one process serves both.
func ExampleTicketHandler() {
	store, err := stores.NewRedis(redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379", ContextTimeoutEnabled: true}), nil)
	if err != nil {
		log.Fatal(err)
	}
	php, err := cookie.New(store, cookie.PHP())
	if err != nil {
		log.Fatal(err)
	}
	issuer, err := jwtmode.NewIssuer(jwtmode.IssuerOptions{
		Issuer:    "https://api.example.com",
		Audience:  []string{"chat"},
		Algorithm: "HS256",
		Key:       []byte(os.Getenv("TICKET_SECRET")),
		Sessions:  []jwtmode.Sessions{php},
	})
	if err != nil {
		log.Fatal(err) // TICKET_SECRET is not set, say
	}
	endpoint, err := jwtmode.TicketHandler(php, issuer, &jwtmode.TicketHandlerOptions{
		AllowedOrigins: []string{"https://app.example.com"},
		BindOrigin:     true,
	})
	if err != nil {
		log.Fatal(err)
	}
	tickets, err := jwtmode.NewTickets(issuer, store, nil)
	if err != nil {
		log.Fatal(err)
	}
	hook, err := bridge.New(tickets, &bridge.Options{AllowedOrigins: []string{"https://app.example.com"}})
	if err != nil {
		log.Fatal(err)
	}
	// In the page:
	//
	//	const {token} = await (await fetch("https://api.example.com/ticket",
	//	    {method: "POST", credentials: "include"})).json();
	//	const socket = new WebSocket("wss://sock.example.com/ws", ["bearer", token]);
	http.Handle("api.example.com/ticket", endpoint)
	http.Handle("sock.example.com/ws", hook.Handler(func(c *bridge.Conn) {
		<-c.CloseRead().Done() // it ends with the PHP session
	}))
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", nil))
}

// A token for another service that has the same secret.
func ExampleIssuer_Issue() {
	issuer, err := jwtmode.NewIssuer(jwtmode.IssuerOptions{
		Issuer:    "https://app.example.com",
		Audience:  []string{"chat"},
		Algorithm: "HS256",
		Key:       []byte(os.Getenv("TOKEN_SECRET")),
		Claims: func(id *bridge.Identity) map[string]any {
			return map[string]any{"roles": []string{"editor"}}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	token, err := issuer.Issue(&bridge.Identity{User: "42", Via: "php"})
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("a token until %v", token.Expires) // token.Text is for the user alone

	auth, err := jwtmode.New(issuer.Options()) // in the other service
	if err != nil {
		log.Fatal(err)
	}
	_ = auth
}

// Opaque tokens of an OAuth 2 authorization server.
func ExampleNewIntrospection() {
	auth, err := jwtmode.NewIntrospection(jwtmode.IntrospectionOptions{
		URL:          "https://login.example.com/oauth2/introspect",
		ClientID:     "socket-service",
		ClientSecret: os.Getenv("OAUTH2_CLIENT_SECRET"),
		Audience:     []string{"chat"},
		Scopes:       []string{"chat"},
		Interval:     30 * time.Second,
	})
	if err != nil {
		log.Fatal(err) // OAUTH2_CLIENT_SECRET is not set, say
	}
	hook, err := bridge.New(auth, nil)
	if err != nil {
		log.Fatal(err)
	}
	_ = hook
}

// "Log out everywhere": the user's tokens end on every node at once.
func ExampleRevocations() {
	store, err := stores.NewRedis(redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379", ContextTimeoutEnabled: true}), nil)
	if err != nil {
		log.Fatal(err)
	}
	revocations, err := jwtmode.NewRevocations(store, &jwtmode.RevocationOptions{MaxTokenAge: time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	auth, err := jwtmode.New(jwtmode.Options{
		Algorithms:  []string{"HS256"},
		Key:         []byte(os.Getenv("JWT_SECRET")),
		Revocations: revocations,
	})
	if err != nil {
		log.Fatal(err)
	}
	_ = auth // for bridge.New
	if err := revocations.RevokeUser(context.Background(), "42"); err != nil {
		log.Fatal(err)
	}
}
