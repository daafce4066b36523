package bridge

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"net/http"
	"net/url"
	"strings"
)

// keptRequest is a handshake's request as a connection keeps it, for the
// authenticators that are asked about later messages: what net/http has of it
// is several times as large, in some twenty objects.
type keptRequest struct {
	text packed
	url  *url.URL // nil if it is no more than a path and a query
	tls  *tls.ConnectionState
}

// packed is strings, each behind its length, and numbers.
type packed []byte

// keep returns what [keptRequest.restore] needs.
func keep(r *http.Request) *keptRequest {
	var scratch [768]byte // more than most browsers send
	p := packed(scratch[:0])
	for _, s := range []string{r.Method, r.Proto, r.Host, r.RequestURI, r.RemoteAddr, r.Pattern} {
		p = p.add(s)
	}
	k := &keptRequest{tls: r.TLS}
	u := r.URL
	if u == nil || *u != (url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}) {
		k.url, u = u, &url.URL{}
	}
	p = p.add(u.Path).add(u.RawPath).add(u.RawQuery)
	for _, name := range wildcards(r.Pattern) {
		p = p.add(r.PathValue(name))
	}
	p = binary.AppendUvarint(p, uint64(len(r.Header)))
	for name, values := range r.Header {
		p = binary.AppendUvarint(p.add(name), uint64(len(values)))
		for _, v := range values {
			p = p.add(v)
		}
	}
	k.text = append(make(packed, 0, len(p)), p...)
	return k
}

// restore returns the request, within another context.
func (k *keptRequest) restore(ctx context.Context) *http.Request {
	p := k.text
	r := (&http.Request{Body: http.NoBody, TLS: k.tls}).WithContext(ctx)
	for _, s := range []*string{&r.Method, &r.Proto, &r.Host, &r.RequestURI, &r.RemoteAddr, &r.Pattern} {
		*s = p.next()
	}
	r.ProtoMajor, r.ProtoMinor, _ = http.ParseHTTPVersion(r.Proto) // as net/http had it
	r.URL = &url.URL{Path: p.next(), RawPath: p.next(), RawQuery: p.next()}
	if k.url != nil {
		r.URL = k.url
	}
	for _, name := range wildcards(r.Pattern) {
		r.SetPathValue(name, p.next())
	}
	n := p.count()
	r.Header = make(http.Header, n)
	for range n {
		name := p.next()
		values := make([]string, p.count())
		for i := range values {
			values[i] = p.next()
		}
		r.Header[name] = values
	}
	return r
}

// wildcards returns the names of a pattern that have a value in each request:
// of [http.ServeMux], or of a router that writes them alike and may put what
// they match behind a colon.
func wildcards(pattern string) []string {
	var names []string
	for {
		_, rest, ok := strings.Cut(pattern, "{")
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

func (p packed) add(s string) packed {
	return append(binary.AppendUvarint(p, uint64(len(s))), s...)
}

func (p *packed) next() string {
	n := p.count()
	s := string((*p)[:n])
	*p = (*p)[n:]
	return s
}

func (p *packed) count() int {
	n, size := binary.Uvarint(*p)
	*p = (*p)[size:]
	return int(n)
}
