package benchmarks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// command runs a command of the program that ends by itself.
func (t *torture) command(ctx context.Context, from io.Reader, to io.Writer, args []string) error {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	var complaints bytes.Buffer
	command := exec.CommandContext(ctx, t.Program, args...)
	command.Stdin, command.Stdout, command.Stderr = from, to, &complaints
	command.WaitDelay = stopTimeout
	if err := command.Run(); err != nil {
		return fmt.Errorf("vouch %s: %w: %s", strings.Join(args[:2], " "), errors.Join(err, ctx.Err()), lastLine(complaints.Bytes()))
	}
	return nil
}

// flags adds the flags of the connection to a command.
func (t *torture) flags(command ...string) []string {
	command = append(append(command, "--prefix="+t.prefix), t.Flags...)
	if t.Registry != "" {
		command = append(command, "--registry="+t.Registry)
	}
	return command
}

// instance is one process of a group, which is started, killed and started
// again.
type instance struct {
	group   string
	name    string // in the group
	program string
	args    []string
	state   string // its directory
	log     string // a file
	listen  string // address of its HTTP listener while it runs

	running *exec.Cmd     // nil when it does not run
	ended   chan struct{} // closed when it has ended, then:
	status  error
}

func (t *torture) instance(group, name string) *instance {
	place := filepath.Join(t.directory, group+"-"+name)
	i := &instance{group: group, name: name, program: t.Program, state: place + ".state", log: place + ".log"}
	i.args = t.flags("run", group, "--instance="+name, "--state="+i.state)
	return i
}

// String is how it is spoken of.
func (i *instance) String() string { return i.group + " " + i.name }

// start starts it, unless it runs.
func (i *instance) start() error {
	if i.running != nil {
		return nil
	}
	log, err := os.OpenFile(i.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start %s: %w", i, err)
	}
	defer log.Close()
	if i.listen, err = freeAddress(); err != nil {
		return fmt.Errorf("start %s: find a port for it: %w", i, err)
	}
	command := exec.Command(i.program, append(i.args, "--listen="+i.listen)...)
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		return fmt.Errorf("start %s: %w", i, err)
	}
	i.running, i.ended = command, make(chan struct{})
	go func() {
		i.status = command.Wait()
		close(i.ended)
	}()
	return nil
}

// kill ends it with SIGKILL, if it runs.
func (i *instance) kill() {
	if i.running == nil {
		return
	}
	_ = i.running.Process.Kill() // it may have ended by itself, which sleep reports
	<-i.ended
	i.running = nil
}

// stop ends it as an operator would.
func (i *instance) stop() error {
	if err := i.running.Process.Signal(os.Interrupt); err != nil {
		return fmt.Errorf("stop %s: %w", i, err)
	}
	select {
	case <-i.ended:
	case <-time.After(stopTimeout):
		return fmt.Errorf("%s has not ended %v (stopTimeout) after it was told to", i, stopTimeout)
	}
	i.running = nil
	if i.status != nil {
		return fmt.Errorf("%s was told to end, and failed: %w: %s", i, i.status, i.lastWords())
	}
	return nil
}

// sleep waits, and fails if the instance ends by itself meanwhile.
func (i *instance) sleep(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-i.ended:
		return fmt.Errorf("%s ended by itself: %w: %s", i, i.status, i.lastWords())
	case <-timer.C:
		return nil
	}
}

// lastWords is the last line of its log.
func (i *instance) lastWords() string {
	text, err := os.ReadFile(i.log)
	if err != nil {
		return err.Error()
	}
	return lastLine(text)
}

func lastLine(text []byte) string {
	whole := strings.TrimSpace(string(text))
	return whole[strings.LastIndexByte(whole, '\n')+1:]
}

// freeAddress is an address of this machine on which nobody listens.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}
