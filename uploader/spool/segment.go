package spool

import (
	"bytes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/scruple-agent/scruple/agent/sealed"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// A segment is a file that only grows:
//
//	+--------------------+---------+---------+-- ... --+
//	| segmentMagic (16)  | frame 0 | frame 1 |         |
//	+--------------------+---------+---------+-- ... --+
//
// A frame, integers big-endian:
//
//	 0        4          8                                  8+len
//	+--------+----------+----------------------------------+
//	| len    | crc32c   | sealed (len bytes)               |
//	+--------+----------+----------------------------------+
//	                    | nonce 12 | ciphertext | tag 16   |
//
// The checksum (Castagnoli) is over len and sealed: it tells a torn or rotten frame from a foreign one. Sealed is AES-256-GCM
// under a key derived from the consent's data key, with additional data that ties the frame to its place, so
// that none can be moved, repeated or taken to another consent:
//
//	+--------------+---------+--------------+-----------+
//	| consent (16) | kind 's'| segment (4)  | frame (4) |
//	+--------------+---------+--------------+-----------+
//
// The plaintext:
//
//	+----------+---------------------------+---------------------------------+
//	| type = 1 | hour of the append (8)    | wire.EncodeReport               |
//	+----------+---------------------------+---------------------------------+
//
// The time is unix seconds rounded down to the hour: retention needs no more.
const (
	segmentMagic = "scruple-spool/1\n"
	frameHead    = 8
	sealOverhead = 12 + 16
	typeReport   = 1
	recordHead   = 1 + 8
	minSealed    = sealOverhead + recordHead + 1
	maxSealed    = sealOverhead + recordHead + MaxReport
	maxSegment   = len(segmentMagic) + segmentBytes + frameHead + maxSealed
)

// The kinds of places a sealed text can have.
const (
	kindSegment = 's'
	kindBatch   = 'b'
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sealer derives the spool's cipher from a consent's data key.
func sealer(dataKey []byte) (cipher.AEAD, error) { return sealed.AEAD(dataKey, segmentMagic) }

// place is the additional data of a sealed text.
func place(consent wire.UUID, kind byte, a, b uint32) []byte {
	p := append(make([]byte, 0, 25), consent[:]...)
	p = append(p, kind)
	p = binary.BigEndian.AppendUint32(p, a)
	return binary.BigEndian.AppendUint32(p, b)
}

// record is the plaintext of a frame.
type record struct {
	hour   int64
	report []byte
}

// appendFrame seals r as the frame-th of a segment and appends it to dst.
func appendFrame(dst []byte, aead cipher.AEAD, consent wire.UUID, segment, frame uint32, r record) []byte {
	plain := make([]byte, 0, recordHead+len(r.report))
	plain = append(plain, typeReport)
	plain = binary.BigEndian.AppendUint64(plain, uint64(r.hour))
	plain = append(plain, r.report...)
	return appendSealed(dst, aead.Seal(nil, nil, plain, place(consent, kindSegment, segment, frame)))
}

func appendSealed(dst, sealed []byte) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(sealed)))
	dst = append(dst, 0, 0, 0, 0)
	dst = append(dst, sealed...)
	binary.BigEndian.PutUint32(dst[start+4:], checksum(dst[start:start+4], sealed))
	return dst
}

func checksum(length, sealed []byte) uint32 {
	return crc32.Update(crc32.Checksum(length, castagnoli), castagnoli, sealed)
}

// scan is what a look through a segment found.
type scan struct {
	// frames is the number of frames up to the last whole one, those that cannot be used included.
	frames uint32
	// good is the offset behind the last whole frame; what follows is a torn tail.
	good int64
	// damaged frames lie before good and have a wrong checksum.
	damaged int
	// unreadable frames are whole, but were not sealed for this place with this key.
	unreadable int
}

// scanSegment calls each for every frame that authenticates, in order. It returns an error only when b is no segment
// of this version at all, or each returned it. A record is valid until each returns.
func scanSegment(b []byte, aead cipher.AEAD, consent wire.UUID, segment uint32, each func(record) error) (scan, error) {
	rest, ok := bytes.CutPrefix(b, []byte(segmentMagic))
	if !ok {
		return scan{}, fmt.Errorf("segment %08x: %w", segment, errNoSegment)
	}
	s := scan{good: int64(len(segmentMagic))}
	at, doubtful := s.good, 0
	for frame := uint32(0); len(rest) >= frameHead; frame++ {
		n := int(binary.BigEndian.Uint32(rest))
		if n < minSealed || n > maxSealed || n > len(rest)-frameHead {
			break
		}
		sealed := rest[frameHead : frameHead+n]
		whole := binary.BigEndian.Uint32(rest[4:]) == checksum(rest[:4], sealed)
		rest = rest[frameHead+n:]
		at += int64(frameHead + n)
		if !whole {
			// Damage if a whole frame follows, otherwise part of the tail.
			doubtful++
			continue
		}
		s.damaged, doubtful = s.damaged+doubtful, 0
		s.frames, s.good = frame+1, at
		plain, err := aead.Open(nil, nil, sealed, place(consent, kindSegment, segment, frame))
		if err != nil || plain[0] != typeReport {
			s.unreadable++
			continue
		}
		if err := each(record{int64(binary.BigEndian.Uint64(plain[1:])), plain[recordHead:]}); err != nil {
			return s, err
		}
	}
	return s, nil
}
