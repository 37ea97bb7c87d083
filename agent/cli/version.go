package cli

import (
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/cobra"
)

func versionCommand(a *app) *cobra.Command {
	return a.command(command{
		use:     "version",
		short:   T{"the version of this program", "本程序的版本"},
		example: T{"  scruple version --json", "  scruple version --json"},
		run: func(*cobra.Command, []string) error {
			v := struct {
				Version string `json:"version"`
				Go      string `json:"go"`
				System  string `json:"system"`
			}{a.Version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			return a.print(v, func(w io.Writer) { fmt.Fprintf(w, "scruple %s %s %s\n", v.Version, v.Go, v.System) })
		},
	})
}
