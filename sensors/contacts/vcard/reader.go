package vcard

import (
	"bytes"
	"fmt"
	"io"

	"golang.org/x/text/encoding"
)

const (
	// MaxLine is the length in bytes that a TEL or EMAIL property may have,
	// unfolded, before decoding. Real ones stay below 300; some carry an image
	// or a certificate by mistake.
	MaxLine = 16 << 10

	// blockSize is the size of the block that is scanned. It is read anew over
	// and over and stays in a second-level cache.
	blockSize = 128 << 10
)

// Reader finds the TEL and EMAIL values of an address book. It is not safe for
// use by several goroutines.
type Reader struct {
	src  io.Reader
	err  error  // what src ended with: nil while it has more
	buf  []byte // what is scanned: block, or the caller's bytes
	pos  int    // start of the physical line to be looked at
	end  int    // end of what was read
	lf   int    // a line feed at or after pos, end if there is none; unknown if below pos
	cr   bool   // buf may hold carriage returns
	calm int    // lines to pass singly before the next try at a stride

	line int // number of the physical line at pos, from 1
	card struct {
		open    bool
		pending bool // an AGENT without a value was the last property
		agents  int  // how many AGENT cards are open
	}
	done  bool // the end was met and judged
	any   bool // the input was not empty
	stats Stats

	block []byte        // own memory of blockSize bytes
	word  []byte        // an unfolded property
	text  []byte        // the value that was found last
	get   func() []byte // returns it
	val   struct {
		line int
		kind Kind
	}
	win      window    // what quick has seen
	plain    heads     // parameters that do not matter
	odd      [3]uint64 // the last that did
	out      [2][]byte
	decoders [charsets]*encoding.Decoder
}

// NewReader returns a Reader over r.
func NewReader(r io.Reader) *Reader {
	v := new(Reader)
	v.Reset(r)
	return v
}

// Reset starts over with r. Memory is kept.
func (r *Reader) Reset(src io.Reader) {
	if r.block == nil {
		r.block = make([]byte, blockSize)
	}
	r.reset()
	r.src, r.buf = src, r.block
	r.start()
}

// ResetBytes starts over with b, which is scanned in place, never written to,
// and must stay as it is until the Reader is done with it.
func (r *Reader) ResetBytes(b []byte) {
	if wide(b) {
		r.Reset(bytes.NewReader(b))
		return
	}
	r.reset()
	r.src, r.buf, r.end, r.err = nil, b, len(b), io.EOF
	r.cr = bytes.IndexByte(b, '\r') >= 0
	r.any = len(b) > 0
}

func (r *Reader) reset() {
	if r.get == nil {
		r.get = func() []byte { return r.text }
	}
	r.err, r.pos, r.end, r.lf, r.cr, r.calm, r.line = nil, 0, 0, -1, false, 0, 1
	r.card.open, r.card.pending, r.card.agents = false, false, 0
	r.win.resume = -1
	r.done, r.any, r.stats, r.text = false, false, Stats{}, nil
}

// Stats returns the counts so far; they are complete once Next has returned io.EOF.
func (r *Reader) Stats() Stats {
	s := r.stats
	s.Lines = r.line - 1
	return s
}

// start reads the first block and finds out about UTF-16.
func (r *Reader) start() {
	r.fill()
	b := r.buf[:r.end]
	r.any = len(b) > 0
	switch {
	case wide32(b):
		r.stats.skip(Skip{Place{Line: 1}, Charset})
		r.any, r.pos, r.err = false, r.end, io.EOF
	case wide(b):
		r.src = newUTF16(r.src, b, r.err)
		r.pos, r.end, r.err, r.lf = 0, 0, nil, -1
		r.fill()
	}
}

// fill moves what is left to the front of the block and reads until the block
// is full or the source ends. It tells whether anything came.
func (r *Reader) fill() bool {
	if r.err != nil {
		return false
	}
	n := copy(r.buf, r.buf[r.pos:r.end])
	r.win.resume = -1
	r.pos, r.end, r.lf = 0, n, -1
	idle := 0
	for r.end < len(r.buf) && r.err == nil {
		m, err := r.src.Read(r.buf[r.end:])
		if m < 0 || m > len(r.buf)-r.end {
			err, m = fmt.Errorf("reader returned a wrong count"), 0
		}
		r.end += m
		r.err = err
		if m > 0 {
			idle = 0
		} else if idle++; idle == 100 && r.err == nil {
			r.err = io.ErrNoProgress
		}
	}
	r.cr = bytes.IndexByte(r.buf[:r.end], '\r') >= 0
	return r.end > n
}

// physical finds the physical line at pos: its text, and where the next begins.
// A break is LF, or a run of CR with or without an LF, so that CR CR LF, which
// a file gets when it is copied twice in text mode, is one break. The byte
// after the break is in the buffer unless the input ends there.
//
// whole is false if the line does not fit the block; text is then its head and
// next the end of the block.
func (r *Reader) physical() (text []byte, next int, whole bool) {
	for {
		if r.lf < r.pos {
			if k := bytes.IndexByte(r.buf[r.pos:r.end], '\n'); k >= 0 {
				r.lf = r.pos + k
			} else {
				r.lf = r.end
			}
		}
		stop := r.lf
		next = stop + 1
		if r.cr {
			if k := bytes.IndexByte(r.buf[r.pos:stop], '\r'); k >= 0 {
				k += r.pos
				next = k + 1
				for next < r.end && r.buf[next] == '\r' {
					next++
				}
				if next < r.end && r.buf[next] == '\n' {
					next++
				}
				stop = k
			}
		}
		if next < r.end || r.err != nil {
			return r.buf[r.pos:stop], min(next, r.end), true
		}
		if !r.fill() && r.err == nil {
			return r.buf[r.pos:stop], r.end, false
		}
	}
}

// pass goes on to the line that begins at next.
func (r *Reader) pass(text []byte, next int) {
	r.line++
	if r.cr {
		// A run of CR without an LF is as many breaks as there are.
		if brk := r.buf[r.pos+len(text) : next]; len(brk) > 1 && brk[len(brk)-1] == '\r' {
			r.line += len(brk) - 1
		}
	}
	r.pos = next
}

// discard passes the rest of a physical line that does not fit the block, and
// returns its last bytes that are not blanks.
func (r *Reader) discard() (last byte) {
	for {
		text, next, whole := r.physical()
		if c := lastByte(text); c != 0 {
			last = c
		}
		if whole {
			r.pass(text, next)
			return last
		}
		if len(text) == 0 { // the block is full of carriage returns
			r.line += r.end - r.pos
			r.pos = r.end
			return last
		}
		r.pos += len(text)
	}
}

// lastByte returns the last byte of text that is not a blank, or 0.
func lastByte(text []byte) byte {
	for i := len(text) - 1; i >= 0; i-- {
		if c := text[i]; c != ' ' && c != '\t' {
			return c
		}
	}
	return 0
}

// more tells whether there is a byte at pos.
func (r *Reader) more() bool { return r.pos < r.end || r.fill() }

// blank tells whether c begins a line that continues the one before.
func blank(c byte) bool { return c == ' ' || c == '\t' }
