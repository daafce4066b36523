package parts

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

var sentinelReady = regexp.MustCompile(`\+monitor master`)

// Sentinel is a Redis master with one replica, and three Sentinels that watch
// over them.
type Sentinel struct {
	// MasterName is what the Sentinels call the master.
	MasterName string

	// Addrs are the Sentinels' own.
	Addrs []string

	// Password is that of the servers' default user.
	Password string

	// User is whom the Sentinels log in as to the servers; a server that has
	// it switched off is out of their reach, and of theirs only.
	User string

	Master, Replica *Process

	sentinels []*Process
	dir       string
}

const (
	sentinelCount  = 3
	sentinelQuorum = 2
)

// StartSentinel starts all of them. A master that does not answer for
// downAfter, at least 1 ms, is taken to be down.
func StartSentinel(ctx context.Context, downAfter time.Duration) (_ *Sentinel, err error) {
	s := &Sentinel{MasterName: "sessions", Password: rand.Text(), User: "sentinel"}
	defer func() {
		if err != nil {
			s.Stop()
		}
	}()
	if s.dir, err = os.MkdirTemp("", "sentinel"); err != nil {
		return nil, err
	}
	// Without the delay the replica follows at once.
	args := []string{"--dir", s.dir, "--repl-diskless-load", "swapdb", "--repl-diskless-sync-delay", "0", "--requirepass", s.Password, "--masterauth", s.Password, "--user", s.User, "on", "nopass", "~*", "&*", "+@all"}
	if s.Master, err = StartRedis(ctx, args...); err != nil {
		return nil, err
	}
	if s.Replica, err = StartRedis(ctx, append(args, "--replicaof", "127.0.0.1", port(s.Master))...); err != nil {
		return nil, err
	}
	for i := range sentinelCount {
		p, err := s.start(ctx, i, downAfter)
		if err != nil {
			return nil, err
		}
		s.sentinels = append(s.sentinels, p)
		s.Addrs = append(s.Addrs, p.URL[len("redis://"):])
	}
	return s, nil
}

// start starts one Sentinel. It writes what it learns into its configuration.
func (s *Sentinel) start(ctx context.Context, i int, downAfter time.Duration) (*Process, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, redisMissing()
	}
	free, err := freePort()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(s.dir, strconv.Itoa(i)+".conf")
	text := fmt.Sprintf(`port %d
bind 127.0.0.1
sentinel monitor %[2]s 127.0.0.1 %[3]s %[4]d
sentinel down-after-milliseconds %[2]s %[5]d
sentinel failover-timeout %[2]s 10000
sentinel auth-user %[2]s %[6]s
sentinel auth-pass %[2]s none
`, free, s.MasterName, port(s.Master), sentinelQuorum, max(downAfter.Milliseconds(), 1), s.User)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	p, _, err := start(ctx, exec.Command(path, config, "--sentinel"), sentinelReady)
	if err != nil {
		return nil, err
	}
	p.Name, p.URL = "sentinel", "redis://127.0.0.1:"+strconv.Itoa(free)
	return p, nil
}

// Stop ends all of them.
func (s *Sentinel) Stop() {
	for _, p := range append([]*Process{s.Replica, s.Master}, s.sentinels...) {
		if p != nil {
			p.Stop()
		}
	}
	_ = os.RemoveAll(s.dir)
}
