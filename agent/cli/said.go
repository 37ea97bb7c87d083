package cli

import (
	"regexp"
	"strings"
	"sync"

	"github.com/scruple-agent/scruple/agent/policy"
)

// What the daemon and the packages below say of a case, they say in English: in an error's text, which is made of parts with ": "
// between them. said and named find the parts in sayings, tables whose completeness a test proves, and put them into
// Chinese. There a part that says where in the program something happened is left out; --json and the log have the whole.

// saying is one part, or several that belong together, in English and in Chinese. It may hold %s and %d, in the
// same order in both.
type saying struct{ en, zh string }

// said says in the person's language why something is as it is. In Chinese, what is not known here is left out beside what is.
func (a *app) said(text string) string { return a.translate(text, false) }

// named is said for what begins with a name that the person knows, such as that of a field; nothing is left out.
func (a *app) named(text string) string { return a.translate(text, true) }

// sep and list are what stands between a word and what explains it, and between two sentences.
func (a *app) sep() string { return a.t(T{": ", "："}) }

func (a *app) list() string { return a.t(T{"; ", "；"}) }

func (a *app) translate(text string, whole bool) string {
	if a.lang != string(policy.LangZH) || text == "" {
		return text
	}
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		more := ""
		if m := andMore.FindStringSubmatch(line); m != nil {
			line, more = strings.TrimSuffix(line, m[0]), "；另有 "+m[1]+" 项"
		}
		lines = append(lines, inParts(line, whole)+more)
	}
	return strings.Join(lines, "；")
}

var andMore = regexp.MustCompile(`; and (\d+) more$`)

func inParts(line string, whole bool) string {
	parts := strings.Split(line, ": ")
	var out, known []string
next:
	for i := 0; i < len(parts); {
		for j := len(parts); j > i; j-- {
			if zh, ok := inTable(strings.Join(parts[i:j], ": ")); ok {
				out, known, i = append(out, zh), append(known, zh), j
				continue next
			}
		}
		out = append(out, parts[i])
		i++
	}
	if len(known) > 0 && !whole {
		out = known
	}
	return strings.Join(out, "：")
}

// pattern is a saying with verbs.
type pattern struct {
	en *regexp.Regexp
	zh string
}

// tables returns the sayings without and with verbs.
var tables = sync.OnceValues(func() (map[string]string, []pattern) {
	plain, patterns := map[string]string{}, []pattern(nil)
	for _, list := range [][]saying{reasonSayings, sendingSayings, stepSayings, refusalSayings, policySayings, systemSayings} {
		for _, s := range list {
			if !placeholder.MatchString(s.en) {
				plain[s.en] = s.zh
				continue
			}
			form := strings.NewReplacer("%s", "(.+)", "%d", `(\d+)`).Replace(regexp.QuoteMeta(s.en))
			patterns = append(patterns, pattern{regexp.MustCompile("^" + form + "$"), s.zh})
		}
	}
	return plain, patterns
})

var placeholder = regexp.MustCompile(`%[sd]`)

func inTable(text string) (string, bool) {
	plain, patterns := tables()
	if zh, ok := plain[text]; ok {
		return zh, true
	}
	for _, p := range patterns {
		m := p.en.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		zh, i := p.zh, 0
		return placeholder.ReplaceAllStringFunc(zh, func(string) string {
			i++
			if inner, ok := plain[m[i]]; ok {
				return inner
			}
			return m[i]
		}), true
	}
	// What is wrong with a source has parts that are no longer than a word, see troubleWords.
	if zh := strings.ReplaceAll(inChinese.Replace(text), ": ", "："); zh != text && !english.MatchString(names.ReplaceAllString(zh, "")) {
		return zh, zh != ""
	}
	return "", false
}

var (
	english = regexp.MustCompile(`[A-Za-z]{2,}`)
	// names stay as they are in Chinese.
	names = regexp.MustCompile(`GeoClue|gpsd|CardDAV|Evolution|IIO|https?|\b503\b`)
)
