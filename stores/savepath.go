package stores

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// SavePathServer is one server of a session.save_path.
type SavePathServer struct {
	Network string // "tcp" or "unix"
	Addr    string // host and port, or the socket's path
	TLS     bool   // for tls://, ssl:// and rediss://

	Weight      int           // 1 unless set
	Database    int           // 0 unless set
	Prefix      *string       // nil: phpredis' own, "PHPREDIS_SESSION:"
	Username    string        // of auth
	Password    string        // of auth
	Timeout     time.Duration // of the connection; 0: none set
	ReadTimeout time.Duration // 0: none set
}

// ParseSavePath reads PHP's session.save_path as phpredis does (redis_session.c,
// PS_OPEN_FUNC): URLs separated by commas or white space, as in
//
//	tcp://10.0.0.1:6379?weight=1&database=2, tcp://10.0.0.2:6379?weight=2&prefix=sess:
//
// The quotes that may stand around it in php.ini are dropped. Errors hold
// nothing of it but host names.
func ParseSavePath(path string) ([]SavePathServer, error) {
	path = strings.TrimSpace(path)
	if len(path) >= 2 && (path[0] == '"' || path[0] == '\'') && path[len(path)-1] == path[0] {
		path = path[1 : len(path)-1]
	}
	var servers []SavePathServer
	for _, text := range strings.FieldsFunc(path, func(r rune) bool { return strings.ContainsRune(" \t\n\v\f\r,", r) }) {
		s, err := parseSavePathServer(text)
		if err != nil {
			return nil, fmt.Errorf("stores: session.save_path, server %d: %w", len(servers)+1, err)
		}
		servers = append(servers, s)
	}
	if len(servers) == 0 {
		return nil, errors.New("stores: session.save_path names no server; write one as in php.ini: tcp://127.0.0.1:6379")
	}
	return servers, nil
}

const redisPort = "6379"

func parseSavePathServer(text string) (SavePathServer, error) {
	s := SavePathServer{Network: "tcp", Weight: 1}
	address, query, _ := strings.Cut(text, "?")
	query, _, _ = strings.Cut(query, "#")
	if strings.Contains(text, "seed[]") {
		return s, errors.New("seed[] is of the save handler rediscluster; give the cluster's own client to NewRedis instead")
	}
	scheme, rest, hasScheme := strings.Cut(address, ":")
	switch {
	case strings.HasPrefix(address, "/"):
		s.Network, s.Addr = "unix", address
	case hasScheme && (scheme == "unix" || scheme == "file"):
		s.Network, s.Addr = "unix", "/"+strings.TrimLeft(rest, "/")
		if s.Addr == "/" {
			return s, errors.New("it has no path to a socket")
		}
	default:
		if name, host, ok := strings.Cut(address, "://"); ok {
			s.TLS = name == "tls" || name == "ssl" || name == "rediss"
			address = host
		}
		var err error
		if s.Addr, err = savePathAddr(address); err != nil {
			return s, err
		}
	}
	return s, s.parameters(query)
}

func savePathAddr(authority string) (string, error) {
	authority, _, _ = strings.Cut(authority, "/")
	// phpredis makes no use of user and password in front of the host.
	authority = authority[strings.LastIndexByte(authority, '@')+1:]
	host, port, err := net.SplitHostPort(authority)
	if err != nil {
		host, port = strings.Trim(authority, "[]"), redisPort
	}
	if port == "" || port == "0" {
		port = redisPort
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil || host == "" || strings.ContainsAny(host, "[]") {
		return "", errors.New("it has no host and port, as in tcp://127.0.0.1:6379")
	}
	return net.JoinHostPort(host, port), nil
}

func (s *SavePathServer) parameters(query string) error {
	var auth []string
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, value = phpURLDecode(name), phpURLDecode(value)
		var err error
		switch name {
		case "weight":
			s.Weight, err = strconv.Atoi(value)
			if err == nil && (s.Weight < 1 || s.Weight > maxWeight) {
				err = strconv.ErrRange
			}
		case "database":
			s.Database, err = strconv.Atoi(value)
			if err == nil && s.Database < 0 {
				err = strconv.ErrRange
			}
		case "prefix":
			s.Prefix = &value
		case "timeout":
			s.Timeout, err = phpSeconds(value)
		case "read_timeout":
			s.ReadTimeout, err = phpSeconds(value)
		case "auth":
			auth = []string{value}
		case "auth[]", "auth[0]", "auth[1]":
			auth = append(auth, value)
		case "auth[user]":
			s.Username = value
		case "auth[pass]":
			s.Password = value
		}
		if err != nil {
			return fmt.Errorf("its %s is not a number that phpredis takes", name)
		}
	}
	switch len(auth) {
	case 0:
	case 1:
		s.Password = auth[0]
	case 2:
		s.Username, s.Password = auth[0], auth[1]
	default:
		return errors.New("it has more than a user and a password in auth")
	}
	return nil
}

// phpSeconds reads a time in seconds; 0 is no limit.
func phpSeconds(text string) (time.Duration, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f >= 0 && f < 1<<31) {
		return 0, strconv.ErrRange
	}
	return time.Duration(f * float64(time.Second)), nil
}

// phpURLDecode decodes + and percent escapes and leaves everything else,
// broken escapes included (php-src ext/standard/url.c, php_url_decode).
func phpURLDecode(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			b = append(b, ' ')
		case s[i] == '%' && i+2 < len(s):
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b = append(b, byte(n))
				i += 2
				continue
			}
			fallthrough
		default:
			b = append(b, s[i])
		}
	}
	return string(b)
}

// SavePath is a [Store] over the servers of a session.save_path, with clients
// of its own.
type SavePath struct {
	*Sharded
	clients []*redis.Client
}

// NewSavePath returns a store over the servers of PHP's session.save_path, as
// in php.ini, with its prefixes, databases, weights and passwords. It does not
// connect. Close ends its connections.
//
// A server's prefix= takes the place of the keyspace's; without, the
// keyspace's own counts.
func NewSavePath(path string, opts *RedisOptions) (*SavePath, error) {
	servers, err := ParseSavePath(path)
	if err != nil {
		return nil, err
	}
	s := &SavePath{}
	shards := make([]Shard, len(servers))
	for i, server := range servers {
		client := redis.NewClient(server.options())
		s.clients = append(s.clients, client)
		shards[i] = Shard{Weight: server.Weight, Prefix: server.Prefix}
		if shards[i].Store, err = NewRedis(client, opts); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	if s.Sharded, err = NewSharded(shards...); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *SavePathServer) options() *redis.Options {
	o := &redis.Options{
		Network:               s.Network,
		Addr:                  s.Addr,
		DB:                    s.Database,
		Username:              s.Username,
		Password:              s.Password,
		DialTimeout:           s.Timeout,
		ReadTimeout:           s.ReadTimeout,
		ContextTimeoutEnabled: true,
	}
	if s.TLS {
		host, _, _ := net.SplitHostPort(s.Addr)
		o.TLSConfig = &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	}
	return o
}

// Close ends the connections.
func (s *SavePath) Close() error {
	var err error
	for _, c := range s.clients {
		err = errors.Join(err, c.Close())
	}
	return err
}
