package policy

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Limits of a document. The complete example policy is about 80 KiB.
const (
	// MaxDocument is the largest document in bytes; its nodes then take some 100 MiB at the very worst.
	MaxDocument = 512 << 10
	maxFaults   = 100
	maxText     = 2000 // runes of one text
	maxID       = 40
	maxList     = 500
)

// reader walks YAML nodes and collects every fault. The messages of package yaml print the values they
// stumble over, so none of them is passed on.
type reader struct {
	file   string
	faults Faults
	lines  map[string]int // where each path was read, for the checks that come after
}

func (r *reader) fault(line int, field, format string, args ...any) {
	f := Fault{r.file, line, field, fmt.Sprintf(format, args...)}
	if len(r.faults) < maxFaults && !slices.Contains(r.faults, f) {
		r.faults = append(r.faults, f)
	}
}

// at reports a fault of a path that was read before; an absent part has the line of what it is absent from.
func (r *reader) at(path, format string, args ...any) {
	line, p := 0, path
	for line == 0 && p != "" {
		line = r.lines[p]
		p = p[:max(strings.LastIndexAny(p, ".["), 0)]
	}
	r.fault(line, path, format, args...)
}

func (r *reader) err() error {
	if len(r.faults) == 0 {
		return nil
	}
	slices.SortStableFunc(r.faults, func(a, b Fault) int { return cmp.Compare(a.Line, b.Line) })
	return r.faults
}

var yamlLine = regexp.MustCompile(`\bline (\d+)`)

// parse returns the root node of the only document in data, or nil and a fault.
func (r *reader) parse(data []byte) *yaml.Node {
	switch {
	case len(data) > MaxDocument:
		r.fault(0, "", "larger than %d bytes", MaxDocument)
		return nil
	case !utf8.Valid(data):
		r.fault(1+bytes.Count(data[:validPrefix(data)], []byte("\n")), "", "not UTF-8")
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			r.fault(1, "", "empty")
		} else {
			r.fault(lineOf(err, data), "", "not well-formed YAML")
		}
		return nil
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		r.fault(max(more.Line, 1), "", "more than one YAML document")
		return nil
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		r.fault(1, "", "empty")
		return nil
	}
	r.plain(doc.Content[0])
	return doc.Content[0]
}

func validPrefix(data []byte) int {
	n := 0
	for n < len(data) {
		c, size := utf8.DecodeRune(data[n:])
		if c == utf8.RuneError && size == 1 {
			break
		}
		n += size
	}
	return n
}

// lineOf finds the line that a message of package yaml is about. For an alias without an anchor the message
// holds only the name.
func lineOf(err error, data []byte) int {
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		n, _ := strconv.Atoi(m[1])
		return n
	}
	if _, name, ok := strings.Cut(err.Error(), "unknown anchor '"); ok {
		name, _, _ = strings.Cut(name, "'")
		if i := bytes.Index(data, []byte("*"+name)); i >= 0 {
			return 1 + bytes.Count(data[:i], []byte("\n"))
		}
	}
	return 1
}

// plain refuses what makes a YAML text mean something else than it shows: aliases, anchors, merge keys, tags.
// Paths are made only where something is found.
func (r *reader) plain(root *yaml.Node) {
	if !anyNode(root, func(n *yaml.Node) bool { return disguise(n) != "" }) {
		return
	}
	eachNode(root, "", func(n *yaml.Node, path string) {
		if problem := disguise(n); problem != "" {
			r.fault(n.Line, path, "%s", problem)
		}
	})
}

func disguise(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.AliasNode:
		return "YAML alias: write the value out"
	case n.Anchor != "":
		return "YAML anchor: write the value out"
	case n.Style&yaml.TaggedStyle != 0:
		return "YAML tag"
	case n.Tag == "!!merge":
		return "YAML merge key: write the keys out"
	}
	return ""
}

func anyNode(n *yaml.Node, is func(*yaml.Node) bool) bool {
	return is(n) || slices.ContainsFunc(n.Content, func(c *yaml.Node) bool { return anyNode(c, is) })
}

// eachNode calls f for every node with its path. It does not follow aliases.
func eachNode(n *yaml.Node, path string, f func(n *yaml.Node, path string)) {
	f(n, path)
	for i, c := range n.Content {
		switch n.Kind {
		case yaml.MappingNode:
			eachNode(c, join(path, shown(n.Content[i&^1].Value)), f)
		case yaml.SequenceNode:
			eachNode(c, element(path, i, c), f)
		}
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// element names a list element by its id or name where it has a well-formed one.
func element(path string, i int, n *yaml.Node) string {
	if n.Kind == yaml.MappingNode {
		for k := 0; k+1 < len(n.Content); k += 2 {
			key, v := n.Content[k].Value, n.Content[k+1]
			if (key == "id" || key == "name") && v.Kind == yaml.ScalarNode && isID(v.Value) {
				return path + "[" + v.Value + "]"
			}
		}
	}
	return path + "[" + strconv.Itoa(i) + "]"
}

// isID reports whether s is lower-case words of letters and digits with single hyphens between them, the first
// of which starts with a letter.
func isID(s string) bool {
	if s == "" || len(s) > maxID || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !letter && (c != '-' || i+1 == len(s) || s[i+1] == '-') {
			return false
		}
	}
	return true
}

// shown returns a name from outside if it looks like a name, so that a value in its place is not printed.
func shown(name string) string {
	if isID(strings.ToLower(strings.ReplaceAll(name, "_", "-"))) {
		return name
	}
	return "(not a name)"
}

// Shown returns a name that came from outside if it looks like the name of a field or, with a slash in it, of a (category, purpose),
// so that a refusal can name it; what may be a value in its place is not repeated.
func Shown(name string) string {
	category, purpose, both := strings.Cut(name, "/")
	if !both {
		return shown(name)
	}
	return shown(category) + "/" + shown(purpose)
}

// object is a mapping whose keys have been checked.
type object struct {
	r      *reader
	path   string
	line   int
	fields map[string]*yaml.Node
}

// object reads n as a mapping with some of the known keys and no others. Never nil: after a fault the
// object is empty, and its required keys are then not reported as missing.
func (r *reader) object(n *yaml.Node, path string, known ...string) object {
	o := object{r: r, path: path, line: n.Line}
	r.lines[path] = n.Line
	if n.Kind != yaml.MappingNode {
		r.fault(n.Line, path, "must be a mapping")
		return o
	}
	o.fields = make(map[string]*yaml.Node, len(known))
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		p := join(path, shown(key.Value))
		switch {
		case key.Kind != yaml.ScalarNode:
			r.fault(key.Line, path, "a key must be a word")
		case !slices.Contains(known, key.Value):
			if secretName(key.Value) {
				r.fault(key.Line, p, "a secret does not belong in a policy")
			} else {
				r.fault(key.Line, p, "unknown key")
			}
		case o.fields[key.Value] != nil:
			r.fault(key.Line, p, "duplicate key, first on line %d", o.fields[key.Value].Line)
		default:
			o.fields[key.Value] = value
			r.lines[p] = value.Line
		}
	}
	return o
}

func (o object) has(key string) bool { return o.fields[key] != nil }

func (o object) fault(key, format string, args ...any) {
	line := o.line
	if n := o.fields[key]; n != nil {
		line = n.Line
	}
	o.r.fault(line, join(o.path, key), format, args...)
}

// need returns the value of a required key, or nil after reporting that it is missing.
func (o object) need(key string) *yaml.Node {
	n := o.fields[key]
	if o.fields != nil && (n == nil || n.Tag == "!!null") {
		o.fault(key, "missing")
		return nil
	}
	return n
}

// scalar returns the text of a required scalar.
func (o object) scalar(key string) (string, bool) {
	n := o.need(key)
	if n == nil {
		return "", false
	}
	if n.Kind != yaml.ScalarNode {
		o.fault(key, "must be a single value")
		return "", false
	}
	s := strings.TrimSpace(n.Value)
	switch {
	case s == "":
		o.fault(key, "missing")
		return "", false
	case utf8.RuneCountInString(s) > maxText:
		o.fault(key, "longer than %d characters", maxText)
		return "", false
	case strings.ContainsFunc(s, func(c rune) bool { return unicode.IsControl(c) || unicode.Is(unicode.Cf, c) }):
		o.fault(key, "control or invisible characters: write it on one line")
		return "", false
	}
	return s, true
}

// str returns a required text that is not a number or a truth value.
func (o object) str(key string) string {
	s, ok := o.scalar(key)
	if ok && o.fields[key].ShortTag() != "!!str" {
		o.fault(key, "must be a text: quote it")
		return ""
	}
	return s
}

// id returns a required identifier.
func (o object) id(key string) string {
	s, ok := o.scalar(key)
	if ok && !isID(s) {
		o.fault(key, "must be lower-case letters, digits and hyphens, at most %d, starting with a letter", maxID)
		return ""
	}
	return s
}

// form returns a required text that matches form; what names the form.
func (o object) form(key string, form *regexp.Regexp, what string) string {
	s, ok := o.scalar(key)
	if ok && !form.MatchString(s) {
		o.fault(key, "must be %s", what)
		return ""
	}
	return s
}

// oneOf returns a value out of a closed list; the first is the default where the key is absent.
func oneOf[T ~string](o object, key string, required bool, list ...T) T {
	if !required && !o.has(key) {
		return list[0]
	}
	s, ok := o.scalar(key)
	if !ok {
		return ""
	}
	if !slices.Contains(list, T(s)) {
		words := make([]string, len(list))
		for i, w := range list {
			words[i] = string(w)
		}
		o.fault(key, "must be one of: %s", strings.Join(words, ", "))
		return ""
	}
	return T(s)
}

// integer returns a required integer in lo..hi.
func (o object) integer(key string, lo, hi int) int {
	s, ok := o.scalar(key)
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < lo || n > hi || strconv.Itoa(n) != s {
		o.fault(key, "must be an integer from %d to %d", lo, hi)
		return 0
	}
	return n
}

// boolean returns an optional truth value, false where it is absent.
func (o object) boolean(key string) bool {
	if !o.has(key) {
		return false
	}
	s, ok := o.scalar(key)
	if ok && s != "true" && s != "false" {
		o.fault(key, "must be true or false")
	}
	return s == "true"
}

// duration returns a required duration of at least lo and at most hi.
func (o object) duration(key string, lo, hi time.Duration) time.Duration {
	s, ok := o.scalar(key)
	if !ok {
		return 0
	}
	d, err := ParseDuration(s)
	switch {
	case err != nil:
		o.fault(key, "must be a duration such as 30d, 36h or 10m")
	case d < lo || d > hi:
		o.fault(key, "must be a duration from %s to %s", FormatDuration(lo), FormatDuration(hi))
	default:
		return d
	}
	return 0
}

// text returns a required text in every language of the product.
func (o object) text(key string) Text {
	n := o.need(key)
	if n == nil {
		return nil
	}
	t := o.r.object(n, join(o.path, key), string(LangZH), string(LangEN))
	if t.fields == nil {
		return nil
	}
	out := make(Text, 2)
	for _, lang := range []Lang{LangZH, LangEN} {
		if s, ok := t.scalar(string(lang)); ok {
			out[lang] = s
		}
	}
	return out
}

// list calls each for every element of a list; an absent optional list is empty.
func (o object) list(key string, required bool, each func(n *yaml.Node, path string)) {
	n := o.fields[key]
	if required {
		n = o.need(key)
	}
	path := join(o.path, key)
	switch {
	case n == nil:
		return
	case n.Kind != yaml.SequenceNode:
		o.fault(key, "must be a list")
		return
	case len(n.Content) > maxList:
		o.fault(key, "more than %d elements", maxList)
		return
	case len(n.Content) == 0 && required:
		o.fault(key, "must not be empty")
		return
	}
	seen := make(map[string]int)
	for i, c := range n.Content {
		p := element(path, i, c)
		if first := seen[p]; first > 0 {
			o.r.fault(c.Line, p, "duplicate id, first on line %d", first)
			p = path + "[" + strconv.Itoa(i) + "]"
		}
		seen[p] = c.Line
		o.r.lines[p] = c.Line
		each(c, p)
	}
}

// texts returns a list of distinct scalars.
func (o object) texts(key string, required bool) []string {
	var out []string
	o.list(key, required, func(n *yaml.Node, path string) {
		e := object{r: o.r, path: o.path, line: n.Line, fields: map[string]*yaml.Node{key: n}}
		s, ok := e.scalar(key)
		if !ok {
			return
		}
		if slices.Contains(out, s) {
			o.r.fault(n.Line, path, "duplicate")
			return
		}
		out = append(out, s)
	})
	return out
}
