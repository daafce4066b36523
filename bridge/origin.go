package bridge

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// originPattern is one entry of [Options.AllowedOrigins].
type originPattern struct {
	scheme   string // "" fits http and https
	host     string // lower case, without the leading "*." of a wildcard
	wildcard bool   // one or more labels before host
	port     string // "" is the scheme's default port, "*" is any
}

func parseOriginPattern(s string) (originPattern, error) {
	fail := func(why string) (originPattern, error) {
		return originPattern{}, fmt.Errorf("bridge: AllowedOrigins: %q: %s; write it like \"https://app.example.com\", \"*.example.com\" or \"localhost:*\"", s, why)
	}
	if s == "*" {
		return originPattern{}, errors.New(`bridge: AllowedOrigins: "*" would let every page on the web open sockets in its visitors' names; list the origins, or set InsecureAnyOrigin`)
	}
	var p originPattern
	rest := strings.ToLower(s)
	if scheme, after, ok := strings.Cut(rest, "://"); ok {
		if scheme != "http" && scheme != "https" {
			return fail("the scheme is neither http nor https")
		}
		p.scheme, rest = scheme, after
	}
	if strings.ContainsAny(rest, "/?#@ \t,") {
		return fail("an origin is only scheme, host and port")
	}
	host, port, err := splitHostPort(rest)
	if err != nil {
		return fail("the host and port cannot be told apart")
	}
	if n, err := strconv.ParseUint(port, 10, 16); port != "" && port != "*" && (err != nil || strconv.FormatUint(n, 10) != port) {
		return fail("the port is neither a number up to 65535 nor *")
	}
	p.port = port
	if p.scheme != "" && p.port == defaultPort(p.scheme) {
		p.port = ""
	}
	p.host, p.wildcard = strings.CutPrefix(host, "*.")
	switch {
	case p.host == "":
		return fail("the host is empty")
	case strings.ContainsAny(p.host, "[]%\\"):
		return fail("the host is not one that a browser sends")
	case strings.ContainsFunc(p.host, func(r rune) bool { return r > unicode.MaxASCII }):
		return fail("a browser sends the host in its ASCII form, xn--…")
	case strings.Contains(p.host, "*"):
		return fail("a * stands for whole labels at the start of the host")
	}
	return p, nil
}

func (p originPattern) match(scheme, host, port string) bool {
	if p.scheme != "" && p.scheme != scheme {
		return false
	}
	if p.port != "*" && p.port != port && (p.port != defaultPort(scheme) || port != "") {
		return false
	}
	if p.wildcard {
		return strings.HasSuffix(host, "."+p.host)
	}
	return host == p.host
}

func defaultPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}

// splitHostPort splits "host", "host:port" and "[v6]:port"; the port is empty
// if there is none.
func splitHostPort(s string) (host, port string, err error) {
	if !strings.Contains(s, ":") || strings.HasSuffix(s, "]") {
		return strings.Trim(s, "[]"), "", nil
	}
	return net.SplitHostPort(s)
}

// checkOrigin refuses a request that a browser makes for a page of another
// origin. Browsers send Origin with every WebSocket handshake (RFC 6455,
// section 4.1). Other requests, a script's or an image's say, may come without
// it; for those there is Sec-Fetch-Site (W3C Fetch Metadata), from which only
// following a link is excepted: it shows the answer to nobody else.
func (b *Bridge) checkOrigin(r *http.Request) *Refusal {
	origins := r.Header["Origin"]
	if !b.guardOrigin {
		return nil
	}
	if len(origins) == 0 {
		site := r.Header.Get("Sec-Fetch-Site")
		if site != "cross-site" && site != "same-site" || isNavigation(r) {
			return nil
		}
		return &Refusal{CodeOriginNotAllowed, "this page may not connect here",
			fmt.Errorf("a page of another origin (Sec-Fetch-Site: %s) embeds this of host %.200q, which only its own pages may", site, r.Host)}
	}
	origin := strings.Join(origins, ", ")
	u, err := url.Parse(origin)
	if len(origins) == 1 && err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" {
		host, port := strings.ToLower(u.Hostname()), u.Port()
		if port == defaultPort(u.Scheme) {
			port = ""
		}
		if sameHost(r, u.Scheme, host, port) {
			return nil
		}
		for _, p := range b.origins {
			if p.match(u.Scheme, host, port) {
				return nil
			}
		}
	}
	return &Refusal{CodeOriginNotAllowed, "this page may not connect here", foreignOrigin(r, origin)}
}

// foreignOrigin says for the log what was compared, and what to try if the page
// is the service's own.
func foreignOrigin(r *http.Request, origin string) error {
	advice := "if the page is yours, list its origin in AllowedOrigins, and if a proxy stands between, let it pass the Host header on"
	scheme, host, _ := strings.Cut(strings.ToLower(origin), "://")
	switch {
	case origin == "null":
		advice = "a file, a sandboxed frame and a data: URL have no origin: serve the page by http"
	case scheme == "http" && r.TLS != nil && host == strings.ToLower(r.Host):
		advice = "the page came by http and this connection by https: serve the page by https, too"
	case host != "" && strings.EqualFold(host, r.Header.Get("X-Forwarded-Host")):
		advice = "X-Forwarded-Host has the page's host, but is not believed, as any client can send it: let the proxy pass the Host header on"
	}
	return fmt.Errorf("origin %.200q is not the requested host %.200q; %s", origin, r.Host, advice)
}

func isNavigation(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}

func sameHost(r *http.Request, scheme, host, port string) bool {
	if r.TLS != nil && scheme != "https" {
		return false // a page that anybody on the way could have written
	}
	reqHost, reqPort, err := splitHostPort(strings.ToLower(r.Host))
	if err != nil {
		return false
	}
	if reqPort == defaultPort(scheme) {
		reqPort = ""
	}
	return reqHost != "" && reqHost == host && reqPort == port
}
