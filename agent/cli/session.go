package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

func sessionCommand(a *app) *cobra.Command {
	cmd := a.command(command{
		use:   "session",
		short: T{"the time during which a feature is in use", "功能的使用时段"},
		long: T{
			"Some sources, such as location, are read only while the feature that needs them is in use. An application opens\nsuch a session; it ends by itself.",
			"某些数据来源（如位置）仅在使用相应功能时读取。由应用打开会话，会话会自行结束。",
		},
		example: T{"  scruple session open location/nearby --for 10m\n  scruple session close location/nearby", "  scruple session open location/nearby --for 10m\n  scruple session close location/nearby"},
	})
	cmd.AddCommand(sessionOpenCommand(a), sessionCloseCommand(a))
	return cmd
}

func sessionOpenCommand(a *app) *cobra.Command {
	var d time.Duration
	cmd := a.command(command{
		use:     "open CATEGORY/PURPOSE [--for DURATION]",
		short:   T{"open a use session; it ends by itself", "打开使用会话，会自行结束"},
		example: T{"  scruple session open location/nearby --for 10m", "  scruple session open location/nearby --for 10m"},
		args:    oneTuple,
		run: func(cmd *cobra.Command, args []string) error {
			if d < 0 {
				return a.usage(T{"--for: below 0", "--for：不能小于 0"})
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			s, err := client.OpenSession(cmd.Context(), args[0], d)
			if err != nil {
				return err
			}
			return a.print(s, func(w io.Writer) {
				fmt.Fprintf(w, a.t(T{"%s: open until %s\n", "%s：开放至 %s\n"}), s.Tuple, when(s.Until))
			})
		},
	})
	cmd.Flags().DurationVar(&d, "for", 0, a.t(T{"how long, a `DURATION` such as 10m; the longest allowed when left out", "时长 `DURATION`，如 10m；省略则为允许的最长时间"}))
	return cmd
}

func sessionCloseCommand(a *app) *cobra.Command {
	return a.command(command{
		use:     "close CATEGORY/PURPOSE",
		short:   T{"end a use session", "结束使用会话"},
		example: T{"  scruple session close location/nearby", "  scruple session close location/nearby"},
		args:    oneTuple,
		run: func(cmd *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			if err := client.CloseSession(cmd.Context(), args[0]); err != nil {
				return err
			}
			return a.print(struct {
				Tuple string `json:"tuple"`
			}{args[0]}, func(w io.Writer) {
				fmt.Fprintf(w, a.t(T{"%s: the session has ended\n", "%s：会话已结束\n"}), args[0])
			})
		},
	})
}
