package cli

import (
	"github.com/spf13/cobra"
)

func sensorsCommand(a *app) *cobra.Command {
	cmd := a.command(command{
		use:   "sensors",
		short: T{"your own recordings, read for you alone", "只为您本人读取传感器记录"},
		long: T{
			"Reads recordings of sensors as the agent would read the sensors, and answers on this terminal alone: no daemon, no\nconsent, and nothing is kept or sent.",
			"按代理读取传感器的方式读取传感器记录，结果只显示在本终端：不需要后台服务和同意，\n不保存也不发送任何内容。",
		},
		example: T{"  scruple sensors steps walk.csv\n  zcat walk.csv.gz | scruple sensors steps - --json", "  scruple sensors steps walk.csv\n  zcat walk.csv.gz | scruple sensors steps - --json"},
	})
	cmd.AddCommand(sensorsStepsCommand(a))
	return cmd
}
