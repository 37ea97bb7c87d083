package wire

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// noticeKey is an invented controller's key, with its public half.
var noticeKey, noticeVerifier = func() (note.Signer, string) {
	private, public, err := note.GenerateKey(zeros{}, "messenger.example.com")
	if err != nil {
		panic(err)
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		panic(err)
	}
	return signer, public
}()

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func someNotice() Notice {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return Notice{
		Controller: "messenger", Number: 1, Kind: NoticeBreach, Time: at, Since: at.AddDate(0, -1, 0), Categories: []string{"location", "steps"},
		What: map[string]string{"en": "Somebody read\n\npositions.", "zh-CN": "有人读取了位置。"},
		Do:   map[string]string{"en": "Decide.", "zh-CN": "请作出决定。"},
	}
}

func TestNotice(t *testing.T) {
	end := someNotice()
	end.Kind, end.Since, end.Categories, end.Ends, end.Do = NoticeEnd, time.Time{}, nil, end.Time.AddDate(1, 0, 0), nil
	end.Number, end.Previous = 2, someNotice().Hash()
	changed := someNotice()
	changed.Kind, changed.Since, changed.Categories, changed.Policy, changed.PolicyHash = NoticePolicy, time.Time{}, nil, 2, HashOf([]byte("policy"))
	for _, n := range []Notice{someNotice(), end, changed} {
		signed, err := SignNotice(n, noticeKey)
		if err != nil {
			t.Fatal(err)
		}
		got, err := OpenNotice(signed, noticeVerifier)
		if err != nil || got.Hash() != n.Hash() || got.What["en"] != n.What["en"] || got.Kind != n.Kind {
			t.Errorf("%s: %+v, %v", n.Kind, got, err)
		}
		if _, err := OpenNotice(bytes.Replace(signed, []byte("2026"), []byte("2027"), 1), noticeVerifier); !errors.Is(err, ErrNotice) {
			t.Errorf("%s: an altered one is read: %v", n.Kind, err)
		}
	}
}

func TestNoticeIncomplete(t *testing.T) {
	for name, spoil := range map[string]func(*Notice){
		"no number":                      func(n *Notice) { n.Number = 0 },
		"a first one with a predecessor": func(n *Notice) { n.Previous = HashOf(nil) },
		"no category":                    func(n *Notice) { n.Categories = nil },
		"unsorted categories":            func(n *Notice) { n.Categories = []string{"steps", "location"} },
		"one language":                   func(n *Notice) { delete(n.What, "zh-CN") },
		"nothing to do":                  func(n *Notice) { n.Do = nil },
		"an escape sequence":             func(n *Notice) { n.What["en"] = "\x1b[2J" },
		"a kind of its own":              func(n *Notice) { n.Kind = "advertisement" },
		"a name with a newline":          func(n *Notice) { n.Controller = "messenger\nkind" },
		"too long":                       func(n *Notice) { n.What["en"] = strings.Repeat(strings.Repeat("x", 100)+"\n", 200) + "x" },
	} {
		n := someNotice()
		spoil(&n)
		if _, err := SignNotice(n, noticeKey); !errors.Is(err, ErrNotice) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNoticesAnswer(t *testing.T) {
	var list []NoticeBundle
	for range 20 {
		list = append(list, NoticeBundle{Note: bytes.Repeat([]byte{1}, 1000), Policy: make([]byte, 900<<10)})
	}
	b, err := EncodeNotices(list)
	if err != nil || len(b) > MaxNoticeList {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	if got, err := DecodeNotices(b); err != nil || len(got) == 0 || len(got) > MaxNoticesOnce {
		t.Errorf("%d notices, %v", len(got), err)
	}
	if b, err = EncodeNotices(nil); err != nil {
		t.Fatal(err)
	}
	if got, err := DecodeNotices(b); err != nil || len(got) != 0 {
		t.Errorf("none: %v, %v", got, err)
	}
}

func FuzzNotice(f *testing.F) {
	signed, err := SignNotice(someNotice(), noticeKey)
	f.Add(mustBytes(f, signed, err))
	f.Add([]byte("scruple/notice/1\n\n— x y\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := OpenNotice(b, noticeVerifier); err == nil {
			if again, err := SignNotice(n, noticeKey); err != nil || !strings.HasPrefix(string(b), n.text()) || len(again) == 0 {
				t.Fatalf("what was read cannot be signed: %v", err)
			}
		}
		// The text alone, as if it were signed.
		if n, err := parseNotice(string(b)); err == nil && n.check() == nil {
			if again, err := parseNotice(n.text()); err != nil || again.Hash() != n.Hash() {
				t.Fatal("the text means something else the second time")
			}
		}
	})
}

func FuzzNotices(f *testing.F) {
	b, err := EncodeNotices([]NoticeBundle{{Note: []byte("n")}, {Note: []byte("n"), Policy: []byte("p")}})
	f.Add(mustBytes(f, b, err))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := DecodeNotices(b)
		if err != nil {
			return
		}
		if again, err := EncodeNotices(list); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x became %x (%v)", b, again, err)
		}
	})
}
