package partstest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
)

// Visitor is a browser's session with a web application of package parts.
type Visitor struct {
	Key string // the rediskey of the last login

	t      testing.TB
	app    string
	client *http.Client
}

// NewVisitor returns a visitor of the application at a URL.
func NewVisitor(t testing.TB, app string) *Visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &Visitor{t: t, app: app, client: &http.Client{Jar: jar, Transport: transport}}
}

func (v *Visitor) post(path string, form url.Values) {
	v.t.Helper()
	resp, err := v.client.PostForm(v.app+path, form)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		v.t.Fatalf("POST %s: %s %s %v", path, resp.Status, body, err)
	}
	var answer struct{ RedisKey string }
	if err := json.Unmarshal(body, &answer); err != nil {
		v.t.Fatalf("POST %s: %v", path, err)
	}
	if answer.RedisKey != "" {
		v.Key = answer.RedisKey
	}
}

// Login logs a user in, such as alice, who is user 42.
func (v *Visitor) Login(user string) {
	v.t.Helper()
	v.post("/login", url.Values{"user": {user}, "password": {"demo"}})
	if v.Key == "" {
		v.t.Fatal("the login gave no rediskey")
	}
}

// Logout logs out.
func (v *Visitor) Logout() {
	v.t.Helper()
	v.post("/logout", nil)
}

// Cookie returns the Cookie header that the browser sends. Without a cookie the
// test fails.
func (v *Visitor) Cookie() string {
	v.t.Helper()
	u, err := url.Parse(v.app)
	if err != nil {
		v.t.Fatal(err)
	}
	var pairs []string
	for _, c := range v.client.Jar.Cookies(u) {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	if len(pairs) == 0 {
		v.t.Fatal("the browser has no cookie")
	}
	return strings.Join(pairs, "; ")
}
