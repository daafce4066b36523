package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/stores"
	"github.com/sessionbridge/sessionbridge/stores/php"
)

type config struct {
	listen, redisURL                          string
	phpCookie, phpPrefix, phpUser, phpHandler string
	expressCookie, expressPrefix, expressUser string
	expressSecrets                            []string
	goCookie, goPrefix, goUser                string
	jwtSecret, jwksURL, jwtIssuer, jwtQuery   string
	jwtAudience                               []string
	origins                                   []string
	watch                                     string
	sweep, maxStale, touch                    time.Duration
	metrics                                   string
	cacheBytes                                int64
	healthcheck                               bool
}

// parseConfig reads flags, whose defaults are the environment variables of the
// same name: -php-cookie is PHP_COOKIE. A variable that is set counts even if
// it is empty: an empty PHP_PREFIX is a keyspace without a prefix.
func parseConfig(args []string, env func(string) (string, bool)) (*config, error) {
	c := &config{}
	fs := flag.NewFlagSet("socket", flag.ContinueOnError)
	text := func(p *string, name, def, usage string) {
		if v, ok := env(variable(name)); ok {
			def = v
		}
		fs.StringVar(p, name, def, usage+" ("+variable(name)+")")
	}
	var secrets, origins, audience string
	text(&c.listen, "listen", ":8090", "address to listen on")
	text(&c.redisURL, "redis-url", "redis://127.0.0.1:6379", "where the sessions are")
	text(&c.phpCookie, "php-cookie", "PHPSESSID", "name of PHP's session cookie; empty: no PHP")
	text(&c.phpPrefix, "php-prefix", "PHPREDIS_SESSION:", "everything before the id in PHP's keys")
	text(&c.phpUser, "php-user", "user_id", "path of the user's id in PHP's session")
	text(&c.phpHandler, "php-handler", "php", "PHP's session.serialize_handler")
	text(&c.expressCookie, "express-cookie", "connect.sid", "name of Express' session cookie; empty: no Express")
	text(&c.expressPrefix, "express-prefix", "sess:", "everything before the id in Express' keys")
	text(&secrets, "express-secrets", "", "secrets of Express' session cookie, comma-separated, newest first; empty: no Express")
	text(&c.expressUser, "express-user", "passport.user", "path of the user's id in Express' session")
	text(&c.goCookie, "go-cookie", "session-key", "name of the gorilla/sessions cookie; empty: no Go")
	text(&c.goPrefix, "go-prefix", "session:", "everything before the id in redisstore's keys")
	text(&c.goUser, "go-user", "user_id", "path of the user's id in the gorilla session")
	text(&c.jwtSecret, "jwt-secret", "", "secret of JWTs that are signed with HS256")
	text(&c.jwksURL, "jwks-url", "", "URL of the keys of JWTs that are signed with RS256, PS256, ES256 or EdDSA; needs -jwt-issuer and -jwt-audience")
	text(&c.jwtIssuer, "jwt-issuer", "", "the iss of JWTs; without -jwt-secret and -jwks-url the URL of an OpenID Connect provider, which is asked for the keys")
	text(&audience, "jwt-audience", "", "the aud of JWTs, comma-separated: one of them")
	text(&c.jwtQuery, "jwt-query", "", "name of the query's parameter that JWTs may come in, such as token; empty: not in the query, where proxies log them")
	text(&origins, "allowed-origins", "", "origins of pages that may connect beside this host's own, comma-separated")
	var sweep, maxStale, cacheBytes, touch string
	text(&c.watch, "watch", "auto", "how logouts are learnt: auto, tracking, keyevents or sweep")
	text(&sweep, "sweep", "", "how often a session is read although no change was reported, such as 5m; empty: as the store allows")
	text(&maxStale, "max-stale", "30s", "how long sockets stay while Redis cannot be reached; 0: not at all")
	text(&touch, "touch", "0", "how often, at the most, activity on a socket keeps its session alive, such as 1m; 0: not at all")
	text(&c.metrics, "metrics-listen", "", "address to serve Prometheus metrics on, which is not for the public; empty: none")
	text(&cacheBytes, "cache-bytes", "33554432", "memory for identities whose session has not changed; 0: none")
	fs.BoolVar(&c.healthcheck, "healthcheck", false, "ask the service that runs on this machine how it is, and exit")
	// A secret given by the environment is not printed as a default.
	for _, name := range []string{"express-secrets", "jwt-secret"} {
		fs.Lookup(name).DefValue = ""
	}
	if f := fs.Lookup("redis-url"); strings.Contains(f.DefValue, "@") {
		f.DefValue = ""
	}
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q; every setting is a flag, see -h", fs.Arg(0))
	}
	c.expressSecrets, c.origins, c.jwtAudience = list(secrets), list(origins), list(audience)
	return c, c.parseNumbers(sweep, maxStale, cacheBytes, touch)
}

// parseNumbers reads the settings in which zero means none: the options behind
// them take that as a negative number, and zero as their default.
func (c *config) parseNumbers(sweep, maxStale, cacheBytes, touch string) (err error) {
	switch c.watch {
	case "auto":
		c.watch = string(stores.WatchAuto)
	case string(stores.WatchTracking), string(stores.WatchKeyEvents), string(stores.WatchSweep):
	default:
		return fmt.Errorf("WATCH is %q, not auto, tracking, keyevents or sweep", c.watch)
	}
	if sweep != "" {
		if c.sweep, err = time.ParseDuration(sweep); err != nil || c.sweep <= 0 {
			return fmt.Errorf("SWEEP is %q, not a time such as 5m", sweep)
		}
	}
	if c.maxStale, err = time.ParseDuration(maxStale); err != nil || c.maxStale < 0 {
		return fmt.Errorf("MAX_STALE is %q, not a time such as 30s", maxStale)
	}
	if c.touch, err = time.ParseDuration(touch); err != nil || c.touch != 0 && c.touch < time.Minute {
		return fmt.Errorf("TOUCH is %q, not a time of at least 1m, or 0", touch)
	}
	if c.cacheBytes, err = strconv.ParseInt(cacheBytes, 10, 64); err != nil || c.cacheBytes < 0 {
		return fmt.Errorf("CACHE_BYTES is %q, not a number of bytes", cacheBytes)
	}
	c.maxStale, c.cacheBytes = noneIfZero(c.maxStale), noneIfZero(c.cacheBytes)
	return nil
}

func noneIfZero[T ~int64](v T) T {
	if v == 0 {
		return -1
	}
	return v
}

func variable(flagName string) string {
	return strings.ToUpper(strings.ReplaceAll(flagName, "-", "_"))
}

func list(s string) []string {
	var items []string
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// authenticator chains what is configured: the cookie of each stack, a session
// id in a message, a JWT.
func (c *config) authenticator(store stores.Store, stacks []cookie.Stack) (bridge.Authenticator, error) {
	var sessions []*cookie.Authenticator
	for _, stack := range stacks {
		a, err := cookie.New(store, stack)
		if err != nil {
			return nil, err
		}
		sessions = append(sessions, a)
	}
	var chain []bridge.Authenticator
	if c.tokens() {
		a, err := c.jwt(context.Background()) // as long as the process lives
		if err != nil {
			return nil, err
		}
		chain = append(chain, a)
	}
	for _, a := range sessions {
		chain = append(chain, a)
	}
	if len(sessions) > 0 {
		a, err := cookie.RedisKey(sessions...)
		if err != nil {
			return nil, err
		}
		chain = append(chain, a)
	}
	if len(chain) == 0 {
		return nil, errors.New("nothing is configured that could tell who is connected; see -h")
	}
	return bridge.First(chain...), nil
}

// store is where the sessions are.
func (c *config) store(rdb redis.UniversalClient) (stores.Store, error) {
	return stores.NewRedis(rdb, &stores.RedisOptions{Watch: stores.WatchOptions{Mode: stores.WatchMode(c.watch)}})
}

// checkStore reads a key that each stack might have, so that a wrong address,
// password or right is in the log before the first visitor comes.
func checkStore(ctx context.Context, store stores.Store, stacks []cookie.Stack) {
	var reasons []string
	whose := map[string][]string{} // the stacks of each reason
	for _, s := range stacks {
		_, err := store.Fetch(ctx, stores.Key{Prefix: s.Keyspace.Prefix, ID: "startup"})
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			continue
		}
		if len(whose[err.Error()]) == 0 {
			reasons = append(reasons, err.Error())
		}
		whose[err.Error()] = append(whose[err.Error()], s.Name)
	}
	for _, reason := range reasons {
		slog.Error("sessions cannot be read: visitors get 503 until they can", "stacks", whose[reason], "reason", reason)
	}
}

func (c *config) stacks() []cookie.Stack {
	var stacks []cookie.Stack
	add := func(s cookie.Stack, name, prefix, user string) {
		if name == "" {
			return
		}
		s.Cookie, s.Keyspace.Prefix, s.User = name, prefix, user
		stacks = append(stacks, s)
	}
	phpStack := cookie.PHP()
	phpStack.Keyspace.Codec = stores.PHP(php.Handler(c.phpHandler))
	add(phpStack, c.phpCookie, c.phpPrefix, c.phpUser)
	if len(c.expressSecrets) > 0 {
		add(cookie.Express(c.expressSecrets...), c.expressCookie, c.expressPrefix, c.expressUser)
	} else {
		slog.Info("EXPRESS_SECRETS is empty: Express sessions are not accepted")
	}
	add(cookie.Gorilla(c.goCookie), c.goCookie, c.goPrefix, c.goUser)
	return stacks
}
