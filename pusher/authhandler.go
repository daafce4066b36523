package pusher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// Policy says whether an identity may have a private or presence channel, and
// who it is to the others on the latter: nil is its user id, without
// information. [ErrForbidden] refuses it with 403; any other error says that it
// could not be found out, and is logged and answered with 503. The identity,
// with the session or the token's claims, must not be modified. The policy must
// honour ctx and may be called concurrently.
type Policy func(ctx context.Context, id *bridge.Identity, channel string) (*Member, error)

// AuthHandler answers the client's request to be authorized for a channel
// (pusher-js: channelAuthorization.endpoint, /pusher/auth unless it is told
// otherwise; Echo: authEndpoint, /broadcasting/auth): a POST of socket_id and
// channel_name. Who asks is what the bridge's authenticator says of the
// request (cookie, Authorization header), or of a rediskey or a token among
// the parameters (channelAuthorization.params). A page of another origin is
// refused as it is at the handshake; the handler sends no CORS headers, which a
// page of an allowed origin needs too.
//
// The answer is the signature, which is good once, for that socket, within
// Options.GrantTimeout, as long as the identity lasts. Otherwise it is 400 for
// a request that makes no sense; 401 and 403 for one that is refused; 404 if
// the socket is not in this process, unless Options.AcceptSignatures is set;
// and 503 if it could not be found out. The client's event
// pusher:subscription_error has that status. A nil policy refuses everything.
func (s *Server) AuthHandler(policy Policy) http.Handler {
	return s.authHandler(func(ctx context.Context, id *bridge.Identity, a authRequest) (*granted, error) {
		k := kindOf(a.channel)
		if k != private && k != presence || strings.HasPrefix(a.channel, encryptedPrefix) {
			return nil, errNoPrivate
		}
		if policy == nil {
			return nil, ErrForbidden
		}
		m, err := policy(ctx, id, a.channel)
		if err != nil {
			return nil, err
		}
		if k == private {
			return &granted{name: a.channel, text: channelText(a.socket, a.channel, nil)}, nil
		}
		data, err := m.text("user_id", id)
		return &granted{name: a.channel, text: channelText(a.socket, a.channel, &data), ChannelData: data}, err
	})
}

// UserAuthHandler answers the client's request to sign in (pusher-js:
// userAuthentication.endpoint, /pusher/user-auth unless it is told otherwise),
// as AuthHandler does: a POST of socket_id. The function says who the user is
// to SendToUser and to the client itself, as a [Policy] does; nil lets each be
// who the identity says.
func (s *Server) UserAuthHandler(describe func(ctx context.Context, id *bridge.Identity) (*Member, error)) http.Handler {
	return s.authHandler(func(ctx context.Context, id *bridge.Identity, a authRequest) (*granted, error) {
		var m *Member
		if describe != nil {
			var err error
			if m, err = describe(ctx, id); err != nil {
				return nil, err
			}
		}
		data, err := m.text("id", id)
		return &granted{name: signin, text: userText(a.socket, data), UserData: data}, err
	})
}

var errNoPrivate = errors.New("channel_name is not that of a private or presence channel")

// granted is what a request was granted, and its answer.
type granted struct {
	name string // of the grant
	text string // what is signed

	Auth        string `json:"auth"`
	ChannelData string `json:"channel_data,omitempty"`
	UserData    string `json:"user_data,omitempty"`
}

// judge decides about a request.
type judge func(context.Context, *bridge.Identity, authRequest) (*granted, error)

func (s *Server) authHandler(j judge) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			refuse(w, http.StatusMethodNotAllowed, "POST socket_id and channel_name")
			return
		}
		a, ok := readAuthRequest(w, r)
		if !ok {
			refuse(w, http.StatusBadRequest, "POST socket_id and channel_name, as a form or as JSON")
			return
		}
		kept := r.WithContext(r.Context()) // for as long as the link, without the body's buffers
		kept.Body = http.NoBody
		link, err := s.bridge.Open(kept)
		if err != nil { // logged by the bridge
			refuseAs(w, refusal(err))
			return
		}
		g, err := s.decide(r.Context(), link, a, j)
		if err == nil {
			err = s.bind(link, a, g)
		}
		if err != nil {
			link.Close(err)
			s.refuse(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(g) // the client may be gone
	})
}

// decide finds out who asks, and whether they may.
func (s *Server) decide(ctx context.Context, link *bridge.Link, a authRequest, j judge) (g *granted, err error) {
	if err := link.Authenticate(ctx, a.message); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.PolicyTimeout)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	g, err = j(ctx, link.Identity(), a)
	if err == nil {
		g.Auth = s.sign(g.text)
	}
	return g, err
}

// bind ties what was granted to the socket. On success the link is taken care
// of.
func (s *Server) bind(link *bridge.Link, a authRequest, g *granted) error {
	if c := s.find(a.socket); c != nil {
		return c.grant(g.name, g.Auth, link)
	}
	if !s.opts.AcceptSignatures && !s.opts.InsecureUnlinkedSignatures {
		return errSocketGone
	}
	link.Close(nil) // the socket is bound to its own identity, wherever it is
	return nil
}

// refuse answers with what became of a request.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	ref := (*bridge.Refusal)(nil)
	note := func(level slog.Level, text string) {
		s.opts.Logger.LogAttrs(r.Context(), level, "pusher: "+text, slog.String("reason", err.Error()), slog.String("remote", r.RemoteAddr))
	}
	switch {
	case errors.As(err, &ref): // logged by the bridge
		refuseAs(w, ref)
	case errors.Is(err, errNoPrivate):
		refuse(w, http.StatusBadRequest, err.Error())
	case errors.Is(err, errSocketGone):
		refuse(w, http.StatusNotFound, "there is no such socket here")
	case errors.Is(err, errManyGrants):
		note(slog.LevelWarn, "not authorized")
		refuse(w, http.StatusServiceUnavailable, "try again later")
	case errors.Is(err, ErrForbidden):
		note(slog.LevelInfo, "not authorized")
		refuse(w, http.StatusForbidden, "not allowed")
	default:
		note(slog.LevelError, "a policy failed")
		refuse(w, http.StatusServiceUnavailable, "try again later")
	}
}

func refuseAs(w http.ResponseWriter, ref *bridge.Refusal) {
	refuse(w, ref.Code.Status(), ref.Message)
}
