package bridge

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// keptRequest is a handshake's request as a connection keeps it, for the
// authenticators that are asked about later messages: what net/http has of it
// is several times as large, in some twenty objects.
type keptRequest struct {
	text packed
	rare *rareParts // nil if it has none
}

type rareParts struct {
	url *url.URL // nil if it is no more than a path and a query
	tls *tls.ConnectionState
}

// packed is strings, each behind its length, and numbers.
type packed string

// usualNames are those of fields that most handshakes have; one is packed as
// its place here. They are in the order in which browsers send them.
var usualNames = []string{
	"Connection", "Pragma", "Cache-Control", "User-Agent", "Upgrade", "Origin", "Sec-Websocket-Version",
	"Accept-Encoding", "Accept-Language", "Cookie", "Sec-Websocket-Key", "Sec-Websocket-Extensions",
	"Sec-Websocket-Protocol", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Accept", "Authorization",
	"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Real-Ip", "Forwarded", "Via",
}

// keep returns what [keptRequest.restore] needs.
func keep(r *http.Request) *keptRequest {
	var scratch [768]byte // more than most browsers send
	p := scratch[:0]
	for _, s := range []string{r.Method, r.Proto, r.Host, r.RequestURI, r.RemoteAddr, r.Pattern} {
		p = pack(p, s)
	}
	rare, u := rareParts{tls: r.TLS}, r.URL
	if u == nil || *u != (url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}) {
		rare.url, u = u, &url.URL{}
	}
	for _, s := range []string{u.Path, u.RawPath, u.RawQuery} {
		p = pack(p, s)
	}
	for _, name := range wildcards(r.Pattern) {
		p = pack(p, r.PathValue(name))
	}
	p = binary.AppendUvarint(p, uint64(len(r.Header)))
	for name, values := range r.Header {
		if i := slices.Index(usualNames, name); i >= 0 {
			p = append(p, byte(i))
		} else {
			p = pack(append(p, byte(len(usualNames))), name)
		}
		p = binary.AppendUvarint(p, uint64(len(values)))
		for _, v := range values {
			p = pack(p, v)
		}
	}
	k := &keptRequest{text: packed(p)}
	if rare != (rareParts{}) {
		k.rare = &rare
	}
	return k
}

// restore returns the request, within another context.
func (k *keptRequest) restore(ctx context.Context) *http.Request {
	p := k.text
	r := (&http.Request{Body: http.NoBody}).WithContext(ctx)
	for _, s := range []*string{&r.Method, &r.Proto, &r.Host, &r.RequestURI, &r.RemoteAddr, &r.Pattern} {
		*s = p.next()
	}
	r.ProtoMajor, r.ProtoMinor, _ = http.ParseHTTPVersion(r.Proto) // as net/http had it
	r.URL = &url.URL{Path: p.next(), RawPath: p.next(), RawQuery: p.next()}
	if k.rare != nil {
		r.TLS = k.rare.tls
		if k.rare.url != nil {
			r.URL = k.rare.url
		}
	}
	for _, name := range wildcards(r.Pattern) {
		r.SetPathValue(name, p.next())
	}
	n := p.count()
	r.Header = make(http.Header, n)
	for range n {
		name := p.name()
		values := make([]string, p.count())
		for i := range values {
			values[i] = p.next()
		}
		r.Header[name] = values
	}
	return r
}

// wildcards returns the names of a pattern that have a value in each request:
// of [http.ServeMux], or of a router that writes them alike, may put what they
// match behind a colon, and has what follows a lone * under that name.
func wildcards(pattern string) []string {
	var names []string
	for {
		fixed, rest, ok := strings.Cut(pattern, "{")
		if strings.Contains(fixed, "*") {
			names = append(names, "*")
		}
		if !ok {
			return names
		}
		name, rest, _ := strings.Cut(rest, "}")
		name, _, _ = strings.Cut(strings.TrimSuffix(name, "..."), ":")
		if name != "$" {
			names = append(names, name)
		}
		pattern = rest
	}
}

func pack(p []byte, s string) []byte {
	return append(binary.AppendUvarint(p, uint64(len(s))), s...)
}

func (p *packed) next() string {
	n := p.count()
	s := string((*p)[:n])
	*p = (*p)[n:]
	return s
}

// name returns a field's.
func (p *packed) name() string {
	if i := p.count(); i < len(usualNames) {
		return usualNames[i]
	}
	return p.next()
}

func (p *packed) count() int {
	n, size := binary.Uvarint([]byte((*p)[:min(len(*p), binary.MaxVarintLen64)]))
	*p = (*p)[size:]
	return int(n)
}
