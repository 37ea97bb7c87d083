package items

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// The bounds of what an application may submit at once, besides the bound on the body.
const (
	MaxRecords = 64       // in one submission
	MaxText    = 64 << 10 // bytes of one text
	MaxName    = 128      // bytes of an item's name
	MaxTexts   = 1024     // entries of a list
	MaxEntry   = 4 << 10  // bytes of one entry
)

// ErrSubmission says that a submission is not one: not JSON of records, or beyond a bound.
var ErrSubmission = errors.New("not a submission")

// ErrMissing says that a required field is not there.
var ErrMissing = errors.New("required field is missing")

// Submission is what an application submits.
type Submission struct {
	// Origin is the third party that the records come from, "" where they come from the person or the device.
	Origin  string
	Records []map[string]any
}

// Decode reads a submission for the effective (category, purpose): {"records": [{...}]}, with "origin" where a third party is
// the declared source. Every field must be declared for the purpose and of its type (bytes as base64), and every
// required one must be there. Errors name the field and the record's number, never a value; an undeclared field is
// named only where its name cannot be a value in disguise.
func Decode(e policy.Effective, body []byte) (Submission, error) {
	var s Submission
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := delim(d, '{'); err != nil {
		return s, err
	}
	seen := map[string]bool{}
	for d.More() {
		key, err := text(d)
		switch {
		case err != nil:
			return s, err
		case seen[key]:
			return s, fmt.Errorf("%w: a key stands twice", ErrSubmission)
		case key == "origin":
			if s.Origin, err = text(d); err != nil {
				return s, fmt.Errorf("%w: origin is not text", ErrSubmission)
			}
		case key == "records":
			if s.Records, err = records(d, e); err != nil {
				return s, err
			}
		default:
			return s, fmt.Errorf("%w: its keys are records and origin", ErrSubmission)
		}
		seen[key] = true
	}
	if err := delim(d, '}'); err != nil {
		return s, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return s, fmt.Errorf("%w: something follows its end", ErrSubmission)
	}
	if len(s.Records) == 0 {
		return s, fmt.Errorf("%w: it has no records", ErrSubmission)
	}
	return s, nil
}

func records(d *json.Decoder, e policy.Effective) (list []map[string]any, err error) {
	if err := delim(d, '['); err != nil {
		return nil, err
	}
	for d.More() {
		if len(list) == MaxRecords {
			return nil, fmt.Errorf("%w: more than %d records", ErrSubmission, MaxRecords)
		}
		record, err := record(d, e)
		if err != nil {
			return nil, fmt.Errorf("record %d: %w", len(list)+1, err)
		}
		list = append(list, record)
	}
	return list, delim(d, ']')
}

func record(d *json.Decoder, e policy.Effective) (map[string]any, error) {
	if err := delim(d, '{'); err != nil {
		return nil, err
	}
	fields := map[string]any{}
	for d.More() {
		name, err := text(d)
		if err != nil {
			return nil, err
		}
		f, err := e.Field(name)
		switch {
		case err != nil && strings.ContainsAny(name, "0123456789"): // it may be a value in the wrong place
			return nil, policy.ErrUndeclaredField
		case err != nil:
			return nil, err
		}
		if _, twice := fields[name]; twice {
			return nil, fmt.Errorf("%s: stands twice: %w", name, ErrSubmission)
		}
		v, problem := value(d, f)
		if problem != "" {
			return nil, fmt.Errorf("%s: %s: %w", name, problem, policy.ErrFieldValue)
		}
		fields[name] = v
	}
	if err := delim(d, '}'); err != nil {
		return nil, err
	}
	return fields, Check(e, fields)
}

// Check reports whether a record of typed values may be stored: declared, of the declared types, within the bounds, and
// with every required field. Where the category declares FieldName, that is required too.
func Check(e policy.Effective, fields map[string]any) error {
	if err := e.CheckFields(fields); err != nil {
		return err
	}
	if missing := e.Missing(fields); len(missing) > 0 {
		return fmt.Errorf("%s: %w", missing[0], ErrMissing)
	}
	if _, err := e.Field(FieldName); err == nil {
		switch name, _ := fields[FieldName].(string); {
		case name == "":
			return fmt.Errorf("%s: %w", FieldName, ErrMissing)
		case len(name) > MaxName:
			return fmt.Errorf("%s: longer than %d bytes: %w", FieldName, MaxName, policy.ErrFieldValue)
		case name == Only: // it would name them all
			return fmt.Errorf("%s: is not a name: %w", FieldName, policy.ErrFieldValue)
		case !wire.ValidCaseItem(name): // it could never be asked to be erased
			return fmt.Errorf("%s: has a character that is not shown: %w", FieldName, policy.ErrFieldValue)
		}
	}
	return nil
}

// NameOf returns the name of the item that a record is the state of.
func NameOf(fields map[string]any) string {
	if name, ok := fields[FieldName].(string); ok && name != "" {
		return name
	}
	return Only
}

// value reads one value of the declared type, or says what is wrong with it.
func value(d *json.Decoder, f policy.Field) (any, string) {
	t, err := d.Token()
	if err != nil {
		return nil, "is not JSON"
	}
	switch v := t.(type) {
	case bool:
		return v, ""
	case json.Number:
		n, err := strconv.ParseInt(v.String(), 10, 64)
		if err != nil {
			return nil, "is no whole number of 64 bits"
		}
		return n, ""
	case string:
		return str(f, v)
	case json.Delim:
		if v == '[' && f.Type == policy.FieldTexts {
			return texts(d)
		}
	}
	return nil, "is declared as " + string(f.Type)
}

func str(f policy.Field, v string) (any, string) {
	if f.Type == policy.FieldBytes {
		b, err := base64.StdEncoding.Strict().DecodeString(v)
		if err != nil {
			return nil, "is not base64"
		}
		return b, ""
	}
	return v, tooLong(v, MaxText)
}

func texts(d *json.Decoder) (any, string) {
	list := []string{}
	for d.More() {
		t, err := d.Token()
		v, ok := t.(string)
		switch {
		case err != nil || !ok:
			return nil, "is declared as texts"
		case len(list) == MaxTexts:
			return nil, "has more than " + strconv.Itoa(MaxTexts) + " entries"
		}
		if problem := tooLong(v, MaxEntry); problem != "" {
			return nil, "an entry " + problem
		}
		list = append(list, v)
	}
	if _, err := d.Token(); err != nil {
		return nil, "is not JSON"
	}
	return list, ""
}

func tooLong(s string, most int) string {
	if len(s) > most {
		return "is longer than " + strconv.Itoa(most) + " bytes"
	}
	return ""
}

func delim(d *json.Decoder, want json.Delim) error {
	if t, err := d.Token(); err != nil || t != want {
		return fmt.Errorf("%w: it is {\"records\": [{FIELD: VALUE, ...}]}", ErrSubmission)
	}
	return nil
}

func text(d *json.Decoder) (string, error) {
	t, err := d.Token()
	s, ok := t.(string)
	if err != nil || !ok || !utf8.ValidString(s) {
		return "", fmt.Errorf("%w: it is not JSON", ErrSubmission)
	}
	return s, nil
}
