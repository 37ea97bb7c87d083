package cli

import (
	"github.com/spf13/cobra"
)

func hasherCommand(a *app) *cobra.Command {
	cmd := a.command(command{
		use:   "hasher",
		short: T{"how address-book entries become keyed digests", "通讯录条目如何变为带密钥的摘要"},
		long: T{
			"Shows and measures what becomes of an address book before anything leaves. These commands need no daemon and no\nconsent; they answer you alone and never use the deployment's key.",
			"展示并测量通讯录在离开本机之前的处理过程。这些命令不需要后台服务和同意，\n只向您本人作答，从不使用部署方的密钥。",
		},
		example: T{
			"  scruple hasher info\n  scruple hasher bench\n  scruple hasher sum contacts.vcf\n  printf 'CN\\t138 0000 1234\\n' | scruple hasher canonical --kind phone",
			"  scruple hasher info\n  scruple hasher bench\n  scruple hasher sum contacts.vcf\n  printf 'CN\\t138 0000 1234\\n' | scruple hasher canonical --kind phone",
		},
	})
	cmd.AddCommand(hasherCanonicalCommand(a), hasherSumCommand(a), hasherBenchCommand(a), hasherInfoCommand(a))
	return cmd
}
