package cookie

import "github.com/sessionbridge/sessionbridge/stores"

// Predis is PHP's sessions by Predis\Session\Handler: cookie PHPSESSID, and the
// id under the Predis client's option prefix, which may be empty. The handler
// is PHP's, by default php.
//
//	app := cookie.Predis("sessions:")
//	app.Keyspace.Codec = stores.PHP(php.HandlerIgbinary)
func Predis(prefix string) Stack {
	stack := PHP()
	stack.Name = "predis"
	stack.Keyspace.Prefix = prefix
	return stack
}

// PredisJSON is Predis for an application whose own session handler writes
// JSON, often under "sessions/" and the id.
func PredisJSON(prefix string) Stack {
	stack := Predis(prefix)
	stack.Keyspace.Codec = stores.PHPJSON()
	return stack
}
