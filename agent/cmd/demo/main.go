// Command demo shows the main job end to end, with the real programs, on loopback: nothing is there before consent, what is
// collected is small, it arrives over TLS, and it is gone after withdrawal. It builds both binaries, works in a fresh
// folder, types the commands that a person would type, prints what happened, and ends non-zero when any
// promise did not hold. It leaves nothing running and nothing on disk.
//
//	go run ./agent/cmd/demo [-full] [-keep] [-people 1000] [-bin DIR]
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	keep := flag.Bool("keep", false, "keep the folder with all state, and say where it is")
	people := flag.Int("people", 1000, "size of the invented address book")
	full := flag.Bool("full", false, "print the contacts body that left to its last byte")
	bin := flag.String("bin", "", "use the binaries in this `folder` rather than building them")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Stdout, &play{bin: *bin, people: *people, full: *full}, *keep))
}

// run plays the demo and returns the exit code.
func run(ctx context.Context, out io.Writer, p *play, keep bool) int {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "scruple-demo-")
	if err != nil {
		fmt.Fprintln(out, "demo:", err)
		return 1
	}
	if keep {
		defer fmt.Fprintln(out, "kept:", dir)
	} else {
		defer os.RemoveAll(dir)
	}
	p.out, p.dir = out, dir
	defer p.stop()
	if err := p.all(ctx); err != nil {
		fmt.Fprintf(out, "\ndemo: FAILED: %v\n", err)
		return 1
	}
	p.stop()
	fmt.Fprintf(out, "\nEvery promise held: %d checks in %.1f s after the build.\n", p.checks, time.Since(p.started).Seconds())
	return 0
}
