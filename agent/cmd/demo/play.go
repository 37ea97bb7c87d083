package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// play holds what the scenes share.
type play struct {
	out     io.Writer
	dir     string
	bin     string // folder of the binaries
	people  int
	full    bool // print bodies whole
	started time.Time
	checks  int
	running []*process
	env     []string // of the agent's commands
}

// process is a server that the demo started, and that it alone stops.
type process struct {
	cmd  *exec.Cmd
	log  *os.File
	done chan struct{}
}

// scene prints a heading.
func (p *play) scene(format string, args ...any) {
	fmt.Fprintf(p.out, "\n== %s\n", fmt.Sprintf(format, args...))
}

// hold checks a promise and says so.
func (p *play) hold(ok bool, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if !ok {
		return fmt.Errorf("did not hold: %s", text)
	}
	p.checks++
	fmt.Fprintf(p.out, "   ok: %s\n", text)
	return nil
}

// build makes both binaries, unless a folder of them was given.
func (p *play) build(ctx context.Context) error {
	if p.bin != "" {
		return nil
	}
	p.bin = filepath.Join(p.dir, "bin")
	for _, pkg := range []string{"./agent/cmd/scruple", "./uploader/cmd/scruple-receiver"} {
		fmt.Fprintf(p.out, "building %s ...\n", pkg)
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", p.bin+"/", pkg)
		cmd.Dir = moduleRoot()
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
		}
	}
	return nil
}

// moduleRoot finds the folder of go.mod at or above the working folder.
func moduleRoot() string {
	dir, err := os.Getwd()
	if err != nil {
		return "."
	}
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "go.mod")); err == nil {
			return d
		}
		if d == filepath.Dir(d) {
			return dir
		}
	}
}

// start starts a server with its log in the demo's folder and returns its standard output line by line.
func (p *play) start(ctx context.Context, name string, args ...string) (*bufio.Scanner, error) {
	log, err := os.Create(filepath.Join(p.dir, name+".log"))
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(p.out, "$ %s %s &\n", name, p.short(args))
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, name), args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Stderr, cmd.Env = log, append(os.Environ(), p.env...)
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		log.Close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	s := &process{cmd: cmd, log: log, done: make(chan struct{})}
	p.running = append(p.running, s)
	lines := bufio.NewScanner(stdout)
	return lines, nil
}

// firstLine waits for a server's ready line.
func (p *play) firstLine(name string, lines *bufio.Scanner) (string, error) {
	got := make(chan string, 1)
	go func() {
		if lines.Scan() {
			got <- lines.Text()
		} else {
			close(got)
		}
		for lines.Scan() { // keep the pipe empty
		}
	}()
	select {
	case line, ok := <-got:
		if ok {
			fmt.Fprintf(p.out, "  %s\n", line)
			return line, nil
		}
	case <-time.After(20 * time.Second):
	}
	log, _ := os.ReadFile(filepath.Join(p.dir, name+".log"))
	return "", fmt.Errorf("%s did not become ready\n%s", name, log)
}

// stop ends the servers in the reverse of their order, by SIGTERM, and waits.
func (p *play) stop() {
	for i := len(p.running) - 1; i >= 0; i-- {
		s := p.running[i]
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		_ = s.cmd.Wait()
		s.log.Close()
	}
	p.running = nil
}

// command runs a command as a person would type it and returns what it prints and its exit code.
func (p *play) command(ctx context.Context, show bool, name string, args ...string) (string, int, error) {
	if show {
		fmt.Fprintf(p.out, "$ %s %s\n", name, p.short(args))
	}
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, name), args...)
	cmd.Env = append(os.Environ(), p.env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code, err = exit.ExitCode(), nil
	}
	if show {
		p.indent(stdout.String() + stderr.String())
	}
	if err != nil {
		return "", code, fmt.Errorf("%s: %w", name, err)
	}
	if !show && code != 0 {
		return stdout.String(), code, fmt.Errorf("%s %s: exit code %d: %s", name, p.short(args), code, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), code, nil
}

// person types a command whose success is expected.
func (p *play) person(ctx context.Context, name string, args ...string) error {
	_, code, err := p.command(ctx, true, name, args...)
	if err == nil && code != 0 {
		err = fmt.Errorf("%s %s: exit code %d", name, p.short(args), code)
	}
	return err
}

// ask runs a command with --json, unseen, and decodes its answer.
func ask[T any](ctx context.Context, p *play, name string, args ...string) (answer T, err error) {
	text, _, err := p.command(ctx, false, name, append(args, "--json")...)
	if err != nil {
		return answer, err
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return answer, fmt.Errorf("%s %s --json: %w", name, p.short(args), err)
	}
	return answer, nil
}

func (p *play) indent(text string) {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	const most = 60
	for i, line := range lines {
		if i == most {
			fmt.Fprintf(p.out, "  ... (%d more lines)\n", len(lines)-most)
			return
		}
		fmt.Fprintf(p.out, "  %s\n", line)
	}
}

// short prints arguments without the long name of the demo's folder.
func (p *play) short(args []string) string {
	return strings.ReplaceAll(strings.Join(args, " "), p.dir, "DEMO")
}
