package pedometer

// band keeps what lies between about 0.6 and 3 Hz, the difference of two averages: each is a box of 4 or 16 samples
// applied three times over, which is close to a bell curve and has no ringing.
//
// A box applied three times is three running sums and a difference of four of the last one's values, so both share the
// sums. They overflow, and it does not matter: differences of unsigned numbers come out right, and nothing drifts
// in a month.
type band struct {
	begun      bool
	base       int64 // the first sample; what is filtered is the difference from it
	a, b, c    uint64
	n          int
	past       [64]uint64 // values of c
	slow       int64      // the long average
	unfinished int        // outputs that belong before the first sample
}

const (
	unit = 10_000 // of our integers: 1 m/s2
	// maxSample bounds a sample, 50 g, so that the averages fit.
	maxSample = 500 * unit
	// bandDelay is by how many samples the output is behind: half the length of the long average.
	bandDelay = 22
)

// next takes a sample in m/s2 and returns one of bandDelay samples before, in units, if there is one.
func (f *band) next(m float64) (int32, bool) {
	x := int64(min(m*unit, maxSample))
	if !f.begun {
		f.begun, f.base, f.unfinished = true, x, bandDelay
	}
	d := f.put(x - f.base)
	if f.unfinished > 0 {
		f.unfinished--
		return 0, false
	}
	return d, true
}

// hold goes on as if the acceleration stayed at its average.
func (f *band) hold() int32 { return f.put(f.slow) }

func (f *band) put(x int64) int32 {
	f.a += uint64(x)
	f.b += f.a
	f.c += f.b
	n := f.n
	f.past[n&63] = f.c
	f.n = n + 1
	at := func(back int) uint64 { return f.past[(n-back)&63] }
	slow := int64(at(0) - at(48) + 3*(at(32)-at(16)))
	fast := int64(at(18) - at(30) + 3*(at(26)-at(22)))
	f.slow = slow / (16 * 16 * 16)
	return int32((fast*64 - slow) / (16 * 16 * 16))
}
