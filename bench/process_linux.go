package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime returns how long a process has been on a CPU, user and system, as
// getrusage would tell it, for a process that is not one's own.
func cpuTime(pid int) (time.Duration, error) {
	// The clock of a whole process: clock_getcpuclockid(3).
	const perProcessSched = 2
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid)<<3|perProcessSched, &ts); err != nil {
		return 0, fmt.Errorf("reading the CPU time of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// resident returns how much of a process is in memory, in bytes.
func resident(pid int) (int64, error) {
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid)) // proc(5)
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(statm)
	if len(fields) < 2 {
		return 0, fmt.Errorf("/proc/%d/statm is not what proc(5) says", pid)
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// allowFiles makes sure that a process may have so many files open.
func allowFiles(n int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if limit.Cur >= uint64(n) {
		return nil
	}
	if limit.Max < uint64(n) {
		return fmt.Errorf("%d files must be open at once and %d may be: raise the limit (ulimit -Hn), or measure with fewer sockets", n, limit.Max)
	}
	limit.Cur = limit.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}
