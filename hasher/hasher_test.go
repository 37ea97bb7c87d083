package hasher

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/scruple-agent/scruple/hasher/internal/lanes"
)

func testKey(t testing.TB, kind Kind) *Key {
	t.Helper()
	k, err := NewKey(bytes.Repeat([]byte{7}, EpochKeySize), kind, 1)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// reference is the promise spelt out with the standard library.
func reference(t testing.TB, kind Kind, form uint32, id []byte) (d [DigestSize]byte) {
	t.Helper()
	info := fmt.Sprintf("scruple/contacts/1%c%c%c%c%c", kind, form>>24, form>>16&255, form>>8&255, form&255)
	key, err := hkdf.Key(sha256.New, bytes.Repeat([]byte{7}, EpochKeySize), nil, info, 32)
	if err != nil {
		t.Fatal(err)
	}
	m := hmac.New(sha256.New, key)
	m.Write(id)
	copy(d[:], m.Sum(nil))
	return d
}

func TestDigests(t *testing.T) {
	for _, kind := range []Kind{Phone, Email, EmailFolded} {
		t.Run(kind.String(), func(t *testing.T) {
			k := testKey(t, kind)
			var b Batch
			var want []byte
			for n := range 200 {
				id := bytes.Repeat([]byte{byte('a' + n%26)}, n)
				if err := b.Append(id); err != nil {
					t.Fatal(err)
				}
				d := reference(t, kind, 1, id)
				want = append(want, d[:]...)
				if got := k.Digest(id); got != d {
					t.Fatalf("Digest of %d bytes = %x, want %x", n, got, d)
				}
			}
			got := k.AppendDigests([]byte("before"), &b)
			if !bytes.Equal(got, append([]byte("before"), want...)) {
				t.Error("AppendDigests differs from HMAC-SHA256 one by one")
			}
		})
	}
}

func TestKeysAreApart(t *testing.T) {
	epoch := bytes.Repeat([]byte{7}, EpochKeySize)
	seen := map[[DigestSize]byte]string{}
	for _, kind := range []Kind{Phone, Email, EmailFolded} {
		for _, form := range []uint32{0, 1, 256} {
			k, err := NewKey(epoch, kind, form)
			if err != nil {
				t.Fatal(err)
			}
			d, name := k.Digest([]byte("+12025550100")), fmt.Sprint(kind, form)
			if other, ok := seen[d]; ok {
				t.Errorf("%s and %s agree", name, other)
			}
			seen[d] = name
		}
	}
}

func TestNewKeyRefuses(t *testing.T) {
	for _, c := range []struct {
		size int
		kind Kind
	}{{0, Phone}, {31, Phone}, {33, Phone}, {32, 0}, {32, 4}} {
		if _, err := NewKey(make([]byte, c.size), c.kind, 1); err == nil {
			t.Errorf("NewKey with %d bytes, %v: no error", c.size, c.kind)
		}
	}
}

func TestDestroy(t *testing.T) {
	k := testKey(t, Phone)
	k.Destroy()
	k.Destroy()
	var b Batch
	if err := b.AppendString("+12025550100"); err != nil {
		t.Fatal(err)
	}
	if got := k.AppendDigests([]byte("x"), &b); string(got) != "x" {
		t.Errorf("a destroyed key made %d bytes", len(got)-1)
	}
	if k.k.mac != (lanes.HMAC{}) {
		t.Error("key bytes survive Destroy")
	}
}

func TestRedacted(t *testing.T) {
	var b Batch
	if err := b.AppendString("canary@example.com"); err != nil {
		t.Fatal(err)
	}
	k := testKey(t, Phone)
	type holder struct {
		B  Batch
		P  *Batch
		K  Key
		KP *Key
	}
	h := holder{b, &b, *k, k}
	j, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{string(j)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		texts = append(texts, fmt.Sprintf(verb, h), fmt.Sprintf(verb, b), fmt.Sprintf(verb, k))
	}
	word := fmt.Sprint(k.k.mac)
	for _, s := range texts {
		if strings.Contains(s, "canary") || strings.Contains(s, "63616e617279") || strings.Contains(s, word) {
			t.Errorf("printed: %s", s)
		}
	}
}

func TestBatch(t *testing.T) {
	var b Batch
	fail := errors.New("no number")
	if err := b.AppendFunc(func(dst []byte) ([]byte, error) { return append(dst, "one"...), nil }); err != nil {
		t.Fatal(err)
	}
	if err := b.AppendFunc(func(dst []byte) ([]byte, error) { return append(dst, "half"...), fail }); err != fail {
		t.Errorf("AppendFunc returned %v, want f's own error", err)
	}
	if err := b.Commit(nil); err == nil {
		t.Error("Commit of a shorter buffer: no error")
	}
	big := strings.Repeat("x", 10000) // moves the arena inside AppendFunc
	if err := b.AppendFunc(func(dst []byte) ([]byte, error) { return append(dst, big...), nil }); err != nil {
		t.Fatal(err)
	}
	if err := b.AppendString(""); err != nil {
		t.Fatal(err)
	}
	if b.Len() != 3 || b.Bytes() != 3+len(big) {
		t.Errorf("Len, Bytes = %d, %d", b.Len(), b.Bytes())
	}
	k := testKey(t, Email)
	got := k.AppendDigests(nil, &b)
	for i, id := range []string{"one", big, ""} {
		if d := reference(t, Email, 1, []byte(id)); !bytes.Equal(got[i*DigestSize:][:DigestSize], d[:]) {
			t.Errorf("digest %d is wrong", i)
		}
	}
	data := b.data[:cap(b.data)]
	b.Reset()
	if b.Len() != 0 || len(bytes.Trim(data, "\x00")) != 0 {
		t.Error("Reset left identifiers behind")
	}
	if len(k.AppendDigests(nil, &b)) != 0 {
		t.Error("an empty batch has digests")
	}
}

// TestNoAllocation looks for allocations per identifier. A batch may have a few when
// the garbage collector, or at random the race detector, has emptied the pools.
func TestNoAllocation(t *testing.T) {
	var b Batch
	k := testKey(t, Phone)
	dst := make([]byte, 0, 4000*DigestSize)
	fill := func() {
		b.Reset()
		for range 4000 {
			buf := append(b.Buf(), "+12025550100"...)
			if err := b.Commit(buf); err != nil {
				t.Fatal(err)
			}
		}
		dst = k.AppendDigests(dst[:0], &b)
	}
	fill()
	if n := testing.AllocsPerRun(10, fill); n > 6 {
		t.Errorf("%v allocations per batch of 4000, want none", n)
	}
}

// TestBackends computes the same digests under every backend, and fails if the one
// that the environment names is not in use.
func TestBackends(t *testing.T) {
	auto := Backend()
	if want := os.Getenv(BackendEnv); want != "" && want != "auto" && auto != want {
		t.Fatalf("%s=%s, but %s is in use: %v", BackendEnv, want, auto, BackendErr())
	}
	t.Logf("chose %s of %v", auto, Backends())
	defer func() {
		if err := SetBackend(auto); err != nil {
			t.Error(err)
		}
	}()
	b, ids := book(t, 3000, true)
	k := testKey(t, Phone)
	var want []byte
	for _, id := range ids {
		d := k.Digest(id)
		want = append(want, d[:]...)
	}
	for _, name := range Backends() {
		if err := SetBackend(name); err != nil || Backend() != name {
			t.Errorf("SetBackend(%q): %v, in use is %s", name, err, Backend())
		}
		if !bytes.Equal(k.AppendDigests(nil, b), want) {
			t.Errorf("%s makes other digests", name)
		}
	}
	if err := SetBackend("no-such-backend"); err == nil || !strings.Contains(err.Error(), "no-such-backend") {
		t.Errorf("SetBackend of an unknown name: %v", err)
	}
}

func FuzzBatch(f *testing.F) {
	f.Add([]byte("+12025550100\nperson@example.com\n\n"))
	f.Add(bytes.Repeat([]byte("long"), 100))
	k := testKey(f, Email)
	f.Fuzz(func(t *testing.T, text []byte) {
		var b Batch
		var want []byte
		for id := range bytes.SplitSeq(text, []byte("\n")) {
			if err := b.Append(id); err != nil {
				t.Fatal(err)
			}
			d := k.Digest(id)
			want = append(want, d[:]...)
		}
		got := k.AppendDigests(nil, &b)
		if !bytes.Equal(got, want) {
			t.Fatal("a batch differs from its identifiers one by one")
		}
		set := SortDedupe(got)
		padded := Pad(set, text)
		if n := len(padded) / DigestSize; n < MinPadded || n&(n-1) != 0 {
			t.Fatalf("padded to %d", n)
		}
	})
}

func TestSortDedupe(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct{ n, spread int }{{0, 256}, {1, 256}, {2, 256}, {25, 256}, {1000, 256}, {30000, 256}, {1000, 2}, {500, 1}} {
		d := make([]byte, c.n*DigestSize)
		set := map[[DigestSize]byte]bool{}
		for i := range d {
			d[i] = byte(r.IntN(c.spread))
		}
		if c.n > 10 {
			copy(d, d[len(d)/2:]) // duplicates
		}
		for i := 0; i < len(d); i += DigestSize {
			set[[DigestSize]byte(d[i:])] = true
		}
		got := SortDedupe(d)
		if len(got) != len(set)*DigestSize {
			t.Errorf("n=%d spread=%d: %d digests, want %d", c.n, c.spread, len(got)/DigestSize, len(set))
		}
		for i := 0; i < len(got); i += DigestSize {
			if !set[[DigestSize]byte(got[i:])] {
				t.Fatalf("n=%d: digest %d was not in the input", c.n, i/DigestSize)
			}
			if i > 0 && bytes.Compare(got[i-DigestSize:i], got[i:i+DigestSize]) >= 0 {
				t.Fatalf("n=%d: not sorted at %d", c.n, i/DigestSize)
			}
		}
	}
}

func TestPad(t *testing.T) {
	key := bytes.Repeat([]byte{9}, 32)
	dummies := Pad(nil, key)
	if len(dummies) != MinPadded*DigestSize {
		t.Fatalf("the empty set pads to %d", len(dummies)/DigestSize)
	}
	m := hmac.New(sha256.New, key)
	m.Write([]byte{0, 0, 0, 0, 0, 0, 0, 3})
	if !bytes.Contains(dummies, m.Sum(nil)[:DigestSize]) {
		t.Error("dummy 3 is not HMAC(key, 3)")
	}
	many := Pad(make([]byte, 8193*DigestSize), key)
	for _, i := range []byte{0, 0x0f, 0x10, 0x1f} {
		m.Reset()
		m.Write([]byte{0, 0, 0, 0, 0, 0, i, 0xfe})
		if !bytes.Contains(many, m.Sum(nil)[:DigestSize]) {
			t.Errorf("dummy %d is not among 8191", int(i)<<8|0xfe)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct{ n, want int }{{1, 64}, {63, 64}, {64, 64}, {65, 128}, {1000, 1024}, {1025, 2048}} {
		set := make([]byte, c.n*DigestSize)
		for i := range set {
			set[i] = byte(r.Uint32())
		}
		set = SortDedupe(set)
		got := Pad(set, key)
		if len(got) != c.want*DigestSize {
			t.Errorf("%d pads to %d, want %d", c.n, len(got)/DigestSize, c.want)
		}
		if !bytes.Equal(got, SortDedupe(bytes.Clone(got))) {
			t.Errorf("%d: not sorted and unique", c.n)
		}
		have := map[[DigestSize]byte]bool{}
		for i := 0; i < len(got); i += DigestSize {
			have[[DigestSize]byte(got[i:])] = true
		}
		for i := 0; i < len(set); i += DigestSize {
			if !have[[DigestSize]byte(set[i:])] {
				t.Fatalf("%d: a digest was lost", c.n)
			}
		}
	}
}
