package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/agent/control"
)

func egressCommand(a *app) *cobra.Command {
	cmd := a.command(command{
		use:   "egress",
		short: T{"everything that left this device, to the byte", "离开本设备的全部内容，逐字节可查"},
		long: T{
			"Every body that left is kept, byte for byte, sealed under the key of its consent. After a withdrawal only hash,\nsize, time and consent id remain.",
			"每个发出的内容都逐字节保存，并以其同意的密钥加密。撤回之后仅保留哈希值、大小、时间和同意编号。",
		},
		example: T{
			"  scruple egress list\n  scruple egress show 17\n  scruple egress preview device/service\n  scruple egress send device/service",
			"  scruple egress list\n  scruple egress show 17\n  scruple egress preview device/service\n  scruple egress send device/service",
		},
	})
	cmd.AddCommand(egressListCommand(a), egressShowCommand(a), egressPreviewCommand(a), egressSendCommand(a))
	return cmd
}

func egressListCommand(a *app) *cobra.Command {
	return a.command(command{
		use:   "list",
		short: T{"every request that carried something, newest first", "列出每个带有内容的请求，最新的在前"},
		long: T{
			"Lists every request with a body. What only asks the controller (where it is, what it announces, which message about a consent\nit has seen last, the key of contacts, what it holds) has none and is not listed.",
			"列出每个带有正文的请求。仅向控制者询问的请求（其所在地、其公告、其最后收到的有关某项同意的消息、通讯录密钥、其持有的内容）\n没有正文，不在列表中。",
		},
		example: T{"  scruple egress list\n  scruple egress list --json", "  scruple egress list\n  scruple egress list --json"},
		run: func(cmd *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			list, err := client.EgressList(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(list, func(w io.Writer) {
				if len(list) == 0 {
					fmt.Fprintln(w, a.t(T{"Nothing has left this device.", "没有任何内容离开本设备。"}))
					return
				}
				rows := [][]string{{
					a.t(T{"ID", "编号"}), a.t(T{"TIME", "时间"}), a.t(T{"TO", "发往"}), a.t(T{"FOR", "用于"}),
					a.t(T{"REQUEST", "请求"}), a.t(T{"SIZE", "大小"}), a.t(T{"ANSWER", "答复"}),
				}}
				for _, e := range list {
					rows = append(rows, []string{
						e.ID, when(e.Time), e.Controller, join("", orElse(e.Tuple, e.Consent)), e.Method + " " + e.Path, size(e.Bytes), a.httpAnswer(e),
					})
				}
				table(w, rows)
			})
		},
	})
}

func (a *app) httpAnswer(e control.Egress) string {
	answer := strconv.Itoa(e.Status)
	if e.Status == 0 {
		answer = orElse(a.said(e.Error), a.t(T{"under way", "进行中"}))
	}
	if !e.Readable {
		answer += a.t(T{" (body erased)", "（内容已删除）"})
	}
	return answer
}

func egressShowCommand(a *app) *cobra.Command {
	var raw bool
	cmd := a.command(command{
		use:     "show ID",
		short:   T{"one body that left, decoded, or with --raw byte for byte", "显示一个已发出的内容；--raw 逐字节输出"},
		example: T{"  scruple egress show 17\n  scruple egress show 17 --raw | sha256sum", "  scruple egress show 17\n  scruple egress show 17 --raw | sha256sum"},
		args:    oneName,
		run: func(cmd *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			b, err := client.EgressBody(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.writeBody(b, raw, a.httpAnswer(b.Egress))
		},
	})
	cmd.Flags().BoolVar(&raw, "raw", false, a.t(T{"the bytes as sent", "原样输出所发送的字节"}))
	return cmd
}

func egressPreviewCommand(a *app) *cobra.Command {
	var raw bool
	cmd := a.command(command{
		use:     "preview CATEGORY/PURPOSE",
		short:   T{"the next body, before it goes", "预览下一个将要发出的内容"},
		example: T{"  scruple egress preview contacts/find-friends", "  scruple egress preview contacts/find-friends"},
		args:    oneTuple,
		run: func(cmd *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			b, err := client.EgressPreview(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.writeBody(b, raw, a.t(T{"not sent yet", "尚未发送"}))
		},
	})
	cmd.Flags().BoolVar(&raw, "raw", false, a.t(T{"the bytes as they would be sent", "原样输出将要发送的字节"}))
	return cmd
}

// writeBody prints a body; state says in words whether it was sent.
func (a *app) writeBody(b control.EgressBody, raw bool, state string) error {
	if raw && !a.json {
		if _, err := a.Stdout.Write(b.Body); err != nil {
			return fmt.Errorf("write the body: %w", err)
		}
		return nil
	}
	return a.print(b, func(w io.Writer) {
		fmt.Fprintf(w, "%s %s  %s  %s\n", b.Method, b.Path, b.Controller, orElse(b.Tuple, b.Consent))
		fmt.Fprintf(w, "%s  %s\n", when(b.Time), state)
		fmt.Fprintf(w, "%s, SHA-256 %s\n", size(b.Bytes), b.SHA256)
		var pretty bytes.Buffer
		if len(b.Content) > 0 && json.Indent(&pretty, b.Content, "", "  ") == nil {
			fmt.Fprintf(w, "\n%s\n", pretty.String())
		}
	})
}

func egressSendCommand(a *app) *cobra.Command {
	return a.command(command{
		use:     "send CATEGORY/PURPOSE",
		short:   T{"send now what waits, rather than in its slot", "立即发送待发内容，而不等到预定时段"},
		example: T{"  scruple egress send device/service", "  scruple egress send device/service"},
		args:    oneTuple,
		run: func(cmd *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			s, err := client.Flush(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.print(s, func(w io.Writer) {
				fmt.Fprintf(w, a.t(T{"%s: reports sent: %d, in batches: %d (%s); waiting: %d\n", "%s：已发送报告 %d 条，共 %d 批（%s）；待发 %d 条\n"}),
					s.Tuple, s.Reports, s.Batches, size(s.Bytes), s.Waiting)
				if s.Matches > 0 {
					fmt.Fprintf(w, a.t(T{"Registered users that the controller found: %d\n", "控制者找到的注册用户：%d\n"}), s.Matches)
				}
			})
		},
	})
}
