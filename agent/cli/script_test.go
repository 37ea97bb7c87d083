package cli

import (
	"context"
	"flag"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "write the expected output of the scripts anew")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"scruple": func() {
			daemon := fakeDaemon
			if os.Getenv("DAEMON") == "real" {
				daemon = Agent
			}
			os.Exit(Main(context.Background(), os.Args[1:], Options{
				Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Version: "1.0", Daemon: daemon,
			}))
		},
	})
}

// TestScripts types commands as a person would, against a daemon of the test on a real socket.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			home := e.WorkDir
			for _, entry := range []string{
				"HOME=" + home, "XDG_CONFIG_HOME=" + home + "/config", "XDG_STATE_HOME=" + home + "/state", "XDG_RUNTIME_DIR=",
				"SCRUPLE_STATE_DIR=" + home + "/s", "TZ=UTC", "LC_ALL=C", "LANG=",
			} {
				name, value, _ := strings.Cut(entry, "=")
				e.Setenv(name, value)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// ready waits until the daemon answers on the socket.
			"ready": func(ts *testscript.TestScript, neg bool, args []string) {
				socket := filepath.Join(ts.Getenv("SCRUPLE_STATE_DIR"), "run", "scruple.sock")
				for range 200 {
					if c, err := net.Dial("unix", socket); err == nil {
						c.Close()
						return
					}
					time.Sleep(25 * time.Millisecond)
				}
				ts.Fatalf("no daemon on %s", socket)
			},
			// alter FILE COPY OLD NEW copies a file with the first OLD in it made NEW.
			"alter": func(ts *testscript.TestScript, neg bool, args []string) {
				before := ts.ReadFile(args[0])
				after := strings.Replace(before, args[2], args[3], 1)
				if after == before {
					ts.Fatalf("there is no %s in %s", args[2], args[0])
				}
				ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(after), 0o600))
			},
			// agree sets $HASH to the hash that "consent show" printed last.
			"agree": func(ts *testscript.TestScript, neg bool, args []string) {
				m := regexp.MustCompile(`SHA-256 ([0-9a-f]{64})`).FindStringSubmatch(ts.ReadFile("stdout"))
				if m == nil {
					ts.Fatalf("no hash was printed")
				}
				ts.Setenv("HASH", m[1])
			},
			// key sets $KEY to the ledger's key that "ledger checkpoint" printed last.
			"key": func(ts *testscript.TestScript, neg bool, args []string) {
				m := regexp.MustCompile(`(?m)^key (\S+)$`).FindStringSubmatch(ts.ReadFile("stdout"))
				if m == nil {
					ts.Fatalf("no key was printed")
				}
				ts.Setenv("KEY", m[1])
			},
		},
	})
}
