package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/hasher/canonical"
)

// maxFormLine is the longest line that "hasher canonical" reads, in bytes. No number and no address comes near it.
const maxFormLine = 64 << 10

// formKinds are the identifiers that "hasher canonical" knows, as package hasher calls them.
var formKinds = []string{"phone", "email", "email-folded"}

func hasherCanonicalCommand(a *app) *cobra.Command {
	var (
		kind   string
		region func() (string, error)
	)
	cmd := a.command(command{
		use:   "canonical --kind phone|email|email-folded",
		short: T{"the one spelling of each number or address on standard input", "输出标准输入中每个号码或地址的统一写法"},
		long: T{
			"Reads lines REGION<TAB>INPUT from standard input and answers each with one line: the canonical form, or ERR and a\nword. REGION is where a number without country code is dialled, ZZ for nowhere. A line without a tab is all input:\na telephone number is then read in --region, and an e-mail address needs no region anyway. Lines of more than\n64 kB are answered ERR too-long. Lines end with LF; a CR before it belongs to the line end.\n\nThe words: country-code, not-a-number, too-short-after-idd, too-short, too-long, not-an-address, bad-domain.",
			"从标准输入读取“地区<制表符>内容”形式的行，每行回答一行：统一写法，或 ERR 加一个词。\n地区是拨打无国家代码号码的所在地，ZZ 表示不指定。没有制表符的行整行作为内容：\n电话号码按 --region 读取，电子邮件地址本来就不需要地区。超过 64 kB 的行回答 ERR too-long。\n行以 LF 结束，其前的 CR 属于行尾。\n\n可能的词：country-code、not-a-number、too-short-after-idd、too-short、too-long、not-an-address、bad-domain。",
		},
		example: T{
			"  printf 'CN\\t138 0000 1234\\nZZ\\t+44 7700 900123\\n' | scruple hasher canonical --kind phone\n  printf 'Ada@Example.COM\\n' | scruple hasher canonical --kind email",
			"  printf 'CN\\t138 0000 1234\\nZZ\\t+44 7700 900123\\n' | scruple hasher canonical --kind phone\n  printf 'Ada@Example.COM\\n' | scruple hasher canonical --kind email",
		},
		run: func(*cobra.Command, []string) error {
			if !slices.Contains(formKinds, kind) {
				return a.usage(T{"--kind is phone, email or email-folded", "--kind 应为 phone、email 或 email-folded"})
			}
			r, err := region()
			if err != nil {
				return err
			}
			f := &former{kind: kind, region: r, json: a.json}
			return f.copy(a.Stdout, a.Stdin)
		},
	})
	cmd.Flags().StringVar(&kind, "kind", "", a.t(T{"`KIND` of identifier: phone, email or email-folded", "标识符类别 `KIND`：phone、email 或 email-folded"}))
	a.complete(cmd, "kind", func() []string { return slices.Clone(formKinds) })
	region = a.regionFlag(cmd)
	return cmd
}

// former answers lines with canonical forms.
type former struct {
	kind   string
	region string // of lines that name none
	json   bool
	out    []byte
	form   []byte
}

// copy answers every line of r. Before each read that may wait, what was answered so far is written.
func (f *former) copy(w io.Writer, r io.Reader) error {
	buf := make([]byte, 4*maxFormLine)
	var (
		start, end int  // what is read and not answered
		long       bool // inside a line that is too long
	)
	flush := func() error {
		if len(f.out) == 0 {
			return nil
		}
		_, err := w.Write(f.out)
		f.out = f.out[:0]
		if err != nil {
			return fmt.Errorf("write the answer: %w", err)
		}
		return nil
	}
	for {
		for {
			k := bytes.IndexByte(buf[start:end], '\n')
			if k < 0 {
				break
			}
			f.answer(buf[start:start+k], long)
			start, long = start+k+1, false
		}
		if end-start > maxFormLine {
			start, long = end, true
		}
		if err := flush(); err != nil {
			return err
		}
		end = copy(buf, buf[start:end])
		start = 0
		n, err := r.Read(buf[end:])
		end += n
		if err == nil {
			continue
		}
		if k := bytes.LastIndexByte(buf[:end], '\n'); k >= 0 {
			continue // the error comes again
		}
		if end > 0 || long {
			f.answer(buf[:end], long)
		}
		if ferr := flush(); ferr != nil {
			return ferr
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		return fmt.Errorf("read standard input: %w", err)
	}
}

// answer adds the answer to one line; long tells that its beginning was dropped.
func (f *former) answer(line []byte, long bool) {
	form, err := f.form[:0], error(canonical.ErrTooLong)
	if !long && len(line) <= maxFormLine {
		form, err = f.read(line)
	}
	f.form = form
	switch word := canonical.Word(err); {
	case f.json:
		at := len(f.out)
		f.out = append(appendResult(f.out, form, word), '}', '\n')
		f.out[at] = '{'
	case err != nil:
		f.out = append(append(append(f.out, "ERR "...), word...), '\n')
	default:
		f.out = append(append(f.out, form...), '\n')
	}
}

// read returns the canonical form of the input in a line.
func (f *former) read(line []byte) ([]byte, error) {
	line = bytes.TrimSuffix(line, []byte{'\r'})
	region, input, tab := bytes.Cut(line, []byte{'\t'})
	if f.kind == "phone" {
		if !tab {
			return canonical.AppendPhone(f.form[:0], line, f.region)
		}
		return canonical.AppendPhone(f.form[:0], input, string(region))
	}
	if !tab || !isRegion(region) {
		input = line
	}
	if f.kind == "email" {
		return canonical.AppendEmail(f.form[:0], input)
	}
	form, _, err := canonical.AppendEmailFolded(f.form[:0], input)
	return form, err
}

// isRegion tells whether b is written as a region is.
func isRegion(b []byte) bool {
	return len(b) == 2 && 'A' <= b[0] && b[0] <= 'Z' && 'A' <= b[1] && b[1] <= 'Z'
}
