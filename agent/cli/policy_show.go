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
		files              []string
		example, effective bool
	)
	cmd := a.command(command{
		use:   "show [CATEGORY/PURPOSE]",
		short: T{"the policy in force, or what it says of one category and purpose", "显示现行政策，或其中一项类别和用途的内容"},
		long: T{
			"Prints the policy in force as it was read, or in plain words what it says of one category and purpose. Reading\nhere records nothing; scruple consent show is the one that counts as having been shown.",
			"原样显示现行政策，或以通俗文字说明其中一项类别和用途。在此阅读不作任何记录；\n只有 scruple consent show 才算作已向您展示。",
		},
		example: T{
			"  scruple policy show\n  scruple policy show location/nearby\n  scruple policy show --built-in > policy.yaml\n  scruple policy show --effective --file general.yaml --file specific.yaml",
			"  scruple policy show\n  scruple policy show location/nearby\n  scruple policy show --built-in > policy.yaml\n  scruple policy show --effective --file general.yaml --file specific.yaml",
		},
		args: maybeTuple,
		run: func(cmd *cobra.Command, args []string) error {
			var (
				d    *policy.Document
				text string
				err  error
			)
			switch {
			case len(files) > 0 && example:
				return a.usage(T{"either --file or --built-in", "--file 与 --built-in 只能选一个"})
			case effective && len(args) == 0:
				return a.showEffective(cmd, files, example)
			case len(files) > 1:
				var l policy.Loaded
				l, err = policyFiles(files)
				d, text = l.Document, string(l.YAML)
			case len(files) == 0 && !example:
				d, text, err = a.inForce(cmd.Context())
			default:
				var data []byte
				d, data, err = policyFile(orElse(firstOf(files), builtIn))
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
	cmd.Flags().StringArrayVar(&files, "file", nil, a.t(T{"a policy `FILE` rather than the one in force; again for one that is laid over it", "读取政策文件 `FILE`，而不是现行政策；可重复，后者叠加于前者之上"}))
	cmd.Flags().BoolVar(&effective, "effective", false, a.t(T{"what all layers say together, with what the specific ones change", "各层政策合并后的内容，并说明具体政策所作的改动"}))
	cmd.Flags().BoolVar(&example, "built-in", false, a.t(T{"the example that is built in", "内置的示例政策"}))
	return cmd
}

// showEffective prints what the layers of a policy say together; the conflicts are comments at its head, so that what is printed
// can be read again.
func (a *app) showEffective(cmd *cobra.Command, files []string, example bool) error {
	var p control.Policy
	switch {
	case len(files) > 0:
		l, err := policyFiles(files)
		if err != nil {
			return a.policyError(err)
		}
		p.ID, p.Version, p.YAML = l.Document.ID, l.Document.Version, string(l.YAML)
		for _, part := range l.Parts {
			p.Layers = append(p.Layers, control.PolicyLayer{ID: part.ID, Version: part.Version, File: part.File})
		}
		for _, c := range l.Conflicts {
			one := control.PolicyChange{Kind: string(c.Kind), Subject: c.Subject(), Tuple: c.Subject(), Narrower: c.Narrower}
			for _, d := range c.Details {
				one.Details = append(one.Details, control.PolicyDetail(d))
			}
			p.Conflicts = append(p.Conflicts, one)
		}
	case example:
		d, data, err := policyFile(builtIn)
		if err != nil {
			return a.policyError(err)
		}
		p.ID, p.Version, p.YAML = d.ID, d.Version, string(data)
	default:
		client, err := a.client()
		if err != nil {
			return err
		}
		if p, err = client.Policy(cmd.Context()); err != nil {
			return err
		}
	}
	return a.print(p, func(w io.Writer) {
		var head strings.Builder
		for i, l := range p.Layers {
			layer := T{"%s version %d\n", "%s 第 %d 版\n"}
			if i > 0 {
				layer = T{"over it %s version %d\n", "其上叠加 %s 第 %d 版\n"}
			}
			fmt.Fprintf(&head, a.t(layer), l.ID, l.Version)
		}
		for _, c := range p.Conflicts {
			a.writePolicyChange(&head, c)
		}
		for line := range strings.Lines(head.String()) {
			fmt.Fprint(w, "# "+line)
		}
		fmt.Fprint(w, p.YAML)
	})
}

func (a *app) showTuple(d *policy.Document, name string) error {
	t, err := d.Tuple("", name)
	var e policy.Effective
	if err == nil {
		e, err = d.Effective(t.Category, t.Purpose)
	}
	if errors.Is(err, policy.ErrUndeclared) {
		p := control.NewProblem(control.KindUnknownTuple, policy.Shown(name), "")
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
