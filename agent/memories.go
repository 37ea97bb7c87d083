package agent

import (
	"errors"
	"io/fs"
	"os"
	"sync"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/durable"
	"github.com/scruple-agent/scruple/agent/minimise"
	"github.com/scruple-agent/scruple/agent/sealed"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// memories keeps what passes over the address book remember, one sealed file a consent. The files are of no use
// without the consent's data key; a withdrawal destroys that first and unlinks the file then.
type memories struct {
	files sealed.Folder // of which the pass seals and opens the files itself
	mu    sync.Mutex    // a withdrawal does not slip between the question and the writing
}

// load returns what is stored for a consent, nil for nothing. What cannot be read is damaged like what cannot be opened.
func (m *memories) load(id wire.UUID) []byte {
	info, err := os.Stat(m.files.Path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.Mode().IsRegular() && info.Size() <= minimise.MaxContactsMemory {
		if b, err := os.ReadFile(m.files.Path(id)); err == nil && len(b) > 0 {
			return b
		}
	}
	return []byte("unreadable")
}

// save stores it while the permit holds.
func (m *memories) save(p consent.Permit, sealed []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := p.Check(); err != nil {
		return err
	}
	if err := durable.MkdirAll(m.files.Dir); err != nil {
		return err
	}
	return durable.WriteFile(m.files.Path(p.Consent()), sealed, 0o600)
}

// erase unlinks what is stored for a consent.
func (m *memories) erase(id wire.UUID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.files.Erase(id)
}

// consents lists whose there are.
func (m *memories) consents() []wire.UUID { return m.files.Consents() }
