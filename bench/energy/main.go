//go:build linux

// Command energy builds the daemon and measures what it costs while nothing happens: voluntary context switches of all
// its threads, which are its wake-ups, and processor time. First without any consent, then with steps granted on an
// accelerometer that delivers 50 samples a second.
//
// The accelerometer is a FIFO in place of a device's buffer, so the kernel's own work for each sample is not in the
// numbers. No receiver runs: the message that the consent was given is tried, rarely, and that is in them.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/sensors/sensortest"
)

func main() {
	idle := flag.Duration("idle", time.Minute, "how long to measure without a consent")
	steps := flag.Duration("steps", time.Minute, "how long to measure with steps granted")
	flag.Parse()
	if err := measure(*idle, *steps); err != nil {
		fmt.Fprintln(os.Stderr, "energy:", err)
		os.Exit(1)
	}
}

func measure(idle, steps time.Duration) error {
	dir, err := os.MkdirTemp("", "scruple-energy-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "scruple"), "./agent/cmd/scruple")
	build.Dir = ".." // the module of the product, as make bench runs this from bench/
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w: %s", err, out)
	}
	machine, err := sensortest.NewMachine(dir)
	if err != nil {
		return err
	}
	defer machine.Close()
	config := filepath.Join(dir, "scruple.yaml")
	text := fmt.Sprintf("version: 1\ndev: true\nstate_dir: %q\niio_root: %q\niio_dev: %q\ngpsd: \"\"\nlog: {level: error}\n",
		filepath.Join(dir, "state"), machine.Sys(), machine.Dev())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	daemon := exec.Command(filepath.Join(dir, "scruple"), "run", "--config", config)
	daemon.Stderr = os.Stderr
	if err := daemon.Start(); err != nil {
		return err
	}
	defer func() {
		_ = daemon.Process.Signal(os.Interrupt)
		_ = daemon.Wait()
	}()
	client := control.NewClient(filepath.Join(dir, "state/run/scruple.sock"), control.AsPerson(control.ChannelCLI))
	ctx, cancel := context.WithTimeout(context.Background(), idle+steps+time.Minute)
	defer cancel()
	for range 200 {
		if _, err = client.Status(ctx); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil {
		return err
	}
	if _, err := client.DeclareAge(ctx, "18+"); err != nil {
		return err
	}
	client.Close()

	fmt.Printf("%-34s %10s %14s %12s %12s\n", "", "seconds", "voluntary", "a second", "CPU ms")
	if err := report(daemon.Process.Pid, "no consent", idle, func() error { time.Sleep(idle); return nil }); err != nil {
		return err
	}
	notice, err := client.Show(ctx, "steps/compare", "en")
	if err != nil {
		return err
	}
	if _, err := client.Give(ctx, "steps/compare", "en", notice.SHA256); err != nil {
		return err
	}
	client.Close()
	return report(daemon.Process.Pid, "steps granted, 50 samples a second", steps, func() error {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for end := time.Now().Add(steps); time.Now().Before(end); {
			<-tick.C
			if err := machine.Feed(20_000_000, 10, -20, 1000); err != nil {
				return err
			}
		}
		if machine.Attribute("iio:device0", "buffer/enable") != "1" {
			return fmt.Errorf("the accelerometer did not run")
		}
		return nil
	})
}

// report prints what the process used while do ran, after a few seconds in which what was asked of it settles.
func report(pid int, name string, d time.Duration, do func() error) error {
	time.Sleep(5 * time.Second)
	before, err := usage(pid)
	if err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	after, err := usage(pid)
	if err != nil {
		return err
	}
	n := after.voluntary - before.voluntary
	fmt.Printf("%-34s %10.0f %14d %12.2f %12d\n", name, d.Seconds(), n, float64(n)/d.Seconds(), 10*(after.ticks-before.ticks))
	return nil
}

type used struct{ voluntary, ticks int }

// usage sums over all threads of a process. A thread that ended meanwhile takes its switches with it; the runtime ends
// none.
func usage(pid int) (u used, err error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil || len(tasks) == 0 {
		return u, fmt.Errorf("process %d is not there", pid)
	}
	for _, task := range tasks {
		status, err := os.ReadFile(filepath.Join(task, "status"))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(status)) {
			if rest, ok := strings.CutPrefix(line, "voluntary_ctxt_switches:"); ok {
				n, _ := strconv.Atoi(strings.TrimSpace(rest))
				u.voluntary += n
			}
		}
		stat, err := os.ReadFile(filepath.Join(task, "stat"))
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(rest); len(fields) > 12 {
			user, _ := strconv.Atoi(fields[11])
			system, _ := strconv.Atoi(fields[12])
			u.ticks += user + system // of 10 ms
		}
	}
	return u, nil
}
