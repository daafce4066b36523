// Command bench measures what the library promises, beside the bare thing in
// the same run, and prints Markdown tables: how soon a logout reaches the
// socket, what a reconnect storm costs Redis, what a handshake costs the CPU,
// and what an idle connection takes of memory.
//
//	go run ./bench [flags] [logout | storm | handshake | memory]…
//
// Without a name it measures all four. It starts real servers: redis-server,
// PHP, Laravel, Symfony and Node, and says which of them are missing. The
// services are processes of their own. README.md says what the columns mean.
package main
