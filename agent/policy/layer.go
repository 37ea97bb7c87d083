package policy

import (
	"bytes"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Layer returns the effective policy as YAML: the general document with the specific one laid over it. The specific one
// names the general one (over: ID) and otherwise says only what it changes or adds; what it says wins, value by value,
// per controller, feature, category, field and purpose, each found by its id or name. It takes nothing away: what it does
// not name stays. Texts, retentions and lists of plain values are replaced whole, so that no half of one is left.
//
// The effective document has the specific one's id and effective date, and as its version the sum of both versions, so
// that it rises when either rises. The errors are Faults, of the general document, of the specific one, and of what came
// out, the latter with the lines of the result.
func Layer(generalFile string, general []byte, specificFile string, specific []byte) ([]byte, error) {
	d, err := Parse(generalFile, general)
	if err != nil {
		return nil, err
	}
	r := &reader{file: specificFile, lines: make(map[string]int)}
	over := r.parse(specific)
	r.secrets(specific, over)
	if over == nil {
		return nil, r.err()
	}
	header := r.object(over, "", "policy", "version", "effective", "over", "controllers", "features", "categories")
	id, version := header.id("policy"), header.integer("version", 1, 1<<29)
	header.date("effective")
	if target := header.id("over"); target != "" && target != d.ID {
		header.fault("over", "names another policy than the one that it is laid over")
	}
	if id != "" && id == d.ID {
		header.fault("policy", "needs an id of its own")
	}
	r.unique(over)
	if err := r.err(); err != nil {
		return nil, err
	}

	var doc yaml.Node
	if err := yaml.Unmarshal(general, &doc); err != nil {
		return nil, Faults{{File: generalFile, Problem: "not well-formed YAML"}} // Parse has read it, so this cannot be
	}
	lay(doc.Content[0], over)
	value(doc.Content[0], "version").SetString(fmt.Sprint(d.Version + version))
	value(doc.Content[0], "version").Tag = "!!int"
	drop(doc.Content[0], "over")
	doc.HeadComment, doc.Content[0].HeadComment = "", ""

	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return nil, fmt.Errorf("layer policy: %w", err)
	}
	if err := enc.Close(); err != nil {
		return nil, fmt.Errorf("layer policy: %w", err)
	}
	if _, err := Parse(specificFile+" over "+generalFile, b.Bytes()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// IsLayer reports whether data is a document that is laid over another one, signed or not.
func IsLayer(data []byte) bool {
	text, _ := noteText(data)
	r := &reader{lines: make(map[string]int)}
	root := r.parse(text)
	return root != nil && root.Kind == yaml.MappingNode && slices.ContainsFunc(keysOf(root), func(k string) bool { return k == "over" })
}

// header returns id and version of a document or of a layer whose text Parse or Layer has accepted.
func header(text []byte) (id string, version int) {
	r := &reader{lines: make(map[string]int)}
	root := r.parse(text)
	if root == nil || root.Kind != yaml.MappingNode {
		return "", 0
	}
	return value(root, "policy").Value, number(value(root, "version").Value)
}

func keysOf(n *yaml.Node) (out []string) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		out = append(out, n.Content[i].Value)
	}
	return out
}

// unique reports keys that occur twice anywhere in a layer: which of the two would win is nobody's to guess.
func (r *reader) unique(root *yaml.Node) {
	eachNode(root, "", func(n *yaml.Node, path string) {
		seen := map[string]bool{}
		switch n.Kind {
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				if k := n.Content[i]; seen[k.Value] {
					r.fault(k.Line, join(path, shown(k.Value)), "duplicate key")
				} else {
					seen[k.Value] = true
				}
			}
		case yaml.SequenceNode:
			for i, c := range n.Content {
				if p := element(path, i, c); seen[p] {
					r.fault(c.Line, p, "duplicate id")
				} else {
					seen[p] = true
				}
			}
		}
	})
}

// whole are the mappings that are replaced rather than merged.
var whole = []string{"name", "description", "label", "text", "necessity", "effect", "device", "controller"}

// lay lets the values of a mapping win over those of another.
func lay(under, over *yaml.Node) {
	for i := 0; i+1 < len(over.Content); i += 2 {
		key, v := over.Content[i], over.Content[i+1]
		at := slices.Index(keysOf(under), key.Value)
		if at < 0 {
			under.Content = append(under.Content, key, v)
			continue
		}
		old := under.Content[2*at+1]
		switch {
		case old.Kind == yaml.MappingNode && v.Kind == yaml.MappingNode && !slices.Contains(whole, key.Value) && sameKind(old, v):
			lay(old, v)
		case old.Kind == yaml.SequenceNode && v.Kind == yaml.SequenceNode && named(old) && named(v):
			layList(old, v)
		default:
			under.Content[2*at+1] = v
		}
	}
}

// sameKind reports whether two mappings are of one minimiser, or one mode of collection: the parameters of another one
// would mean something else.
func sameKind(old, v *yaml.Node) bool {
	for _, key := range []string{"name", "mode"} {
		if o, n := value(old, key).Value, value(v, key).Value; n != "" && o != n {
			return false
		}
	}
	return true
}

// nameOf returns the id of a list element, or its name.
func nameOf(n *yaml.Node) string {
	if n.Kind != yaml.MappingNode {
		return ""
	}
	if id := value(n, "id").Value; id != "" {
		return id
	}
	return value(n, "name").Value
}

// named reports whether every element of a list has an id or a name.
func named(list *yaml.Node) bool {
	return len(list.Content) > 0 && !slices.ContainsFunc(list.Content, func(n *yaml.Node) bool { return nameOf(n) == "" })
}

func layList(under, over *yaml.Node) {
	for _, v := range over.Content {
		i := slices.IndexFunc(under.Content, func(n *yaml.Node) bool { return nameOf(n) == nameOf(v) })
		if i < 0 {
			under.Content = append(under.Content, v)
			continue
		}
		lay(under.Content[i], v)
	}
}

func drop(n *yaml.Node, key string) {
	if at := slices.Index(keysOf(n), key); at >= 0 {
		n.Content = slices.Delete(n.Content, 2*at, 2*at+2)
	}
}
