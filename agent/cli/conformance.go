package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/agent/conformance"
)

func conformanceCommand(a *app) *cobra.Command {
	var file string
	cmd := a.command(command{
		use:   "conformance [--results FILE]",
		short: T{"each clause of the guideline: what enforces it, which test proves it", "逐条列出指引条款：由什么执行，由哪些测试证明"},
		long: T{
			"Prints one row for each clause of the privacy guideline: what it promises, what enforces it, which tests prove\nit. The status comes from the results of a test run: kept, partly, or not shown. No clause is kept without a test\nthat has passed, or with one that has failed.\n\nThe results are those that \"make test\" has left in bin/conformance.txt below this folder, else those of the\nlast full run before this program was built.",
			"逐条列出隐私指引的条款：承诺什么、由什么执行、由哪些测试证明。状态来自测试结果：\n已履行、部分履行或尚未证明。没有通过的测试，或有测试失败，则不会显示为已履行。\n\n测试结果取自“make test”在当前文件夹下留下的 bin/conformance.txt；如不存在，\n则取自本程序构建之前最后一次完整测试。",
		},
		example: T{
			"  scruple policy conformance\n  scruple policy conformance --json\n  scruple policy conformance --results bin/conformance.txt",
			"  scruple policy conformance\n  scruple policy conformance --json\n  scruple policy conformance --results bin/conformance.txt",
		},
		run: func(*cobra.Command, []string) error {
			r, from, err := a.clauseResults(file)
			if err != nil {
				return err
			}
			rows := conformance.Table(r, a.lang)
			return a.print(rows, func(w io.Writer) { a.writeConformance(w, rows, from) })
		},
	})
	cmd.Flags().StringVar(&file, "results", "", a.t(T{"results of a test run, a `FILE`", "测试结果文件 `FILE`"}))
	return cmd
}

// clauseResults reads the results that were named, that a test run has left here, or that are built in, and says which.
func (a *app) clauseResults(file string) (conformance.Results, string, error) {
	name := orElse(file, conformance.File)
	text, err := os.ReadFile(name)
	switch {
	case file == "" && errors.Is(err, fs.ErrNotExist):
		r, err := conformance.Recorded()
		return r, a.t(T{"the last full run before this build", "构建前最后一次完整测试"}), err
	case err != nil:
		return nil, "", err
	}
	r, err := conformance.Read(name, bytes.NewReader(text))
	if err != nil {
		return nil, "", hinted{err, a.t(T{"\"make test\" writes the file; --results names another", "该文件由“make test”写出；可用 --results 指明其他文件"})}
	}
	return r, name, nil
}

var conformanceWords = map[conformance.Status]T{
	conformance.Kept:     {"kept", "已履行"},
	conformance.Partly:   {"partly", "部分履行"},
	conformance.NotShown: {"not shown", "尚未证明"},
}

// conformanceWidth is how many columns of a terminal a line takes.
const conformanceWidth = 100

func (a *app) writeConformance(w io.Writer, rows []conformance.Row, from string) {
	fmt.Fprintf(w, a.t(T{"Test results: %s\n", "测试结果：%s\n"}), from)
	count := map[conformance.Status]int{}
	for _, r := range rows {
		count[r.Status]++
		fmt.Fprintf(w, "\n%-4s  %s\n", r.Clause, a.t(conformanceWords[r.Status]))
		tests := strings.Join(r.Tests, ", ")
		if tests == "" {
			tests = a.t(T{"no test", "没有测试"})
		}
		for _, line := range [][2]string{
			{a.t(T{"promises: ", "承诺："}), r.Promise},
			{a.t(T{"enforced by: ", "执行："}), r.EnforcedBy},
			{a.t(T{"shown by: ", "证明："}), tests},
		} {
			for _, part := range wrap(line[0]+line[1], conformanceWidth-6) {
				fmt.Fprintf(w, "      %s\n", part)
			}
		}
	}
	fmt.Fprintf(w, a.t(T{"\n%d kept, %d partly, %d not shown\n", "\n已履行 %d，部分履行 %d，尚未证明 %d\n"}),
		count[conformance.Kept], count[conformance.Partly], count[conformance.NotShown])
}

// wrap breaks a text into lines of so many columns: at spaces, and between Chinese characters, but not before a sign
// that closes or after one that opens. What is longer than a line and cannot be broken stays whole.
func wrap(text string, columns int) []string {
	var lines []string
	line, breakAt := "", 0 // breakAt: where the line may end, in bytes
	for _, r := range text {
		wide := utf8.RuneLen(r) == 3 && width(string(r)) == 2
		if wide && !strings.ContainsRune("，。；：、）”", r) && !strings.HasSuffix(line, "（") && !strings.HasSuffix(line, "“") {
			breakAt = len(line)
		}
		line += string(r)
		if r == ' ' {
			breakAt = len(line)
		}
		if width(strings.TrimRight(line, " ")) > columns && breakAt > 0 {
			lines = append(lines, strings.TrimRight(line[:breakAt], " "))
			line, breakAt = line[breakAt:], 0
		}
	}
	return append(lines, strings.TrimRight(line, " "))
}
