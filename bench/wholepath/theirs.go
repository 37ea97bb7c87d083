package main

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	govcard "github.com/emersion/go-vcard"
	"github.com/nyaruka/phonenumbers"

	"github.com/scruple-agent/scruple/hasher/canonical"
	"github.com/scruple-agent/scruple/sensors/contacts/booktest"
)

type digest [16]byte

// stack is the same path as it is put together today: go-vcard, nyaruka/phonenumbers, crypto/hmac with one state that
// is used again, slices for the set. E-mail addresses are trimmed and lower-cased, which is less than we do.
type stack struct {
	phones, emails hash.Hash
}

func newStack() (*stack, error) {
	s := new(stack)
	for kind, h := range map[byte]*hash.Hash{1: &s.phones, 2: &s.emails} {
		info := binary.BigEndian.AppendUint32(append([]byte("scruple/contacts/1"), kind), canonical.PhoneForm)
		key, err := hkdf.Key(sha256.New, epochKey[:], nil, string(info), sha256.Size)
		if err != nil {
			return nil, err
		}
		*h = hmac.New(sha256.New, key)
	}
	return s, nil
}

func sum(h hash.Hash, text string) (d digest) {
	var full [sha256.Size]byte
	h.Reset()
	_, _ = io.WriteString(h, text)
	h.Sum(full[:0])
	copy(d[:], full[:])
	return d
}

// file adds the digests of one file.
func (s *stack) file(set []digest, path string) ([]digest, int, error) {
	f, err := os.Open(path)
	if err != nil {
		return set, 0, err
	}
	defer f.Close()
	values := 0
	dec := govcard.NewDecoder(f)
	for {
		card, err := dec.Decode()
		if err == io.EOF {
			return set, values, nil
		}
		if err != nil {
			continue // the next card may be whole
		}
		for _, tel := range card[govcard.FieldTelephone] {
			if number, err := phonenumbers.Parse(tel.Value, booktest.DefaultRegion); err == nil {
				set = append(set, sum(s.phones, phonenumbers.Format(number, phonenumbers.E164)))
				values++
			}
		}
		for _, mail := range card[govcard.FieldEmail] {
			if address := strings.ToLower(strings.TrimSpace(mail.Value)); address != "" {
				set = append(set, sum(s.emails, address))
				values++
			}
		}
	}
}

// finish sorts, removes repetitions and pads.
func (s *stack) finish(set []digest) (padded []digest, distinct int) {
	order := func(a, b digest) int { return bytes.Compare(a[:], b[:]) }
	slices.SortFunc(set, order)
	set = slices.Compact(set)
	distinct = len(set)
	size := 64
	for size < len(set) {
		size *= 2
	}
	pad := hmac.New(sha256.New, make([]byte, 32))
	for i := 0; len(set) < size; i++ {
		set = append(set, sum(pad, string(binary.BigEndian.AppendUint64(nil, uint64(i)))))
	}
	slices.SortFunc(set, order)
	return set, distinct
}

// theirs is the whole path over a file or a folder of .vcf files.
func (s *stack) theirs(path string) (set []digest, distinct int, err error) {
	err = filepath.WalkDir(path, func(file string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		set, _, err = s.file(set, file)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	set, distinct = s.finish(set)
	return set, distinct, nil
}
