package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/policy"
)

func policyUpdateCommand(a *app) *cobra.Command {
	return a.command(command{
		use:   "update [FILE]",
		short: T{"put a later version of the policy into force", "启用较新版本的政策"},
		long: T{
			"Gives the running daemon a later version of the policy, signed with the pinned key; without FILE the files of the\nsettings are read again, as on SIGHUP. Nothing is agreed to by this: what asks for less goes on, anything else stops\nuntil you have agreed to it.",
			"把以固定密钥签名的较新版本政策交给运行中的后台服务；不指明 FILE 时重新读取设置中的文件，\n与 SIGHUP 相同。此举不代表同意任何内容：范围缩小的部分继续有效，其余部分停止，直至您同意。",
		},
		example: T{"  scruple policy update policy.note\n  scruple policy update", "  scruple policy update policy.note\n  scruple policy update"},
		args:    maybeName,
		run: func(cmd *cobra.Command, args []string) error {
			var note []byte
			if path := firstOf(args); path != "" {
				var err error
				if note, err = readBounded(path); err != nil {
					return err
				}
				// What is wrong with the file is said here, with its lines; a layer needs what lies under it.
				if _, _, err := policyFile(path); err != nil && !policy.IsLayer(note) {
					return a.policyError(err)
				}
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			u, err := client.UpdatePolicy(cmd.Context(), note)
			var p *control.Problem
			if errors.As(err, &p) && p.Kind() == control.KindPolicy {
				return refusal{
					a.t(T{"the policy stays as it was: ", "政策保持不变："}) + a.said(p.Detail),
					a.t(T{"ask whoever signs the policy for a later version: scruple policy check FILE --key KEY", "请向政策签署方索取较新版本：scruple policy check FILE --key KEY"}),
				}
			}
			if err != nil {
				return err
			}
			return a.print(u, func(w io.Writer) {
				if u.Version == u.Before && len(u.Changes) == 0 {
					fmt.Fprintf(w, a.t(T{"%s version %d is in force already.\n", "%s 第 %d 版已经有效。\n"}), u.ID, u.Version)
					return
				}
				fmt.Fprintf(w, a.t(T{"%s version %d is in force, after version %d.\n", "%s 第 %d 版已生效，此前为第 %d 版。\n"}), u.ID, u.Version, u.Before)
				for _, c := range u.Changes {
					a.writePolicyChange(w, c)
				}
			})
		},
	})
}

func policyChangesCommand(a *app) *cobra.Command {
	return a.command(command{
		use:   "changes",
		short: T{"how the policy in force differs from what you agreed to", "现行政策与您所同意内容的差异"},
		long: T{
			"Shows, for each consent that you have given, what the policy in force says otherwise: what asks for less and goes on\nunder the new rules, and what waits for your answer. What was collected for the latter stays here, unsent, until its\ntime is over.",
			"对您给出的每项同意，显示现行政策的不同之处：范围缩小、按新规则继续的部分，以及等待您答复的部分。\n后者已收集的内容留在本机，不发送，到期删除。",
		},
		example: T{"  scruple policy changes\n  scruple policy changes --json", "  scruple policy changes\n  scruple policy changes --json"},
		run: func(cmd *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			changes, err := client.PolicyChanges(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(changes, func(w io.Writer) {
				if len(changes) == 0 {
					fmt.Fprintln(w, a.t(T{"The policy says what you agreed to.", "现行政策与您所同意的内容一致。"}))
				}
				waiting := false
				for _, c := range changes {
					a.writePolicyChange(w, c)
					waiting = waiting || !c.GoesOn
				}
				if waiting {
					fmt.Fprintln(w, a.t(T{"To agree: scruple consent give CATEGORY/PURPOSE. To say no: scruple consent withdraw CATEGORY/PURPOSE.", "同意：scruple consent give 类别/用途；不同意：scruple consent withdraw 类别/用途。"}))
				}
			})
		},
	})
}

// writePolicyChange writes what the daemon says of a difference, as policy diff does of files.
func (a *app) writePolicyChange(w io.Writer, c control.PolicyChange) {
	again := ""
	switch {
	case c.Tuple == "" || c.Kind == "removed":
	case c.Kind == "added":
		again = a.t(T{" (off until it is agreed to)", "（同意之前不启用）"})
	case c.GoesOn:
		again = a.t(T{" (asks for less: your consent goes on, under the new rules)", "（范围缩小：您的同意继续有效，按新规则执行）"})
	case c.Narrower:
		again = a.t(T{" (asks for less: consents go on, under the new rules)", "（范围缩小：此前的同意继续有效，按新规则执行）"})
	default:
		again = a.t(T{" (to be asked again)", "（需重新征求同意）"})
	}
	fmt.Fprintf(w, a.t(T{"%s: %s%s\n", "%s：%s%s\n"}), a.changeSubject(c.Subject, c.Tuple), a.changeKind(c.Kind), again)
	for _, d := range c.Details {
		a.writeDetail(w, d.Field, d.Old, d.New)
	}
}
