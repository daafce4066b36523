package jwtmode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// Spender remembers what has been used. A Redis store of package stores is one.
type Spender interface {
	// Spend notes a key as spent, for ttl at least, and reports whether nobody
	// had done so before. Of all calls on all nodes, one gets true. An error
	// says that this is not known.
	Spend(ctx context.Context, key string, ttl time.Duration) (first bool, err error)
}

// TicketOptions configure [Tickets]. A nil *TicketOptions is safe.
type TicketOptions struct {
	// Sources lists where a ticket is looked for, as [Options.Sources]; not in
	// a cookie. Default: [SourceHeader], [SourceSubprotocol], [SourceMessage].
	Sources []Source

	// QueryParam is as in [Options.QueryParam].
	QueryParam string

	// Prefix is what the keys of spent tickets begin with. Default
	// "sessionbridge:ticket:".
	Prefix string

	// Leeway is how far the clocks of the nodes may be apart. Default 5 s;
	// negative: not at all. At most 5 min.
	Leeway time.Duration

	// Revocations end the connections that tickets have opened, too: those of
	// a user from whom tokens are revoked. Default nil.
	Revocations *Revocations
}

const (
	defaultTicketPrefix = "sessionbridge:ticket:"
	defaultTicketLeeway = 5 * time.Second
	defaultTicketTTL    = 30 * time.Second
	// maxTicketTTL keeps what is to be used at once from being kept.
	maxTicketTTL = 5 * time.Minute
)

// Tickets is a [bridge.Authenticator] by the tickets of an [Issuer] that a
// [TicketHandler] gave out. It is safe for concurrent use.
//
// A ticket is good for one handshake. If it refers to a session, the connection
// is bound to that: it gets the identity that the session holds, and ends with
// it, on whatever node it is. Otherwise it has the ticket's claims, and ends
// when the identity would have that the ticket was made from.
type Tickets struct {
	issuer  *Issuer
	spender Spender
	opts    TicketOptions
	tokens  *Authenticator
	feeds   []bridge.Feed
	used    usedTickets
}

// NewTickets returns the authenticator for an issuer's tickets. Their jti are
// spent in spender. Beside other authenticators that read tokens, it must come
// first in [bridge.First]: a token of another kind it leaves to them.
func NewTickets(issuer *Issuer, spender Spender, opts *TicketOptions) (*Tickets, error) {
	var o TicketOptions
	if opts != nil {
		o = *opts
	}
	switch {
	case issuer == nil:
		return nil, errors.New("jwtmode: the tickets' Issuer is nil; was the error of NewIssuer checked?")
	case isNil(spender):
		return nil, errors.New("jwtmode: the tickets' Spender is nil; give the Redis store that all nodes share")
	case slices.Contains(o.Sources, SourceCookie):
		return nil, errors.New("jwtmode: a ticket for one use is in no cookie; leave SourceCookie out")
	case o.Prefix == "":
		o.Prefix = defaultTicketPrefix
	}
	if o.Leeway == 0 {
		o.Leeway = defaultTicketLeeway
	}
	t := &Tickets{issuer: issuer, spender: spender, opts: o}
	verify := issuer.Options()
	verify.Name, verify.Type, verify.Leeway = "ticket", typeTicket, o.Leeway
	verify.Sources, verify.QueryParam = o.Sources, o.QueryParam
	verify.RequiredClaims = []string{"jti", "iat", claimVia, claimBegan}
	var err error
	if t.tokens, err = New(verify); err != nil {
		return nil, err
	}
	for _, s := range issuer.opts.Sessions {
		t.feeds = append(t.feeds, bridge.FeedsOf(s)...)
	}
	if o.Revocations != nil {
		t.feeds = append(t.feeds, o.Revocations.feeds()...)
	}
	return t, nil
}

// Traits implements [bridge.TraitsOf]: no browser attaches a ticket by itself.
func (t *Tickets) Traits() bridge.Traits { return t.tokens.Traits() }

// Feeds implements [bridge.FeedsOf]: those of the sessions that tickets refer
// to, and of the revocations.
func (t *Tickets) Feeds() []bridge.Feed { return slices.Clone(t.feeds) }

var (
	flawUsed     = token("ticket already used", errors.New("the ticket has been used before"))
	flawPage     = &flaw{bridge.CodeOriginNotAllowed, "the ticket is for another page", errors.New("the ticket is for another origin than the handshake's")}
	flawEndless  = token("jwt malformed", errors.New("the token refers to no session and says no end"))
	errNoTickets = errors.New("the token is no ticket")
)

// Authenticate implements [bridge.Authenticator]. What is no ticket is no
// credential. A ticket that does not hold, that was used before, or whose
// session is over or another user's, is rejected. It is spent last, so that one
// about which something could not be found out is good for another try.
func (t *Tickets) Authenticate(ctx context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
	raw, err := t.tokens.find(h)
	switch {
	case errors.Is(err, bridge.ErrNoCredential):
		return nil, err
	case err == nil && !isTicket(raw):
		return nil, t.tokens.noCredential(errNoTickets.Error())
	}
	var id *bridge.Identity
	if err == nil {
		id, err = t.redeem(ctx, h, raw)
	}
	if err != nil {
		return nil, t.tokens.explain(err)
	}
	return id, nil
}

// isTicket reports what a token says itself to be.
func isTicket(raw string) bool {
	t, _, err := parse(raw)
	if err != nil {
		return false
	}
	typ, _ := t.Header["typ"].(string)
	return mediaType(typ) == typeTicket
}

func (t *Tickets) redeem(ctx context.Context, h *bridge.Handshake, raw string) (*bridge.Identity, error) {
	ticket, err := t.tokens.verify(ctx, h.Request, raw)
	if err != nil {
		return nil, err
	}
	if origin, ok := ticket.Claims[claimOrigin]; ok && origin != strings.Join(h.Request.Header["Origin"], ", ") {
		return nil, flawPage
	}
	s, err := t.issuer.session(ticket.Claims)
	if err != nil {
		return nil, err
	}
	var id *bridge.Identity
	if s == nil {
		id, err = t.standAlone(ctx, h, ticket)
	} else {
		id, err = t.resume(ctx, h, ticket, s.binding)
	}
	if err != nil {
		return nil, err
	}
	return id, t.spend(ctx, h, ticket)
}

// resume returns the identity of the session that a ticket refers to.
func (t *Tickets) resume(ctx context.Context, h *bridge.Handshake, ticket *bridge.Identity, session bridge.Binding) (*bridge.Identity, error) {
	var id *bridge.Identity
	var err error
	if t.opts.Revocations == nil {
		id, err = h.Load(ctx, session)
	} else {
		id, err = t.resumeRevocable(ctx, h, ticket, session)
	}
	if err != nil {
		return nil, over(err)
	}
	return id, sameUser(ticket, id)
}

// storeInterval is how often a connection is looked at that two stores can end:
// if one of them is lost, the hook does not look at the connections of the
// other.
const storeInterval = 10 * time.Second

// resumeRevocable is resume for a connection that a revocation ends, too.
func (t *Tickets) resumeRevocable(ctx context.Context, h *bridge.Handshake, ticket *bridge.Identity, session bridge.Binding) (*bridge.Identity, error) {
	r := t.opts.Revocations
	v, err := r.revocable(ticket)
	if err != nil {
		return nil, err
	}
	b := bridge.Binding{
		Key:     r.source + "/ticket:" + v.tokenKey,
		Aliases: slices.Concat([]string{session.Key}, session.Aliases, r.aliases(v)),
		Feed:    session.Feed,
		Every:   session.Every,
		Touch:   session.Touch,
	}
	if t.storeOf(session.Feed) != r.store.Name() && (b.Every == 0 || b.Every > storeInterval) {
		b.Every = storeInterval
	}
	b.Reload = func(ctx context.Context) (*bridge.Identity, error) {
		if err := r.check(ctx, v); err != nil {
			return nil, err
		}
		id, err := session.Reload(ctx)
		if err != nil {
			return nil, err
		}
		held := *id
		held.Key = b.Key
		return &held, nil
	}
	h.Bind(b)
	return b.Reload(ctx)
}

func (t *Tickets) storeOf(feed string) string {
	for _, f := range t.feeds {
		if f.Name == feed {
			return f.Store
		}
	}
	return ""
}

// standAlone returns the identity that a ticket itself holds.
func (t *Tickets) standAlone(ctx context.Context, h *bridge.Handshake, ticket *bridge.Identity) (*bridge.Identity, error) {
	id, err := alone(ticket)
	if err != nil || t.opts.Revocations == nil {
		return id, err
	}
	return t.opts.Revocations.guard(ctx, h, id, whileHolds(id))
}

// alone returns the identity of a token that refers to no session.
func alone(t *bridge.Identity) (*bridge.Identity, error) {
	via, _ := t.Claims[claimVia].(string)
	until, ok, err := date(t.Claims, claimUntil)
	switch {
	case err != nil:
		return nil, err
	case !ok || via == "":
		return nil, flawEndless
	case !time.Now().Before(until):
		return nil, flawExpired
	}
	return &bridge.Identity{User: t.User, Via: via, Expires: until, Claims: t.Claims}, nil
}

// spend makes sure that the ticket is used once.
func (t *Tickets) spend(ctx context.Context, h *bridge.Handshake, ticket *bridge.Identity) error {
	jti, ok := ticket.Claims["jti"].(string)
	if !ok {
		return flawUsed
	}
	key := t.opts.Prefix + hexHash(jti)
	if t.used.by(key, h) {
		return nil
	}
	// Until then the ticket would hold on a node whose clock is slow.
	ttl := time.Until(ticket.Expires) + max(t.opts.Leeway, 0) + time.Second
	first, err := t.spender.Spend(ctx, key, ttl)
	switch {
	case err != nil:
		return fmt.Errorf("whether the ticket was used: %w", err)
	case !first:
		return flawUsed
	}
	t.used.add(key, h)
	return nil
}
