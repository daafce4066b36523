package php_test

import (
	"errors"
	"fmt"

	"github.com/sessionbridge/sessionbridge/stores/php"
)

func ExampleDecode() {
	session, err := php.Decode(php.HandlerPHP, []byte(`auth|a:1:{s:4:"user";a:2:{s:2:"id";i:42;s:4:"name";s:4:"Anna";}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	if id, ok := session.At("auth", "user", "id"); ok {
		fmt.Println(id.Kind(), id.Int())
	}
	// Output: int 42
}

func ExampleDecode_error() {
	_, err := php.Decode(php.HandlerPHP, []byte(`user_id|i:42;name|s:9:"An`))
	var syntax *php.SyntaxError
	if errors.As(err, &syntax) {
		fmt.Println(syntax.Offset)
	}
	fmt.Println(err)
	// Output:
	// 20
	// php: php: offset 20: expected a length within the data
}

func ExampleUnserialize() {
	// Symfony keeps a token inside the session as a string of its own.
	token, err := php.Unserialize([]byte("O:5:\"Token\":1:{s:11:\"\x00Token\x00user\";s:4:\"anna\";}"))
	if err != nil {
		fmt.Println(err)
		return
	}
	user, _ := token.At("user")
	fmt.Println(token.Class(), user.Text())
	// Output: Token anna
}

func ExampleValue_All() {
	session, _ := php.Decode(php.HandlerSerialize, []byte(`a:2:{i:7;s:1:"x";s:4:"name";s:4:"Anna";}`))
	for key, value := range session.All() {
		fmt.Println(key, value.Text())
	}
	// Output:
	// 7 x
	// name Anna
}

func ExampleValue_AppendSessionJSON() {
	session, _ := php.Decode(php.HandlerPHP, []byte("id|i:42;roles|a:1:{i:0;s:5:\"admin\";}pic|s:2:\"\xff\xd8\";"))
	text, err := session.AppendSessionJSON(nil, 1<<20)
	fmt.Println(string(text), err)
	// Output: {"id":42,"roles":["admin"],"pic":{"$base64":"/9g="}} <nil>
}

func ExampleGuess() {
	fmt.Println(php.Guess([]byte(`user_id|i:42;`)))
	// Output: [php]
}
