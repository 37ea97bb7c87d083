package pedometer

import (
	"math"
	"math/bits"
)

// The numbers below were chosen on recordings of walks and of hands at work. Each lies in the middle of a range in which
// the result hardly changes, also when a recording is made stronger, weaker, faster, slower, noisier, or cut;
// choosing them without a walker hardly changes the result for that one. bench/steps_evaluate prints the result.
const (
	blockLen = 16 // samples, 0.64 s
	window   = 9  // blocks, 5.8 s: what one block's rhythm is taken from
	around   = window / 2

	// Lags of the autocorrelation, in samples. A step takes at least minLag (3.1 steps a second), a stride at
	// most maxLag. Lags below minLag are there to recognise shaking.
	firstLag, minLag, maxLag = 4, 8, 46
	lags                     = maxLag + 2 - firstLag

	levelHalf = 12 // samples to either side over which the amplitude is levelled out, 0.5 s

	minPower  = 0.25 * unit // mean power's root that is movement at all
	minShare  = 0.2         // of the surroundings' mean, else it is a pause
	minStart  = 0.6         // autocorrelation that begins a walk
	minHold   = 0.25        // and that goes on with it
	startLen  = 4           // blocks in a row that begin a walk: 2.6 s, and what they look at is longer
	blurLen   = 8           // blocks without rhythm that are bridged, 5 s
	sameness  = 0.2         // by how much the period may change from one block to the next
	firstPeak = 0.85        // of the highest: the first peak this high is the period
	halfShows = -0.25       // of the period's own: autocorrelation at its half from where it is a stride's
	minHalf   = 9.5         // samples; no step is half of a shorter stride
	floor     = 0.2 * unit  // amplitude that is not levelled out any more

	// Slow steps are judged over slowAround blocks to either side, 12 s in all.
	slowAround  = 9
	slowDuty    = 0.45       // at most: the share of the time above the average
	slowQuiet   = 0.2 * unit // half of the time it is more than this,
	slowBusy    = 0.6 * unit // and less than this
	slowLeast   = 7.0 / 300  // steps per sample
	slowPause   = 3 * Rate   // samples without a step
	strike      = 0.8 * unit // height of a heel strike
	strikeHalf  = 7          // samples to either side over which it is the highest
	ringLen     = 64         // blocks that are remembered, a power of two
	settledLate = 24         // blocks after which a block is counted, 15 s
)

// block is 0.64 s of signal.
type block struct {
	real    int32   // samples that were measured; the others are the silence after the end
	power   float32 // root of the mean
	corr    float32 // autocorrelation at the period
	period  float32 // of a step, in samples
	counted float32 // the period it is counted with, 0 for none
	strikes uint16  // a bit a sample
	above   uint8   // samples above the average
	quiet   uint8   // samples nearer to it than slowQuiet
	calm    uint8   // samples nearer to it than slowBusy
	active  bool
	sure    bool
}

// rhythm counts steps in the band-limited signal.
type rhythm struct {
	total float64

	// Levelling. What is taken on lies levelHalf behind the newest.
	n    int // samples
	end  int // samples that were measured, 0 while they still come
	raw  [32]int32
	sum  int64 // of the amplitudes that the level is taken from
	have int64 // and their number

	// The block being filled, after as much as its strikes and its autocorrelation look back.
	fill, real int
	d          [2*strikeHalf + blockLen]int32
	y          [maxLag + 2 + blockLen]int32

	corr   [window][lags]int32 // of each block
	sums   [lags]int64         // of all of them
	square int64               // running sum of y*y
	sq     [256]int64          // its values by sample

	ring                    [ringLen]block
	blocks, judged, settled int // how many

	walk walk
}

// walk is the walk that is being followed.
type walk struct {
	run  int // blocks in a row with a rhythm that can begin one
	on   bool
	left int // blocks of blur that are still bridged
	t    float32
}

func (r *rhythm) at(k int) *block { return &r.ring[k&(ringLen-1)] }

// next takes the next sample and reports whether the total may have changed.
func (r *rhythm) next(d int32) bool {
	was := r.raw[(r.n-2*levelHalf-1)&31]
	r.sum += int64(max(d, -d)) - int64(max(was, -was))
	r.raw[r.n&31] = d
	r.n++
	if r.end == 0 {
		r.have = min(r.have+1, 2*levelHalf+1)
	} else {
		r.have = max(r.have-1, 1)
	}
	if r.n <= levelHalf {
		return false
	}
	d = r.raw[(r.n-1-levelHalf)&31]
	if r.end == 0 || r.n <= r.end+levelHalf {
		r.real++
	}
	v, have := float64(d), float64(r.have)
	y := int32(4096 * v * have / ((math.Abs(v)+floor)*have + float64(r.sum))) // v / (|v| + level + floor)
	r.d[2*strikeHalf+r.fill] = d
	r.y[maxLag+2+r.fill] = y
	r.square += int64(y) * int64(y)
	r.sq[(r.n-levelHalf)&255] = r.square
	if r.fill++; r.fill < blockLen {
		return false
	}
	r.closeBlock()
	return true
}

// flush counts what waits and begins anew.
func (r *rhythm) flush() bool {
	r.end = r.n
	for r.n < r.end+levelHalf || r.fill > 0 {
		r.next(0)
	}
	last := r.blocks
	for r.judged < last {
		for range blockLen {
			r.next(0)
		}
	}
	for r.settled < last {
		r.settle()
	}
	*r = rhythm{total: r.total}
	return true
}

// closeBlock takes in the block that is full.
func (r *rhythm) closeBlock() {
	b := r.at(r.blocks)
	*b = block{real: int32(r.real)}
	var power float64
	for _, d := range r.d[strikeHalf : strikeHalf+blockLen] {
		power += float64(d) * float64(d)
		a := max(d, -d)
		if d > 0 {
			b.above++
		}
		if a <= slowQuiet {
			b.quiet++
		}
		if a <= slowBusy {
			b.calm++
		}
	}
	b.power = float32(math.Sqrt(power / blockLen))
	b.strikes = r.strikes()
	r.correlate()
	r.blocks++
	r.fill, r.real = 0, 0
	copy(r.d[:], r.d[blockLen:])
	copy(r.y[:], r.y[blockLen:])
	if r.blocks > around {
		r.judge()
	}
	if r.blocks > settledLate {
		r.settle()
	}
}

// strikes finds what stands up like a heel strike.
func (r *rhythm) strikes() (found uint16) {
	for i := range blockLen {
		at := i + strikeHalf
		d := r.d[at]
		if d <= r.d[at-1] || d < r.d[at+1] {
			continue
		}
		lowest, highest := d, true
		for j := i; j <= i+2*strikeHalf; j++ {
			v := r.d[j]
			if v > d || v == d && j < at {
				highest = false
				break
			}
			lowest = min(lowest, v)
		}
		if highest && d-lowest > strike {
			found |= 1 << i
		}
	}
	return found
}

// correlate adds the autocorrelation of the block to the sums, and takes the oldest off. Every other sample is
// enough, since the signal is much slower than they are.
func (r *rhythm) correlate() {
	c := &r.corr[r.blocks%window]
	for j, v := range c {
		r.sums[j] -= int64(v)
	}
	*c = [lags]int32{}
	const some = 4 // samples at a time, each two after the other
	for i := 0; i < blockLen; i += 2 * some {
		now := r.y[maxLag+2+i:][: 2*some : 2*some]
		v0, v1, v2, v3 := now[0], now[2], now[4], now[6]
		past := (*[lags + 2*(some-1)]int32)(r.y[i+1:]) // of the first sample, from lag maxLag+1 to firstLag
		for j := range lags {
			c[j] += v0*past[j] + v1*past[j+2] + v2*past[j+4] + v3*past[j+6]
		}
	}
	for j, v := range c {
		r.sums[j] += int64(v)
	}
}

// judge finds out the rhythm of the newest block whose surroundings are known, and what it means for the walk.
func (r *rhythm) judge() {
	b := r.at(r.judged)
	b.corr, b.period = r.period()
	var mean float32
	first := max(0, r.judged-around)
	for k := first; k < r.blocks; k++ {
		mean += r.at(k).power
	}
	mean /= float32(r.blocks - first)
	b.active = b.power >= minPower && b.power >= minShare*mean && b.real > 0
	r.follow(b)
	r.judged++
}

// period returns the period of a step in samples, and the height of the autocorrelation that tells it.
func (r *rhythm) period() (height, period float32) {
	end := r.blocks * blockLen
	sq := func(i int) int64 { return r.sq[i&255] }
	here := sq(end) - sq(end-window*blockLen)
	var c [lags]float32 // by lag - firstLag
	for j := range c {
		lag := firstLag + j
		both := here + sq(end-lag) - sq(end-window*blockLen-lag)
		c[j] = float32(4*r.sums[lags-1-j]) / float32(both+1)
	}
	isPeak := func(j int) bool { return c[j] >= c[j-1] && c[j] >= c[j+1] }
	var best float32
	for j := 1; j < lags-1; j++ {
		if isPeak(j) {
			best = max(best, c[j])
		}
	}
	j := 1
	for j < lags-1 && !(isPeak(j) && c[j] >= firstPeak*best) {
		j++
	}
	if best <= 0 || j == lags-1 || firstLag+j < minLag {
		return 0, 0 // nothing, or faster than anybody walks
	}
	height, period = c[j], float32(firstLag+j)
	if bend := c[j-1] - 2*c[j] + c[j+1]; bend < 0 {
		period += (c[j-1] - c[j+1]) / (2 * bend)
	}
	half := period / 2
	if half < minHalf {
		return height, period
	}
	shown := float32(-1)
	for lag := int(half * 0.94); lag <= int(half*1.06)+1; lag++ {
		shown = max(shown, c[lag-firstLag])
	}
	if shown > halfShows*height {
		return height, half
	}
	return height, period
}

func same(t, u float32) bool { return math.Abs(float64(t/u-1)) < sameness }

// follow begins, goes on with, or ends the walk at block b, which is the one being judged.
func (r *rhythm) follow(b *block) {
	w := &r.walk
	switch {
	case b.corr < minStart || !b.active:
		w.run = 0
	case w.run > 0 && same(b.period, r.at(r.judged-1).period):
		w.run++
	default:
		w.run = 1
	}
	if w.run >= startLen {
		for k := r.judged; k > r.judged-w.run && !r.at(k).sure; k-- {
			r.at(k).sure, r.at(k).counted = true, r.at(k).period
		}
		if w.run == startLen {
			r.backwards(r.judged - w.run)
		}
		w.on, w.left, w.t = true, blurLen, b.period
		return
	}
	w.on = w.on && b.active && w.left > 0
	if w.on {
		w.bridge(b)
	}
}

// bridge counts a block that is sure of nothing as part of the walk.
func (w *walk) bridge(b *block) {
	if b.corr >= minHold && same(b.period, w.t) {
		w.t = b.period
		b.counted = b.period
		return
	}
	w.left--
	if b.counted == 0 {
		b.counted = w.t
	}
}

// backwards gives the walk that has begun at block k+1 the blocks before.
func (r *rhythm) backwards(k int) {
	w := walk{left: blurLen, t: r.at(k + 1).period}
	for ; k >= r.settled && w.left > 0; k-- {
		b := r.at(k)
		if b.sure || !b.active {
			return
		}
		w.bridge(b)
	}
}

// settle counts the oldest block.
func (r *rhythm) settle() {
	b := r.at(r.settled)
	switch {
	case b.counted > 0:
		r.total += float64(b.real) / float64(b.counted)
	case b.strikes != 0 && b.real > 0 && r.slow(r.settled):
		r.total += float64(bits.OnesCount16(b.strikes))
	}
	r.settled++
}

// slow tells whether block k lies among slow steps.
func (r *rhythm) slow(k int) bool {
	first, last := max(0, k-slowAround), min(r.blocks-1, k+slowAround)
	var samples, above, quiet, calm, strikes, pause, longest int
	for ; first <= last; first++ {
		b := r.at(first)
		if b.real == 0 {
			break
		}
		samples += blockLen
		above += int(b.above)
		quiet += int(b.quiet)
		calm += int(b.calm)
		strikes += bits.OnesCount16(b.strikes)
		if b.strikes == 0 {
			pause += blockLen
			continue
		}
		longest = max(longest, pause+bits.TrailingZeros16(b.strikes))
		pause = bits.LeadingZeros16(b.strikes)
	}
	longest = max(longest, pause)
	return float64(above) <= slowDuty*float64(samples) && 2*quiet <= samples && 2*calm >= samples &&
		float64(strikes) >= slowLeast*float64(samples) && longest <= slowPause
}
