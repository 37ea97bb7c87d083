package agent

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/durable"
	"github.com/scruple-agent/scruple/agent/minimise"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// memories keeps what passes over the address book remember, one sealed file a consent. The files are of no use
// without the consent's data key; a withdrawal destroys that first and unlinks the file then.
type memories struct {
	dir string
	mu  sync.Mutex // a withdrawal does not slip between the question and the writing
}

const memorySuffix = ".memory"

func (m *memories) path(id wire.UUID) string {
	return filepath.Join(m.dir, id.String()+memorySuffix)
}

// load returns what is stored for a consent, nil for nothing. What cannot be read is damaged like what cannot be opened.
func (m *memories) load(id wire.UUID) []byte {
	info, err := os.Stat(m.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.Mode().IsRegular() && info.Size() <= minimise.MaxContactsMemory {
		if b, err := os.ReadFile(m.path(id)); err == nil && len(b) > 0 {
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
	if err := durable.MkdirAll(m.dir); err != nil {
		return err
	}
	return durable.WriteFile(m.path(p.Consent()), sealed, 0o600)
}

// erase unlinks what is stored for a consent.
func (m *memories) erase(id wire.UUID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	path := m.path(id)
	if _, err := os.Lstat(path + ".tmp"); err == nil { // of a crash
		if err := durable.Remove(path + ".tmp"); err != nil {
			return err
		}
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return durable.Remove(path)
}

// consents lists whose there are.
func (m *memories) consents() (list []wire.UUID) {
	entries, err := os.ReadDir(m.dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".tmp")
		name, ok := strings.CutSuffix(name, memorySuffix)
		if !ok {
			continue
		}
		if id, err := wire.ParseUUID(name); err == nil {
			list = append(list, id)
		}
	}
	return list
}
