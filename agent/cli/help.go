package cli

import (
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// help prints what a command is for, how it is used, examples, commands and flags. It is written out here, rather
// than as a template, because every word of it is in two languages.
func (a *app) help(cmd *cobra.Command, _ []string) {
	w := cmd.OutOrStdout()
	fmt.Fprintln(w, orElse(cmd.Long, cmd.Short))
	section := func(title T, body string) {
		if body = strings.TrimRight(body, "\n"); body != "" {
			fmt.Fprintf(w, "\n%s\n%s\n", a.t(title), body)
		}
	}
	use := cmd.UseLine()
	if cmd.HasAvailableSubCommands() {
		use = cmd.CommandPath() + a.t(T{" COMMAND", " 子命令"})
	}
	section(T{"Usage:", "用法："}, "  "+use)
	section(T{"Examples:", "示例："}, cmd.Example)
	var rows [][]string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			rows = append(rows, []string{"  " + c.Name(), c.Short})
		}
	}
	var list strings.Builder
	table(&list, rows)
	section(T{"Commands:", "子命令："}, list.String())
	cmd.InitDefaultHelpFlag()
	section(T{"Flags:", "选项："}, a.flagUsages(cmd.LocalNonPersistentFlags()))
	if cmd.HasParent() {
		section(T{"Flags of every command:", "通用选项："}, a.flagUsages(cmd.InheritedFlags()))
	} else {
		section(T{"Flags of every command:", "通用选项："}, a.flagUsages(cmd.PersistentFlags()))
	}
}

var flagDefault = regexp.MustCompile(`\(default (.*)\)\n`)

// flagUsages lists flags; the one English phrase that package pflag adds is said in the language.
func (a *app) flagUsages(flags *pflag.FlagSet) string {
	return flagDefault.ReplaceAllString(flags.FlagUsages(), a.t(T{"(default $1)\n", "（默认 $1）\n"}))
}

func orElse(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// table prints rows in columns two spaces apart; the last column is not padded.
func table(w io.Writer, rows [][]string) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], width(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell)
			if i+1 < len(row) {
				line.WriteString(strings.Repeat(" ", widths[i]-width(cell)+2))
			}
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}

// width is how many columns of a terminal a text takes: Chinese characters and full-width forms take two.
func width(s string) int {
	n := 0
	for _, r := range s {
		n++
		if r >= 0x1100 && (r <= 0x115f || r >= 0x2e80 && r <= 0xa4cf || r >= 0xac00 && r <= 0xd7a3 ||
			r >= 0xf900 && r <= 0xfaff || r >= 0xfe30 && r <= 0xfe6f || r >= 0xff00 && r <= 0xff60 ||
			r >= 0xffe0 && r <= 0xffe6 || r >= 0x20000 && r <= 0x3fffd) {
			n++
		}
	}
	return n
}
