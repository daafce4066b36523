package cookie

import (
	"net/http"
	"strings"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/stores"
)

// Reference returns what [Authenticator.Resume] finds the session again by that
// an identity was read from: for a request with the session's cookie, on this
// node or on another whose stack has the same Name. ok is false if the identity
// is not this authenticator's, or if its session is in the cookie itself.
//
// A reference holds the session id, so it is as secret as the cookie.
func (a *Authenticator) Reference(r *http.Request, id *bridge.Identity) (ref string, ok bool) {
	if id.Via != a.stack.Name || id.Key == "" {
		return "", false
	}
	opened, err := a.stack.Opener.Open(JarOf(r), a.stack.Cookie)
	if err != nil || a.check(opened) != nil || opened.Value != nil {
		return "", false
	}
	if id.Key != a.binding(opened.ID).Key {
		return "", false // the identity is of another session
	}
	return a.stack.Name + "\x00" + opened.ID, true
}

// Resume returns the binding of the session that a reference names. Its Reload
// gives the identity that the session holds, with the errors of
// [Authenticator.Authenticate]. ok is false if the reference is none of this
// authenticator's. A reference must come from where no client can write it.
func (a *Authenticator) Resume(ref string) (b bridge.Binding, ok bool) {
	id, ok := strings.CutPrefix(ref, a.stack.Name+"\x00")
	if !ok || a.store == nil || stores.CheckSigned(id) != nil {
		return bridge.Binding{}, false
	}
	return a.binding(id), true
}
