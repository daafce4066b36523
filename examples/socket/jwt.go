package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/sessionbridge/sessionbridge/jwtmode"
)

// tokens reports whether any setting asks for JWTs.
func (c *config) tokens() bool {
	return c.jwtSecret != "" || c.jwksURL != "" || c.jwtIssuer != "" || len(c.jwtAudience) > 0 || c.jwtQuery != ""
}

// jwt accepts tokens that are signed with JWT_SECRET by HS256, or with a key
// that is under JWKS_URL, or, where neither is set, by the OpenID Connect
// provider JWT_ISSUER. Keys are fetched until ctx ends.
func (c *config) jwt(ctx context.Context) (*jwtmode.Authenticator, error) {
	opts := jwtmode.Options{Issuer: c.jwtIssuer, Audience: c.jwtAudience}
	var err error
	switch {
	case c.jwksURL != "":
		opts.Algorithms = []string{"RS256", "PS256", "ES256", "EdDSA"}
		opts.JWKS, err = jwtmode.NewJWKS(ctx, c.jwksURL, nil)
	case c.jwtSecret == "" && c.jwtIssuer != "":
		if opts.Provider, err = jwtmode.Discover(ctx, c.jwtIssuer, nil); err == nil {
			opts.Algorithms = opts.Provider.Algorithms
		}
	case c.jwtSecret == "":
		err = errors.New("JWT_AUDIENCE and JWT_QUERY have no effect by themselves; set JWT_SECRET, JWKS_URL or JWT_ISSUER")
	}
	if err != nil {
		return nil, err
	}
	if c.jwtSecret != "" {
		opts.Algorithms = append(opts.Algorithms, "HS256")
		opts.Key = []byte(c.jwtSecret)
		if len(c.jwtSecret) < 32 {
			// RFC 7518, section 3.2. A service that moves here brings its secret
			// with it; to refuse to start would not make that one longer.
			slog.Warn("JWT_SECRET is shorter than 32 bytes: tokens signed with it can be forged by trying; use a longer one")
			opts.InsecureShortSecrets = true
		}
	}
	if c.jwtQuery != "" {
		slog.Warn("JWT_QUERY is set: tokens in URLs get into the logs of proxies; leave the query out of those")
		opts.QueryParam = c.jwtQuery
		opts.Sources = []jwtmode.Source{jwtmode.SourceHeader, jwtmode.SourceSubprotocol, jwtmode.SourceMessage, jwtmode.InsecureSourceQuery}
	}
	return jwtmode.New(opts)
}
