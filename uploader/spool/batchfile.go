package spool

import (
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/scruple-agent/scruple/uploader/wire"
)

// A batch file holds one batch, made of the segments from a to b, as it is or was sent. Its name says what became of it:
//
//	0000000a-0000000c.batch                  to be sent, or being sent
//	0000000a-0000000c.acked                  the receiver has it; the segments and then this file go
//	0000000a-0000000c.undeclared-field.parked  refused with this reason; the segments go, this file stays
//
// A rename is the commit point of both changes: it is atomic and needs no space. The content is the magic and one sealed text,
// with the additional data (consent, kind 'b', a, b); the plaintext:
//
//	+---------------------------+---------------+-----------+---------------------+
//	| hour of the oldest (8)    | batch id (16) | items (4) | body as sent        |
//	+---------------------------+---------------+-----------+---------------------+
const (
	batchMagic = "scruple-batch/1\n"
	batchHead  = 8 + 16 + 4
)

// stored is the content of a batch file.
type stored struct {
	hour  int64
	id    wire.UUID
	items int
	body  []byte
}

func encodeStored(aead cipher.AEAD, consent wire.UUID, a, b uint32, s stored) []byte {
	plain := make([]byte, 0, batchHead+len(s.body))
	plain = binary.BigEndian.AppendUint64(plain, uint64(s.hour))
	plain = append(plain, s.id[:]...)
	plain = binary.BigEndian.AppendUint32(plain, uint32(s.items))
	plain = append(plain, s.body...)
	return aead.Seal([]byte(batchMagic), nil, plain, place(consent, kindBatch, a, b))
}

func decodeStored(aead cipher.AEAD, consent wire.UUID, a, b uint32, file []byte) (stored, error) {
	sealed, ok := strings.CutPrefix(string(file), batchMagic)
	if !ok {
		return stored{}, fmt.Errorf("batch %08x-%08x: %w", a, b, errDamaged)
	}
	plain, err := aead.Open(nil, nil, []byte(sealed), place(consent, kindBatch, a, b))
	if err != nil || len(plain) <= batchHead {
		return stored{}, fmt.Errorf("batch %08x-%08x: %w", a, b, errDamaged)
	}
	return stored{
		hour: int64(binary.BigEndian.Uint64(plain)), id: wire.UUID(plain[8:24]),
		items: int(binary.BigEndian.Uint32(plain[24:])), body: plain[batchHead:],
	}, nil
}

// fileName is a parsed name of a file in a consent's folder.
type fileName struct {
	a, b   uint32
	fate   string // "seg", "batch", "acked", "parked", "tmp"
	reason string // parked
}

func (n fileName) String() string {
	switch n.fate {
	case "seg":
		return fmt.Sprintf("%08x.seg", n.a)
	case "parked":
		return fmt.Sprintf("%08x-%08x.%s.parked", n.a, n.b, n.reason)
	}
	return fmt.Sprintf("%08x-%08x.%s", n.a, n.b, n.fate)
}

// parseName reads a name that String made; false for any other.
func parseName(s string) (fileName, bool) {
	var n fileName
	parts := strings.Split(s, ".")
	n.fate = parts[len(parts)-1]
	switch {
	case n.fate == "tmp":
		return n, true
	case n.fate == "parked" && len(parts) == 3 && validReason(parts[1]):
		n.reason = parts[1]
	case (n.fate == "seg" || n.fate == "batch" || n.fate == "acked") && len(parts) == 2:
	default:
		return n, false
	}
	if n.fate == "seg" {
		_, err := fmt.Sscanf(parts[0], "%08x", &n.a)
		return n, err == nil && n.String() == s
	}
	_, err := fmt.Sscanf(parts[0], "%08x-%08x", &n.a, &n.b)
	return n, err == nil && n.String() == s && n.a <= n.b
}

// validReason reports whether a reason is made of lower-case words and hyphens, so that it can stand in a name.
func validReason(s string) bool {
	return s != "" && len(s) <= 40 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz-") == ""
}
