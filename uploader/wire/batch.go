package wire

import (
	"fmt"
	"maps"
	"slices"
)

// Report is minimised data of one tuple: what may be stored. It carries the consent it rests on and the
// hash of the policy subtree under which it was made, so that both ends can enforce them.
type Report struct {
	Consent UUID `cbor:"1,keyasint"`
	Subtree Hash `cbor:"2,keyasint"`
	Item    Item `cbor:"3,keyasint"`
}

// Item is the content of a report.
type Item struct {
	// Time is in unix seconds, rounded by the minimiser to what the purpose allows.
	Time int64 `cbor:"1,keyasint"`
	// Fields are the declared fields by name. Values are string, int64, bool, []byte or []string.
	Fields map[string]any `cbor:"2,keyasint"`
}

// Batch is what leaves in one request of lane B: reports of one tuple under one consent.
type Batch struct {
	Version uint   `cbor:"1,keyasint"` // 1
	ID      UUID   `cbor:"2,keyasint"`
	Consent UUID   `cbor:"3,keyasint"`
	Subtree Hash   `cbor:"4,keyasint"`
	Items   []Item `cbor:"5,keyasint"`
}

// BatchVersion is the schema version of Batch.
const BatchVersion = 1

// EncodeReport returns the deterministic encoding that the spool stores. It returns ErrMalformed for a report
// that the schema does not have.
func EncodeReport(r Report) ([]byte, error) {
	if !r.Consent.valid() {
		return nil, fmt.Errorf("report: %w: consent", ErrMalformed)
	}
	if err := r.Item.check(); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return Marshal(r)
}

// DecodeReport reads what EncodeReport wrote. It returns ErrMalformed for anything else.
func DecodeReport(b []byte) (Report, error) {
	var r Report
	if err := Unmarshal(b, &r); err != nil {
		return Report{}, fmt.Errorf("report: %w", err)
	}
	if !r.Consent.valid() {
		return Report{}, fmt.Errorf("report: %w: consent", ErrMalformed)
	}
	if err := r.Item.normalise(); err != nil {
		return Report{}, fmt.Errorf("report: %w", err)
	}
	return r, nil
}

// EncodeBatch returns the deterministic encoding, not yet compressed. It returns ErrMalformed for a batch that
// DecodeBatch would refuse.
func EncodeBatch(b Batch) ([]byte, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	for i := range b.Items {
		if err := b.Items[i].check(); err != nil {
			return nil, fmt.Errorf("batch item %d: %w", i, err)
		}
	}
	return Marshal(b)
}

// DecodeBatch reads what EncodeBatch wrote. It returns ErrMalformed for anything else.
func DecodeBatch(plain []byte) (Batch, error) {
	var b Batch
	if err := Unmarshal(plain, &b); err != nil {
		return Batch{}, fmt.Errorf("batch: %w", err)
	}
	if err := b.check(); err != nil {
		return Batch{}, err
	}
	for i := range b.Items {
		if err := b.Items[i].normalise(); err != nil {
			return Batch{}, fmt.Errorf("batch item %d: %w", i, err)
		}
	}
	return b, nil
}

func (b Batch) check() error {
	switch {
	case b.Version != BatchVersion:
		return fmt.Errorf("batch: %w: version", ErrMalformed)
	case !b.ID.valid() || !b.Consent.valid():
		return fmt.Errorf("batch: %w: id", ErrMalformed)
	case len(b.Items) == 0 || len(b.Items) > MaxReports:
		return fmt.Errorf("batch: %w: number of items", ErrMalformed)
	}
	return nil
}

// check refuses values of types that the schema does not have, before they are encoded.
func (it Item) check() error {
	if len(it.Fields) == 0 || len(it.Fields) > MaxFields {
		return fmt.Errorf("%w: number of fields", ErrMalformed)
	}
	for _, name := range slices.Sorted(maps.Keys(it.Fields)) {
		switch it.Fields[name].(type) {
		case string, int64, bool, []byte, []string:
		default:
			return fmt.Errorf("%w: type of field %q", ErrMalformed, name)
		}
	}
	return nil
}

// normalise gives decoded values the types that check demands.
func (it Item) normalise() error {
	for name, v := range it.Fields {
		list, ok := v.([]any)
		if !ok {
			continue
		}
		texts := make([]string, len(list))
		for i := range list {
			if texts[i], ok = list[i].(string); !ok {
				return fmt.Errorf("%w: element of a list field", ErrMalformed)
			}
		}
		it.Fields[name] = texts
	}
	if err := it.check(); err != nil {
		return fmt.Errorf("%w: a field", ErrMalformed)
	}
	return nil
}
