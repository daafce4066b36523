package cookie

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/stores"
)

// CodeIgniter3 is CodeIgniter 3 with its redis session driver: cookie
// ci_session, and the user at "user_id".
//
// A ?prefix= in sess_save_path is the whole Keyspace.Prefix. For
// sess_match_ip, see [MatchIP].
func CodeIgniter3() Stack {
	return Stack{
		Name:     "codeigniter3",
		Cookie:   "ci_session",
		Opener:   PHPPlain(),
		Keyspace: stores.CodeIgniter3Keyspace(),
		User:     "user_id",
	}
}

// CodeIgniter4 is CodeIgniter 4 with its RedisHandler: cookie ci_session, and
// the user at "user_id". The key prefix has the cookie's name in it, so
// another name is set in both:
//
//	app := cookie.CodeIgniter4()
//	app.Cookie = "shop"
//	app.Keyspace = stores.CodeIgniter4Keyspace("shop")
//
// A ?prefix= in the session's savePath is the whole Keyspace.Prefix. For
// matchIP, see [MatchIP].
func CodeIgniter4() Stack {
	return Stack{
		Name:     "codeigniter4",
		Cookie:   "ci_session",
		Opener:   PHPPlain(),
		Keyspace: stores.CodeIgniter4Keyspace("ci_session"),
		User:     "user_id",
	}
}

// MatchIP returns an authenticator for CodeIgniter's matchIP, which puts the
// client's address and a colon between prefix and id: each request is looked
// up with its own.
//
// clientIP says what the address is; nil, it is the request's RemoteAddr.
// Behind a proxy both see the proxy's, unless told otherwise: it must then be
// what CodeIgniter's getIPAddress returns (CodeIgniter 3: REMOTE_ADDR). What
// it returns is refused if it is no IP address.
func MatchIP(a *Authenticator, clientIP func(*http.Request) string) (bridge.Authenticator, error) {
	if a == nil {
		return nil, errors.New("cookie: an authenticator is nil; was the error of New checked?")
	}
	if clientIP == nil {
		clientIP = remoteIP
	}
	return &matchIP{a, clientIP}, nil
}

type matchIP struct {
	*Authenticator
	clientIP func(*http.Request) string
}

func remoteIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}

// Authenticate implements [bridge.Authenticator].
func (m *matchIP) Authenticate(ctx context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
	ip, err := netip.ParseAddr(m.clientIP(h.Request))
	if err != nil || ip.Zone() != "" {
		return nil, fmt.Errorf("%s: the client's IP address, which matchIP needs, is not known", m.stack.Name)
	}
	a := *m.Authenticator
	ks := &a.stack.Keyspace
	ks.Prefix += ip.String() + ":"
	alternatives := make([]string, len(ks.Alternatives))
	for i, p := range ks.Alternatives {
		alternatives[i] = p + ip.String() + ":"
	}
	ks.Alternatives = alternatives
	return a.Authenticate(ctx, h)
}
