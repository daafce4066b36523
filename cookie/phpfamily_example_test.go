package cookie_test

import (
	"fmt"
	"time"

	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/stores"
	"github.com/sessionbridge/sessionbridge/stores/php"
)

func ExampleLaravel() {
	app := cookie.Laravel("base64:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=") // os.Getenv("APP_KEY")
	app.Cookie = "laravel-session"                                               // its config/session.php
	app.User = cookie.LaravelGuard("admin")
	_, err := cookie.New(stores.NewMemory(), app)
	fmt.Println(err)
	// Output: <nil>
}

// A key that was copied without its prefix is found out when the
// authenticator is made.
func ExampleLaravel_badKey() {
	_, err := cookie.New(stores.NewMemory(), cookie.Laravel("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="))
	fmt.Println(err)
	// Output: cookie: laravel: an APP_KEY is not 16 or 32 bytes long; copy it from the application's .env whole, base64: and all, without quotes
}

func ExampleLaravelCookieDriver() {
	_, err := cookie.New(nil, cookie.LaravelCookieDriver("base64:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="))
	fmt.Println(err)
	// Output: <nil>
}

func ExampleSymfony() {
	app := cookie.Symfony()
	app.User = "email"
	app.FindUser = stores.SymfonyFirewall("main")
	_, err := cookie.New(stores.NewMemory(), app)
	fmt.Println(err)
	// Output: <nil>
}

func ExampleCodeIgniter4() {
	app := cookie.CodeIgniter4()
	app.Cookie = "shop"
	app.Keyspace = stores.CodeIgniter4Keyspace("shop")
	a, err := cookie.New(stores.NewMemory(), app)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = cookie.MatchIP(a, nil) // only with matchIP = true
	fmt.Println(err)
	// Output: <nil>
}

func ExamplePredis() {
	app := cookie.Predis("sessions:")
	app.Keyspace.Codec = stores.PHP(php.HandlerSerialize)
	session, err := app.Keyspace.Decode(stores.Record{Found: true, Value: []byte(`a:1:{s:7:"user_id";i:42;}`)}, time.Now())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(stores.UserID(session, app.User))
	// Output: 42 <nil>
}
