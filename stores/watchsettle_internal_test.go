package stores

import (
	"testing"
	"time"
)

func TestSettling(t *testing.T) {
	const heartbeat = time.Second
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	var s settling
	for _, step := range []struct {
		name  string
		runID string
		after time.Duration
		want  time.Duration // after noon; negative: not at all
	}{
		{"the first server", "a", 0, -1},
		{"the same again", "a", time.Second, -1},
		{"another", "b", 100 * time.Second, 110 * time.Second},
		{"before the first time", "b", 105 * time.Second, 110 * time.Second},
		{"at the first time", "b", 110 * time.Second, 130 * time.Second},
		{"two times later", "b", 165 * time.Second, 220 * time.Second},
		{"another meanwhile", "c", 170 * time.Second, 180 * time.Second},
		{"when all is over", "c", 300 * time.Second, -1},
	} {
		got := s.watched(step.runID, noon.Add(step.after), heartbeat)
		want := noon.Add(step.want)
		if step.want < 0 {
			want = time.Time{}
		}
		if !got.Equal(want) {
			t.Errorf("%s: %v, want %v", step.name, got, want)
		}
	}
}
