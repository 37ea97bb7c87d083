package wire

import (
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Limits of one decoded body; each is far above what an honest agent makes.
const (
	// MaxBody is the largest compressed body of any request, in bytes.
	MaxBody = 8 << 20
	// MaxPlain is the largest decompressed body: 131,072 digests of 16 bytes are 2 MiB.
	MaxPlain = 16 << 20
	// MaxReports is the largest number of reports in a batch.
	MaxReports = 4096
	// MaxFields is the largest number of fields in a report.
	MaxFields = 64
	// maxElements is the largest number of CBOR data items in one message. 4,096 reports of 30 fields are 245,760
	// keys and values. A decoded data item takes up to 60 bytes where its encoding took one, so without this
	// a body of MaxPlain bytes could ask for a gigabyte.
	maxElements = 1 << 18
)

// ErrMalformed says that bytes are not a message of this package's schema.
var ErrMalformed = errors.New("malformed message")

var (
	encMode = must(encOptions().EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		IntDec:            cbor.IntDecConvertSignedOrFail,
		UTF8:              cbor.UTF8RejectInvalid,
		MaxArrayElements:  maxElements,
		MaxMapPairs:       MaxFields,
		MaxNestedLevels:   8,
	}.DecMode())
)

// encOptions are the core deterministic ones; an empty list and a nil one have the same spelling.
func encOptions() cbor.EncOptions {
	o := cbor.CoreDetEncOptions()
	o.NilContainers = cbor.NilContainerAsEmpty
	return o
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Marshal encodes v deterministically.
func Marshal(v any) ([]byte, error) { return encMode.Marshal(v) }

// Unmarshal decodes b into v strictly, and refuses bytes that are not the deterministic encoding of what
// they mean. The error names the kind of fault, never a value.
func Unmarshal(b []byte, v any) error {
	if len(b) > MaxPlain {
		return fmt.Errorf("%w: longer than %d bytes", ErrMalformed, MaxPlain)
	}
	if !fewElements(b) {
		return fmt.Errorf("%w: too many elements", ErrMalformed)
	}
	if err := decMode.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %s", ErrMalformed, fault(err))
	}
	again, err := encMode.Marshal(v)
	if err != nil || string(again) != string(b) {
		return fmt.Errorf("%w: not deterministically encoded", ErrMalformed)
	}
	return nil
}

// fewElements reports whether b, read as CBOR, has at most maxElements data items. It looks at heads only and
// gives up quietly where b is not well-formed: the decoder says what is wrong.
func fewElements(b []byte) bool {
	for n := 0; len(b) > 0; n++ {
		if n == maxElements {
			return false
		}
		major, info := b[0]>>5, b[0]&0x1f
		b = b[1:]
		arg, wide := uint64(info), 0
		if info >= 24 && info <= 27 {
			wide = 1 << (info - 24)
		}
		if len(b) < wide {
			return true
		}
		if wide > 0 {
			arg = 0
			for _, c := range b[:wide] {
				arg = arg<<8 | uint64(c)
			}
			b = b[wide:]
		}
		if major == 2 || major == 3 {
			if arg > uint64(len(b)) {
				return true
			}
			b = b[arg:]
		}
	}
	return true
}

// fault names the kind of a CBOR error without the text that may hold a value.
func fault(err error) string {
	var (
		syntax  *cbor.SyntaxError
		typ     *cbor.UnmarshalTypeError
		extra   *cbor.ExtraneousDataError
		unknown *cbor.UnknownFieldError
		dup     *cbor.DupMapKeyError
	)
	switch {
	case errors.As(err, &typ):
		return "wrong type in " + typ.StructFieldName
	case errors.As(err, &extra):
		return "bytes after the end"
	case errors.As(err, &unknown):
		return "unknown key"
	case errors.As(err, &dup):
		return "duplicate key"
	case errors.As(err, &syntax):
		return "syntax"
	}
	return "not in the schema"
}
