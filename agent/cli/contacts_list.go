package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/hasher/canonical"
	"github.com/scruple-agent/scruple/sensors"
	"github.com/scruple-agent/scruple/sensors/contacts"
	"github.com/scruple-agent/scruple/sensors/contacts/vcard"
)

func contactsListCommand(a *app) *cobra.Command {
	var region func() (string, error)
	cmd := a.command(command{
		use:   "list FILE|FOLDER [--json]",
		short: T{"its telephone numbers and e-mail addresses, as written and as compared", "列出电话号码和电子邮件地址：原文及比对所用的形式"},
		long: T{
			"Lists every telephone number and e-mail address of a vCard file, or of the .vcf, .vcard and .contact files in a\nfolder, with the one spelling that is compared. Damaged cards are counted and passed over; a file that cannot be read ends with code 1.\n\nWith --json one object a line: file, card (number in the file), kind (tel or email), value as written after decoding,\nand canonical or error; then one with the counts: files, cards, values, tels, emails, canonical, errors and skipped by\nword, and the places of the first that were passed over: file, card, line and word.",
			"列出一个 vCard 文件或文件夹内全部 .vcf、.vcard 和 .contact 文件中的电话号码和电子邮件地址，\n以及比对所用的统一写法。损坏的名片会计数并跳过；若有文件无法读取，退出码为 1。\n\n使用 --json 时每行一个对象：file、card（文件内序号）、kind（tel 或 email）、value（解码后的原文），\n以及 canonical 或 error；最后一行是计数：files、cards、values、tels、emails、canonical、\n按词统计的 errors 和 skipped，以及最先跳过的几处位置 places（file、card、line 和 word）。",
		},
		example: T{
			"  scruple contacts list contacts.vcf --region CN\n  scruple contacts list ~/contacts --json | tail -n 1",
			"  scruple contacts list contacts.vcf --region CN\n  scruple contacts list ~/contacts --json | tail -n 1",
		},
		args: oneName,
		run: func(cmd *cobra.Command, args []string) error {
			r, err := region()
			if err != nil {
				return err
			}
			return a.listContacts(cmd.Context(), args[0], r)
		},
	})
	region = a.regionFlag(cmd)
	return cmd
}

// listSum is the last line of the list.
type listSum struct {
	Files     int            `json:"files"`
	Cards     int            `json:"cards"`
	Values    int            `json:"values"`
	Tels      int            `json:"tels"`
	Emails    int            `json:"emails"`
	Canonical int            `json:"canonical"` // values that have a canonical form
	Errors    map[string]int `json:"errors"`    // values that have none, by word
	Skipped   map[string]int `json:"skipped"`   // what was passed over, by word
	Places    []listPlace    `json:"places"`    // where the first of these are
}

type listPlace struct {
	File string `json:"file"` // or the folder
	Card int    `json:"card"` // 0 where there is none
	Line int    `json:"line"` // 0 where nothing of the file was read
	Word string `json:"word"`
}

// listContacts writes while it reads: memory does not grow with the book.
func (a *app) listContacts(ctx context.Context, path, region string) error {
	scan, err := a.scan(path)
	if err != nil {
		return err
	}
	defer scan.Close()
	w := bufio.NewWriterSize(a.Stdout, 64<<10)
	sum := listSum{Errors: map[string]int{}}
	var (
		line, form []byte
		file       int
		name       []byte // of the file, as it is written
	)
	for {
		e, err := scan.Next(ctx)
		if err == io.EOF {
			break
		}
		if err != nil {
			return errors.Join(err, w.Flush())
		}
		line = line[:0]
		if e.File != file {
			file = e.File
			if a.json {
				name = appendJSON(name[:0], []byte(scan.File()))
			} else {
				line = append(appendPrintable(line, []byte(scan.File())), '\n')
			}
		}
		form, err = appendForm(form[:0], e.Kind, e.Raw(), region)
		word := canonical.Word(err)
		if err != nil {
			sum.Errors[word]++
		} else {
			sum.Canonical++
		}
		if a.json {
			line = appendEntry(line, name, e, form, word)
		} else {
			line = append(strconv.AppendInt(append(line, "  "...), int64(e.Card), 10), '\t')
			line = append(append(line, e.Kind.String()...), '\t')
			line = append(appendPrintable(line, e.Written()), '\t')
			if word != "" {
				line = append(line, '-', ' ')
				form = append(form, word...)
			}
			line = append(appendPrintable(line, form), '\n')
		}
		if _, err := w.Write(line); err != nil {
			return fmt.Errorf("write the answer: %w", err)
		}
	}
	st := scan.Stats()
	sum.Files, sum.Cards, sum.Tels, sum.Emails = st.Files, st.Cards, st.Tels, st.Emails
	sum.Values, sum.Skipped, sum.Places = st.Tels+st.Emails, st.Skipped, make([]listPlace, 0, len(st.First))
	for i, path := range scan.Paths() {
		p := st.First[i]
		sum.Places = append(sum.Places, listPlace{path, p.Card, p.Line, p.Reason})
	}
	if a.json {
		b, err := json.Marshal(sum)
		if err != nil {
			return err
		}
		_, _ = w.Write(append(b, '\n'))
	} else {
		a.writeListSum(w, sum)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return a.unreadable(path, st)
}

func (a *app) writeListSum(w io.Writer, sum listSum) {
	fmt.Fprintf(w, a.t(T{"files: %d, cards: %d, values: %d, of them with a canonical form: %d\n", "%d 个文件，%d 张名片，%d 个值，其中 %d 个有统一写法\n"}),
		sum.Files, sum.Cards, sum.Values, sum.Canonical)
	if len(sum.Errors) > 0 {
		fmt.Fprintf(w, a.t(T{"without one: %s\n", "没有统一写法：%s\n"}), counts(sum.Errors))
	}
	if len(sum.Skipped) > 0 {
		fmt.Fprintf(w, a.t(T{"passed over: %s\n", "已跳过：%s\n"}), counts(sum.Skipped))
	}
	for _, p := range sum.Places {
		where := string(appendPrintable(nil, []byte(p.File)))
		if p.Card > 0 {
			where += fmt.Sprintf(a.t(T{", card %d", "，第 %d 张名片"}), p.Card)
		}
		if p.Line > 0 {
			where += fmt.Sprintf(a.t(T{", line %d", "，第 %d 行"}), p.Line)
		}
		fmt.Fprintf(w, a.t(T{"  %s: %s\n", "  %s：%s\n"}), where, p.Word)
	}
}

// scan opens the person's own address book. Its errors name the path, since they go to the person's own terminal.
func (a *app) scan(path string) (*contacts.Scanner, error) {
	if _, err := os.Stat(path); err != nil {
		var p *fs.PathError
		if errors.As(err, &p) {
			err = p.Err
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	scan, err := contacts.Scan(path)
	switch {
	case errors.Is(err, sensors.ErrAbsent):
		return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	case err != nil:
		return nil, fmt.Errorf("%s: %s", path, a.t(T{"neither a file nor a folder that can be read", "不是可读取的文件或文件夹"}))
	}
	return scan, nil
}

// unreadable is the error after everything else was read; nil if everything was.
func (a *app) unreadable(path string, st contacts.Stats) error {
	n := st.Skipped["unreadable-file"] + st.Skipped["unreadable-folder"]
	if n == 0 {
		return nil
	}
	return fmt.Errorf(a.t(T{"%s: not all of it could be read; files or folders that could not: %d", "%s：未能全部读取，无法读取的文件或文件夹：%d 个"}), path, n)
}

// appendForm appends the canonical form of a value.
func appendForm(dst []byte, kind vcard.Kind, raw []byte, region string) ([]byte, error) {
	if kind == vcard.Email {
		return canonical.AppendEmail(dst, raw)
	}
	return canonical.AppendPhone(dst, raw, region)
}

// appendEntry appends one line of JSON; file is encoded already.
func appendEntry(dst, file []byte, e contacts.Entry, form []byte, word string) []byte {
	dst = append(append(dst, `{"file":`...), file...)
	dst = strconv.AppendInt(append(dst, `,"card":`...), int64(e.Card), 10)
	dst = append(append(append(dst, `,"kind":"`...), e.Kind.String()...), '"')
	dst = appendJSON(append(dst, `,"value":`...), e.Written())
	return append(appendResult(dst, form, word), '}', '\n')
}

// appendResult appends the member "canonical" or "error".
func appendResult(dst, form []byte, word string) []byte {
	if word != "" {
		return append(append(append(dst, `,"error":"`...), word...), '"')
	}
	return appendJSON(append(dst, `,"canonical":`...), form)
}
