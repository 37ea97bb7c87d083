package policy

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"
)

// ControllerOverride replaces where a controller is reached and how it is known. What is empty stays.
type ControllerOverride struct {
	Endpoint string   // https://HOST:PORT
	Region   string   // ISO 3166-1 alpha-2
	Key      string   // note verifier key
	Pins     []string // "sha256/" + base64
}

// Customise returns a document with other endpoints, regions, keys and pins for some of its controllers and
// everything else, comments included, as it was. The result is unsigned. It is how a deployer, or the
// receiver's development mode, makes a policy of its own from the example.
//
// The errors are Faults, for the document before and after, and ErrUndeclared for a controller that it
// does not have.
func Customise(data []byte, changes map[ControllerID]ControllerOverride) ([]byte, error) {
	const file = "policy"
	d, err := Parse(file, data)
	if err != nil {
		return nil, err
	}
	for _, id := range slices.Sorted(maps.Keys(changes)) {
		if _, err := d.Controller(id); err != nil {
			return nil, err
		}
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, Faults{{File: file, Problem: "not well-formed YAML"}} // Parse has read it, so this cannot be
	}
	for _, c := range value(doc.Content[0], "controllers").Content {
		if o, ok := changes[ControllerID(value(c, "id").Value)]; ok {
			o.apply(c)
		}
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return nil, fmt.Errorf("customise policy: %w", err)
	}
	if err := enc.Close(); err != nil {
		return nil, fmt.Errorf("customise policy: %w", err)
	}
	if _, err := Parse("customised policy", b.Bytes()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func (o ControllerOverride) apply(c *yaml.Node) {
	for key, v := range map[string]string{"endpoint": o.Endpoint, "region": o.Region, "key": o.Key} {
		if v != "" {
			value(c, key).SetString(v)
		}
	}
	if len(o.Pins) > 0 {
		list := value(c, "pins")
		list.Content = nil
		for _, pin := range o.Pins {
			n := new(yaml.Node)
			n.SetString(pin)
			list.Content = append(list.Content, n)
		}
	}
}

// value returns the value of a key of a mapping that Parse has found complete.
func value(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return new(yaml.Node)
}
