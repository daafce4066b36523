package bridge

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"
)

// ForwardAuth answers, for a proxy, whether the client that it has before it is
// logged in: nginx' auth_request, Traefik's forwardAuth, Caddy's forward_auth.
// The proxy passes the request's headers, Host and Cookie above all. The answer
// is 200 with X-User-Id and X-Auth-Via, or a refusal as for a handshake: 401,
// 403 (origin) or 503.
//
// The user's id stands in the header as it is if that is printable ASCII
// without spaces around it; another cannot be told there and is refused with
// 503. The proxy must set both headers on what it passes on, so that a client
// cannot send its own.
func (b *Bridge) ForwardAuth() http.Handler {
	return b.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := FromContext(r.Context())
		if !isHeaderValue(id.User) || !isHeaderValue(id.Via) {
			b.refuse(w, r, nil, unavailable(errNotAHeader))
			return
		}
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-User-Id", id.User)
		h.Set("X-Auth-Via", id.Via)
	}))
}

var errNotAHeader = errors.New("the user's id holds more than printable ASCII and cannot stand in a header")

func isHeaderValue(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' && (s[i] != ' ' || i == 0 || i == len(s)-1) || s[i] >= 0x7f {
			return false
		}
	}
	return s != ""
}

// maxConnectRequest bounds the body of a proxied connect request.
const maxConnectRequest = 64 << 10

// CentrifugoConnect answers Centrifugo's connect proxy
// (https://centrifugal.dev/docs/server/proxy): a POST with the client's own
// headers, of which Cookie, Origin and Authorization must be passed on, and
// perhaps with what the client has sent as its data: a {"rediskey": …}, or a
// token as {"token": …}. The answer is {"result": {"user": …}}, or {"disconnect": …} with code
// 4501 (unauthorized) or 4503 (forbidden), after which the client does not
// come again by itself. When the store cannot be reached it is 503, which lets
// the client try again.
//
// The connection is Centrifugo's, so a logout does not reach it: "expire_at" is
// a minute from now at the most, and Centrifugo asks again by then if this same
// handler is its refresh proxy; it answers {"result": {"expired": true}} if
// nobody is logged in any more.
func (b *Bridge) CentrifugoConnect() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			http.Error(w, "Centrifugo asks by POST", http.StatusMethodNotAllowed)
			return
		}
		var request struct {
			User string          `json:"user"` // only a refresh has it
			Data json.RawMessage `json:"data"`
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxConnectRequest))
		if err != nil || json.Unmarshal(body, &request) != nil {
			http.Error(w, "this is no request of Centrifugo's connect proxy", http.StatusBadRequest)
			return
		}
		l, err := b.Open(r)
		if err == nil {
			defer l.Close(nil)
			err = l.Authenticate(r.Context(), nil)
			if errors.Is(err, ErrNoCredential) && b.traits.Message {
				if m := connectMessage(request.Data); m != nil {
					err = l.Authenticate(r.Context(), m)
				}
			}
		}
		w.Header().Set("Cache-Control", "no-store")
		if ref := (*Refusal)(nil); errors.As(err, &ref) {
			b.answerCentrifugo(w, ref, request.User != "")
			return
		}
		id := l.Identity()
		if request.User != "" && request.User != id.User {
			writeJSON(w, centrifugoAnswer{Result: &centrifugoResult{Expired: true}})
			return
		}
		result := &centrifugoResult{}
		if request.User == "" {
			result.User = id.User
			result.Info = map[string]string{"via": id.Via}
		}
		now := time.Now()
		result.ExpireAt = now.Add(centrifugoRefresh).Unix()
		if !id.Expires.IsZero() {
			result.ExpireAt = max(min(result.ExpireAt, id.Expires.Unix()), now.Unix()+1)
		}
		writeJSON(w, centrifugoAnswer{Result: result})
	})
}

type centrifugoAnswer struct {
	Result     *centrifugoResult     `json:"result,omitempty"`
	Disconnect *centrifugoDisconnect `json:"disconnect,omitempty"`
}

type centrifugoResult struct {
	User     string            `json:"user,omitempty"`
	ExpireAt int64             `json:"expire_at,omitempty"`
	Expired  bool              `json:"expired,omitempty"`
	Info     map[string]string `json:"info,omitempty"`
}

type centrifugoDisconnect struct {
	Code   int    `json:"code"`
	Reason string `json:"reason"`
}

// centrifugoRefresh is how soon Centrifugo asks again.
const centrifugoRefresh = time.Minute

// Of Centrifugo's codes for applications, 4500 to 4999 let a client not
// reconnect.
const (
	centrifugoUnauthorized = 4501
	centrifugoForbidden    = 4503
)

func (b *Bridge) answerCentrifugo(w http.ResponseWriter, ref *Refusal, refresh bool) {
	switch status := ref.Code.Status(); {
	case status == http.StatusServiceUnavailable:
		ref.serveHTTP(w, b.opts.RetryAfter, "")
	case refresh:
		writeJSON(w, centrifugoAnswer{Result: &centrifugoResult{Expired: true}})
	case status == http.StatusForbidden:
		writeJSON(w, centrifugoAnswer{Disconnect: &centrifugoDisconnect{centrifugoForbidden, string(ref.Code)}})
	default:
		writeJSON(w, centrifugoAnswer{Disconnect: &centrifugoDisconnect{centrifugoUnauthorized, string(ref.Code)}})
	}
}

// connectMessage reads the credential in a client's connect data; nil if there
// is none.
func connectMessage(data json.RawMessage) *Message {
	if kind, m := parseFrame(data); kind == frameAuthenticate {
		return m
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(data, &members) != nil || len(members["token"]) == 0 {
		return nil
	}
	m := &Message{Kind: MessageToken}
	var ok bool
	m.Token, ok = jsonString(members["token"])
	m.Malformed = !ok
	return m
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the proxy may be gone already
}
