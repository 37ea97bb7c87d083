package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/scruple-agent/scruple/bench/internal/measure"
	"github.com/scruple-agent/scruple/sensors/contacts/booktest"
)

const (
	coldBar = 8 // us a file above the file system's own
	warmBar = 4 // us a file
)

// folder measures a folder of small cards. The files are in the page cache: it is about system calls and our work,
// not about a disk.
func folder(w io.Writer, d *desk, s *stack, dir string) error {
	b := booktest.Generate(2, *files, booktest.Options{})
	if err := b.WriteFolder(dir); err != nil {
		return err
	}
	truth, err := truthOf(b)
	if err != nil {
		return err
	}
	encoded, err := d.ours(dir)
	if err != nil {
		return err
	}
	own, err := digestsOf(encoded)
	if err != nil {
		return err
	}
	found, _ := count(own, truth)
	fmt.Fprintf(w, "\nfolder of %d cards: found %d of %d values\n", *files, found, len(truth))

	time.Sleep(3 * time.Second) // a file is remembered once it was left alone for two
	_, sealed, err := d.pass(dir, nil, true)
	if err != nil {
		return err
	}
	rescan := func() error {
		again, _, err := d.pass(dir, sealed, true)
		if err == nil && !bytes.Equal(again, encoded) {
			err = errors.New("the rescan gives another report")
		}
		return err
	}

	names := [...]string{
		"ours, cold", "file system: list and read", "above the file system", "theirs", "file system: list and stat",
		"ours, cold, to remember", "rescan",
	}
	var took [len(names)][]float64
	for i := range *runs {
		fmt.Fprintf(os.Stderr, "\rfolder: run %d of %d ", i+1, *runs)
		for k, f := range map[int]func() error{
			0: func() error { _, err := d.ours(dir); return err },
			1: func() error { return readAll(dir) },
			3: func() error { _, _, err := s.theirs(dir); return err },
			4: func() error { return statAll(dir) },
			5: func() error { _, _, err := d.pass(dir, nil, true); return err },
			6: rescan,
		} {
			settle()
			t := measure.CPU(func() {
				if e := f(); e != nil {
					err = e
				}
			})
			took[k] = append(took[k], float64(t.Nanoseconds())/1e3/float64(*files))
		}
		if err != nil {
			return err
		}
		took[2] = append(took[2], took[0][i]-took[1][i])
	}
	fmt.Fprint(os.Stderr, "\r                              \r")
	for _, k := range []int{0, 5, 1, 3, 4} {
		fmt.Fprintf(w, "%-28s %10.2f us/file\n", names[k], measure.Median(took[k]))
	}
	measure.Verdict(w, names[2]+", us/file", took[2], "%.2f", coldBar, true)
	measure.Verdict(w, "rescan, us/file", took[6], "%.2f", warmBar, true)
	fmt.Fprintf(w, "remembered between passes: %d bytes, sealed\n", len(sealed))
	return nil
}
