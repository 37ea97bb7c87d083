package cli

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/policy"
)

// policyShow is the answer of "policy show --json" for one tuple.
type policyShow struct {
	Tuple   string `json:"tuple"`
	Lang    string `json:"lang"`
	Text    string `json:"text"`
	SHA256  string `json:"sha256"`
	Subtree string `json:"subtree"` // the hash that consents and reports carry
}

func policyShowCommand(a *app) *cobra.Command {
	var (
		file    string
		example bool
	)
	cmd := a.command(command{
		use:   "show [CATEGORY/PURPOSE]",
		short: T{"the policy in force, or what it says of one category and purpose", "显示现行政策，或其中一项类别和用途的内容"},
		long: T{
			"Prints the policy in force as it was read, or in plain words what it says of one category and purpose. Reading\nhere records nothing; scruple consent show is the one that counts as having been shown.",
			"原样显示现行政策，或以通俗文字说明其中一项类别和用途。在此阅读不作任何记录；\n只有 scruple consent show 才算作已向您展示。",
		},
		example: T{
			"  scruple policy show\n  scruple policy show location/nearby\n  scruple policy show --built-in > policy.yaml",
			"  scruple policy show\n  scruple policy show location/nearby\n  scruple policy show --built-in > policy.yaml",
		},
		args: maybeTuple,
		run: func(cmd *cobra.Command, args []string) error {
			var (
				d    *policy.Document
				text string
				err  error
			)
			switch {
			case file != "" && example:
				return a.usage(T{"either --file or --built-in", "--file 与 --built-in 只能选一个"})
			case file == "" && !example:
				d, text, err = a.inForce(cmd.Context())
			default:
				var data []byte
				d, data, err = policyFile(orElse(file, builtIn))
				text = string(data)
			}
			if err != nil {
				return a.policyError(err)
			}
			if len(args) == 1 {
				return a.showTuple(d, args[0])
			}
			return a.print(struct {
				ID      string `json:"id"`
				Version int    `json:"version"`
				YAML    string `json:"yaml"`
			}{d.ID, d.Version, text}, func(w io.Writer) { fmt.Fprint(w, text) })
		},
	})
	cmd.Flags().StringVar(&file, "file", "", a.t(T{"a policy `FILE` rather than the one in force", "读取政策文件 `FILE`，而不是现行政策"}))
	cmd.Flags().BoolVar(&example, "built-in", false, a.t(T{"the example that is built in", "内置的示例政策"}))
	return cmd
}

func (a *app) showTuple(d *policy.Document, name string) error {
	t, err := d.Tuple("", name)
	var e policy.Effective
	if err == nil {
		e, err = d.Effective(t.Category, t.Purpose)
	}
	if errors.Is(err, policy.ErrUndeclared) {
		p := control.NewProblem(control.KindUnknownTuple, "", "")
		for _, t := range d.Tuples("") {
			category, purpose, _ := strings.Cut(name, "/")
			if string(t.Category) == category || purpose != "" && string(t.Purpose) == purpose {
				p.Near = append(p.Near, t.String())
			}
		}
		return p
	}
	if err != nil {
		return err
	}
	n, subtree := e.Notice(policy.Lang(a.lang)), e.SubtreeHash()
	answer := policyShow{
		Tuple: name, Lang: string(n.Lang), Text: n.Text,
		SHA256: hex.EncodeToString(n.SHA256[:]), Subtree: hex.EncodeToString(subtree[:]),
	}
	return a.print(answer, func(w io.Writer) {
		fmt.Fprintln(w, strings.TrimRight(n.Text, "\n"))
	})
}
