package lanes

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Env is the environment variable that names the backend to use.
const Env = "SCRUPLE_HASHER_BACKEND"

// kernel computes groups of messages of one block. The messages of a group are
// the next ones whose numbers are at idx; each result goes to its own place in
// out.
type kernel func(key *[16]uint32, data *byte, offs, idx *uint32, groups int, out *byte)

// kernels are for messages up to maxShort, if there is one, and up to maxOne.
type kernels struct{ short, one kernel }

// backend is a way to compute. Without lanes it is the portable one.
type backend struct {
	name  string
	lanes int // messages per group

	hmac, sum kernels // HMAC and SHA-256 of messages of one block
	blocks    func(states *uint32, blocks **byte, n int)
	// classify sorts by class, 16 messages per group; may be missing.
	classify func(offs *uint32, groups int, shortest uint32, short, one, long *uint32) (shorts, ones, longs int)

	ni       bool // key states in the order of the x86 SHA extensions
	byWord   bool // blocks has its states word by word, not lane by lane
	overread bool // reads 64 bytes from the start of a message whatever its length
}

// stateOf says where lane l's state is in what blocks takes: its first word and the
// way to the next.
func (be *backend) stateOf(l int) (at, step int) {
	if be.byWord {
		return l, be.lanes
	}
	return 8 * l, 1
}

var portable = backend{name: "portable"}

var current struct {
	sync.Mutex
	atomic.Pointer[backend]
	envErr error
}

// use returns the backend in use, and chooses it on first use.
func use() *backend {
	if be := current.Load(); be != nil {
		return be
	}
	current.Lock()
	defer current.Unlock()
	if be := current.Load(); be != nil {
		return be
	}
	be := (*backend)(nil)
	if name := os.Getenv(Env); name != "" && name != "auto" {
		be, current.envErr = find(name)
		if current.envErr != nil {
			current.envErr = fmt.Errorf("%s: %w", Env, current.envErr)
		}
	}
	if be == nil {
		be = fastest()
	}
	current.Store(be)
	return be
}

// available lists the backends that this CPU can run, the preferred one first.
func available() []*backend { return append(supported(), &portable) }

func find(name string) (*backend, error) {
	for _, be := range available() {
		if be.name == name {
			return be, nil
		}
	}
	if slices.Contains(known, name) {
		return nil, fmt.Errorf("backend %q: this CPU or build cannot run it; it can run %s", name, strings.Join(Backends(), ", "))
	}
	return nil, fmt.Errorf("backend %q is unknown; this CPU can run %s", name, strings.Join(Backends(), ", "))
}

// known names the backends of all architectures.
var known = []string{"shani4", "shani2", "avx512x16", "avx2x8", "sha2x4", "sha2x2", "portable"}

// Backend returns the name of the backend in use.
func Backend() string { return use().name }

// Backends returns the names of the backends that this CPU can run.
func Backends() []string {
	var names []string
	for _, be := range available() {
		names = append(names, be.name)
	}
	return names
}

// SetBackend forces a backend; "auto" chooses by timing.
func SetBackend(name string) error {
	be := (*backend)(nil)
	if name == "auto" {
		be = fastest()
	} else {
		var err error
		if be, err = find(name); err != nil {
			return err
		}
	}
	current.Store(be)
	return nil
}

// EnvErr tells why the backend that Env names is not in use.
func EnvErr() error {
	use()
	current.Lock()
	defer current.Unlock()
	return current.envErr
}

// fastest times the supported backends on a small batch, in turns, and takes each
// one's best: a busy machine disturbs some rounds, seldom all. Which width wins
// differs between CPUs that have the same instructions, so a table would be
// guessing. It takes about a millisecond.
func fastest() *backend {
	list := supported()
	if len(list) == 0 {
		return &portable
	}
	const messages, rounds = 384, 16
	data := make([]byte, 0, messages*32+overread)
	offs := []uint32{0}
	for i := range uint64(messages) {
		data = binary.BigEndian.AppendUint64(data, i)
		data = append(data, "a usual e-mail address"[:4+16*(i&1)]...)
		offs = append(offs, uint32(len(data)))
	}
	dst := make([]byte, messages*Size)
	took := make([]time.Duration, len(list))
	for round := range rounds {
		for i, be := range list {
			start := time.Now()
			plain.sum(be, Size, dst, data, offs)
			if d := time.Since(start); round == 0 || d < took[i] {
				took[i] = d
			}
		}
	}
	best := 0
	for i := range list {
		// A later one must win clearly: the order is by experience.
		if took[i] < took[best]-took[best]/8 {
			best = i
		}
	}
	return list[best]
}
