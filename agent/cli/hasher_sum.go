package cli

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/hasher"
	"github.com/scruple-agent/scruple/hasher/canonical"
	"github.com/scruple-agent/scruple/sensors/contacts/vcard"
)

func hasherSumCommand(a *app) *cobra.Command {
	var (
		digests bool
		region  func() (string, error)
	)
	cmd := a.command(command{
		use:   "sum FILE|FOLDER [--digests]",
		short: T{"what a report of an address book would hold: how many digests, and how long it took", "通讯录报告会包含多少摘要，以及所用时间"},
		long: T{
			"Takes an address book through the whole pass that a report is made by, and counts: values, those without a canonical\nform, distinct digests, and the size class that hides their exact number. A book with more different values than a\nreport holds ends with code 1.\n\nThe key is random and forgotten at the end, so the digests of --digests match nothing, not even those of the next\ncall. They show what the form of a report is. With --json they come first, one object a line, then the counts.",
			"按制作报告的完整流程处理通讯录并计数：值的个数、没有统一写法的值、不同的摘要，\n以及用来掩盖确切数目的档位。不同的值超过报告容量时，退出码为 1。\n\n密钥是随机的，用后即弃，因此 --digests 输出的摘要不与任何数据匹配，也不与下次运行的结果匹配，\n只用于展示报告的形式。使用 --json 时先逐行输出摘要，最后输出计数。",
		},
		example: T{
			"  scruple hasher sum contacts.vcf --region CN\n  scruple hasher sum ~/contacts --digests",
			"  scruple hasher sum contacts.vcf --region CN\n  scruple hasher sum ~/contacts --digests",
		},
		args: oneName,
		run: func(cmd *cobra.Command, args []string) error {
			r, err := region()
			if err != nil {
				return err
			}
			return a.sumContacts(cmd.Context(), args[0], r, digests)
		},
	})
	region = a.regionFlag(cmd)
	cmd.Flags().BoolVar(&digests, "digests", false, a.t(T{"print the digests, under a key that is forgotten", "输出摘要，所用密钥用后即弃"}))
	return cmd
}

// hasherSum is the answer of "hasher sum".
type hasherSum struct {
	Files   int            `json:"files"`
	Cards   int            `json:"cards"`
	Values  int            `json:"values"`
	Tels    int            `json:"tels"`
	Emails  int            `json:"emails"`
	Errors  map[string]int `json:"errors"`  // values without a canonical form, by word
	Skipped map[string]int `json:"skipped"` // what was passed over, by word
	Digests int            `json:"digests"` // distinct
	Padded  int            `json:"padded"`  // digests of the report
	Seconds float64        `json:"seconds"`
	Backend string         `json:"backend"`
}

func (a *app) sumContacts(ctx context.Context, path, region string, digests bool) error {
	backend := hasher.Backend() // chosen before the clock starts
	start := time.Now()
	scan, err := a.scan(path)
	if err != nil {
		return err
	}
	defer scan.Close()
	p, err := newPass(region)
	if err != nil {
		return err
	}
	defer p.close()
	for {
		e, err := scan.Next(ctx)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if err := p.add(e.Kind, e.Raw()); err != nil {
			return err
		}
		if p.sorted > hasher.MaxPadded {
			return a.tooMany(path)
		}
	}
	set := p.finish()
	distinct := len(set) / hasher.DigestSize
	if distinct > hasher.MaxPadded {
		return a.tooMany(path)
	}
	pad := make([]byte, hasher.EpochKeySize)
	_, _ = rand.Read(pad)
	padded := hasher.Pad(set, pad)
	took := time.Since(start)

	st := scan.Stats()
	sum := hasherSum{
		Files: st.Files, Cards: st.Cards, Values: st.Tels + st.Emails, Tels: st.Tels, Emails: st.Emails, Errors: p.errors, Skipped: st.Skipped,
		Digests: distinct, Padded: len(padded) / hasher.DigestSize, Seconds: took.Seconds(), Backend: backend,
	}
	w := bufio.NewWriterSize(a.Stdout, 64<<10)
	text := a.Stdout
	if digests {
		text = a.Stderr // the counts, so that a pipe gets digests only
		a.writeDigests(w, padded)
	}
	if a.json {
		b, err := json.Marshal(sum)
		if err != nil {
			return err
		}
		_, _ = w.Write(append(b, '\n'))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	if !a.json {
		a.writeSum(text, sum, took)
	}
	return a.unreadable(path, st)
}

func (a *app) tooMany(path string) error {
	return fmt.Errorf(a.t(T{
		"%s: more than %d different numbers and addresses, which no report holds", "%s：不同的号码和地址超过 %d 个，任何报告都容纳不下",
	}), path, hasher.MaxPadded)
}

func (a *app) writeDigests(w *bufio.Writer, set []byte) {
	var line []byte
	for ; len(set) > 0; set = set[hasher.DigestSize:] {
		line = line[:0]
		if a.json {
			line = append(line, `{"digest":"`...)
		}
		line = hex.AppendEncode(line, set[:hasher.DigestSize])
		if a.json {
			line = append(line, `"}`...)
		}
		_, _ = w.Write(append(line, '\n')) // Flush tells
	}
}

func (a *app) writeSum(w io.Writer, sum hasherSum, took time.Duration) {
	fmt.Fprintf(w, a.t(T{
		"files: %d, cards: %d, telephone numbers: %d, e-mail addresses: %d\n", "%d 个文件，%d 张名片：%d 个电话号码，%d 个电子邮件地址\n",
	}), sum.Files, sum.Cards, sum.Tels, sum.Emails)
	if len(sum.Errors) > 0 {
		fmt.Fprintf(w, a.t(T{"without a canonical form: %s\n", "没有统一写法：%s\n"}), counts(sum.Errors))
	}
	if len(sum.Skipped) > 0 {
		fmt.Fprintf(w, a.t(T{"passed over: %s\n", "已跳过：%s\n"}), counts(sum.Skipped))
	}
	fmt.Fprintf(w, a.t(T{"distinct digests: %d, padded to %d\n", "%d 个不同的摘要，补齐到 %d 个\n"}), sum.Digests, sum.Padded)
	perCard := time.Duration(0)
	if sum.Cards > 0 {
		perCard = took / time.Duration(sum.Cards)
	}
	fmt.Fprintf(w, a.t(T{"%s, %s a card, kernel %s\n", "用时 %s，每张名片 %s，内核 %s\n"}), short(took), short(perCard), sum.Backend)
}

// short writes a duration with three digits or so.
func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	case d >= time.Microsecond:
		return d.Round(10 * time.Nanosecond).String()
	}
	return d.String()
}

// passChunk is how many identifiers wait before they become digests: enough to keep every lane busy, and about 1 MB of
// raw values.
const passChunk = 1 << 15

// pass is what becomes of the values of an address book, under a key of its own that ends with it. Memory is
// bounded by the number of distinct values.
type pass struct {
	region  string
	keys    [2]*hasher.Key // telephone numbers, e-mail addresses
	batches [2]hasher.Batch
	digests []byte
	sorted  int // digests up to here are sorted and distinct
	errors  map[string]int
}

func newPass(region string) (*pass, error) {
	p := &pass{region: region, errors: map[string]int{}}
	epoch := make([]byte, hasher.EpochKeySize)
	defer clear(epoch)
	_, _ = rand.Read(epoch) // never fails
	for i, kind := range [...]hasher.Kind{hasher.Phone, hasher.Email} {
		var err error
		if p.keys[i], err = hasher.NewKey(epoch, kind, canonical.PhoneForm); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// lane is the place of a kind in the arrays of a pass.
func lane(kind vcard.Kind) int {
	if kind == vcard.Email {
		return 1
	}
	return 0
}

func (p *pass) add(kind vcard.Kind, raw []byte) error {
	i := lane(kind)
	b := &p.batches[i]
	form, err := appendForm(b.Buf(), kind, raw, p.region)
	if err != nil {
		p.errors[canonical.Word(err)]++
		return nil
	}
	if err := b.Commit(form); err != nil {
		return err
	}
	if b.Len() >= passChunk {
		p.flush(i)
	}
	return nil
}

func (p *pass) flush(i int) {
	p.digests = p.keys[i].AppendDigests(p.digests, &p.batches[i])
	p.batches[i].Reset()
	if len(p.digests)/hasher.DigestSize >= 2*p.sorted+passChunk {
		p.dedupe()
	}
}

func (p *pass) dedupe() {
	p.digests = hasher.SortDedupe(p.digests)
	p.sorted = len(p.digests) / hasher.DigestSize
}

// finish returns the set of digests.
func (p *pass) finish() []byte {
	for i := range p.batches {
		p.flush(i)
	}
	p.dedupe()
	return p.digests
}

func (p *pass) close() {
	for i := range p.batches {
		p.keys[i].Destroy()
		p.batches[i].Reset()
	}
}
