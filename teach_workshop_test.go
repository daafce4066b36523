package sessionbridge_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/internal/parts"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
)

// workshop is where mistakes are made: a Redis of one's own, and the programs.
type workshop struct {
	redis  *parts.Process
	addr   string // of the Redis
	socket string // the programs' paths
	doctor string
	env    []string // REDIS_URL, unless the mistake is there
	heard  *heard
}

// heard is every line that the programs have written.
type heard struct {
	mu    sync.Mutex
	lines []string
}

// Write takes lines of a log.
func (h *heard) Write(p []byte) (int, error) {
	for l := range strings.Lines(string(p)) {
		h.add(line(strings.TrimRight(l, "\n")))
	}
	return len(p), nil
}

func (h *heard) add(line string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, line)
}

// take adds what others have heard.
func (h *heard) take(others *heard) {
	others.mu.Lock()
	lines := slices.Clone(others.lines)
	others.mu.Unlock()
	for _, l := range lines {
		h.add(l)
	}
}

// has reports whether a line holds all the texts, in their order.
func (h *heard) has(texts ...string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.lines, func(line string) bool {
		for _, text := range texts {
			_, rest, ok := strings.Cut(line, text)
			if !ok {
				return false
			}
			line = rest
		}
		return true
	})
}

func (h *heard) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.lines, "\n")
}

// line is one of the log, without the quotes that slog puts around a reason.
func line(s string) string { return strings.ReplaceAll(s, `\"`, `"`) }

// start runs a program until the test ends. It returns what ready matched.
func start(t *testing.T, h *heard, ready string, cmd *exec.Cmd) []string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	err = cmd.Start()
	_ = w.Close()
	if err != nil {
		t.Fatal(err)
	}
	found, done := make(chan []string, 1), make(chan struct{})
	go func() {
		defer close(done)
		pattern := regexp.MustCompile(ready)
		for s := bufio.NewScanner(r); s.Scan(); {
			h.add(line(s.Text()))
			if m := pattern.FindStringSubmatch(s.Text()); m != nil {
				select {
				case found <- m:
				default:
				}
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		<-done
		_ = r.Close()
	})
	select {
	case m := <-found:
		return m
	case <-time.After(20 * time.Second):
		t.Fatalf("%s does not start:\n%s", cmd.Path, h)
	}
	return nil
}

// php starts testdata/teach/login.php with settings of php.ini's.
func (w *workshop) php(t *testing.T, flags ...string) string {
	t.Helper()
	args := []string{"-d", "session.save_handler=redis", "-d", "session.save_path=tcp://" + w.addr, "-d", "display_errors=0", "-d", "log_errors=1", "-d", "error_log=/dev/stderr"}
	path, err := parts.PHP(t.Context())
	partstest.Here(t, err)
	cmd := exec.Command(path, append(append(args, flags...), "-S", "127.0.0.1:0", "testdata/teach/login.php")...)
	return start(t, w.heard, `\((http://127\.0\.0\.1:\d+)\) started`, cmd)[1]
}

// express starts testdata/teach/login.cjs.
func (w *workshop) express(t *testing.T, env ...string) string {
	t.Helper()
	path, modules := partstest.Node(t, "examples/express", "express")
	cmd := exec.Command(path, "testdata/teach/login.cjs")
	cmd.Env = append(os.Environ(), append([]string{"NODE_PATH=" + modules, "NODE_ENV=production", "REDIS_URL=" + w.redis.URL, "PREFIX=sess:", "SECRET=" + newSecret}, env...)...)
	return start(t, w.heard, `listening on (http://\S+)`, cmd)[1]
}

// login visits a page of an application with a browser that is new, and returns
// the request that this browser would make of the service on the same host.
func login(t *testing.T, page string) *http.Request {
	t.Helper()
	return loginAt(t, "http://app.example", page, "http://app.example/auth")
}

// loginAt is login where the browser finds the application at the origin public,
// and the service at another URL.
func loginAt(t *testing.T, public, page, service string) *http.Request {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	u := mustURL(t, page)
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, u.Host)
	}}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Jar: jar, Transport: transport}).Get(public + u.RequestURI())
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	r, err := http.NewRequest(http.MethodGet, service, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range jar.Cookies(r.URL) {
		r.AddCookie(c)
	}
	return r
}

// visit is a request without a login.
func visit(t *testing.T, header ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://app.example/auth", nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// ask makes the request of the service at a URL, and returns the status and the
// code. With a message it opens a WebSocket instead, and sends that.
func ask(t *testing.T, at string, r *http.Request, message string) (status int, code string) {
	t.Helper()
	if message != "" {
		o := (&service{url: at}).dial(t, r.Header, message)
		return o.Status, o.Code
	}
	r.URL.Host = mustURL(t, at).Host
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var e event
	_ = json.NewDecoder(resp.Body).Decode(&e) // an answer without an event has no code
	return resp.StatusCode, e.Data.Code
}

// service starts examples/socket.
func (w *workshop) service(t *testing.T, env ...string) string {
	t.Helper()
	cmd := exec.Command(w.socket)
	cmd.Env = append(append(os.Environ(), w.env...), append([]string{"LISTEN=127.0.0.1:0", "EXPRESS_SECRETS=" + newSecret}, env...)...)
	return "http://" + start(t, w.heard, `listening address=(\S+)`, cmd)[1]
}

// configure runs a command of an administrator's.
func (w *workshop) configure(t *testing.T, command ...any) {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: w.addr})
	defer client.Close()
	if err := client.Do(t.Context(), command...).Err(); err != nil {
		t.Fatal(err)
	}
}

// throughProxy serves a service at another address and gives it a Host of its
// own, as proxies do by default, and the page's in X-Forwarded-Host.
func throughProxy(t *testing.T, service string) string {
	t.Helper()
	u := mustURL(t, service)
	transport := &http.Transport{}
	proxy := httptest.NewServer(&httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(u)
		r.SetXForwarded()
	}})
	t.Cleanup(func() { proxy.Close(); transport.CloseIdleConnections() })
	return proxy.URL
}

func newWorkshop(t *testing.T, programs string) *workshop {
	t.Helper()
	server := partstest.Redis(t)
	return &workshop{
		redis: server, addr: mustURL(t, server.URL).Host, heard: &heard{}, env: []string{"REDIS_URL=" + server.URL},
		socket: filepath.Join(programs, "socket"), doctor: filepath.Join(programs, "sessionbridge"),
	}
}

// expect waits for a line of the log with the texts, and finds no secret in any
// line.
func (w *workshop) expect(t *testing.T, r *http.Request, texts ...string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !w.heard.has(texts...); {
		if time.Now().After(deadline) {
			t.Errorf("no line with %q in\n%s", texts, w.heard)
			break
		}
		select {
		case <-t.Context().Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
	secrets := []string{newSecret, oldSecret, string(jwtSecret), "hunter2", strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")}
	for _, c := range r.Cookies() {
		value, err := url.PathUnescape(c.Value)
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, c.Value, value)
		if id, _, ok := strings.Cut(strings.TrimPrefix(value, "s:"), "."); ok {
			secrets = append(secrets, id)
		}
	}
	for _, s := range secrets {
		if s != "" && strings.Contains(w.heard.String(), s) {
			t.Errorf("the secret %q is in the log:\n%s", s, w.heard)
		}
	}
}

// consult asks the doctor about the visitor's cookies.
func (w *workshop) consult(t *testing.T, r *http.Request, args []string, try string) {
	t.Helper()
	all := []string{"inspect", "--cookie", r.Header.Get("Cookie")}
	if !slices.Contains(args, "--redis") {
		all = append(all, "--redis", w.redis.URL)
	}
	for _, a := range args {
		all = append(all, strings.Replace(a, "ADDR", w.addr, 1))
	}
	out, err := exec.CommandContext(t.Context(), w.doctor, all...).CombinedOutput()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
		t.Errorf("the doctor ends with %v", err)
	}
	if !strings.Contains(string(out), try) {
		t.Errorf("the doctor does not say %q:\n%s", try, out)
	}
	for l := range strings.Lines(string(out)) {
		w.heard.add(strings.TrimRight(l, "\n"))
	}
}
