package wire

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/mod/sumdb/note"
)

// NoticeKind names what a controller announces, from a closed list.
type NoticeKind string

// The kinds of notices.
const (
	// NoticePolicy says that there is a later version of the policy, which comes with it as a signed note of its own.
	NoticePolicy NoticeKind = "policy-change"
	// NoticeBreach says that somebody had access who should not have had it.
	NoticeBreach NoticeKind = "breach"
	// NoticeEnd says that the service ends.
	NoticeEnd NoticeKind = "end-of-service"
)

// Bounds of notices. An honest one has about a kilobyte, a policy about 60.
const (
	// MaxNotice is the largest signed notice, in bytes.
	MaxNotice = 16 << 10
	// MaxNoticePolicy is the largest policy that comes with a notice, in bytes.
	MaxNoticePolicy = 1 << 20
	// MaxNoticeList is the largest answer to GET /v1/notices, in bytes, and MaxNoticesOnce the most notices in it.
	MaxNoticeList  = 2 << 20
	MaxNoticesOnce = 8
	// maxNoticeLine is the longest line of a text, in bytes; maxNoticeCategories the most categories of a breach.
	maxNoticeLine       = 2000
	maxNoticeCategories = 64
)

// NoticeLanguages are the languages in which every text of a notice is given, in their order.
var NoticeLanguages = []string{"en", "zh-CN"}

// ErrNotice says that bytes are not a notice signed by the controller's key.
var ErrNotice = errors.New("not a notice signed by the controller")

// Notice is what a controller tells everybody whose data it has or had. It travels as a signed note. The notices of a
// controller are numbered from 1 and each holds the hash of the one before, so an agent that has seen one can be
// shown neither an older one nor another history.
type Notice struct {
	Controller string
	Number     uint64
	// Previous is the Hash of the notice before, zero for the first.
	Previous Hash
	Kind     NoticeKind
	Time     time.Time // when it was signed, to the second

	Since      time.Time // breach: since when, to the day or better
	Categories []string  // breach: of which data, as the policy names it, sorted
	Ends       time.Time // end of service: when
	Policy     uint      // policy change: the version
	PolicyHash Hash      // policy change: SHA-256 of the signed policy that comes with the notice

	// What says what has happened or will, and Do what the person can do, in every language of NoticeLanguages. Do may be empty
	// except for a breach.
	What map[string]string
	Do   map[string]string
}

const noticeFirstLine = "scruple/notice/1"

// Hash is what the next notice refers to: the SHA-256 of the text that is signed.
func (n Notice) Hash() Hash { return HashOf([]byte(n.text())) }

func (n Notice) text() string {
	var b strings.Builder
	day := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	fmt.Fprintf(&b, "%s\ncontroller %s\nnumber %d\nprevious %s\nkind %s\ntime %s\n",
		noticeFirstLine, n.Controller, n.Number, n.Previous, n.Kind, day(n.Time))
	switch n.Kind {
	case NoticeBreach:
		fmt.Fprintf(&b, "since %s\n", day(n.Since))
		for _, c := range n.Categories {
			fmt.Fprintf(&b, "category %s\n", c)
		}
	case NoticeEnd:
		fmt.Fprintf(&b, "ends %s\n", day(n.Ends))
	case NoticePolicy:
		fmt.Fprintf(&b, "policy %d %s\n", n.Policy, n.PolicyHash)
	}
	for _, lang := range NoticeLanguages {
		for _, part := range []struct {
			name string
			text map[string]string
		}{{"what", n.What}, {"do", n.Do}} {
			if text := part.text[lang]; text != "" {
				for line := range strings.SplitSeq(text, "\n") {
					fmt.Fprintf(&b, "%s %s %s\n", part.name, lang, line)
				}
			}
		}
	}
	return b.String()
}

// check reports whether everything is there that both ends must know, and nothing that could not be signed or shown.
func (n Notice) check() error {
	bad := func(what string) error { return fmt.Errorf("%w: %s", ErrNotice, what) }
	switch {
	case !noticeName(n.Controller):
		return bad("controller")
	case n.Number == 0 || n.Number > 1<<53 || (n.Number == 1) != n.Previous.IsZero():
		return bad("number")
	case !noticeTime(n.Time):
		return bad("time")
	}
	switch n.Kind {
	case NoticeBreach:
		if !noticeTime(n.Since) {
			return bad("since")
		}
		if len(n.Categories) == 0 || len(n.Categories) > maxNoticeCategories || !slices.IsSorted(n.Categories) ||
			slices.ContainsFunc(n.Categories, func(c string) bool { return !noticeName(c) }) {
			return bad("categories")
		}
	case NoticeEnd:
		if !noticeTime(n.Ends) {
			return bad("ends")
		}
	case NoticePolicy:
		if n.Policy == 0 || n.Policy > 1<<31 || n.PolicyHash.IsZero() {
			return bad("policy")
		}
	default:
		return bad("kind")
	}
	for _, lang := range NoticeLanguages {
		if !noticeText(n.What[lang]) || n.What[lang] == "" {
			return bad("what, in " + lang)
		}
		if !noticeText(n.Do[lang]) || n.Kind == NoticeBreach && n.Do[lang] == "" {
			return bad("what to do, in " + lang)
		}
	}
	return nil
}

// noticeName reports whether s can be a name of the policy.
func noticeName(s string) bool {
	return s != "" && len(s) <= 128 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_'
	})
}

// noticeTime reports whether t has a date of four digits.
func noticeTime(t time.Time) bool { return t.Unix() > 0 && t.UTC().Year() < 10000 }

// noticeText reports whether a text can be shown on a terminal line by line.
func noticeText(s string) bool {
	if strings.HasPrefix(s, "\n") || strings.HasSuffix(s, "\n") {
		return false
	}
	for line := range strings.SplitSeq(s, "\n") {
		if len(line) > maxNoticeLine || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return false
		}
	}
	return true
}

// SignNotice returns the signed note. ErrNotice when something is missing or too long.
func SignNotice(n Notice, key note.Signer) ([]byte, error) {
	if err := n.check(); err != nil {
		return nil, err
	}
	signed, err := note.Sign(&note.Note{Text: n.text()}, key)
	if err == nil && len(signed) > MaxNotice {
		err = fmt.Errorf("%w: longer than %d bytes", ErrNotice, MaxNotice)
	}
	return signed, err
}

// OpenNotice checks the signature against the controller's verifier key and reads the notice. It returns ErrNotice for
// anything else.
func OpenNotice(b []byte, verifierKey string) (Notice, error) {
	if len(b) > MaxNotice {
		return Notice{}, fmt.Errorf("%w: longer than %d bytes", ErrNotice, MaxNotice)
	}
	v, err := note.NewVerifier(verifierKey)
	if err != nil {
		return Notice{}, fmt.Errorf("%w: verifier key", ErrNotice)
	}
	signed, err := note.Open(b, note.VerifierList(v))
	if err != nil {
		return Notice{}, ErrNotice
	}
	n, err := parseNotice(signed.Text)
	if err != nil || n.text() != signed.Text {
		return Notice{}, fmt.Errorf("%w: layout", ErrNotice)
	}
	return n, n.check()
}

// parseNotice reads what text wrote. It is lax where comparing with text afterwards is strict.
func parseNotice(text string) (Notice, error) {
	n := Notice{What: map[string]string{}, Do: map[string]string{}}
	var errs []error
	when := func(s string) time.Time {
		t, err := time.Parse(time.RFC3339, s)
		errs = append(errs, err)
		return t
	}
	hash := func(s string) Hash {
		h, err := ParseHash(s)
		errs = append(errs, err)
		return h
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, " ")
		var err error
		switch name {
		case "controller":
			n.Controller = value
		case "number":
			n.Number, err = strconv.ParseUint(value, 10, 64)
		case "previous":
			n.Previous = hash(value)
		case "kind":
			n.Kind = NoticeKind(value)
		case "time":
			n.Time = when(value)
		case "since":
			n.Since = when(value)
		case "category":
			n.Categories = append(n.Categories, value)
		case "ends":
			n.Ends = when(value)
		case "policy":
			version, digest, _ := strings.Cut(value, " ")
			var v uint64
			v, err = strconv.ParseUint(version, 10, 32)
			n.Policy, n.PolicyHash = uint(v), hash(digest)
		case "what", "do":
			into := n.What
			if name == "do" {
				into = n.Do
			}
			lang, text, _ := strings.Cut(value, " ")
			if before, more := into[lang]; more {
				text = before + "\n" + text
			}
			into[lang] = text
		default:
			err = ErrNotice
		}
		errs = append(errs, err)
	}
	return n, errors.Join(errs...)
}

// NoticeBundle is one notice as it travels.
type NoticeBundle struct {
	Note   []byte `cbor:"1,keyasint"`
	Policy []byte `cbor:"2,keyasint,omitempty"` // a signed policy, with a policy change
}

// noticeList is the answer to GET /v1/notices.
type noticeList struct {
	Notices []NoticeBundle `cbor:"1,keyasint"`
}

// EncodeNotices returns the answer to GET /v1/notices: as many of the notices, in their order, as one answer holds.
func EncodeNotices(list []NoticeBundle) ([]byte, error) {
	size, n := 0, 0
	for n < min(len(list), MaxNoticesOnce) {
		size += len(list[n].Note) + len(list[n].Policy) + 32
		if n > 0 && size > MaxNoticeList-1024 {
			break
		}
		n++
	}
	return Marshal(noticeList{slices.Clip(list[:n])})
}

// DecodeNotices reads the answer to GET /v1/notices. ErrMalformed for anything else.
func DecodeNotices(b []byte) ([]NoticeBundle, error) {
	if len(b) > MaxNoticeList {
		return nil, fmt.Errorf("notices: %w: longer than %d bytes", ErrMalformed, MaxNoticeList)
	}
	var list noticeList
	if err := Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("notices: %w", err)
	}
	if len(list.Notices) > MaxNoticesOnce || slices.ContainsFunc(list.Notices, func(n NoticeBundle) bool {
		return len(n.Note) == 0 || len(n.Note) > MaxNotice || len(n.Policy) > MaxNoticePolicy
	}) {
		return nil, fmt.Errorf("notices: %w: a notice", ErrMalformed)
	}
	return list.Notices, nil
}
