package cli

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/configs"
	"github.com/scruple-agent/scruple/uploader"
)

// texts collects what a file's code says in English: at each call and each declaration that pick names.
func texts(t *testing.T, pattern string, pick func(file string, n ast.Node) ast.Expr) (out []string) {
	t.Helper()
	files, err := filepath.Glob("../../" + pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(files), err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if n == nil {
				return false
			}
			if s, ok := literal(pick(filepath.Base(file), n)); ok && s != "" {
				out = append(out, s)
			}
			return true
		})
	}
	return out
}

// literal returns a text of the code; what is put into it at run time is a verb.
func literal(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil && e.Kind == token.STRING
	case *ast.BinaryExpr:
		left, one := literal(e.X)
		right, two := literal(e.Y)
		if !one {
			left = "%s"
		}
		if !two {
			right = "%s"
		}
		return left + right, one || two
	case *ast.CallExpr:
		if name(e) == "fmt.Sprintf" {
			return literal(e.Args[0])
		}
	}
	return "", false
}

func name(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		if x, ok := f.X.(*ast.Ident); ok {
			return x.Name + "." + f.Sel.Name
		}
	}
	return ""
}

// argumentOf picks an argument of the calls of these functions.
func argumentOf(i int, of ...string) func(string, ast.Node) ast.Expr {
	return func(_ string, n ast.Node) ast.Expr {
		if call, ok := n.(*ast.CallExpr); ok && slices.Contains(of, name(call)) && len(call.Args) > i {
			return call.Args[i]
		}
		return nil
	}
}

// sentinels picks the texts of a package's errors.
func sentinels(prefixes ...string) func(string, ast.Node) ast.Expr {
	return func(_ string, n ast.Node) ast.Expr {
		v, ok := n.(*ast.ValueSpec)
		if !ok || len(v.Values) != 1 || !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(v.Names[0].Name, p) }) {
			return nil
		}
		if call, ok := v.Values[0].(*ast.CallExpr); ok && len(call.Args) == 1 && (name(call) == "errors.New" || name(call) == "refusal") {
			return call.Args[0]
		}
		return nil
	}
}

// TestEverythingTheDaemonSaysIsChinese: what the daemon says of its own, in a status, a refusal, a step, a fault of a policy, has
// Chinese words. The texts are taken out of the code that says them.
func TestEverythingTheDaemonSaysIsChinese(t *testing.T) {
	said := map[string][]string{
		"refusals":      texts(t, "agent/*.go", argumentOf(2, "control.NewProblem")),
		"the server's":  texts(t, "agent/control/server/[n-s]*.go", argumentOf(2, "control.NewProblem")),
		"more refusals": texts(t, "agent/*.go", argumentOf(0, "refuse", "unknown")),
		"statuses":      texts(t, "agent/backend.go", func(_ string, n ast.Node) ast.Expr { return member(n, "Detail") }),
		"the daemon's":  texts(t, "agent/*.go", sentinels("Err", "err")),
		"sending":       texts(t, "uploader/*.go", sentinels("Err")),
	}
	for _, dir := range []string{"consent", "rights", "items", "clients", "notices", "keyring", "durable", "minimise", "sealed"} {
		said[dir] = texts(t, "agent/"+dir+"/*.go", sentinels("Err"))
	}
	for _, dir := range []string{"spool", "journal", "answers"} {
		said[dir] = texts(t, "uploader/"+dir+"/*.go", sentinels("Err"))
	}
	code := func(file, pattern string) (out []string) {
		b, err := os.ReadFile("../../" + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(pattern).FindAllSubmatch(b, -1) {
			out = append(out, string(m[1]))
		}
		return out
	}
	said["steps"] = code("agent/agent.go", `\{"([a-z ]+)", a\.\w+\.\w+\}`)
	said["answers of receivers"] = code("uploader/wire/receipt.go", `ProblemType = "([a-z-]+)"`)
	for i, kind := range said["answers of receivers"] {
		said["answers of receivers"][i] = (&uploader.Refusal{Status: 403, Kind: "x"}).Error()[:len("refused: ")] + kind
	}
	for _, file := range []string{"check", "parse", "nodes", "layer", "layers"} {
		said["policy"] = append(said["policy"], texts(t, "agent/policy/"+file+".go", func(_ string, n ast.Node) ast.Expr {
			if l, ok := n.(*ast.BasicLit); ok && strings.Contains(l.Value, " ") && !strings.ContainsAny(l.Value, "%\\#'-(<") {
				return l
			}
			return nil
		})...)
	}
	said["policy"] = append(said["policy"], texts(t, "agent/policy/*.go", argumentOf(1, "o.fault", "r.at", "k.fault", "header.fault"))...)
	said["policy"] = append(said["policy"], texts(t, "agent/policy/nodes.go", argumentOf(2, "r.fault", "o.r.fault"))...)
	said["policy"] = append(said["policy"], texts(t, "agent/policy/load.go", sentinels("Err"))...)

	// What no person meets, or is no text.
	never := []string{"simulated power cut", " over ", "minimise: not a report of a location", "%s", ", ", "%s: %s", "record %d: %s: %v"}
	for where, list := range said {
		if len(list) == 0 {
			t.Errorf("%s: nothing was found: does the test still see it?", where)
		}
		for _, s := range list {
			if slices.Contains(never, s) || strings.Contains(s, "%w") {
				continue
			}
			example := strings.NewReplacer("%s", "x", "%d", "7", "%v", "x").Replace(s)
			if zh, ok := inTable(example); !ok || !strings.ContainsFunc(zh, han) && zh != s {
				t.Errorf("%s: no Chinese for %q", where, s)
			}
		}
	}
}

func member(n ast.Node, key string) ast.Expr {
	if kv, ok := n.(*ast.KeyValueExpr); ok {
		if id, ok := kv.Key.(*ast.Ident); ok && id.Name == key {
			return kv.Value
		}
	}
	return nil
}

func han(r rune) bool { return unicode.Is(unicode.Han, r) }

// TestSayings: no saying stands there twice, is empty in a language, or has other verbs in one than in the other.
func TestSayings(t *testing.T) {
	seen := map[string]bool{}
	for _, list := range [][]saying{reasonSayings, sendingSayings, stepSayings, refusalSayings, policySayings, systemSayings} {
		for _, s := range list {
			if s.en == "" || s.zh == "" || seen[s.en] || !slices.Equal(verbs(s.en), verbs(s.zh)) {
				t.Errorf("%q: twice, empty, or other verbs", s.en)
			}
			seen[s.en] = true
		}
	}
}

// TestSaid: an error's text becomes what a person reads: its parts in Chinese, without where in the program it happened.
func TestSaid(t *testing.T) {
	zh, en := &app{lang: "zh-CN"}, &app{lang: "en"}
	for text, want := range map[string]string{
		"": "",
		"send: compare with the controller: the server cannot be reached: connect: connection refused": "无法连接服务器：连接被拒绝",
		"consent has expired: ask again":                                     "同意已过期，需重新征求",
		"consent message: the server did not answer in time; and 2 more":     "服务器未及时应答；另有 2 项",
		"refused: policy-mismatch: another version":                          "被拒绝：接收端的政策版本不同",
		"refused with HTTP status 500":                                       "以 HTTP 状态 500 拒绝",
		"erase spool of consent x: unlink /x: permission denied":             "没有权限",
		"ledger A: no space left on device\nledger B: read-only file system": "磁盘空间不足；文件系统为只读",
		"another controller is named for it: payments":                       "政策改由另一控制者接收：payments",
		"open contacts: the address book is absent":                          "通讯录不存在",
		"something that nobody has translated: yet":                          "something that nobody has translated：yet",
	} {
		if got := zh.said(text); got != want {
			t.Errorf("%q is told as %q, want %q", text, got, want)
		}
		if got := en.said(text); got != text {
			t.Errorf("%q is changed in English: %q", text, got)
		}
	}
	if got, want := zh.named("nickname: not a whole number"), "nickname：不是整数"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	p := control.NewProblem(control.KindGuardian, "steps/compare", "give consent: a guardian has to approve this for a minor: no age band has been declared, which counts as one")
	if got, want := first(zh.problem(p)), "steps/compare：未成年人进行此操作须经监护人批准：尚未声明年龄段，视为未成年人"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func first(s, _ string) string { return s }

// TestPolicyInChinese: the faults of a policy, and every value in which two policies can differ, have words.
func TestPolicyInChinese(t *testing.T) {
	zh, en := &app{lang: "zh-CN"}, &app{lang: "en"}
	_, err := policy.Parse("p.yaml", []byte("policy: x\nversion: 0\ncolour: red\n"))
	var faults policy.Faults
	if !errors.As(err, &faults) || len(faults) < 3 {
		t.Fatalf("%v", err)
	}
	for i, line := range strings.Split(zh.faults(faults), "\n") {
		if !strings.HasPrefix(line, fmt.Sprintf("p.yaml:%d：", faults[i].Line)) || !strings.ContainsFunc(line, han) {
			t.Errorf("%q is told as %q", faults[i].Error(), line)
		}
	}
	if en.faults(faults) != faults.Error() {
		t.Error("faults are changed in English")
	}

	doc, err := policy.Parse("policy.yaml", configs.PolicyYAML)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]bool{"version": true, "effective": true, "pins": true, "contact": true, "minimiser.fold-email": true}
	for _, tuple := range doc.Tuples("x") {
		e, err := doc.Effective(tuple.Category, tuple.Purpose)
		if err != nil {
			t.Fatal(err)
		}
		for key := range e.Terms() {
			keys[key] = true
		}
	}
	b, err := os.ReadFile("../policy/effective.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`f\.(put|list)\("([a-z.-]+)"|"(minimiser\.[a-z-]+)":`).FindAllSubmatch(b, -1) {
		keys[string(m[2])+string(m[3])] = true
	}
	for key := range keys {
		words := zh.fieldName(key)
		if words == key || !strings.ContainsFunc(words, han) || strings.Contains(key, ".") && en.fieldName(key) == key {
			t.Errorf("%s has no words", key)
		}
	}
	if got, want := zh.fieldName("purpose.text.zh-CN"), "用途说明（zh-CN）"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := en.fieldName("fields.total.required"), "total: required (fields.total.required)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
