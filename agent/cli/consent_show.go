package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/agent/control"
)

func consentShowCommand(a *app) *cobra.Command {
	return a.command(command{
		use:   "show CATEGORY/PURPOSE",
		short: T{"the notice: what, what for, to whom, how long", "告知书：收集什么、用途、接收方、期限"},
		long: T{
			"Prints the exact notice that you are asked to agree to, and its hash. The ledger records that it was shown.",
			"显示征求您同意的告知书原文及其哈希值。账本会记录已向您展示。",
		},
		example: T{"  scruple consent show location/nearby\n  scruple consent show location/nearby --lang zh-CN", "  scruple consent show location/nearby\n  scruple consent show location/nearby --lang zh-CN"},
		args:    oneTuple,
		run: func(cmd *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			n, err := client.Show(cmd.Context(), args[0], a.lang)
			if err != nil {
				return err
			}
			return a.print(n, func(w io.Writer) {
				writeNotice(w, n)
				fmt.Fprintf(w, "\nSHA-256 %s\n", n.SHA256)
				fmt.Fprintf(w, a.t(T{"To agree: scruple consent give %s --accept %s\n", "如同意，请运行：scruple consent give %s --accept %s\n"}), n.Tuple, n.SHA256)
			})
		},
	})
}

// writeNotice prints the notice byte for byte as it is hashed, with a line end where it has none.
func writeNotice(w io.Writer, n control.Notice) {
	fmt.Fprint(w, n.Text)
	if !strings.HasSuffix(n.Text, "\n") {
		fmt.Fprintln(w)
	}
}
