package jwtmode

import (
	"context"
	"errors"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// grant is what a token may be issued by. The authenticators fill it in; it is
// in the request's context.
type grant struct {
	reference string
	began     time.Time
	until     time.Time
}

type grantKey struct{}

func grantOf(ctx context.Context) *grant {
	g, _ := ctx.Value(grantKey{}).(*grant)
	return g
}

// ticketSource is the authenticator that a token comes from in the end.
type ticketSource struct {
	e    *ticketEndpoint
	auth bridge.Authenticator
}

func (s *ticketSource) Traits() bridge.Traits {
	t := bridge.TraitsOf(s.auth)
	return bridge.Traits{Ambient: t.Ambient, Challenge: t.Challenge}
}

var (
	errNoEnd       = errors.New("the identity has no end that a token could share; let its authenticator set Expires, or list it in the Issuer's Sessions")
	errNotResumed  = errors.New("the identity is of a session that none of the Issuer's Sessions refers to; list its authenticator there")
	errNoMoreToken = bridge.Reject(bridge.CodeTokenExpired, "log in again", errors.New("the token is as old in its chain as MaxAge allows"))
	errNoTimeLeft  = bridge.Reject(bridge.CodeSessionExpired, "log in again", errors.New("the identity's time is over within a second, too soon for a token"))
)

// lasts reports whether there is time for a token before the end, zero for
// none: an exp is in whole seconds.
func lasts(end time.Time) bool {
	return end.IsZero() || time.Now().Before(end.Truncate(time.Second))
}

func (s *ticketSource) Authenticate(ctx context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
	id, err := s.auth.Authenticate(ctx, h)
	if err != nil || id == nil {
		return nil, err
	}
	g := grantOf(h.Request.Context())
	*g = grant{began: time.Now()}
	ref, ok := s.e.issuer.reference(h.Request, id)
	switch {
	case ok:
		g.reference = ref
	case id.Key != "" && id.Claims == nil:
		return nil, errNotResumed
	case id.Expires.IsZero():
		return nil, errNoEnd
	default:
		g.until = id.Expires
	}
	if !lasts(id.Expires) {
		return nil, errNoTimeLeft
	}
	return id, nil
}

// refresher is the authenticator by access tokens of our own.
type refresher struct {
	e      *ticketEndpoint
	tokens *Authenticator
}

func (f *refresher) Traits() bridge.Traits { return bridge.Traits{} }

func (f *refresher) Authenticate(ctx context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
	raw, err := readHeader(h.Request)
	if err == nil && !f.e.issuer.claims(raw) {
		return nil, f.tokens.noCredential("no token of the issuer in the Authorization header")
	}
	var id *bridge.Identity
	if err == nil {
		id, err = f.judge(ctx, h, raw)
	}
	if err != nil {
		return nil, f.tokens.explain(err)
	}
	return id, nil
}

// claims reports whether a token says that it is the issuer's.
func (i *Issuer) claims(raw string) bool {
	t, _, err := parse(raw)
	if err != nil {
		return false
	}
	iss, err := t.Claims.GetIssuer()
	return err == nil && iss == i.opts.Issuer
}

func (f *refresher) judge(ctx context.Context, h *bridge.Handshake, raw string) (*bridge.Identity, error) {
	t, err := f.tokens.verify(ctx, h.Request, raw)
	if err != nil {
		return nil, err
	}
	if r := f.e.opts.Revocations; r != nil {
		v, err := r.revocable(t)
		if err == nil {
			err = r.check(ctx, v)
		}
		if err != nil {
			return nil, err
		}
	}
	began, _, err := date(t.Claims, claimBegan)
	if err != nil {
		return nil, err
	}
	if !lasts(began.Add(f.e.opts.MaxAge)) {
		return nil, errNoMoreToken
	}
	g := grantOf(h.Request.Context())
	*g = grant{began: began}
	s, err := f.e.issuer.session(t.Claims)
	if err != nil {
		return nil, err
	}
	if s == nil {
		id, err := alone(t)
		if err == nil {
			g.until = id.Expires
		}
		return id, err
	}
	g.reference = s.reference
	found, err := s.binding.Reload(ctx)
	if err != nil {
		return nil, over(err)
	}
	if err := sameUser(t, found); err != nil {
		return nil, err
	}
	once := *found
	once.Key = "" // the request is over at once: nothing is bound
	return &once, nil
}
