package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/minimise"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/configs"
	"github.com/scruple-agent/scruple/hasher/canonical"
	"github.com/scruple-agent/scruple/sensors/contacts"
	"github.com/scruple-agent/scruple/sensors/contacts/booktest"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// desk is the agent's path behind its gate: a real register in which an invented person has agreed to the example
// policy's contacts.
type desk struct {
	ring   *keyring.Ring
	reg    *consent.Register
	permit consent.Permit
	epoch  wire.Epoch
	pad    []byte
}

func openDesk(dir string) (*desk, error) {
	d := &desk{
		pad:   make([]byte, 32),
		epoch: wire.Epoch{ID: 1, NotAfter: 1 << 60, Mode: "keyed", Length: 16, Form: canonical.PhoneForm, Key: epochKey[:]},
	}
	doc, err := policy.Parse("built in", configs.PolicyYAML)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if d.ring, err = keyring.Open(dir, make([]byte, keyring.KeySize)); err != nil {
		return nil, err
	}
	if d.reg, err = consent.Open(filepath.Join(dir, "ledger"), d.ring, doc, "1000", consent.Options{}); err != nil {
		return nil, err
	}
	tuple, err := doc.Tuple("1000", "contacts/find-friends")
	if err != nil {
		return nil, err
	}
	person := consent.Actor{UID: 1000, Channel: "cli", Person: true}
	if err := d.reg.DeclareAge(consent.BandAdult, person); err != nil {
		return nil, err
	}
	notice, err := d.reg.Show(tuple, policy.LangEN, person)
	if err != nil {
		return nil, err
	}
	if _, err := d.reg.Grant(tuple, notice.Lang, notice.SHA256, person); err != nil {
		return nil, err
	}
	d.permit, err = d.reg.Permit(tuple)
	return d, err
}

func (d *desk) close() {
	d.reg.Close()
	d.ring.Close()
}

// ours is what the agent does, from the path of the book to the encoded Report, when it remembers nothing.
func (d *desk) ours(path string) (encoded []byte, err error) {
	encoded, _, err = d.pass(path, nil, false)
	return encoded, err
}

// pass is what the agent does every week, with what it remembers of the book: the sealed text of the last pass.
func (d *desk) pass(path string, sealed []byte, remember bool) (encoded, next []byte, err error) {
	ctx := context.Background()
	source, err := contacts.Open(d.permit, path)
	if err != nil {
		return nil, nil, err
	}
	defer source.Close()
	now := time.Now()
	pass, err := minimise.NewContacts(d.permit, booktest.DefaultRegion, d.epoch, now)
	if err != nil {
		return nil, nil, err
	}
	defer pass.Close()
	var memory *minimise.ContactsMemory
	if remember {
		if memory, err = pass.Remember(d.pad, "bench", bytes.Clone(sealed)); err != nil {
			return nil, nil, err
		}
		source.Remember(memory, now)
	}
	for {
		e, err := source.Next(ctx)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, nil, err
		}
		if err := pass.Add(e.Kind, e.Raw()); err != nil {
			return nil, nil, err
		}
	}
	report, err := pass.Report(d.pad, now)
	if err != nil {
		return nil, nil, err
	}
	if remember {
		next = sealed
		if s, changed := memory.Seal(); changed {
			next = s
		}
	}
	return report.Encode(), next, nil
}

// digestsOf returns the set in an encoded Report.
func digestsOf(encoded []byte) ([]digest, error) {
	r, err := wire.DecodeReport(encoded)
	if err != nil {
		return nil, err
	}
	b, ok := r.Item.Fields["digests"].([]byte)
	if !ok {
		return nil, fmt.Errorf("the report holds no digests")
	}
	set := make([]digest, len(b)/len(digest{}))
	for i := range set {
		set[i] = digest(b[i*len(digest{}):])
	}
	return set, nil
}

// whole tells whether a book that is not damaged is read without passing anything over.
func whole(path string, cards int) error {
	scan, err := contacts.Scan(path)
	if err != nil {
		return err
	}
	defer scan.Close()
	for err == nil {
		_, err = scan.Next(context.Background())
	}
	if err != io.EOF {
		return err
	}
	if st := scan.Stats(); st.Cards != cards || len(st.Skipped) > 0 {
		return fmt.Errorf("%d cards read of %d, passed over %v, first %v", st.Cards, cards, st.Skipped, st.First)
	}
	return nil
}
