package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/agent/policy"
)

func policyDiffCommand(a *app) *cobra.Command {
	return a.command(command{
		use:   "diff [OLD] NEW",
		short: T{"what differs, and what has to be asked again", "比较差异，以及需要重新征求同意的内容"},
		long: T{
			"Compares two policy files, or the policy in force with one file, in plain words. What is unchanged goes on, and so\ndoes what provably asks for less; for anything else a consent given before does not count.",
			"以通俗文字比较两个政策文件，或现行政策与一个文件。未变更的部分继续有效，\n可证明范围缩小的部分也继续有效；其余有差异的部分，此前的同意不再适用。",
		},
		example: T{"  scruple policy diff new.yaml\n  scruple policy diff old.yaml new.yaml --json", "  scruple policy diff new.yaml\n  scruple policy diff old.yaml new.yaml --json"},
		args:    oneOrTwoNames,
		run: func(cmd *cobra.Command, args []string) error {
			var (
				older *policy.Document
				err   error
			)
			if len(args) == 2 {
				older, _, err = policyFile(args[0])
			} else {
				older, _, err = a.inForce(cmd.Context())
			}
			if err != nil {
				return a.policyError(err)
			}
			newer, _, err := policyFile(args[len(args)-1])
			if err != nil {
				return a.policyError(err)
			}
			changes := policy.Diff(older, newer)
			if changes == nil {
				changes = []policy.Change{}
			}
			return a.print(changes, func(w io.Writer) {
				if len(changes) == 0 {
					fmt.Fprintln(w, a.t(T{"The policies say the same.", "两份政策内容相同。"}))
				}
				for _, c := range changes {
					a.writeChange(w, c)
				}
			})
		},
	})
}

func (a *app) writeChange(w io.Writer, c policy.Change) {
	again := ""
	switch {
	case c.Category == "" || c.Kind == policy.Removed:
	case c.Kind == policy.Added:
		again = a.t(T{" (off until it is agreed to)", "（同意之前不启用）"})
	case c.Narrower:
		again = a.t(T{" (asks for less: consents go on, under the new rules)", "（范围缩小：此前的同意继续有效，按新规则执行）"})
	case c.Subtree:
		again = a.t(T{" (to be asked again)", "（需重新征求同意）"})
	default:
		again = a.t(T{" (consents go on)", "（此前的同意继续有效）"})
	}
	tuple := ""
	if c.Category != "" {
		tuple = c.Subject()
	}
	fmt.Fprintf(w, a.t(T{"%s: %s%s\n", "%s：%s%s\n"}), a.changeSubject(c.Subject(), tuple), a.changeKind(string(c.Kind)), again)
	for _, d := range c.Details {
		a.writeDetail(w, d.Field, d.Old, d.New)
	}
}

func (a *app) changeKind(kind string) string {
	return a.t(map[string]T{
		string(policy.Added):   {"new", "新增"},
		string(policy.Removed): {"gone", "移除"},
		string(policy.Changed): {"changed", "变更"},
	}[kind])
}

// changeSubject says what a change is about: a tuple, a controller, or the document.
func (a *app) changeSubject(subject, tuple string) string {
	id, isController := strings.CutPrefix(subject, "controller ")
	switch {
	case tuple != "":
		return tuple
	case isController:
		return fmt.Sprintf(a.t(T{"controller %s", "控制者 %s"}), id)
	}
	return a.t(T{"the document", "文件本身"})
}

func (a *app) writeDetail(w io.Writer, field, before, after string) {
	line := strings.NewReplacer("\n", a.list())
	field = a.fieldName(field)
	switch {
	case before == "":
		fmt.Fprintf(w, a.t(T{"  %s: new: %s\n", "  %s：新增：%s\n"}), field, line.Replace(after))
	case after == "":
		fmt.Fprintf(w, a.t(T{"  %s: no longer: %s\n", "  %s：移除：%s\n"}), field, line.Replace(before))
	default:
		fmt.Fprintf(w, a.t(T{"  %s: %s -> %s\n", "  %s：%s → %s\n"}), field, line.Replace(before), line.Replace(after))
	}
}
