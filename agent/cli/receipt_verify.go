package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/receipt"
)

// partWords say which part of a receipt does not hold.
var partWords = map[receipt.Part]T{
	receipt.PartFormat:     {"this is not a consent receipt", "这不是同意凭证"},
	receipt.PartKey:        {"the receipt is of another ledger than the one whose key was given", "凭证所属的账本与所给公钥不符"},
	receipt.PartCheckpoint: {"the state of the ledger is not signed by the key", "账本状态没有该密钥的有效签名"},
	receipt.PartProof:      {"the record is not at that place of the ledger", "该记录不在账本的这一位置"},
	receipt.PartRecord:     {"what is in the ledger at that place is not the record of a consent", "账本中这一位置不是同意记录"},
	receipt.PartTerms:      {"the terms are not those that the record names", "条款与记录不符"},
	receipt.PartNotice:     {"the notice is not the text that was shown", "告知书与当时展示的文本不符"},
	receipt.PartField:      {"a field says something else than the record", "有字段与记录不符"},
}

// verdict is the answer of "receipt verify".
type verdict struct {
	File     string            `json:"file"`
	Verified bool              `json:"verified"`
	Part     string            `json:"part,omitempty"`   // that does not hold
	Detail   string            `json:"detail,omitempty"` // the path of a field, or what is wrong
	Receipt  *receipt.Verified `json:"receipt,omitempty"`
}

func receiptVerifyCommand(a *app) *cobra.Command {
	var key string
	cmd := a.command(command{
		use:   "verify FILE [--key KEY]",
		short: T{"is a receipt genuine, to the last word?", "核验凭证是否逐字真实"},
		long: T{
			"Checks a consent receipt without the daemon and without asking anybody: the record is in the ledger that the key\nsigns, the notice and the terms are those of the record, and every field says what they say.\n\nWithout --key the key inside the receipt is used. That shows that the receipt is whole, but not whose it is: anybody can\nmake a ledger. \"scruple ledger verify\" on the device shows its keys.",
			"无需后台服务、无需询问任何人即可核验同意凭证：记录在该密钥签名的账本之中，\n告知书和条款与记录一致，每个字段都与之相符。\n\n不使用 --key 时采用凭证内的公钥，只能说明凭证完整，不能说明属于谁：任何人都可以建立账本。\n本设备的公钥可用“scruple ledger verify”查看。",
		},
		example: T{
			"  scruple receipt verify steps.json\n  scruple receipt verify steps.json --key scruple.example/ledger/...",
			"  scruple receipt verify steps.json\n  scruple receipt verify steps.json --key scruple.example/ledger/...",
		},
		args: oneName,
		run:  func(_ *cobra.Command, args []string) error { return a.verifyReceipt(args[0], key) },
	})
	cmd.Flags().StringVar(&key, "key", "", a.t(T{"public `KEY` of the ledger that it must be of", "凭证必须属于的账本的公钥 `KEY`"}))
	return cmd
}

func (a *app) verifyReceipt(path, key string) error {
	file, err := readReceipt(path)
	if err != nil {
		return err
	}
	v, err := receipt.Verify(file, key)
	var fault *receipt.Fault
	if errors.As(err, &fault) {
		if a.json {
			answer := verdict{File: path, Part: string(fault.Part), Detail: fault.Detail}
			if err := a.print(answer, nil); err != nil {
				return err
			}
			return said(control.ExitFailed)
		}
		why := a.t(partWords[fault.Part])
		if fault.Part == receipt.PartField || fault.Part == receipt.PartFormat { // where it is, which has no translation
			why += " (" + fault.Detail + ")"
		}
		hint := T{"it was damaged or forged; ask for the file as it was exported", "文件已损坏或系伪造；请索取导出时的原始文件"}
		if fault.Part == receipt.PartKey {
			hint = T{"scruple ledger verify shows the keys of this device", "scruple ledger verify 显示本设备的公钥"}
		}
		return hinted{fmt.Errorf(a.t(T{"%s: NOT VERIFIED: %s", "%s：核验未通过：%s"}), path, why), a.t(hint)}
	}
	if err != nil {
		return err
	}
	return a.print(verdict{File: path, Verified: true, Receipt: &v}, func(w io.Writer) { a.showReceipt(w, path, v) })
}

func (a *app) showReceipt(w io.Writer, path string, v receipt.Verified) {
	fmt.Fprintf(w, a.t(T{"%s: verified\n", "%s：核验通过\n"}), path)
	rows := [][]string{
		{a.t(T{"consent", "同意"}), join(", ", v.Tuple, a.status(v.Event), when(v.Time))},
		{a.t(T{"controller", "控制者"}), v.Name + " (" + v.Controller + ")"},
	}
	if !v.Expiry.IsZero() {
		rows = append(rows, []string{a.t(T{"valid until", "有效期至"}), when(v.Expiry)})
	}
	by := a.t(T{"the person", "本人"})
	if !v.Person {
		by = a.t(T{"a program: it is no answer of the person", "程序：并非本人作答"})
	}
	notice := a.t(T{"none was shown", "未展示"})
	if v.Notice != "" {
		notice = v.Lang + ", SHA-256 " + v.Notice
	}
	whose := a.t(T{"the one that was given", "由您给出"})
	if !v.KeyGiven {
		whose = a.t(T{"from the receipt itself: it is whole, but whose it is remains open (--key)", "来自凭证本身：凭证完整，但无法说明属于谁（--key）"})
	}
	table(w, append(
		rows,
		[]string{a.t(T{"indicated by", "表示者"}), by},
		[]string{a.t(T{"notice", "告知书"}), notice},
		[]string{a.t(T{"policy", "政策"}), fmt.Sprintf(a.t(T{"%s version %d", "%s 第 %d 版"}), v.Policy, v.Version)},
		[]string{a.t(T{"ledger", "账本"}), fmt.Sprintf(a.t(T{"%s, record %d of %d", "%s，第 %d 条，共 %d 条"}), v.Ledger, v.Index+1, v.Size)},
		[]string{a.t(T{"key", "公钥"}), v.Key},
		[]string{"", whose},
	))
}

// readReceipt reads no more of a file than a receipt can be long, plus one byte that tells.
func readReceipt(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, receipt.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}
