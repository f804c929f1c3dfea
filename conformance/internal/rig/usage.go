package rig

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
)

// Usage is what a process holds. What the system does not tell is -1.
type Usage struct {
	Goroutines, Descriptors, Children int
	Resident                          int64 // bytes, the children's included
	Heap                              int64 // bytes of live Go objects
}

// Measure counts after collecting garbage. For cases that run alone.
func Measure() Usage {
	for range 2 { // finalizers and cleanups run after the first
		runtime.GC()
		runtime.Gosched()
	}
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u := Usage{Goroutines: runtime.NumGoroutine(), Descriptors: -1, Children: -1, Resident: -1, Heap: int64(m.HeapAlloc)}
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		u.Descriptors = len(fds) - 1 // the one that reads them
	}
	if pages, ok := resident("self"); ok {
		u.Resident = pages
		u.Children = 0
		for _, pid := range Children() {
			u.Children++
			if n, ok := resident(strconv.Itoa(pid)); ok {
				u.Resident += n
			}
		}
	}
	return u
}

func resident(pid string) (int64, bool) {
	b, err := os.ReadFile("/proc/" + pid + "/statm")
	if err != nil {
		return 0, false
	}
	f := strings.Fields(string(b))
	if len(f) < 2 {
		return 0, false
	}
	n, err := strconv.ParseInt(f[1], 10, 64)
	return n * int64(os.Getpagesize()), err == nil
}

// Children lists the processes that this one started and that are not waited
// for yet; nil where the system does not tell.
func Children() []int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	var out []int
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // gone meanwhile
		}
		s := string(b)
		f := strings.Fields(s[strings.LastIndexByte(s, ')')+1:]) // the name may hold blanks
		if len(f) < 2 {
			continue
		}
		if parent, err := strconv.Atoi(f[1]); err != nil || parent != os.Getpid() {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			out = append(out, pid)
		}
	}
	return out
}

// Growth compares what the process holds with what it held before n rounds of
// something, and returns an error when a round left anything behind: what ends
// late is given two seconds. perRound is the memory that a round may cost,
// of which Go's own objects are a quarter: allocators keep some.
func (before Usage) Growth(what string, n int, perRound int64) error {
	var err error
	for end := time.Now().Add(2 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if err = before.compare(Measure(), what, n, perRound); err == nil || time.Now().After(end) {
			return err
		}
	}
}

// Cycles does something n times, or as often as the time allows, and returns an
// error when a round leaves anything behind; see Growth. What has grown once
// may have been a pool: only what grows again is a leak.
func Cycles(ctx context.Context, e *suite.Env, n int, perRound int64, what string, f func() error) error {
	done := 0
	rounds := func(n int) error {
		for end := time.Now().Add(15 * time.Second); n > 0 && time.Now().Before(end); n-- {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := f(); err != nil {
				return fmt.Errorf("round %d of %s: %w", done+1, what, err)
			}
			done++
		}
		return nil
	}
	if err := rounds(10); err != nil { // caches fill, pools start
		return err
	}
	var grown error
	for range 2 {
		before := Measure()
		first := done
		if err := rounds(n); err != nil {
			return err
		}
		if done-first < n {
			e.Note("there was time for %d of %d rounds of %s", done-first, n, what)
		}
		if grown = before.Growth(what, done-first, perRound); grown == nil {
			break
		}
	}
	return grown
}

// Memory that comes and goes by itself: what the system counts by pages and
// allocators keep, and what Go counts by objects.
const (
	slack  = 16 << 20
	little = 1 << 20
)

func (before Usage) compare(now Usage, what string, n int, perRound int64) error {
	// A runtime has a few of its own that come late.
	const few = 3
	switch {
	case now.Goroutines > before.Goroutines+few:
		return fmt.Errorf("%d rounds of %s: %d goroutines have become %d", n, what, before.Goroutines, now.Goroutines)
	case now.Descriptors > before.Descriptors+few:
		return fmt.Errorf("%d rounds of %s: %d open descriptors have become %d", n, what, before.Descriptors, now.Descriptors)
	case now.Children > before.Children:
		return fmt.Errorf("%d rounds of %s: %d child processes have become %d", n, what, before.Children, now.Children)
	case now.Heap-before.Heap > little+perRound*int64(n)/4:
		return fmt.Errorf("%d rounds of %s: the heap has grown by %d KiB, %d bytes each", n, what, (now.Heap-before.Heap)>>10, (now.Heap-before.Heap)/int64(n))
	case before.Resident >= 0 && now.Resident-before.Resident > slack+perRound*int64(n):
		return fmt.Errorf("%d rounds of %s: memory has grown by %d KiB, %d bytes each", n, what, (now.Resident-before.Resident)>>10, (now.Resident-before.Resident)/int64(n))
	}
	return nil
}
