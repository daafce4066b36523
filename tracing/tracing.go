// Package tracing makes OpenTelemetry spans of a bridge's handshakes and of the
// lookups within them. It stands on the bridge's event hook, Options.Observe:
//
//	t := tracing.New(nil)
//	b, err := bridge.New(auth, &bridge.Options{Observe: t.Observe})
//
// Together with package metrics: bridge.Observers(m.Observe, t.Observe).
package tracing

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// Names of the spans and of their attributes. A span of a handshake lasts
// until its identity stands, the wait for a first message included. Neither
// holds a user, a session or a token.
const (
	SpanHandshake = "sessionbridge.handshake"
	SpanLookup    = "sessionbridge.lookup"

	AttributeVia  = attribute.Key("sessionbridge.via")  // who vouched: "php", …
	AttributeCode = attribute.Key("sessionbridge.code") // why the handshake was refused, or nobody found
)

// Tracing observes bridges. It is safe for concurrent use.
type Tracing struct{ tracer trace.Tracer }

// New returns an observer that makes spans by a provider; nil is the global
// one.
func New(p trace.TracerProvider) *Tracing {
	if p == nil {
		p = otel.GetTracerProvider()
	}
	return &Tracing{p.Tracer("github.com/sessionbridge/sessionbridge")}
}

// span is ours in a context: another's must not be ended.
type span struct{}

// Observe is the observer for Options.Observe.
//
// A handshake's span is a child of the request's, if its context has one. A
// lookup outside a handshake, because a session may have changed, gets none. A
// span is in error only if something could not be found out; a refusal is not
// the service's error.
func (t *Tracing) Observe(ctx context.Context, e bridge.Event) context.Context {
	switch e.Kind {
	case bridge.EventHandshakeBegin:
		return t.begin(ctx, SpanHandshake)
	case bridge.EventLookupBegin:
		if ctx.Value(span{}) == nil {
			return ctx
		}
		return t.begin(ctx, SpanLookup)
	case bridge.EventCacheHit:
		if s, ok := ctx.Value(span{}).(trace.Span); ok {
			s.AddEvent("cache hit")
		}
	case bridge.EventHandshakeEnd, bridge.EventLookupEnd:
		if s, ok := ctx.Value(span{}).(trace.Span); ok {
			end(s, e)
		}
	}
	return ctx
}

func (t *Tracing) begin(ctx context.Context, name string) context.Context {
	ctx, s := t.tracer.Start(ctx, name)
	return context.WithValue(ctx, span{}, s)
}

func end(s trace.Span, e bridge.Event) {
	if e.Via != "" {
		s.SetAttributes(AttributeVia.String(e.Via))
	}
	if e.Code != "" {
		s.SetAttributes(AttributeCode.String(string(e.Code)))
	}
	if e.Code == bridge.CodeUnavailable && e.Err != nil {
		s.SetStatus(codes.Error, e.Err.Error())
	}
	s.End()
}
