package cli

import (
	"errors"
	"os"
	"strings"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/agent/settings"
)

// T is one text in both languages, English first. It is always written as T{"...", "..."}: without keys, so
// that a missing translation does not compile; a test looks at every literal for empty ones and for verbs that
// differ.
type T struct{ en, zh string }

// t returns a text in the language of this invocation.
func (a *app) t(text T) string {
	if a.lang == string(policy.LangZH) {
		return text.zh
	}
	return text.en
}

// language decides before anything is parsed, because help texts need it: the flag, the variable, the settings file,
// the locale. A fault in any of them is reported later, where it belongs.
func language(args []string) string {
	flag := "--" + settings.FlagName("language")
	for i, arg := range args {
		if arg == "--" {
			break
		}
		if value, ok := strings.CutPrefix(arg, flag+"="); ok {
			if lang, ok := parseLang(value); ok {
				return lang
			}
		}
		if arg == flag && i+1 < len(args) {
			if lang, ok := parseLang(args[i+1]); ok {
				return lang
			}
		}
	}
	var config string
	for i, arg := range args {
		if value, ok := strings.CutPrefix(arg, "--config="); ok {
			config = value
		} else if arg == "--config" && i+1 < len(args) {
			config = args[i+1]
		}
	}
	if s, err := settings.Load(config, nil); err == nil && s.Language != "" {
		return s.Language
	}
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if value := os.Getenv(name); value != "" {
			lang, _ := parseLang(value)
			return lang
		}
	}
	return string(policy.LangEN)
}

// parseLang reads a language as people write it, also a locale such as zh_CN.UTF-8. What is neither is English, and
// not ok.
func parseLang(value string) (string, bool) {
	tag, _, _ := strings.Cut(strings.ToLower(value), ".")
	tag = strings.ReplaceAll(tag, "_", "-")
	switch main, _, _ := strings.Cut(tag, "-"); main {
	case "zh":
		return string(policy.LangZH), true
	case "en":
		return string(policy.LangEN), true
	}
	return string(policy.LangEN), false
}

// langFlag accepts a language as people write it and holds the tag that the settings know.
type langFlag string

func (l *langFlag) String() string { return string(*l) }

func (l *langFlag) Type() string { return "language" }

func (l *langFlag) Set(value string) error {
	lang, ok := parseLang(value)
	if !ok {
		return errors.New("en or zh-CN")
	}
	*l = langFlag(lang)
	return nil
}
