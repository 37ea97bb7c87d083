package contacts

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"path/filepath"
	"strings"

	"github.com/scruple-agent/scruple/sensors/contacts/vcard"
)

// nsContact is the name space of the files that Windows keeps in a person's Contacts folder, one a person, by its
// published schema.
const nsContact = "http://schemas.microsoft.com/Contact"

const (
	maxContactFile  = 4 << 20 // bytes of one file, with its picture
	maxContactDepth = 32
)

var errContact = errors.New("not a contact file of Windows")

// windowsContact writes the numbers and addresses of a .contact file as a vCard, so that they go the one way that all
// values go. The rest is passed over.
type windowsContact struct {
	src io.Reader
	out bytes.Buffer
	err error // after out
}

// isContact tells whether a name is that of a .contact file.
func isContact(name string) bool { return strings.EqualFold(filepath.Ext(name), ".contact") }

// Read implements io.Reader.
func (w *windowsContact) Read(p []byte) (int, error) {
	if w.src != nil {
		w.err = w.convert(io.LimitReader(w.src, maxContactFile+1))
		w.src = nil
	}
	if w.out.Len() > 0 {
		return w.out.Read(p)
	}
	return 0, w.err
}

// convert returns io.EOF when the file was read to its end. What was found before damage is kept.
func (w *windowsContact) convert(src io.Reader) error {
	d := xml.NewDecoder(src)
	var (
		path [maxContactDepth]string // names in the name space, "" for others
		deep int
		text []byte
	)
	w.out.WriteString("BEGIN:VCARD\r\nVERSION:3.0\r\n")
	defer w.out.WriteString("END:VCARD\r\n")
	for {
		tok, err := d.Token()
		if err != nil || d.InputOffset() > maxContactFile {
			return errContact
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if deep == len(path) || deep == 0 && tok.Name != (xml.Name{Space: nsContact, Local: "contact"}) {
				return errContact
			}
			path[deep] = ""
			if tok.Name.Space == nsContact {
				path[deep] = tok.Name.Local
			}
			deep++
			text = text[:0]
		case xml.CharData:
			if len(text)+len(tok) <= vcard.MaxLine {
				text = append(text, tok...)
			}
		case xml.EndElement:
			if deep >= 3 {
				switch path[deep-3] + "/" + path[deep-2] + "/" + path[deep-1] {
				case "PhoneNumberCollection/PhoneNumber/Number":
					w.line("TEL:", text)
				case "EmailAddressCollection/EmailAddress/Address":
					w.line("EMAIL:", text)
				}
			}
			text = text[:0]
			if deep--; deep == 0 {
				return io.EOF
			}
		}
	}
}

// line writes a property.
func (w *windowsContact) line(name string, text []byte) {
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return
	}
	w.out.WriteString(name)
	for _, c := range text {
		switch c {
		case '\\', ';', ',':
			w.out.WriteByte('\\')
		case '\r', '\n':
			c = ' '
		}
		w.out.WriteByte(c)
	}
	w.out.WriteString("\r\n")
}
