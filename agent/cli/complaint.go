package cli

import (
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/agent/control"
)

func complaintCommand(a *app) *cobra.Command {
	cmd := a.command(command{
		use:   "complaint",
		short: T{"complain to a controller; it has thirty days to answer", "向控制者投诉；须在三十天内答复"},
		long: T{
			"A complaint is signed with the key by which the controller knows you already; nothing else about you is asked or told.\nThe thirty days begin with the controller's signed receipt; what is late is marked. It also lists the other things you have\nasked for.",
			"投诉以控制者已知的密钥签名，无需也不会提供您的其他信息。三十天自控制者的签名回执起算，\n逾期会标明。这里也列出您提出的其他请求。",
		},
		example: T{
			"  scruple complaint file \"My step count is shown to strangers.\"\n  scruple complaint list\n  scruple complaint show ID",
			"  scruple complaint file \"我的步数被陌生人看到。\"\n  scruple complaint list\n  scruple complaint show ID",
		},
	})
	cmd.AddCommand(complaintFileCommand(a), complaintListCommand(a), complaintShowCommand(a))
	return cmd
}

func complaintFileCommand(a *app) *cobra.Command {
	var file, about string
	cmd := a.command(command{
		use:   "file TEXT | file --file FILE",
		short: T{"file a complaint", "提出投诉"},
		long: T{
			"At most 8192 bytes of plain text. --about names a CATEGORY/PURPOSE or a controller; without it the complaint goes to the\npolicy's first controller. It works also after you have taken your consent back, as long as a key is left with which the\ncontroller knows you.",
			"纯文本，不超过 8192 字节。--about 指明“类别/用途”或控制者；不指明时提交给政策中的第一个控制者。\n撤回同意之后，只要还保有控制者可确认您身份的密钥，仍可投诉。",
		},
		example: T{
			"  scruple complaint file \"Nobody answers me.\" --about location/nearby\n  scruple complaint file --file letter.txt --about payments",
			"  scruple complaint file \"无人答复。\" --about location/nearby\n  scruple complaint file --file letter.txt --about payments",
		},
		args: maybeName,
		run: func(cmd *cobra.Command, args []string) error {
			text := firstOf(args)
			if (text == "") == (file == "") {
				return a.usage(T{"give the text, or a file with --file", "请给出文字，或用 --file 指明文件"})
			}
			if file != "" {
				b, err := a.readInput(file)
				if err != nil {
					return err
				}
				text = strings.TrimRight(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n")
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			c, err := client.Complain(cmd.Context(), control.ComplaintRequest{Subject: about, Text: text})
			if err != nil {
				return err
			}
			return a.print(c, func(w io.Writer) { a.writeCase(w, c) })
		},
	})
	cmd.Flags().StringVar(&file, "file", "", a.t(T{"`FILE` with the text, - for standard input", "含有文字的文件 `FILE`，- 表示标准输入"}))
	cmd.Flags().StringVar(&about, "about", "", a.t(T{"what it is about, a CATEGORY/PURPOSE or a controller: `NAME`", "所涉及的“类别/用途”或控制者 `NAME`"}))
	_ = cmd.RegisterFlagCompletionFunc("about", func(cmd *cobra.Command, _ []string, to string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return a.completeTuple(cmd, nil, to)
	})
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

func complaintListCommand(a *app) *cobra.Command {
	var all bool
	cmd := a.command(command{
		use:     "list [--all]",
		short:   T{"your complaints, when they are due, and what is late", "列出您的投诉、期限和逾期情况"},
		example: T{"  scruple complaint list\n  scruple complaint list --all --json", "  scruple complaint list\n  scruple complaint list --all --json"},
		run: func(cmd *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			list, err := client.Cases(cmd.Context())
			if err != nil {
				return err
			}
			if !all {
				list = slices.DeleteFunc(list, func(c control.Case) bool { return c.Kind != "complaint" && c.Problem == "" })
			}
			return a.print(list, func(w io.Writer) { a.writeCases(w, list) })
		},
	})
	cmd.Flags().BoolVar(&all, "all", false, a.t(T{"also access, correction, erasure and closure", "包括查阅、更正、删除和注销"}))
	return cmd
}

func complaintShowCommand(a *app) *cobra.Command {
	var signed bool
	cmd := a.command(command{
		use:     "show ID [--signed]",
		short:   T{"one complaint or other case, after asking the controller", "向控制者询问后，显示一项投诉或其他请求"},
		example: T{"  scruple complaint show ID\n  scruple complaint show ID --signed", "  scruple complaint show ID\n  scruple complaint show ID --signed"},
		args:    oneName,
		run: func(cmd *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			c, err := client.Case(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.print(c, func(w io.Writer) {
				a.writeCase(w, c)
				if signed {
					for _, n := range c.Notes {
						io.WriteString(w, "\n"+n)
					}
				}
			})
		},
	})
	cmd.Flags().BoolVar(&signed, "signed", false, a.t(T{"also the controller's answers as they were signed", "同时显示控制者签名的答复原文"}))
	cmd.ValidArgsFunction = a.completeCase
	return cmd
}

// completeCase asks the daemon for the ids of cases.
func (a *app) completeCase(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	a.flags = cmd.Flags()
	client, err := a.client()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	list, err := client.Cases(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var ids []cobra.Completion
	for _, c := range list {
		ids = append(ids, cobra.CompletionWithDesc(c.ID, c.Kind+" "+c.Tuple))
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}
