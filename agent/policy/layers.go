package policy

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/note"
)

// File is one file of a policy: the general document, or one that is laid over what comes before it.
type File struct {
	Name string
	Data []byte // a signed note, or with LoadOptions.Dev bare YAML
}

// Part is what one file contributed.
type Part struct {
	File    string
	ID      string
	Version int
	Signed  bool   // by LoadOptions.Key
	Note    []byte // as it was read
	Text    []byte // without signatures
}

// Loaded is a policy in force: what its files say together.
type Loaded struct {
	Document *Document
	YAML     []byte // of the effective policy; the text of the one file where there is only one
	Parts    []Part // general first
	// Conflicts say where a later file has the last word against an earlier one, with what it said before.
	Conflicts []Change
}

// Signed reports whether every part is.
func (l Loaded) Signed() bool {
	return !slices.ContainsFunc(l.Parts, func(p Part) bool { return !p.Signed })
}

// LoadAll reads a policy of one or more files, general first, each signed by the same key. The errors are those of Load
// and Layer; a document that is laid over another one is no policy by itself.
func LoadAll(files []File, o LoadOptions) (Loaded, error) {
	var l Loaded
	if len(files) == 0 {
		return l, Faults{{Problem: "no policy"}}
	}
	for i, s := range files {
		text, signed, err := open(s.Name, s.Data, o)
		if err != nil {
			return Loaded{}, err
		}
		part := Part{File: s.Name, Signed: signed, Note: s.Data, Text: text}
		if part.ID, part.Version = header(text); slices.ContainsFunc(l.Parts, func(p Part) bool { return p.ID == part.ID && p.ID != "" }) {
			return Loaded{}, Faults{{File: s.Name, Line: 1, Field: "policy", Problem: "this document is among the layers already"}}
		}
		var before *Document
		switch {
		case i > 0:
			before = l.Document
			if l.YAML, err = Layer(l.Parts[i-1].File, l.YAML, s.Name, text); err != nil {
				return Loaded{}, err
			}
		case IsLayer(text):
			return Loaded{}, Faults{{File: s.Name, Line: 1, Field: "over", Problem: "is laid over another policy, which comes first"}}
		default:
			l.YAML = text
		}
		if l.Document, err = Parse(s.Name, l.YAML); err != nil {
			return Loaded{}, err
		}
		if before != nil {
			for _, c := range Diff(before, l.Document) {
				if c.Kind == Changed && c.Category != "" {
					l.Conflicts = append(l.Conflicts, c)
				}
			}
		}
		l.Parts = append(l.Parts, part)
	}
	return l, nil
}

// Inspect verifies the signature of one document or layer and returns what it says of itself; whether it is without faults,
// LoadAll says.
func Inspect(f File, o LoadOptions) (Part, error) {
	text, signed, err := open(f.Name, f.Data, o)
	if err != nil {
		return Part{}, err
	}
	p := Part{File: f.Name, Signed: signed, Note: f.Data, Text: text}
	if p.ID, p.Version = header(text); !isID(p.ID) || p.Version < 1 {
		return Part{}, Faults{{File: f.Name, Line: 1, Problem: "does not say which policy and version it is"}}
	}
	return p, nil
}

// open returns the text of a document after its signature was verified as Load demands it.
func open(file string, data []byte, o LoadOptions) (text []byte, signed bool, err error) {
	if len(data) > MaxDocument+64<<10 {
		return nil, false, Faults{{File: file, Problem: fmt.Sprintf("larger than %d bytes", MaxDocument)}}
	}
	text, isNote := noteText(data)
	switch {
	case !isNote && !o.Dev:
		return nil, false, fmt.Errorf("%s: %w", file, ErrUnsigned)
	case isNote && o.Key != "":
		v, err := note.NewVerifier(o.Key)
		if err != nil {
			return nil, false, fmt.Errorf("pinned policy key: %w", ErrKey)
		}
		if err := verify(file, data, v); err != nil {
			return nil, false, err
		}
		return text, true, nil
	case !o.Dev:
		return nil, false, fmt.Errorf("%s: no key is pinned: %w", file, ErrUnsigned)
	}
	return text, false, nil
}

// SignedBy reports whether a note verifies with a key: nil, ErrUnsigned, ErrSignature or ErrKey.
func SignedBy(file string, data []byte, key string) error {
	v, err := note.NewVerifier(key)
	if err != nil {
		return fmt.Errorf("%s: %w", file, ErrKey)
	}
	return verify(file, data, v)
}

// SignLayer signs a document that is laid over others, general first; it refuses what they do not make a faultless policy
// of.
func SignLayer(under []File, layer File, signerKey string) ([]byte, error) {
	text, _ := noteText(layer.Data)
	if _, err := LoadAll(append(slices.Clone(under), File{layer.Name, text}), LoadOptions{Dev: true}); err != nil {
		return nil, fmt.Errorf("sign policy: %w", err)
	}
	return sign(layer.Data, signerKey)
}

// errNoNote says that a text cannot be a note.
var errNoNote = errors.New("sign policy: the text holds control characters such as tabs")
