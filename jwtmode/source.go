package jwtmode

import (
	"net/http"
	"slices"
	"strings"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// Source names a place in which a client may present its token.
type Source string

const (
	// SourceHeader is an Authorization: Bearer header (RFC 6750, section
	// 2.1). A header of another scheme is somebody else's credential.
	SourceHeader Source = "header"

	// SourceSubprotocol is a pair among the offered subprotocols:
	//
	//	Sec-WebSocket-Protocol: bearer, <token>
	//
	// Only the marker, bearer, is ever sent back. Proxies that log request
	// headers will log the token, as they would that of SourceHeader.
	SourceSubprotocol Source = "subprotocol"

	// SourceMessage is a message on the open socket:
	//
	//	{"event": "authenticate", "data": {"token": "<token>"}}
	SourceMessage Source = "message"

	// SourceCookie is the cookie that [Options.Cookie] names. A browser sends
	// it with every handshake by itself, so that the hook then checks the
	// origin of all of them; see [bridge.Traits].
	SourceCookie Source = "cookie"

	// InsecureSourceQuery is a parameter of the URL's query, ?token=<token> or
	// the one that [Options.QueryParam] names. URLs are kept where tokens must
	// not be: in the logs of proxies and of the service, in a browser's
	// history, in Referer. This module logs no URL. Of all else that stands
	// before the service, the access log must leave out the query: nginx logs
	// $uri instead of $request, Apache %U instead of %r, and a load balancer's
	// log is switched off. Give such tokens a few seconds to live.
	InsecureSourceQuery Source = "query"
)

// sources are all that there are.
var sources = []Source{SourceHeader, SourceSubprotocol, SourceMessage, SourceCookie, InsecureSourceQuery}

// marker is the subprotocol before the token. Subprotocols are case-sensitive.
const marker = "bearer"

// read returns the token that a source in the upgrade request holds; "" for
// none.
func (o *Options) read(s Source, r *http.Request) (string, error) {
	switch s {
	case SourceHeader:
		return readHeader(r)
	case SourceSubprotocol:
		return readSubprotocol(r)
	case SourceCookie:
		return readCookie(r, o.Cookie)
	case InsecureSourceQuery:
		return readQuery(r, o.QueryParam)
	default: // a message is not part of the request
		return "", nil
	}
}

func readHeader(r *http.Request) (string, error) {
	lines := r.Header["Authorization"]
	for _, line := range lines {
		scheme, rest := line, ""
		if i := strings.IndexAny(line, " \t"); i >= 0 {
			scheme, rest = line[:i], strings.TrimLeft(line[i:], " ")
		}
		if !strings.EqualFold(scheme, "Bearer") { // RFC 9110, section 11.1: case-insensitive
			continue
		}
		// A second line, whatever its scheme, would leave it to chance which
		// of the two another party has checked.
		if len(lines) > 1 || rest == "" || strings.ContainsAny(rest, " \t") {
			return "", flawHeader
		}
		return rest, nil
	}
	return "", nil
}

func readSubprotocol(r *http.Request) (string, error) {
	var offered []string
	for _, line := range r.Header["Sec-Websocket-Protocol"] {
		for p := range strings.SplitSeq(line, ",") {
			offered = append(offered, strings.Trim(p, " \t"))
		}
	}
	i := slices.Index(offered, marker)
	if i < 0 {
		return "", nil
	}
	behind := offered[i+1:]
	if len(behind) == 0 || behind[0] == "" || slices.Contains(behind, marker) {
		return "", flawSubprotocol
	}
	return behind[0], nil
}

// readCookie looks at every cookie of the name, not at the first as most
// servers do: one that another host of the domain has set may come before the
// service's own (RFC 6265, section 8.6).
func readCookie(r *http.Request, name string) (string, error) {
	found := ""
	for _, line := range r.Header["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			n, v, ok := strings.Cut(pair, "=")
			if !ok || strings.Trim(n, " \t") != name {
				continue
			}
			switch v = strings.Trim(v, " \t"); {
			case v == "": // how applications take a cookie back
			case found != "" && v != found:
				return "", flawTwoTokens
			default:
				found = v
			}
		}
	}
	return found, nil
}

func readQuery(r *http.Request, name string) (string, error) {
	found := ""
	for _, v := range r.URL.Query()[name] {
		switch {
		case v == "":
		case found != "" && v != found:
			return "", flawTwoTokens
		default:
			found = v
		}
	}
	return found, nil
}

// find returns the token that the handshake presents. The request is not read
// again once a message came: it may hold a former token.
func (a *Authenticator) find(h *bridge.Handshake) (string, error) {
	if m := h.Message; m != nil {
		switch {
		case m.Kind != bridge.MessageToken || !slices.Contains(a.opts.Sources, SourceMessage):
			return "", a.noCredential("no token in the message")
		case m.Malformed:
			return "", flawDatatype
		}
		return m.Token, nil
	}
	found := ""
	for _, s := range a.opts.Sources {
		t, err := a.opts.read(s, h.Request)
		switch {
		case err != nil:
			return "", err
		case t != "" && found != "" && t != found:
			return "", flawTwoTokens
		case t != "":
			found = t
		}
	}
	if found == "" {
		return "", a.noCredential("no token in the request")
	}
	return found, nil
}
