package parts

import "context"

// Provider is an OpenID Connect provider that runs, and its one client.
type Provider struct {
	*Process
	ClientID, ClientSecret string
}

// StartOIDC starts the OpenID Connect provider of testdata/node/oidc.js, which
// is npm's oidc-provider; its URL is the issuer. There may be further
// environment, such as "TOKEN_LIFETIME=5" (seconds). How it gives out tokens is
// said there.
func StartOIDC(ctx context.Context, env ...string) (*Provider, error) {
	p := &Provider{ClientID: "socket-service", ClientSecret: "a-secret-of-the-tests"}
	var err error
	p.Process, err = startNode(ctx, NodePrograms, "jose", "oidc.js", append(env, "CLIENT_ID="+p.ClientID, "CLIENT_SECRET="+p.ClientSecret)...)
	if err != nil {
		return nil, err
	}
	p.Name = "oidc"
	return p, nil
}

// StartTokens starts the issuer of tokens of testdata/node/tokens.js, which
// signs with npm's jose and jsonwebtoken; secret is that of its HS tokens.
func StartTokens(ctx context.Context, secret []byte) (*Process, error) {
	p, err := startNode(ctx, NodePrograms, "jose", "tokens.js", "JWT_SECRET="+string(secret))
	if err != nil {
		return nil, err
	}
	p.Name = "tokens"
	return p, nil
}
