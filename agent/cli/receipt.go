package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func receiptCommand(a *app) *cobra.Command {
	cmd := a.command(command{
		use:   "receipt",
		short: T{"your copies of the consent records, and what the controllers have signed", "您的同意凭证，以及控制者签名的回执"},
		long: T{
			"A consent receipt is your copy of what was recorded: what you were shown and what you answered. Anybody can verify\nit with nothing but the file and the public key of your ledger, without this device and without asking us.",
			"同意凭证是记录的副本：向您展示了什么，您如何作答。任何人只需凭证文件和您账本的公钥即可核验，\n无需本设备，也无需询问任何人。",
		},
		example: T{
			"  scruple receipt export steps/compare --out steps.json\n  scruple receipt verify steps.json\n  scruple receipt list",
			"  scruple receipt export steps/compare --out steps.json\n  scruple receipt verify steps.json\n  scruple receipt list",
		},
	})
	cmd.AddCommand(receiptExportCommand(a), receiptVerifyCommand(a), a.command(command{
		use:   "list",
		short: T{"everything that the controllers have signed, oldest first", "列出控制者签名的全部回执，最早的在前"},
		long: T{
			"Lists what the controllers have signed: that they know of a consent, of its withdrawal, that they have erased.\nWith --json each signed note is there in full, to be checked without this program.",
			"列出控制者签名的内容：已知悉某项同意、其撤回，或已完成删除。\n使用 --json 可得到完整的签名文本，无需本程序即可核验。",
		},
		example: T{"  scruple receipt list\n  scruple receipt list --json", "  scruple receipt list\n  scruple receipt list --json"},
		run: func(cmd *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			list, err := client.Receipts(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(list, func(w io.Writer) {
				if len(list) == 0 {
					fmt.Fprintln(w, a.t(T{"There is no receipt yet.", "尚无回执。"}))
					return
				}
				rows := [][]string{{
					a.t(T{"TIME", "时间"}), a.t(T{"BY", "签名者"}), a.t(T{"FOR", "用于"}), a.t(T{"WHAT", "内容"}), a.t(T{"ERASED", "已删除"}),
				}}
				for _, r := range list {
					rows = append(rows, []string{when(r.Time), r.Controller, orElse(r.Tuple, r.Consent), r.Kind, fmt.Sprint(r.Erased)})
				}
				table(w, rows)
			})
		},
	}))
	return cmd
}
