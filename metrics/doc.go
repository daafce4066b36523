// Package metrics shows what a bridge does as Prometheus metrics. It stands on
// the bridge's event hook, Options.Observe:
//
//	m, err := metrics.New(nil)
//	b, err := bridge.New(auth, &bridge.Options{Observe: m.Observe})
//
// All names begin with sessionbridge_. The labels are via (the stack's name),
// outcome and reason (a code, "ok" or "left"), store (a name like redis-1) and
// mode (how a store reports changes): never a user, a session or a token.
package metrics
