package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/gorilla/websocket"
)

// row is one line of the table.
type row struct {
	stack, credential, user, outcome string
	took                             time.Duration
	ok                               bool
}

// attempt is one try to get in, and what must come of it.
type attempt struct {
	stack, credential string
	header            http.Header // of the upgrade request
	jar               http.CookieJar
	protocols         []string
	message           string // the first message; empty: none
	want              string // the user, or how it is refused: "401 invalid_token", "3000 credentials_required"
}

// check logs in by each stack, connects with each credential, and prints what
// came of it. It returns an error unless all that could run was right.
func (d *demo) check(ctx context.Context, out io.Writer, base string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var rows []row
	for _, stack := range []string{"php", "express", "go"} {
		if stack != "go" && d.apps[stack] == nil {
			rows = append(rows, row{stack: stack, credential: "–", outcome: "skipped: " + d.why(stack), ok: true})
			continue
		}
		more, err := d.checkStack(ctx, base, stack)
		if err != nil {
			return fmt.Errorf("%s: %w", stack, err)
		}
		rows = append(rows, more...)
	}
	more, err := d.checkTokens(ctx, base)
	if err != nil {
		return fmt.Errorf("jwt: %w", err)
	}
	rows = append(rows, more...)
	rows = append(rows, try(ctx, base, attempt{stack: "–", credential: "none", message: "hello", want: "3000 credentials_required"}))
	return printRows(out, rows)
}

func (d *demo) why(stack string) string {
	part := stack
	if stack == "express" {
		part = "node"
	}
	for _, m := range d.missing {
		if strings.HasPrefix(m, part+" ") {
			return m
		}
	}
	return "not started"
}

// checkStack tries the sessions of one web application.
func (d *demo) checkStack(ctx context.Context, base, stack string) ([]row, error) {
	const user = "42" // alice's id
	app, err := newVisitor(base, stack)
	if err != nil {
		return nil, err
	}
	if err := app.post(ctx, "/login", url.Values{"user": {"alice"}, "password": {"demo"}}); err != nil {
		return nil, err
	}
	attempts := []attempt{
		{credential: "cookie", jar: app.jar, want: user},
		{credential: "rediskey", message: message("rediskey", app.redisKey), want: user},
		{credential: "cookie, wrong origin", jar: app.jar, header: http.Header{"Origin": {"http://evil.example"}}, want: "403 origin_not_allowed"},
		{credential: "rediskey, malformed", message: message("rediskey", app.redisKey+"/../x"), want: "invalid_session"},
		{credential: "rediskey, unknown", message: message("rediskey", scramble(app.redisKey)), want: "invalid_session"},
	}
	for _, c := range app.cookies() {
		forged := *c
		switch stack {
		case "express":
			id, signature, _ := strings.Cut(forged.Value, ".")
			forged.Value = id + "." + scramble(signature)
			attempts = append(attempts, attempt{credential: "cookie, tampered signature", header: cookieHeader(&forged), want: "401 invalid_session"})
		default:
			forged.Value = scramble(forged.Value)
			attempts = append(attempts, attempt{credential: "cookie, unknown session", header: cookieHeader(&forged), message: "hello", want: "3000 credentials_required"})
		}
	}
	var rows []row
	for _, a := range attempts {
		a.stack = stack
		rows = append(rows, try(ctx, base, a))
	}
	logout, err := app.logout(ctx, base)
	if err != nil {
		return nil, err
	}
	return append(rows, logout,
		try(ctx, base, attempt{stack: stack, credential: "rediskey after logout", message: message("rediskey", app.redisKey), want: "invalid_session"})), nil
}

// checkTokens tries JWTs.
func (d *demo) checkTokens(ctx context.Context, base string) ([]row, error) {
	const user = "7" // bob's id
	app, err := newVisitor(base, "go")
	if err != nil {
		return nil, err
	}
	if err := app.post(ctx, "/login", url.Values{"user": {"bob"}, "password": {"demo"}}); err != nil {
		return nil, err
	}
	token, err := app.token(ctx, base)
	if err != nil {
		return nil, err
	}
	expired, err := d.tokens.sign(user, -time.Hour)
	if err != nil {
		return nil, err
	}
	body, signature, _ := cutLast(token, ".")
	tampered := body + "." + scramble(signature)
	bearer := func(t string) http.Header { return http.Header{"Authorization": {"Bearer " + t}} }
	var rows []row
	for _, a := range []attempt{
		{credential: "bearer header", header: bearer(token), want: user},
		{credential: "subprotocol", protocols: []string{"bearer", token}, want: user},
		{credential: "message", message: authenticate(token), want: user},
		{credential: "bearer, tampered signature", header: bearer(tampered), want: "401 invalid_token"},
		{credential: "bearer, expired", header: bearer(expired), want: "401 invalid_token"},
		{credential: "message, expired", message: authenticate(expired), want: "invalid_token"},
	} {
		a.stack = "jwt"
		rows = append(rows, try(ctx, base, a))
	}
	return rows, nil
}

// frame is any event of the service, or the echo.
type frame struct {
	Event string `json:"event"`
	Data  struct {
		User, Via, Code string
	} `json:"data"`
	User, Via, Echo string
}

// try connects, waits for the identity, and has a message echoed.
func try(ctx context.Context, base string, a attempt) row {
	start := time.Now()
	via, user, outcome := a.connect(ctx, base)
	r := row{stack: a.stack, credential: a.credential, user: user, outcome: outcome, took: time.Since(start)}
	if user != "" {
		r.ok = user == a.want && via == a.stack
	} else {
		r.ok = strings.HasPrefix(outcome, "refused: ") && strings.HasSuffix(outcome, a.want)
	}
	return r
}

func (a attempt) connect(ctx context.Context, base string) (via, user, outcome string) {
	dialer := websocket.Dialer{Jar: a.jar, Subprotocols: a.protocols}
	ws, resp, err := dialer.DialContext(ctx, "ws"+strings.TrimPrefix(base, "http")+"/ws", a.header)
	if err != nil {
		if resp == nil {
			return "", "", "failed: " + err.Error()
		}
		var f frame
		_ = json.NewDecoder(resp.Body).Decode(&f) // a body that is none leaves the code empty
		return "", "", fmt.Sprintf("refused: %d %s", resp.StatusCode, f.Data.Code)
	}
	defer ws.Close()
	deadline, _ := ctx.Deadline()
	_ = ws.SetReadDeadline(deadline)
	if a.message != "" {
		if err := ws.WriteMessage(websocket.TextMessage, []byte(a.message)); err != nil {
			return "", "", "failed: " + err.Error()
		}
	}
	f, err := next(ws)
	switch {
	case err != nil:
		return "", "", "failed: " + err.Error()
	case f.Event == "unauthorized":
		return "", "", "refused: " + closeCode(ws, a.message) + f.Data.Code
	case f.Event != "authenticated":
		return "", "", "failed: an unexpected event " + f.Event
	}
	if err := ws.WriteMessage(websocket.TextMessage, []byte("hello")); err != nil {
		return "", "", "failed: " + err.Error()
	}
	echo, err := next(ws)
	if err != nil || echo.Echo != "hello" || echo.User != f.Data.User {
		return "", "", "failed: the message did not come back"
	}
	return f.Data.Via, f.Data.User, "authenticated"
}

// closeCode returns the code of a connection that is closed at once. One that
// sent a credential may try again, so its connection stays open.
func closeCode(ws *websocket.Conn, message string) string {
	if strings.HasPrefix(message, "{") {
		return ""
	}
	_, _, err := ws.ReadMessage()
	if c := (*websocket.CloseError)(nil); errors.As(err, &c) {
		return fmt.Sprint(c.Code, " ")
	}
	return "not closed "
}

func next(ws *websocket.Conn) (frame, error) {
	var f frame
	err := ws.ReadJSON(&f)
	return f, err
}

// visitor is somebody with a browser's cookie jar.
type visitor struct {
	base, stack string
	jar         *cookiejar.Jar
	client      *http.Client
	redisKey    string
}

func newVisitor(base, stack string) (*visitor, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	return &visitor{base: base, stack: stack, jar: jar, client: &http.Client{Jar: jar}}, nil
}

func (v *visitor) post(ctx context.Context, path string, form url.Values) error {
	var body struct{ RedisKey string }
	if err := v.do(ctx, v.base+"/"+v.stack+path, form, &body); err != nil {
		return err
	}
	v.redisKey = body.RedisKey
	return nil
}

func (v *visitor) token(ctx context.Context, base string) (string, error) {
	var body struct{ Token string }
	err := v.do(ctx, base+"/token", nil, &body)
	return body.Token, err
}

func (v *visitor) do(ctx context.Context, url string, form url.Values, body any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := v.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("POST %s: %s", req.URL.Path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(body)
}

func (v *visitor) cookies() []*http.Cookie {
	u, err := url.Parse(v.base)
	if err != nil {
		return nil
	}
	return v.jar.Cookies(u)
}

// logout logs out while a socket is open, and waits for its end.
func (v *visitor) logout(ctx context.Context, base string) (row, error) {
	r := row{stack: v.stack, credential: "logout while connected"}
	dialer := websocket.Dialer{Jar: v.jar}
	ws, _, err := dialer.DialContext(ctx, "ws"+strings.TrimPrefix(base, "http")+"/ws", nil)
	if err != nil {
		return r, err
	}
	defer ws.Close()
	deadline, _ := ctx.Deadline()
	_ = ws.SetReadDeadline(deadline)
	if _, err := next(ws); err != nil {
		return r, err
	}
	key := v.redisKey
	if err := v.post(ctx, "/logout", nil); err != nil {
		return r, err
	}
	v.redisKey = key
	start := time.Now()
	f, err := next(ws)
	if err != nil {
		return r, err
	}
	r.outcome, r.took = "ended: "+closeCode(ws, "")+f.Data.Code, time.Since(start)
	r.ok = r.outcome == "ended: 3000 session_ended"
	return r, nil
}

func message(name, value string) string {
	b, _ := json.Marshal(map[string]string{name: value}) // strings: cannot fail
	return string(b)
}

func authenticate(token string) string {
	return `{"event":"authenticate","data":` + message("token", token) + `}`
}

func cookieHeader(c *http.Cookie) http.Header { return http.Header{"Cookie": {c.String()}} }

// scramble returns another text of the same shape: its first two characters
// are exchanged for others.
func scramble(s string) string {
	if strings.HasPrefix(s, "AB") || strings.HasPrefix(s, "ab") {
		return strings.Replace(strings.Replace(s, "ab", "ba", 1), "AB", "BA", 1)
	}
	if s == strings.ToUpper(s) {
		return "AB" + s[min(2, len(s)):]
	}
	return "ab" + s[min(2, len(s)):]
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func printRows(out io.Writer, rows []row) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "STACK\tCREDENTIAL\tUSER\tOUTCOME\tTIME")
	wrong := 0
	for _, r := range rows {
		mark := ""
		if !r.ok {
			mark = "  ← WRONG"
			wrong++
		}
		took := ""
		if r.took > 0 {
			took = r.took.Round(10 * time.Microsecond).String()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s%s\t%s\n", r.stack, r.credential, r.user, r.outcome, mark, took)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if wrong > 0 {
		return fmt.Errorf("%d of %d rows are wrong", wrong, len(rows))
	}
	return nil
}
