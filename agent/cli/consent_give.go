package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func consentGiveCommand(a *app) *cobra.Command {
	var accept string
	cmd := a.command(command{
		use:   "give CATEGORY/PURPOSE [--accept HASH]",
		short: T{"read the notice and agree to it", "阅读告知书并表示同意"},
		long: T{
			"At a terminal it prints the notice and asks; only the word yes agrees. Elsewhere --accept takes the hash that\nscruple consent show printed, so that nothing is agreed to that was not shown. One category and purpose at a time.",
			"在终端中会显示告知书并询问，只有输入“同意”或 yes 才算同意。在其他场合，用 --accept 给出\nscruple consent show 显示的哈希值，因此不会同意未展示过的内容。每次只处理一项类别和用途。",
		},
		example: T{
			"  scruple consent give location/nearby\n  scruple consent give location/nearby --accept 6e1f...9c",
			"  scruple consent give location/nearby\n  scruple consent give location/nearby --accept 6e1f...9c",
		},
		args: oneTuple,
		run: func(cmd *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			tuple := args[0]
			if accept == "" {
				if !a.terminal() {
					return refusal{
						a.t(T{"nothing is agreed to without the notice: this is no terminal to ask at", "未展示告知书不能表示同意：当前不是可供询问的终端"}),
						fmt.Sprintf(a.t(T{"scruple consent show %s prints it, then give --accept HASH", "先用 scruple consent show %s 阅读，再用 give --accept HASH"}), tuple),
					}
				}
				n, err := client.Show(cmd.Context(), tuple, a.lang)
				if err != nil {
					return err
				}
				writeNotice(a.Stderr, n)
				fmt.Fprintln(a.Stderr)
				if !a.confirm(T{"Do you agree? Type yes to agree, anything else changes nothing: ", "您是否同意？输入“同意”或 yes 表示同意，其他输入不作任何改变："}) {
					return refusal{
						a.t(T{"not agreed: nothing has changed", "未同意：没有任何改变"}),
						fmt.Sprintf(a.t(T{"to record a no: scruple consent refuse %s; where you have agreed before: scruple consent withdraw %s", "如需记录拒绝：scruple consent refuse %s；此前已同意的：scruple consent withdraw %s"}), tuple, tuple),
					}
				}
				accept = n.SHA256
			}
			state, err := client.Give(cmd.Context(), tuple, a.lang, accept)
			if err != nil {
				return err
			}
			return a.print(state, func(w io.Writer) {
				fmt.Fprintf(w, a.t(T{"%s: agreed, until %s. Consent %s.\n", "%s：已同意，有效期至 %s。同意编号 %s。\n"}), state.Tuple, when(state.Expiry), state.Consent)
				fmt.Fprintf(w, a.t(T{"Take it back at any time: scruple consent withdraw %s\n", "可随时撤回：scruple consent withdraw %s\n"}), state.Tuple)
			})
		},
	})
	cmd.Flags().StringVar(&accept, "accept", "", a.t(T{"the `HASH` of the notice that scruple consent show printed", "scruple consent show 显示的告知书哈希值 `HASH`"}))
	return cmd
}
