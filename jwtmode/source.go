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
)

// marker is the subprotocol before the token. Subprotocols are case-sensitive.
const marker = "bearer"

// requestReaders read the sources that are part of the upgrade request. They
// return "" if it holds nothing for them.
var requestReaders = map[Source]func(*http.Request) (string, error){
	SourceHeader:      readHeader,
	SourceSubprotocol: readSubprotocol,
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
		read := requestReaders[s]
		if read == nil {
			continue
		}
		t, err := read(h.Request)
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
