package rights

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/scruple-agent/scruple/agent/durable"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// A case's file is the magic and one sealed text: AES-256-GCM under a key derived from the case's, with the additional data (case
// id, generation). Its name is the id and the generation; the ring names the generation that counts.
const (
	suffix  = ".case"
	magic   = "scruple-case/1\n"
	maxFile = len(magic) + 4*wire.MaxCase
)

func sealer(key []byte) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, key, nil, magic, keyring.KeySize)
	if err != nil {
		return nil, err
	}
	defer clear(derived)
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func place(id wire.UUID, generation uint64) []byte {
	return binary.BigEndian.AppendUint64(append([]byte(nil), id[:]...), generation)
}

// encode returns the content of a case's file.
func encode(c Case, key []byte, generation uint64) ([]byte, error) {
	aead, err := sealer(key)
	if err != nil {
		return nil, err
	}
	plain, err := wire.Marshal(c)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	return aead.Seal([]byte(magic), nil, plain, place(c.ID, generation)), nil
}

func decode(file []byte, id wire.UUID, key []byte, generation uint64) (Case, error) {
	sealed, ok := strings.CutPrefix(string(file), magic)
	if !ok {
		return Case{}, ErrDamaged
	}
	aead, err := sealer(key)
	if err != nil {
		return Case{}, err
	}
	plain, err := aead.Open(nil, nil, []byte(sealed), place(id, generation))
	if err != nil {
		return Case{}, ErrDamaged
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
		file, err := readFile(s.path(id, k.Generation))
		var c Case
		if err == nil {
			c, err = decode(file, id, k.Key, k.Generation)
		}
		clear(k.Key)
		if err != nil {
			if errors.Is(err, os.ErrNotExist) {
				err = ErrDamaged
			}
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

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(maxFile)))
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
// files and those of dropped cases go. keep says whether the identity stays. The caller holds mu.
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
		file, err := encode(*c, w.key, w.generation)
		if err == nil {
			err = s.ring.Reserve().Do(func() error { return durable.WriteFile(s.path(c.ID, w.generation), file, 0o600) })
		}
		all = append(all, w)
		if err != nil {
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
