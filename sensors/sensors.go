// Package sensors holds what every source of raw values shares: the answer "absent", and a type that makes a
// raw value redact itself. One sub-package a source: device, accel, steps, location, contacts.
//
// A source is opened with a consent.Permit and asks it again at every read, so it reads nothing once the
// consent has ended. What a source returns is raw: it lives in memory only, on its way to package minimise.
package sensors

import (
	"errors"
	"fmt"

	"go.uber.org/zap/zapcore"
)

// ErrAbsent says that the device has no such sensor, or that its service is not there. It is an answer, not a
// fault: status shows it, and nothing is retried hot. It matches errors.ErrUnsupported.
var ErrAbsent error = absent{}

type absent struct{}

// Error returns one word, which ends the sentence that Absent begins.
func (absent) Error() string { return "absent" }

// Is makes it an errors.ErrUnsupported.
func (absent) Is(target error) bool { return target == errors.ErrUnsupported }

// Absent returns an error that matches ErrAbsent and says what is missing. What must not hold a personal
// value: name the kind of file or service, never a path of the person's.
func Absent(what string) error { return fmt.Errorf("%s is %w", what, ErrAbsent) }

// Redacted is what every raw value prints as.
const Redacted = "[raw value, not shown]"

// Raw is embedded by every type that holds a raw personal value. Whatever prints, logs or encodes such a value
// then gets Redacted: fmt with any verb, encoding/json, encoding.TextMarshaler users, zap.
//
// It cannot help where a value is copied out of its type, or printed by reflection out of an unexported field
// of another struct; a test logs every sample type and looks for a canary.
type Raw struct{}

// String implements fmt.Stringer.
func (Raw) String() string { return Redacted }

// GoString implements fmt.GoStringer.
func (Raw) GoString() string { return Redacted }

// Format implements fmt.Formatter, so that no verb reaches the fields.
func (Raw) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(Redacted)) }

// MarshalJSON implements json.Marshaler.
func (Raw) MarshalJSON() ([]byte, error) { return []byte(`"` + Redacted + `"`), nil }

// MarshalText implements encoding.TextMarshaler.
func (Raw) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (Raw) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("value", Redacted)
	return nil
}
