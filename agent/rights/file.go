package rights

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/scruple-agent/scruple/agent/durable"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/sealed"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// A case's file is sealed under the case's key. Its place and its name are the id and the generation; the ring names the generation
// that counts.
var sealing = sealed.Kind{Magic: "scruple-case/1\n", Max: 4 * wire.MaxCase}

const suffix = ".case"

func place(id wire.UUID, generation uint64) []byte {
	return binary.BigEndian.AppendUint64(append([]byte(nil), id[:]...), generation)
}

// write writes a case's file. On a full disk the reserve is given up for it.
func (s *Store) write(c *Case, key []byte, generation uint64) error {
	plain, err := wire.Marshal(*c)
	if err != nil {
		return err
	}
	defer clear(plain)
	return s.ring.Reserve().Do(func() error {
		return sealing.Write(s.path(c.ID, generation), key, place(c.ID, generation), plain)
	})
}

func (s *Store) read(id wire.UUID, key []byte, generation uint64) (Case, error) {
	plain, err := sealing.Read(s.path(id, generation), key, place(id, generation))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, sealed.ErrDamaged) {
		return Case{}, ErrDamaged
	}
	if err != nil {
		return Case{}, err
	}
	defer clear(plain)
	return decodePlain(plain, id)
}

// decodePlain reads the plaintext of a file and checks that it is that of the case with this id.
func decodePlain(plain []byte, id wire.UUID) (Case, error) {
	var c Case
	if err := wire.Unmarshal(plain, &c); err != nil {
		return Case{}, ErrDamaged
	}
	if c.ID != id || c.Consent.IsZero() || c.Created < 0 || c.Received < 0 || c.Ended < 0 || c.Asked < 0 || c.Items < 0 || c.Here < 0 ||
		len(c.Answers) > maxAnswers || c.State.Final() != (c.Ended != 0) || len(c.Message) > 0 && wire.HashOf(c.Message) != c.Hash {
		return Case{}, ErrDamaged
	}
	return c, nil
}

// load reads what the ring has keys for and removes every other file.
func (s *Store) load() error {
	keys := map[wire.UUID]keyring.CaseKeys{}
	s.ring.View(func(st *keyring.State) {
		for id, k := range st.Rights.Cases {
			keys[id] = keyring.CaseKeys{Generation: k.Generation, Key: append(keyring.Secret(nil), k.Key...)}
		}
	})
	for id, k := range keys {
		c, err := s.read(id, k.Key, k.Generation)
		clear(k.Key)
		if err != nil {
			s.damaged[id] = err
			continue
		}
		s.cases[id] = &c
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		id, generation, ours := parseName(e.Name())
		if k, known := keys[id]; ours && known && k.Generation == generation {
			continue
		}
		if ours || strings.HasSuffix(e.Name(), ".tmp") {
			if err := durable.Remove(filepath.Join(s.dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// parseName reads the name of a case's file.
func parseName(name string) (id wire.UUID, generation uint64, ok bool) {
	base, ok := strings.CutSuffix(name, suffix)
	if !ok || len(base) < 38 || base[36] != '-' {
		return id, 0, false
	}
	id, err := wire.ParseUUID(base[:36])
	if err != nil {
		return id, 0, false
	}
	_, err = fmt.Sscanf(base[37:], "%d", &generation)
	return id, generation, err == nil && fmt.Sprintf("%s-%d%s", id, generation, suffix) == name
}

// put makes cases durable: their files under new keys, then the ring, with what change does to it in the same instant, then the old
// files and those of dropped cases go. identities are those of new cases. The caller holds mu.
func (s *Store) put(cases []*Case, identities map[wire.UUID]keyring.Secret, dropped []wire.UUID, change func(*keyring.State) error) error {
	type written struct {
		c          *Case
		key        keyring.Secret
		generation uint64
	}
	var all []written
	old := map[wire.UUID]uint64{}
	s.ring.View(func(st *keyring.State) {
		for id, k := range st.Rights.Cases {
			old[id] = k.Generation
		}
	})
	undo := func() {
		for _, w := range all {
			_ = durable.Remove(s.path(w.c.ID, w.generation)) // Open does it again
			clear(w.key)
		}
	}
	for _, c := range cases {
		w := written{c, keyring.NewKey(), old[c.ID] + 1}
		all = append(all, w)
		if err := s.write(c, w.key, w.generation); err != nil {
			undo()
			return err
		}
	}
	err := s.ring.Update(func(st *keyring.State) error {
		for _, w := range all {
			k := st.Rights.Cases[w.c.ID]
			if k == nil {
				k = &keyring.CaseKeys{Consent: w.c.Consent, Identity: append(keyring.Secret(nil), identities[w.c.ID]...)}
				st.Rights.Cases[w.c.ID] = k
			}
			clear(k.Key)
			k.Generation, k.Key = w.generation, append(keyring.Secret(nil), w.key...)
			if w.c.State.Final() {
				clear(k.Identity)
				k.Identity = nil
			}
		}
		for _, id := range dropped {
			delete(st.Rights.Cases, id)
		}
		if change != nil {
			return change(st)
		}
		return nil
	})
	if err != nil && !durable.Replaced(err) {
		undo()
		return err
	}
	for _, w := range all {
		clear(w.key)
		if was, ok := old[w.c.ID]; ok {
			_ = durable.Remove(s.path(w.c.ID, was)) // unreadable by now, and Open does it again
		}
		s.cases[w.c.ID] = w.c
	}
	for _, id := range dropped {
		_ = durable.Remove(s.path(id, old[id]))
		delete(s.cases, id)
		delete(s.damaged, id)
	}
	return err
}
