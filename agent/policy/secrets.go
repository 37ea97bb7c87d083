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

// shortestSecret is the length of the shortest run of characters that secretValue takes for a key: 32 bytes in
// base64 without padding.
const shortestSecret = 43

// secretValue reports whether s holds something that looks like a secret.
func secretValue(s string) bool {
	if len(s) < len("PRIVATE+KEY+") {
		return false
	}
	for _, mark := range secretMarks {
		if strings.Contains(s, mark) {
			return true
		}
	}
	if longestRun(s) < shortestSecret {
		return false
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

// longestRun is the length of the longest run of characters of either base64 alphabet.
func longestRun(s string) int {
	longest, run := 0, 0
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '+', c == '/', c == '-', c == '_':
			run++
			longest = max(longest, run)
		default:
			run = 0
		}
	}
	return longest
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
	if root != nil && anyNode(root, func(n *yaml.Node) bool { return secretValue(n.Value) }) {
		eachNode(root, "", func(n *yaml.Node, path string) {
			if n.Kind != yaml.ScalarNode || !secretValue(n.Value) {
				return
			}
			r.fault(n.Line, path, problem)
			for i := range 2 + strings.Count(n.Value, "\n") { // a block begins below its key
				hit[n.Line+i] = true
			}
		})
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
