package e2e

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Image writes an initramfs (a gzip of the cpio format "newc") with these files, by their path in the guest. Every file is
// executable.
func Image(to string, files map[string]string) (err error) {
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	packed, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err != nil {
		return err
	}
	w := &cpio{w: bufio.NewWriterSize(packed, 1<<20)}
	folders := map[string]bool{}
	for _, d := range []string{"dev", "proc", "sys", "run", "tmp"} {
		folders[d] = true
		w.entry(d, 0o040755, nil)
	}
	for path, file := range files {
		for i, c := range path {
			if c == '/' && !folders[path[:i]] {
				folders[path[:i]] = true
				w.entry(path[:i], 0o040755, nil)
			}
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		w.entry(path, 0o100755, content)
	}
	w.entry("TRAILER!!!", 0, nil)
	return errors.Join(w.err, w.w.Flush(), packed.Close())
}

// cpio writes the "newc" format: a header of 6 + 13*8 hexadecimal digits, the name and the content, each padded to four bytes.
type cpio struct {
	w   *bufio.Writer
	ino int
	err error
}

func (c *cpio) entry(name string, mode int, content []byte) {
	if c.err != nil {
		return
	}
	c.ino++
	header := "070701"
	for _, v := range []int{c.ino, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0} {
		header += fmt.Sprintf("%08X", v)
	}
	pad := func(n int) string { return "\x00\x00\x00"[:(4-n%4)%4] }
	for _, s := range []string{header, name, "\x00", pad(len(header) + len(name) + 1)} {
		_, err := io.WriteString(c.w, s)
		c.err = errors.Join(c.err, err)
	}
	_, err := c.w.Write(content)
	c.err = errors.Join(c.err, err)
	_, err = io.WriteString(c.w, pad(len(content)))
	c.err = errors.Join(c.err, err)
}

// Check is what the guest says about one thing that it tried.
type Check struct {
	Name   string
	Failed bool
	Detail string
}

// clock makes a guest's time that of a machine which executes 250 million instructions a second (4 ns each), slower than what it
// stands for, and passes over the time in which the guest waits. So what the guest measures is what its own work takes, and nothing of
// what else keeps the host busy.
const clock = "shift=2,sleep=off"

// Boot starts a machine with this image, hands the guest's lines to line, and returns the checks that it printed when it has powered
// itself off. An error says that it did not come that far.
func Boot(ctx context.Context, a Arch, k *Kernel, image, scenario string, line func(string)) ([]Check, error) {
	if _, err := exec.LookPath(a.QEMU); err != nil {
		return nil, fmt.Errorf("%w: %s (Debian packages qemu-system-arm, qemu-system-x86)", ErrMissing, a.QEMU)
	}
	args := append([]string{}, a.Machine...)
	args = append(args,
		"-accel", "tcg", "-icount", clock, "-smp", "1", "-m", "512", "-display", "none", "-serial", "stdio", "-monitor", "none", "-no-reboot", "-nic", "none",
		"-kernel", k.Image, "-initrd", image, "-append", a.Console+" panic=-1 quiet scenario="+scenario)
	cmd := exec.CommandContext(ctx, a.QEMU, args...)
	cmd.Dir = filepath.Dir(image)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	var (
		checks []Check
		done   bool
	)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		text := strings.TrimRight(lines.Text(), "\r")
		line(text)
		_, said, ok := strings.Cut(text, "RIG ")
		if !ok {
			continue
		}
		verdict, rest, _ := strings.Cut(said, " ")
		name, detail, _ := strings.Cut(rest, " ")
		switch verdict {
		case "pass", "fail":
			checks = append(checks, Check{name, verdict == "fail", detail})
		case "done":
			done = true
			if scenario == "suspend" { // QEMU does not end after a sleep
				_ = cmd.Process.Kill()
			}
		}
	}
	err = cmd.Wait()
	if !done {
		return checks, fmt.Errorf("the guest did not come to its end: %w", errors.Join(err, ctx.Err(), lines.Err()))
	}
	return checks, nil
}
