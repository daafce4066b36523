package tracing_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/jwtmode"
	"github.com/sessionbridge/sessionbridge/tracing"
)

func Example() {
	auth, err := jwtmode.New(jwtmode.Options{Algorithms: []string{"HS256"}, Key: []byte("a secret of at least 32 characters")})
	if err != nil {
		panic(err)
	}
	exporter := tracetest.NewInMemoryExporter() // a service takes one that sends: otlptracehttp.New, say
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter))
	defer provider.Shutdown(context.Background())

	t := tracing.New(provider)
	b, err := bridge.New(auth, &bridge.Options{Observe: t.Observe})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/ws", b.Handler(func(c *bridge.Conn) { <-c.CloseRead().Done() }))
	mux.Handle("/events", b.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))

	r := httptest.NewRequest(http.MethodGet, "/events", nil)
	r.Header.Set("Authorization", "Bearer not.a.token")
	mux.ServeHTTP(httptest.NewRecorder(), r)
	if err := provider.ForceFlush(context.Background()); err != nil {
		panic(err)
	}
	for _, span := range exporter.GetSpans() {
		fmt.Println(span.Name)
		for _, a := range span.Attributes {
			fmt.Println(a.Key, "=", a.Value.AsString())
		}
	}
	// Output:
	// sessionbridge.handshake
	// sessionbridge.code = invalid_token
}
