package settings

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// maxFile is the largest settings file that is read, in bytes.
const maxFile = 1 << 20

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxFile {
		return nil, Fault{path, "", "larger than 1 MiB"}
	}
	return b, nil
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+):`)

// checkFile checks the text of a settings file and returns where each key stands. The nodes are looked at
// here because viper gives no lines and YAML's own errors repeat values.
func checkFile(path string, text []byte) (lines map[string]string, faults Faults) {
	lines = map[string]string{}
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	var doc yaml.Node
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF):
		faults.add(path+":1", "version", "missing; write version: 1")
		return lines, faults
	case err != nil:
		where := path
		if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
			where += ":" + m[1]
		}
		faults.add(where, "", "not YAML")
		return lines, faults
	}
	var more yaml.Node
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		faults.add(path, "", "more than one document")
	}
	c := checker{path: path, lines: lines}
	c.mapping(doc.Content[0], "")
	if _, ok := lines["version"]; !ok && len(c.faults) == 0 {
		c.faults.add(path+":1", "version", "missing; write version: 1")
	}
	return lines, append(faults, c.faults...)
}

type checker struct {
	path   string
	lines  map[string]string
	faults Faults
}

func (c *checker) at(n *yaml.Node) string { return fmt.Sprintf("%s:%d", c.path, n.Line) }

func (c *checker) mapping(n *yaml.Node, prefix string) {
	name := strings.TrimSuffix(prefix, ".")
	if n.Kind != yaml.MappingNode {
		c.faults.add(c.at(n), name, "not a mapping of keys")
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode || k.Tag != "!!str" || !keyName.MatchString(k.Value) {
			c.faults.add(c.at(k), name, "a key that is no name")
			continue
		}
		full := prefix + k.Value
		known, ok := find(full)
		switch {
		case c.lines[full] != "":
			c.faults.add(c.at(k), full, "twice; first at "+c.lines[full])
		case ok:
			c.lines[full] = c.at(k)
			if problem := checkNode(v, known.typ); problem != "" {
				c.faults.add(c.at(v), full, problem)
			}
		case isSection(full):
			c.lines[full] = c.at(k)
			c.mapping(v, full+".")
		default:
			c.faults.add(c.at(k), full, unknown(full))
		}
	}
}

// keyName bounds what a fault repeats of a key: a mistyped file may have anything in its place.
var keyName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,40}$`)

// checkNode says what is wrong with the type of a value, "" when nothing is.
func checkNode(n *yaml.Node, typ reflect.Type) string {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		return "anchors and aliases are not used here"
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return "no value; leave the key out to have the default"
	}
	if typ.Kind() == reflect.Slice {
		if n.Kind != yaml.SequenceNode {
			return "not a list"
		}
		for _, item := range n.Content {
			if item.Kind != yaml.ScalarNode || item.Tag != "!!str" || item.Anchor != "" {
				return "an item of the list is not a text"
			}
		}
		return ""
	}
	if n.Kind != yaml.ScalarNode {
		return "not a single value"
	}
	switch {
	case typ == durationType:
		if _, err := time.ParseDuration(n.Value); err != nil {
			return notADuration
		}
	case typ.Kind() == reflect.Int && n.Tag != "!!int":
		return "not a whole number"
	case typ.Kind() == reflect.Bool && n.Tag != "!!bool":
		return notABool
	case typ.Kind() == reflect.String && n.Tag != "!!str":
		return "not a text; put it in quotes"
	}
	return ""
}

const (
	notADuration = "not a duration such as 1h or 30m"
	notABool     = "not true or false"
)
