package receiver

import (
	"bytes"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/scruple-agent/scruple/uploader/wire"
)

// Faults makes a receiver misbehave, so that what talks to it is right elsewhere. The zero value is ready and does nothing.
// It may be used while the receiver serves.
type Faults struct {
	mu      sync.Mutex
	pending []*Fault
	seen    map[string]int
}

// Fault is one way to misbehave. On and Times say for which requests; the other fields say how, and go together
// where that makes sense (Delay with everything; LoseAck, CutAnswer and Garbage exclude each other).
type Fault struct {
	// On is the beginning of "METHOD /path", as "PUT /v1/batches/"; empty is every request.
	On string
	// Times is to how many matching requests it applies; 0 is one, negative is all until Clear.
	Times int

	// Delay passes before anything else is done with the request.
	Delay time.Duration
	// Problem refuses with this problem, without looking at the request.
	Problem wire.ProblemType
	// Status answers with this status and a plain text, without looking at the request. With Problem it replaces
	// the problem's own status.
	Status int
	// RetryAfter is sent with Problem or Status, in whole seconds.
	RetryAfter time.Duration
	// CutRequest drops the connection when half of the request's body has been read; nothing is done.
	CutRequest bool
	// CutAnswer does what was asked and drops the connection in the middle of the answer's body.
	CutAnswer bool
	// LoseAck does what was asked, to the commit, and drops the connection without a byte of an answer.
	LoseAck bool
	// Garbage does nothing and answers 200 with bytes that are no receipt.
	Garbage bool
	// Forge does nothing and answers 200 with these bytes: a receipt of another's, for example.
	Forge []byte
	// Silent reads the request, does nothing, and never answers; it ends when the client goes or the server closes.
	Silent bool
}

// Next adds faults; each request takes the first that matches it.
func (f *Faults) Next(faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fault := range faults {
		if fault.Times == 0 {
			fault.Times = 1
		}
		f.pending = append(f.pending, &fault)
	}
}

// Clear takes all faults away.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending = nil
}

// Left returns how many faults have not been used up.
func (f *Faults) Left() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.pending)
}

// Seen returns how many requests came whose "METHOD /path" begins with on, faulty answers included.
func (f *Faults) Seen(on string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for line, times := range f.seen {
		if strings.HasPrefix(line, on) {
			n += times
		}
	}
	return n
}

// take counts a request and returns the fault that applies to it, or the zero Fault.
func (f *Faults) take(r *http.Request) Fault {
	line := r.Method + " " + r.URL.Path
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen == nil {
		f.seen = map[string]int{}
	}
	f.seen[line]++
	for i, fault := range f.pending {
		if !strings.HasPrefix(line, fault.On) {
			continue
		}
		taken := *fault
		if fault.Times > 0 {
			if fault.Times--; fault.Times == 0 {
				f.pending = append(f.pending[:i], f.pending[i+1:]...)
			}
		}
		return taken
	}
	return Fault{}
}

// garbage is no receipt, no problem, and no text.
var garbage = bytes.Repeat([]byte("\x00\xff\x1b<html>"), 100)

// serve answers through next, or wrongly. panic(http.ErrAbortHandler) drops the connection (HTTP/2: the stream).
func (f *Faults) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	fault := f.take(r)
	if fault.Delay > 0 {
		select {
		case <-time.After(fault.Delay):
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	switch {
	case fault.Silent:
		_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, wire.MaxBody))
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case fault.CutRequest:
		_, _ = io.CopyN(io.Discard, r.Body, max(r.ContentLength, 0)/2)
		panic(http.ErrAbortHandler)
	case fault.Problem != "" || fault.Status != 0:
		fault.refuse(w)
	case fault.Garbage:
		_, _ = w.Write(garbage)
	case fault.Forge != nil:
		_, _ = w.Write(fault.Forge)
	case fault.LoseAck:
		next.ServeHTTP(&recorder{header: http.Header{}}, r)
		panic(http.ErrAbortHandler)
	case fault.CutAnswer:
		rec := &recorder{header: w.Header()}
		next.ServeHTTP(rec, r)
		w.Header().Set("Content-Length", strconv.Itoa(rec.body.Len()))
		w.WriteHeader(max(rec.status, http.StatusOK))
		_, _ = w.Write(rec.body.Bytes()[:rec.body.Len()/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	default:
		next.ServeHTTP(w, r)
	}
}

func (fault Fault) refuse(w http.ResponseWriter) {
	if fault.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(fault.RetryAfter.Seconds()))))
	}
	if fault.Problem == "" {
		http.Error(w, http.StatusText(fault.Status), fault.Status)
		return
	}
	p := problem(&Refusal{Kind: fault.Problem, Detail: "a fault for tests"})
	if fault.Status != 0 {
		p.Status = fault.Status
	}
	writeProblem(w, p)
}

// recorder takes an answer that will not be sent as it is.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (rec *recorder) Header() http.Header         { return rec.header }
func (rec *recorder) WriteHeader(status int)      { rec.status = status }
func (rec *recorder) Write(b []byte) (int, error) { return rec.body.Write(b) }
