package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"
)

func completionCommand(a *app) *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	cmd := a.command(command{
		use:   "completion bash|zsh|fish|powershell",
		short: T{"completion for your shell, also of category/purpose names", "为您的 shell 生成补全脚本，可补全“类别/用途”"},
		long: T{
			"Prints a script that completes commands, flags and, asking the daemon, the names of categories and purposes.",
			"输出补全脚本，可补全命令、选项，并向后台服务查询“类别/用途”的名称。",
		},
		example: T{"  source <(scruple completion bash)\n  scruple completion fish > ~/.config/fish/completions/scruple.fish", "  source <(scruple completion bash)\n  scruple completion fish > ~/.config/fish/completions/scruple.fish"},
		args:    oneName,
		run: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.Stdout, true)
			case "zsh":
				return root.GenZshCompletion(a.Stdout)
			case "fish":
				return root.GenFishCompletion(a.Stdout, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(a.Stdout)
			}
			return a.usage(T{"the shells are bash, zsh, fish and powershell", "支持的 shell 为 bash、zsh、fish 和 powershell"})
		},
	})
	cmd.ValidArgs = shells
	cmd.ValidArgsFunction = cobra.FixedCompletions(shells, cobra.ShellCompDirectiveNoFileComp)
	return cmd
}

// completeTuple asks the daemon for the names, with what each is about; without a daemon there are none.
func (a *app) completeTuple(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	a.flags = cmd.Flags()
	client, err := a.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
	defer cancel()
	list, err := client.Consents(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []cobra.Completion
	for _, c := range list {
		names = append(names, cobra.CompletionWithDesc(c.Tuple, c.Category.In(a.lang)))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
