package tracing_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/tracing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// flat is a span in one line: its parent's name, its own, its attributes.
func flat(spans tracetest.SpanStubs) []string {
	names := map[string]string{}
	for _, s := range spans {
		names[s.SpanContext.SpanID().String()] = s.Name
	}
	var all []string
	for _, s := range spans {
		line := s.Name
		if parent := names[s.Parent.SpanID().String()]; parent != "" {
			line = parent + " > " + line
		}
		for _, a := range s.Attributes {
			line += " " + a.Value.AsString()
		}
		if s.Status.Code == codes.Error {
			line += " error"
		}
		all = append(all, line)
	}
	return all
}

func TestSpans(t *testing.T) {
	tests := map[string]struct {
		user string
		want []string
	}{
		"a user": {"ann-the-user", []string{
			"sessionbridge.handshake > sessionbridge.lookup php", "request > sessionbridge.handshake php", "request"}},
		"nobody": {"", []string{
			"sessionbridge.handshake > sessionbridge.lookup credentials_required", "request > sessionbridge.handshake credentials_required", "request"}},
		"an outage": {"outage", []string{
			"sessionbridge.handshake > sessionbridge.lookup unavailable error", "request > sessionbridge.handshake unavailable error", "request"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			exporter := tracetest.NewInMemoryExporter()
			provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
			auth := bridge.AuthenticatorFunc(func(ctx context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
				return h.Load(ctx, bridge.Binding{Key: "key", Reload: func(context.Context) (*bridge.Identity, error) {
					switch tt.user {
					case "":
						return nil, bridge.ErrNoCredential
					case "outage":
						return nil, errors.New("the store is down")
					}
					return &bridge.Identity{User: tt.user, Via: "php", Key: "key"}, nil
				}})
			})
			b, err := bridge.New(auth, &bridge.Options{Observe: tracing.New(provider).Observe, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			ctx, request := provider.Tracer("").Start(t.Context(), "request")
			served := func(http.ResponseWriter, *http.Request) {}
			b.Middleware(http.HandlerFunc(served)).ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil))
			request.End()
			got := flat(exporter.GetSpans())
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if strings.Contains(strings.Join(got, "\n"), "-the-user") {
				t.Error("a span names the user")
			}
			if err := provider.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// A lookup because of a change has no span, and an event in a foreign span does
// not end it.
func TestOutsideAHandshake(t *testing.T) {
	exporter := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	o := tracing.New(provider)
	ctx, foreign := provider.Tracer("").Start(t.Context(), "foreign")
	inner := o.Observe(ctx, bridge.Event{Kind: bridge.EventLookupBegin})
	o.Observe(inner, bridge.Event{Kind: bridge.EventLookupEnd})
	o.Observe(inner, bridge.Event{Kind: bridge.EventHandshakeEnd})
	if n := len(exporter.GetSpans()); n != 0 || !foreign.IsRecording() {
		t.Errorf("%d spans have ended; the foreign one records: %t", n, foreign.IsRecording())
	}
	foreign.End()
	if err := provider.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
