package benchmarks

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// subject is a system under test: a process of its own, measured from outside.
type subject struct {
	command *exec.Cmd
	log     string
	ready   func(context.Context) bool // nil for a program that does not say
	began   time.Time
	ended   chan struct{}
	status  error
}

// startSubject starts a program; what it prints goes to the file log.
func startSubject(log, program string, args ...string) (*subject, error) {
	to, err := os.Create(log)
	if err != nil {
		return nil, fmt.Errorf("bench: start %s: %w", program, err)
	}
	defer to.Close()
	s := &subject{command: exec.Command(program, args...), log: log, began: time.Now(), ended: make(chan struct{})}
	s.command.Stdout, s.command.Stderr = to, to
	if err := s.command.Start(); err != nil {
		return nil, fmt.Errorf("bench: start %s: %w", program, err)
	}
	go func() {
		s.status = s.command.Wait()
		close(s.ended)
	}()
	return s, nil
}

// stop ends it as an operator would.
func (s *subject) stop(within time.Duration) error {
	_ = s.command.Process.Signal(syscall.SIGTERM) // it may have ended, which is seen below
	select {
	case <-s.ended:
		return s.status
	case <-time.After(within):
		s.kill()
		return fmt.Errorf("bench: %s did not end within %v", s.command.Path, within)
	}
}

func (s *subject) kill() {
	_ = s.command.Process.Kill() // it may have ended
	<-s.ended
}

// usage is what a process has used so far.
type usage struct {
	cpu      time.Duration // user and system
	peak     int64         // bytes of resident memory, at most
	resident int64
}

// used reads it from the kernel. The kernel counts in ticks of 10 ms.
func (s *subject) used() (u usage, err error) {
	pid := s.command.Process.Pid
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, fmt.Errorf("bench: read the CPU time of %s: %w", s.command.Path, err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
	user, errUser := strconv.ParseInt(fields[11], 10, 64)
	system, errSystem := strconv.ParseInt(fields[12], 10, 64)
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux that Go runs on
	u.cpu = time.Duration(user+system) * tick
	status, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err = errors.Join(err, errUser, errSystem); err != nil {
		return u, fmt.Errorf("bench: read the usage of %s: %w", s.command.Path, err)
	}
	defer status.Close()
	for lines := bufio.NewScanner(status); lines.Scan(); {
		name, rest, _ := strings.Cut(lines.Text(), ":")
		kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		switch name {
		case "VmHWM":
			u.peak = kib << 10
		case "VmRSS":
			u.resident = kib << 10
		}
	}
	return u, nil
}

// forgetPeak begins the measurement of the peak anew.
func (s *subject) forgetPeak() error {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.command.Process.Pid), []byte("5"), 0); err != nil {
		return fmt.Errorf("bench: reset the peak of memory of %s: %w", s.command.Path, err)
	}
	return nil
}

// sleep waits, and fails if the subject ends meanwhile.
func (s *subject) sleep(ctx context.Context, wait time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ended:
		return fmt.Errorf("bench: %s ended by itself (%v), see %s", s.command.Path, s.status, s.log)
	case <-time.After(wait):
		return nil
	}
}
