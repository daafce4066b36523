package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// refusals are the ways to be refused before there is an identity. Each error
// has a text for the log that the client must not see.
var refusals = map[string]struct {
	auth      bridge.AuthenticatorFunc
	origin    string
	status    int
	code      bridge.Code
	closeCode int
	message   string
	level     string
}{
	"nobody is logged in": {
		auth:   says(nil, fmt.Errorf("%w: secret-of-the-log", bridge.ErrNoCredential)),
		status: 401, code: bridge.CodeCredentialsRequired, closeCode: 3000,
		message: "log in first", level: "INFO",
	},
	"rejected": {
		auth:   says(nil, fmt.Errorf("%w: secret-of-the-log", bridge.ErrRejected)),
		status: 401, code: bridge.CodeCredentialsRejected, closeCode: 3000,
		message: "the credential is not valid", level: "INFO",
	},
	"rejected with a code": {
		auth:   says(nil, fmt.Errorf("wrapped: %w", bridge.Reject(bridge.CodeInvalidToken, "for the client", errors.New("secret-of-the-log")))),
		status: 401, code: bridge.CodeInvalidToken, closeCode: 3000,
		message: "for the client", level: "INFO",
	},
	"absent and bad at once": {
		auth:   says(nil, bridge.Reject(bridge.CodeInvalidToken, "for the client", fmt.Errorf("%w: secret-of-the-log", bridge.ErrNoCredential))),
		status: 401, code: bridge.CodeInvalidToken, closeCode: 3000,
		message: "for the client", level: "INFO",
	},
	"another origin": {
		auth: says(user("ann"), nil), origin: "https://secret-of-the-log.example",
		status: 403, code: bridge.CodeOriginNotAllowed, closeCode: 3003,
		message: "this page may not connect here", level: "INFO",
	},
	"outage": {
		auth:   says(nil, errOutage),
		status: 503, code: bridge.CodeUnavailable, closeCode: 1013,
		message: "try again later", level: "ERROR",
	},
	"neither identity nor error": {
		auth:   says(nil, nil),
		status: 503, code: bridge.CodeUnavailable, closeCode: 1013,
		message: "try again later", level: "ERROR",
	},
}

func TestRefusalBeforeTheUpgrade(t *testing.T) {
	for name, tt := range refusals {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := stub{bridge.Traits{Ambient: true, Challenge: "Bearer"}, tt.auth}
				b, book := newBridge(t, a, bridge.Options{RetryAfter: 6500 * time.Millisecond})
				var fields []string
				if tt.origin != "" {
					fields = []string{"Origin", tt.origin}
				}
				_, resp, err := inMemory(t, b.Handler(echo)).try(fields...)
				if err == nil {
					t.Fatal("the handshake succeeded")
				}
				body, _ := io.ReadAll(resp.Body)
				want := `{"event":"unauthorized","data":{"message":"` + tt.message + `","code":"` + string(tt.code) + `","type":"UnauthorizedError"}}` + "\n"
				if diff := cmp.Diff(want, string(body)); resp.StatusCode != tt.status || diff != "" {
					t.Errorf("status %d, want %d; body -want +got:\n%s", resp.StatusCode, tt.status, diff)
				}
				challenge := "Bearer"
				if tt.code == bridge.CodeInvalidToken {
					challenge = `Bearer error="invalid_token"`
				}
				header := map[string]string{
					"Content-Type":           "application/json",
					"Cache-Control":          "no-store",
					"X-Content-Type-Options": "nosniff",
					"Retry-After":            map[int]string{503: "7"}[tt.status],
					"Www-Authenticate":       map[int]string{401: challenge}[tt.status],
				}
				for field, want := range header {
					if got := resp.Header.Get(field); got != want {
						t.Errorf("%s: %q, want %q", field, got, want)
					}
				}
				checkRefusalLog(t, book, tt.level, tt.code)
				if b.Len() != 0 {
					t.Errorf("%d handshakes are still counted", b.Len())
				}
			})
		})
	}
}

func TestRefuseAfterUpgrade(t *testing.T) {
	for name, tt := range refusals {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := stub{bridge.Traits{Ambient: true}, tt.auth}
				b, book := newBridge(t, a, bridge.Options{RefuseAfterUpgrade: true, OmitEvents: true})
				var fields []string
				if tt.origin != "" {
					fields = []string{"Origin", tt.origin}
				}
				c := inMemory(t, b.Handler(func(*bridge.Conn) { t.Error("a refused connection was served") })).open(fields...)
				want := `{"event":"unauthorized","data":{"message":"` + tt.message + `","code":"` + string(tt.code) + `","type":"UnauthorizedError"}}`
				if diff := cmp.Diff(want, c.read()); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
				c.closes(tt.closeCode)
				synctest.Wait()
				checkRefusalLog(t, book, tt.level, tt.code)
				if b.Len() != 0 {
					t.Errorf("%d connections are still counted", b.Len())
				}
			})
		})
	}
}

// checkRefusalLog expects one line, with the reason that the client was not
// told.
func checkRefusalLog(t *testing.T, book *logBook, level string, code bridge.Code) {
	t.Helper()
	got := book.String()
	if strings.Count(got, "\n") != 1 {
		t.Errorf("want one line, got:\n%s", got)
	}
	for _, want := range []string{`msg="handshake refused"`, "level=" + level, "code=" + string(code), "remote="} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in: %s", want, got)
		}
	}
	if !strings.Contains(got, "secret-of-the-log") && !strings.Contains(got, "neither an identity") {
		t.Errorf("no reason in: %s", got)
	}
}

func TestNotAWebSocket(t *testing.T) {
	b, book := newBridge(t, says(user("ann"), nil), bridge.Options{Observe: func(ctx context.Context, e bridge.Event) context.Context {
		t.Errorf("a health check, say, is observed as a handshake: %+v", e)
		return ctx
	}})
	w := httptest.NewRecorder()
	c, err := b.Upgrade(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if c != nil || err == nil || w.Code != http.StatusUpgradeRequired || w.Header().Get("Upgrade") != "websocket" {
		t.Errorf("connection %v, error %v, status %d, header %v; want 426", c, err, w.Code, w.Header())
	}
	if !strings.Contains(book.String(), "not a WebSocket handshake") {
		t.Errorf("log: %s", book)
	}
}

func TestUpgradeThatCannotBe(t *testing.T) {
	b, book := newBridge(t, says(user("ann"), nil), bridge.Options{})
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"8"}}
	w := httptest.NewRecorder()
	if _, err := b.Upgrade(w, r); err == nil || w.Code != http.StatusBadRequest {
		t.Errorf("error %v, status %d; want 400", err, w.Code)
	}
	if b.Len() != 0 || !strings.Contains(book.String(), "unsupported version") {
		t.Errorf("%d handshakes are still counted; log: %s", b.Len(), book)
	}
}

// A store's outage is an error in the log; a client that leaves while its
// session is read is not.
func TestClientThatLeavesIsNoOutage(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	b, book := newBridge(t, stub{judge: func(ctx context.Context, _ *bridge.Handshake) (*bridge.Identity, error) {
		leave()
		<-ctx.Done()
		return nil, ctx.Err()
	}}, bridge.Options{})
	w := httptest.NewRecorder()
	b.Middleware(nil).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx))
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(book.String(), "level=INFO") {
		t.Errorf("status %d, log: %s", w.Code, book)
	}
}

// A panic in an authenticator leaves nothing behind that a shutdown would wait
// for.
func TestPanickingAuthenticator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newBridge(t, stub{bridge.Traits{Message: true}, func(_ context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
			if h.Request.Header.Get("Wait") != "" && h.Message == nil {
				return nil, bridge.ErrNoCredential
			}
			panic("a bug in an authenticator")
		}}, bridge.Options{})
		s := inMemory(t, b.Handler(echo))
		if _, _, err := s.try(); err == nil {
			t.Error("the handshake succeeded")
		}
		c := s.open("Wait", "for my message")
		c.send(keyFrame("x"))
		c.closes(1011)
		synctest.Wait()
		if b.Len() != 0 {
			t.Errorf("%d connections are still counted", b.Len())
		}
		if err := b.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
