package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// filesSpare is how many files a process needs beside its sockets.
const filesSpare = 200

// dialing is how many handshakes are under way at once, unless it is said
// otherwise.
const dialing = 64

// dialTimeout bounds a handshake.
const dialTimeout = 20 * time.Second

// dialer has small buffers: there are many clients.
var dialer = websocket.Dialer{ReadBufferSize: 512, WriteBufferSize: 512, WriteBufferPool: &sync.Pool{}, HandshakeTimeout: dialTimeout}

// end is how a socket ended.
type end struct {
	event, close time.Time // when the deauthenticated event and the close frame came; zero if none did
	code         string    // of the event
	closeCode    int
	err          error // what reading met, if not a close frame
}

// socket is a client's end.
type socket struct {
	ws    *websocket.Conn
	ended chan end // one end, buffered
}

// refusedError is a handshake that was answered with another status than 101.
type refusedError struct{ status int }

func (e *refusedError) Error() string {
	return fmt.Sprintf("the handshake was refused with status %d", e.status)
}

// dial opens a socket with a Cookie header, waits for the authenticated event,
// and reads on.
func dial(ctx context.Context, address, cookie string) (*socket, error) {
	ws, resp, err := dialer.DialContext(ctx, "ws://"+address+"/", http.Header{"Cookie": {cookie}})
	if err != nil {
		if errors.Is(err, websocket.ErrBadHandshake) {
			return nil, &refusedError{resp.StatusCode}
		}
		return nil, err
	}
	if err := ws.SetReadDeadline(time.Now().Add(dialTimeout)); err != nil {
		return nil, errors.Join(err, ws.Close())
	}
	var e serverEvent
	if err := ws.ReadJSON(&e); err != nil || e.Event != "authenticated" {
		_ = ws.Close()
		return nil, fmt.Errorf("no authenticated event, but %q: %w", e.Event, err)
	}
	_ = ws.SetReadDeadline(time.Time{}) // only stores it
	s := &socket{ws: ws, ended: make(chan end, 1)}
	go s.read()
	return s, nil
}

type serverEvent struct {
	Event string
	Data  struct{ Code string }
}

func (s *socket) read() {
	defer s.ws.Close()
	var e end
	s.ws.SetCloseHandler(func(code int, _ string) error {
		e.close, e.closeCode = time.Now(), code
		return s.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(time.Second))
	})
	for {
		_, p, err := s.ws.ReadMessage()
		if err != nil {
			if e.close.IsZero() {
				e.err = err
			}
			s.ended <- e
			return
		}
		now := time.Now()
		var event serverEvent
		if json.Unmarshal(p, &event) == nil && event.Event == "deauthenticated" {
			e.event, e.code = now, event.Data.Code
		}
	}
}

// dialAll opens a socket for each session.
func dialAll(ctx context.Context, address string, all []session) ([]*socket, error) {
	sockets := make([]*socket, len(all))
	err := concurrently(ctx, len(all), dialing, func(ctx context.Context, i int) (err error) {
		sockets[i], err = dial(ctx, address, all[i].cookie)
		return err
	})
	if err != nil {
		closeAll(sockets)
		return nil, err
	}
	return sockets, nil
}

// closeAll hangs up, so that the readers end. A socket may be nil.
func closeAll(sockets []*socket) {
	for _, s := range sockets {
		if s != nil {
			_ = s.ws.Close()
		}
	}
}

// concurrently calls f with 0 to n-1, so many at once, until the first error.
func concurrently(ctx context.Context, n, atOnce int, f func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(atOnce, n) {
		wg.Go(func() {
			for i := range next {
				if err := f(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
feeding:
	for i := range n {
		select {
		case next <- i:
		case <-ctx.Done():
			break feeding
		}
	}
	close(next)
	wg.Wait()
	return context.Cause(ctx)
}

// handshake opens a connection with a request made by upgradeRequest, and
// returns it once it is upgraded. It is as little work as a client can do.
func handshake(ctx context.Context, address string, request []byte) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if err := exchange(c, request); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func exchange(c net.Conn, request []byte) error {
	if err := c.SetDeadline(time.Now().Add(dialTimeout)); err != nil {
		return err
	}
	if _, err := c.Write(request); err != nil {
		return err
	}
	answer := make([]byte, 0, 1024)
	for !bytes.Contains(answer, []byte("\r\n\r\n")) {
		if len(answer) == cap(answer) {
			return errors.New("the answer to a handshake is too long")
		}
		n, err := c.Read(answer[len(answer):cap(answer)])
		answer = answer[:len(answer)+n]
		if err != nil {
			return fmt.Errorf("the answer to a handshake breaks off: %w", err)
		}
	}
	if !bytes.HasPrefix(answer, []byte("HTTP/1.1 101 ")) {
		status, _, _ := bytes.Cut(answer, []byte("\r\n"))
		return fmt.Errorf("a handshake was answered with %q", status)
	}
	return nil
}

// upgradeRequest is a browser's handshake with one further header.
func upgradeRequest(address, name, value string) []byte {
	return fmt.Appendf(nil, "GET / HTTP/1.1\r\nHost: %s\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) bench\r\n"+
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"+
		"%s: %s\r\n\r\n", address, name, value)
}
