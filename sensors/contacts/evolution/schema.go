package evolution

import (
	"io"
	"strings"
)

// find returns the root page of a table and the number of one of its columns.
func (d *database) find(table, column string) (root uint32, index int, err error) {
	master, err := d.table(1)
	if err != nil {
		return 0, 0, err
	}
	for {
		rec, err := master.next()
		if err == io.EOF {
			return 0, 0, ErrNoBook
		}
		if err != nil {
			return 0, 0, err
		}
		kind, err := rec.text(0, maxSQL)
		if err != nil {
			return 0, 0, err
		}
		name, err := rec.text(1, maxSQL)
		if err != nil {
			return 0, 0, err
		}
		if kind != "table" || name != table {
			continue
		}
		n, err := rec.number(3)
		if err != nil || n < 1 || n > int64(d.pages) {
			return 0, 0, errDamaged
		}
		sql, err := rec.text(4, maxSQL)
		if err != nil {
			return 0, 0, err
		}
		for i, c := range columns(sql) {
			if strings.EqualFold(c, column) {
				return uint32(n), i, nil
			}
		}
		return 0, 0, ErrNoBook
	}
}

// columns returns the names of the columns that a CREATE TABLE statement declares.
func columns(sql string) (names []string) {
	_, body, ok := strings.Cut(sql, "(")
	if !ok {
		return nil
	}
	depth, start := 0, 0
	var quote byte
	for i := 0; i < len(body); i++ {
		c := body[i]
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"' || c == '`':
			quote = c
		case c == '[':
			quote = ']'
		case c == '(':
			depth++
		case depth == 0 && (c == ',' || c == ')'):
			names = append(names, firstName(body[start:i]))
			start = i + 1
			if c == ')' {
				return names
			}
		case c == ')':
			depth--
		}
	}
	return names
}

func firstName(s string) string {
	s = strings.TrimSpace(s)
	if s == "" {
		return ""
	}
	if end := strings.IndexByte("\"'`[", s[0]); end >= 0 {
		closing := "\"'`]"[end]
		if i := strings.IndexByte(s[1:], closing); i >= 0 {
			return s[1 : 1+i]
		}
		return ""
	}
	if i := strings.IndexAny(s, " \t\r\n("); i >= 0 {
		return s[:i]
	}
	return s
}
