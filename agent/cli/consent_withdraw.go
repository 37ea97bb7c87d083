package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/agent/control"
)

func consentWithdrawCommand(a *app) *cobra.Command {
	var erase bool
	cmd := a.command(command{
		use:   "withdraw CATEGORY/PURPOSE [--clear]",
		short: T{"take a consent back, at once", "立即撤回同意"},
		long: T{
			"Stops reading and sending at once and destroys the key of everything stored for it on this device; the\ncontroller is always told. With --clear it is also asked to erase what it has, and must answer with a signed receipt.\nIt works whatever the state of the network or the clock, and can be repeated.",
			"立即停止读取和发送，并销毁本机为此保存内容的密钥；一定会通知控制者。\n使用 --clear 时还会要求控制者删除其持有的数据，并须以签名回执答复。\n无论网络或时钟状态如何都有效，且可重复执行。",
		},
		example: T{"  scruple consent withdraw contacts/find-friends --clear", "  scruple consent withdraw contacts/find-friends --clear"},
		args:    oneTuple,
		run: func(cmd *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			answer, err := client.Withdraw(cmd.Context(), args[0], erase)
			if err != nil {
				return err
			}
			return a.print(answer, func(w io.Writer) { a.writeWithdrawal(w, answer) })
		},
	})
	cmd.Flags().BoolVar(&erase, "clear", false, a.t(T{"also ask the controller to erase what it has", "同时要求控制者删除其持有的数据"}))
	return cmd
}

func (a *app) writeWithdrawal(w io.Writer, answer control.Withdrawal) {
	fmt.Fprintf(w, a.t(T{"%s: %s. Nothing of it on this device can be read or sent any more.\n", "%s：%s。本机上的相关内容已无法读取或发送。\n"}), answer.Tuple, a.status(answer.Status))
	switch {
	case answer.Consent == "":
	case answer.Clear:
		fmt.Fprintln(w, a.t(T{"The controller is told, and asked to erase what it has; scruple receipt list shows its answer.", "已通知控制者并要求其删除所持数据；scruple receipt list 显示其答复。"}))
	default:
		fmt.Fprintln(w, a.t(T{"The controller is told; scruple receipt list shows its answer.", "已通知控制者；scruple receipt list 显示其答复。"}))
	}
	for _, step := range answer.Unfinished {
		fmt.Fprintf(w, a.t(T{"Still to be done, and repeated until it succeeds: %s\n", "尚待完成，将反复重试：%s\n"}), join(a.sep(), a.said(step.Step), a.said(step.Error)))
	}
}
