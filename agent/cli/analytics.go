package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/agent/control"
)

func analyticsCommand(a *app) *cobra.Command {
	return a.command(command{
		use:   "analytics",
		short: T{"statistics without identifier, and the privacy budget", "不带标识符的统计，以及隐私额度"},
		long: T{
			"Shows every purpose whose answers go through the analytics lane: one by one, without identifier, exchanged at random,\nat random times. The privacy loss (epsilon) of a week is bounded by a budget; what is spent stays spent, also after a\nwithdrawal. \"scruple egress preview CATEGORY/PURPOSE\" shows the next answer, \"scruple data show\" what is being counted.",
			"显示经统计通道发送的各个用途：每个答案单独发送、不带标识符、经过随机化、在随机的时间发出。每周的隐私损失（ε）\n以额度为限；已用的额度不会因撤回而恢复。“scruple egress preview 类别/用途”显示下一个答案，\n“scruple data show”显示正在计数的内容。",
		},
		example: T{"  scruple analytics\n  scruple analytics --json", "  scruple analytics\n  scruple analytics --json"},
		run: func(cmd *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			list, err := client.Analytics(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(list, func(w io.Writer) { a.writeAnalytics(w, list) })
		},
	})
}

func (a *app) writeAnalytics(w io.Writer, list []control.Analytics) {
	if len(list) == 0 {
		fmt.Fprintln(w, a.t(T{"The policy has no statistics.", "政策中没有统计用途。"}))
		return
	}
	rows := [][]string{{
		a.t(T{"CATEGORY/PURPOSE", "类别/用途"}), a.t(T{"CONSENT", "同意"}), a.t(T{"SPENT", "已用"}), a.t(T{"LEFT", "剩余"}),
		a.t(T{"EACH", "每个"}), a.t(T{"TRUE", "真实概率"}), a.t(T{"COUNTED UNTIL", "计数至"}), a.t(T{"WAITING", "待发"}), a.t(T{"NEXT", "下次"}),
	}}
	for _, x := range list {
		rows = append(rows, []string{
			x.Tuple, a.status(x.Status), x.Spent, x.Left, x.Epsilon, fmt.Sprintf("%.0f %%", 100*x.True), when(x.Until), fmt.Sprint(x.Waiting), when(x.Next),
		})
	}
	table(w, rows)
	fmt.Fprintf(w, a.t(T{"\nEpsilon of this week; the budget is whole again at %s.\n", "\n以上为本周的ε；额度将于 %s 恢复。\n"}), when(list[0].Renewed))
}
