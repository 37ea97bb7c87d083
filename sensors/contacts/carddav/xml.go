package carddav

import (
	"encoding/xml"
	"errors"
	"strings"
)

const (
	nsDAV  = "DAV:"
	nsCard = "urn:ietf:params:xml:ns:carddav"
	nsCS   = "http://calendarserver.org/ns/"
)

// response is one response of a multistatus: what is asked for anywhere here.
type response struct {
	href      string
	status    string // of the resource itself, "" for none
	etag      string
	ctag      string
	token     string
	card      []byte
	hasCard   bool
	isBook    bool
	isFolder  bool
	syncs     bool   // it answers sync-collection
	home      string // addressbook-home-set
	principal string // current-user-principal
}

func (r *response) gone() bool {
	return strings.Contains(r.status, " 404") || strings.Contains(r.status, " 410")
}

// multi is what a multistatus says beside its responses.
type multi struct{ token string }

const (
	maxDepth = 24
	maxText  = 4096 // bytes of an href, an etag, a token
)

// decode reads a multistatus and calls each with every response as it ends. Memory is bounded by one response; text of
// elements that nobody asked for is not kept.
func decode(in *meter, l limits, each func(*response) error) (multi, error) {
	d := xml.NewDecoder(in)
	d.Strict = true
	var (
		m    multi
		path []xml.Name
		r    *response
		text []byte
		most int // bytes of text of this element that are kept; 0 for none
	)
	at := func(i int) xml.Name { // i-th from the end
		if len(path) < i {
			return xml.Name{}
		}
		return path[len(path)-i]
	}
	for {
		tok, err := d.Token()
		if err != nil {
			return m, wrong(err)
		}
		if r == nil {
			in.reset()
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if len(path) == 0 && tok.Name != (xml.Name{Space: nsDAV, Local: "multistatus"}) || len(path) == maxDepth {
				return m, ErrGarbage
			}
			path = append(path, tok.Name)
			text, most = text[:0], 0
			switch {
			case len(path) == 2 && tok.Name == xml.Name{Space: nsDAV, Local: "response"}:
				r = new(response)
			case tok.Name == xml.Name{Space: nsCard, Local: "address-data"}:
				most = l.card
			case wantsText(tok.Name):
				most = maxText
			case r == nil:
			case at(2) == xml.Name{Space: nsDAV, Local: "resourcetype"}:
				r.isBook = r.isBook || tok.Name == xml.Name{Space: nsCard, Local: "addressbook"}
				r.isFolder = r.isFolder || tok.Name == xml.Name{Space: nsDAV, Local: "collection"}
			case tok.Name == xml.Name{Space: nsDAV, Local: "sync-collection"}:
				r.syncs = true
			}
		case xml.CharData:
			if most == 0 {
				continue
			}
			if len(text)+len(tok) > most {
				return m, ErrTooLarge
			}
			text = append(text, tok...)
		case xml.EndElement:
			if r != nil {
				r.take(path, tok.Name, at(2), text)
			} else if len(path) == 2 && tok.Name == (xml.Name{Space: nsDAV, Local: "sync-token"}) {
				m.token = string(text)
			}
			path = path[:len(path)-1]
			text, most = text[:0], 0
			switch len(path) {
			case 0:
				return m, nil
			case 1:
				if r != nil {
					if err := each(r); err != nil {
						return m, err
					}
					r = nil
				}
			}
		case xml.Directive:
			return m, ErrGarbage // a document type is none of ours
		}
	}
}

func wantsText(n xml.Name) bool {
	switch n {
	case xml.Name{Space: nsDAV, Local: "href"}, xml.Name{Space: nsDAV, Local: "status"}, xml.Name{Space: nsDAV, Local: "getetag"},
		xml.Name{Space: nsDAV, Local: "sync-token"}, xml.Name{Space: nsCS, Local: "getctag"}:
		return true
	}
	return false
}

// take keeps the text of an element that ends.
func (r *response) take(path []xml.Name, n, parent xml.Name, text []byte) {
	s := func() string { return strings.TrimSpace(string(text)) }
	switch n {
	case xml.Name{Space: nsDAV, Local: "href"}:
		switch {
		case len(path) == 3:
			r.href = s()
		case parent == xml.Name{Space: nsCard, Local: "addressbook-home-set"} && r.home == "":
			r.home = s()
		case parent == xml.Name{Space: nsDAV, Local: "current-user-principal"} && r.principal == "":
			r.principal = s()
		}
	case xml.Name{Space: nsDAV, Local: "status"}:
		if len(path) == 3 {
			r.status = s()
		}
	case xml.Name{Space: nsDAV, Local: "getetag"}:
		r.etag = s()
	case xml.Name{Space: nsDAV, Local: "sync-token"}:
		r.token = s()
	case xml.Name{Space: nsCS, Local: "getctag"}:
		r.ctag = s()
	case xml.Name{Space: nsCard, Local: "address-data"}:
		r.card, r.hasCard = append(r.card, text...), r.hasCard || len(text) > 0
	}
}

// wrong is what ended the decoding, without what the decoder repeats of the text.
func wrong(err error) error {
	for _, known := range []error{ErrTooLarge, ErrTimeout, ErrUnreachable, ErrCertificate} {
		if errors.Is(err, known) {
			return known
		}
	}
	return ErrGarbage
}
