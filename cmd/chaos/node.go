package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// build makes the program with the tag chaos.
func build(ctx context.Context, dir string) (string, error) {
	program := filepath.Join(dir, "adpulse")
	command := exec.CommandContext(ctx, "go", "build", "-tags", "chaos", "-o", program, "adpulse/cmd/adpulse")
	if said, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build adpulse with the tag chaos: %w\n%s", err, said)
	}
	return program, nil
}

// freePort picks a port below those that the system hands to connections, so
// that none of them takes it between two starts of a node.
func freePort(ctx context.Context) (string, error) {
	for range 1000 {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(20000+rand.IntN(12000)))
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		if err != nil {
			continue
		}
		return address, listener.Close()
	}
	return "", errors.New("no free port between 20000 and 32000")
}

// freePorts fills the addresses.
func freePorts(ctx context.Context, addresses ...*string) (err error) {
	for _, a := range addresses {
		if *a, err = freePort(ctx); err != nil {
			return err
		}
	}
	return nil
}

// process is a node, started.
type process struct {
	command *exec.Cmd
	ended   chan struct{}
	// reached has the failpoint that acted.
	reached chan string

	mu   sync.Mutex
	last []string // lines on stderr
}

const linesKept = 3000

// start runs a node in a clean environment.
func start(program string, environment []string, args ...string) (*process, error) {
	p := &process{
		// No context ends a node: how it ends is what this is about.
		command: exec.CommandContext(context.Background(), program, args...),
		ended:   make(chan struct{}), reached: make(chan string, 1),
	}
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "ADPULSE_") {
			p.command.Env = append(p.command.Env, pair)
		}
	}
	p.command.Env = append(p.command.Env, environment...)
	stderr, err := p.command.StderrPipe()
	if err != nil {
		return nil, fmt.Errorf("start a node: %w", err)
	}
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("start a node: %w", err)
	}
	go func() {
		defer close(p.ended)
		p.listen(stderr)
		_ = p.command.Wait() // the exit code is read from its state
	}()
	return p, nil
}

func (p *process) listen(stderr io.Reader) {
	lines := bufio.NewReader(stderr)
	for {
		line, err := lines.ReadString('\n')
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "failpoint "); ok {
			p.reached <- name
		}
		if line != "" {
			p.mu.Lock()
			p.last = append(p.last[max(0, len(p.last)-linesKept):], line)
			p.mu.Unlock()
		}
		if err != nil {
			return
		}
	}
}

// said is the end of what the node wrote to stderr.
func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.last, "\n")
}

func (p *process) signal(s syscall.Signal) {
	// One that has ended already needs no signal.
	_ = p.command.Process.Signal(s)
}

// freeze and thaw stop the process and let it go on.
func (p *process) freeze() { p.signal(syscall.SIGSTOP) }
func (p *process) thaw()   { p.signal(syscall.SIGCONT) }

// kill is kill -9, and waits until the process is gone.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}

func (p *process) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// exitCode is -1 for a process that a signal has ended. Read it after ended.
func (p *process) exitCode() int { return p.command.ProcessState.ExitCode() }

// stop asks the node to drain and end, and kills it when it does not.
func (p *process) stop(ctx context.Context, within time.Duration) error {
	p.signal(syscall.SIGTERM)
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		p.signal(syscall.SIGQUIT) // its goroutines tell why
		select {
		case <-p.ended:
		case <-time.After(5 * time.Second):
		}
		p.kill()
		return fmt.Errorf("a node asked to stop had not ended after %s:\n%s", within, p.said())
	case <-ctx.Done():
		p.kill()
		return ctx.Err()
	}
	if code := p.exitCode(); code != 0 {
		return fmt.Errorf("a node asked to stop ended with code %d:\n%s", code, p.said())
	}
	return nil
}

// ready waits until a node can make an event durable.
func ready(ctx context.Context, p *process, address string, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
		if err != nil {
			return err
		}
		answer, err := client.Do(request)
		if err == nil {
			_ = answer.Body.Close() // nothing of it was read
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.ended:
			return fmt.Errorf("a node ended before it was ready:\n%s", p.said())
		case <-ctx.Done():
			return fmt.Errorf("a node was not ready after %s:\n%s", within, p.said())
		case <-time.After(25 * time.Millisecond):
		}
	}
}
