package metrics

import (
	"context"
	"fmt"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// Metrics observes one bridge, or several that are counted as one. It is safe
// for concurrent use.
type Metrics struct {
	handshakes  *prometheus.HistogramVec
	lookups     *prometheus.HistogramVec
	hits        prometheus.Counter
	pending     prometheus.Gauge
	connections *prometheus.GaugeVec
	ends        *prometheus.CounterVec
	judged      prometheus.Histogram
	errors      prometheus.Counter

	watching    *prometheus.GaugeVec
	losses      *prometheus.CounterVec
	resyncs     *prometheus.HistogramVec
	resyncReads *prometheus.CounterVec

	mu    sync.Mutex
	modes map[string]string // how each store reports changes
}

// Buckets in seconds: a cached handshake takes some ten microseconds, a lookup
// some hundred, and the store's deadline is a second.
var (
	fast = []float64{.00001, .000025, .00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .1, .25, 1, 5, 15}
	slow = []float64{.001, .005, .01, .05, .1, .5, 1, 5, 10, 30, 60, 120}
)

// New registers the metrics; nil is [prometheus.DefaultRegisterer]. The error
// says that they are registered already: use the same Metrics for all bridges,
// or wrap the registerer with labels of its own.
func New(reg prometheus.Registerer) (*Metrics, error) {
	if reg == nil {
		reg = prometheus.DefaultRegisterer
	}
	histogram := func(name, help string, buckets []float64) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Namespace: "sessionbridge", Name: name, Help: help, Buckets: buckets}
	}
	m := &Metrics{
		handshakes: prometheus.NewHistogramVec(histogram("handshake_seconds",
			"Time to judge a handshake, that until its first message included.", fast), []string{"via", "outcome"}),
		lookups: prometheus.NewHistogramVec(histogram("lookup_seconds",
			"Time to read a session, for a handshake or because it may have changed.", fast), []string{"outcome"}),
		hits: prometheus.NewCounter(prometheus.CounterOpts{Namespace: "sessionbridge", Name: "cache_hits_total",
			Help: "Handshakes answered without a lookup."}),
		pending: prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "sessionbridge", Name: "pending_connections",
			Help: "Connections that wait for their first message."}),
		connections: prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "sessionbridge", Name: "connections",
			Help: "Authenticated connections and requests."}, []string{"via"}),
		ends: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "sessionbridge", Name: "ends_total",
			Help: "Authenticated connections that ended, by the code that they were told; left: by themselves."}, []string{"via", "reason"}),
		judged: prometheus.NewHistogram(histogram("change_seconds",
			"Time from a reported change of a session in use until its connections were judged.", fast)),
		errors: prometheus.NewCounter(prometheus.CounterOpts{Namespace: "sessionbridge", Name: "store_errors_total",
			Help: "Sessions that could not be read, or not decoded."}),
		watching: prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "sessionbridge", Name: "watching",
			Help: "1 while the store reports changes by this mode and none can be missed; mode none: it reports none."}, []string{"store", "mode"}),
		losses: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "sessionbridge", Name: "watch_losses_total",
			Help: "Times that changes may have been missed."}, []string{"store"}),
		resyncs: prometheus.NewHistogramVec(histogram("resync_seconds",
			"Time to read all bound sessions again.", slow), []string{"store"}),
		resyncReads: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "sessionbridge", Name: "resync_sessions_total",
			Help: "Sessions that were read again for that."}, []string{"store"}),
		modes: map[string]string{},
	}
	for _, c := range []prometheus.Collector{m.handshakes, m.lookups, m.hits, m.pending, m.connections, m.ends,
		m.judged, m.errors, m.watching, m.losses, m.resyncs, m.resyncReads} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	return m, nil
}

// Observe is the observer for Options.Observe. It returns ctx.
func (m *Metrics) Observe(ctx context.Context, e bridge.Event) context.Context {
	switch e.Kind {
	case bridge.EventHandshakeEnd:
		m.handshakes.WithLabelValues(e.Via, outcome(e.Code)).Observe(e.Duration.Seconds())
	case bridge.EventLookupEnd:
		m.lookups.WithLabelValues(outcome(e.Code)).Observe(e.Duration.Seconds())
		if e.Code == bridge.CodeUnavailable {
			m.errors.Inc()
		}
	case bridge.EventCacheHit:
		m.hits.Inc()
	case bridge.EventPendingBegin:
		m.pending.Inc()
	case bridge.EventPendingEnd:
		m.pending.Dec()
	case bridge.EventConnectionBegin:
		m.connections.WithLabelValues(e.Via).Inc()
	case bridge.EventConnectionEnd:
		m.connections.WithLabelValues(e.Via).Dec()
		reason := "left"
		if e.Code != "" {
			reason = string(e.Code)
		}
		m.ends.WithLabelValues(e.Via, reason).Inc()
	case bridge.EventChangeJudged:
		m.judged.Observe(e.Duration.Seconds())
	case bridge.EventWatchRestored:
		m.watch(e.Store, e.Mode, 1)
	case bridge.EventWatchLost:
		m.watch(e.Store, "", 0)
		m.losses.WithLabelValues(e.Store).Inc()
	case bridge.EventWatchRefused:
		m.watch(e.Store, "none", 1)
	case bridge.EventResync:
		m.resyncs.WithLabelValues(e.Store).Observe(e.Duration.Seconds())
		m.resyncReads.WithLabelValues(e.Store).Add(float64(e.Count))
	}
	return ctx
}

// watch sets whether a store reports changes, and forgets how it did before. An
// empty mode is the one that it had.
func (m *Metrics) watch(store, mode string, value float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.modes[store]
	if mode == "" {
		if mode = old; mode == "" {
			return // it has not begun yet
		}
	}
	if mode != old && old != "" {
		m.watching.DeleteLabelValues(store, old)
	}
	m.modes[store] = mode
	m.watching.WithLabelValues(store, mode).Set(value)
}

func outcome(c bridge.Code) string {
	if c == "" {
		return "ok"
	}
	return string(c)
}
