package items

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/agent/sealed"
	"github.com/scruple-agent/scruple/configs"
)

func document(t testing.TB) *policy.Document {
	t.Helper()
	doc, err := policy.Parse("built in", configs.PolicyYAML)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func effective(t testing.TB, name string) policy.Effective {
	t.Helper()
	category, purpose, _ := strings.Cut(name, "/")
	e, err := document(t).Effective(policy.CategoryID(category), policy.PurposeID(purpose))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestStore: the latest state of each item survives a restart, belongs to who submitted it, and is unreadable on the disk.
func TestStore(t *testing.T) {
	doc := document(t)
	desk := consenttest.Setup(t, doc)
	tuple, err := doc.Tuple(consenttest.Subject, "posts/moments")
	if err != nil {
		t.Fatal(err)
	}
	consenttest.Give(t, desk.Register, tuple)
	p, err := desk.Register.Permit(tuple)
	if err != nil {
		t.Fatal(err)
	}
	id := p.Consent()
	dir := t.TempDir()
	s, err := Open(dir, desk.Ring)
	if err != nil {
		t.Fatal(err)
	}
	put := func(name, client, text string, person bool) error {
		return s.Put(p, Item{Name: name, Stored: 1000, Client: client, Fields: map[string]any{
			"item": name, "text": text, "n": int64(-3), "on": true, "media": []byte{0, 255}, "list": []string{"a", "b"},
		}}, person)
	}
	for _, err := range []error{put("1", "one", "canary-first", false), put("2", "two", "x", false), put("1", "one", "canary-second", false)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := put("1", "two", "stolen", false); !errors.Is(err, ErrOther) {
		t.Errorf("another application replaced an item: %v", err)
	}
	if s, err = Open(dir, desk.Ring); err != nil {
		t.Fatal(err)
	}
	list, err := s.List(id)
	if err != nil || len(list) != 2 || list[0].Name != "1" {
		t.Fatalf("%+v, %v", list, err)
	}
	if want := (map[string]any{
		"item": "1", "text": "canary-second", "n": int64(-3), "on": true, "media": []byte{0, 255}, "list": []string{"a", "b"},
	}); !reflect.DeepEqual(list[0].Fields, want) {
		t.Errorf("fields %v, want %v", list[0].Fields, want)
	}
	if err := put("1", "", "corrected", true); err != nil {
		t.Fatal(err)
	}
	if client, ok, err := s.Owner(id, "1"); client != "one" || !ok || err != nil {
		t.Errorf("after the person's correction the item is %q's, %v, %v", client, ok, err)
	}
	b, err := os.ReadFile(s.files.Path(id))
	if err != nil || bytes.Contains(b, []byte("corrected")) || bytes.Contains(b, []byte("canary")) {
		t.Errorf("the file shows what is in it (%v)", err)
	}
	for want, name := range []string{"none", "1"} {
		if n, err := s.Edit(id, func(it Item) (map[string]any, bool) { return nil, it.Name == name }); n != want || err != nil {
			t.Errorf("remove %s: %d, %v", name, n, err)
		}
	}
	if n, err := s.Expire(id, time.Unix(1000, 0)); n != 0 || err != nil {
		t.Errorf("expired %d, %v", n, err)
	}
	if n, err := s.Expire(id, time.Unix(1001, 0)); n != 1 || err != nil {
		t.Errorf("expired %d, %v", n, err)
	}
	if _, err := os.Stat(s.files.Path(id)); !os.IsNotExist(err) {
		t.Errorf("the empty file is still there: %v", err)
	}

	if err := put("3", "one", "x", false); err != nil {
		t.Fatal(err)
	}
	if err := desk.Register.Withdraw(tuple, false, consenttest.Person); err != nil {
		t.Fatal(err)
	}
	if _, err := s.List(id); !errors.Is(err, keyring.ErrNoKey) {
		t.Errorf("readable after withdrawal: %v", err)
	}
	if err := put("4", "one", "x", false); err == nil {
		t.Error("stored after withdrawal")
	}
	if _, err := Open(dir, desk.Ring); err != nil {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("opening again left %v", entries)
	}
}

// TestDamage: a changed byte, a cut file and another consent's file are refused, not shown.
func TestDamage(t *testing.T) {
	doc := document(t)
	desk := consenttest.Setup(t, doc)
	tuple, _ := doc.Tuple(consenttest.Subject, "posts/moments")
	consenttest.Give(t, desk.Register, tuple)
	p, err := desk.Register.Permit(tuple)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.TempDir(), desk.Ring)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put(p, Item{Name: "1", Fields: map[string]any{"item": "1"}}, false); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(s.files.Path(p.Consent()))
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"changed": append(bytes.Clone(whole[:len(whole)-1]), whole[len(whole)-1]^1), "cut": whole[:len(whole)-1], "empty": {}, "head": whole[:8],
	} {
		if err := os.WriteFile(s.files.Path(p.Consent()), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.List(p.Consent()); !errors.Is(err, sealed.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.Put(p, Item{Name: "2", Fields: map[string]any{}}, false); !errors.Is(err, sealed.ErrDamaged) {
			t.Errorf("%s: what cannot be read was replaced: %v", name, err)
		}
	}
	if err := s.Erase(p.Consent()); err != nil {
		t.Error(err)
	}
}

func TestDecode(t *testing.T) {
	profile := `"nickname":"n","avatar":"AAE=","phone":"+1 202 555 0100"`
	for _, c := range []struct{ tuple, body, want string }{
		{"profile/account", `{"records":[{` + profile + `}]}`, ""},
		{"posts/moments", `{"records":[{"item":"1","kind":"post","text":"t"},{"item":"2","kind":"like","reply-to":"1"}]}`, ""},
		{"linked-account/sign-in", `{"origin":"Example","records":[{"other-nickname":"n"}]}`, ""},
		{"profile/details", `{"records":[{"addresses":["a","b"],"sex":"other"}]}`, ""},
		{"profile/account", `{"records":[{"nickname":"canary","avatar":"AAE="}]}`, "phone: required"},
		{"profile/account", `{"records":[{` + profile + `,"sex":"other"}]}`, "sex: field not declared"},
		{"profile/account", `{"records":[{` + profile + `,"canary8":1}]}`, "field not declared"},
		{"profile/account", `{"records":[{` + profile + `,"nickname":"canary"}]}`, "nickname: stands twice"},
		{"profile/account", `{"records":[{"nickname":17}]}`, "nickname: is declared as text"},
		{"profile/account", `{"records":[{"avatar":"canary!"}]}`, "avatar: is not base64"},
		{"profile/details", `{"records":[{"sex":"canary"}]}`, "sex: is none of the declared choices"},
		{"profile/details", `{"records":[{"addresses":"canary"}]}`, "addresses: is declared as texts"},
		{"profile/details", `{"records":[{"addresses":["canary",1]}]}`, "addresses: is declared as texts"},
		{"profile/details", `{"records":[{"region":null}]}`, "region: is declared as text"},
		{"profile/details", `{"records":[{"region":"` + strings.Repeat("x", MaxText+1) + `"}]}`, "region: is longer"},
		{"posts/moments", `{"records":[{"kind":"post"}]}`, "item: required"},
		{"posts/moments", `{"records":[{"item":"` + strings.Repeat("c", MaxName+1) + `"}]}`, "item: longer"},
		{"posts/moments", `{"records":[{"item":"1\u0007"}]}`, "item: has a character"},
		{"posts/moments", `{"records":[{"item":"1\u200d2"}]}`, "item: has a character"},
		{"posts/moments", `{"records":[{"item":"-"}]}`, "item: is not a name"},
		{"payment/pay", `{"records":[{"item":"1","amount":1.5}]}`, "amount: is no whole number"},
		{"payment/pay", `{"records":[{"item":"1","amount":9223372036854775808}]}`, "amount: is no whole number"},
		{"payment/pay", `{"records":[{"item":"1","amount":[[[[1]]]]}]}`, "amount: is declared as integer"},
		{"payment/pay", `{"records":[]}`, "no records"},
		{"payment/pay", `{"records":[{"item":"1"}],"records":[{"item":"1"}]}`, "twice"},
		{"payment/pay", `{"canary":1}`, "its keys are"},
		{"payment/pay", `{"records":[{"item":"1"}]}{}`, "something follows"},
		{"payment/pay", `canary`, "not a submission"},
		{"payment/pay", ``, "not a submission"},
		{"payment/pay", `{"records":[` + strings.Repeat(`{"item":"1"},`, MaxRecords) + `{"item":"1"}]}`, "more than 64"},
	} {
		_, err := Decode(effective(t, c.tuple), []byte(c.body))
		got := fmt.Sprint(err)
		if (c.want == "") != (err == nil) || err != nil && !strings.Contains(got, c.want) {
			t.Errorf("%s %.60s: %v, want %q", c.tuple, c.body, err, c.want)
		}
		if strings.Contains(got, "canary") {
			t.Errorf("%s: the error repeats what was sent: %v", c.tuple, err)
		}
	}
}

// FuzzDecode: what is accepted is as declared.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"records":[{"item":"1","kind":"post","text":"t","media":"AAE="}]}`, `{"origin":"x","records":[{"item":"1"}]}`,
		`{"records":[{"item":"1","text":"\ud800"}]}`, `{"records":[[]]}`, `{`, "\xff",
	} {
		f.Add([]byte(seed))
	}
	e := effective(f, "posts/moments")
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := Decode(e, body)
		if err != nil {
			return
		}
		if len(s.Records) == 0 || len(s.Records) > MaxRecords {
			t.Errorf("%d records", len(s.Records))
		}
		for _, r := range s.Records {
			if err := Check(e, r); err != nil {
				t.Errorf("accepted what is not declared: %v", err)
			}
		}
	})
}

// FuzzFile: what is read of a file can be written and read again, and damage gives an error only.
func FuzzFile(f *testing.F) {
	seed, err := encMode.Marshal([]Item{{Name: "1", Stored: 3, Fields: map[string]any{"a": []string{"x"}, "b": []byte{1}}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte{0x80})
	f.Add([]byte{0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := decodeFile(b)
		if err != nil {
			return
		}
		again, err := encMode.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decodeFile(again); err != nil || !reflect.DeepEqual(back, list) {
			t.Errorf("%+v came back as %+v, %v", list, back, err)
		}
	})
}
