package compare

import (
	"cmp"
	"sync"

	"github.com/gorilla/websocket"
)

// Connect makes n connections, atOnce of them at a time. It returns them open
// if hold is set, and else closes each as soon as it is made. The error is
// that of the first that failed; nothing is left open then.
func Connect(n, atOnce int, hold bool, dial func() (*websocket.Conn, error)) ([]*websocket.Conn, error) {
	var mu sync.Mutex
	var open []*websocket.Conn
	var failed error
	work := make(chan struct{})
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for range work {
				ws, err := dial()
				mu.Lock()
				switch {
				case err != nil:
					failed = cmp.Or(failed, err)
				case hold:
					open = append(open, ws)
				default:
					_ = ws.Close()
				}
				mu.Unlock()
			}
		})
	}
	for range n {
		work <- struct{}{}
	}
	close(work)
	wg.Wait()
	if failed != nil {
		Close(open)
		return nil, failed
	}
	return open, nil
}

// Close closes connections.
func Close(open []*websocket.Conn) {
	for _, ws := range open {
		_ = ws.Close()
	}
}
