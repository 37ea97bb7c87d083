package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
)

// peaks measures the most memory that each path holds, in a process of its own; "nothing" is what this program
// needs for being there, with the tables that nyaruka/phonenumbers makes at start.
func peaks(w io.Writer, path string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, which := range []string{"nothing", "ours", "theirs"} {
		cmd := exec.Command(self, "-alone", which, "-book", path)
		cmd.Stderr = os.Stderr
		answer, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("measure the memory of %s: %w", which, err)
		}
		kB, err := strconv.Atoi(string(answer))
		if err != nil {
			return fmt.Errorf("measure the memory of %s: %w", which, err)
		}
		fmt.Fprintf(w, "%-28s %10.1f MB at most\n", "memory, "+which, float64(kB)*1024/1e6)
	}
	return nil
}

// once runs one path and prints the process's high-water mark in kB. The one that wait4 tells is no use: it counts
// from before exec, when the process was a copy of this one.
func once(d *desk, s *stack) (err error) {
	switch *alone {
	case "ours":
		_, err = d.ours(*book)
	case "theirs":
		_, _, err = s.theirs(*book)
	}
	if err != nil {
		return err
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	_, after, _ := bytes.Cut(status, []byte("VmHWM:"))
	kB, _, ok := bytes.Cut(bytes.TrimSpace(after), []byte(" kB"))
	if !ok {
		return fmt.Errorf("/proc/self/status has no VmHWM")
	}
	_, err = os.Stdout.Write(kB)
	return err
}
