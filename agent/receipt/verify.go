package receipt

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/ledger"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Part says which part of a receipt does not hold, from a closed list.
type Part string

// The parts, in the order in which they are looked at.
const (
	PartFormat     Part = "format"     // not a receipt at all
	PartKey        Part = "key"        // the receipt names another key than the one given, or none
	PartCheckpoint Part = "checkpoint" // not signed by the key
	PartProof      Part = "proof"      // this record is not at that place of the ledger
	PartRecord     Part = "record"     // not a record of a consent
	PartTerms      Part = "terms"      // not the terms of which the record has the hash
	PartNotice     Part = "notice"     // not the notice of which the record has the hash
	PartField      Part = "field"      // a field says something else than the record, the terms and the notice
)

// Parts lists every part, so that a client can test that it has words for each.
func Parts() []Part {
	return []Part{PartFormat, PartKey, PartCheckpoint, PartProof, PartRecord, PartTerms, PartNotice, PartField}
}

// Fault is why a receipt is not verified. It holds no value of the receipt.
type Fault struct {
	Part   Part
	Detail string // the path of a field, or what is wrong; "" when Part says it all
}

func (f *Fault) Error() string {
	if f.Detail == "" {
		return "not verified: " + string(f.Part)
	}
	return "not verified: " + string(f.Part) + ": " + f.Detail
}

func fault(p Part, detail string) error { return &Fault{p, detail} }

// Verified is what a verified receipt says.
type Verified struct {
	Event      string    `json:"event"`
	Time       time.Time `json:"time"`
	Expiry     time.Time `json:"expiry,omitzero"` // of a consent that was given
	Tuple      string    `json:"tuple"`
	Controller string    `json:"controller"`
	Name       string    `json:"name"` // of the controller, in the notice's language
	Lang       string    `json:"lang,omitempty"`
	Notice     string    `json:"notice,omitempty"` // SHA-256 of the text; "" where none was shown
	Person     bool      `json:"person"`           // the person indicated it, not a program
	Policy     string    `json:"policy"`
	Version    uint      `json:"policy_version"`
	Key        string    `json:"key"`
	// KeyGiven is false when the key was only the one inside the receipt: the receipt is whole, and whose it is
	// remains open.
	KeyGiven bool   `json:"key_given"`
	Ledger   string `json:"ledger"` // name, drawn from the key
	Index    uint64 `json:"index"`
	Size     uint64 `json:"size"` // records of the ledger at the checkpoint
}

// Verify checks a receipt against the ledger's verifier key, or with "" against the key that it carries. It opens no
// file and asks nobody. The error is a *Fault: whatever the file says, it is one of Parts and holds no value of it.
func Verify(file []byte, key string) (Verified, error) {
	got, err := parse(file)
	if err != nil {
		return Verified{}, err
	}
	e, err := evidence(got)
	if err != nil {
		return Verified{}, err
	}
	given := key != ""
	switch {
	case given && e.Key != key:
		return Verified{}, fault(PartKey, "the receipt is of another ledger key than the one given")
	case !given:
		key = e.Key
	}
	c, n, err := ledger.VerifyInclusion(e.Proof, ledger.LeafData(e.Salt, e.Statement), key)
	switch {
	case errors.Is(err, ledger.ErrCheckpoint):
		return Verified{}, fault(PartCheckpoint, "it is not signed by the key")
	case err != nil:
		return Verified{}, fault(PartProof, "the record is not at that place of the ledger")
	}
	s, err := consent.DecodeStatement(e.Statement)
	if err != nil {
		return Verified{}, fault(PartRecord, "it is in the ledger, but is no consent record")
	}
	if !Of(s) || s.Seq != n {
		return Verified{}, fault(PartRecord, "it is in the ledger, but not the record of a consent at that place")
	}
	if e.Terms, err = terms(got); err != nil || wire.Hash(e.Terms.Hash()) != s.Subtree {
		return Verified{}, fault(PartTerms, "the terms are not those that the record names")
	}
	e.Text, _ = at(got, recordPath+".dpv:hasNotice.scruple:text").(string)
	if !s.Notice.IsZero() && wire.HashOf([]byte(e.Text)) != s.Notice {
		return Verified{}, fault(PartNotice, "the text is not the one that was shown")
	}
	want := document(s, e.Salt, e.Terms, e.Text)
	want["scruple:evidence"] = at(got, "scruple:evidence")
	if path := differs("", got, any(want)); path != "" {
		return Verified{}, fault(PartField, path)
	}
	v := Verified{
		Event: string(s.Event), Time: time.Unix(s.Time, 0).UTC(), Tuple: string(s.Category) + "/" + string(s.Purpose),
		Controller: string(s.Controller), Lang: string(s.Lang), Person: s.Person, Policy: s.PolicyID, Version: s.PolicyVersion,
		Name: e.Terms["controller.name."+or(string(s.Lang), string(policy.LangEN))],
		Key:  key, KeyGiven: given, Ledger: c.Origin, Index: n, Size: c.Size,
	}
	if s.Expiry != 0 {
		v.Expiry = time.Unix(s.Expiry, 0).UTC()
	}
	if !s.Notice.IsZero() {
		v.Notice = s.Notice.String()
	}
	return v, nil
}

const recordPath = "dpv:hasRecordOfActivity.0"

// at returns what is at a path of keys and list places, nil where there is nothing.
func at(v any, path string) any {
	for key := range bytes.SplitSeq([]byte(path), []byte(".")) {
		switch node := v.(type) {
		case object:
			v = node[string(key)]
		case list:
			i, err := strconv.Atoi(string(key))
			if err != nil || i >= len(node) {
				return nil
			}
			v = node[i]
		default:
			return nil
		}
	}
	return v
}

// evidence reads the evidence of a receipt; terms and text are elsewhere in it.
func evidence(got any) (Evidence, error) {
	node, _ := at(got, "scruple:evidence").(object)
	text := map[string]string{}
	for _, name := range []string{"@type", "scruple:record", "scruple:salt", "scruple:proof", "scruple:key"} {
		s, ok := node[name].(string)
		if !ok {
			return Evidence{}, fault(PartFormat, "scruple:evidence."+name+": missing, or not a text")
		}
		text[name] = s
	}
	if len(node) != len(text) || text["@type"] != "scruple:Evidence" {
		return Evidence{}, fault(PartFormat, "scruple:evidence: an unknown key or type")
	}
	e := Evidence{Proof: []byte(text["scruple:proof"]), Key: text["scruple:key"]}
	salt, err := unbase64(text["scruple:salt"])
	if err != nil || len(salt) != len(e.Salt) {
		return Evidence{}, fault(PartFormat, "scruple:evidence.scruple:salt: not 32 bytes in base64")
	}
	e.Salt = wire.Hash(salt)
	if e.Statement, err = unbase64(text["scruple:record"]); err != nil {
		return Evidence{}, fault(PartFormat, "scruple:evidence.scruple:record: not base64")
	}
	if e.Key == "" {
		return Evidence{}, fault(PartKey, "the receipt names no key")
	}
	return e, nil
}

// unbase64 reads the one spelling of bytes.
func unbase64(s string) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || base64.StdEncoding.EncodeToString(b) != s {
		return nil, errors.New("not base64")
	}
	return b, nil
}

func terms(got any) (policy.Terms, error) {
	node, _ := at(got, recordPath+".scruple:terms").(object)
	t := policy.Terms{}
	for key, value := range node {
		s, ok := value.(string)
		if !ok {
			return nil, policy.ErrTerms
		}
		t[key] = s
	}
	return t, nil
}

// differs returns the path of the first difference between two documents, "" for none. It names only keys that a
// receipt has.
func differs(path string, got, want any) string {
	here := path
	if here == "" {
		here = "the document"
	}
	below := func(key string) string {
		if path == "" {
			return key
		}
		return path + "." + key
	}
	switch want := want.(type) {
	case object:
		got, ok := got.(object)
		if !ok {
			return here
		}
		for _, key := range slices.Sorted(maps.Keys(want)) {
			if _, ok := got[key]; !ok {
				return below(key) + " (missing)"
			}
			if d := differs(below(key), got[key], want[key]); d != "" {
				return d
			}
		}
		if len(got) != len(want) {
			return here + " (a key that does not belong there)"
		}
		return ""
	case list:
		got, ok := got.(list)
		if !ok || len(got) != len(want) {
			return here
		}
		for i := range want {
			if d := differs(below(strconv.Itoa(i)), got[i], want[i]); d != "" {
				return d
			}
		}
		return ""
	}
	if got != want {
		return here
	}
	return ""
}

// maxDepth is how deep a receipt may nest; it needs 8.
const maxDepth = 16

// parse reads one JSON value strictly: UTF-8, no key twice (two readers would read two things), only texts in objects and
// lists, nothing behind it.
func parse(file []byte) (any, error) {
	switch {
	case len(file) > MaxSize:
		return nil, fault(PartFormat, fmt.Sprintf("longer than %d bytes", MaxSize))
	case !utf8.Valid(file):
		return nil, fault(PartFormat, "not UTF-8")
	case !json.Valid(file):
		return nil, fault(PartFormat, "not JSON")
	}
	d := json.NewDecoder(bytes.NewReader(file))
	v, err := value(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fault(PartFormat, "something follows the receipt")
	}
	if _, ok := v.(object); !ok {
		return nil, fault(PartFormat, "not a JSON object")
	}
	return v, nil
}

func value(d *json.Decoder, depth int) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, fault(PartFormat, "not JSON")
	}
	if depth > maxDepth {
		return nil, fault(PartFormat, "nested too deep")
	}
	switch token := token.(type) {
	case string:
		return token, nil
	case json.Delim:
		if token == '[' {
			out := list{}
			for d.More() {
				v, err := value(d, depth+1)
				if err != nil {
					return nil, err
				}
				out = append(out, v)
			}
			_, err = d.Token()
			return out, notJSON(err)
		}
		out := object{}
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return nil, notJSON(err)
			}
			name, _ := key.(string)
			if _, twice := out[name]; twice {
				return nil, fault(PartFormat, "a key is there twice")
			}
			if out[name], err = value(d, depth+1); err != nil {
				return nil, err
			}
		}
		_, err = d.Token()
		return out, notJSON(err)
	}
	return nil, fault(PartFormat, "a value that is no text, list or object")
}

func notJSON(err error) error {
	if err != nil {
		return fault(PartFormat, "not JSON")
	}
	return nil
}
