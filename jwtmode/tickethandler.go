package jwtmode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// TicketHandlerOptions configure a [TicketHandler]. A nil
// *TicketHandlerOptions is safe.
type TicketHandlerOptions struct {
	// AllowedOrigins lists origins other than the handler's own whose pages
	// may ask for a token with their visitor's cookies and read the answer
	// (CORS): each exactly as a browser sends it, "https://app.example.com".
	AllowedOrigins []string

	// BindOrigin makes a ticket good only for a handshake with the same Origin
	// as the request for it had.
	BindOrigin bool

	// AccessTokens gives out tokens that may be used until they expire,
	// instead of tickets for one use. [New] accepts them with
	// [Issuer.Options]; a socket that one has opened lives until its exp,
	// whatever happens to the session.
	AccessTokens bool

	// TTL is how long a token holds. Default 30 s for tickets, 5 min at most;
	// the issuer's TTL for access tokens.
	TTL time.Duration

	// MaxAge is how long after a login was first turned into a token that may
	// be refreshed, by however many steps. Default 12 h.
	MaxAge time.Duration

	// Revocations end the tokens that would be refreshed. Default nil.
	Revocations *Revocations

	// RetryAfter is as in [bridge.Options].
	RetryAfter time.Duration

	// Logger gets a line for each refusal. Default slog.Default().
	Logger *slog.Logger
}

const (
	defaultMaxAge = 12 * time.Hour
	preflightAge  = "600" // seconds that a browser may remember an answer to OPTIONS
)

// TicketHandler returns the token endpoint: to a POST that auth vouches for,
// by the session cookie say, it answers
//
//	{"token": "<token>", "expires": "<RFC 3339>"}
//
// with a ticket for one handshake within 30 s, or with an access token. The
// body of the request is not read. A refusal is one of [bridge.Bridge.Middleware].
// As a cookie is attached to any page's requests, only pages of the handler's
// own origin and of the AllowedOrigins are answered.
//
// A POST with Authorization: Bearer and an access token of the issuer gets a
// token, too: that is how an access token is refreshed. It must hold, not be
// revoked, and not be older in its chain than MaxAge; and its session must
// live.
//
// An identity must have an end that the token can share: a session of one of
// the issuer's Sessions, or a time at which it expires. Without, the answer is
// 503, and the log says why.
func TicketHandler(auth bridge.Authenticator, issuer *Issuer, opts *TicketHandlerOptions) (http.Handler, error) {
	var o TicketHandlerOptions
	if opts != nil {
		o = *opts
	}
	switch {
	case isNil(auth):
		return nil, errors.New("jwtmode: the token endpoint has no authenticator; was the error of its constructor checked?")
	case issuer == nil:
		return nil, errors.New("jwtmode: the token endpoint has no Issuer; was the error of NewIssuer checked?")
	case o.BindOrigin && o.AccessTokens:
		return nil, errors.New("jwtmode: BindOrigin has no effect on AccessTokens; set one of them")
	case o.TTL < 0 || o.TTL > 0 && o.TTL < time.Second:
		return nil, errors.New("jwtmode: the token endpoint's TTL is less than a second; leave it zero for the default")
	case o.TTL > maxTicketTTL && !o.AccessTokens:
		return nil, fmt.Errorf("jwtmode: a ticket that holds for %v will be kept and lost; at most %v is accepted", o.TTL, maxTicketTTL)
	case o.MaxAge < 0:
		return nil, errors.New("jwtmode: MaxAge is negative; leave it zero for 12 h")
	case o.MaxAge == 0:
		o.MaxAge = defaultMaxAge
	}
	if o.TTL == 0 {
		if o.TTL = defaultTicketTTL; o.AccessTokens {
			o.TTL = issuer.opts.TTL
		}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.AllowedOrigins = slices.Clone(o.AllowedOrigins)
	for _, s := range o.AllowedOrigins {
		if err := checkExactOrigin(s); err != nil {
			return nil, err
		}
	}
	verify := issuer.Options()
	verify.Leeway = defaultTicketLeeway
	verify.RequiredClaims = []string{"jti", "iat", claimVia, claimBegan}
	tokens, err := New(verify)
	if err != nil {
		return nil, err
	}
	e := &ticketEndpoint{issuer: issuer, opts: o}
	// A bridge of its own: it checks the origin, answers and logs a refusal as
	// everywhere. It follows no feed, so that there is nothing to shut down.
	hook, err := bridge.New(bridge.First(&refresher{e, tokens}, &ticketSource{e, auth}), &bridge.Options{
		AllowedOrigins: o.AllowedOrigins,
		RetryAfter:     o.RetryAfter,
		Logger:         o.Logger,
	})
	if err != nil {
		return nil, err
	}
	e.authenticated = hook.Middleware(http.HandlerFunc(e.answer))
	return e, nil
}

// checkExactOrigin refuses what no browser sends as the Origin of a page.
func checkExactOrigin(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || s != u.Scheme+"://"+u.Host ||
		strings.ToLower(s) != s || strings.ContainsAny(u.Host, "*,@ ") ||
		u.Port() == map[string]string{"http": "80", "https": "443"}[u.Scheme] {
		return fmt.Errorf("jwtmode: AllowedOrigins: %q is no origin as a browser sends it; write scheme, host and, if it is not the default, port in lower case, like \"https://app.example.com\"; \"*\" and patterns would let strangers' pages read their visitors' tokens", s)
	}
	return nil
}

// ticketEndpoint is the handler of [TicketHandler].
type ticketEndpoint struct {
	issuer        *Issuer
	opts          TicketHandlerOptions
	authenticated http.Handler
}

func (e *ticketEndpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Add("Vary", "Origin")
	h.Set("Cache-Control", "no-store")
	allowed := len(r.Header["Origin"]) == 1 && slices.Contains(e.opts.AllowedOrigins, r.Header.Get("Origin"))
	if allowed {
		h.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	switch r.Method {
	case http.MethodPost:
		e.authenticated.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), grantKey{}, new(grant))))
	case http.MethodOptions:
		if allowed {
			h.Set("Access-Control-Allow-Methods", http.MethodPost)
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
			h.Set("Access-Control-Max-Age", preflightAge)
		}
		h.Set("Allow", "POST, OPTIONS")
		w.WriteHeader(http.StatusNoContent)
	default:
		h.Set("Allow", "POST, OPTIONS")
		http.Error(w, "ask for a token by POST", http.StatusMethodNotAllowed)
	}
}

// answer gives a token to whom the request was authenticated as.
func (e *ticketEndpoint) answer(w http.ResponseWriter, r *http.Request) {
	id, _ := bridge.FromContext(r.Context())
	g := grantOf(r.Context())
	n := issuance{identity: id, typ: typeTicket, ttl: e.opts.TTL, began: g.began, end: g.began.Add(e.opts.MaxAge), until: g.until, reference: g.reference}
	if e.opts.AccessTokens {
		n.typ = typeAccess
	}
	if e.opts.BindOrigin {
		page := r.Header.Get("Origin")
		n.origin = &page
	}
	t, err := e.issuer.issue(n)
	if err != nil {
		e.opts.Logger.LogAttrs(r.Context(), slog.LevelError, "no token was issued", slog.String("reason", err.Error()))
		http.Error(w, "no token could be made", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	body, _ := json.Marshal(map[string]string{"token": t.Text, "expires": t.Expires.UTC().Format(time.RFC3339)}) // strings only: cannot fail
	_, _ = w.Write(append(body, '\n'))                                                                           // the client may be gone already
}
