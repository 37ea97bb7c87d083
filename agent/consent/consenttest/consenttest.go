// Package consenttest makes consents for the tests of everything behind the gate. It does what a person
// and a page do: show the notice, then agree to it; there is no shorter way to a Permit, in tests either.
package consenttest

import (
	"testing"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Subject is whose consents they are.
const Subject policy.Subject = "1000"

// Person is the person at the command line.
var Person = consent.Actor{UID: 1000, Channel: "cli", Person: true}

// App is a host application.
var App = consent.Actor{UID: 1000, Channel: "app:example"}

// Desk is a register with the key ring and the folder below it.
type Desk struct {
	Register *consent.Register
	Ring     *keyring.Ring
	Dir      string // of the ring; the ledgers are in Dir/ledger
	Key      []byte // the device key
	// Band is what the person declares when the register is opened first; that of an adult where empty.
	Band consent.Band
}

// Setup opens an empty register in a fresh folder; it is closed when the test ends.
func Setup(t testing.TB, doc *policy.Document) *Desk {
	t.Helper()
	d := &Desk{Dir: t.TempDir(), Key: make([]byte, keyring.KeySize)}
	d.Open(t, doc, consent.Options{})
	t.Cleanup(d.Close)
	return d
}

// Open opens the register again, after Close, as a restart of the agent does.
func (d *Desk) Open(t testing.TB, doc *policy.Document, o consent.Options) {
	t.Helper()
	ring, err := keyring.Open(d.Dir, d.Key)
	if err != nil {
		t.Fatal(err)
	}
	reg, err := consent.Open(d.Dir+"/ledger", ring, doc, Subject, o)
	if err != nil {
		ring.Close()
		t.Fatal(err)
	}
	d.Ring, d.Register = ring, reg
	if d.Band == consent.BandUnknown {
		d.Band = consent.BandAdult
	}
	if reg.Age().Band == consent.BandUnknown {
		if err := reg.DeclareAge(d.Band, Person); err != nil {
			t.Fatal(err)
		}
	}
}

// Close closes the register and the ring.
func (d *Desk) Close() {
	d.Register.Close()
	d.Ring.Close()
}

// New opens an empty register in a fresh folder.
func New(t testing.TB, doc *policy.Document) *consent.Register {
	t.Helper()
	return Setup(t, doc).Register
}

// Tuple returns the tuple of a (category, purpose) of doc for Subject.
func Tuple(t testing.TB, doc *policy.Document, category policy.CategoryID, purpose policy.PurposeID) policy.Tuple {
	t.Helper()
	tuple, err := doc.Tuple(Subject, string(category)+"/"+string(purpose))
	if err != nil {
		t.Fatal(err)
	}
	return tuple
}

// Give lets the person read the notice and agree to it, and returns the consent's id.
func Give(t testing.TB, reg *consent.Register, tuple policy.Tuple) wire.UUID {
	t.Helper()
	n, err := reg.Show(tuple, policy.LangEN, Person)
	if err != nil {
		t.Fatal(err)
	}
	id, err := reg.Grant(tuple, n.Lang, n.SHA256, Person)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Permit returns a permit for a (category, purpose) of doc, in a use session where the purpose needs one.
func Permit(t testing.TB, doc *policy.Document, category policy.CategoryID, purpose policy.PurposeID) consent.Permit {
	t.Helper()
	tuple := Tuple(t, doc, category, purpose)
	reg := New(t, doc)
	Give(t, reg, tuple)
	return PermitFrom(t, reg, tuple)
}

// PermitFrom returns a permit for a tuple whose consent is given, in a use session where the purpose needs one.
func PermitFrom(t testing.TB, reg *consent.Register, tuple policy.Tuple) consent.Permit {
	t.Helper()
	eff, err := reg.Policy().Effective(tuple.Category, tuple.Purpose)
	if err != nil {
		t.Fatal(err)
	}
	if eff.Purpose.Collect.Mode == policy.ModeSession {
		s, err := reg.OpenSession(tuple, 0, App)
		if err != nil {
			t.Fatal(err)
		}
		return s.Permit()
	}
	p, err := reg.Permit(tuple)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
