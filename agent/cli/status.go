package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/agent/control"
)

func statusCommand(a *app) *cobra.Command {
	return a.command(command{
		use:   "status",
		short: T{"what is collected, what is not, and why", "哪些数据在收集、哪些没有，以及原因"},
		long: T{
			"Shows every category of the policy with its purpose, on or off and why, which features are off because of\nthat, what waits to be sent, and whatever of a withdrawal is not finished.",
			"显示政策中的每个类别和用途：开启还是关闭、原因、因此停用的功能、等待发送的内容，\n以及尚未完成的撤回步骤。",
		},
		example: T{"  scruple status\n  scruple status --json", "  scruple status\n  scruple status --json"},
		run: func(cmd *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			s, err := client.Status(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(s, func(w io.Writer) { a.writeStatus(w, s) })
		},
	})
}

func (a *app) writeStatus(w io.Writer, s control.Status) {
	signed := a.t(T{"signed", "已签名"})
	if !s.Policy.Signed {
		signed = a.t(T{"UNSIGNED, for development only", "未签名，仅供开发"})
	}
	running := a.t(T{"running", "运行中"})
	if s.State != "running" {
		running = a.t(T{"stopping", "正在停止"})
	}
	table(w, [][]string{
		{"scruple " + s.Version, fmt.Sprintf(a.t(T{"%s since %s, process %d, for %s", "%s，自 %s 起，进程 %d，用户 %s"}), running, when(s.Started), s.PID, s.Subject)},
		{a.t(T{"policy", "政策"}), fmt.Sprintf(a.t(T{"%s version %d (%s)", "%s 第 %d 版（%s）"}), s.Policy.ID, s.Policy.Version, signed)},
		{a.t(T{"kernel", "内核"}), join(a.sep(), a.kernel(s.Enforcement.Kernel), a.said(s.Enforcement.Detail))},
		{a.t(T{"clock", "时钟"}), a.clock(s.Clock)},
		{a.t(T{"age band", "年龄段"}), a.band(s.Age.Band)},
	})

	fmt.Fprintln(w)
	rows := [][]string{{
		a.t(T{"CATEGORY/PURPOSE", "类别/用途"}), "", a.t(T{"WAITING HERE", "本机待发"}), a.t(T{"LAST SENT", "最近发送"}), a.t(T{"WHY", "原因"}),
	}}
	for _, t := range s.Tuples {
		on := a.t(T{"off", "关"})
		if t.Status == control.StatusGiven && t.NotInForce == "" {
			on = a.t(T{"on", "开"})
		}
		here := "-"
		if t.Spool.Reports > 0 {
			here = fmt.Sprintf("%d, %s", t.Spool.Reports, size(t.Spool.Bytes))
		}
		rows = append(rows, []string{t.Tuple, on, here, when(t.Sent), a.why(t)})
	}
	table(w, rows)

	a.writeBooks(w, s)
	a.writeFeatures(w, s)
	a.writeTroubles(w, s)
}

func (a *app) clock(c control.Clock) string {
	if !c.Trouble {
		return a.t(T{"fine", "正常"})
	}
	return fmt.Sprintf(a.t(T{"behind: %s, but %s has been seen", "落后：现在 %s，但已记录过 %s"}), when(c.Now), when(c.HighWater))
}

// why says in one cell why a tuple is off, or what comes next.
func (a *app) why(t control.Tuple) string {
	var next string
	switch {
	case t.Reason != "":
		detail := a.said(t.Detail)
		if t.Reason == control.ReasonSourceAbsent || t.Reason == control.ReasonSourceError {
			detail = a.trouble(t.Detail)
		}
		next = join(a.sep(), a.reason(t.Reason), detail)
		if !t.Due.IsZero() {
			next = join(a.list(), next, fmt.Sprintf(a.t(T{"again at %s", "将于 %s 重试"}), when(t.Due)))
		}
	case !t.Session.IsZero():
		next = fmt.Sprintf(a.t(T{"use session until %s", "使用会话至 %s"}), when(t.Session))
	case !t.Due.IsZero():
		next = fmt.Sprintf(a.t(T{"next reading %s", "下次读取 %s"}), when(t.Due))
	}
	var dropped string
	if len(t.Spool.Dropped) > 0 {
		dropped = fmt.Sprintf(a.t(T{"dropped: %s", "已丢弃：%s"}), counts(t.Spool.Dropped))
	}
	var parked string
	if t.Spool.Parked > 0 {
		parked = fmt.Sprintf(a.t(T{"%d kept back: made under earlier terms, not sent", "%d 条留存不发：依据先前的条款生成"}), t.Spool.Parked)
	}
	return join(a.list(), next, a.laneTrouble(t.Lane), parked, dropped)
}

func (a *app) laneTrouble(l control.Lane) string {
	if l.LastError == "" {
		return ""
	}
	if l.NextTry.IsZero() {
		return fmt.Sprintf(a.t(T{"sending failed: %s", "发送失败：%s"}), a.said(l.LastError))
	}
	return fmt.Sprintf(a.t(T{"sending failed: %s, again at %s", "发送失败：%s，将于 %s 重试"}), a.said(l.LastError), when(l.NextTry))
}

func (a *app) writeFeatures(w io.Writer, s control.Status) {
	status := map[string]control.Tuple{}
	for _, t := range s.Tuples {
		status[t.Tuple] = t
	}
	var rows [][]string
	for _, f := range s.Features {
		if f.On {
			continue
		}
		var because []string
		for _, name := range f.Off {
			because = append(because, fmt.Sprintf(a.t(T{"%s (%s)", "%s（%s）"}), name, a.state(status[name].ConsentState)))
		}
		rows = append(rows, []string{"  " + f.Name.In(a.lang), strings.Join(because, ", ")})
	}
	if len(rows) > 0 {
		fmt.Fprintf(w, "\n%s\n", a.t(T{"Features that are off, and the missing consent:", "已停用的功能及所缺的同意："}))
		table(w, rows)
	}
}

func (a *app) writeTroubles(w io.Writer, s control.Status) {
	if s.PolicyRefused != "" {
		fmt.Fprintf(w, "\n%s\n", fmt.Sprintf(a.t(T{
			"The policy's files were read again and not taken over; version %d stays in force. The daemon will not start with them: %s",
			"重新读取的政策文件未被采用，第 %d 版继续有效。后台服务无法以这些文件启动：%s",
		}), s.Policy.Version, a.said(s.PolicyRefused)))
	}
	if len(s.Notices.Unread) > 0 {
		fmt.Fprintf(w, "\n%s\n", fmt.Sprintf(a.t(T{
			"Announcements that you have not read: %s (scruple notices show ID)", "您尚未阅读的公告：%s（scruple notices show 编号）",
		}), strings.Join(s.Notices.Unread, ", ")))
	}
	if len(s.Notices.Stopped) > 0 {
		fmt.Fprintf(w, "\n%s\n", fmt.Sprintf(a.t(T{
			"Nothing but consent messages is sent, after a breach, until you decide: %s (scruple notices list)",
			"发生数据泄露，在您作出决定之前除同意消息外不发送任何数据：%s（scruple notices list）",
		}), strings.Join(s.Notices.Stopped, ", ")))
	}
	var rows [][]string
	for _, l := range s.Lanes {
		if l.Waiting > 0 || l.LastError != "" {
			rows = append(rows, []string{
				"  " + l.Controller, fmt.Sprintf(a.t(T{"%d waiting", "%d 条待发"}), l.Waiting), a.laneTrouble(l),
			})
		}
	}
	if len(rows) > 0 {
		fmt.Fprintf(w, "\n%s\n", a.t(T{"Consent messages to controllers:", "发给控制者的同意消息："}))
		table(w, rows)
	}
	rows = nil
	for _, step := range s.Unfinished {
		rows = append(rows, []string{"  " + step.Tuple, a.said(step.Step), a.said(step.Error)})
	}
	if len(rows) > 0 {
		fmt.Fprintf(w, "\n%s\n", a.t(T{"Steps of a withdrawal that are repeated until they succeed:", "尚未完成、将反复重试的撤回步骤："}))
		table(w, rows)
	}
}
