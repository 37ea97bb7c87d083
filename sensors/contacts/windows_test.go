package contacts_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/scruple-agent/scruple/sensors/contacts"
)

// contactFile is laid out as Windows writes it, of an invented person.
const contactFile = `<?xml version="1.0" encoding="UTF-8"?>
<c:contact c:Version="1" xmlns:c="http://schemas.microsoft.com/Contact" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:x="http://schemas.microsoft.com/Contact/Extended/MSP2P">
	<c:CreationDate>2009-04-01T14:20:31Z</c:CreationDate><c:Extended xsi:nil="true"/>
	<c:EmailAddressCollection>
		<c:EmailAddress c:ElementID="1"><c:Type>SMTP</c:Type><c:Address>%s</c:Address><c:LabelCollection><c:Label>Preferred</c:Label></c:LabelCollection></c:EmailAddress>
		<c:EmailAddress c:ElementID="2" xsi:nil="true"/>
	</c:EmailAddressCollection>
	<c:PhoneNumberCollection>
		<c:PhoneNumber c:ElementID="3"><c:Number>%s</c:Number><c:LabelCollection><c:Label>Cellular</c:Label></c:LabelCollection></c:PhoneNumber>
		<c:PhoneNumber c:ElementID="4"><c:Number> +1 202 555 0143,,12; x
		</c:Number></c:PhoneNumber>
		<x:PhoneNumber><c:Number>+1 202 555 0199</c:Number></x:PhoneNumber>
	</c:PhoneNumberCollection>
	<c:PhysicalAddressCollection><c:PhysicalAddress><c:Number>17</c:Number></c:PhysicalAddress></c:PhysicalAddressCollection>
	<c:PhotoCollection><c:Photo><c:Value c:ContentType="image/jpeg">%s</c:Value></c:Photo></c:PhotoCollection>
</c:contact>`

func windowsFile(photo int) string {
	return fmt.Sprintf(contactFile, "a&amp;b@example.com", "+44 7700 900123", strings.Repeat("/9j/", photo/4))
}

func TestWindowsContacts(t *testing.T) {
	dir := t.TempDir()
	whole := windowsFile(1 << 20)
	write(t, filepath.Join(dir, "a.contact"), whole)
	write(t, filepath.Join(dir, "b.vcf"), card("TEL:1"))
	write(t, filepath.Join(dir, "c.CONTACT"), windowsFile(0)[:strings.Index(contactFile, "<c:PhoneNumberCollection>")]) // cut off
	write(t, filepath.Join(dir, "d.contact"), "not XML at all")
	write(t, filepath.Join(dir, "e.contact"), "<contact><PhoneNumber><Number>2</Number></PhoneNumber></contact>")
	write(t, filepath.Join(dir, "f.contact"), windowsFile(5<<20))
	write(t, filepath.Join(dir, "g.contact"), `<c:contact xmlns:c="http://schemas.microsoft.com/Contact">`+strings.Repeat("<c:a>", 100_000))
	write(t, filepath.Join(dir, "h.contact"), "")
	write(t, filepath.Join(dir, "i.contact"), windowsFile(100))
	s, err := contacts.Scan(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got := texts(t, s)
	for i, v := range got {
		_, got[i], _ = strings.Cut(v, " ")
	}
	one := []string{"email a&b@example.com", "tel +44 7700 900123", "tel +1 202 555 0143,,12; x"}
	want := slices.Concat(one, []string{"tel 1"}, one[:1], one, one)
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if n := s.Stats().Skipped["unreadable-file"]; n != 6 {
		t.Errorf("%d files passed over, want 6: %+v", n, s.Stats())
	}
}

// TestFolderChangesWhileRead adds, removes and replaces files while a pass goes through the folder: it comes to its
// end, and the next one finds all that is there.
func TestFolderChangesWhileRead(t *testing.T) {
	dir := t.TempDir()
	name := func(i int) string { return filepath.Join(dir, fmt.Sprintf("%d", i%7), fmt.Sprintf("%03d.vcf", i)) }
	for i := range 300 {
		write(t, name(i), card(fmt.Sprintf("TEL:%d", i)))
	}
	s, err := contacts.Open(permit(t), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := 0; ; i++ {
		if _, err := s.Next(t.Context()); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		write(t, name(i*5%300), card("TEL:1", "TEL:2")) // longer
		if runtime.GOOS != "windows" || i%2 == 0 {
			_ = os.Remove(name(i * 11 % 300))
		}
		write(t, name(300+i), card("TEL:3"))
		if i > 2000 {
			t.Fatal("the pass never ends")
		}
	}
	again, err := contacts.Open(permit(t), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	got := len(texts(t, again))
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.vcf"))
	if err != nil {
		t.Fatal(err)
	}
	if st := again.Stats(); st.Files != len(files) || st.Cards != len(files) || got < len(files) || len(st.Skipped) != 0 {
		t.Errorf("the next pass: %d values, %+v, of %d files", got, st, len(files))
	}
}

func FuzzWindowsContact(f *testing.F) {
	f.Add([]byte(windowsFile(10)))
	f.Add([]byte(`<contact xmlns="http://schemas.microsoft.com/Contact"><PhoneNumberCollection><PhoneNumber><Number>1&#10;TEL:2</Number></PhoneNumber></PhoneNumberCollection></contact>`))
	f.Add([]byte("<a"))
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := io.ReadAll(contacts.WindowsContact(bytes.NewReader(b)))
		if len(out) > 64+3*len(b) {
			t.Errorf("%d bytes from %d, %v", len(out), len(b), err)
		}
		for _, line := range bytes.Split(out, []byte("\r\n")) {
			switch name, _, _ := bytes.Cut(line, []byte(":")); string(name) {
			case "BEGIN", "VERSION", "TEL", "EMAIL", "END", "":
			default:
				t.Error("a value became a line of its own")
			}
		}
	})
}
