package socketio_test

import (
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
)

// visitor has a browser's cookies of a web application.
type visitor struct {
	app    string
	client *http.Client
	jar    *cookiejar.Jar
	key    string // the rediskey of the login
}

func newVisitor(t *testing.T, app string) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &visitor{app: app, jar: jar, client: &http.Client{Jar: jar, Transport: transport}}
}

func (v *visitor) post(t *testing.T, path string, form url.Values) {
	t.Helper()
	resp, err := v.client.PostForm(v.app+path, form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct{ RedisKey string }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("POST %s: %s %v", path, resp.Status, err)
	}
	if answer.RedisKey != "" {
		v.key = answer.RedisKey
	}
}

// login is alice's, who is user 42.
func (v *visitor) login(t *testing.T) {
	t.Helper()
	v.post(t, "/login", url.Values{"user": {"alice"}, "password": {"demo"}})
	if v.key == "" {
		t.Fatal("the login answered without a rediskey")
	}
}

func (v *visitor) logout(t *testing.T) {
	t.Helper()
	v.post(t, "/logout", nil)
}

// cookie is the header that the browser would send.
func (v *visitor) cookie(t *testing.T) string {
	t.Helper()
	u, err := url.Parse(v.app)
	if err != nil {
		t.Fatal(err)
	}
	var pairs []string
	for _, c := range v.jar.Cookies(u) {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	if len(pairs) == 0 {
		t.Fatal("the browser has no cookie")
	}
	return strings.Join(pairs, "; ")
}
