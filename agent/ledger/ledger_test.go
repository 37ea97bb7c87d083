package ledger_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/scruple-agent/scruple/agent/ledger"
)

// log is a ledger as its keeper sees it: the leaves' data, and the hashes that tlog stores.
type log struct {
	key    ed25519.PrivateKey
	leaves [][32]byte
	stored []tlog.Hash
}

func newLog(t testing.TB, seed byte, leaves ...[32]byte) *log {
	t.Helper()
	l := &log{key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32))}
	for _, d := range leaves {
		more, err := tlog.StoredHashesForRecordHash(int64(len(l.leaves)), tlog.RecordHash(d[:]), l)
		if err != nil {
			t.Fatal(err)
		}
		l.stored = append(l.stored, more...)
		l.leaves = append(l.leaves, d)
	}
	return l
}

func (l *log) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for _, i := range indexes {
		out = append(out, l.stored[i])
	}
	return out, nil
}

func (l *log) verifier(t testing.TB) string {
	t.Helper()
	key, err := ledger.Key(l.key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (l *log) checkpoint(t testing.TB, size int) (ledger.Checkpoint, []byte) {
	t.Helper()
	c := ledger.Checkpoint{Origin: ledger.Origin(l.key.Public().(ed25519.PublicKey)), Size: uint64(size), Root: sha256.Sum256(nil)}
	if size > 0 {
		h, err := tlog.TreeHash(int64(size), l)
		if err != nil {
			t.Fatal(err)
		}
		c.Root = h
	}
	b, err := c.Sign(l.key)
	if err != nil {
		t.Fatal(err)
	}
	return c, b
}

func (l *log) proof(t testing.TB, size, n int) ledger.Proof {
	t.Helper()
	path, err := tlog.ProveRecord(int64(size), int64(n), l)
	if err != nil {
		t.Fatal(err)
	}
	_, signed := l.checkpoint(t, size)
	p := ledger.Proof{Index: uint64(n), Checkpoint: signed}
	for _, h := range path {
		p.Path = append(p.Path, h)
	}
	return p
}

func (l *log) growth(t testing.TB, old, size int) ledger.Growth {
	t.Helper()
	_, signed := l.checkpoint(t, size)
	g := ledger.Growth{Old: uint64(old), Checkpoint: signed}
	if old > 0 {
		path, err := tlog.ProveTree(int64(size), int64(old), l)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range path {
			g.Path = append(g.Path, h)
		}
	}
	return g
}

func salted(n int) (salt [32]byte, record []byte, leaf [32]byte) {
	salt = sha256.Sum256(fmt.Appendf(nil, "salt %d", n))
	record = fmt.Appendf(nil, "record %d", n)
	return salt, record, ledger.LeafData(salt, record)
}

func leaves(n int) (out [][32]byte) {
	for i := range n {
		_, _, leaf := salted(i)
		out = append(out, leaf)
	}
	return out
}

// root is the tree head as RFC 6962, section 2.1, defines it, by recursion.
func root(leaves [][]byte) [32]byte {
	switch n := len(leaves); n {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return sha256.Sum256(append([]byte{0}, leaves[0]...))
	default:
		k := 1
		for k*2 < n {
			k *= 2
		}
		left, right := root(leaves[:k]), root(leaves[k:])
		return sha256.Sum256(slices.Concat([]byte{1}, left[:], right[:]))
	}
}

// The trees of the Certificate Transparency test data, from which every implementation starts: the recursion of the RFC, and tlog, give
// the published heads.
func TestPublishedTrees(t *testing.T) {
	inputs := []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}
	want := []string{
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
	var data [][]byte
	for n := range want {
		if got := root(data); hex.EncodeToString(got[:]) != want[n] {
			t.Errorf("%d leaves: %x, want %s", n, got, want[n])
		}
		if n < len(inputs) {
			b, _ := hex.DecodeString(inputs[n])
			data = append(data, b)
		}
	}
}

// A tree of three by hand: the head, and the path of each leaf.
func TestThreeLeavesByHand(t *testing.T) {
	l := newLog(t, 1, leaves(3)...)
	leaf := func(i int) [32]byte { return sha256.Sum256(append([]byte{0}, l.leaves[i][:]...)) }
	node := func(a, b [32]byte) [32]byte { return sha256.Sum256(slices.Concat([]byte{1}, a[:], b[:])) }
	a, b, c := leaf(0), leaf(1), leaf(2)
	head, _ := l.checkpoint(t, 3)
	if want := node(node(a, b), c); head.Root != want {
		t.Fatalf("head %x, want %x", head.Root, want)
	}
	for n, want := range [][][32]byte{{b, c}, {a, c}, {node(a, b)}} {
		if got := l.proof(t, 3, n).Path; !slices.Equal(got, want) {
			t.Errorf("record %d: path %x, want %x", n, got, want)
		}
	}
	if got, want := l.growth(t, 2, 3).Path, [][32]byte{c}; !slices.Equal(got, want) {
		t.Errorf("growth from 2 to 3: %x, want %x", got, want)
	}
}

// Every record of every tree up to 20 is proven, and every growth; nothing else is.
func TestAllSmallTrees(t *testing.T) {
	const most = 20
	l := newLog(t, 1, leaves(most)...)
	key := l.verifier(t)
	var data [][]byte
	for size := 1; size <= most; size++ {
		data = append(data, l.leaves[size-1][:])
		head, signed := l.checkpoint(t, size)
		if head.Root != root(data) {
			t.Fatalf("size %d: the head is not the RFC's", size)
		}
		if got, err := ledger.OpenCheckpoint(signed, key); err != nil || got != head {
			t.Fatalf("size %d: %+v, %v", size, got, err)
		}
		for n := range size {
			proof := l.proof(t, size, n).Encode()
			if c, at, err := ledger.VerifyInclusion(proof, l.leaves[n], key); err != nil || c != head || at != uint64(n) {
				t.Fatalf("record %d of %d: %v", n, size, err)
			}
			if _, _, err := ledger.VerifyInclusion(proof, l.leaves[(n+1)%most], key); !errors.Is(err, ledger.ErrProof) {
				t.Fatalf("record %d of %d: another record is proven: %v", n, size, err)
			}
		}
		for old := 0; old <= size; old++ {
			before, _ := l.checkpoint(t, old)
			growth := l.growth(t, old, size).Encode()
			if c, err := ledger.VerifyGrowth(growth, before, key); err != nil || c != head {
				t.Fatalf("from %d to %d: %v", old, size, err)
			}
			if old > 0 {
				before.Root[0] ^= 1
				if _, err := ledger.VerifyGrowth(growth, before, key); !errors.Is(err, ledger.ErrProof) {
					t.Fatalf("from %d to %d: another ledger grew: %v", old, size, err)
				}
			}
		}
	}
}

// A proof with salt and record needs nothing else. Without them it says nothing about the record.
func TestWhole(t *testing.T) {
	l := newLog(t, 1, leaves(5)...)
	salt, record, leaf := salted(3)
	p := l.proof(t, 5, 3)
	if _, _, _, err := ledger.VerifyWhole(p.Encode(), l.verifier(t)); !errors.Is(err, ledger.ErrProof) {
		t.Errorf("without a record: %v", err)
	}
	p.Extra = ledger.ExtraOf(salt, record)
	c, n, got, err := ledger.VerifyWhole(p.Encode(), l.verifier(t))
	if err != nil || n != 3 || c.Size != 5 || !bytes.Equal(got, record) {
		t.Errorf("%d of %d, %q, %v", n, c.Size, got, err)
	}
	if _, _, err := ledger.VerifyInclusion(p.Encode(), leaf, l.verifier(t)); err != nil {
		t.Error(err)
	}
	p.Extra[39] ^= 1
	if _, _, _, err := ledger.VerifyWhole(p.Encode(), l.verifier(t)); !errors.Is(err, ledger.ErrProof) {
		t.Errorf("another record: %v", err)
	}
}

// The name of a ledger says nothing and belongs to its key.
func TestOrigin(t *testing.T) {
	a, b := newLog(t, 1), newLog(t, 2)
	ca, signed := a.checkpoint(t, 0)
	if cb, _ := b.checkpoint(t, 0); ca.Origin == cb.Origin || len(ca.Origin) != len(ledger.OriginPrefix)+32 {
		t.Errorf("origins %q and %q", ca.Origin, cb.Origin)
	}
	if got := ledger.UnverifiedOrigin(signed); got != ca.Origin {
		t.Errorf("origin %q", got)
	}
	if _, err := ca.Sign(b.key); !errors.Is(err, ledger.ErrCheckpoint) {
		t.Errorf("signed with another ledger's key: %v", err)
	}
}

// One damage at a time to a checkpoint.
func TestDamagedCheckpoint(t *testing.T) {
	l, other := newLog(t, 1, leaves(7)...), newLog(t, 2, leaves(7)...)
	_, good := l.checkpoint(t, 7)
	_, theirs := other.checkpoint(t, 7)
	_, smaller := l.checkpoint(t, 6)
	line := func(n int, with string) func() []byte {
		return func() []byte {
			lines := strings.Split(string(good), "\n")
			lines[n] = with
			return []byte(strings.Join(lines, "\n"))
		}
	}
	// resigned signs a text as it is, layout or not.
	resigned := func(text string) func() []byte {
		return func() []byte {
			v, err := note.NewVerifier(l.verifier(t))
			if err != nil {
				t.Fatal(err)
			}
			b, err := note.Sign(&note.Note{Text: text}, rawSigner{v, l.key})
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
	}
	head, _ := l.checkpoint(t, 7)
	rootLine := base64.StdEncoding.EncodeToString(head.Root[:])
	for name, damage := range map[string]func() []byte{
		"empty":                      func() []byte { return nil },
		"no signature":               func() []byte { return []byte(head.Text()) },
		"another ledger's":           func() []byte { return theirs },
		"another ledger's signature": func() []byte { return slices.Concat([]byte(head.Text()+"\n"), lastLine(theirs)) },
		"an older signature":         func() []byte { return slices.Concat([]byte(head.Text()+"\n"), lastLine(smaller)) },
		"size changed":               line(1, "8"),
		"root changed":               line(2, strings.Repeat("A", 43)+"="),
		"origin changed":             line(0, ledger.OriginPrefix+strings.Repeat("0", 32)),
		"too long":                   func() []byte { return append(bytes.Clone(good), bytes.Repeat([]byte("— x y\n"), 4000)...) },
		"signed, another origin":     resigned("example.com/x\n7\n" + rootLine + "\n"),
		"signed, a leading zero":     resigned(head.Origin + "\n07\n" + rootLine + "\n"),
		"signed, a negative size":    resigned(head.Origin + "\n-7\n" + rootLine + "\n"),
		"signed, a huge size":        resigned(head.Origin + "\n9223372036854775808\n" + rootLine + "\n"),
		"signed, a short root":       resigned(head.Origin + "\n7\n" + rootLine[:40] + "\n"),
		"signed, an extension line":  resigned(head.Text() + "more\n"),
		"signed, no root":            resigned(head.Origin + "\n7\n"),
		"signed, empty with a root":  resigned(head.Origin + "\n0\n" + rootLine + "\n"),
		"signed, the layout of the Go checksum database": resigned(string(tlog.FormatTree(tlog.Tree{N: 7, Hash: head.Root}))),
	} {
		t.Run(name, func(t *testing.T) {
			if c, err := ledger.OpenCheckpoint(damage(), l.verifier(t)); !errors.Is(err, ledger.ErrCheckpoint) {
				t.Errorf("got %+v, %v", c, err)
			}
		})
	}
	if _, err := ledger.OpenCheckpoint(good, "no key"); !errors.Is(err, ledger.ErrCheckpoint) {
		t.Errorf("no key: %v", err)
	}
	// What a witness adds does not hurt.
	private, _, err := note.GenerateKey(rand.Reader, "witness.example")
	if err != nil {
		t.Fatal(err)
	}
	w, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	v, _ := note.NewVerifier(l.verifier(t))
	n, err := note.Open(good, note.VerifierList(v))
	if err != nil {
		t.Fatal(err)
	}
	witnessed, err := note.Sign(n, w)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.OpenCheckpoint(witnessed, l.verifier(t)); err != nil {
		t.Errorf("with a witness: %v", err)
	}
}

// rawSigner signs any text.
type rawSigner struct {
	note.Verifier
	key ed25519.PrivateKey
}

func (s rawSigner) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }

func lastLine(b []byte) []byte {
	lines := bytes.SplitAfter(b, []byte("\n"))
	return lines[len(lines)-2]
}

// One damage at a time to a proof.
func TestDamagedProof(t *testing.T) {
	l, other := newLog(t, 1, leaves(7)...), newLog(t, 2, leaves(7)...)
	fork := leaves(7)
	fork[6][0] ^= 1
	forked := newLog(t, 1, fork...)
	good := l.proof(t, 7, 2)
	with := func(change func(*ledger.Proof)) func() []byte {
		return func() []byte {
			p := good
			p.Path = slices.Clone(good.Path)
			change(&p)
			return p.Encode()
		}
	}
	text := func(old, fresh string) func() []byte {
		return func() []byte {
			b := good.Encode()
			if !bytes.Contains(b, []byte(old)) {
				t.Fatalf("no %q", old)
			}
			return bytes.Replace(b, []byte(old), []byte(fresh), 1)
		}
	}
	for name, damage := range map[string]func() []byte{
		"empty":                 func() []byte { return nil },
		"first line only":       func() []byte { return []byte("c2sp.org/tlog-proof@v1\n") },
		"no index":              func() []byte { return []byte("c2sp.org/tlog-proof@v1\n\n" + string(good.Checkpoint)) },
		"another version":       text("@v1", "@v2"),
		"a bare checkpoint":     func() []byte { return good.Checkpoint },
		"no checkpoint":         with(func(p *ledger.Proof) { p.Checkpoint = nil }),
		"another record":        with(func(p *ledger.Proof) { p.Index = 3 }),
		"a record not there":    with(func(p *ledger.Proof) { p.Index = 7 }),
		"a record beyond all":   with(func(p *ledger.Proof) { p.Index = 1 << 62 }),
		"a leading zero":        text("index 2", "index 02"),
		"a sign":                text("index 2", "index +2"),
		"carriage returns":      text("index 2\n", "index 2\r\n"),
		"extra without data":    text("index 2", "extra \nindex 2"),
		"extra twice":           text("index 2", "extra QQ==\nextra QQ==\nindex 2"),
		"extra loosely spelt":   text("index 2", "extra QR==\nindex 2"),
		"a hash changed":        with(func(p *ledger.Proof) { p.Path[1][5] ^= 1 }),
		"hashes exchanged":      with(func(p *ledger.Proof) { p.Path[0], p.Path[1] = p.Path[1], p.Path[0] }),
		"a hash left out":       with(func(p *ledger.Proof) { p.Path = p.Path[1:] }),
		"a hash too many":       with(func(p *ledger.Proof) { p.Path = append(p.Path, p.Path[0]) }),
		"no hashes":             with(func(p *ledger.Proof) { p.Path = nil }),
		"a thousand hashes":     with(func(p *ledger.Proof) { p.Path = slices.Repeat(p.Path, 400) }),
		"a short hash":          text("=\n", "\n"),
		"a checkpoint of less":  with(func(p *ledger.Proof) { _, p.Checkpoint = l.checkpoint(t, 6) }),
		"a checkpoint of two":   with(func(p *ledger.Proof) { _, p.Checkpoint = l.checkpoint(t, 2) }),
		"an empty checkpoint":   with(func(p *ledger.Proof) { _, p.Checkpoint = l.checkpoint(t, 0) }),
		"a forked checkpoint":   with(func(p *ledger.Proof) { _, p.Checkpoint = forked.checkpoint(t, 7) }),
		"another's checkpoint":  with(func(p *ledger.Proof) { _, p.Checkpoint = other.checkpoint(t, 7) }),
		"another's whole proof": func() []byte { return other.proof(t, 7, 2).Encode() },
		"bytes at the end":      func() []byte { return append(good.Encode(), "x\n"...) },
		"an end cut off":        func() []byte { b := good.Encode(); return b[:len(b)-2] },
		"larger than any":       with(func(p *ledger.Proof) { p.Extra = make([]byte, ledger.MaxProof) }),
	} {
		t.Run(name, func(t *testing.T) {
			c, n, err := ledger.VerifyInclusion(damage(), l.leaves[2], l.verifier(t))
			if !errors.Is(err, ledger.ErrProof) && !errors.Is(err, ledger.ErrCheckpoint) || c != (ledger.Checkpoint{}) || n != 0 {
				t.Errorf("got %+v, %d, %v", c, n, err)
			}
		})
	}
	if _, _, err := ledger.VerifyInclusion(good.Encode(), l.leaves[2], l.verifier(t)); err != nil {
		t.Errorf("the undamaged one: %v", err)
	}
}

// One damage at a time to a proof of growth.
func TestDamagedGrowth(t *testing.T) {
	l, other := newLog(t, 1, leaves(7)...), newLog(t, 2, leaves(7)...)
	fork := leaves(7)
	fork[1][0] ^= 1
	forked := newLog(t, 1, fork...)
	old, _ := l.checkpoint(t, 3)
	good := l.growth(t, 3, 7)
	with := func(change func(*ledger.Growth)) func() []byte {
		return func() []byte {
			g := good
			g.Path = slices.Clone(good.Path)
			change(&g)
			return g.Encode()
		}
	}
	for name, damage := range map[string]func() []byte{
		"empty":                 func() []byte { return nil },
		"no checkpoint":         with(func(g *ledger.Growth) { g.Checkpoint = nil }),
		"another beginning":     with(func(g *ledger.Growth) { g.Old = 4 }),
		"from nothing":          with(func(g *ledger.Growth) { g.Old, g.Path = 0, nil }),
		"a hash changed":        with(func(g *ledger.Growth) { g.Path[0][0] ^= 1 }),
		"a hash left out":       with(func(g *ledger.Growth) { g.Path = g.Path[1:] }),
		"a hash too many":       with(func(g *ledger.Growth) { g.Path = append(g.Path, g.Path[0]) }),
		"hashes exchanged":      with(func(g *ledger.Growth) { g.Path[0], g.Path[1] = g.Path[1], g.Path[0] }),
		"it became smaller":     with(func(g *ledger.Growth) { _, g.Checkpoint = l.checkpoint(t, 2) }),
		"a forked ledger":       func() []byte { return forked.growth(t, 3, 7).Encode() },
		"another ledger":        func() []byte { return other.growth(t, 3, 7).Encode() },
		"a proof of a record":   func() []byte { return l.proof(t, 7, 2).Encode() },
		"a leading zero":        func() []byte { return bytes.Replace(good.Encode(), []byte("old 3"), []byte("old 03"), 1) },
		"the end cut off":       func() []byte { b := good.Encode(); return b[:len(b)-9] },
		"the same, rewritten":   func() []byte { return forked.growth(t, 3, 3).Encode() },
		"twice as many hashes":  with(func(g *ledger.Growth) { g.Path = slices.Repeat(g.Path, 2) }),
		"more than any ledger":  with(func(g *ledger.Growth) { g.Path = slices.Repeat(g.Path, 40) }),
		"beginning in the past": with(func(g *ledger.Growth) { g.Old = 1 << 63 }),
	} {
		t.Run(name, func(t *testing.T) {
			c, err := ledger.VerifyGrowth(damage(), old, l.verifier(t))
			if !errors.Is(err, ledger.ErrProof) && !errors.Is(err, ledger.ErrCheckpoint) || c != (ledger.Checkpoint{}) {
				t.Errorf("got %+v, %v", c, err)
			}
		})
	}
}

func FuzzProof(f *testing.F) {
	l := newLog(f, 1, leaves(6)...)
	salt, record, _ := salted(4)
	p := l.proof(f, 6, 4)
	f.Add(p.Encode())
	f.Add(p.Checkpoint)
	p.Extra = ledger.ExtraOf(salt, record)
	f.Add(p.Encode())
	f.Add(l.growth(f, 3, 6).Encode())
	f.Add([]byte("old 0\n\n"))
	key := l.verifier(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		ledger.UnverifiedOrigin(b)
		if p, err := ledger.ParseProof(b); err == nil && !bytes.Equal(p.Encode(), b) {
			t.Error("a second spelling of a proof")
		}
		if g, err := ledger.ParseGrowth(b); err == nil && !bytes.Equal(g.Encode(), b) {
			t.Error("a second spelling of a proof of growth")
		}
		if _, n, got, err := ledger.VerifyWhole(b, key); err == nil && (n != 4 || !bytes.Equal(got, record)) {
			t.Error("proves what is not there")
		}
		if c, err := ledger.OpenCheckpoint(b, key); err == nil && c.Size != 6 {
			t.Error("a forged checkpoint")
		}
	})
}

func ExampleVerifyWhole() {
	l := newLog(&testing.T{}, 1, leaves(2)...)
	salt, record, _ := salted(1)
	p := l.proof(&testing.T{}, 2, 1)
	p.Extra = ledger.ExtraOf(salt, record)
	file := p.Encode() // what the person keeps

	c, n, got, err := ledger.VerifyWhole(file, l.verifier(&testing.T{}))
	fmt.Printf("%q is record %d of %d, %v\n", got, n, c.Size, err)
	// Output: "record 1" is record 1 of 2, <nil>
}
