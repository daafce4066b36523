package cookie

import "net/http"

// Plain opens a cookie whose value is the id itself.
func Plain() Opener { return plain{} }

type plain struct{}

func (plain) Validate() error { return nil }

func (plain) Open(jar Jar, name string) (Opened, error) {
	value, ok := jar.Get(name)
	if !ok || value == "" {
		return Opened{}, noCookie(name)
	}
	return Opened{ID: value}, nil
}

// netHTTP opens a cookie as a Go application does: the first that
// [http.Request.Cookie] finds well-formed.
type netHTTP struct{}

func (netHTTP) Validate() error { return nil }

func (netHTTP) Open(jar Jar, name string) (Opened, error) {
	r := http.Request{Header: http.Header{"Cookie": jar}}
	c, err := r.Cookie(name)
	if err != nil || c.Value == "" {
		return Opened{}, noCookie(name)
	}
	return Opened{ID: c.Value}, nil
}
