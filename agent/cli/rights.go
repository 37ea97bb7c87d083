package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/policy"
)

func rightsCommand(a *app) *cobra.Command {
	var page bool
	cmd := a.command(command{
		use:   "rights",
		short: T{"your rights, and the command for each", "您的权利及其对应的命令"},
		long: T{
			"Lists the rights that apply under the policy in force: what each covers, how it is used, and the controllers it is\naddressed to.",
			"列出现行政策下适用的各项权利：涵盖的内容、行使的方式以及所针对的控制者。",
		},
		example: T{"  scruple rights\n  scruple rights --html > rights.html", "  scruple rights\n  scruple rights --html > rights.html"},
		run: func(cmd *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			list, err := client.Rights(cmd.Context())
			if err != nil {
				return err
			}
			if page {
				return a.rightsPage(list)
			}
			return a.print(list, func(w io.Writer) { a.writeRights(w, list) })
		},
	})
	cmd.Flags().BoolVar(&page, "html", false, a.t(T{"as a page", "以网页格式输出"}))
	return cmd
}

// placesInChinese are the words of a command that stand for what a person fills in.
var placesInChinese = strings.NewReplacer(
	"CATEGORY", "类别", "PURPOSE", "用途", "FIELD=VALUE", "项目=值", "FILE", "文件", "NAME", "名称", "VALUE", "值", "TEXT", "文字", "ID", "编号",
)

func (a *app) writeRights(w io.Writer, list []control.Right) {
	for i, r := range list {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, a.t(T{"%s  %s (clause %s)\n", "%s  %s（第 %s 条）\n"}), r.ID, r.Name.In(a.lang), r.Clause)
		fmt.Fprintf(w, "  %s\n", r.Does.In(a.lang))
		for _, c := range r.Commands {
			if a.lang == string(policy.LangZH) {
				c = placesInChinese.Replace(c)
			}
			fmt.Fprintf(w, "    %s\n", c)
		}
		fmt.Fprintf(w, a.t(T{"  covers: %s\n", "  涵盖：%s\n"}), strings.Join(r.Covers, ", "))
		for _, c := range r.Contacts {
			fmt.Fprintf(w, a.t(T{"  addressed to: %s, %s\n", "  针对：%s，%s\n"}), c.Name.In(a.lang), c.Contact)
		}
	}
}

// caseStates, caseKinds and caseReasons are the words of the closed lists.
var (
	caseStates = map[string]T{
		"open": {"not confirmed yet", "控制者尚未确认"}, "received": {"received", "已收到"},
		"answered": {"answered", "已答复"}, "done": {"done", "已完成"}, "refused": {"refused", "被拒绝"},
	}
	caseKinds = map[string]T{
		"access": {"access", "查阅"}, "correction": {"correction", "更正"}, "erasure": {"erasure", "删除"}, "closure": {"closure", "注销"}, "complaint": {"complaint", "投诉"},
	}
	caseReasons = map[string]T{
		"fulfilled": {"as asked", "已按要求办理"}, "nothing-held": {"nothing of it was held", "未持有相关内容"},
		"immutable-kept":  {"done, but for what is immutable while the account exists", "已办理，账号存续期间不可删除的项目除外"},
		"immutable-field": {"it names a field that is immutable", "涉及不可更改的项目"}, "undeclared-field": {"it names a field that the policy does not declare", "涉及政策未声明的项目"},
		"invalid-value": {"a value is not allowed", "值不符合要求"}, "consent-ended": {"the consent is over", "同意已终止"},
		"not-correctable": {"what was measured is not corrected but erased", "测得的数据不更正，只能删除"}, "account-closed": {"the account was closed", "账号已注销"},
		"justified": {"justified", "成立"}, "unfounded": {"unfounded", "不成立"}, "legal-obligation": {"a legal obligation stands against it", "存在法定义务"},
	}
)

func (a *app) word(list map[string]T, s string) string {
	if words, ok := list[s]; ok {
		return a.t(words)
	}
	return s
}

// caseState is what a list says of a case.
func (a *app) caseState(c control.Case) string {
	if c.Problem != "" {
		return a.said(c.Problem)
	}
	s := a.word(caseStates, c.State)
	if c.Overdue {
		s += a.t(T{", OVERDUE", "，已逾期"})
	}
	if c.Reason != "" {
		s += a.t(T{": ", "："}) + a.word(caseReasons, c.Reason)
	}
	return s
}

func (a *app) writeCases(w io.Writer, list []control.Case) {
	if len(list) == 0 {
		fmt.Fprintln(w, a.t(T{"You have not asked for anything.", "您尚未提出任何请求。"}))
		return
	}
	rows := [][]string{{
		a.t(T{"CASE", "编号"}), a.t(T{"KIND", "类型"}), a.t(T{"CONTROLLER", "控制者"}), a.t(T{"ABOUT", "内容"}), a.t(T{"FILED", "提出"}),
		a.t(T{"DUE", "期限"}), a.t(T{"STATE", "状态"}),
	}}
	for _, c := range list {
		due := "-"
		if !c.Due.IsZero() {
			due = c.Due.Local().Format(time.DateOnly)
		}
		rows = append(rows, []string{
			c.ID, a.word(caseKinds, c.Kind), c.Controller, join(" ", c.Tuple, c.Item, strings.Join(c.Fields, ",")), when(c.Created), due, a.caseState(c),
		})
	}
	table(w, rows)
}

// writeCase shows one case whole.
func (a *app) writeCase(w io.Writer, c control.Case) {
	fmt.Fprintf(w, a.t(T{"case %s: %s to %s about %s\n", "请求 %s：%s，致 %s，关于 %s\n"}), c.ID, a.word(caseKinds, c.Kind), c.Controller, c.Tuple)
	fmt.Fprintf(w, a.t(T{"  state: %s\n", "  状态：%s\n"}), a.caseState(c))
	if c.Item != "" || len(c.Fields) > 0 {
		fmt.Fprintf(w, a.t(T{"  item and fields: %s\n", "  条目和项目：%s\n"}), join(" ", c.Item, strings.Join(c.Fields, ", ")))
	}
	if c.Kind != "complaint" {
		fmt.Fprintf(w, a.t(T{"  changed here: %d, at the controller: %d\n", "  本机处理：%d，控制者处理：%d\n"}), c.Here, c.There)
	}
	switch {
	case !c.Ended.IsZero():
		fmt.Fprintf(w, a.t(T{"  filed %s, ended %s\n", "  提出于 %s，结束于 %s\n"}), when(c.Created), when(c.Ended))
	case !c.Due.IsZero():
		fmt.Fprintf(w, a.t(T{"  filed %s, confirmed by the controller %s, to be answered by %s\n", "  提出于 %s，控制者确认于 %s，应于 %s 前答复\n"}), when(c.Created), when(c.Received), when(c.Due))
	default:
		fmt.Fprintf(w, a.t(T{"  filed %s; the thirty days begin when the controller has confirmed it\n", "  提出于 %s；三十天自控制者确认之时起算\n"}), when(c.Created))
	}
	quote(w, c.Text, "  > ")
	quote(w, c.Answer, "  < ")
}

func quote(w io.Writer, text, mark string) {
	if text == "" {
		return
	}
	for line := range strings.SplitSeq(text, "\n") {
		fmt.Fprintf(w, "%s%s\n", mark, visible(line))
	}
}
