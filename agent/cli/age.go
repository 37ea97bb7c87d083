package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/agent/control"
)

// bandWords are the age bands.
var bandWords = map[string]T{
	"":         {"not declared, which counts as a minor", "未声明，视为未成年人"},
	"under-14": {"under 14", "未满 14 周岁"},
	"14-17":    {"14 to 17", "14 至 17 周岁"},
	"18+":      {"18 or older", "年满 18 周岁"},
}

var noBand = T{"the age bands are under-14, 14-17 and 18+", "年龄段为 under-14、14-17 和 18+"}

func ageCommand(a *app) *cobra.Command {
	cmd := a.command(command{
		use:   "age",
		short: T{"your age band, which decides whether a guardian has to approve", "您的年龄段，决定是否须经监护人批准"},
		long: T{
			"There are three bands, under-14, 14-17 and 18+; no date of birth is asked for. Until one is declared you count as a\nminor. Minors need their guardian's approval of the policy and of each consent; refusing, taking back and complaining\nneed nobody.",
			"共有三个年龄段：under-14、14-17 和 18+，不询问出生日期。声明之前视为未成年人。\n未成年人接受政策和给出每项同意均须经监护人批准；拒绝、撤回和投诉无需任何人。",
		},
		example: T{"  scruple age show\n  scruple age declare 18+", "  scruple age show\n  scruple age declare 18+"},
	})
	cmd.AddCommand(a.command(command{
		use:     "show",
		short:   T{"what is declared, and what waits for the guardian or for you", "已声明的年龄段，以及等待监护人或您答复的事项"},
		long:    T{"Shows the declared age band, whether a guardian key is enrolled, and the open questions.", "显示已声明的年龄段、是否登记了监护人密钥，以及未决的请求。"},
		example: T{"  scruple age show\n  scruple age show --json", "  scruple age show\n  scruple age show --json"},
		run: func(cmd *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			age, err := client.Age(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(age, func(w io.Writer) { a.writeAge(w, age) })
		},
	}), a.command(command{
		use:   "declare BAND",
		short: T{"declare your age band: under-14, 14-17 or 18+", "声明您的年龄段：under-14、14-17 或 18+"},
		long: T{
			"The first declaration is your own; 18+ needs the guardian once one is enrolled. A more protected band can be declared at\nany time; a less protected one needs the guardian: scruple guardian request age --band BAND. Consents that no\nguardian has approved stop counting for a minor.",
			"首次声明由您本人作出，但已登记监护人后声明 18+ 须经其批准。\n随时可以改为保护程度更高的年龄段；改为保护程度较低的须经监护人批准：scruple guardian request age --band 年龄段。\n对未成年人，未经监护人批准的同意不再有效。",
		},
		example: T{"  scruple age declare 18+\n  scruple age declare under-14", "  scruple age declare 18+\n  scruple age declare under-14"},
		args:    oneName,
		run: func(cmd *cobra.Command, args []string) error {
			if _, ok := bandWords[args[0]]; !ok || args[0] == "" {
				return a.usage(noBand)
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			age, err := client.DeclareAge(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.print(age, func(w io.Writer) { a.writeAge(w, age) })
		},
	}))
	return cmd
}

func (a *app) band(b string) string {
	if words, ok := bandWords[b]; ok {
		return a.t(words)
	}
	return b
}

func (a *app) writeAge(w io.Writer, age control.Age) {
	rows := [][]string{{a.t(T{"age band", "年龄段"}), a.band(age.Band)}}
	if age.Minor {
		guardian := a.t(T{"no key is enrolled: scruple guardian enroll KEY", "未登记密钥：scruple guardian enroll 密钥"})
		if age.Guardian != "" {
			guardian = fmt.Sprintf(a.t(T{"key enrolled %s", "密钥登记于 %s"}), when(age.GuardianSince))
		}
		policy := a.t(T{"not accepted by the guardian: scruple guardian request policy", "监护人尚未接受：scruple guardian request policy"})
		if age.PolicyAccepted {
			policy = a.t(T{"accepted by the guardian", "监护人已接受"})
		}
		rows = append(rows, []string{a.t(T{"guardian", "监护人"}), guardian}, []string{a.t(T{"policy", "政策"}), policy})
	}
	for _, q := range age.Questions {
		rows = append(rows, []string{a.t(T{"waits for the guardian", "等待监护人"}), a.question(q)})
	}
	for _, q := range age.Approved {
		rows = append(rows, []string{a.t(T{"approved, waits for you", "已批准，等待您"}), a.question(q)})
	}
	table(w, rows)
}

// question says in one line what a guardian is asked.
func (a *app) question(q control.GuardianQuestion) string {
	what := map[string]string{
		"grant": fmt.Sprintf(a.t(T{"agreeing to %s", "同意 %s"}), q.Tuple), "policy": fmt.Sprintf(a.t(T{"accepting version %d of the policy", "接受第 %d 版政策"}), q.Policy),
		"age": fmt.Sprintf(a.t(T{"moving to the age band: %s", "改为年龄段：%s"}), a.band(q.Band)), "key": a.t(T{"another guardian key", "更换监护人密钥"}),
		"withdraw": fmt.Sprintf(a.t(T{"taking back %s", "撤回 %s"}), q.Tuple),
	}[q.Kind]
	return fmt.Sprintf(a.t(T{"%s, until %s", "%s，有效期至 %s"}), what, when(q.Expires))
}
