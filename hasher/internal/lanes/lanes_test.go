package lanes

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"testing"
)

// TestMain runs everything under the backend that the environment names, and
// fails if that is not the one in use.
func TestMain(m *testing.M) {
	if want := os.Getenv(Env); want != "" && want != "auto" && Backend() != want {
		fmt.Fprintf(os.Stderr, "FAIL: %s=%s, but %s is in use: %v\n", Env, want, Backend(), EnvErr())
		os.Exit(1)
	}
	fmt.Printf("backend %s of %v on %s\n", Backend(), Backends(), runtime.GOARCH)
	os.Exit(m.Run())
}

// each runs a test under every backend of this CPU, and names those it has not.
func each(t *testing.T, f func(t *testing.T, be *backend)) {
	for _, be := range available() {
		t.Run(be.name, func(t *testing.T) { f(t, be) })
	}
}

// pack makes an arena with exactly slack spare bytes behind it.
func pack(messages [][]byte, slack int) (data []byte, offs []uint32) {
	data = bytes.Join(messages, nil)
	data = append(make([]byte, 0, len(data)+slack), data...)
	offs = []uint32{0}
	n := uint32(0)
	for _, m := range messages {
		n += uint32(len(m))
		offs = append(offs, n)
	}
	return data, offs
}

// check compares both results of every message with the standard library's.
func check(t *testing.T, be *backend, key []byte, messages [][]byte, slack int) {
	t.Helper()
	data, offs := pack(messages, slack)
	before := bytes.Clone(data)
	var h HMAC
	h.Init(key)
	const guard = 8
	macs := bytes.Repeat([]byte{0xee}, len(messages)*Size+guard)
	sums := bytes.Repeat([]byte{0xee}, len(messages)*sha256.Size+guard)
	h.sum(be, Size, macs, data, offs)
	plain.sum(be, sha256.Size, sums, data, offs)
	mac := hmac.New(sha256.New, key)
	for i, m := range messages {
		mac.Reset()
		mac.Write(m)
		if want, got := mac.Sum(nil)[:Size], macs[i*Size:][:Size]; !bytes.Equal(got, want) {
			t.Fatalf("HMAC of message %d of %d (%d bytes, slack %d) = %x, want %x", i, len(messages), len(m), slack, got, want)
		}
		if want, got := sha256.Sum256(m), sums[i*sha256.Size:][:sha256.Size]; !bytes.Equal(got, want[:]) {
			t.Fatalf("SHA-256 of message %d of %d (%d bytes, slack %d) = %x, want %x", i, len(messages), len(m), slack, got, want)
		}
	}
	for _, b := range append(macs[len(macs)-guard:], sums[len(sums)-guard:]...) {
		if b != 0xee {
			t.Fatal("wrote behind the results")
		}
	}
	if !bytes.Equal(data, before) {
		t.Fatal("changed the messages")
	}
}

func random(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestEveryLength(t *testing.T) {
	each(t, func(t *testing.T, be *backend) {
		r := rand.New(rand.NewPCG(1, 1))
		var all [][]byte
		for n := range 301 {
			m := random(r, n)
			all = append(all, m)
			check(t, be, []byte("key"), [][]byte{m}, n%130) // alone
			same := make([][]byte, 2*maxLanes)              // in every lane
			for i := range same {
				same[i] = m
			}
			check(t, be, []byte("key"), same, overread)
		}
		check(t, be, []byte("key"), all, 0)
		check(t, be, []byte("key"), all, overread)
	})
}

func TestMixes(t *testing.T) {
	each(t, func(t *testing.T, be *backend) {
		r := rand.New(rand.NewPCG(2, 2))
		lengths := []func() int{
			func() int { return r.IntN(16) },
			func() int { return r.IntN(56) },
			func() int { return r.IntN(300) },
			func() int { return 10 + 50*r.IntN(2) },
			func() int { return 0 },
			func() int { return 12 + r.IntN(5)*r.IntN(80) },
		}
		for n := range 60 {
			for _, length := range lengths {
				messages := make([][]byte, n)
				for i := range messages {
					messages[i] = random(r, length())
				}
				check(t, be, random(r, r.IntN(100)), messages, r.IntN(100))
			}
		}
	})
}

// TestChunks crosses the borders between chunks and between workers.
func TestChunks(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	each(t, func(t *testing.T, be *backend) {
		r := rand.New(rand.NewPCG(3, 3))
		for _, n := range []int{chunk - 1, chunk, chunk + 1, 2*minShare + 17, 3 * minShare} {
			messages := make([][]byte, n)
			for i := range messages {
				messages[i] = random(r, 5+r.IntN(12)*r.IntN(8))
			}
			check(t, be, []byte("key"), messages, overread)
		}
	})
}

func TestLongMessages(t *testing.T) {
	each(t, func(t *testing.T, be *backend) {
		r := rand.New(rand.NewPCG(4, 4))
		check(t, be, []byte("key"), [][]byte{
			random(r, 64*maxBlocks+1), random(r, 3), random(r, 200), random(r, 64*maxBlocks*2),
			random(r, 56), random(r, 64), random(r, 119), random(r, 120), random(r, 100000),
		}, 0)
	})
}

// TestNothingBehindTheArena ends the arena with its allocation.
func TestNothingBehindTheArena(t *testing.T) {
	each(t, func(t *testing.T, be *backend) {
		for n := range 200 {
			data := bytes.Repeat([]byte{'x'}, n)
			check(t, be, []byte("key"), [][]byte{nil, data, nil, nil}, 0)
		}
	})
}

func TestNoMessages(t *testing.T) {
	each(t, func(t *testing.T, be *backend) {
		var h HMAC
		h.Init(nil)
		h.sum(be, Size, nil, nil, nil)
		h.sum(be, Size, nil, nil, []uint32{0})
		check(t, be, nil, [][]byte{nil}, 0)
	})
}

// TestHMACVectors has the cases of RFC 4231 (the fifth is about truncation and has
// 16 bytes only).
func TestHMACVectors(t *testing.T) {
	rep := func(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n) }
	var key4 []byte
	for i := range 25 {
		key4 = append(key4, byte(i+1))
	}
	vectors := []struct {
		key, msg []byte
		want     string
	}{
		{rep(0x0b, 20), []byte("Hi There"), "b0344c61d8db38535ca8afceaf0bf12b"},
		{[]byte("Jefe"), []byte("what do ya want for nothing?"), "5bdcc146bf60754e6a042426089575c7"},
		{rep(0xaa, 20), rep(0xdd, 50), "773ea91e36800e46854db8ebd09181a7"},
		{key4, rep(0xcd, 50), "82558a389a443c0ea4cc819899f2083a"},
		{rep(0x0c, 20), []byte("Test With Truncation"), "a3b6167473100ee06e0c796c2955552b"},
		{rep(0xaa, 131), []byte("Test Using Larger Than Block-Size Key - Hash Key First"), "60e431591ee0b67f0d8a26aacbf5b77f"},
		{
			rep(0xaa, 131),
			[]byte("This is a test using a larger than block-size key and a larger than block-size data. " +
				"The key needs to be hashed before being used by the HMAC algorithm."),
			"9b09ffa71b942fcb27635fbcd5b0e944",
		},
	}
	each(t, func(t *testing.T, be *backend) {
		for i, v := range vectors {
			var h HMAC
			h.Init(v.key)
			data, offs := pack([][]byte{v.msg, []byte("another"), v.msg}, overread)
			dst := make([]byte, 3*Size)
			h.sum(be, Size, dst, data, offs)
			if hex.EncodeToString(dst[:Size]) != v.want || hex.EncodeToString(dst[2*Size:]) != v.want {
				t.Errorf("case %d: %x, want %s", i+1, dst[:Size], v.want)
			}
			var one [Size]byte
			h.SumOne(&one, v.msg)
			if hex.EncodeToString(one[:]) != v.want {
				t.Errorf("case %d alone: %x, want %s", i+1, one, v.want)
			}
		}
	})
}

// TestShortVectors has messages of NIST's SHA256ShortMsg.rsp and of FIPS 180-2.
func TestShortVectors(t *testing.T) {
	vectors := []struct{ msg, want string }{
		{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"d3", "28969cdfa74a12c82f3bad960b0b000aca2ac329deea5c2328ebc6f2ba9802c1"},
		{"11af", "5ca7133fa735326081558ac312c620eeca9970d1e70a4b95533d956f072d1f98"},
		{"b4190e", "dff2e73091f6c05e528896c4c831b9448653dc2ff043528f6769437bc7b975c2"},
		{"74ba2521", "b16aa56be3880d18cd41e68384cf1ec8c17680c45a02b1575dc1518923ae8b0e"},
		{"c299209682", "f0887fe961c9cd3beab957e8222494abb969b1ce4c6557976df8b0f6d20e9166"},
		{"e1dc724d5621", "eca0a060b489636225b4fa64d267dabbe44273067ac679f20820bddc6b6a90ac"},
		{"06e076f5a442d5", "3fd877e27450e6bbd5d74bb82f9870c64c66e109418baa8e6bbcff355e287926"},
		{"5738c929c4f4ccb6", "963bb88f27f512777aab6c8b1a02c70ec0ad651d428f870036e1917120fb48bf"},
		{"616263", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{
			hex.EncodeToString([]byte("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
			"248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
		},
	}
	each(t, func(t *testing.T, be *backend) {
		var messages [][]byte
		for _, v := range vectors {
			m, err := hex.DecodeString(v.msg)
			if err != nil {
				t.Fatal(err)
			}
			messages = append(messages, m)
		}
		data, offs := pack(messages, overread)
		dst := make([]byte, len(messages)*sha256.Size)
		plain.sum(be, sha256.Size, dst, data, offs)
		for i, v := range vectors {
			if got := hex.EncodeToString(dst[i*sha256.Size:][:sha256.Size]); got != v.want {
				t.Errorf("%s: %s, want %s", v.msg, got, v.want)
			}
		}
	})
}

func TestSetBackend(t *testing.T) {
	before := Backend()
	defer func() {
		if err := SetBackend(before); err != nil {
			t.Error(err)
		}
	}()
	for _, name := range Backends() {
		if err := SetBackend(name); err != nil || Backend() != name {
			t.Errorf("SetBackend(%q): %v, in use is %s", name, err, Backend())
		}
		if !slices.Contains(known, name) {
			t.Errorf("%s is not among the known names", name)
		}
	}
	for _, name := range append([]string{"", "fastest"}, known...) {
		if slices.Contains(Backends(), name) {
			continue
		}
		if SetBackend(name) == nil {
			t.Errorf("SetBackend(%q): no error", name)
		}
	}
	if err := SetBackend("auto"); err != nil || !slices.Contains(Backends(), Backend()) {
		t.Errorf("auto chose %s: %v", Backend(), err)
	}
}

// TestNoAllocation looks for allocations per message. A call may have a few when the
// garbage collector, or at random the race detector, has emptied the pools.
func TestNoAllocation(t *testing.T) {
	messages := make([][]byte, 3*minShare)
	for i := range messages {
		messages[i] = bytes.Repeat([]byte{byte(i)}, 10+i%60)
	}
	data, offs := pack(messages, overread)
	dst := make([]byte, len(messages)*Size)
	var h HMAC
	h.Init([]byte("key"))
	each(t, func(t *testing.T, be *backend) {
		if n := testing.AllocsPerRun(20, func() { h.sum(be, Size, dst, data, offs) }); n > 6 {
			t.Errorf("%v allocations per call of %d messages, want none", n, len(messages))
		}
	})
}

func TestWipe(t *testing.T) {
	var h HMAC
	h.Init([]byte("key"))
	if h == (HMAC{}) {
		t.Fatal("Init left no key")
	}
	h.Wipe()
	if h != (HMAC{}) {
		t.Error("key bytes survive Wipe")
	}
}

func FuzzLanes(f *testing.F) {
	f.Add([]byte("key"), []byte("+12025550100+12025550101person@example.com"), []byte{12, 12, 18}, uint8(0))
	f.Add([]byte{}, []byte{}, []byte{0, 0, 0, 0, 0}, uint8(64))
	f.Add(bytes.Repeat([]byte{1}, 65), bytes.Repeat([]byte("long"), 200), []byte{55, 56, 119, 120, 255, 3}, uint8(7))
	f.Fuzz(func(t *testing.T, key, data, lengths []byte, slack uint8) {
		var messages [][]byte
		for _, n := range lengths {
			n := min(int(n), len(data))
			messages = append(messages, data[:n])
			data = data[n:]
		}
		messages = append(messages, data)
		for _, be := range available() {
			check(t, be, key, messages, int(slack))
		}
	})
}
