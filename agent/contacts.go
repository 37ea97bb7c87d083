package agent

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/minimise"
	"github.com/scruple-agent/scruple/sensors/contacts"
)

// errEpoch says that the controller's epoch key did not arrive.
var errEpoch = errors.New("the controller's contacts key is not here")

// readContacts makes one pass over the address book. What did not change since the last one is not read again.
func (c *collection) readContacts(ctx context.Context, p consent.Permit) ([]minimise.Report, error) {
	source, err := contacts.Open(p, c.agent.sources.contacts...)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	epoch, err := c.agent.uploader.Epoch(ctx, p.Consent())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errEpoch, err)
	}
	pass, err := minimise.NewContacts(p, c.agent.sources.region, epoch, time.Now())
	if err != nil {
		return nil, err
	}
	defer pass.Close()
	dataKey, err := c.agent.ring.DataKey(p.Consent())
	if err != nil {
		return nil, err
	}
	defer clear(dataKey)
	memory, err := pass.Remember(dataKey, Version, c.agent.memories.load(p.Consent()))
	switch {
	case errors.Is(err, minimise.ErrContactsMemory):
		c.agent.log.Warn("the address book is read anew", zap.Stringer("tuple", c.tuple), zap.Error(err))
	case err != nil:
		return nil, err
	}
	source.Remember(memory, time.Now())
	for {
		entry, err := source.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if err := pass.Add(entry.Kind, entry.Raw()); err != nil {
			return nil, err
		}
	}
	padKey, err := hkdf.Key(sha256.New, dataKey, nil, "scruple/contacts/pad/1", 32)
	if err != nil {
		return nil, err
	}
	c.note(source, pass)
	report, err := pass.Report(padKey, time.Now())
	if err != nil {
		return nil, err
	}
	if sealed, changed := memory.Seal(); changed {
		if err := c.agent.memories.save(p, sealed); err != nil { // the next pass reads what it would have known
			c.agent.log.Warn("what was read of the address book is not remembered", zap.Stringer("tuple", c.tuple), zap.Error(err))
		}
	}
	return []minimise.Report{report}, nil
}

// note keeps the counts of the last pass for the person: numbers only.
func (c *collection) note(source *contacts.Source, pass *minimise.Contacts) {
	counts := map[string]int{"values": pass.Values()}
	for word, n := range pass.Skipped() {
		counts["skipped-"+word] += n
	}
	stats := source.Stats()
	counts["files"], counts["cards"], counts["unchanged"] = stats.Files, stats.Cards, stats.Unchanged
	for word, n := range stats.Skipped {
		counts["skipped-"+word] += n
	}
	c.mu.Lock()
	c.counts = counts
	c.mu.Unlock()
}
