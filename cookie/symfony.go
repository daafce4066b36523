package cookie

import "github.com/sessionbridge/sessionbridge/stores"

// Symfony is Symfony 5.4 to 7 with its RedisSessionHandler: cookie PHPSESSID,
// and the user of the firewall's token, as [stores.SymfonyUser] finds it. User
// is the name of a property of the token's user; empty, it is the first of id,
// uuid, username and email that there is.
//
// An application without that handler, whose PHP keeps its sessions in Redis by
// itself, has another key prefix: "PHPREDIS_SESSION:".
func Symfony() Stack {
	return Stack{
		Name:     "symfony",
		Cookie:   "PHPSESSID",
		Opener:   PHPPlain(),
		Keyspace: stores.SymfonyKeyspace(),
		FindUser: stores.SymfonyUser,
	}
}
