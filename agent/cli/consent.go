package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/agent/control"
)

func consentCommand(a *app) *cobra.Command {
	cmd := a.command(command{
		use:   "consent",
		short: T{"agree, refuse, withdraw: one category and purpose at a time", "同意、拒绝、撤回：每次一项类别和用途"},
		long: T{
			"Everything is asked by itself, nothing is agreed to by silence, and every answer can be taken back.\nA refusal switches off only the feature that needs it.",
			"每一项都单独征求意见，沉默不等于同意，任何答复都可以收回。\n拒绝某一项只会停用需要它的功能。",
		},
		example: T{
			"  scruple consent list\n  scruple consent show location/nearby\n  scruple consent give location/nearby\n  scruple consent withdraw location/nearby --clear",
			"  scruple consent list\n  scruple consent show location/nearby\n  scruple consent give location/nearby\n  scruple consent withdraw location/nearby --clear",
		},
	})
	cmd.AddCommand(
		consentListCommand(a), consentShowCommand(a), consentGiveCommand(a), consentRefuseCommand(a), consentDeferCommand(a),
		consentRequestCommand(a), consentWithdrawCommand(a),
	)
	return cmd
}

func consentListCommand(a *app) *cobra.Command {
	return a.command(command{
		use:     "list",
		short:   T{"every category and purpose with its state", "列出全部类别和用途及其状态"},
		example: T{"  scruple consent list\n  scruple consent list --json", "  scruple consent list\n  scruple consent list --json"},
		run: func(cmd *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			list, err := client.Consents(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(list, func(w io.Writer) {
				rows := [][]string{{
					a.t(T{"CATEGORY/PURPOSE", "类别/用途"}), a.t(T{"STATE", "状态"}), a.t(T{"SINCE", "自"}), a.t(T{"UNTIL", "至"}),
					a.t(T{"RECEIVER", "接收方"}), "", a.t(T{"WHAT", "内容"}),
				}}
				for _, c := range list {
					sensitive := ""
					if c.Sensitive {
						sensitive = a.t(T{"sensitive", "敏感"})
					}
					rows = append(rows, []string{
						c.Tuple, a.state(c), when(c.Since), when(c.Expiry), c.Controller, sensitive, c.Category.In(a.lang),
					})
				}
				table(w, rows)
			})
		},
	})
}

// answer runs a command whose answer is the new state of one tuple.
func (a *app) answer(ctx context.Context, done T, do func(*control.Client, context.Context) (control.ConsentState, error)) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	state, err := do(client, ctx)
	if err != nil {
		return err
	}
	return a.print(state, func(w io.Writer) { fmt.Fprintf(w, a.t(done)+"\n", state.Tuple) })
}

func consentRefuseCommand(a *app) *cobra.Command {
	return a.command(command{
		use:   "refuse CATEGORY/PURPOSE",
		short: T{"say no; only the feature that needs it is off", "拒绝；仅停用需要它的功能"},
		long: T{
			"Records your refusal. Applications may not ask again before the quiet period of the policy is over; you can\nchange your mind at any time.",
			"记录您的拒绝。在政策规定的静默期内，应用不得再次询问；您可以随时改变主意。",
		},
		example: T{"  scruple consent refuse steps/compare", "  scruple consent refuse steps/compare"},
		args:    oneTuple,
		run: func(cmd *cobra.Command, args []string) error {
			return a.answer(cmd.Context(), T{"%s: refused. Nothing is collected.", "%s：已拒绝，不会收集。"},
				func(c *control.Client, ctx context.Context) (control.ConsentState, error) {
					return c.Refuse(ctx, args[0])
				})
		},
	})
}

func consentDeferCommand(a *app) *cobra.Command {
	return a.command(command{
		use:     "defer CATEGORY/PURPOSE",
		short:   T{"answer later; until then it is a no", "稍后再答；在此之前视为不同意"},
		example: T{"  scruple consent defer steps/compare", "  scruple consent defer steps/compare"},
		args:    oneTuple,
		run: func(cmd *cobra.Command, args []string) error {
			return a.answer(cmd.Context(), T{"%s: to be answered later. Nothing is collected.", "%s：稍后再答，在此之前不会收集。"},
				func(c *control.Client, ctx context.Context) (control.ConsentState, error) {
					return c.Defer(ctx, args[0])
				})
		},
	})
}

func consentRequestCommand(a *app) *cobra.Command {
	return a.command(command{
		use:   "request CATEGORY/PURPOSE",
		short: T{"put the question, as an application does; answers nothing", "提出询问（如同应用所做），不作任何答复"},
		long: T{
			"Records that the question was put. It never answers: an answer comes through consent give or refuse.",
			"记录已提出询问。它不会作出答复：答复须通过 consent give 或 consent refuse。",
		},
		example: T{"  scruple consent request location/nearby", "  scruple consent request location/nearby"},
		args:    oneTuple,
		run: func(cmd *cobra.Command, args []string) error {
			return a.answer(cmd.Context(), T{"%s: asked. Nothing is collected until it is agreed to.", "%s：已询问，在同意之前不会收集。"},
				func(c *control.Client, ctx context.Context) (control.ConsentState, error) {
					return c.Request(ctx, args[0])
				})
		},
	})
}
