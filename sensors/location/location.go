// Package location reads positions from a gpsd (JSON protocol, gpsd_json(5)), from a serial receiver that speaks
// NMEA 0183, or from GeoClue 2 over D-Bus. A position is raw: package minimise turns it into a cell. The permit a
// Source is opened with is a use session's, which ends by itself; with it every connection ends, within
// milliseconds and whatever the other end does. While it holds, a connection that breaks is made again, ever more
// rarely.
//
// Callers want Open. Parse and NMEA read bytes and need no permit.
//
// It leaves out whether a position may be told, and how finely: each source is asked for the exact position or
// for nothing. GeoClue's own question to the person is no consent gate here, and answers for coarse positions only
// make it look for one on the network.
package location

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/sensors"
)

// Fix is one position. It redacts itself.
type Fix struct {
	sensors.Raw
	Time     time.Time // of the position, by the receiver's clock: only good for order
	Lat, Lon float64   // degrees, WGS 84
	Accuracy float64   // metres, horizontal, about 95 %; 0 where unknown
}

// placed reports whether the coordinates are on the map; not-a-number is not.
func (f Fix) placed() bool {
	return f.Lat >= -90 && f.Lat <= 90 && f.Lon >= -180 && f.Lon <= 180
}

var (
	// ErrProtocol says that the other end does not talk as it should.
	ErrProtocol = errors.New("the source of positions talks nonsense")
	// ErrSilent says that the other end said nothing for longer than Silence, or did not answer in time.
	ErrSilent = errors.New("the source of positions is silent")
)

const (
	// Silence is how long a gpsd or a receiver may say nothing before the connection is made again; a receiver
	// reports every second.
	Silence = 15 * time.Second
	// Every is the shortest time between two fixes that Read returns. The smallest cell of any policy is 140 metres
	// wide; nobody needs more than this to notice that it was left.
	Every = 5 * time.Second

	// A connection is made again after firstWait, then after twice as long, up to longestWait, until it brings a
	// report. The last is sized so that a session of half an hour with a dead gpsd costs some 30 attempts.
	firstWait   = time.Second
	longestWait = time.Minute

	// maxNonsense is how many reports in a row may be unreadable before the connection is given up: a serial line
	// starts in the middle of a sentence, a receiver's boot message is a screenful.
	maxNonsense = 64
	// answerDeadline is how long anything may take to answer: a connection, a call, a greeting.
	answerDeadline = 5 * time.Second
)

// Sources says where positions may come from. What is empty or false is not tried.
type Sources struct {
	GPSD    string // address of a gpsd, "127.0.0.1:2947"
	Serial  string // device of a receiver, "/dev/ttyACM0", or with its speed "/dev/ttyS1,9600"; Linux only
	GeoClue bool   // the GeoClue 2 of the system bus; Linux and BSD
}

// feed is one connection to a source.
type feed interface {
	// next waits for the next report. The kind says what it is; a Position has its fix. The error says that the connection
	// is of no more use. It returns as soon as ctx ends.
	next(ctx context.Context) (Fix, Kind, error)
	// close ends the connection, politely where that is quick.
	close()
}

// opener makes a connection, which ends with ctx at the latest. Its error matches sensors.ErrAbsent where the source is not
// there.
type opener func(ctx context.Context) (feed, error)

// Kind is what a report turned out to be.
type Kind int

// The kinds of reports.
const (
	Nonsense Kind = iota // no report of the protocol
	NoFix                // a report without a usable position
	Position             // a usable position
)

// Source reads fixes while its permit holds. Read may be called by one goroutine at a time.
type Source struct {
	permit consent.Permit
	name   string
	open   opener
	every  time.Duration
	fixes  chan Fix
	cancel context.CancelFunc
	ended  chan struct{} // closed when the last connection is

	mu      sync.Mutex
	problem error
}

// Open takes the first source that is there, in the order gpsd, serial receiver, GeoClue: the last may ask the network. It
// returns sensors.ErrAbsent where none is. ctx is for opening only; the Source lives until Close or until the
// permit ends.
func Open(ctx context.Context, p consent.Permit, from Sources) (*Source, error) {
	return open(ctx, p, from.openers(), Every)
}

// named is an opener with the word for its source that status shows.
type named struct {
	name string
	open opener
}

func (from Sources) openers() (all []named) {
	if from.GPSD != "" {
		all = append(all, named{"gpsd", gpsd(from.GPSD)})
	}
	if from.Serial != "" {
		all = append(all, named{"serial receiver", serial(from.Serial)})
	}
	if from.GeoClue {
		all = append(all, named{"GeoClue", geoclue("")})
	}
	return all
}

func open(ctx context.Context, p consent.Permit, sources []named, every time.Duration) (*Source, error) {
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("open location: %w", err)
	}
	life, cancel := context.WithCancel(context.Background())
	go func() { // the session's end is the end of everything, also of opening
		select {
		case <-p.Done():
			cancel()
		case <-life.Done():
		}
	}()
	opening, stop := context.WithCancel(life) // ends with ctx while opening, and with life ever after
	defer context.AfterFunc(ctx, stop)()

	var problem error
	for _, source := range sources {
		connection, err := source.open(opening)
		if err == nil {
			s := &Source{
				permit: p, name: source.name, open: source.open, every: every, fixes: make(chan Fix),
				cancel: cancel, ended: make(chan struct{}),
			}
			go s.run(life, connection)
			return s, nil
		}
		if opening.Err() != nil {
			problem = first(p.Check(), ctx.Err(), err)
			break
		}
		if problem == nil && !errors.Is(err, sensors.ErrAbsent) {
			problem = fmt.Errorf("%s: %w", source.name, err)
		}
	}
	cancel()
	if problem == nil {
		problem = sensors.Absent("a source of positions")
	}
	return nil, fmt.Errorf("open location: %w", problem)
}

// first returns the first error that is one.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Name returns which source it is: "gpsd", "serial receiver" or "GeoClue".
func (s *Source) Name() string { return s.name }

// Problem returns what is wrong with the source at the moment, for status; nil while reports come. It matches
// sensors.ErrAbsent, ErrSilent or ErrProtocol, and never holds a position.
func (s *Source) Problem() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.problem
}

func (s *Source) setProblem(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problem = err
}

// Close ends the connection and returns when it is closed, which takes a second at most.
func (s *Source) Close() error {
	s.cancel()
	<-s.ended
	return nil
}

// Read returns the next fix of a later time than the one before, at most one in Every. It waits for as long as the
// permit holds, while a connection that broke is made again: Problem then says what is wrong. It fails when the permit or the
// context ends.
func (s *Source) Read(ctx context.Context) (Fix, error) {
	if err := s.permit.Check(); err != nil {
		return Fix{}, fmt.Errorf("read location: %w", err)
	}
	select {
	case fix := <-s.fixes:
		if err := s.permit.Check(); err != nil {
			return Fix{}, fmt.Errorf("read location: %w", err)
		}
		return fix, nil
	case <-ctx.Done():
		return Fix{}, fmt.Errorf("read location: %w", ctx.Err())
	case <-s.ended:
	}
	return Fix{}, fmt.Errorf("read location: %w", first(s.permit.Check(), context.Canceled))
}

// run follows one connection after the other until the permit ends or the source is closed.
func (s *Source) run(ctx context.Context, connection feed) {
	defer close(s.ended)
	defer s.cancel()
	var times epochs
	wait := firstWait
	for {
		healthy, err := s.follow(ctx, connection, &times)
		connection.close()
		if healthy {
			wait = firstWait
		}
		for {
			if ctx.Err() != nil || s.permit.Check() != nil {
				return
			}
			s.setProblem(fmt.Errorf("%s: %w", s.name, err))
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait + rand.N(wait/4)):
			}
			wait = min(2*wait, longestWait)
			if s.permit.Check() != nil {
				return
			}
			if connection, err = s.open(ctx); err == nil {
				break
			}
		}
	}
}

// follow passes on fixes until the connection is of no more use. It says whether there was any report at all.
func (s *Source) follow(ctx context.Context, connection feed, times *epochs) (healthy bool, err error) {
	nonsense := 0
	for nonsense < maxNonsense {
		if err := s.permit.Check(); err != nil {
			return healthy, err
		}
		fix, kind, err := connection.next(ctx)
		if err != nil {
			return healthy, err
		}
		if kind == Nonsense || kind == Position && !fix.placed() {
			nonsense++
			continue
		}
		nonsense = 0
		if !healthy {
			healthy = true
			s.setProblem(nil)
		}
		if kind == NoFix || !times.accept(fix.Time, time.Now(), s.every) {
			continue
		}
		select {
		case s.fixes <- fix:
		case <-ctx.Done():
			return healthy, ctx.Err()
		}
	}
	return healthy, ErrProtocol
}

// epochs lets each epoch of a receiver pass once, in order, and not too often.
type epochs struct {
	last    time.Time // receiver's time of the last one that was in order
	passed  time.Time // our time of the last one that passed
	refused time.Time // receiver's time of the last one that went back
	rising  int       // how many of those there were in a row, each later than the one before
}

// rebase is how many epochs in a row may go back before they are believed: then it was the time before them that was
// wrong, as it is in receivers that have just started.
const rebase = 16

// accept reports whether a fix of time t that arrived at now is to be used.
func (e *epochs) accept(t, now time.Time, every time.Duration) bool {
	switch {
	case t.Equal(e.last):
		return false
	case t.Before(e.last):
		if t.Equal(e.refused) {
			return false
		}
		if t.After(e.refused) {
			e.rising++
		} else {
			e.rising = 1
		}
		e.refused = t
		if e.rising < rebase {
			return false
		}
	}
	e.last, e.refused, e.rising = t, time.Time{}, 0
	if !e.passed.IsZero() && now.Sub(e.passed) < every {
		return false
	}
	e.passed = now
	return true
}
