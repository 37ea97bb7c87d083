package wire

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// Metadata is what a controller says of itself, signed with its key: what may change without a new consent (pins, epochs) and
// what may not (endpoint, region), for comparison with the policy. It holds no secret.
type Metadata struct {
	Controller string
	Endpoint   string
	Region     string
	Time       time.Time   // when it was signed
	Pins       []string    // "sha256/" + base64, the backup among them
	Epochs     []EpochInfo // in force, without keys
}

// EpochInfo is an epoch without its key.
type EpochInfo struct {
	ID        uint
	NotBefore time.Time
	NotAfter  time.Time
	Form      uint32 // canonical form version
}

const metadataFirstLine = "scruple/controller/1"

// ErrMetadata says that bytes are not metadata signed by the controller's key.
var ErrMetadata = errors.New("not metadata signed by the controller")

func (m Metadata) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\ncontroller %s\nendpoint %s\nregion %s\ntime %s\n",
		metadataFirstLine, m.Controller, m.Endpoint, m.Region, m.Time.UTC().Format(time.RFC3339))
	for _, p := range m.Pins {
		fmt.Fprintf(&b, "pin %s\n", p)
	}
	for _, e := range m.Epochs {
		fmt.Fprintf(&b, "epoch %d %s %s %d\n", e.ID, e.NotBefore.UTC().Format(time.RFC3339), e.NotAfter.UTC().Format(time.RFC3339), e.Form)
	}
	return b.String()
}

// OpenMetadata checks the signature against the controller's verifier key and reads the metadata. It returns
// ErrMetadata for anything else.
func OpenMetadata(b []byte, verifierKey string) (Metadata, error) {
	v, err := note.NewVerifier(verifierKey)
	if err != nil || len(b) > MaxReceipt {
		return Metadata{}, ErrMetadata
	}
	n, err := note.Open(b, note.VerifierList(v))
	if err != nil {
		return Metadata{}, ErrMetadata
	}
	lines := strings.Split(strings.TrimSuffix(n.Text, "\n"), "\n")
	var (
		m    Metadata
		errs []error
	)
	for i, line := range lines {
		name, value, _ := strings.Cut(line, " ")
		switch {
		case i == 0:
			continue
		case name == "controller":
			m.Controller = value
		case name == "endpoint":
			m.Endpoint = value
		case name == "region":
			m.Region = value
		case name == "time":
			m.Time, err = time.Parse(time.RFC3339, value)
			errs = append(errs, err)
		case name == "pin":
			m.Pins = append(m.Pins, value)
		case name == "epoch":
			var (
				e        EpochInfo
				from, to string
			)
			_, err := fmt.Sscanf(value, "%d %s %s %d", &e.ID, &from, &to, &e.Form)
			errs = append(errs, err)
			e.NotBefore, err = time.Parse(time.RFC3339, from)
			errs = append(errs, err)
			e.NotAfter, err = time.Parse(time.RFC3339, to)
			errs = append(errs, err)
			m.Epochs = append(m.Epochs, e)
		}
	}
	if errors.Join(errs...) != nil || m.text() != n.Text {
		return Metadata{}, fmt.Errorf("%w: layout", ErrMetadata)
	}
	return m, nil
}

// SignMetadata returns the signed note.
func SignMetadata(m Metadata, key note.Signer) ([]byte, error) {
	return note.Sign(&note.Note{Text: m.text()}, key)
}
