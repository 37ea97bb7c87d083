package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/durable"
)

// written is one receipt that "receipt export" has written.
type written struct {
	Tuple string    `json:"tuple"`
	Event string    `json:"event"`
	Time  time.Time `json:"time"`
	File  string    `json:"file"`
}

func receiptExportCommand(a *app) *cobra.Command {
	var (
		all        bool
		event, out string
	)
	cmd := a.command(command{
		use:   "export [CATEGORY/PURPOSE] [--event EVENT] [--out FILE] | --all --out FOLDER",
		short: T{"write your copy of a consent record, with its proof", "导出同意记录的副本及其证明"},
		long: T{
			"Writes the receipt of the latest thing recorded about one purpose: that you gave, refused, put off or took back a\nconsent, or that it ended. --event chooses the latest of one kind, --all writes every receipt of every purpose.\n\nA receipt holds no identifier that another one holds. Two receipts of one controller show the same ledger key, so\nwho sees both knows that they are of one person; receipts of two controllers have nothing in common.",
			"导出某一用途最近一条记录的凭证：同意、拒绝、稍后决定、撤回，或同意已终止。\n--event 指定类型，--all 导出所有用途的全部凭证。\n\n任何两份凭证都不含相同的标识符。同一控制者的两份凭证显示同一个账本公钥，\n同时看到两者的人可知其属于同一人；不同控制者的凭证则毫无共同之处。",
		},
		example: T{
			"  scruple receipt export steps/compare --out steps.json\n  scruple receipt export steps/compare --event given\n  scruple receipt export --all --out receipts",
			"  scruple receipt export steps/compare --out steps.json\n  scruple receipt export steps/compare --event given\n  scruple receipt export --all --out receipts",
		},
		args: maybeTuple,
		run: func(cmd *cobra.Command, args []string) error {
			tuple := firstOf(args)
			switch {
			case all == (tuple != ""):
				return a.usage(T{"name one CATEGORY/PURPOSE, or --all", "请指明一项“类别/用途”，或使用 --all"})
			case all && out == "":
				return a.usage(T{"--all needs --out FOLDER: each receipt is a file of its own", "--all 需要 --out 文件夹：每份凭证是一个单独的文件"})
			case event != "" && !slices.Contains(control.Statuses(), event):
				return a.usage(T{"--event is one of requested, deferred, given, refused, withdrawn, expired, invalidated", "--event 只能是 requested、deferred、given、refused、withdrawn、expired、invalidated 之一"})
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			if all {
				return a.exportAll(cmd.Context(), client, event, out)
			}
			return a.exportOne(cmd.Context(), client, tuple, event, out)
		},
	})
	f := cmd.Flags()
	f.BoolVar(&all, "all", false, a.t(T{"every receipt of every purpose", "所有用途的全部凭证"}))
	f.StringVar(&event, "event", "", a.t(T{"the latest receipt of this `EVENT`: given, withdrawn, refused, ...", "该类型 `EVENT` 的最近一份凭证：given、withdrawn、refused 等"}))
	f.StringVar(&out, "out", "", a.t(T{"write to this `FILE`, with --all to this folder", "写入文件 `FILE`；与 --all 同用时为文件夹"}))
	return cmd
}

func (a *app) exportOne(ctx context.Context, client *control.Client, tuple, event, out string) error {
	list, err := consentReceipts(ctx, client, tuple, event)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return hinted{
			errors.New(tuple + ": " + a.t(T{"nothing is recorded that there is a receipt of", "没有可以开具凭证的记录"})),
			a.t(T{"there is one once you have been shown the notice and answered: scruple consent show", "阅读告知书并作答之后即有凭证：scruple consent show"}),
		}
	}
	latest := list[len(list)-1]
	if out == "" {
		if err := a.writeReceipt(latest); err != nil {
			return fmt.Errorf("write the receipt: %w", err)
		}
		return nil
	}
	w, err := save(latest, out)
	if err != nil {
		return err
	}
	return a.printWritten([]written{w})
}

// writeReceipt prints the receipt itself, which is JSON with and without --json.
func (a *app) writeReceipt(r control.ConsentReceipt) error {
	b, err := indented(r)
	if err == nil {
		_, err = a.Stdout.Write(b)
	}
	return err
}

func (a *app) exportAll(ctx context.Context, client *control.Client, event, folder string) error {
	consents, err := client.Consents(ctx)
	if err != nil {
		return err
	}
	if err := durable.MkdirAll(folder); err != nil {
		return fmt.Errorf("make the folder: %w", err)
	}
	done := []written{}
	for _, c := range consents {
		list, err := consentReceipts(ctx, client, c.Tuple, event)
		if err != nil {
			return err
		}
		for _, r := range list {
			name := fmt.Sprintf("%s-%s-%d.json", strings.ReplaceAll(r.Tuple, "/", "-"), r.Event, r.Record)
			w, err := save(r, filepath.Join(folder, name))
			if err != nil {
				return err
			}
			done = append(done, w)
		}
	}
	return a.printWritten(done)
}

func (a *app) printWritten(list []written) error {
	return a.print(list, func(w io.Writer) {
		if len(list) == 0 {
			fmt.Fprintln(w, a.t(T{"There is no receipt yet.", "尚无凭证。"}))
		}
		for _, r := range list {
			fmt.Fprintf(w, a.t(T{"%s: %s, %s: written to %s\n", "%s：%s，%s：已写入 %s\n"}), r.Tuple, a.status(r.Event), when(r.Time), r.File)
		}
	})
}

// consentReceipts asks for the receipts of a tuple and keeps those of event, or all for "".
func consentReceipts(ctx context.Context, client *control.Client, tuple, event string) ([]control.ConsentReceipt, error) {
	list, err := client.ConsentReceipts(ctx, tuple)
	return slices.DeleteFunc(list, func(r control.ConsentReceipt) bool { return event != "" && r.Event != event }), err
}

// save writes a receipt whole or not at all, readable for its owner only.
func save(r control.ConsentReceipt, path string) (written, error) {
	b, err := indented(r)
	if err != nil {
		return written{}, err
	}
	if err := durable.WriteFile(path, b, 0o600); err != nil {
		return written{}, fmt.Errorf("write the receipt: %w", err)
	}
	return written{r.Tuple, r.Event, r.Time, path}, nil
}

func indented(r control.ConsentReceipt) ([]byte, error) {
	var b bytes.Buffer
	if err := json.Indent(&b, r.Receipt, "", "  "); err != nil {
		return nil, errors.New("the daemon's receipt is no JSON")
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}
