package cli

import (
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/ledger"
)

func ledgerCommand(a *app) *cobra.Command {
	cmd := a.command(command{
		use:   "ledger",
		short: T{"the record of what you were asked and answered, and its proofs", "您被询问和作答的记录及其证明"},
		long: T{
			"What you were asked, shown and answered is kept in one ledger per controller, to which can only be added. A checkpoint\nis its signed state. Keep one, or a proof, where this device cannot reach it: it shows later whether something was\ntaken out, changed, or put back to an older state.",
			"您被询问、看到和作答的内容，按控制者分别记入只能追加的账本。检查点是账本当时状态的签名。\n请把检查点或证明保存在本设备之外：日后即可看出账本是否被删改，或被恢复到旧状态。",
		},
		example: T{
			"  scruple ledger verify\n  scruple ledger checkpoint messenger --out kept.checkpoint\n  scruple ledger verify kept.checkpoint",
			"  scruple ledger verify\n  scruple ledger checkpoint messenger --out kept.checkpoint\n  scruple ledger verify kept.checkpoint",
		},
	})
	cmd.AddCommand(ledgerVerifyCommand(a), ledgerCheckpointCommand(a), ledgerProofCommand(a), ledgerGrowthCommand(a))
	return cmd
}

func ledgerVerifyCommand(a *app) *cobra.Command {
	var proof, key, old string
	cmd := a.command(command{
		use:   "verify [FILE] | verify --proof FILE --key KEY",
		short: T{"are the ledgers in order, do they begin with what was kept?", "账本是否完好，是否与所保存的一致？"},
		long: T{
			"Reads every ledger anew and checks each record against the tree head in the key ring. With FILE, a checkpoint or\nproof that you kept, the daemon compares it with the ledger that it is about; a ledger that is older or another one\nmakes every consent invalid, and you will be asked again.\n\nWith --proof and --key it checks a file with nothing but the public key, without a daemon: a checkpoint, the proof of a\nrecord, or with --old, the earlier checkpoint, that the ledger only grew.",
			"重新读取每个账本，并逐条与密钥环中的树根核对。指明 FILE（您保存的检查点或证明）时，\n由后台服务与相应账本比对；若账本更旧或不是同一个，所有同意即告失效，并将重新征求。\n\n使用 --proof 和 --key 时，只凭公钥核验文件，无需后台服务：检查点、某条记录的证明，\n或配合 --old（较早的检查点）核验账本只增不减。",
		},
		example: T{
			"  scruple ledger verify\n  scruple ledger verify kept.checkpoint\n  scruple ledger verify --proof record.tlog-proof --key scruple.example/ledger/0123...+89abcdef+...",
			"  scruple ledger verify\n  scruple ledger verify kept.checkpoint\n  scruple ledger verify --proof record.tlog-proof --key scruple.example/ledger/0123...+89abcdef+...",
		},
		args: maybeName,
		run: func(cmd *cobra.Command, args []string) error {
			switch {
			case proof == "" && key == "" && old == "" && len(args) == 0:
				return a.verifyLedgers(cmd)
			case proof == "" && key == "" && old == "":
				return a.compareLedger(cmd, args[0])
			case proof == "" || key == "" || len(args) > 0:
				return a.usage(T{"without the daemon it takes --proof FILE and --key KEY", "不经后台服务核验时需要 --proof FILE 和 --key KEY"})
			}
			return a.verifyProof(proof, key, old)
		},
	})
	cmd.Flags().StringVar(&proof, "proof", "", a.t(T{"`FILE` to check with the key alone", "只凭公钥核验的文件 `FILE`"}))
	cmd.Flags().StringVar(&key, "key", "", a.t(T{"the ledger's public `KEY`", "账本的公钥 `KEY`"}))
	cmd.Flags().StringVar(&old, "old", "", a.t(T{"`FILE` of the earlier checkpoint", "较早的检查点文件 `FILE`"}))
	return cmd
}

func (a *app) verifyLedgers(cmd *cobra.Command) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	list, err := client.Ledgers(cmd.Context())
	if err != nil {
		return err
	}
	bad := false
	err = a.print(list, func(w io.Writer) {
		rows := [][]string{{
			a.t(T{"CONTROLLER", "控制者"}), a.t(T{"RECORDS", "记录"}), a.t(T{"READABLE", "可读"}), a.t(T{"ERASED", "已删除"}),
			a.t(T{"NOT CONFIRMED", "未确认"}), a.t(T{"STATE", "状态"}),
		}}
		for _, l := range list {
			rows = append(rows, []string{
				l.Controller, fmt.Sprint(l.Size), fmt.Sprint(l.Readable), fmt.Sprint(l.Erased), fmt.Sprint(l.Unsent), a.ledgerState(l),
			})
		}
		table(w, rows)
	})
	for _, l := range list {
		bad = bad || l.Problem != ""
	}
	if err == nil && bad {
		return said(control.ExitFailed)
	}
	return err
}

func (a *app) ledgerState(l control.Ledger) string {
	switch {
	case l.Problem != "":
		return a.said(l.Problem)
	case l.Size == 0:
		return a.t(T{"nothing is recorded", "尚无记录"})
	}
	return a.t(T{"in order", "完好"})
}

func (a *app) compareLedger(cmd *cobra.Command, path string) error {
	kept, err := readBounded(path)
	if err != nil {
		return err
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	got, err := client.LedgerCompare(cmd.Context(), string(kept))
	if err != nil {
		return err
	}
	err = a.print(got, func(w io.Writer) {
		switch {
		case got.RolledBack:
			fmt.Fprintf(w, a.t(T{
				"%s: the ledger does not begin with what was kept (records then: %d, now: %d). It was put back to an older state,\nor it is another one: every consent is invalid now. What is to be collected will be asked for again.\n",
				"%s：账本与所保存的不一致（当时记录 %d 条，现有 %d 条）。它被恢复到了旧状态，\n或不是同一个账本：所有同意现已失效，需要收集的数据将重新征求同意。\n",
			}), got.Controller, got.KeptSize, got.Size)
		case got.Restarted:
			fmt.Fprintf(w, a.t(T{
				"%s: what was kept (records: %d) is of an earlier ledger, which was damaged and restarted\n",
				"%s：所保存的（记录 %d 条）属于先前的账本，该账本已损坏并重新开始\n",
			}), got.Controller, got.KeptSize)
		default:
			fmt.Fprintf(w, a.t(T{
				"%s: the ledger begins with what was kept (records then: %d, now: %d)\n",
				"%s：账本以所保存的内容开头（当时记录 %d 条，现有 %d 条）\n",
			}), got.Controller, got.KeptSize, got.Size)
		}
	})
	if err == nil && got.RolledBack {
		return said(control.ExitFailed)
	}
	return err
}

// ledgerVerified is the answer of "ledger verify --proof".
type ledgerVerified struct {
	Kind   string `json:"kind"` // "checkpoint", "record" or "growth"
	Origin string `json:"origin"`
	Size   uint64 `json:"size"`
	Root   string `json:"root"`
	// Old is the size of the earlier checkpoint of a proof of growth.
	Old *uint64 `json:"old,omitempty"`
	// Record and what follows are those of the proof of a record.
	Record   *uint64 `json:"record,omitempty"`
	Event    string  `json:"event,omitempty"`
	Time     int64   `json:"time,omitempty"` // unix seconds
	Category string  `json:"category,omitempty"`
	Purpose  string  `json:"purpose,omitempty"`
}

func (a *app) verifyProof(path, key, oldPath string) error {
	b, err := readBounded(path)
	if err != nil {
		return err
	}
	answer, err := a.verified(b, key, oldPath)
	if err != nil {
		return hinted{fmt.Errorf("%s: %w", path, err), a.t(T{"is it the key that scruple ledger checkpoint prints?", "所用的是 scruple ledger checkpoint 输出的公钥吗？"})}
	}
	return a.print(answer, func(w io.Writer) {
		switch answer.Kind {
		case "record":
			fmt.Fprintf(w, a.t(T{"record %d of %d: %s\n", "第 %d 条记录（共 %d 条）：%s\n"}), *answer.Record, answer.Size,
				join("  ", answer.Event, answer.Category+"/"+answer.Purpose, when(time.Unix(answer.Time, 0))))
		case "growth":
			fmt.Fprintf(w, a.t(T{"the ledger only grew, from %d to %d records\n", "账本只增不减：从 %d 条到 %d 条记录\n"}), *answer.Old, answer.Size)
		default:
			fmt.Fprintf(w, a.t(T{"a checkpoint of %d records\n", "检查点：%d 条记录\n"}), answer.Size)
		}
		fmt.Fprintf(w, a.t(T{"signed by %s\n", "由 %s 签名\n"}), answer.Origin)
	})
}

func (a *app) verified(b []byte, key, oldPath string) (ledgerVerified, error) {
	answer := func(kind string, c ledger.Checkpoint, err error) (ledgerVerified, error) {
		return ledgerVerified{Kind: kind, Origin: c.Origin, Size: c.Size, Root: hex.EncodeToString(c.Root[:])}, err
	}
	if _, err := ledger.ParseProof(b); err == nil {
		c, n, record, err := ledger.VerifyWhole(b, key)
		if err != nil {
			return ledgerVerified{}, err
		}
		s, err := consent.DecodeStatement(record)
		if err != nil {
			return ledgerVerified{}, err
		}
		v, err := answer("record", c, nil)
		v.Record, v.Event, v.Time = &n, string(s.Event), s.Time
		v.Category, v.Purpose = visible(string(s.Category)), visible(string(s.Purpose))
		return v, err
	}
	if g, err := ledger.ParseGrowth(b); err == nil {
		if oldPath == "" {
			return ledgerVerified{}, a.usage(T{"a proof of growth is checked with --old, the earlier checkpoint", "核验增长证明需要用 --old 指明较早的检查点"})
		}
		earlier, err := readBounded(oldPath)
		if err != nil {
			return ledgerVerified{}, err
		}
		old, err := ledger.OpenCheckpoint(earlier, key)
		if err != nil {
			return ledgerVerified{}, fmt.Errorf("%s: %w", oldPath, err)
		}
		c, err := ledger.VerifyGrowth(b, old, key)
		if err != nil {
			return ledgerVerified{}, err
		}
		v, err := answer("growth", c, nil)
		v.Old = &g.Old
		return v, err
	}
	c, err := ledger.OpenCheckpoint(b, key)
	return answer("checkpoint", c, err)
}

// visible takes out what a terminal would obey.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}

func ledgerCheckpointCommand(a *app) *cobra.Command {
	var out string
	cmd := a.command(command{
		use:   "checkpoint [CONTROLLER] [--out FILE]",
		short: T{"the signed state of a ledger, to be kept elsewhere", "账本状态的签名，请保存在别处"},
		long: T{
			"Prints the signed state of a controller's ledger and its public key. It names no person, controller or consent. All\nconsents of one controller share it, so whoever sees it twice knows that both are of one person.",
			"输出某控制者账本状态的签名及其公钥。其中不含个人、控制者或同意的信息。\n同一控制者的全部同意共用一个账本，因此两次看到它的人会知道二者属于同一人。",
		},
		example: T{
			"  scruple ledger checkpoint\n  scruple ledger checkpoint messenger --out kept.checkpoint",
			"  scruple ledger checkpoint\n  scruple ledger checkpoint messenger --out kept.checkpoint",
		},
		args: maybeName,
		run: func(cmd *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			all, err := client.Ledgers(cmd.Context())
			if err != nil {
				return err
			}
			name := firstOf(args)
			list := []control.Ledger{}
			for _, l := range all {
				if name == "" && l.Checkpoint != "" || name == l.Controller {
					list = append(list, l)
				}
			}
			switch {
			case name != "" && len(list) == 0:
				return a.usage(T{"there is no controller %q", "没有控制者 %q"}, name)
			case name != "" && list[0].Checkpoint == "":
				return fmt.Errorf("%s: %s", name, a.ledgerState(list[0]))
			case out != "" && len(list) != 1:
				return a.usage(T{"--out takes the checkpoint of one controller: name it", "--out 只写入一个控制者的检查点：请指明控制者"})
			case out != "":
				if err := writeNew(out, []byte(list[0].Checkpoint)); err != nil {
					return err
				}
			}
			return a.print(list, func(w io.Writer) {
				for _, l := range list {
					fmt.Fprintf(w, a.t(T{"%s: records: %d\nkey %s\n", "%s：记录 %d 条\n公钥 %s\n"}), l.Controller, l.Size, l.Key)
					if out == "" {
						fmt.Fprintf(w, "\n%s\n", l.Checkpoint)
					}
				}
			})
		},
	})
	cmd.ValidArgsFunction = a.completeController
	cmd.Flags().StringVar(&out, "out", "", a.t(T{"a new `FILE` for the checkpoint", "保存检查点的新文件 `FILE`"}))
	return cmd
}

func ledgerProofCommand(a *app) *cobra.Command {
	return a.ledgerExport(command{
		use:   "proof CONTROLLER RECORD [--out FILE]",
		short: T{"the proof that a record is in a ledger, with the record", "某条记录在账本中的证明，附该记录"},
		long: T{
			"Prints a C2SP tlog-proof that the record of this number (from 0) is in the controller's ledger. It holds what the\nrecord says, without consent id or account, and is checked with the public key alone.",
			"输出 C2SP tlog-proof，证明该编号（从 0 起）的记录在控制者的账本中。其中有记录的内容，\n但不含同意编号或账户，只凭公钥即可核验。",
		},
		example: T{
			"  scruple ledger proof messenger 3 --out record.tlog-proof\n  scruple ledger verify --proof record.tlog-proof --key scruple.example/ledger/0123...+89abcdef+...",
			"  scruple ledger proof messenger 3 --out record.tlog-proof\n  scruple ledger verify --proof record.tlog-proof --key scruple.example/ledger/0123...+89abcdef+...",
		},
	}, func(cmd *cobra.Command, client *control.Client, controller string, n uint64) (control.LedgerProof, error) {
		return client.LedgerProof(cmd.Context(), controller, n)
	})
}

func ledgerGrowthCommand(a *app) *cobra.Command {
	return a.ledgerExport(command{
		use:   "growth CONTROLLER SIZE [--out FILE]",
		short: T{"the proof that a ledger only grew since it had SIZE records", "账本自 SIZE 条记录以来只增不减的证明"},
		long: T{
			"Prints the RFC 6962 consistency proof from the ledger of SIZE records to the present one, in the form in which a log\nasks a C2SP tlog-witness for its signature.",
			"输出从 SIZE 条记录到当前账本的 RFC 6962 一致性证明，格式与日志请求 C2SP tlog-witness 联署时相同。",
		},
		example: T{
			"  scruple ledger growth messenger 4 --out growth\n  scruple ledger verify --proof growth --old kept.checkpoint --key scruple.example/ledger/0123...+89abcdef+...",
			"  scruple ledger growth messenger 4 --out growth\n  scruple ledger verify --proof growth --old kept.checkpoint --key scruple.example/ledger/0123...+89abcdef+...",
		},
	}, func(cmd *cobra.Command, client *control.Client, controller string, n uint64) (control.LedgerProof, error) {
		return client.LedgerGrowth(cmd.Context(), controller, n)
	})
}

// ledgerExport is a command that asks for a proof about a controller's ledger and a number, and prints or writes it.
func (a *app) ledgerExport(c command, ask func(*cobra.Command, *control.Client, string, uint64) (control.LedgerProof, error)) *cobra.Command {
	var out string
	c.args = oneOrTwoNames
	c.run = func(cmd *cobra.Command, args []string) error {
		if len(args) != 2 {
			return a.usage(T{"%s needs a controller and a number", "%s 需要控制者和编号"}, cmd.CommandPath())
		}
		n, err := strconv.ParseUint(args[1], 10, 63)
		if err != nil {
			return a.usage(T{"%s needs a controller and a number", "%s 需要控制者和编号"}, cmd.CommandPath())
		}
		client, err := a.client()
		if err != nil {
			return err
		}
		p, err := ask(cmd, client, args[0], n)
		if err != nil {
			return err
		}
		if out != "" {
			if err := writeNew(out, []byte(p.Proof)); err != nil {
				return err
			}
		}
		return a.print(p, func(w io.Writer) {
			if out == "" {
				fmt.Fprint(w, p.Proof)
				return
			}
			fmt.Fprintf(w, a.t(T{"%s: written; key %s\n", "%s：已写入；公钥 %s\n"}), out, p.Key)
		})
	}
	cmd := a.command(c)
	cmd.ValidArgsFunction = a.completeController
	cmd.Flags().StringVar(&out, "out", "", a.t(T{"a new `FILE` rather than standard output", "写入新文件 `FILE`，而不是标准输出"}))
	return cmd
}

// completeController asks the daemon for the controllers; without a daemon there are none.
func (a *app) completeController(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	a.flags = cmd.Flags()
	client, err := a.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	list, err := client.Ledgers(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []cobra.Completion
	for _, l := range list {
		names = append(names, l.Controller)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
