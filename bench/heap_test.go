package main

import (
	"runtime"
	"testing"
)

func TestUnsampled(t *testing.T) {
	record := func(bytes, objects, freed int64) *runtime.MemProfileRecord {
		return &runtime.MemProfileRecord{AllocBytes: bytes, AllocObjects: objects, FreeBytes: bytes / max(objects, 1) * freed, FreeObjects: freed}
	}
	for _, tc := range []struct {
		name   string
		record *runtime.MemProfileRecord
		want   int64
	}{
		{"all freed", record(640, 10, 10), 0},
		{"large: each is sampled", record(1<<20, 1, 0), 1 << 20},
		{"as large as the rate", record(4096, 1, 0), 6479}, // 4096 / (1 - 1/e)
		{"small: one stands for many", record(640, 10, 0), 41280},
		{"half freed", record(640, 10, 5), 20640},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := unsampled(tc.record, 4096); got != tc.want {
				t.Errorf("= %d, want %d", got, tc.want)
			}
		})
	}
}

func TestAllocator(t *testing.T) {
	pcs := make([]uintptr, 8)
	n := runtime.Callers(0, pcs) // runtime.Callers itself, then this function
	if got := allocator(pcs[:n]); got != "bench.TestAllocator" && got != "main.TestAllocator" {
		t.Errorf("= %q", got)
	}
}
