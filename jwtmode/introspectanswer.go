package jwtmode

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// maxAnswer is the longest answer in bytes that is read.
const maxAnswer = 64 << 10

var (
	flawInactive = token("invalid token", errors.New("the authorization server calls the token inactive"))
	flawScope    = token("insufficient scope", errors.New("the token lacks one of the Scopes"))
	flawKind     = token("invalid token type", errors.New("the token is no access token that whoever bears it may use: its token_type or token_use says otherwise, or it is bound to a key (cnf)"))
)

// introspect asks the server about a token (RFC 7662, section 2.1). size is
// that of the answer.
func (i *Introspection) introspect(ctx context.Context, raw string) (id *bridge.Identity, size int, err error) {
	select {
	case i.turns <- struct{}{}:
		defer func() { <-i.turns }()
	case <-ctx.Done():
		return nil, 0, errors.New("asking the authorization server: as many requests as MaxConcurrent allows are under way")
	}
	body, err := i.post(ctx, raw)
	if err != nil {
		return nil, 0, fmt.Errorf("asking the authorization server: %w", err)
	}
	members, err := parseAnswer(body)
	if err != nil {
		return nil, 0, fmt.Errorf("the authorization server's answer: %w", err)
	}
	id, err = i.judge(members, time.Now())
	return id, len(body), err
}

// post returns the body of an answer of status 200. Errors hold neither the
// token nor a secret.
func (i *Introspection) post(ctx context.Context, raw string) ([]byte, error) {
	form := url.Values{"token": {raw}, "token_type_hint": {"access_token"}}
	if i.opts.SecretInBody {
		form.Set("client_id", i.opts.ClientID)
		form.Set("client_secret", i.opts.ClientSecret)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, i.opts.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	if !i.opts.SecretInBody {
		// Both are form-encoded first (RFC 6749, section 2.3.1).
		r.SetBasicAuth(url.QueryEscape(i.opts.ClientID), url.QueryEscape(i.opts.ClientSecret))
	}
	res, err := i.client.Do(r)
	if err != nil {
		if u := (*url.Error)(nil); errors.As(err, &u) {
			err = u.Err
		}
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case res.StatusCode == http.StatusUnauthorized:
		return nil, errors.New("it refuses the ClientID or the ClientSecret (401)")
	case res.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("it answered %d, not 200", res.StatusCode)
	case len(body) > maxAnswer:
		return nil, fmt.Errorf("it is longer than %d bytes", maxAnswer)
	}
	if kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, errors.New("it is not application/json (RFC 7662, section 2.2)")
	}
	return body, nil
}

// parseAnswer reads an answer of RFC 7662, section 2.2: a JSON object with a
// boolean "active". Numbers stay as they are written. Of two members with one
// name it is not known which holds.
func parseAnswer(body []byte) (map[string]any, error) {
	var members map[string]any // null leaves it nil
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if !utf8.Valid(body) || !json.Valid(body) || d.Decode(&members) != nil || members == nil {
		return nil, errors.New("it is not a JSON object")
	}
	if len(members) != countMembers(body) {
		return nil, errors.New("it has two members of one name")
	}
	if _, ok := members["active"].(bool); !ok {
		return nil, errors.New(`it has no "active" that is true or false`)
	}
	return members, nil
}

// judge makes an identity of an answer.
func (i *Introspection) judge(members map[string]any, now time.Time) (*bridge.Identity, error) {
	if members["active"] != true {
		return nil, flawInactive
	}
	claims := jwt.MapClaims(members)
	exp, ends, err := date(claims, "exp")
	expires := exp.Add(i.tokens.opts.Leeway)
	switch {
	case err != nil:
		return nil, err
	case ends && !now.Before(expires):
		return nil, flawExpired
	}
	if !isBearer(members) {
		return nil, flawKind
	}
	if iss, _ := members["iss"].(string); i.opts.Issuer != "" && iss != i.opts.Issuer {
		return nil, wrongIssuer(i.opts.Issuer)
	}
	if len(i.opts.Audience) > 0 {
		aud, err := claims.GetAudience()
		if err != nil || !slices.ContainsFunc(aud, func(s string) bool { return slices.Contains(i.opts.Audience, s) }) {
			return nil, wrongAudience(i.opts.Audience)
		}
	}
	scope, _ := members["scope"].(string)
	given := strings.Split(scope, " ") // RFC 6749, section 3.3
	for _, s := range i.opts.Scopes {
		if !slices.Contains(given, s) {
			return nil, flawScope
		}
	}
	user, err := i.tokens.opts.user(claims)
	if err != nil {
		return nil, err
	}
	id := &bridge.Identity{User: user, Via: i.opts.Name, Claims: members}
	if ends {
		id.Expires = expires
	}
	return id, nil
}

// isBearer reports whether an answer is about an access token without any
// further proof. What a server does not say is taken for good: both members are
// optional, and token_use is Hydra's and Cognito's.
func isBearer(members map[string]any) bool {
	says := func(name string, accepted ...string) bool {
		v, ok := members[name]
		s, _ := v.(string)
		return !ok || slices.ContainsFunc(accepted, func(a string) bool { return strings.EqualFold(s, a) })
	}
	return says("token_type", "Bearer", "access_token") && says("token_use", "access_token", "access") && members["cnf"] == nil
}
