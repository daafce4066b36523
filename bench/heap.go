package main

import (
	"math"
	"path"
	"runtime"
	"strings"
)

// heapSampleRate is one sample in so many bytes: fine enough for a few hundred
// bytes a connection, coarse enough not to weigh itself.
const heapSampleRate = 4096

// Site is a function whose allocations are in use.
type Site struct {
	Function string // the first that is not the runtime's: package.function
	Bytes    int64
}

// Heap tells which functions allocated what is in use, if Config.SampleHeap is
// set.
func (s *Service) Heap(_ struct{}, sites *[]Site) error {
	runtime.GC()
	runtime.GC() // the profile is that of the collection before the last
	records := make([]runtime.MemProfileRecord, 1024)
	for {
		n, ok := runtime.MemProfile(records, false)
		if ok {
			records = records[:n]
			break
		}
		records = make([]runtime.MemProfileRecord, n+n/4)
	}
	bytes := map[string]int64{}
	for i := range records {
		bytes[allocator(records[i].Stack())] += unsampled(&records[i], float64(runtime.MemProfileRate))
	}
	for f, n := range bytes {
		*sites = append(*sites, Site{f, n})
	}
	return nil
}

// unsampled estimates what was allocated from what was sampled, as package
// pprof does: an allocation of n bytes is sampled with probability
// 1 - exp(-n/rate).
func unsampled(r *runtime.MemProfileRecord, rate float64) int64 {
	if r.InUseObjects() == 0 {
		return 0
	}
	size := float64(r.InUseBytes()) / float64(r.InUseObjects())
	return int64(float64(r.InUseBytes()) / (1 - math.Exp(-size/rate)))
}

// allocator names the innermost function of a stack that is not the runtime's.
func allocator(stack []uintptr) string {
	frames := runtime.CallersFrames(stack)
	for {
		f, more := frames.Next()
		name := f.Function
		if dir, base := path.Split(name); !strings.HasPrefix(name, "runtime.") && !strings.HasPrefix(dir, "internal/runtime/") || !more {
			return base
		}
	}
}
