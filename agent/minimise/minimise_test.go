package minimise

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/configs"
	"github.com/scruple-agent/scruple/hasher"
	"github.com/scruple-agent/scruple/hasher/canonical"
	"github.com/scruple-agent/scruple/sensors/accel"
	"github.com/scruple-agent/scruple/sensors/contacts/vcard"
	"github.com/scruple-agent/scruple/sensors/device"
	"github.com/scruple-agent/scruple/sensors/location"
	"github.com/scruple-agent/scruple/sensors/steps"
	"github.com/scruple-agent/scruple/uploader/wire"
)

var now = time.Date(2026, 11, 23, 15, 42, 17, 123, time.UTC)

// permit is for a purpose of the policy that is shipped: what these tests show, they show of it.
func permit(t testing.TB, category policy.CategoryID, purpose policy.PurposeID) consent.Permit {
	t.Helper()
	doc, err := policy.Parse("policy.yaml", configs.PolicyYAML)
	if err != nil {
		t.Fatal(err)
	}
	return consenttest.Permit(t, doc, category, purpose)
}

// decoded returns what a report holds, as the spool will store it.
func decoded(t testing.TB, r Report) wire.Report {
	t.Helper()
	d, err := wire.DecodeReport(r.Encode())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestZeroPermitMakesNothing(t *testing.T) {
	var p consent.Permit
	if r, err := Device(p, device.Sample{}, "1", now); err == nil || !r.Empty() {
		t.Errorf("a zero permit made a report: %v", err)
	}
	if _, err := NewContacts(p, "CN", epoch(), now); err == nil {
		t.Error("a zero permit started a contacts pass")
	}
}

func TestWrongMinimiserIsRefused(t *testing.T) {
	p := permit(t, "contacts", "find-friends")
	if _, err := Device(p, device.Sample{Model: "m"}, "1", now); !errors.Is(err, ErrWrongMinimiser) {
		t.Errorf("got %v, want ErrWrongMinimiser", err)
	}
}

func TestDevice(t *testing.T) {
	p := permit(t, "device", "service")
	r, err := Device(p, device.Sample{Model: "Board 1", OS: "debian", OSVersion: "12", Network: "wifi", AddressFamily: "both", Sensors: []string{"steps"}}, "0.1", now)
	if err != nil {
		t.Fatal(err)
	}
	d := decoded(t, r)
	if d.Consent != p.Consent() || d.Subtree != p.Subtree() {
		t.Error("the report is not bound to its consent and policy subtree")
	}
	if d.Item.Time != now.Truncate(time.Hour).Unix() {
		t.Errorf("time %d is finer than the hour", d.Item.Time)
	}
	if d.Item.Fields["model"] != "Board 1" || d.Item.Fields["network"] != "wifi" || len(d.Item.Fields) != 7 {
		t.Errorf("fields: %d", len(d.Item.Fields))
	}
}

// TestDecodeDemandsTheSameConsent: a report crosses a pipe only to a live permit of its own consent.
func TestDecodeDemandsTheSameConsent(t *testing.T) {
	p, other := permit(t, "device", "service"), permit(t, "device", "service")
	r, err := Device(p, device.Sample{Model: "m", OS: "o", OSVersion: "1", Network: "wifi", AddressFamily: "ipv4"}, "0.1", now)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := Decode(p, r.Encode()); err != nil || string(back.Encode()) != string(r.Encode()) {
		t.Errorf("own permit: %v", err)
	}
	if _, err := Decode(other, r.Encode()); err == nil {
		t.Error("decoded under another consent")
	}
	if _, err := Decode(p, r.Encode()[1:]); err == nil {
		t.Error("decoded damaged bytes")
	}
}

func burst(x, y, z, wobble float64) (b []accel.Sample) {
	for i := range 25 {
		b = append(b, accel.Sample{X: x, Y: y, Z: z + wobble*math.Sin(float64(i))})
	}
	return b
}

func TestMotion(t *testing.T) {
	p := permit(t, "accelerometer", "gravity")
	var m Motion
	for range 3 {
		m.Add(burst(0, 0, 9.81, 0.01))
	}
	m.Add(burst(0, 9.81, 0, 6))
	r, err := m.Report(p, now)
	if err != nil {
		t.Fatal(err)
	}
	f := decoded(t, r).Item.Fields
	if f["orientation"] != "face-up" || f["still"] != int64(750) || f["moving"] != int64(250) {
		t.Errorf("got %v", f)
	}
	if !m.Empty() {
		t.Error("the window did not start anew")
	}
}

func TestOrientation(t *testing.T) {
	for want, v := range map[string][3]float64{
		"face-up": {0, 0, 9.8}, "face-down": {0.3, 0, -9.8}, "portrait": {0, 9.8, 1}, "portrait-reversed": {0, -9.8, 0},
		"landscape": {9.8, 0, 0}, "landscape-reversed": {-9.8, 0, 2}, "tilted": {6, 6, 5}, "unknown": {0, 0, 0},
	} {
		if got := orientation(v[0], v[1], v[2]); got != want {
			t.Errorf("%v: got %s, want %s", v, got, want)
		}
	}
}

func TestSteps(t *testing.T) {
	p := permit(t, "steps", "compare")
	at := func(day, hour int) time.Time { return time.Date(2026, 11, day, hour, 0, 0, 0, time.Local) }
	var s Steps
	var days []int64
	for _, r := range []struct {
		when    time.Time
		counter uint64
	}{
		{at(1, 9), 5000}, // before: not ours
		{at(1, 12), 5400},
		{at(1, 23), 6000},
		{at(2, 8), 6100}, // a new day: 1000 told
		{at(2, 20), 50},  // a reboot: 50 since then
		{at(3, 1), 50},   // 150 told
	} {
		report, done, err := s.Add(p, steps.Sample{Time: r.when, Counter: r.counter})
		if err != nil {
			t.Fatal(err)
		}
		if done {
			d := decoded(t, report)
			days = append(days, d.Item.Fields["total"].(int64))
			if got := time.Unix(d.Item.Time, 0).Local(); got.Hour() != 0 || got.Minute() != 0 {
				t.Errorf("time %v is finer than the day", got)
			}
		}
	}
	if fmt.Sprint(days) != "[1000 150]" {
		t.Errorf("totals %v, want [1000 150]", days)
	}
	if s.Pending() {
		t.Error("steps pending that nobody took")
	}
}

// TestStepsAfterTheEnd: of a reading that comes when the permit is over nothing stays, not even where the counter stood.
func TestStepsAfterTheEnd(t *testing.T) {
	doc, err := policy.Parse("policy.yaml", configs.PolicyYAML)
	if err != nil {
		t.Fatal(err)
	}
	reg := consenttest.New(t, doc)
	var s Steps
	var r StepRange
	for purpose, add := range map[policy.PurposeID]func(consent.Permit, steps.Sample) error{
		"compare":    func(p consent.Permit, v steps.Sample) error { _, _, err := s.Add(p, v); return err },
		"statistics": func(p consent.Permit, v steps.Sample) error { _, _, err := r.Add(p, v); return err },
	} {
		tuple := consenttest.Tuple(t, doc, "steps", purpose)
		consenttest.Give(t, reg, tuple)
		p := consenttest.PermitFrom(t, reg, tuple)
		if err := reg.Withdraw(tuple, false, consenttest.Person); err != nil {
			t.Fatal(err)
		}
		if err := add(p, steps.Sample{Time: time.Now(), Counter: 5000}); !errors.Is(err, consent.ErrWithdrawn) {
			t.Errorf("%s: %v", purpose, err)
		}
	}
	if s.begun || r.begun {
		t.Error("where the counter stood is still known")
	}
}

func TestLocation(t *testing.T) {
	p := permit(t, "location", "nearby")
	var l Location
	report, told, err := l.Add(p, location.Fix{Lat: 39.9042, Lon: 116.4074, Accuracy: 5}, now)
	if err != nil || !told {
		t.Fatalf("first fix: told %v, %v", told, err)
	}
	f := decoded(t, report).Item.Fields
	if f["level"] != int64(12) || f["accuracy"].(int64) < 1500 {
		t.Errorf("level %v, accuracy %v: not inflated to the cell", f["level"], f["accuracy"])
	}
	if _, told, _ := l.Add(p, location.Fix{Lat: 39.90421, Lon: 116.40741, Accuracy: 5}, now); told {
		t.Error("the same cell was told twice")
	}
	if r, told, err := l.Add(p, location.Fix{Lat: 31.2304, Lon: 121.4737, Accuracy: 9000}, now); err != nil || !told {
		t.Errorf("a coarse fix: told %v, %v", told, err)
	} else if f := decoded(t, r).Item.Fields; f["level"].(int64) >= 12 || f["accuracy"].(int64) < 9000 {
		t.Errorf("a fix of 9 km gave level %v with accuracy %v", f["level"], f["accuracy"])
	}
	if _, told, _ := l.Add(p, location.Fix{Lat: 10, Lon: 10, Accuracy: 500_000}, now); told {
		t.Error("a useless fix was told")
	}
	told = true
	count := 2
	for i := 0; i < 500; i++ {
		if _, told, err = l.Add(p, location.Fix{Lat: float64(i%80) / 2, Lon: float64(i%90) / 2, Accuracy: 5}, now); err != nil {
			t.Fatal(err)
		} else if told {
			count++
		}
	}
	if want := p.Effective().Purpose.Minimiser.DailyCap; count != want {
		t.Errorf("told %d cells on one day, the cap is %d", count, want)
	}
	if _, told, _ = l.Add(p, location.Fix{Lat: -33, Lon: -70, Accuracy: 5}, now.Add(24*time.Hour)); !told {
		t.Error("the next day has its own cap")
	}
}

func epoch() wire.Epoch {
	key := make([]byte, 32)
	for i := range key {
		key[i] = byte(i)
	}
	return wire.Epoch{ID: 7, NotBefore: now.Unix() - 1, NotAfter: now.Unix() + 1000, Mode: "keyed", Length: 16, Form: canonical.PhoneForm, Key: key}
}

func TestContacts(t *testing.T) {
	p := permit(t, "contacts", "find-friends")
	pad := make([]byte, 32)
	book := func(values ...string) []byte {
		c, err := NewContacts(p, "US", epoch(), now)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			kind := vcard.Tel
			if v[0] > '9' {
				kind = vcard.Email
			}
			if err := c.Add(kind, []byte(v)); err != nil {
				t.Fatal(err)
			}
		}
		r, err := c.Report(pad, now)
		if err != nil {
			t.Fatal(err)
		}
		return decoded(t, r).Item.Fields["digests"].([]byte)
	}
	a := book("(202) 555-0143", "jane@example.com")
	b := book("jane@EXAMPLE.com", "+1 202 555 0143", "202-555-0143")
	if string(a) != string(b) {
		t.Error("the same people in another order and spelling give another set")
	}
	if len(a) != hasher.MinPadded*hasher.DigestSize {
		t.Errorf("set of %d bytes, want the smallest size class", len(a))
	}
	if string(a) == string(book("(202) 555-0144", "jane@example.com")) {
		t.Error("other people give the same set")
	}
	key, err := hasher.NewKey(epoch().Key, hasher.Phone, canonical.PhoneForm)
	if err != nil {
		t.Fatal(err)
	}
	want := key.Digest([]byte("+12025550143"))
	found := false
	for i := 0; i < len(a); i += hasher.DigestSize {
		found = found || string(a[i:i+hasher.DigestSize]) == string(want[:])
	}
	if !found {
		t.Error("the digest of a number in the book is not in the set")
	}
}

func TestContactsEpoch(t *testing.T) {
	p := permit(t, "contacts", "find-friends")
	for name, change := range map[string]func(*wire.Epoch){
		"past":       func(e *wire.Epoch) { e.NotAfter = now.Unix() },
		"future":     func(e *wire.Epoch) { e.NotBefore = now.Unix() + 1 },
		"other form": func(e *wire.Epoch) { e.Form++ },
	} {
		e := epoch()
		change(&e)
		if _, err := NewContacts(p, "CN", e, now); !errors.Is(err, ErrEpoch) {
			t.Errorf("%s: got %v, want ErrEpoch", name, err)
		}
	}
}

// TestContactsChunks takes in more identifiers than a chunk holds, each twice.
func TestContactsChunks(t *testing.T) {
	p := permit(t, "contacts", "find-friends")
	c, err := NewContacts(p, "US", epoch(), now)
	if err != nil {
		t.Fatal(err)
	}
	const people = chunk + chunk/2
	for i := range 2 * people {
		if err := c.Add(vcard.Email, fmt.Appendf(nil, "p%d@example.com", i%people)); err != nil {
			t.Fatal(err)
		}
	}
	r, err := c.Report(make([]byte, 32), now)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(decoded(t, r).Item.Fields["digests"].([]byte)) / hasher.DigestSize; got != 1<<16 {
		t.Errorf("%d digests, want the size class of %d", got, people)
	}
}

func TestTruncate(t *testing.T) {
	for _, tc := range []struct {
		in   string
		n    int
		want string
	}{{"abc", 5, "abc"}, {"abc", 2, "ab"}, {"中文", 4, "中"}, {"中文", 2, ""}, {"", 0, ""}} {
		if got := truncate(tc.in, tc.n); got != tc.want {
			t.Errorf("truncate(%q, %d) = %q, want %q", tc.in, tc.n, got, tc.want)
		}
	}
}
