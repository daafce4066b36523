package jwtmode

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// IssuerChoice is a [bridge.Authenticator] for the tokens of several issuers.
type IssuerChoice struct {
	all    []*Authenticator // of the same sources
	finder *Authenticator   // finds tokens, under the names of all
}

// ByIssuer returns an authenticator that has each token judged by the one of
// these whose [Options.Issuer] the token's "iss" names, and by no other.
// [bridge.First] is not made for that: the first of them would reject the
// tokens of all others.
//
// Each must have an Issuer, a Name and, if any, Revocations of its own, as the
// user 42 of one is not that of another, and all the same Sources, Cookie and
// QueryParam.
func ByIssuer(authenticators ...*Authenticator) (*IssuerChoice, error) {
	if len(authenticators) == 0 {
		return nil, errors.New("jwtmode: ByIssuer without an authenticator lets nobody in; give it one for each issuer")
	}
	issuers, names := map[string]bool{}, map[string]bool{}
	for i, a := range authenticators {
		if a == nil {
			return nil, errors.New("jwtmode: an authenticator is nil; was the error of New checked?")
		}
		o, first := &a.opts, &authenticators[0].opts
		switch {
		case o.Issuer == "":
			return nil, fmt.Errorf("jwtmode: the authenticator %q has no Issuer, by which ByIssuer could choose it", o.Name)
		case issuers[o.Issuer]:
			return nil, fmt.Errorf("jwtmode: two authenticators have the Issuer %q", o.Issuer)
		case names[o.Name]:
			return nil, fmt.Errorf("jwtmode: two authenticators are called %q; set the Name of one, so that the users of one issuer are told from those of the other", o.Name)
		case !sameSet(o.Sources, first.Sources) || o.Cookie != first.Cookie || o.QueryParam != first.QueryParam:
			return nil, fmt.Errorf("jwtmode: the authenticators %q and %q look for tokens in different places; give both the same Sources, Cookie and QueryParam", first.Name, o.Name)
		}
		if i := slices.IndexFunc(authenticators[:i], func(b *Authenticator) bool { return o.Revocations.overlaps(b.opts.Revocations) }); i >= 0 {
			return nil, fmt.Errorf("jwtmode: the authenticators %q and %q have the same revocations, so that to revoke the user 42 of one would end that of the other; give each its own, with another RevocationOptions.Prefix", authenticators[i].opts.Name, o.Name)
		}
		issuers[o.Issuer], names[o.Name] = true, true
	}
	finder := *authenticators[0]
	for _, a := range authenticators[1:] {
		finder.opts.Name += " or " + a.opts.Name
	}
	return &IssuerChoice{all: slices.Clone(authenticators), finder: &finder}, nil
}

func sameSet(a, b []Source) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(s Source) bool { return !slices.Contains(b, s) })
}

// Traits implements [bridge.TraitsOf].
func (c *IssuerChoice) Traits() bridge.Traits { return c.finder.Traits() }

// Feeds tell of revocations; see [bridge.FeedsOf].
func (c *IssuerChoice) Feeds() []bridge.Feed {
	var all []bridge.Feed
	for _, a := range c.all {
		all = append(all, a.Feeds()...)
	}
	return all
}

// Authenticate implements [bridge.Authenticator], like [Authenticator]'s. A
// token of another issuer, or of none, is rejected.
func (c *IssuerChoice) Authenticate(ctx context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
	raw, err := c.finder.find(h)
	if errors.Is(err, bridge.ErrNoCredential) {
		return nil, err
	}
	var a *Authenticator
	if err == nil {
		a, err = c.choose(raw)
	}
	if err != nil {
		return nil, c.finder.explain(err)
	}
	return a.judgeExplained(ctx, h, raw)
}

// choose returns the authenticator of the issuer that a token claims to be of.
// The token is not verified: it only says who is to do it, with that issuer's
// keys alone.
func (c *IssuerChoice) choose(raw string) (*Authenticator, error) {
	t, _, err := parse(raw)
	if err != nil {
		return nil, err
	}
	iss, _ := t.Claims.(jwt.MapClaims)["iss"].(string)
	for _, a := range c.all {
		if a.opts.Issuer == iss {
			return a, nil
		}
	}
	want := make([]string, len(c.all))
	for i, a := range c.all {
		want[i] = a.opts.Issuer
	}
	return nil, wrongIssuer(want...)
}
