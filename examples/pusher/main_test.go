package main

import (
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/remote"

	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
)

// The page does what it says: log in, listen, and log out, with the socket
// known by the channels' requests first and by its own cookie then.
func TestPage(t *testing.T) {
	modules := filepath.Join("..", "..", "internal", "parts", "testdata", "node", "node_modules")
	for _, name := range []string{"pusher-js", "laravel-echo"} {
		if _, err := os.Stat(filepath.Join(modules, name)); err != nil {
			if partstest.Required("node") {
				t.Fatal(err)
			}
			t.Skip("run: npm ci --prefix internal/parts/testdata/node")
		}
	}
	browser := partstest.Chromium(t)
	for _, redis := range []string{"", partstest.Redis(t).URL} {
		handler, b, err := newService(t.Context(), redis, modules)
		if err != nil {
			t.Fatal(err)
		}
		srv := httptest.NewServer(handler)
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			if err := b.Shutdown(ctx); err != nil {
				t.Error(err)
			}
			srv.Close()
		})
		ctx, stop := remote.NewAllocator(t.Context(), browser.URL, remote.NoModifyURL)
		defer stop()
		ctx, stop = chromedp.NewContext(ctx)
		defer stop()
		if err := chromedp.Do(ctx, chromedp.Navigate(srv.URL)); err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct{ click, then string }{
			{"", `state "connected"`},
			{"#listen", `"status":401`},
			{"#login", `logged in "42"`},
			{"#listen", `here [{"name":"alice"}]`},
			{"#ship", `shipped {"at":`},
			{"#logout", `error {"code":4009,"message":"session_ended"}`},
			{"", `refused {"type":"AuthError","error":"session_ended","status":401}`},
			{"#login", `logged in "42"`},
			{"#connect", `here [{"name":"alice"}]`},
			{"#logout", `error {"code":4009,"message":"session_ended"}`},
			{"", `state "disconnected"`},
		} {
			if step.click != "" {
				if _, err := chromedp.Run(ctx, chromedp.Evaluate[any](`document.querySelector('#log').textContent = ''; document.querySelector('`+step.click+`').click()`)); err != nil {
					t.Fatal(err)
				}
			}
			_, err := chromedp.Run(ctx, chromedp.Poll[bool](`document.querySelector('#log').textContent.includes(`+strconv.Quote(step.then)+`)`,
				chromedp.WithPollingTimeout(15*time.Second), chromedp.WithPollingInterval(20*time.Millisecond)))
			if err != nil {
				log, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`document.querySelector('#log').textContent`))
				t.Fatalf("after %q, waiting for %q: %v; the page shows:\n%s", step.click, step.then, err, log)
			}
		}
	}
}
