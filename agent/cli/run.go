package cli

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"

	"github.com/scruple-agent/scruple/agent/settings"
)

func runCommand(a *app) *cobra.Command {
	cmd := a.command(command{
		use:   "run",
		short: T{"the daemon", "运行后台服务"},
		long: T{
			"Runs the daemon until it gets SIGTERM or SIGINT. It prints one line when it is ready and logs to standard error.\nNothing is collected before you agree to it. Settings come from scruple.yaml, SCRUPLE_ variables and these flags.",
			"运行后台服务，直到收到 SIGTERM 或 SIGINT。就绪后输出一行，日志写入标准错误。\n在您同意之前不收集任何内容。设置来自 scruple.yaml、SCRUPLE_ 变量和以下选项。",
		},
		example: T{
			"  scruple run\n  scruple run --policy-file /etc/scruple/policy.note --policy-key policy.example.com+1a2b3c4d+...\n  scruple run --dev --state-dir /tmp/scruple",
			"  scruple run\n  scruple run --policy-file /etc/scruple/policy.note --policy-key policy.example.com+1a2b3c4d+...\n  scruple run --dev --state-dir /tmp/scruple",
		},
		run: func(cmd *cobra.Command, _ []string) error { return a.runDaemon(cmd.Context()) },
	})
	f := cmd.Flags()
	f.String(settings.FlagName("policy_file"), "", a.t(T{"signed policy `FILE`", "已签名的政策文件 `FILE`"}))
	f.StringSlice(settings.FlagName("policy_layers"), nil, a.t(T{"signed policy `FILES` that are laid over it, the most specific last", "叠加其上的已签名政策文件 `FILES`，最具体的在后"}))
	f.String(settings.FlagName("policy_key"), "", a.t(T{"public `KEY` of the policy, or a file that holds it", "政策的公钥 `KEY`，或保存它的文件"}))
	f.String(settings.FlagName("device_key_file"), "", a.t(T{"`FILE` of the key that wraps the key ring", "包裹密钥环的密钥文件 `FILE`"}))
	f.Bool(settings.FlagName("dev"), false, a.t(T{"accept an unsigned policy, for development", "接受未签名的政策，仅供开发"}))
	f.String(settings.FlagName("region"), "", a.t(T{"`REGION` of telephone numbers without country code, such as CN", "无国家代码的电话号码所属地区 `REGION`，如 CN"}))
	f.StringSlice(settings.FlagName("contacts.paths"), nil, a.t(T{".vcf `FILES` and folders of the address book", "通讯录的 .vcf 文件和文件夹 `FILES`"}))
	f.String(settings.FlagName("iio_root"), "", a.t(T{"`FOLDER` of sysfs", "sysfs 所在文件夹 `FOLDER`"}))
	f.String(settings.FlagName("gpsd"), "", a.t(T{"`HOST:PORT` of gpsd", "gpsd 的地址 `HOST:PORT`"}))
	f.String(settings.FlagName("log.level"), "", a.t(T{"`LEVEL` of the log: debug, info, warn, error", "日志级别 `LEVEL`：debug、info、warn、error"}))
	f.String(settings.FlagName("log.format"), "", a.t(T{"`FORMAT` of the log: auto, json, console", "日志格式 `FORMAT`：auto、json、console"}))
	f.Duration(settings.FlagName("upload.slot"), 0, a.t(T{"longest random `DELAY` before sending", "发送前的最长随机延迟 `DELAY`"}))
	return cmd
}

func (a *app) runDaemon(ctx context.Context) error {
	s, err := a.settings()
	if err != nil {
		return err
	}
	log := logger(s.Log, a.Stderr)
	defer func() { _ = log.Sync() }()
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, os.Interrupt)
	defer stop()
	// After the first signal the second one ends the process at once.
	context.AfterFunc(ctx, func() { stop(); notify("STOPPING=1") })
	return a.policyError(a.Daemon(ctx, s, log, func(socket string) {
		ready := struct {
			Ready   bool   `json:"ready"`
			Version string `json:"version"`
			Socket  string `json:"socket"`
		}{true, a.Version, socket}
		_ = a.print(ready, func(w io.Writer) {
			fmt.Fprintf(w, a.t(T{"scruple %s is ready on %s\n", "scruple %s 已就绪：%s\n"}), a.Version, socket)
		})
		notify("READY=1")
	}))
}

// logger makes the log of the settings. Lines have no caller and no stack: they name what happened, never a value.
func logger(l settings.Log, w io.Writer) *zap.Logger {
	level := map[string]zapcore.Level{
		"debug": zap.DebugLevel, "info": zap.InfoLevel, "warn": zap.WarnLevel, "error": zap.ErrorLevel,
	}[l.Level]
	config := zap.NewProductionEncoderConfig()
	config.TimeKey, config.MessageKey, config.StacktraceKey = "time", "message", ""
	config.EncodeTime = func(t time.Time, e zapcore.PrimitiveArrayEncoder) {
		e.AppendString(t.UTC().Format("2006-01-02T15:04:05.000Z"))
	}
	f, ok := w.(*os.File)
	encoder := zapcore.NewJSONEncoder(config)
	if l.Format == "console" || l.Format == "auto" && ok && term.IsTerminal(int(f.Fd())) {
		encoder = zapcore.NewConsoleEncoder(config)
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(w)), level))
}

// notify tells systemd (Type=notify) about a change of state, sd_notify(3). Without systemd it does nothing.
func notify(state string) {
	address := os.Getenv("NOTIFY_SOCKET")
	if address == "" {
		return
	}
	c, err := net.Dial("unixgram", address)
	if err != nil {
		return
	}
	defer c.Close()
	_, _ = c.Write([]byte(state))
}
