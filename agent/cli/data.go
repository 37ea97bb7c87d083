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
			"  scruple data show --remote\n  scruple data export --out mine.json\n  scruple data erase contacts/find-friends\n  scruple data collect device/service",
			"  scruple data show --remote\n  scruple data export --out mine.json\n  scruple data erase contacts/find-friends\n  scruple data collect device/service",
		},
	})
	cmd.AddCommand(dataShowCommand(a), dataExportCommand(a), dataEraseCommand(a), dataCollectCommand(a), dataSubmitCommand(a), dataForgetCommand(a))
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

func dataExportCommand(a *app) *cobra.Command {
	var out string
	cmd := a.command(command{
		use:   "export [CATEGORY/PURPOSE] [--out FILE]",
		short: T{"everything held here and at the receivers, as JSON", "以 JSON 导出本机和接收端持有的全部数据"},
		long: T{
			"Writes what is held on this device and at every receiver as JSON, for you to keep. The file is readable by you\nalone, and one that is there is not overwritten.",
			"以 JSON 写出本机和每个接收端持有的数据，供您保存。文件仅您可读，且不会覆盖已有文件。",
		},
		example: T{"  scruple data export --out mine.json\n  scruple data export contacts/find-friends > contacts.json", "  scruple data export --out mine.json\n  scruple data export contacts/find-friends > contacts.json"},
		args:    maybeTuple,
		run: func(cmd *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			data, err := client.Data(cmd.Context(), firstOf(args), true)
			if err != nil {
				return err
			}
			text, err := json.MarshalIndent(data, "", "  ")
			if err != nil {
				return fmt.Errorf("export: %w", err)
			}
			text = append(text, '\n')
			if out == "" {
				_, err := a.Stdout.Write(text)
				return err
			}
			return writeNew(out, text)
		},
	})
	cmd.Flags().StringVar(&out, "out", "", a.t(T{"a new `FILE` rather than standard output", "写入新文件 `FILE`，而不是标准输出"}))
	return cmd
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

func dataEraseCommand(a *app) *cobra.Command {
	var yes bool
	cmd := a.command(command{
		use:   "erase CATEGORY/PURPOSE",
		short: T{"erase what was collected; the consent goes on", "删除已收集的数据；同意继续有效"},
		long: T{
			"Destroys what lies on this device and asks the controller to erase what it has; the request is repeated until\nthe controller's signed receipt is there. To stop collecting as well: scruple consent withdraw --clear.",
			"销毁本机上的内容，并要求控制者删除其持有的数据；请求会重复，直到收到控制者签名的回执。\n如需同时停止收集：scruple consent withdraw --clear。",
		},
		example: T{"  scruple data erase location/nearby\n  scruple data erase location/nearby --yes", "  scruple data erase location/nearby\n  scruple data erase location/nearby --yes"},
		args:    oneTuple,
		run: func(cmd *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			if !yes {
				if !a.terminal() {
					return a.usage(T{"erasing needs a yes: this is no terminal to ask at, so use --yes", "删除需要确认：当前不是可供询问的终端，请使用 --yes"})
				}
				if !a.confirm(T{"What was collected will be erased for good. Type yes to go on: ", "已收集的数据将被永久删除。输入 yes 继续："}) {
					return refusal{a.t(T{"nothing has been erased", "未删除任何内容"}), ""}
				}
			}
			e, err := client.Erase(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.print(e, func(w io.Writer) {
				fmt.Fprintf(w, a.t(T{"%s: reports erased here: %d; the controller is asked to erase (request %s)\n", "%s：本机已删除的报告：%d；已要求控制者删除（请求编号 %s）\n"}), e.Tuple, e.Reports, e.ID)
			})
		},
	})
	cmd.Flags().BoolVar(&yes, "yes", false, a.t(T{"do not ask again", "不再询问"}))
	return cmd
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
