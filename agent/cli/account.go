package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/agent/control"
)

func accountCommand(a *app) *cobra.Command {
	cmd := a.command(command{
		use:   "account",
		short: T{"close your account at a controller", "注销您在控制者处的账号"},
		long: T{
			"Each controller has an account of its own: closing that of the service leaves the payment account, and the other way\nround. Closing ends every consent there, erases everything here and has the controller confirm the erasure with its signature.\nThirty days later the records of what you agreed to go as well: export before what you want to keep (scruple receipt export).",
			"每个控制者各有账号：注销服务账号不影响支付账号，反之亦然。\n注销会终止在该处的所有同意，删除本机内容，并由控制者签名确认删除。\n三十天后，关于您曾同意内容的记录也会删除：想保留的请提前导出（scruple receipt export）。",
		},
		example: T{
			"  scruple account list\n  scruple account close\n  scruple account close --controller payments",
			"  scruple account list\n  scruple account close\n  scruple account close --controller payments",
		},
	})
	cmd.AddCommand(accountListCommand(a), accountCloseCommand(a), accountReopenCommand(a))
	return cmd
}

func accountListCommand(a *app) *cobra.Command {
	return a.command(command{
		use:     "list",
		short:   T{"your account at each controller", "您在各控制者处的账号"},
		example: T{"  scruple account list", "  scruple account list"},
		run: func(cmd *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			list, err := client.Accounts(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(list, func(w io.Writer) { a.writeAccounts(w, list) })
		},
	})
}

var accountStates = map[string]T{
	"open": {"open", "正常"}, "closing": {"being closed", "正在注销"}, "closed": {"closed", "已注销"},
}

func (a *app) writeAccounts(w io.Writer, list []control.Account) {
	rows := [][]string{{a.t(T{"CONTROLLER", "控制者"}), a.t(T{"NAME", "名称"}), a.t(T{"CONTACT", "联系方式"}), a.t(T{"CONSENTS", "同意"}), a.t(T{"STATE", "状态"})}}
	for _, one := range list {
		state := a.word(accountStates, one.State)
		switch one.State {
		case "closing":
			state += fmt.Sprintf(a.t(T{" since %s, signed answers still to come: %d", "，自 %s 起，尚待签名答复：%d"}), when(one.Since), one.Waiting)
		case "closed":
			state += fmt.Sprintf(a.t(T{" since %s, confirmed %s", "，自 %s 起，确认于 %s"}), when(one.Since), when(one.Done))
		}
		rows = append(rows, []string{one.Controller, one.Name.In(a.lang), one.Contact, fmt.Sprint(one.Consents), state})
	}
	table(w, rows)
}

// accountFlags are those of close and reopen.
func (a *app) accountFlags(cmd *cobra.Command, r *control.AccountRequest) {
	cmd.Flags().StringVar(&r.Controller, "controller", "", a.t(T{"the controller, a `NAME` of the policy; the first of the policy where left out", "政策中的控制者 `NAME`；省略时为政策中的第一个"}))
	cmd.Flags().BoolVar(&r.All, "all", false, a.t(T{"every controller of the policy", "政策中的所有控制者"}))
	_ = cmd.RegisterFlagCompletionFunc("controller", func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		a.flags = cmd.Flags()
		client, err := a.client()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		list, err := client.Accounts(cmd.Context())
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []cobra.Completion
		for _, one := range list {
			names = append(names, cobra.CompletionWithDesc(one.Controller, one.Name.In(a.lang)))
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	})
}

func accountCloseCommand(a *app) *cobra.Command {
	var (
		r   control.AccountRequest
		yes bool
	)
	cmd := a.command(command{
		use:   "close [--controller NAME | --all]",
		short: T{"close the account: everything is erased, here and there", "注销账号：本机和控制者处的内容全部删除"},
		long: T{
			"Ends every consent at the controller and destroys its data on this device at once; the requests to erase are repeated until the\ncontroller has signed each. Nothing can be agreed to there afterwards, until you reopen the account yourself.",
			"立即终止在该控制者处的所有同意并销毁本机上的相关数据；删除请求会反复发送，直到控制者逐一签名确认。\n此后除非您自行重新开通，不会再与其达成任何同意。",
		},
		example: T{"  scruple account close\n  scruple account close --controller payments --yes", "  scruple account close\n  scruple account close --controller payments --yes"},
		run: func(cmd *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			if !yes {
				if !a.terminal() {
					return a.usage(T{"closing needs a yes: this is no terminal to ask at, so use --yes", "注销需要确认：当前不是可供询问的终端，请使用 --yes"})
				}
				if !a.confirm(T{"The account will be closed and everything in it erased for good. Type yes to go on: ", "账号将被注销，其中的全部内容将被永久删除。输入 yes 继续："}) {
					return refusal{a.t(T{"nothing has been closed", "未注销任何账号"}), ""}
				}
			}
			list, err := client.CloseAccount(cmd.Context(), r)
			if err != nil {
				return err
			}
			return a.print(list, func(w io.Writer) { a.writeAccounts(w, list) })
		},
	})
	cmd.Flags().BoolVar(&yes, "yes", false, a.t(T{"do not ask again", "不再询问"}))
	a.accountFlags(cmd, &r)
	return cmd
}

func accountReopenCommand(a *app) *cobra.Command {
	var r control.AccountRequest
	cmd := a.command(command{
		use:   "reopen [--controller NAME]",
		short: T{"begin anew where an account was closed", "在已注销的控制者处重新开始"},
		long: T{
			"Lets you agree to something at that controller again. It gives no consent and brings nothing back: each category is asked anew.",
			"使您可以再次与该控制者达成同意。这不代表任何同意，也不会恢复任何内容：每一类都会重新征求意见。",
		},
		example: T{"  scruple account reopen --controller payments", "  scruple account reopen --controller payments"},
		run: func(cmd *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			list, err := client.ReopenAccount(cmd.Context(), r)
			if err != nil {
				return err
			}
			return a.print(list, func(w io.Writer) { a.writeAccounts(w, list) })
		},
	})
	a.accountFlags(cmd, &r)
	return cmd
}
