package agent

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/minimise"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/sensors"
	"github.com/scruple-agent/scruple/sensors/contacts"
	"github.com/scruple-agent/scruple/sensors/contacts/carddav"
	"github.com/scruple-agent/scruple/sensors/contacts/evolution"
)

// errEpoch says that the controller's epoch key did not arrive.
var errEpoch = errors.New("the controller's contacts key is not here")

// A book that changes while it is read is read again after a moment, so often at most.
const (
	passes   = 3
	movement = time.Second
)

// readContacts reads until nothing changes meanwhile: who is just being written would be missing until the next reading.
func (c *collection) readContacts(ctx context.Context, p consent.Permit) ([]minimise.Report, error) {
	for pass := 1; ; pass++ {
		made, moved, err := c.passContacts(ctx, p)
		if err != nil || moved == 0 || pass == passes {
			return made, err
		}
		select {
		case <-time.After(movement):
		case <-p.Done():
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// passContacts makes one pass over everything that the settings name, and reports all of it together. What did not
// change since the last pass is not read again. If one source fails, nothing is reported: the set without it would tell the
// controller that the people in it are gone. moved is how much changed meanwhile.
func (c *collection) passContacts(ctx context.Context, p consent.Permit) (made []minimise.Report, moved int, err error) {
	books, err := c.openBooks(p)
	if err != nil {
		return nil, 0, err
	}
	defer books.close()
	defer debug.FreeOSMemory() // a large book takes tens of megabytes, and the next pass is a week away
	epoch, err := c.agent.uploader.Epoch(ctx, p.Consent())
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", errEpoch, err)
	}
	pass, err := minimise.NewContacts(p, c.agent.sources.region, epoch, time.Now())
	if err != nil {
		return nil, 0, err
	}
	defer pass.Close()
	dataKey, err := c.agent.ring.DataKey(p.Consent())
	if err != nil {
		return nil, 0, err
	}
	defer clear(dataKey)
	memory, err := pass.Remember(dataKey, Version, c.agent.memories.load(p.Consent()))
	switch {
	case errors.Is(err, minimise.ErrContactsMemory):
		c.agent.log.Warn("the address book is read anew", zap.Stringer("tuple", c.tuple), zap.Error(err))
	case err != nil:
		return nil, 0, err
	}
	for _, b := range books {
		b.source.Remember(memory, time.Now())
		err := b.read(ctx, pass)
		c.noteBook(p, b, err)
		if err != nil {
			return nil, 0, err
		}
		moved += b.source.Moved()
	}
	padKey, err := hkdf.Key(sha256.New, dataKey, nil, "scruple/contacts/pad/1", 32)
	if err != nil {
		return nil, 0, err
	}
	c.note(books, pass)
	report, err := pass.Report(padKey, time.Now())
	if err != nil {
		return nil, 0, err
	}
	if sealed, changed := memory.Seal(); changed {
		if err := c.agent.memories.save(p, sealed); err != nil { // the next pass reads what it would have known
			c.agent.log.Warn("what was read of the address book is not remembered", zap.Stringer("tuple", c.tuple), zap.Error(err))
		}
	}
	return []minimise.Report{report}, moved, nil
}

// openBook is a source of the address book that is open for a pass.
type openBook struct {
	name   string // a control.Book constant
	source *contacts.Source
}

type openBooks []openBook

func (l openBooks) close() {
	for _, b := range l {
		_ = b.source.Close()
	}
}

// openBooks opens what the settings name. One of several that is absent is noted and left out.
func (c *collection) openBooks(p consent.Permit) (books openBooks, err error) {
	set := c.agent.sources.contacts
	dav := carddav.Config{
		URL: set.CardDAV.URL, User: set.CardDAV.User, PasswordFile: set.CardDAV.PasswordFile, CAFile: set.CardDAV.CAFile,
	}
	var absent error
	for _, one := range []struct {
		name string
		set  bool
		open func() (*contacts.Source, error)
	}{
		{control.BookFiles, len(set.Paths) > 0, func() (*contacts.Source, error) { return contacts.Open(p, set.Paths...) }},
		{control.BookEvolution, len(set.Evolution) > 0, func() (*contacts.Source, error) { return evolution.Open(p, set.Evolution...) }},
		{control.BookCardDAV, dav.URL != "", func() (*contacts.Source, error) { return carddav.Open(p, dav) }},
	} {
		if !one.set {
			continue
		}
		source, err := one.open()
		if err != nil {
			c.noteBook(p, openBook{name: one.name}, err)
		}
		switch {
		case errors.Is(err, sensors.ErrAbsent):
			absent = err
		case err != nil:
			books.close()
			return nil, err
		default:
			books = append(books, openBook{one.name, source})
		}
	}
	switch {
	case len(books) > 0:
		return books, nil
	case absent != nil:
		return nil, absent
	}
	return nil, fmt.Errorf("open contacts: %w", sensors.Absent("the address book"))
}

// read reads to the end.
func (b openBook) read(ctx context.Context, pass *minimise.Contacts) error {
	for {
		entry, err := b.source.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := pass.Add(entry.Kind, entry.Raw()); err != nil {
			return err
		}
	}
}

// noteBook keeps for the person how the reading of one source went, unless the consent has ended meanwhile.
func (c *collection) noteBook(p consent.Permit, b openBook, err error) {
	if p.Check() != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.books, func(old control.Book) bool { return old.Source == b.name })
	if i < 0 {
		i = len(c.books)
		c.books = append(c.books, control.Book{Source: b.name})
	}
	book := &c.books[i]
	if err != nil {
		book.Error = err.Error()
		return
	}
	book.Error, book.Read, book.Counts = "", time.Now().UTC(), map[string]int{}
	addStats(book.Counts, b.source.Stats())
}

// addStats adds counts by their words.
func addStats(counts map[string]int, st contacts.Stats) {
	counts["files"] += st.Files
	counts["unchanged"] += st.Unchanged
	counts["cards"] += st.Cards
	counts["values"] += st.Tels + st.Emails
	for word, n := range st.Skipped {
		counts["skipped-"+word] += n
	}
}

// note keeps the counts of the last pass for the person: numbers only.
func (c *collection) note(books openBooks, pass *minimise.Contacts) {
	counts := map[string]int{}
	for _, b := range books {
		addStats(counts, b.source.Stats())
		if n := b.source.Moved(); n > 0 {
			counts["changed-while-read"] += n
		}
	}
	for word, n := range pass.Skipped() {
		counts["skipped-"+word] += n
	}
	c.mu.Lock()
	c.counts = counts
	c.mu.Unlock()
}

// bookStates returns a row for each source that the settings name.
func (c *collection) bookStates() (rows []control.Book) {
	set := c.agent.sources.contacts
	for name, on := range map[string]bool{
		control.BookFiles: len(set.Paths) > 0, control.BookEvolution: len(set.Evolution) > 0, control.BookCardDAV: set.CardDAV.URL != "",
	} {
		if !on {
			continue
		}
		row := control.Book{Source: name}
		for _, known := range c.books {
			if known.Source == name {
				row = known
				row.Counts = maps.Clone(known.Counts)
			}
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b control.Book) int { return strings.Compare(a.Source, b.Source) })
	return rows
}

// The waits after a reading of the address book that failed: a server that is away for an hour is not away for a week.
const (
	firstRetry = 5 * time.Minute
	lastRetry  = 6 * time.Hour
)

// wait returns how long the wheel waits after a reading. The caller holds mu.
func (c *collection) wait(err error) time.Duration {
	every := c.interval()
	if err == nil || c.rules().Category.Source != policy.SourceContacts {
		c.failures = 0
		return every
	}
	retry := min(firstRetry<<min(c.failures, 10), lastRetry)
	c.failures++
	return min(retry, every)
}

// background reads in a goroutine of its own if that can take long, since a server may keep one waiting, and tells whether
// it does. There is one such reading at a time.
func (c *collection) background(ctx context.Context) bool {
	if c.rules().Category.Source != policy.SourceContacts {
		return false
	}
	c.mu.Lock()
	busy := c.busy
	c.busy = true
	c.mu.Unlock()
	if busy {
		return true
	}
	c.agent.sessions.Go(func() {
		_, _ = c.collect(ctx, false) // its outcome is in the collection's state
		c.mu.Lock()
		c.busy = false
		c.mu.Unlock()
		c.agent.wake()
	})
	return true
}
