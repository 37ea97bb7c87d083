package carddav

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/scruple-agent/scruple/sensors/contacts"
)

// The words under which cards are counted that were not read.
const (
	skipTooLarge = "too-large-card"
	skipNoCard   = "no-card-sent" // the server listed it and did not send it
)

// maxBooks is how many address books of one account are read.
const maxBooks = 32

// shelf is the contacts.Shelf of a server.
//
// A card of which the server says the same etag as when it was remembered is not
// asked for. A state of the whole book (its sync token, its ctag) is remembered
// only if every card of it is; it is taken before the cards are listed, so what
// changes meanwhile shows at the next pass.
type shelf struct {
	base   *url.URL
	done   <-chan struct{}
	client *client

	began bool
	books []book
	book  *book  // being read
	wants []want // of the book, still to be asked for
	have  []got  // asked for and here
	part  int    // cards asked for at a time
	cards int    // of all books
	until time.Time
}

type book struct {
	url         *url.URL
	token, ctag string
	syncs       bool
}

// want is a card to be asked for.
type want struct {
	href string // as it is sent
	path string // as it is compared
	etag string
	key  contacts.Key
}

// got is a card that was sent.
type got struct {
	want
	card []byte
}

// Next implements contacts.Shelf.
func (s *shelf) Next(ctx context.Context, r *contacts.Reading) (io.Reader, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan struct{})
	defer close(ended)
	go func() { // a withdrawal ends a request that waits
		select {
		case <-s.done:
			cancel()
		case <-ended:
		}
	}()
	for {
		if len(s.have) > 0 {
			g := s.have[0]
			s.have[0].card = nil
			s.have = s.have[1:]
			if r.Memory() != nil {
				r.Begin(s.item(r, g.want), g.etag != "")
			}
			return bytes.NewReader(g.card), nil
		}
		if err := r.Ended(); err != nil {
			return nil, err
		}
		if s.began && time.Now().After(s.until) {
			return nil, ErrTimeout
		}
		var err error
		switch {
		case len(s.wants) > 0:
			err = s.fetch(ctx, r)
		case !s.began:
			s.began, s.part = true, s.client.limits.chunk
			s.until = time.Now().Add(s.client.limits.pass)
			err = s.discover(ctx, r)
		case len(s.books) > 0:
			s.book, s.books = &s.books[0], s.books[1:]
			err = s.list(ctx, r)
		default:
			return nil, io.EOF
		}
		if err != nil {
			return nil, err
		}
	}
}

// Close implements contacts.Shelf.
func (s *shelf) Close() error {
	s.books, s.wants, s.have, s.began = nil, nil, nil, true
	s.client.http.CloseIdleConnections()
	return nil
}

func (s *shelf) item(r *contacts.Reading, w want) contacts.Item {
	return contacts.Item{Key: w.key, Mark: r.Memory().Keyer().Text(w.etag)}
}

const findBody = xml.Header + `<d:propfind xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:carddav" xmlns:s="http://calendarserver.org/ns/">` +
	`<d:prop><d:resourcetype/><d:current-user-principal/><c:addressbook-home-set/><d:sync-token/><s:getctag/><d:supported-report-set/></d:prop></d:propfind>`

// discover finds the address books: at the address, or through the account's principal and home.
func (s *shelf) discover(ctx context.Context, r *contacts.Reading) error {
	at := s.base
	tried := map[string]bool{}
	for _, next := range []string{"", "/.well-known/carddav"} {
		if next != "" {
			at, _ = s.base.Parse(next)
		}
		for at != nil && !tried[at.String()] {
			tried[at.String()] = true
			var home, principal string
			err := s.find(ctx, r, at, "0", func(resp *response) {
				home, principal = resp.home, resp.principal
			})
			if err != nil && !errors.Is(err, errGone) {
				return err
			}
			if len(s.books) > 0 {
				return nil
			}
			from := at
			at = nil
			switch {
			case home != "":
				to, err := s.client.resolve(from, home)
				if err != nil {
					return err
				}
				err = s.find(ctx, r, to, "1", func(*response) {})
				if err != nil && !errors.Is(err, errGone) {
					return err
				}
				if len(s.books) > 0 {
					return nil
				}
			case principal != "":
				if at, err = s.client.resolve(from, principal); err != nil {
					return err
				}
			}
		}
	}
	return ErrNoBook
}

// find takes the address books at an address.
func (s *shelf) find(ctx context.Context, r *contacts.Reading, at *url.URL, depth string, other func(*response)) error {
	_, err := s.client.do(ctx, r.Check, "PROPFIND", at, depth, findBody, 256<<10, func(resp *response) error {
		if !resp.isBook {
			other(resp)
			return nil
		}
		u, err := s.client.resolve(at, resp.href)
		if err != nil {
			return err
		}
		if len(s.books) == maxBooks {
			return ErrTooLarge
		}
		s.books = append(s.books, book{url: u, token: resp.token, ctag: resp.ctag, syncs: resp.syncs && resp.token != ""})
		return nil
	})
	return err
}

// The first byte of a remembered state says what it is.
const (
	stateToken = 't'
	stateTag   = 'c'
)

func (b *book) state() []byte {
	switch {
	case b.syncs:
		return append([]byte{stateToken}, b.token...)
	case b.ctag != "":
		return append([]byte{stateTag}, b.ctag...)
	}
	return nil
}

// list finds out which cards of the book are to be asked for.
func (s *shelf) list(ctx context.Context, r *contacts.Reading) error {
	m := r.Memory()
	if m == nil {
		return s.listAll(ctx, r)
	}
	b := s.book
	before := m.Group(m.Keyer().Name(contacts.Key{}, "carddav "+b.url.String()))
	state := b.state()
	switch {
	case len(before) > 0 && bytes.Equal(before, state):
		r.Stay(nil)
		m.State(state)
		return nil
	case len(before) > 0 && before[0] == stateToken && b.syncs:
		done, err := s.sync(ctx, r, string(before[1:]))
		if done || err != nil {
			return err
		}
	}
	m.State(state)
	return s.listAll(ctx, r)
}

const etagsBody = xml.Header + `<d:propfind xmlns:d="DAV:"><d:prop><d:getetag/><d:resourcetype/></d:prop></d:propfind>`

// listAll goes by etags, card by card.
func (s *shelf) listAll(ctx context.Context, r *contacts.Reading) error {
	_, err := s.client.do(ctx, r.Check, "PROPFIND", s.book.url, "1", etagsBody, 64<<10, func(resp *response) error {
		if resp.isFolder || resp.isBook || resp.gone() {
			return nil
		}
		w, ok, err := s.member(r, resp)
		if err != nil || !ok {
			return err
		}
		if r.Memory() != nil && w.etag != "" && r.Known(s.item(r, w)) {
			return r.Ended()
		}
		s.wants = append(s.wants, w)
		return nil
	})
	return s.gone(err)
}

// gone makes an error of what was there a moment ago.
func (s *shelf) gone(err error) error {
	if errors.Is(err, errGone) {
		return ErrNoBook
	}
	return err
}

// member makes a card of a response, false for the book itself.
func (s *shelf) member(r *contacts.Reading, resp *response) (want, bool, error) {
	u, err := s.client.resolve(s.book.url, resp.href)
	if err != nil {
		return want{}, false, err
	}
	if strings.TrimSuffix(u.Path, "/") == strings.TrimSuffix(s.book.url.Path, "/") {
		return want{}, false, nil
	}
	if s.cards++; s.cards > s.client.limits.cards {
		return want{}, false, ErrTooLarge
	}
	w := want{href: u.EscapedPath(), path: u.Path, etag: resp.etag}
	if m := r.Memory(); m != nil {
		w.key = m.Keyer().Name(contacts.Key{}, "carddav "+u.String())
	}
	return w, true, nil
}

// maxRounds is how often a server may say that there is more to a synchronisation.
const maxRounds = 1000

// sync asks what changed since a token. It is done unless the server does not know the token any more.
func (s *shelf) sync(ctx context.Context, r *contacts.Reading, token string) (done bool, err error) {
	changed := map[contacts.Key]bool{}
	latest := map[contacts.Key]want{}
	before := s.cards
	for range maxRounds {
		more := false
		var escaped strings.Builder
		_ = xml.EscapeText(&escaped, []byte(token))
		body := xml.Header + `<d:sync-collection xmlns:d="DAV:"><d:sync-token>` + escaped.String() +
			`</d:sync-token><d:sync-level>1</d:sync-level><d:prop><d:getetag/></d:prop></d:sync-collection>`
		m, err := s.client.do(ctx, r.Check, "REPORT", s.book.url, "", body, 64<<10, func(resp *response) error {
			if strings.Contains(resp.status, " 507") { // the book itself: there is more
				more = true
				return nil
			}
			w, ok, err := s.member(r, resp)
			if err != nil || !ok {
				return err
			}
			changed[w.key] = true
			latest[w.key] = w
			if resp.gone() {
				delete(latest, w.key)
			}
			return nil
		})
		switch {
		case errors.Is(err, ErrStatus), errors.Is(err, errGone): // an unknown token, or no such report: list everything
			s.cards = before
			return false, nil
		case err != nil:
			return false, err
		case m.token == "" || more && m.token == token:
			s.cards = before
			return false, nil
		}
		token = m.token
		if !more {
			r.Stay(changed)
			r.Memory().State(append([]byte{stateToken}, token...))
			s.wants = slices.SortedFunc(maps.Values(latest), func(a, b want) int { return strings.Compare(a.href, b.href) })
			return true, nil
		}
	}
	return false, ErrTooLarge
}

// fetch asks for some of the wanted cards, TEL and EMAIL alone. Many servers send whole cards all the same; the reader
// passes the rest over. What is too much for one answer, as photos can be, is asked for in smaller parts.
func (s *shelf) fetch(ctx context.Context, r *contacts.Reading) error {
	chunk := s.wants[:min(len(s.wants), s.part)]
	var body strings.Builder
	body.WriteString(xml.Header + `<c:addressbook-multiget xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:carddav"><d:prop><d:getetag/>` +
		`<c:address-data><c:prop name="VERSION"/><c:prop name="TEL"/><c:prop name="EMAIL"/></c:address-data></d:prop>`)
	open := make(map[string]want, len(chunk))
	for _, w := range chunk {
		body.WriteString("<d:href>")
		_ = xml.EscapeText(&body, []byte(w.href))
		body.WriteString("</d:href>")
		open[w.path] = w
	}
	body.WriteString("</c:addressbook-multiget>")
	held := 0
	s.have = s.have[:0]
	_, err := s.client.do(ctx, r.Check, "REPORT", s.book.url, "", body.String(), s.client.limits.card+(64<<10), func(resp *response) error {
		u, err := s.client.resolve(s.book.url, resp.href)
		if err != nil {
			return err
		}
		w, asked := open[u.Path]
		if !asked {
			return nil
		}
		if resp.gone() { // since it was listed
			delete(open, u.Path)
			return nil
		}
		if !resp.hasCard {
			return nil // counted below
		}
		delete(open, u.Path)
		if held += len(resp.card); held > 2*s.client.limits.card && len(chunk) > 1 {
			return ErrTooLarge
		}
		if resp.etag != "" {
			w.etag = resp.etag // of what was sent now
		}
		s.have = append(s.have, got{w, resp.card})
		return nil
	})
	switch {
	case errors.Is(err, ErrTooLarge) && len(chunk) > 1:
		s.have, s.part = nil, len(chunk)/2
		return nil
	case errors.Is(err, ErrTooLarge):
		s.have = nil
		r.Skip(skipTooLarge)
		r.Lose()
	case err != nil:
		return s.gone(err)
	default:
		for range open {
			r.Skip(skipNoCard)
			r.Lose()
		}
	}
	s.wants = s.wants[len(chunk):]
	s.part = min(2*s.part, s.client.limits.chunk)
	return nil
}
