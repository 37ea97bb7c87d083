package receiver_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/scruple-agent/scruple/hasher"
	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
	"github.com/scruple-agent/scruple/uploader/wire"
)

func number(i int) string { return fmt.Sprintf("+1202555%04d", 100+i) }

func addUsers(t *testing.T, r *receivertest.Receiver, n int) {
	t.Helper()
	var list []receiver.Identifier
	for i := range n {
		list = append(list, receiver.Identifier{Name: fmt.Sprint("user-", i), Phone: number(i)})
	}
	if _, err := r.Store.AddUsers(t.Context(), list, "US", r.Now()); err != nil {
		t.Fatal(err)
	}
}

func digestsOf(item wire.Item) []byte { return item.Fields["digests"].([]byte) }

func TestContactsAreMatchedAndForgotten(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	addUsers(t, r, 40)
	c := r.Client(t, "contacts", "find-friends")
	c.Give(t)
	e := c.Epoch(t)
	var numbers []string
	for i := 30; i < 130; i++ { // ten of the registered users and ninety others
		numbers = append(numbers, number(i))
	}
	item := receivertest.Contacts(t, e, r.Now(), numbers...)
	b, body := c.Batch(t, item)
	first := c.PutBatch(t, b.ID, body)
	if got := c.Receipt(t, first); got.Matches != 10 {
		t.Errorf("matches: got %d, want 10", got.Matches)
	}
	kept, epoch, err := r.Store.Matches(t.Context(), c.Consent, tester)
	if err != nil || epoch != e.ID || len(kept) != 10*hasher.DigestSize {
		t.Fatalf("kept: got %d bytes under epoch %d, %v; want 10 digests", len(kept), epoch, err)
	}
	if n := len(r.Stored(t, c.Consent)); n != 0 {
		t.Errorf("stored bodies: got %d, want none", n)
	}
	var unmatched [][]byte
	for d := range slices.Chunk(digestsOf(item), hasher.DigestSize) {
		if !bytes.Contains(kept, d) {
			unmatched = append(unmatched, d)
		}
	}
	if len(unmatched) != 128-10 {
		t.Errorf("unmatched digests: got %d, want 118", len(unmatched))
	}
	wantNowhere(t, r.Dir, "an unmatched digest or a dummy", unmatched...)
	if again := c.PutBatch(t, b.ID, body); !bytes.Equal(again.Body, first.Body) {
		t.Error("the same set again: got another receipt")
	}

	// The next set replaces the last.
	next := c.Receipt(t, c.Send(t, receivertest.Contacts(t, e, r.Now(), number(3))))
	if kept, _, err = r.Store.Matches(t.Context(), c.Consent, tester); err != nil || next.Matches != 1 || len(kept) != hasher.DigestSize {
		t.Errorf("after the next set: got %d matches, %d bytes, %v; want one", next.Matches, len(kept), err)
	}
	sealed := receiver.Sealed(t, r.Store, c.Consent)
	if got := c.Withdraw(t, true); got.Erased != 1 {
		t.Errorf("erased: got %d, want the one set that was held", got.Erased)
	}
	wantNowhere(t, r.Dir, "erased matches or their key", sealed...)
}

func TestUsersByMail(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	n, err := r.Store.AddUsers(t.Context(), []receiver.Identifier{
		{Name: "ann", Email: "ann@example.com"}, {Name: "ann", Phone: "(202) 555-0101"}, {Name: "bob", Phone: "+44 7700 900123"},
	}, "US", r.Now())
	if err != nil || n != 4 {
		t.Fatalf("added: got %d digests, %v; want 4", n, err)
	}
	got, err := r.Store.Users(t.Context())
	want := []receiver.User{{Name: "ann", Phones: 1, Emails: 1, Epoch: 1, Digests: 3}, {Name: "bob", Phones: 1, Epoch: 1, Digests: 1}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %+v %v, want %+v", got, err, want)
	}
	wantNowhere(t, r.Dir, "an identifier of a user", []byte("ann@example"), []byte("2025550101"), []byte("7700900123"))

	// Both of Ann's identifiers in one address book are one user.
	c := r.Client(t, "contacts", "find-friends")
	c.Give(t)
	e := c.Epoch(t)
	item := receivertest.Contacts(t, e, r.Now(), "+12025550101")
	key, err := hasher.NewKey(e.Key, hasher.Email, e.Form)
	if err != nil {
		t.Fatal(err)
	}
	d := key.Digest([]byte("ann@example.com"))
	set := digestsOf(item)[:63*hasher.DigestSize]
	phone, err := hasher.NewKey(e.Key, hasher.Phone, e.Form)
	if err != nil {
		t.Fatal(err)
	}
	p := phone.Digest([]byte("+12025550101"))
	if !bytes.Contains(set, p[:]) {
		set = digestsOf(item)[hasher.DigestSize:]
	}
	item.Fields["digests"] = hasher.SortDedupe(append(slices.Clone(set), d[:]...))
	if got := c.Receipt(t, c.Send(t, item)); got.Matches != 1 {
		t.Errorf("matches: got %d, want one user", got.Matches)
	}
	if gone, err := r.Store.RemoveUser(t.Context(), "ann"); err != nil || !gone {
		t.Errorf("remove: got %t %v", gone, err)
	}
	if kept, _, err := r.Store.Matches(t.Context(), c.Consent, tester); err != nil || len(kept) != 0 {
		t.Errorf("matches of a removed user: got %d bytes %v, want none", len(kept), err)
	}
}

func TestUsersRefused(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	for name, id := range map[string]receiver.Identifier{
		"no name":     {Phone: number(1)},
		"control":     {Name: "a\nb", Phone: number(1)},
		"nothing":     {Name: "a"},
		"both":        {Name: "a", Phone: number(1), Email: "a@example.com"},
		"no number":   {Name: "a", Phone: canary},
		"no address":  {Name: "a", Email: canary},
		"long number": {Name: "a", Phone: "+1202555010012025550100"},
	} {
		_, err := r.Store.AddUsers(t.Context(), []receiver.Identifier{{Name: "ok", Phone: number(0)}, id}, "US", r.Now())
		if err == nil || bytes.Contains([]byte(err.Error()), []byte(canary)) || bytes.Contains([]byte(err.Error()), []byte("2025550")) {
			t.Errorf("%s: got %v, want an error without the value", name, err)
		}
	}
	if list, err := r.Store.Users(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("users: got %d %v, want none: all or nothing", len(list), err)
	}
}

func TestEpochOnlyWithConsentForContacts(t *testing.T) {
	clock := receivertest.NewClock()
	r := receivertest.New(t, receivertest.Options{Clock: clock})
	get := func(c *receivertest.Client) receivertest.Answer {
		return c.Do(t.Context(), http.MethodGet, "/v1/contacts/epoch", nil, "")
	}
	none := r.Client(t, "contacts", "find-friends")
	if a := get(none); a.Problem() != wire.ProblemConsentUnknown {
		t.Errorf("without consent: got %d %q, want consent-unknown", a.Status, a.Problem())
	}
	other := r.Client(t, "steps", "compare")
	other.Give(t)
	if a := get(other); a.Problem() != wire.ProblemConsentUnknown {
		t.Errorf("with another consent: got %d %q, want consent-unknown", a.Status, a.Problem())
	}
	withdrawn := r.Client(t, "contacts", "find-friends")
	withdrawn.Give(t)
	withdrawn.Epoch(t)
	withdrawn.Withdraw(t, false)
	if a := get(withdrawn); a.Problem() != wire.ProblemConsentWithdrawn {
		t.Errorf("withdrawn: got %d %q, want consent-withdrawn", a.Status, a.Problem())
	}
	withdrawn.Withdraw(t, true)
	if a := get(withdrawn); a.Problem() != wire.ProblemConsentWithdrawn {
		t.Errorf("withdrawn and cleared: got %d %q, want consent-withdrawn", a.Status, a.Problem())
	}
	expired := r.Client(t, "contacts", "find-friends")
	expired.Give(t)
	clock.Advance(expired.Effective.Purpose.Expiry)
	if a := get(expired); a.Problem() != wire.ProblemConsentExpired {
		t.Errorf("expired: got %d %q, want consent-expired", a.Status, a.Problem())
	}
}

func TestSetsThatAreRefused(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	addUsers(t, r, 3)
	c := r.Client(t, "contacts", "find-friends")
	c.Give(t)
	e := c.Epoch(t)
	for name, tc := range map[string]struct {
		change func(map[string]any)
		want   wire.ProblemType
	}{
		"other epoch": {func(f map[string]any) { f["epoch"] = int64(e.ID) + 1 }, wire.ProblemWrongEpoch},
		"other form":  {func(f map[string]any) { f["form"] = int64(e.Form) + 1 }, wire.ProblemWrongEpoch},
		"no epoch":    {func(f map[string]any) { delete(f, "epoch") }, wire.ProblemMalformed},
		"no digests":  {func(f map[string]any) { delete(f, "digests") }, wire.ProblemMalformed},
		"a name":      {func(f map[string]any) { f["name"] = canary }, wire.ProblemUndeclaredField},
		"not padded":  {func(f map[string]any) { f["digests"] = f["digests"].([]byte)[:63*16] }, wire.ProblemMalformed},
		"small class": {func(f map[string]any) { f["digests"] = f["digests"].([]byte)[:32*16] }, wire.ProblemMalformed},
		"half digest": {func(f map[string]any) { f["digests"] = f["digests"].([]byte)[:64*16-8] }, wire.ProblemMalformed},
		"empty":       {func(f map[string]any) { f["digests"] = []byte{} }, wire.ProblemMalformed},
		"unsorted": {func(f map[string]any) {
			d := f["digests"].([]byte)
			d[0] = 0xff
		}, wire.ProblemMalformed},
		"twice": {func(f map[string]any) {
			d := f["digests"].([]byte)
			copy(d[16:32], d[:16])
		}, wire.ProblemMalformed},
	} {
		item := receivertest.Contacts(t, e, r.Now(), number(1))
		tc.change(item.Fields)
		if a := c.Send(t, item); a.Problem() != tc.want || a.Status != tc.want.Status() {
			t.Errorf("%s: got %d %q, want %q", name, a.Status, a.Problem(), tc.want)
		}
	}
}

func TestEpochEnds(t *testing.T) {
	clock := receivertest.NewClock()
	r := receivertest.New(t, receivertest.Options{Clock: clock})
	addUsers(t, r, 3)
	c := r.Client(t, "contacts", "find-friends")
	c.Give(t)
	old := c.Epoch(t)
	item := receivertest.Contacts(t, old, r.Now(), number(1))
	c.Receipt(t, c.Send(t, item))
	clock.Advance(receiver.EpochLife)
	if a := c.Send(t, item); a.Problem() != wire.ProblemWrongEpoch {
		t.Fatalf("old epoch: got %d %q, want wrong-epoch", a.Status, a.Problem())
	}
	e := c.Epoch(t)
	if e.ID != old.ID+1 || bytes.Equal(e.Key, old.Key) {
		t.Errorf("new epoch: got id %d after %d, want the next with another key", e.ID, old.ID)
	}
	if kept, _, err := r.Store.Matches(t.Context(), c.Consent, tester); err != nil || len(kept) != 0 {
		t.Errorf("matches under the old key: got %d bytes %v, want none", len(kept), err)
	}
	if users, err := r.Store.Users(t.Context()); err != nil || len(users) != 0 {
		t.Errorf("users under the old key: got %d %v, want none", len(users), err)
	}
	addUsers(t, r, 3)
	if got := c.Receipt(t, c.Send(t, receivertest.Contacts(t, e, r.Now(), number(1)))); got.Matches != 1 {
		t.Errorf("under the new key: got %d matches, want 1", got.Matches)
	}
}

// A large address book against many users.
func TestLargeSet(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	addUsers(t, r, 2000)
	c := r.Client(t, "contacts", "find-friends")
	c.Give(t)
	var numbers []string
	for i := 1000; i < 6000; i++ {
		numbers = append(numbers, number(i))
	}
	if got := c.Receipt(t, c.Send(t, receivertest.Contacts(t, c.Epoch(t), r.Now(), numbers...))); got.Matches != 1000 {
		t.Errorf("got %d matches, want 1000", got.Matches)
	}
}
