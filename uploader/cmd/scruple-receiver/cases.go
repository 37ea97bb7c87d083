package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// caseLine is a case in a list.
type caseLine struct {
	receiver.Case
	Overdue bool `json:"overdue"`
}

func (a *app) casesCommand() *cobra.Command {
	say := a.say
	c := &cobra.Command{
		Use:   "cases",
		Short: say("What people ask for under their rights, and the answers", "当事人依其权利提出的请求及答复"),
		Long: say(`Access, correction, erasure and closing an account are done at once; complaints wait for an answer, which is due within thirty days
of the receipt. Reading a case and answering it are recorded. The answer is signed with the controller's key and fetched by the person.`,
			`查阅、更正、删除和注销会立即处理；投诉须由人答复，期限为出具回执后三十天内。阅读和答复都会被记录。
答复以控制者的密钥签名，由当事人取回。`),
		Example: `  scruple-receiver cases list --dir ./receiver
  scruple-receiver cases show ID --dir ./receiver
  scruple-receiver cases answer ID --dir ./receiver --reason justified --text "..."`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usage(errors.New(say("a command is needed: list, show or answer", "需要子命令：list、show 或 answer")), say("see: scruple-receiver cases --help", "参见：scruple-receiver cases --help"))
		},
	}
	c.AddCommand(a.casesListCommand(), a.casesShowCommand(), a.casesAnswerCommand())
	return c
}

func (a *app) casesListCommand() *cobra.Command {
	var open, overdue bool
	c := &cobra.Command{
		Use:     "list",
		Short:   a.say("The cases, those that wait for an answer first; nothing is opened", "列出请求，待答复的在前；不打开任何内容"),
		Example: "  scruple-receiver cases list --dir ./receiver\n  scruple-receiver cases list --dir ./receiver --overdue --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(func(s *receiver.Store) error {
				list, err := s.Cases(cmd.Context())
				if err != nil {
					return err
				}
				lines, now := []caseLine{}, time.Now()
				for _, one := range list {
					if late := one.Overdue(now); (late || !overdue) && !(open && one.State.Final()) {
						lines = append(lines, caseLine{one, late})
					}
				}
				return a.writeCases(lines)
			})
		},
	}
	c.Flags().BoolVar(&open, "open", false, a.say("only those without a final answer", "仅列出尚无最终答复的"))
	c.Flags().BoolVar(&overdue, "overdue", false, a.say("only those whose time is over", "仅列出已超过期限的"))
	return c
}

func (a *app) writeCases(lines []caseLine) error {
	if a.json {
		return a.writeJSON(lines)
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, a.say("CASE\tKIND\tPURPOSE\tRECEIVED\tDUE\tSTATE\tREASON", "编号\t类型\t用途\t收到\t期限\t状态\t理由"))
	for _, c := range lines {
		state := string(c.State)
		if c.Overdue {
			state += a.say(" (overdue)", "（已逾期）")
		}
		fmt.Fprintf(w, "%s\t%s\t%s/%s\t%s\t%s\t%s\t%s\n", c.ID, c.Kind, c.Category, c.Purpose, c.Received.Format(time.DateOnly), c.Due.Format(time.DateOnly), state, c.Reason)
	}
	return w.Flush()
}

func (a *app) casesShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "show ID",
		Short:   a.say("One case with the person's words and the latest answer; this is recorded", "显示一个请求的原文和最新答复；此操作会被记录"),
		Example: "  scruple-receiver cases show ID --dir ./receiver",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := a.caseID(args[0])
			if err != nil {
				return err
			}
			return a.with(func(s *receiver.Store) error {
				c, err := s.Case(cmd.Context(), id, accessor("cases show"))
				if err != nil {
					return a.explainCase(err)
				}
				if a.json {
					return a.writeJSON(c)
				}
				if c.Text != "" {
					fmt.Fprintln(a.out, c.Text)
					fmt.Fprintln(a.out)
				}
				_, err = fmt.Fprint(a.out, c.Answer)
				return err
			})
		},
	}
}

func (a *app) casesAnswerCommand() *cobra.Command {
	var reason, text string
	c := &cobra.Command{
		Use:   "answer ID --reason REASON --text TEXT",
		Short: a.say("Give the final answer to a complaint, signed", "对投诉作出签名的最终答复"),
		Long: a.say("Gives the final answer to a complaint. Reasons: justified, unfounded, legal-obligation.",
			"对投诉作出最终答复。理由：justified（成立）、unfounded（不成立）、legal-obligation（法定义务）。"),
		Example: `  scruple-receiver cases answer ID --dir ./receiver --reason justified --text "We have corrected it."`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := a.caseID(args[0])
			if err != nil {
				return err
			}
			return a.with(func(s *receiver.Store) error {
				signer, _, err := receiver.ReadNoteKey(filepath.Join(a.dir, receiver.ControllerKey))
				if err != nil {
					return err
				}
				answered, err := s.AnswerCase(cmd.Context(), id, receiver.CaseReply{Reason: wire.CaseReason(reason), Text: text}, signer, accessor("cases answer"))
				if err != nil {
					return a.explainCase(err)
				}
				return a.writeCases([]caseLine{{Case: answered}})
			})
		},
	}
	reasons := []string{string(wire.ReasonJustified), string(wire.ReasonUnfounded), string(wire.ReasonLegal)}
	c.Flags().StringVar(&reason, "reason", "", a.say("justified, unfounded or legal-obligation", "justified、unfounded 或 legal-obligation"))
	c.Flags().StringVar(&text, "text", "", a.say("the words of the answer", "答复的文字"))
	c.PreRunE = func(*cobra.Command, []string) error {
		if !slices.Contains(reasons, reason) || strings.TrimSpace(text) == "" {
			return usage(errors.New(a.say("--reason and --text are needed", "需要 --reason 和 --text")), a.say("see: scruple-receiver cases answer --help", "参见：scruple-receiver cases answer --help"))
		}
		return nil
	}
	_ = c.RegisterFlagCompletionFunc("reason", cobra.FixedCompletions(reasons, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func (a *app) caseID(text string) (wire.UUID, error) {
	id, err := wire.ParseUUID(text)
	if err != nil {
		return id, usage(errors.New(a.say("the id of a case is a UUID", "请求编号应为 UUID")), a.say("scruple-receiver cases list shows them", "scruple-receiver cases list 列出全部编号"))
	}
	return id, nil
}

func (a *app) explainCase(err error) error {
	switch {
	case errors.Is(err, receiver.ErrNoCase):
		return failed(errors.New(a.say("there is no case with this id", "没有此编号的请求")), a.say("scruple-receiver cases list shows them", "scruple-receiver cases list 列出全部编号"))
	case errors.Is(err, receiver.ErrCaseFinal):
		return refused(errors.New(a.say("the case has its final answer already", "该请求已有最终答复")), "")
	case errors.Is(err, receiver.ErrCaseAnswer):
		return refused(errors.New(a.say("this cannot be an answer", "此内容不能作为答复")),
			a.say("at most 8192 bytes of plain text", "须为纯文本，不超过 8192 字节"))
	}
	return err
}
