package stores_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(settled{m}) }

// settled runs the tests and waits until nothing of theirs is left, or for
// 10 s. A client of go-redis that could not connect sleeps for a second before
// it sees that it has been closed (ConnPool.tryDial), which is longer than
// goleak waits.
type settled struct{ *testing.M }

// Run implements goleak.TestingM.
func (s settled) Run() int {
	code := s.M.Run()
	for began := time.Now(); code == 0 && goleak.Find() != nil && time.Since(began) < 10*time.Second; {
		// Find itself waits for half a second
	}
	return code
}
