// Package cli is the command line: one file per command, each an ordinary client of the local API (package
// control), except "run", which is the daemon, and those that work on files alone.
//
// Everything a person reads is in both languages (T), every answer is there as JSON too (--json), and the exit
// code tells a script what happened: 0 done, 1 failed, 2 usage, 3 refused by consent or policy, 4 daemon
// not reachable, 5 not enforced.
//
// A new group of commands is a function of *app in a file of its own, named in commands.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.uber.org/zap"
	"golang.org/x/term"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/settings"
)

// Daemon runs the daemon until ctx ends. It calls ready once, when the control socket answers.
type Daemon func(ctx context.Context, s settings.Settings, log *zap.Logger, ready func(socket string)) error

// Options are what the command line stands on. All are needed.
type Options struct {
	Stdin          io.Reader // a terminal is asked for confirmation
	Stdout, Stderr io.Writer
	Version        string
	Daemon         Daemon
}

// app is one invocation.
type app struct {
	Options
	lang       string // control language: "zh-CN" or "en"
	json       bool
	configFile string
	flags      *pflag.FlagSet // of the command that runs
}

// commands are the groups in the order of the help.
var commands = []func(*app) *cobra.Command{
	runCommand, statusCommand, consentCommand, dataCommand, egressCommand, receiptCommand, ledgerCommand, sessionCommand, policyCommand,
	rightsCommand, complaintCommand, accountCommand,
	settingsCommand, clientsCommand,
	noticesCommand, ageCommand, guardianCommand, analyticsCommand,
	contactsCommand, sensorsCommand, hasherCommand,
	completionCommand, versionCommand,
}

// Main runs one command line (without the program's name) and returns its exit code.
func Main(ctx context.Context, args []string, o Options) int {
	a := &app{Options: o, lang: language(args)}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(o.Stdin)
	root.SetOut(o.Stdout)
	root.SetErr(o.Stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return control.ExitDone
	}
	var code said
	if errors.As(err, &code) {
		return int(code)
	}
	a.complain(err)
	return exitCode(err)
}

func (a *app) root() *cobra.Command {
	root := a.command(command{
		use:   "scruple",
		short: T{"collects only what a policy declares and you agreed to", "只收集政策声明并经您同意的数据"},
		long: T{
			"Scruple collects only what a policy declares and you agreed to, makes it as small as the purpose allows\nbefore it is stored, sends it to the one controller that the policy names, and can prove all of that.\n\n\"scruple run\" is the daemon; every other command asks it or works on files alone.",
			"Scruple 只收集政策声明并经您同意的数据，在保存之前缩减到用途所需的最小程度，\n只发送给政策指明的唯一控制者，并且能够证明这一切。\n\n“scruple run”是后台服务，其余命令向它查询，或者只处理文件。",
		},
		example: T{
			"  scruple status\n  scruple consent show location/nearby\n  scruple consent give location/nearby\n  scruple consent withdraw location/nearby --clear",
			"  scruple status\n  scruple consent show location/nearby\n  scruple consent give location/nearby\n  scruple consent withdraw location/nearby --clear",
		},
	})
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetHelpFunc(a.help)
	root.SetUsageFunc(func(c *cobra.Command) error { a.help(c, nil); return nil })
	root.SetFlagErrorFunc(a.flagError)
	root.SetHelpCommand(&cobra.Command{Use: "no-help", Hidden: true, GroupID: ""})
	f := root.PersistentFlags()
	f.BoolVar(&a.json, "json", false, a.t(T{"answer as JSON with stable keys", "以 JSON 格式回答，键名保持不变"}))
	f.Var(new(langFlag), settings.FlagName("language"), a.t(T{"`LANGUAGE` of the answers: en or zh-CN", "回答所用的语言 `LANGUAGE`：en 或 zh-CN"}))
	f.String(settings.FlagName("socket"), "", a.t(T{"the daemon's control socket, a `PATH`", "后台服务的控制套接字路径 `PATH`"}))
	f.StringVar(&a.configFile, "config", "", a.t(T{"settings `FILE`", "设置文件 `FILE`"}))
	f.String(settings.FlagName("state_dir"), "", a.t(T{"`FOLDER` of ledgers, keys and stored reports", "保存账本、密钥和待发数据的文件夹 `FOLDER`"}))
	f.BoolP("help", "h", false, a.t(T{"this help", "显示本帮助"}))
	cobra.EnableCommandSorting = false // the order of the list is the order in which a person needs them
	for _, c := range commands {
		root.AddCommand(c(a))
	}
	return root
}

// command is what one command says of itself.
type command struct {
	use                  string
	short, long, example T
	args                 argument
	run                  func(cmd *cobra.Command, args []string) error // nil for a group
}

// argument says which arguments a command takes.
type argument int

const (
	noArguments argument = iota
	oneTuple
	maybeTuple
	oneName // a file, an id, a name
	maybeName
	oneOrTwoNames
	twoNames
	tupleAndMore
)

func (a *app) command(c command) *cobra.Command {
	cmd := &cobra.Command{
		Use: c.use, Short: a.t(c.short), Long: a.t(c.long), Example: a.t(c.example),
		DisableFlagsInUseLine: true,
	}
	if c.run == nil {
		cmd.Args = cobra.ArbitraryArgs
		cmd.RunE = a.group
		return cmd
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error { return a.checkArgs(cmd, c.args, args) }
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		a.flags = cmd.Flags()
		return c.run(cmd, args)
	}
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	switch c.args {
	case oneTuple, maybeTuple, tupleAndMore:
		cmd.ValidArgsFunction = a.completeTuple
	case oneName, maybeName, oneOrTwoNames:
		cmd.ValidArgsFunction = nil // files
	}
	return cmd
}

// group is what a command that only holds others does.
func (a *app) group(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		if !cmd.HasParent() {
			a.help(cmd, nil)
			return nil
		}
		var names []string
		for _, c := range cmd.Commands() {
			names = append(names, c.Name())
		}
		return a.usage(T{"%s needs one of its commands: %s", "%s 需要一个子命令：%s"}, cmd.CommandPath(), strings.Join(names, ", "))
	}
	err := a.usage(T{"%s has no command %q", "%s 没有子命令 %q"}, cmd.CommandPath(), args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		err.hint = fmt.Sprintf(a.t(T{"did you mean %s?", "您是要输入 %s 吗？"}), strings.Join(near, ", "))
	}
	return err
}

func (a *app) checkArgs(cmd *cobra.Command, want argument, args []string) error {
	least, most := map[argument]int{oneTuple: 1, oneName: 1, oneOrTwoNames: 1, twoNames: 2, tupleAndMore: 2}[want],
		map[argument]int{oneTuple: 1, maybeTuple: 1, oneName: 1, maybeName: 1, oneOrTwoNames: 2, twoNames: 2, tupleAndMore: 1 << 10}[want]
	switch n := len(args); {
	case n >= least && n <= most:
		return nil
	case n < least && want == oneTuple:
		return a.usage(T{"%s needs a CATEGORY/PURPOSE, as in \"scruple consent list\"", "%s 需要指明“类别/用途”，见“scruple consent list”"}, cmd.CommandPath())
	case n < least:
		return a.usage(T{"%s needs an argument", "%s 缺少参数"}, cmd.CommandPath())
	case want == oneTuple:
		return a.usage(T{"%s takes one CATEGORY/PURPOSE at a time: each is asked by itself", "%s 每次只处理一项“类别/用途”：每一项都单独征求意见"}, cmd.CommandPath())
	}
	return a.usage(T{"%s takes fewer arguments", "%s 的参数过多"}, cmd.CommandPath())
}

// usageError is a command line that cannot be understood.
type usageError struct{ message, hint string }

func (e *usageError) Error() string { return e.message }

func (a *app) usage(message T, args ...any) *usageError {
	return &usageError{fmt.Sprintf(a.t(message), args...), a.t(T{"--help shows how it is used, with examples", "--help 显示用法和示例"})}
}

func (a *app) flagError(_ *cobra.Command, err error) error {
	var (
		none    *pflag.NotExistError
		value   *pflag.ValueRequiredError
		invalid *pflag.InvalidValueError
	)
	switch {
	case errors.As(err, &none):
		return a.usage(T{"there is no flag %s here", "这里没有选项 %s"}, dashes(none.GetSpecifiedName()))
	case errors.As(err, &value):
		return a.usage(T{"flag %s needs a value", "选项 %s 需要一个值"}, dashes(value.GetSpecifiedName()))
	case errors.As(err, &invalid):
		return a.usage(T{"flag %s: not such a value", "选项 %s 的值不正确"}, dashes(invalid.GetFlag().Name))
	}
	return a.usage(T{"a flag is not written as flags are", "选项的写法不正确"})
}

func dashes(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// hinted is an error with what to try.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

// refusal is an error that ends with control.ExitRefused.
type refusal struct{ message, hint string }

func (r refusal) Error() string { return r.message }

func exitCode(err error) int {
	var (
		usage   *usageError
		faults  settings.Faults
		refused refusal
	)
	switch {
	case errors.As(err, &usage), errors.As(err, &faults):
		return control.ExitUsage
	case errors.As(err, &refused):
		return control.ExitRefused
	}
	return control.ExitCode(err)
}

// complain says on standard error what went wrong and what to try.
func (a *app) complain(err error) {
	message, hint := a.words(err)
	if a.json {
		kind := string(control.KindFailed)
		var p *control.Problem
		switch {
		case errors.As(err, &p):
			kind = string(p.Kind())
		case exitCode(err) == control.ExitUsage:
			kind = "usage"
		case exitCode(err) == control.ExitRefused:
			kind = "refused"
		case exitCode(err) == control.ExitNotReachable:
			kind = "not-reachable"
		}
		b, err := json.Marshal(struct {
			Type   string `json:"type"`
			Title  string `json:"title"`
			Detail string `json:"detail,omitempty"`
			Hint   string `json:"hint,omitempty"`
			Exit   int    `json:"exit"`
		}{control.ProblemBase + kind, message, detailOf(p), hint, exitCode(err)})
		if err == nil {
			fmt.Fprintf(a.Stderr, "%s\n", b)
			return
		}
	}
	for line := range strings.SplitSeq(message, "\n") {
		fmt.Fprintf(a.Stderr, "scruple: %s\n", line)
	}
	if hint != "" {
		fmt.Fprintf(a.Stderr, "scruple: %s%s\n", a.t(T{"hint: ", "提示："}), hint)
	}
}

func detailOf(p *control.Problem) string {
	if p == nil {
		return ""
	}
	return p.Detail
}

// settings reads the settings for the command that runs.
func (a *app) settings() (settings.Settings, error) {
	s, err := settings.Load(a.configFile, a.flags)
	if err != nil {
		var faults settings.Faults
		if errors.As(err, &faults) {
			return s, faults
		}
		return s, hinted{fmt.Errorf("%s: %w", a.t(T{"read the settings", "读取设置"}), err), ""}
	}
	return s, nil
}

// client returns a client of the daemon that the settings name, for the person at the command line.
func (a *app) client() (*control.Client, error) {
	s, err := a.settings()
	if err != nil {
		return nil, err
	}
	return control.NewClient(s.Socket, control.AsPerson(control.ChannelCLI)), nil
}

// print writes the answer: as JSON, or as text by the function.
func (a *app) print(answer any, text func(w io.Writer)) error {
	if a.json {
		e := json.NewEncoder(a.Stdout)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(answer); err != nil {
			return fmt.Errorf("write the answer: %w", err)
		}
		return nil
	}
	w := &errWriter{w: a.Stdout}
	text(w)
	if w.err != nil {
		return fmt.Errorf("write the answer: %w", w.err)
	}
	return nil
}

// errWriter keeps the first error, so that a full disk behind "> file" is not taken for success.
type errWriter struct {
	w   io.Writer
	err error
}

func (e *errWriter) Write(b []byte) (int, error) {
	if e.err == nil {
		_, e.err = e.w.Write(b)
	}
	return len(b), nil
}

// terminal reports whether a person can be asked.
func (a *app) terminal() bool {
	f, ok := a.Stdin.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// confirm asks on standard error and reads one line. Only a whole word of consent is a yes.
func (a *app) confirm(question T) bool {
	fmt.Fprint(a.Stderr, a.t(question))
	var line []byte
	for b := make([]byte, 1); len(line) < 64; {
		n, err := a.Stdin.Read(b)
		if n == 1 && b[0] == '\n' || err != nil {
			break
		}
		line = append(line, b[:n]...)
	}
	return slices.Contains([]string{"yes", "同意"}, strings.ToLower(strings.TrimSpace(string(line))))
}
