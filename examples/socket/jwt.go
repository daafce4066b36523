package main

import (
	"log/slog"

	"github.com/sessionbridge/sessionbridge/jwtmode"
)

// jwt accepts tokens that are signed with JWT_SECRET by HS256.
func (c *config) jwt() (*jwtmode.Authenticator, error) {
	opts := jwtmode.Options{Algorithms: []string{"HS256"}, Key: []byte(c.jwtSecret)}
	if len(c.jwtSecret) < 32 {
		// RFC 7518, section 3.2. A service that moves here brings its secret
		// with it; to refuse to start would not make that one longer.
		slog.Warn("JWT_SECRET is shorter than 32 bytes: tokens signed with it can be forged by trying; use a longer one")
		opts.InsecureShortSecrets = true
	}
	return jwtmode.New(opts)
}
