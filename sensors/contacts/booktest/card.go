package booktest

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"unicode"
)

// AppendCard appends the person's card to dst. The same person gives the same bytes.
func (p *Person) AppendCard(dst []byte) []byte {
	w := writer{dst: dst, rng: rand.New(rand.NewPCG(p.seed, 1)), version: p.Version}
	w.line("BEGIN:VCARD")
	w.line("VERSION:" + p.Version)
	family, given := p.Name, ""
	if a, b, ok := strings.Cut(p.Name, " "); ok {
		given, family = a, b
	}
	w.text("N", family+";"+given+";;;")
	w.text("FN", p.Name)
	if p.Version != "2.1" {
		w.line("PRODID:-//Example//Address Book 1." + strconv.Itoa(int(p.seed%10)) + "//EN")
	}
	if w.rng.IntN(3) == 0 {
		w.text("ORG", pick(w.rng, []string{"Example AG", "Muster & Söhne", "虚构公司", "Acme Ltd"}))
		w.text("TITLE", pick(w.rng, []string{"Buchhalter", "Ingénieure", "经理", "Sales"}))
	}
	for i, n := range p.Phones {
		w.phone(i, n)
	}
	if len(p.Phones) > 0 && w.rng.IntN(50) == 0 {
		w.phone(len(p.Phones), p.Phones[0]) // the same number again, in another spelling
	}
	if p.Photo && w.rng.IntN(2) == 0 {
		w.photo()
		p.rest(&w, false)
	} else {
		p.rest(&w, p.Photo)
	}
	w.line("END:VCARD")
	return w.dst
}

func (p *Person) rest(w *writer, photo bool) {
	for i, a := range p.Emails {
		w.email(i, a)
	}
	if w.rng.IntN(3) == 0 {
		street := pick(w.rng, []string{"Beispielweg ", "Invented Street ", "虚构路"}) + strconv.Itoa(1+w.rng.IntN(99))
		w.text(w.prefix("ADR", "HOME"), ";;"+street+";Nowhere;;00000;")
		w.label()
	}
	if w.rng.IntN(4) == 0 {
		w.text("NOTE", pick(w.rng, notes))
	}
	if w.rng.IntN(2) == 0 {
		w.line("BDAY:19" + strconv.Itoa(50+w.rng.IntN(50)) + "-0" + strconv.Itoa(1+w.rng.IntN(9)) + "-1" + strconv.Itoa(w.rng.IntN(10)))
	}
	if w.rng.IntN(4) == 0 {
		w.line("URL:https://www.example.com/people/" + strconv.FormatUint(p.seed>>40, 10))
	}
	if w.rng.IntN(4) == 0 {
		w.text("CATEGORIES", pick(w.rng, []string{"Family", "Arbeit", "同学", "Club"}))
	}
	if photo {
		w.photo()
	}
	w.line("UID:" + uuid(p.seed))
	w.line("REV:20240101T120000Z")
}

func uuid(seed uint64) string {
	a, b := rand.NewPCG(seed, 2), [16]byte{}
	binary.BigEndian.PutUint64(b[:], a.Uint64())
	binary.BigEndian.PutUint64(b[8:], a.Uint64())
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Notes hold what looks like a property but is none.
var notes = []string{
	"Met at the fair. Likes tea more than coffee, and long walks along the river on Sunday mornings.",
	"TEL:this is not a number",
	"Büro im dritten Stock, bitte klingeln. Am Freitag nur bis zwölf Uhr, danach über die Zentrale.",
	"老朋友",
}

type writer struct {
	dst     []byte
	rng     *rand.Rand
	version string
	group   int
	grouped bool // the property being written is in a group of its own
}

// line writes a line, folded after 75 bytes where the version folds, inside a
// character too.
func (w *writer) line(s string) {
	if w.version != "2.1" {
		for len(s) > 75 {
			w.dst = append(w.dst, s[:75]...)
			w.dst = append(w.dst, "\r\n "...)
			s = s[75:]
		}
	}
	w.dst = append(w.dst, s...)
	w.dst = append(w.dst, "\r\n"...)
}

// text writes a text property: quoted-printable in 2.1 if it is not ASCII.
func (w *writer) text(name, value string) {
	if w.version != "2.1" {
		w.line(name + ":" + strings.NewReplacer(`\`, `\\`, ",", `\,`).Replace(value))
		return
	}
	if isASCII(value) {
		w.line(name + ":" + value)
		return
	}
	w.quoted(name+";CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:", value)
}

// quoted writes a quoted-printable value with soft line breaks.
func (w *writer) quoted(head, value string) {
	const hex = "0123456789ABCDEF"
	w.dst = append(w.dst, head...)
	col := len(head)
	for _, c := range []byte(value) {
		if col >= 72 {
			w.dst = append(w.dst, "=\r\n"...)
			col = 0
		}
		if c <= ' ' || c >= 0x7f || c == '=' || c == '+' || c == '@' {
			w.dst = append(w.dst, '=', hex[c>>4], hex[c&15])
			col += 3
		} else {
			w.dst = append(w.dst, c)
			col++
		}
	}
	w.dst = append(w.dst, "\r\n"...)
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) < 0
}

// label names the group of the property just written, if it has one.
func (w *writer) label() {
	if w.grouped {
		w.line("item" + strconv.Itoa(w.group) + ".X-ABLabel:_$!<Other>!$_")
		w.grouped = false
	}
}

// prefix writes name and type as the version has them.
func (w *writer) prefix(name, kind string) string {
	switch w.version {
	case "2.1":
		return name + ";" + kind
	case "3.0":
		if w.rng.IntN(4) == 0 {
			w.group++
			w.grouped = true
			name = "item" + strconv.Itoa(w.group) + "." + name
		}
		return name + ";TYPE=" + kind
	}
	return name + ";TYPE=" + strings.ToLower(kind)
}

func (w *writer) phone(i int, e164 string) {
	head := w.prefix("TEL", []string{"CELL", "WORK", "HOME", "CELL"}[i%4])
	if w.version == "3.0" && w.rng.IntN(3) == 0 {
		head += ",VOICE"
	}
	if w.version == "4.0" && w.rng.IntN(2) == 0 {
		w.line(strings.Replace(head, ";", ";VALUE=uri;", 1) + ":" + uri(w.rng, e164))
		return
	}
	defer w.label()
	s := spell(w.rng, e164)
	if w.version == "2.1" && (!isASCII(s) || w.rng.IntN(20) == 0) {
		w.quoted(head+";CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:", s)
		return
	}
	w.line(head + ":" + s)
}

func uri(rng *rand.Rand, e164 string) string {
	cc, nat := groupsOf(e164)
	s := "tel:+" + cc + "-" + strings.Join(nat, "-")
	if rng.IntN(10) == 0 {
		s += ";ext=" + strconv.Itoa(10+rng.IntN(90))
	}
	return s
}

// spell writes a number as people do: CN numbers nationally or internationally,
// others internationally.
func spell(rng *rand.Rand, e164 string) string {
	cc, nat := groupsOf(e164)
	if rng.IntN(50) == 0 {
		return "\u202a" + e164 + "\u202c" // as pasted out of other programs
	}
	if cc == "86" && rng.IntN(4) > 0 {
		return national(rng, e164, nat)
	}
	switch rng.IntN(9) {
	case 0, 1:
		return e164
	case 2:
		return "00" + e164[1:]
	case 3:
		return "+" + cc + " (" + nat[0] + ") " + strings.Join(nat[1:], "-")
	case 4:
		return "+" + cc + "-" + strings.Join(nat, "-")
	case 5:
		return "+" + cc + "." + strings.Join(nat, ".")
	case 6:
		return "00 " + cc + " " + strings.Join(nat, " ")
	case 7:
		return "+" + cc + "\u00a0" + strings.Join(nat, "\u2011")
	}
	return "+" + cc + " " + strings.Join(nat, " ")
}

func national(rng *rand.Rand, e164 string, nat []string) string {
	if nat[0][0] != '1' || len(nat[0]) == 2 { // a landline, with its trunk prefix
		switch rng.IntN(3) {
		case 0:
			return "0" + nat[0] + "-" + strings.Join(nat[1:], "")
		case 1:
			return "(0" + nat[0] + ") " + strings.Join(nat[1:], " ")
		}
		return "0" + strings.Join(nat, "")
	}
	switch rng.IntN(8) {
	case 0:
		return strings.Join(nat, " ")
	case 1:
		return strings.Join(nat, "-")
	case 2:
		return e164[1:] // 86 without a plus
	case 3:
		if rng.IntN(4) == 0 {
			return fullWidth(strings.Join(nat, ""))
		}
	}
	return strings.Join(nat, "")
}

func fullWidth(s string) string {
	return strings.Map(func(r rune) rune { return r - '0' + '０' }, s)
}

func (w *writer) email(i int, address string) {
	defer w.label()
	head := w.prefix("EMAIL", []string{"HOME", "WORK"}[i%2])
	switch w.version {
	case "2.1":
		head = "EMAIL;INTERNET"
	case "3.0":
		head += ",INTERNET"
	}
	address = strings.Replace(address, punycode, unicodeLabel, 1)
	switch w.rng.IntN(6) {
	case 0:
		address = strings.ToUpper(address[:1]) + address[1:]
	case 1:
		local, domain, _ := strings.Cut(address, "@")
		address = local + "@" + strings.ToUpper(domain[:1]) + domain[1:]
	}
	if w.version == "2.1" && (!isASCII(address) || w.rng.IntN(20) == 0) {
		w.quoted(head+";CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:", address)
		return
	}
	w.line(head + ":" + address)
}

// photo writes base64 in lines of 75 bytes: mostly thumbnails, some pictures as
// address books crop them, a few as a camera took them. The mean is 23 kB.
func (w *writer) photo() {
	size := 3000 + w.rng.IntN(6000)
	switch n := w.rng.IntN(100); {
	case n < 3:
		size = 110e3 + w.rng.IntN(80e3)
	case n < 20:
		size = 30e3 + w.rng.IntN(30e3)
	}
	raw := make([]byte, size)
	for i := 0; i+8 <= len(raw); i += 8 {
		v := w.rng.Uint64()
		for k := range 8 {
			raw[i+k] = byte(v >> (8 * k))
		}
	}
	copy(raw, "\xff\xd8\xff\xe0\x00\x10JFIF")
	data := base64.StdEncoding.EncodeToString(raw)
	switch w.version {
	case "2.1":
		w.line("PHOTO;JPEG;ENCODING=BASE64:")
		for len(data) > 0 {
			n := min(74, len(data))
			w.line(" " + data[:n])
			data = data[n:]
		}
		w.line("")
	case "3.0":
		w.line("PHOTO;ENCODING=b;TYPE=JPEG:" + data)
	default:
		w.line("PHOTO:data:image/jpeg;base64," + data)
	}
}
