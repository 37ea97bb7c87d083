package minimise

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/policy"
)

// Fields applies the declared rule of each field to a record that an application submitted: keep, round, truncate,
// digest under digestKey (32 bytes, secret to this tuple), or drop. A field that the category does not declare is
// refused, never dropped in silence. Time is to the hour.
func Fields(p consent.Permit, record map[string]any, digestKey []byte, now time.Time) (Report, error) {
	e, err := begin(p, policy.MinimiseFields)
	if err != nil {
		return Report{}, err
	}
	if err := e.CheckFields(record); err != nil {
		return Report{}, fmt.Errorf("minimise %s: %w", p.Tuple(), err)
	}
	kept := make(map[string]any, len(record))
	for _, f := range e.Category.Fields {
		v, ok := record[f.Name]
		if !ok || f.Rule == policy.RuleDrop {
			continue
		}
		kept[f.Name] = apply(f, v, digestKey)
	}
	return finish(p, e, hour(now), kept)
}

// apply returns the value after the field's rule. A rule that does not fit the type leaves the value: the policy
// loader refuses such a rule.
func apply(f policy.Field, v any, digestKey []byte) any {
	switch v := v.(type) {
	case string:
		switch f.Rule {
		case policy.RuleTruncate:
			return truncate(v, f.Limit)
		case policy.RuleDigest:
			mac := hmac.New(sha256.New, digestKey)
			mac.Write([]byte(f.Name + "\x00" + v))
			return hex.EncodeToString(mac.Sum(nil)[:16])
		}
	case int64:
		if f.Rule == policy.RuleRound && f.Limit > 0 {
			return v - v%int64(f.Limit)
		}
	}
	return v
}

// truncate cuts s to at most n bytes without cutting a character.
func truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
