package consent

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/agent/sealed"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// A ledger's file is a header line and frames:
//
//	"scruple-ledger/1 CONTROLLER GENERATION PUBLICKEY\n"
//
//	 0      4       8              40                40+len-32
//	+------+-------+--------------+------------------+
//	| len  | crc   | leaf hash    | nonce | sealed   |
//	| u32  | u32   | 32           | 12    | len-44   |
//	+------+-------+--------------+------------------+
//
// len (little endian) counts the bytes after crc. crc is CRC-32C over the len field and the bytes after crc: it tells
// a torn tail from a whole frame, no more. sealed is what sealed.AEAD makes, under the record's own key, of
//
//	seed (32) || length (u32) || statement || what is withheld
//
// (two halves of a record in deterministic CBOR, see Statement) with "scruple-ledger/1", controller, generation, record number and leaf hash as associated data, so that a frame
// opens only in its own place. leaf hash = SHA-256(salt || statement), the salt being derived from the seed. Once the record's key is destroyed in
// the key ring, the body is erased, while the leaf, the tree over it and old proofs stay.

const (
	frameHead    = 8
	frameMinimum = 32 + 12 + 16 + 36 // leaf, nonce, tag, seed, length
	maxFrame     = frameMinimum + maxRecord
	frameVersion = "scruple-ledger/1"
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	// errTorn says that the bytes at this place are not a whole frame.
	errTorn = errors.New("torn frame")
)

func header(controller policy.ControllerID, generation uint64, public []byte) []byte {
	return fmt.Appendf(nil, "%s %s %d %x\n", frameVersion, controller, generation, public)
}

func frameAD(controller policy.ControllerID, generation, seq uint64, leaf wire.Hash) []byte {
	return fmt.Appendf(nil, "%s %s %d %d %x", frameVersion, controller, generation, seq, leaf)
}

// sealFrame returns the frame of a record and its leaf.
func sealFrame(controller policy.ControllerID, generation uint64, r *Record, key []byte) ([]byte, wire.Hash, error) {
	s := newSeed()
	statement, rest, err := encodeRecord(r, s.blind())
	if err != nil {
		return nil, wire.Hash{}, err
	}
	aead, err := sealed.AEAD(key, frameVersion)
	if err != nil {
		return nil, wire.Hash{}, err
	}
	leaf := Leaf(s.salt(), statement)
	plain := joinHalves(s, statement, rest)
	frame := make([]byte, frameHead, frameHead+32+12+16+len(plain))
	frame = append(frame, leaf[:]...)
	frame = aead.Seal(frame, nil, plain, frameAD(controller, generation, r.Seq, leaf))
	binary.LittleEndian.PutUint32(frame, uint32(len(frame)-frameHead))
	binary.LittleEndian.PutUint32(frame[4:], frameCRC(frame))
	return frame, leaf, nil
}

func frameCRC(frame []byte) uint32 {
	return crc32.Update(crc32.Checksum(frame[:4], castagnoli), castagnoli, frame[frameHead:])
}

// readFrame reads the next whole frame. It returns io.EOF at the end, errTorn for what is no whole frame, and what the disk says.
func readFrame(r io.Reader) ([]byte, error) {
	var head [frameHead]byte
	if n, err := io.ReadFull(r, head[:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			if n == 0 {
				return nil, io.EOF
			}
			return nil, errTorn
		}
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n < frameMinimum || n > maxFrame {
		return nil, errTorn
	}
	frame := make([]byte, frameHead+int(n))
	copy(frame, head[:])
	if _, err := io.ReadFull(r, frame[frameHead:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, errTorn
		}
		return nil, err
	}
	if binary.LittleEndian.Uint32(head[4:]) != frameCRC(frame) {
		return nil, errTorn
	}
	return frame, nil
}

// leafIn returns the leaf hash of a whole frame.
func leafIn(frame []byte) wire.Hash { return wire.Hash(frame[frameHead : frameHead+32]) }

// openFrame returns the record in a whole frame; wire.ErrMalformed when it is not that record of that ledger.
func openFrame(frame []byte, controller policy.ControllerID, generation, seq uint64, key []byte) (*Record, error) {
	r, _, _, err := openHalves(frame, controller, generation, seq, key)
	return r, err
}

// openHalves is openFrame with what a receipt shows: the statement's bytes and the salt.
func openHalves(frame []byte, controller policy.ControllerID, generation, seq uint64, key []byte) (r *Record, statement []byte, salt wire.Hash, err error) {
	bad := func(what string) (*Record, []byte, wire.Hash, error) {
		return nil, nil, wire.Hash{}, fmt.Errorf("record %d: %w: %s", seq, wire.ErrMalformed, what)
	}
	aead, err := sealed.AEAD(key, frameVersion)
	if err != nil {
		return nil, nil, salt, err
	}
	leaf := leafIn(frame)
	plain, err := aead.Open(nil, nil, frame[frameHead+32:], frameAD(controller, generation, seq, leaf))
	if err != nil {
		return bad("seal")
	}
	s, statement, rest, err := splitHalves(plain)
	if err != nil {
		return nil, nil, salt, err
	}
	if Leaf(s.salt(), statement) != leaf {
		return bad("leaf")
	}
	if r, err = decodeRecord(statement, rest, s.blind()); err != nil {
		return nil, nil, salt, err
	}
	if r.Seq != seq || r.Controller != controller {
		return bad("place")
	}
	return r, statement, s.salt(), nil
}

// scanFrames calls each with every whole frame of r and the place of its end, counted from the first frame. It stops at the
// first that is not whole and returns the place of the end of the last whole one.
func scanFrames(r io.Reader, each func(frame []byte, end int64) error) (good int64, err error) {
	b := bufio.NewReaderSize(r, 32<<10)
	for {
		frame, err := readFrame(b)
		if errors.Is(err, io.EOF) || errors.Is(err, errTorn) {
			return good, nil
		}
		if err != nil {
			return good, err
		}
		end := good + int64(len(frame))
		if err := each(frame, end); err != nil {
			return good, err
		}
		good = end
	}
}
