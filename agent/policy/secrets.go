package policy

import (
	"bytes"
	"encoding/base64"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A policy is public: it is shown to everybody whose device it rules. So whatever looks like key material
// is refused wherever it stands, also in a comment.

var (
	secretMarks = []string{"PRIVATE KEY-----", "PRIVATE+KEY+", "AGE-SECRET-KEY-", "OPENSSH PRIVATE"}
	hexRun      = regexp.MustCompile(`(?i)\b(0x)?[0-9a-f]{64,}\b`)
	// One base64 run of 32 or 64 bytes, in either alphabet, padded or not. "sha256/" before it is a pin.
	base64Run = regexp.MustCompile(`(sha256/)?[A-Za-z0-9+/_-]{43,}={0,2}`)
	urlToStd  = strings.NewReplacer("-", "+", "_", "/", "=", "")
)

// secretValue reports whether s holds something that looks like a secret.
func secretValue(s string) bool {
	for _, mark := range secretMarks {
		if strings.Contains(s, mark) {
			return true
		}
	}
	if hexRun.MatchString(s) {
		return true
	}
	for _, run := range base64Run.FindAllString(s, -1) {
		if validPin(run) {
			continue
		}
		run = strings.TrimPrefix(run, "sha256/")
		if !strings.ContainsAny(run, "0123456789") || strings.ToLower(run) == run || strings.ToUpper(run) == run {
			continue // a long path or word
		}
		b, err := base64.RawStdEncoding.DecodeString(urlToStd.Replace(run))
		if err == nil && (len(b) == 32 || len(b) == 64) {
			return true
		}
	}
	return false
}

// secretName reports whether a key is named like one that holds a secret.
func secretName(key string) bool {
	key = strings.ToLower(key)
	for _, word := range []string{"secret", "password", "passwd", "passphrase", "token", "credential", "private"} {
		if strings.Contains(key, word) {
			return true
		}
	}
	return strings.HasSuffix(key, "key") || strings.HasSuffix(key, "keys")
}

// secrets reports every secret in the values, with their path, and in the rest of the text, with the line.
func (r *reader) secrets(data []byte, root *yaml.Node) {
	const problem = "a secret does not belong in a policy"
	hit := make(map[int]bool)
	var walk func(n *yaml.Node, path string)
	walk = func(n *yaml.Node, path string) {
		if n.Kind == yaml.ScalarNode && secretValue(n.Value) {
			r.fault(n.Line, path, problem)
			for i := range 1 + strings.Count(n.Value, "\n") {
				hit[n.Line+i] = true
			}
			if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
				hit[n.Line+1+strings.Count(n.Value, "\n")] = true
			}
		}
		for i, c := range n.Content {
			switch n.Kind {
			case yaml.MappingNode:
				walk(c, join(path, shown(n.Content[i&^1].Value)))
			case yaml.SequenceNode:
				walk(c, element(path, i, c))
			}
		}
	}
	if root != nil {
		walk(root, "")
	}
	if len(data) > MaxDocument {
		return
	}
	line := 0
	for text := range bytes.Lines(data) {
		if line++; !hit[line] && secretValue(string(text)) {
			r.fault(line, "", problem)
		}
	}
}
