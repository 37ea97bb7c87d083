package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/agent/control"
)

func dataCommand(a *app) *cobra.Command {
	cmd := a.command(command{
		use:   "data",
		short: T{"what is held about you, here and at the receiver", "本机和接收端持有的关于您的数据"},
		example: T{
			"  scruple data show --remote\n  scruple data export --html -o mine.html\n  scruple data erase contacts/find-friends\n  scruple data correct posts/moments --item p-1 text=hello\n  scruple data collect device/service",
			"  scruple data show --remote\n  scruple data export --html -o mine.html\n  scruple data erase contacts/find-friends\n  scruple data correct posts/moments --item p-1 text=hello\n  scruple data collect device/service",
		},
	})
	cmd.AddCommand(dataShowCommand(a), dataExportCommand(a), dataEraseCommand(a), dataCollectCommand(a), dataSubmitCommand(a), dataCorrectCommand(a), dataExplainCommand(a))
	return cmd
}

func firstOf(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

func dataShowCommand(a *app) *cobra.Command {
	var remote bool
	cmd := a.command(command{
		use:     "show [CATEGORY/PURPOSE] [--remote]",
		short:   T{"the reports that lie here, and with --remote what the receiver holds", "显示本机的报告；--remote 还显示接收端所持有的"},
		example: T{"  scruple data show\n  scruple data show contacts/find-friends --remote", "  scruple data show\n  scruple data show contacts/find-friends --remote"},
		args:    maybeTuple,
		run: func(cmd *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			data, err := client.Data(cmd.Context(), firstOf(args), remote)
			if err != nil {
				return err
			}
			return a.print(data, func(w io.Writer) { a.writeData(w, data, remote) })
		},
	})
	cmd.Flags().BoolVar(&remote, "remote", false, a.t(T{"ask the receivers too", "同时询问接收端"}))
	return cmd
}

func (a *app) writeData(w io.Writer, data control.Data, remote bool) {
	empty := true
	for _, t := range data.Tuples {
		if len(t.Reports) == 0 && len(t.Items) == 0 && t.Remote == nil && t.RemoteError == "" {
			continue
		}
		empty = false
		fmt.Fprintf(w, a.t(T{"%s: reports on this device: %d\n", "%s：本机的报告：%d\n"}), t.Tuple, len(t.Reports))
		for _, r := range t.Reports {
			fmt.Fprintf(w, "  %s  %s\n", when(r.Time), r.Fields)
		}
		a.writeItems(w, t.Items)
		if t.RemoteError != "" {
			fmt.Fprintf(w, a.t(T{"  the receiver did not say: %s\n", "  接收端没有答复：%s\n"}), t.RemoteError)
		}
		var pretty bytes.Buffer
		if len(t.Remote) > 0 && json.Indent(&pretty, t.Remote, "  ", "  ") == nil {
			fmt.Fprintf(w, a.t(T{"  at the receiver: %s\n", "  接收端：%s\n"}), pretty.String())
		}
	}
	switch {
	case empty && remote:
		fmt.Fprintln(w, a.t(T{"Nothing is held here or at a receiver.", "本机和接收端均未持有数据。"}))
	case empty:
		fmt.Fprintln(w, a.t(T{"Nothing is held on this device; --remote asks the receivers.", "本机未持有数据；--remote 可询问接收端。"}))
	}
}

// writeNew writes a file that must not exist, for this account alone, and leaves none when it fails.
func writeNew(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(path)
	}
	return err
}

func dataCollectCommand(a *app) *cobra.Command {
	return a.command(command{
		use:     "collect CATEGORY/PURPOSE",
		short:   T{"read the source now, rather than on schedule", "立即读取数据来源，而不等到预定时间"},
		example: T{"  scruple data collect device/service", "  scruple data collect device/service"},
		args:    oneTuple,
		run: func(cmd *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			c, err := client.Collect(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.print(c, func(w io.Writer) {
				line := fmt.Sprintf(a.t(T{"%s: reports stored: %d", "%s：已保存的报告：%d"}), c.Tuple, c.Reports)
				if n := counts(c.Counts); n != "" {
					line += " (" + n + ")"
				}
				fmt.Fprintln(w, line)
			})
		},
	})
}
