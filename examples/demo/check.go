package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// row is one line of the table.
type row struct {
	stack, credential, user, outcome string
	took                             time.Duration
	ok                               bool
}

// attempt is one try to get in, and what must come of it: a user, or a code.
type attempt struct {
	stack, credential string
	header            http.Header // of the upgrade request
	jar               http.CookieJar
	protocols         []string
	message           string // the first message; empty: none
	wantUser          string
	wantCode          bridge.Code
}

// checker tries what runs at one origin.
type checker struct {
	base    string
	stacks  []string
	skipped map[string]string // by the stack's name: why it can't be tried

	// sign makes a token that the service accepts, issue gets one as a client
	// does; nil: tokens, or the issuing of them, are not tried.
	sign  func(user string, life time.Duration) (string, error)
	issue func(ctx context.Context, v *visitor) (string, error)
}

// check tries all of the demo, and fails unless all that could run was right.
func (d *demo) check(ctx context.Context, out io.Writer, base string) error {
	c := checker{base: base, stacks: stacks(), skipped: d.missing, sign: d.tokens.sign, issue: issued}
	return c.check(ctx, out)
}

// checkElsewhere tries what runs at base: every stack must be there. Tokens
// are tried if their secret is given.
func checkElsewhere(ctx context.Context, out io.Writer, base, secret string) error {
	c := checker{base: base, stacks: stacks()}
	if secret != "" {
		c.sign = (&tokens{[]byte(secret)}).sign
	}
	return c.check(ctx, out)
}

// stacks are the names of the applications, which are their paths, too.
func stacks() []string { return []string{"php", "express", "go"} }

// check logs in by each stack, connects with each credential, and prints what
// came of it.
func (c *checker) check(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var rows []row
	for _, stack := range c.stacks {
		if why, ok := c.skipped[stack]; ok {
			rows = append(rows, row{stack: stack, credential: "–", outcome: "skipped: " + why, ok: true})
			continue
		}
		rows = append(rows, c.checkStack(ctx, stack)...)
	}
	if c.sign == nil {
		rows = append(rows, row{stack: "jwt", credential: "–", outcome: "skipped: the tokens' secret is not known here", ok: true})
	} else {
		rows = append(rows, c.checkTokens(ctx)...)
	}
	nobody, err := newVisitor(c.base, "go")
	if err != nil {
		return err
	}
	rows = append(rows,
		c.try(ctx, attempt{stack: "–", credential: "none", message: "hello", wantCode: bridge.CodeCredentialsRequired}),
		nobody.members(ctx, "–", "members' page, nobody logged in", ""))
	return printRows(out, rows)
}

// checkStack tries the sessions of one web application.
func (c *checker) checkStack(ctx context.Context, stack string) []row {
	const user = "42" // alice's id
	app, err := c.logIn(ctx, stack, "alice")
	if err != nil {
		return []row{failed(stack, "log in", err)}
	}
	attempts := []attempt{
		{credential: "cookie", jar: app.jar, wantUser: user},
		{credential: "rediskey", message: message("rediskey", app.redisKey), wantUser: user},
		{credential: "cookie, wrong origin", jar: app.jar, header: http.Header{"Origin": {"http://evil.example"}}, wantCode: bridge.CodeOriginNotAllowed},
		{credential: "rediskey, malformed", message: message("rediskey", app.redisKey+"/../x"), wantCode: bridge.CodeInvalidSession},
		{credential: "rediskey, unknown", message: message("rediskey", scramble(app.redisKey)), wantCode: bridge.CodeInvalidSession},
	}
	for _, present := range app.cookies() {
		forged := *present
		switch stack {
		case "express":
			id, signature, _ := strings.Cut(forged.Value, ".")
			forged.Value = id + "." + scramble(signature)
			attempts = append(attempts, attempt{credential: "cookie, tampered signature", header: cookieHeader(&forged), wantCode: bridge.CodeInvalidSession})
		default:
			forged.Value = scramble(forged.Value)
			attempts = append(attempts, attempt{credential: "cookie, unknown session", header: cookieHeader(&forged), message: "hello", wantCode: bridge.CodeCredentialsRequired})
		}
	}
	var rows []row
	for _, a := range attempts {
		a.stack = stack
		rows = append(rows, c.try(ctx, a))
	}
	return append(rows, app.members(ctx, stack, "members' page, cookie", user), app.logout(ctx),
		c.try(ctx, attempt{stack: stack, credential: "rediskey after logout", message: message("rediskey", app.redisKey), wantCode: bridge.CodeInvalidSession}))
}

// logIn returns somebody who is logged in.
func (c *checker) logIn(ctx context.Context, stack, user string) (*visitor, error) {
	v, err := newVisitor(c.base, stack)
	if err != nil {
		return nil, err
	}
	return v, v.post(ctx, "/login", url.Values{"user": {user}, "password": {"demo"}})
}

// failed is the row of what could not be tried.
func failed(stack, credential string, err error) row {
	return row{stack: stack, credential: credential, outcome: "failed: " + err.Error()}
}

// checkTokens tries JWTs.
func (c *checker) checkTokens(ctx context.Context) []row {
	const user = "7" // bob's id
	app, err := c.logIn(ctx, "go", "bob")
	if err != nil {
		return []row{failed("jwt", "log in", err)}
	}
	token, err := c.sign(user, time.Minute)
	if c.issue != nil {
		token, err = c.issue(ctx, app)
	}
	if err != nil {
		return []row{failed("jwt", "the token", err)}
	}
	expired, err := c.sign(user, -time.Hour)
	if err != nil {
		return []row{failed("jwt", "an expired token", err)}
	}
	body, signature, _ := cutLast(token, ".")
	tampered := body + "." + scramble(signature)
	bearer := func(t string) http.Header { return http.Header{"Authorization": {"Bearer " + t}} }
	var rows []row
	for _, a := range []attempt{
		{credential: "bearer header", header: bearer(token), wantUser: user},
		{credential: "subprotocol", protocols: []string{"bearer", token}, wantUser: user},
		{credential: "message", message: authenticate(token), wantUser: user},
		{credential: "bearer, tampered signature", header: bearer(tampered), wantCode: bridge.CodeInvalidToken},
		{credential: "bearer, expired", header: bearer(expired), wantCode: bridge.CodeInvalidToken},
		{credential: "message, expired", message: authenticate(expired), wantCode: bridge.CodeInvalidToken},
	} {
		a.stack = "jwt"
		rows = append(rows, c.try(ctx, a))
	}
	return rows
}

// frame is any event of the service, or the echo.
type frame struct {
	Event string `json:"event"`
	Data  struct {
		User, Via, Code string
	} `json:"data"`
	User, Via string
	Echo      json.RawMessage
}

// try connects, waits for the identity, and has a message echoed.
func (c *checker) try(ctx context.Context, a attempt) row {
	start := time.Now()
	via, user, outcome := a.connect(ctx, c.base)
	r := row{stack: a.stack, credential: a.credential, user: user, outcome: outcome, took: time.Since(start)}
	if a.wantUser != "" {
		r.ok = user == a.wantUser && via == a.stack
	} else {
		r.ok = refusedWith(outcome, a.wantCode)
	}
	return r
}

// refusedWith tells whether an outcome is a refusal with the code, by the
// status or the close code that goes with it, or on a socket that may try
// again.
func refusedWith(outcome string, code bridge.Code) bool {
	for _, number := range []string{"", fmt.Sprint(code.Status(), " "), fmt.Sprint(code.CloseCode(), " ")} {
		if outcome == "refused: "+number+string(code) {
			return true
		}
	}
	return false
}

func (a attempt) connect(ctx context.Context, base string) (via, user, outcome string) {
	ws, resp, err := a.dial(ctx, base)
	if err != nil {
		if resp == nil {
			return "", "", "failed: " + err.Error()
		}
		var f frame
		_ = json.NewDecoder(resp.Body).Decode(&f) // a body that is none leaves the code empty
		return "", "", fmt.Sprintf("refused: %d %s", resp.StatusCode, f.Data.Code)
	}
	defer ws.Close()
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
	if err := ws.WriteMessage(websocket.TextMessage, []byte(`"hello"`)); err != nil {
		return "", "", "failed: " + err.Error()
	}
	echo, err := next(ws)
	if err != nil || !strings.Contains(string(echo.Echo), "hello") || echo.User != f.Data.User {
		return "", "", "failed: the message did not come back"
	}
	return f.Data.Via, f.Data.User, "authenticated"
}

// dial connects as a browser's page of the same origin does, unless the
// attempt says otherwise.
func (a attempt) dial(ctx context.Context, base string) (*websocket.Conn, *http.Response, error) {
	dialer := websocket.Dialer{Jar: a.jar, Subprotocols: a.protocols, HandshakeTimeout: 10 * time.Second}
	header := http.Header{"Origin": {base}}
	maps.Copy(header, a.header)
	ws, resp, err := dialer.DialContext(ctx, "ws"+strings.TrimPrefix(base, "http")+"/ws", header)
	if err == nil {
		deadline, _ := ctx.Deadline()
		_ = ws.SetReadDeadline(deadline)
	}
	return ws, resp, err
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
	origin, stack string
	jar           *cookiejar.Jar
	client        *http.Client
	redisKey      string
}

func newVisitor(origin, stack string) (*visitor, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	return &visitor{origin: origin, stack: stack, jar: jar, client: &http.Client{Jar: jar, Timeout: 20 * time.Second}}, nil
}

func (v *visitor) post(ctx context.Context, path string, form url.Values) error {
	var body struct{ RedisKey string }
	if err := v.do(ctx, v.origin+"/"+v.stack+path, form, &body); err != nil {
		return err
	}
	v.redisKey = body.RedisKey
	return nil
}

// issued is a token as the service gives it to whoever is logged in.
func issued(ctx context.Context, v *visitor) (string, error) {
	var body struct{ Token string }
	err := v.do(ctx, v.origin+"/token", nil, &body)
	return body.Token, err
}

// members asks for the page that only those who are logged in may see; user is
// who must be named on it, "" if it must be refused.
func (v *visitor) members(ctx context.Context, stack, credential, user string) row {
	r := row{stack: stack, credential: credential}
	start := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.origin+"/members/", nil)
	if err != nil {
		return failed(stack, credential, err)
	}
	resp, err := v.client.Do(req)
	if err != nil {
		return failed(stack, credential, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	r.took = time.Since(start)
	switch {
	case err != nil:
		r.outcome = "failed: " + err.Error()
	case resp.StatusCode != http.StatusOK:
		r.outcome, r.ok = fmt.Sprint("refused: ", resp.StatusCode), user == "" && resp.StatusCode == http.StatusUnauthorized
	default:
		_, _ = fmt.Sscanf(string(text), "user %s via", &r.user)
		r.outcome, r.ok = "shown", user != "" && strings.TrimSpace(string(text)) == "user "+user+" via "+stack
	}
	return r
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
	u, err := url.Parse(v.origin)
	if err != nil {
		return nil
	}
	return v.jar.Cookies(u)
}

// logout logs out while a socket is open, and waits for its end.
func (v *visitor) logout(ctx context.Context) row {
	r := row{stack: v.stack, credential: "logout while connected"}
	ws, _, err := attempt{jar: v.jar}.dial(ctx, v.origin)
	if err != nil {
		return failed(r.stack, r.credential, err)
	}
	defer ws.Close()
	if _, err := next(ws); err != nil {
		return failed(r.stack, r.credential, err)
	}
	key := v.redisKey
	start := time.Now() // the logout's own time counts
	if err := v.post(ctx, "/logout", nil); err != nil {
		return failed(r.stack, r.credential, err)
	}
	v.redisKey = key
	f, err := next(ws)
	if err != nil {
		return failed(r.stack, r.credential, err)
	}
	r.outcome, r.took = "ended: "+closeCode(ws, "")+f.Data.Code, time.Since(start)
	r.ok = r.outcome == "ended: 3000 session_ended"
	return r
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
