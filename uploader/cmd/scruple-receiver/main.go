// Command scruple-receiver is the reference receiver of one controller: it serves, registers users for matching, and shows
// what it holds. Package uploader/receiver does the work; here are flags, words and exit codes.
//
// Exit codes: 0 done, 1 failed, 2 usage, 3 refused by the policy.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// The exit codes.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUsage   = 2
	exitRefused = 3
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main with everything that it touches as a parameter.
func run(ctx context.Context, args []string, getenv func(string) string, in io.Reader, out, errs io.Writer) int {
	a := &app{say: language(args, getenv), in: in, out: out, errs: errs}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	fmt.Fprintln(errs, "scruple-receiver:", err)
	var hinted *hintError
	if errors.As(err, &hinted) && hinted.hint != "" {
		fmt.Fprintln(errs, "  "+hinted.hint)
	}
	return exitCode(err)
}

// app is what the commands share.
type app struct {
	say  words
	in   io.Reader
	out  io.Writer
	errs io.Writer
	json bool
	dir  string
}

func (a *app) root() *cobra.Command {
	say := a.say
	root := &cobra.Command{
		Use:   "scruple-receiver",
		Short: say("Receives for one controller what its policy declares and people agreed to", "为一个控制者接收其政策所声明、并经本人同意的数据"),
		Example: say(`  # a trial receiver with its own certificate, keys and policy
  scruple-receiver run --dev --dir ./receiver
  # what it holds, in counts
  scruple-receiver show --dir ./receiver`, `  # 试用接收端，自带证书、密钥和政策
  scruple-receiver run --dev --dir ./receiver
  # 查看它保存了什么（只显示数量）
  scruple-receiver show --dir ./receiver`),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usage(errors.New(say("a command is needed", "需要一个命令")), say("see: scruple-receiver --help", "参见：scruple-receiver --help"))
		},
	}
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if tag, err := cmd.Flags().GetString("lang"); err != nil || tag != "" && tag != "en" && tag != "zh-CN" {
			return usage(errors.New(say("--lang is en or zh-CN", "--lang 应为 en 或 zh-CN")), "")
		}
		return nil
	}
	root.PersistentFlags().String("lang", "", say("language: en or zh-CN; from the environment where not given", "语言：en 或 zh-CN；未指定时取自环境变量"))
	root.PersistentFlags().BoolVar(&a.json, "json", false, say("write JSON to standard output", "以 JSON 格式输出"))
	root.PersistentFlags().StringVar(&a.dir, "dir", "", say("folder of the receiver (required)", "接收端的目录（必需）"))
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(err, say("see: ", "参见：")+cmd.CommandPath()+" --help")
	})
	root.SetUsageTemplate(strings.NewReplacer(
		"Usage:", say("Usage:", "用法："), "Examples:", say("Examples:", "示例："),
		"Available Commands:", say("Commands:", "命令："), "Global Flags:", say("Flags of every command:", "通用选项："),
		"Flags:", say("Flags:", "选项："), "Aliases:", say("Aliases:", "别名："),
		`Use "{{.CommandPath}} [command] --help" for more information about a command.`,
		say(`"{{.CommandPath}} COMMAND --help" says more about a command.`, `“{{.CommandPath}} 命令 --help” 显示该命令的说明。`),
	).Replace(root.UsageTemplate()))
	root.AddCommand(a.runCommand(), a.usersCommand(), a.showCommand(), a.analyticsCommand(), a.casesCommand(), a.noticesCommand(), a.epochCommand(), a.keygenCommand())
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			c.Short = say("Explain a command", "说明一个命令")
		case "completion":
			c.Short = say("Write the completion script of a shell", "输出命令行补全脚本")
		}
	}
	finish(root, say)
	return root
}

// finish makes a wrong number of arguments a usage error and translates cobra's own words, in c and below it.
func finish(c *cobra.Command, say words) {
	c.InitDefaultHelpFlag()
	c.Flags().Lookup("help").Usage = say("this text", "显示本说明")
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if check(cmd, args) != nil {
				return usage(errors.New(say("wrong number of arguments, or an unknown command", "参数个数不对，或命令不存在")), say("see: ", "参见：")+cmd.CommandPath()+" --help")
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		finish(sub, say)
	}
}

// words returns the text in the language of the person.
type words func(en, zh string) string

// language is chosen by --lang, else by the environment as other programs do.
func language(args []string, getenv func(string) string) words {
	tag := ""
	for _, name := range []string{"LANG", "LC_MESSAGES", "LC_ALL"} {
		if v := getenv(name); v != "" {
			tag = v
		}
	}
	for i, arg := range args {
		if v, ok := strings.CutPrefix(arg, "--lang="); ok {
			tag = v
		} else if arg == "--lang" && i+1 < len(args) {
			tag = args[i+1]
		}
	}
	if strings.HasPrefix(strings.ToLower(tag), "zh") {
		return func(_, zh string) string { return zh }
	}
	return func(en, _ string) string { return en }
}

// hintError tells what failed and what to try.
type hintError struct {
	err  error
	code int
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

func usage(err error, hint string) error   { return &hintError{err, exitUsage, hint} }
func failed(err error, hint string) error  { return &hintError{err, exitFailed, hint} }
func refused(err error, hint string) error { return &hintError{err, exitRefused, hint} }

func exitCode(err error) int {
	var hinted *hintError
	switch {
	case errors.As(err, &hinted):
		return hinted.code
	case strings.HasPrefix(err.Error(), "unknown command"), strings.HasPrefix(err.Error(), "required flag"):
		return exitUsage
	}
	return exitFailed
}
