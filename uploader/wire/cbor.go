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
)

// ErrMalformed says that bytes are not a message of this package's schema.
var ErrMalformed = errors.New("malformed message")

var (
	encMode = must(cbor.CoreDetEncOptions().EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		IntDec:            cbor.IntDecConvertSignedOrFail,
		UTF8:              cbor.UTF8RejectInvalid,
		MaxArrayElements:  1 << 17,
		MaxMapPairs:       MaxFields,
		MaxNestedLevels:   8,
	}.DecMode())
)

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
	if err := decMode.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %s", ErrMalformed, fault(err))
	}
	again, err := encMode.Marshal(v)
	if err != nil || string(again) != string(b) {
		return fmt.Errorf("%w: not deterministically encoded", ErrMalformed)
	}
	return nil
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
