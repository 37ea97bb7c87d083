package cli

import (
	"fmt"
	"io"

	"github.com/scruple-agent/scruple/agent/control"
)

// bookWords are the sources of an address book, as a person knows them.
var bookWords = map[string]T{
	control.BookFiles:     {"files and folders", "文件和文件夹"},
	control.BookEvolution: {"Evolution", "Evolution"},
	control.BookCardDAV:   {"CardDAV server", "CardDAV 服务器"},
}

// writeBooks shows each source of the address book: when it was last read, what was found, or why not.
func (a *app) writeBooks(w io.Writer, s control.Status) {
	for _, t := range s.Tuples {
		if len(t.Books) == 0 {
			continue
		}
		var rows [][]string
		for _, b := range t.Books {
			name := b.Source
			if words, ok := bookWords[b.Source]; ok {
				name = a.t(words)
			}
			read := a.t(T{"not read yet", "尚未读取"})
			if !b.Read.IsZero() {
				read = fmt.Sprintf(a.t(T{"read %s", "读取于 %s"}), when(b.Read))
			}
			var failed string
			if b.Error != "" {
				failed = fmt.Sprintf(a.t(T{"last try failed: %s", "最近一次失败：%s"}), a.trouble(b.Error))
			}
			rows = append(rows, []string{"  " + name, read, join("; ", failed, counts(b.Counts))})
		}
		fmt.Fprintf(w, "\n%s\n", fmt.Sprintf(a.t(T{"Address books of %s:", "%s 的通讯录："}), t.Tuple))
		table(w, rows)
	}
}
