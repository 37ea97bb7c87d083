package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/scruple-agent/scruple/agent/control"
)

const (
	program = "/bin/scruple"
	state   = "/run/state"
	socket  = "/run/state/run/scruple.sock"
)

// daemon is the built daemon, run as a service would.
type daemon struct {
	cmd    *exec.Cmd
	client *control.Client
	log    bytes.Buffer
}

func start(settings ...string) *daemon {
	d := &daemon{client: control.NewClient(socket, control.AsPerson(control.ChannelCLI))}
	d.cmd = exec.Command(program, "run", "--dev")
	d.cmd.Env = append([]string{"PATH=/bin", "HOME=/run", "LANG=en", "SCRUPLE_STATE_DIR=" + state}, settings...)
	d.cmd.Stdout, d.cmd.Stderr = &d.log, &d.log
	must("start the daemon", d.cmd.Start())
	if _, ok := eventually(60*time.Second, func() bool {
		_, err := os.Stat(socket)
		return err == nil
	}); !ok {
		panic(fault{fmt.Errorf("the daemon did not come up: %s", d.lastLog())})
	}
	d.cli("age", "declare", "18+")
	return d
}

// stop ends the daemon as a service manager does.
func (d *daemon) stop() {
	_ = d.cmd.Process.Signal(os.Interrupt)
	done := make(chan error, 1)
	go func() { done <- d.cmd.Wait() }()
	select {
	case err := <-done:
		check(err == nil, "daemon-ends-well", "%v", err)
	case <-time.After(20 * time.Second):
		fail("daemon-ends-well", "it was still there after 20 s: %s", d.lastLog())
		_ = d.cmd.Process.Kill()
	}
}

func (d *daemon) lastLog() string {
	lines := strings.Split(strings.TrimSpace(d.log.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-4):], " | ")
}

// cli runs a command of the command line and returns what it printed, and whether it succeeded.
func (d *daemon) cli(args ...string) (string, bool) {
	cmd := exec.Command(program, args...)
	cmd.Env = d.cmd.Env
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err == nil
}

func short() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Minute)
}

// give agrees as the person would: the notice first, then its hash.
func (d *daemon) give(tuple string) {
	ctx, cancel := short()
	defer cancel()
	notice, err := d.client.Show(ctx, tuple, "en")
	must("show "+tuple, err)
	_, err = d.client.Give(ctx, tuple, "en", notice.SHA256)
	must("give "+tuple, err)
}

// withdraw takes a consent back, and says how long after the request nothing held the source any more.
func (d *daemon) withdraw(tuple string, held func() bool) (took time.Duration) {
	ctx, cancel := short()
	defer cancel()
	start := time.Now()
	answered := make(chan error, 1)
	go func() {
		_, err := d.client.Withdraw(ctx, tuple, false)
		answered <- err
	}()
	for held() && time.Since(start) < 30*time.Second {
		time.Sleep(5 * time.Millisecond) // looking more often would keep the one processor from what is waited for
	}
	took = time.Since(start)
	must("withdraw "+tuple, <-answered)
	return took
}

// readable reports whether the daemon has a file open that gives values of a sensor.
func (d *daemon) readable() bool { return slices.ContainsFunc(holders(d.cmd), readable) }

// collect reads now, for the person.
func (d *daemon) collect(tuple string) (control.Collected, error) {
	ctx, cancel := short()
	defer cancel()
	return d.client.Collect(ctx, tuple)
}

// row returns a tuple's row of the status.
func (d *daemon) row(tuple string) control.Tuple {
	ctx, cancel := short()
	defer cancel()
	s, err := d.client.Status(ctx)
	must("status", err)
	for _, t := range s.Tuples {
		if t.Tuple == tuple {
			return t
		}
	}
	panic(fault{fmt.Errorf("status has no row for %s", tuple)})
}
