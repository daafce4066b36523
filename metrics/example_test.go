package metrics_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/jwtmode"
	"github.com/sessionbridge/sessionbridge/metrics"
)

func Example() {
	auth, err := jwtmode.New(jwtmode.Options{Algorithms: []string{"HS256"}, Key: []byte("a secret of at least 32 characters")})
	if err != nil {
		panic(err)
	}
	reg := prometheus.NewRegistry()
	m, err := metrics.New(reg)
	if err != nil {
		panic(err)
	}
	b, err := bridge.New(auth, &bridge.Options{Observe: m.Observe})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/ws", b.Handler(func(c *bridge.Conn) { <-c.CloseRead().Done() }))
	mux.Handle("/metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{})) // not for the public

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "sessionbridge_pending") {
			fmt.Print(line)
		}
	}
	// Output: sessionbridge_pending_connections 0
}
