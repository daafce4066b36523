package jwtmode

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/coreos/go-oidc/v3/oidc"
)

// Provider is what an OpenID Connect provider says of itself.
type Provider struct {
	// Issuer is the iss of its tokens.
	Issuer string

	// JWKS holds its keys.
	JWKS *JWKS

	// Algorithms are those that it signs ID tokens with, as far as they are
	// supported here, and none that takes a secret. It may sign access tokens
	// with others; set [Options.Algorithms] then.
	Algorithms []string

	// IntrospectionEndpoint is the URL that judges its opaque tokens (RFC
	// 7662); "" if there is none.
	IntrospectionEndpoint string
}

// Discover asks an OpenID Connect provider for its configuration, under the
// issuer's URL and /.well-known/openid-configuration (OpenID Connect Discovery
// 1.0, section 4). The provider must answer in JWKSOptions.Timeout and must
// name itself by the very same URL; an error says what is wrong otherwise.
// Keys are fetched later, as [NewJWKS] says, of which ctx and opts are the
// same.
func Discover(ctx context.Context, issuer string, opts *JWKSOptions) (*Provider, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := checkURL(issuer, o.InsecureHTTP); err != nil {
		return nil, fmt.Errorf("jwtmode: the issuer: %w", err)
	}
	asking, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	asking = oidc.ClientContext(asking, &http.Client{
		Transport: &boundedClient{o.Client, o.MaxBytes},
		// The client inside has followed those that may be followed.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
	found, err := oidc.NewProvider(asking, issuer)
	if err != nil {
		return nil, fmt.Errorf("jwtmode: discovery: %w", err)
	}
	var metadata struct {
		JWKSURI               string   `json:"jwks_uri"`
		Algorithms            []string `json:"id_token_signing_alg_values_supported"`
		IntrospectionEndpoint string   `json:"introspection_endpoint"`
	}
	if err := found.Claims(&metadata); err != nil {
		return nil, errors.New("jwtmode: discovery: the issuer's configuration is not what it should be; see OpenID Connect Discovery 1.0, section 3")
	}
	p := &Provider{Issuer: issuer, IntrospectionEndpoint: metadata.IntrospectionEndpoint}
	for _, name := range metadata.Algorithms {
		if a, ok := algorithms[name]; ok && a.key != secretKey && !slices.Contains(p.Algorithms, name) {
			p.Algorithms = append(p.Algorithms, name)
		}
	}
	if p.JWKS, err = NewJWKS(ctx, metadata.JWKSURI, opts); err != nil {
		return nil, err
	}
	return p, nil
}
