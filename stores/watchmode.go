package stores

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// AllowedWatchMode asks a server which mode [WatchAuto] would take there for
// keys under the prefixes: [WatchTracking], [WatchKeyEvents], or [WatchSweep] if it allows no reports.
// The error says that it could not be asked.
func AllowedWatchMode(ctx context.Context, client *redis.Client, prefixes ...string) (WatchMode, error) {
	c := redis.NewClient(dedicated(*client.Options()))
	defer c.Close()
	return (&watch{prefixes: disjoint(prefixes)}).probe(ctx, c)
}
