// Command scruple is the privacy agent: "scruple run" is the daemon, every other command is a client of it or
// works on files alone. It is a thin shell over package cli.
package main

import (
	"context"
	"os"

	"github.com/scruple-agent/scruple/agent"
	"github.com/scruple-agent/scruple/agent/cli"
)

func main() {
	os.Exit(cli.Main(context.Background(), os.Args[1:], cli.Options{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Version: agent.Version, Daemon: cli.Agent,
	}))
}
