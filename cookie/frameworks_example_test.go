package cookie_test

import (
	"fmt"
	"time"

	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/stores"
)

// who says who is logged in to a stack's session.
func who(s cookie.Stack, header, value string) {
	opened, err := s.Opener.Open(cookie.Jar{header}, s.Cookie)
	if err != nil {
		fmt.Println(err)
		return
	}
	record := stores.Record{Found: true, Value: opened.Value, TTL: -1}
	if opened.Value == nil {
		fmt.Println("key:", s.Keyspace.Keys(opened.ID)[0])
		record.Value = []byte(value)
	}
	session, err := s.Keyspace.Decode(record, time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC))
	if err != nil {
		fmt.Println(err)
		return
	}
	user, err := stores.UserID(session, s.User)
	fmt.Println(user, err)
}

func ExampleCookieSession() {
	s := cookie.CookieSession("key-new", "key-old")
	who(s, "session=eyJ1c2VyX2lkIjo0MiwibmFtZSI6Ilpvw6sg8J+YgCJ9; session.sig=NXxhyi8gxdd4zgkzqNXCZMKldIo", "")
	// Output: 42 <nil>
}

func ExampleKoaRedis() {
	s := cookie.KoaRedis("key-new", "key-old")
	who(s, "koa.sess=9c8aafb9-d01f-4c03-a825-2457063313a5; koa.sess.sig=F72XbRxEL_ZQwSRBiKqL9W5qyoY",
		`{"user_id":42,"_expire":1795431504536,"_maxAge":86400000}`)
	// Output:
	// key: 9c8aafb9-d01f-4c03-a825-2457063313a5
	// 42 <nil>
}

func ExampleFastify() {
	s := cookie.Fastify("new-secret-new-secret-new-secret-32b", "old-secret-old-secret-old-secret-32b")
	who(s, "sessionId=fRPSB4X5xUGDjn0R8DxKxzsJVOotQYXn.g2cAtt+u4Jhu5PtBfwWDbpXdjJqyc3lhfLxhActCinQ",
		`{"cookie":{"expires":null},"user":{"id":42}}`)
	// Output:
	// key: sess:fRPSB4X5xUGDjn0R8DxKxzsJVOotQYXn
	// 42 <nil>
}

func ExampleFlaskSession() {
	s := cookie.FlaskSession("") // SESSION_USE_SIGNER is not set
	s.Keyspace.Prefix = "app:sess:"
	who(s, "session=b20d5d78-f1ac-4d61-97c3-dd76370f6afd", "\x82\xa8_user_id\xa242\xa6_fresh\xc3")
	// Output:
	// key: app:sess:b20d5d78-f1ac-4d61-97c3-dd76370f6afd
	// 42 <nil>
}

func ExampleDjango() {
	s := cookie.Django()
	who(s, "sessionid=cuhrq5vqrunjd19duvw9sqqrrypfi6pz", `{"_auth_user_id":"42"}`)
	// Output:
	// key: :1:django.contrib.sessions.cachecuhrq5vqrunjd19duvw9sqqrrypfi6pz
	// 42 <nil>
}

func ExampleRailsRedis() {
	s := cookie.RailsRedis("_myapp_session")
	s.Keyspace.Prefix = "myapp:session:"
	s.User = "user_id"
	who(s, "_myapp_session=9a864c84e3b0101f907ca763c7a29ec3", `{"user_id":42}`)
	// Output:
	// key: myapp:session:2::e27b5ced1c4a0c87ad27138b8ba28108311832c36ae19149bce7f062566b639f
	// 42 <nil>
}
