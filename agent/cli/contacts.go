package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/agent/settings"
	"github.com/scruple-agent/scruple/hasher/canonical"
)

func contactsCommand(a *app) *cobra.Command {
	cmd := a.command(command{
		use:   "contacts",
		short: T{"your own address book, read for you alone", "只为您本人读取通讯录"},
		long: T{
			"Reads an address book and answers on this terminal alone: no daemon, no consent, and nothing is kept or sent.",
			"读取通讯录，结果只显示在本终端：不需要后台服务和同意，不保存也不发送任何内容。",
		},
		example: T{"  scruple contacts list contacts.vcf\n  scruple contacts list ~/contacts --json", "  scruple contacts list contacts.vcf\n  scruple contacts list ~/contacts --json"},
	})
	cmd.AddCommand(contactsListCommand(a))
	return cmd
}

// noRegion is where a telephone number is read that must have its country code.
const noRegion = "ZZ"

// regionFlag adds --region to a command and returns how its value is found: the flag, else the settings, if they
// can be read, else noRegion. These commands work without a settings file, so a fault in one does not stop them.
func (a *app) regionFlag(cmd *cobra.Command) func() (string, error) {
	name := settings.FlagName("region")
	flag := cmd.Flags().String(name, "", a.t(T{
		"`REGION` of telephone numbers without country code, such as CN; ZZ for none (default: the settings')",
		"无国家代码的电话号码所属地区 `REGION`，如 CN；ZZ 表示不指定（默认：取自设置）",
	}))
	a.complete(cmd, name, func() []string { return append(canonical.Regions(), noRegion) })
	return func() (string, error) {
		region := strings.ToUpper(*flag)
		if region == "" {
			if s, err := settings.Load(a.configFile, nil); err == nil {
				region = s.Region
			}
			return orElse(region, noRegion), nil
		}
		if region != noRegion && !canonical.ValidRegion(region) {
			return "", a.usage(T{"--%s: no such region; two letters such as CN, or ZZ for none", "--%s：没有这样的地区；应为两个字母，如 CN，或用 ZZ 表示不指定"}, name)
		}
		return region, nil
	}
}

// complete completes the value of a flag from a closed list.
func (a *app) complete(cmd *cobra.Command, flag string, values func() []string) {
	err := cmd.RegisterFlagCompletionFunc(flag, func(_ *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return slices.DeleteFunc(values(), func(v string) bool {
			return len(v) < len(typed) || !strings.EqualFold(v[:len(typed)], typed)
		}), cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil { // the flag does not exist, or twice
		panic(err)
	}
}
