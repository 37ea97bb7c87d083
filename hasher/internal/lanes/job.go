package lanes

import (
	"runtime"
	"sync"
	"sync/atomic"
)

const (
	// chunk is how many messages a worker takes at a time. Assembly cannot be
	// pre-empted: a chunk takes some 30 us on the fastest kernel, 70 on the slowest.
	chunk = 1024
	// maxBlocks bounds a call for long messages in the same way, per lane.
	maxBlocks = 256
	// minShare is the least number of messages that is worth waking a core for.
	minShare = 4096

	maxLanes = 16
	maxShort = 15 // longest message of the kernels that fold constant words
	maxOne   = 55 // longest message that fits one block with its padding
	overread = 64 // bytes from its start on that a kernel may read of a message
)

// job is one call's work, shared by its workers. Jobs are reused, so that a call
// allocates nothing.
type job struct {
	be   *backend
	h    *HMAC
	size int // bytes per result: Size for HMAC, 32 for SHA-256
	dst  []byte
	data []byte
	offs []uint32

	next atomic.Int64 // first message that no worker has taken
	wg   sync.WaitGroup
	work func() // bound once: a go statement with it allocates nothing
}

var jobs = sync.Pool{New: func() any {
	j := new(job)
	j.work = func() {
		defer j.wg.Done()
		j.run()
	}
	return j
}}

func (h *HMAC) sum(be *backend, size int, dst, data []byte, offs []uint32) {
	n := len(offs) - 1
	if n <= 0 {
		return
	}
	j := jobs.Get().(*job)
	j.be, j.h, j.size = be, h, size
	j.dst, j.data, j.offs = dst[:n*size], data[:offs[n]], offs
	j.next.Store(0)
	for range min(n/minShare, runtime.GOMAXPROCS(0)) - 1 {
		j.wg.Add(1)
		go j.work()
	}
	j.run()
	j.wg.Wait()
	j.h, j.dst, j.data, j.offs = nil, nil, nil, nil
	jobs.Put(j)
}

func (j *job) run() {
	n := len(j.offs) - 1
	if j.be.lanes == 0 {
		e := engines.Get().(*engine)
		defer e.release()
		e.key(j.h)
		for lo := j.take(); lo < n; lo = j.take() {
			e.sums(j, lo, min(lo+chunk, n))
		}
		return
	}
	w := workers.Get().(*worker)
	defer w.release()
	for lo := j.take(); lo < n; lo = j.take() {
		w.chunk(j, lo, min(lo+chunk, n))
	}
}

func (j *job) take() int { return int(j.next.Add(chunk)) - chunk }

func (j *job) key() *[16]uint32 {
	if j.be.ni {
		return &j.h.ni
	}
	return &j.h.states
}

// worker is what one goroutine needs for kernels. It is on the heap because
// kernels are called through pointers, which escape analysis cannot follow.
type worker struct {
	short, one, long list

	// For messages of several blocks:
	states       states
	inner, outer states // what all lanes begin with
	at           [maxLanes]*byte
	lane         [maxLanes]lane
}

var workers = sync.Pool{New: func() any { return new(worker) }}

func (w *worker) release() { workers.Put(w) }

// chunk sorts messages lo to hi-1 by class and gives each class to its kernel.
func (w *worker) chunk(j *job, lo, hi int) {
	be := j.be
	// Kernels that read past a message must not leave the arena: what begins too
	// close to its end goes the way of long messages, which copies.
	safe := hi
	if be.overread {
		for safe > lo && int(j.offs[safe-1])+overread > cap(j.data) {
			safe--
		}
	}
	k, shortest := be.hmac, uint32(maxShort+1)
	if j.size != Size {
		k = be.sum
	}
	if k.short == nil {
		shortest = 0
	}
	shorts, ones, longs := w.classify(be, j.offs[lo:safe+1], shortest)
	for m := safe; m < hi; m++ {
		w.long[longs] = uint32(m - lo)
		longs++
	}
	full := shorts / be.lanes
	if full > 0 {
		w.call(j, k.short, lo, &w.short, full)
	}
	for _, m := range w.short[full*be.lanes : shorts] {
		w.one[ones] = m // the rest fits the general kernel too
		ones++
	}
	if ones > 0 {
		for i := range be.lanes - 1 {
			w.one[ones+i] = w.one[ones-1] // fill the last group: same result, same place
		}
		w.call(j, k.one, lo, &w.one, (ones+be.lanes-1)/be.lanes)
	}
	if longs > 0 {
		w.longMessages(j, lo, w.long[:longs])
	}
}

// list holds numbers of messages of a chunk. The room behind a chunk is for what
// sorting stores before it knows better; a power of two needs no bounds checks.
type list = [2 * chunk]uint32

// classify sorts the messages between offs into the lists: shorter than shortest,
// of one block, and longer; and returns how many each has.
func (w *worker) classify(be *backend, offs []uint32, shortest uint32) (shorts, ones, longs int) {
	n := len(offs) - 1
	done := 0
	if be.classify != nil && n >= 16 {
		done = n &^ 15
		shorts, ones, longs = be.classify(&offs[0], done/16, shortest, &w.short[0], &w.one[0], &w.long[0])
	}
	start := offs[done]
	for i, end := range offs[done+1:] {
		n, m := end-start, uint32(done+i)
		start = end
		if n > maxOne { // seldom, so predicted
			w.long[longs&(len(w.long)-1)] = m
			longs++
			continue
		}
		// Short or not is as good as random, and a branch would be mispredicted every
		// other time: store always, count by the sign of the difference.
		isShort := (n - shortest) >> 31
		w.short[shorts&(len(w.short)-1)] = m
		w.one[ones&(len(w.one)-1)] = m
		shorts += int(isShort)
		ones += int(1 - isShort)
	}
	return shorts, ones, longs
}

// call runs a kernel on messages of the chunk that begins with message lo.
func (w *worker) call(j *job, k kernel, lo int, idx *list, groups int) {
	var data *byte
	if cap(j.data) > 0 {
		data = &j.data[:1][0]
	}
	k(j.key(), data, &j.offs[lo], &idx[0], groups, &j.dst[lo*j.size])
}
