package cli

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/receipt"
)

// TestTexts looks at every T{...} of the package: both languages are there, with the same verbs, and Chinese is Chinese.
func TestTexts(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	check := func(pos token.Position, en, zh string) {
		found++
		switch {
		case strings.TrimSpace(en) == "" && strings.TrimSpace(zh) == "" && en != "" && zh != "":
			return // said on purpose
		case strings.TrimSpace(en) == "" || strings.TrimSpace(zh) == "":
			t.Errorf("%s: a language is missing", pos)
		case !slices.Equal(verbs(en), verbs(zh)):
			t.Errorf("%s: verbs %v, but %v in Chinese", pos, verbs(en), verbs(zh))
		case !strings.ContainsFunc(zh, func(r rune) bool { return unicode.Is(unicode.Han, r) }) && en != zh && strings.ContainsFunc(verb.ReplaceAllString(en, ""), unicode.IsLetter):
			t.Errorf("%s: the second text is not Chinese", pos)
		case strings.ContainsFunc(en, func(r rune) bool { return unicode.Is(unicode.Han, r) }):
			t.Errorf("%s: the first text is not English", pos)
		}
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		parsed, err := parser.ParseFile(fset, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			switch typ := lit.Type.(type) {
			case *ast.Ident:
				if typ.Name == "T" {
					en, zh := literals(t, fset, lit)
					check(fset.Position(lit.Pos()), en, zh)
				}
			case *ast.MapType: // map[...]T{key: {en, zh}}
				if v, ok := typ.Value.(*ast.Ident); ok && v.Name == "T" {
					for _, e := range lit.Elts {
						value := e.(*ast.KeyValueExpr).Value.(*ast.CompositeLit)
						en, zh := literals(t, fset, value)
						check(fset.Position(value.Pos()), en, zh)
					}
				}
			}
			return true
		})
	}
	if found < 200 {
		t.Errorf("only %d texts were found: does the test still see them all?", found)
	}
}

func literals(t *testing.T, fset *token.FileSet, lit *ast.CompositeLit) (string, string) {
	t.Helper()
	var texts []string
	for _, e := range lit.Elts {
		b, ok := e.(*ast.BasicLit)
		if !ok {
			t.Fatalf("%s: a text that is not written out", fset.Position(e.Pos()))
		}
		s, err := strconv.Unquote(b.Value)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, s)
	}
	if len(texts) != 2 {
		t.Fatalf("%s: %d texts, want 2", fset.Position(lit.Pos()), len(texts))
	}
	return texts[0], texts[1]
}

var verb = regexp.MustCompile(`%[a-z%]`)

func verbs(s string) []string { return verb.FindAllString(s, -1) }

// TestWords: every word of the API's closed lists has words for a person.
func TestWords(t *testing.T) {
	for _, k := range control.Kinds() {
		if _, ok := kindWords[k]; !ok {
			t.Errorf("refusal %s has no words", k)
		}
	}
	for _, r := range control.Reasons() {
		if _, ok := reasonWords[r]; !ok {
			t.Errorf("reason %s has no words", r)
		}
	}
	for _, p := range receipt.Parts() {
		if _, ok := partWords[p]; !ok {
			t.Errorf("part %s of a receipt has no words", p)
		}
	}
	for _, s := range control.Statuses() {
		if _, ok := statusWords[s]; !ok {
			t.Errorf("status %q has no words", s)
		}
	}
}

// TestHelp: every command has help with examples in both languages, and none of cobra's own English in Chinese.
func TestHelp(t *testing.T) {
	for _, lang := range []string{"en", "zh-CN"} {
		a := &app{Options: Options{Stdout: io.Discard, Stderr: io.Discard}, lang: lang}
		var walk func(*cobra.Command)
		walk = func(c *cobra.Command) {
			for _, sub := range c.Commands() {
				if !sub.Hidden {
					walk(sub)
				}
			}
			var out strings.Builder
			c.SetOut(&out)
			a.help(c, nil)
			text := out.String()
			want := []string{"Usage:", "Examples:"}
			if lang == "zh-CN" {
				want = []string{"用法：", "示例："}
				for _, english := range []string{"Usage:", "Available", "help for", "Flags:", "(default"} {
					if strings.Contains(text, english) {
						t.Errorf("%s: %q in the Chinese help", c.CommandPath(), english)
					}
				}
			}
			for _, w := range want {
				if !strings.Contains(text, w) {
					t.Errorf("%s in %s: no %q", c.CommandPath(), lang, w)
				}
			}
			if !strings.Contains(c.Example, c.CommandPath()) && c.Name() != "scruple" {
				t.Errorf("%s: the example does not show it", c.CommandPath())
			}
			for line := range strings.Lines(text) {
				if n := width(strings.TrimRight(line, "\n")); n > 140 {
					t.Errorf("%s in %s: a line of %d columns", c.CommandPath(), lang, n)
				}
			}
		}
		walk(a.root())
	}
}

func TestLanguage(t *testing.T) {
	for _, c := range []struct {
		args []string
		env  map[string]string
		want string
	}{
		{nil, nil, "en"},
		{nil, map[string]string{"LANG": "zh_CN.UTF-8"}, "zh-CN"},
		{nil, map[string]string{"LANG": "zh_CN.UTF-8", "LC_ALL": "de_DE.UTF-8"}, "en"},
		{nil, map[string]string{"LANG": "en_GB.UTF-8", "SCRUPLE_LANGUAGE": "zh-CN"}, "zh-CN"},
		{[]string{"status", "--lang", "zh"}, map[string]string{"LANG": "en_GB.UTF-8"}, "zh-CN"},
		{[]string{"--lang=en", "status"}, map[string]string{"SCRUPLE_LANGUAGE": "zh-CN"}, "en"},
		{[]string{"--lang", "fr"}, map[string]string{"LANG": "zh_CN"}, "zh-CN"},
		{[]string{"--", "--lang=zh"}, nil, "en"},
	} {
		t.Run(fmt.Sprint(c.args, c.env), func(t *testing.T) {
			t.Setenv("XDG_CONFIG_HOME", t.TempDir())
			for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG", "SCRUPLE_LANGUAGE", "SCRUPLE_CONFIG"} {
				t.Setenv(name, c.env[name])
			}
			if got := language(c.args); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestWidth(t *testing.T) {
	for s, want := range map[string]int{"": 0, "abc": 3, "位置": 4, "é": 1, "a：b": 4, "→": 1} {
		if got := width(s); got != want {
			t.Errorf("%q: %d columns, want %d", s, got, want)
		}
	}
}
