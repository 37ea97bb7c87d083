package policy_test

import (
	"crypto/sha256"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/scruple-agent/scruple/agent/policy"
)

var update = flag.Bool("update", false, "write the golden notices anew")

// flat is a notice without its line breaks, to look for sentences in.
func flat(s string) string {
	joined := strings.Join(strings.Fields(s), " ")
	var b strings.Builder
	prev := rune(0)
	runes := []rune(joined)
	for i, c := range runes {
		if c == ' ' && i+1 < len(runes) && (prev > 0x2E80 || runes[i+1] > 0x2E80) {
			continue
		}
		b.WriteRune(c)
		prev = c
	}
	return b.String()
}

// squeeze removes what flat may have removed, so that both sides of a comparison are alike.
func squeeze(s string) string { return strings.ReplaceAll(flat(s), " ", "") }

func TestNoticeGolden(t *testing.T) {
	d := example(t)
	for _, name := range []string{
		"device/service", "accelerometer/gravity", "location/nearby", "location/third-party", "steps/compare",
		"steps/statistics", "contacts/find-friends", "profile/account", "bank-card/binding", "linked-account/sign-in",
		"operation-logs/service", "crash/statistics", "posts/moments",
	} {
		for _, lang := range []policy.Lang{policy.LangEN, policy.LangZH} {
			tuple, err := d.Tuple("person", name)
			if err != nil {
				t.Fatal(err)
			}
			e, _ := d.Effective(tuple.Category, tuple.Purpose)
			file := filepath.Join("testdata", "notices", strings.ReplaceAll(name, "/", "-")+"."+string(lang)+".txt")
			got := e.Notice(lang)
			if *update {
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(got.Text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got.Text != string(want) {
				t.Errorf("%s differs (go test -update writes it anew):\n%s", file, got.Text)
			}
		}
	}
}

// TestNoticeSaysEverything: whatever the policy declares about a tuple is in its notice, in both languages.
func TestNoticeSaysEverything(t *testing.T) {
	d := example(t)
	for _, tuple := range d.Tuples("person") {
		e, err := d.Effective(tuple.Category, tuple.Purpose)
		if err != nil {
			t.Fatal(err)
		}
		for _, lang := range []policy.Lang{policy.LangEN, policy.LangZH} {
			n := e.Notice(lang)
			text := squeeze(n.Text)
			want := []string{
				e.Controller.Name.In(lang), e.Controller.Contact, e.Category.Name.In(lang), e.Category.Description.In(lang),
				e.Purpose.Text.In(lang), e.Purpose.Necessity.In(lang), e.Purpose.Effect.In(lang),
				d.Feature(e.Purpose.Feature).Name.In(lang), "(CN)",
				"scruple consent withdraw " + tuple.String(), "scruple consent withdraw " + tuple.String() + " --clear",
			}
			want = append(want, e.Purpose.Recipients...)
			for _, f := range e.Fields() {
				if f.Rule != policy.RuleDrop {
					want = append(want, f.Label.In(lang))
				}
			}
			if e.Category.Origin != policy.OriginPerson && e.Category.Origin != policy.OriginDevice {
				want = append(want, e.Category.Origin)
			}
			for _, s := range want {
				s = strings.NewReplacer("(CN)", "CN").Replace(s)
				if !strings.Contains(text, squeeze(s)) {
					t.Errorf("%s in %s does not say %q", tuple, lang, s)
				}
			}
			if strings.Contains(n.Text, "%!") || strings.Contains(n.Text, "%d") || strings.Contains(n.Text, "%s") {
				t.Errorf("%s in %s: a verb was not filled in", tuple, lang)
			}
			if n.SHA256 != sha256.Sum256([]byte(n.Text)) {
				t.Errorf("%s in %s: the hash is not that of the text", tuple, lang)
			}
		}
	}
}

func TestNoticeIsHonestAboutContacts(t *testing.T) {
	e, err := example(t).Effective("contacts", "find-friends")
	if err != nil {
		t.Fatal(err)
	}
	if s := flat(e.Notice(policy.LangEN).Text); !strings.Contains(s, "whoever holds the key can reverse the digests") {
		t.Error("the notice does not say that the digests can be reversed")
	}
	if s := flat(e.Notice(policy.LangZH).Text); !strings.Contains(s, "持有密钥者可以还原这些摘要") {
		t.Error("the Chinese notice does not say that the digests can be reversed")
	}
}

func TestNoticeFitsATerminal(t *testing.T) {
	d := example(t)
	for _, tuple := range d.Tuples("person") {
		e, _ := d.Effective(tuple.Category, tuple.Purpose)
		for _, lang := range []policy.Lang{policy.LangEN, policy.LangZH} {
			for line := range strings.Lines(e.Notice(lang).Text) {
				line = strings.TrimRight(line, "\n")
				if w := columns(line); w > 78 && !strings.Contains(line, "$ scruple") {
					t.Errorf("%s in %s: a line of %d columns: %s", tuple, lang, w, line)
				}
				if line != strings.TrimRight(line, " ") {
					t.Errorf("%s in %s: trailing space: %q", tuple, lang, line)
				}
				first, _ := utf8.DecodeRuneInString(strings.TrimSpace(line))
				if strings.ContainsRune("，。、；：！？）”", first) {
					t.Errorf("%s in %s: a line begins with punctuation: %s", tuple, lang, line)
				}
			}
		}
	}
}

func columns(s string) int {
	n := 0
	for _, c := range s {
		n++
		if unicode.Is(unicode.Han, c) || strings.ContainsRune("，。、；：！？（）", c) {
			n++
		}
	}
	return n
}

func TestUnknownLanguageIsEnglish(t *testing.T) {
	e, _ := example(t).Effective("device", "service")
	if n := e.Notice("tlh"); n.Lang != policy.LangEN || n.Text != e.Notice(policy.LangEN).Text {
		t.Errorf("got %s", n.Lang)
	}
}
