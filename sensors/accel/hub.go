package accel

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/sensors"
	"github.com/scruple-agent/scruple/sensors/internal/iio"
)

const (
	// Rate is how many samples a second are asked for: enough for steps, and for whether a device lies still.
	Rate = 25
	// answer is how long a device may take to be set up, or to give one sample; the kernel itself waits 20 s.
	answer = 3 * time.Second
	// silence is how long a device that was set up may deliver nothing.
	silence = 5 * time.Second
	// parting is how long the end of a capture is waited for. A device that takes longer is stopped all the same.
	parting = 150 * time.Millisecond
	// again is how long a device that cannot be used is left alone, unless the kernel says that something changed, and
	// longest is how far that grows.
	again, longest = 30 * time.Second, 10 * time.Minute
)

// Hub shares the one buffer that an accelerometer has between everybody who has a permit. The device runs only while somebody
// follows it.
type Hub struct {
	sys fs.FS
	dev sensors.Streams

	mu      sync.Mutex
	feeds   map[*Feed]struct{}
	running bool
	paused  chan struct{} // not nil while the device must be off; closed when it is
	kick    chan struct{} // feeds came or went
	closing chan struct{} // closed when the capture before is at its end; of run
}

// NewHub returns a hub for the devices below sys (the folder /sys, with a method WriteFile if devices can be set up)
// and dev (/dev); either may be nil. It opens nothing.
func NewHub(sys fs.FS, dev sensors.Streams) *Hub {
	return &Hub{sys: sys, dev: dev, feeds: map[*Feed]struct{}{}, kick: make(chan struct{}, 1)}
}

// StopLeftOver switches off a device that an earlier process left running because it was killed. It reads nothing. It is
// for the time before anybody follows, and waits a second at most.
func (h *Hub) StopLeftOver() {
	if h.sys == nil {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		iio.StopLeftOver(h.sys, h.dev)
	}()
	select {
	case <-done:
	case <-time.After(time.Second):
	}
}

// Feed hands the samples of a hub to one follower until Close or the end of its permit.
type Feed struct {
	hub     *Hub
	permit  consent.Permit
	every   time.Duration
	gravity bool
	take    func([]Sample)
	ended   chan struct{}
	changed chan struct{} // problem was set
	tried   chan struct{} // closed when the device has been set up, or could not be

	mu      sync.Mutex
	problem error
	once    sync.Once
}

// Follow hands every sample to take, about once in every, on another goroutine; take keeps none. Feed.Problem says
// what is wrong meanwhile: a device that is not there, or goes away, is waited for. gravity says that a gravity
// sensor, which does not feel the device's own movement, will do where there is no accelerometer.
func (h *Hub) Follow(p consent.Permit, every time.Duration, gravity bool, take func([]Sample)) (*Feed, error) {
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("follow accelerometer: %w", err)
	}
	f := &Feed{
		hub: h, permit: p, every: every, gravity: gravity, take: take, ended: make(chan struct{}), changed: make(chan struct{}, 1),
		tried: make(chan struct{}),
	}
	h.mu.Lock()
	h.feeds[f] = struct{}{}
	if !h.running {
		h.running = true
		go h.run()
	}
	h.mu.Unlock()
	h.wake()
	go func() {
		select {
		case <-p.Done():
			f.Close()
		case <-f.ended:
		}
	}()
	return f, nil
}

func (h *Hub) wake() {
	select {
	case h.kick <- struct{}{}:
	default:
	}
}

// Close ends the feed. The device is stopped when it was the last.
func (f *Feed) Close() {
	f.hub.mu.Lock()
	_, open := f.hub.feeds[f]
	delete(f.hub.feeds, f)
	f.hub.mu.Unlock()
	if open {
		close(f.ended)
		f.hub.wake()
	}
}

// Problem returns what is wrong with the device at the moment, nil while samples come. It matches sensors.ErrAbsent, ErrBusy,
// ErrDenied, ErrMute, or ErrImplausible.
func (f *Feed) Problem() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.problem
}

// Opened waits until the device has been set up, and returns what is wrong with it, as Problem does.
func (f *Feed) Opened() error {
	select {
	case <-f.tried:
	case <-f.ended:
	}
	if err := f.permit.Check(); err != nil {
		return err
	}
	return f.Problem()
}

func (f *Feed) done() { f.once.Do(func() { close(f.tried) }) }

func (f *Feed) setProblem(err error) {
	f.mu.Lock()
	f.problem = err
	f.mu.Unlock()
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// each calls do for every feed whose permit holds, and closes the others.
func (h *Hub) each(do func(*Feed)) {
	h.mu.Lock()
	var list []*Feed
	for f := range h.feeds {
		list = append(list, f)
	}
	h.mu.Unlock()
	for _, f := range list {
		if f.permit.Check() != nil {
			f.Close()
			continue
		}
		do(f)
	}
}

// period returns how long the device is left alone between two looks; an hour when it has to be off.
func (h *Hub) period() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	d := time.Hour
	if h.paused != nil {
		return d
	}
	for f := range h.feeds {
		d = min(d, f.every)
	}
	return d
}

// run keeps a capture while anybody follows. It sleeps between two looks at the buffer; nothing wakes it for a sample.
func (h *Hub) run() {
	var (
		c       *capture
		changes = make(chan struct{}, 1)
		watch   *iio.Changes
		wait    = again
	)
	defer func() {
		if watch != nil {
			_ = watch.Close()
		}
	}()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if h.period() == time.Hour { // nobody, or the machine sleeps
			h.end(c)
			c = nil
			over, wait := h.off(h.closing == nil)
			if over {
				return
			}
			if wait {
				select {
				case <-h.kick:
				case <-h.closing:
					h.closing = nil
				}
			}
			continue
		}
		var sleep time.Duration
		if c == nil {
			started, err := h.start()
			if h.period() == time.Hour {
				c = started
				continue
			}
			if err == nil {
				c, wait = started, again
			} else {
				h.each(func(f *Feed) {
					f.setProblem(err)
					f.done()
				})
				if watch == nil {
					watch = listen(changes)
				}
				sleep, wait = wait, min(2*wait, longest)
			}
		}
		if c != nil {
			sleep = min(h.period(), c.Period())
			if err := c.pass(h); err != nil {
				h.each(func(f *Feed) { f.setProblem(err) })
				if errors.Is(err, sensors.ErrAbsent) {
					h.end(c)
					c = nil
					continue
				}
				sleep = min(max(sleep, time.Since(c.heard)), time.Minute) // ever more rarely
			}
		}
		if c != nil {
			h.each((*Feed).done)
		}
		timer.Reset(sleep)
		select {
		case <-timer.C:
		case <-h.kick:
		case <-changes:
			wait = again
		}
	}
}

// listen tells changes of devices that come and go; nil where the system does not let this process.
func listen(changes chan<- struct{}) *iio.Changes {
	watch, err := iio.WatchChanges()
	if err != nil {
		return nil
	}
	go func() {
		for watch.Wait() == nil {
			time.Sleep(100 * time.Millisecond) // a device comes with several messages, and then its file
			select {
			case changes <- struct{}{}:
			default:
			}
		}
	}()
	return watch
}

// start finds a device and sets it up, on a goroutine of its own, since that can take 20 s. When that is too late, or when nobody
// follows any more, the device's file is closed at once and the device stopped as soon as it can be.
func (h *Hub) start() (*capture, error) {
	type result struct {
		c   *capture
		err error
	}
	if h.closing != nil {
		select {
		case <-h.closing:
			h.closing = nil
		case <-time.After(answer):
			return nil, sensors.ErrMute
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan result, 1)
	go func() {
		c, err := startCapture(ctx, h.sys, h.dev)
		done <- result{c, err}
	}()
	late := time.NewTimer(answer)
	defer late.Stop()
	for {
		select {
		case r := <-done:
			return r.c, r.err
		case <-h.kick:
			if h.period() < time.Hour {
				continue
			}
		case <-late.C:
		}
		break
	}
	ended := make(chan struct{})
	h.closing = ended
	go func() {
		defer close(ended)
		if r := <-done; r.c != nil {
			_ = r.c.Close()
		}
	}()
	return nil, sensors.ErrMute
}

// end stops a capture and waits for it, but not for long.
func (h *Hub) end(c *capture) {
	if c == nil {
		return
	}
	ended := make(chan struct{})
	h.closing = ended
	go func() {
		defer close(ended)
		_ = c.Close()
	}()
	select {
	case <-ended:
		h.closing = nil
	case <-time.After(parting):
	}
}

// capture is a running buffer with what makes m/s2 of its integers.
type capture struct {
	*iio.Capture
	units   units
	gravity bool
	heard   time.Time // when samples came last
	last    int64     // tick of the last sample
	samples []Sample
}

func startCapture(ctx context.Context, sys fs.FS, dev sensors.Streams) (*capture, error) {
	device, channel, err := find(sys)
	if err != nil {
		return nil, err
	}
	u, err := calibrate(device, channel)
	if err != nil {
		return nil, err
	}
	c, err := iio.Start(ctx, device, dev, channel, Rate)
	if err != nil {
		return nil, err
	}
	return &capture{Capture: c, units: u, gravity: channel == "gravity", heard: time.Now()}, nil
}

// pass hands on what waits in the buffer. It returns ErrImplausible where none of it can be an acceleration or all of
// it is what came before, and sensors.ErrMute where nothing has come for long.
func (c *capture) pass(h *Hub) error {
	frames, err := c.Drain()
	if err != nil {
		return err
	}
	now := time.Now()
	if len(frames) == 0 {
		if now.Sub(c.heard) > silence {
			return sensors.ErrMute
		}
		return nil
	}
	c.heard = now
	c.samples = c.samples[:0]
	step := int64(float64(time.Second) / c.Rate())
	for i, f := range frames {
		tick := f.Time
		if tick == 0 {
			tick = c.last + step
		}
		if tick <= c.last { // it repeats itself
			continue
		}
		s := c.units.sample(f.Raw)
		if !s.possible() {
			continue
		}
		s.Time, s.Tick = now.Add(-time.Duration(int64(len(frames)-1-i)*step)), tick
		c.last = tick
		c.samples = append(c.samples, s)
	}
	defer clear(c.samples)
	if len(c.samples) == 0 {
		c.last = 0 // a clock that was set back is followed from here
		return ErrImplausible
	}
	h.each(func(f *Feed) {
		if c.gravity && !f.gravity {
			f.setProblem(sensors.Absent("an accelerometer"))
			return
		}
		f.take(c.samples)
		if f.Problem() != nil {
			f.setProblem(nil)
		}
	})
	return nil
}

// Burst takes n samples in a row, from the buffer where there is one that this process may open, and else one by one. The
// errors are those of Feed.Problem and Open.
func (h *Hub) Burst(ctx context.Context, p consent.Permit, n int) ([]Sample, error) {
	got := make(chan []Sample, 1)
	var samples []Sample
	length := time.Duration(n) * time.Second / Rate
	feed, err := h.Follow(p, length+length/8, true, func(s []Sample) {
		if missing := n - len(samples); missing > 0 {
			samples = append(samples, s[:min(missing, len(s))]...)
			if len(samples) == n {
				got <- samples
			}
		}
	})
	if err != nil {
		return nil, err
	}
	defer feed.Close()
	late := time.NewTimer(length + 2*answer)
	defer late.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("read accelerometer: %w", ctx.Err())
		case <-p.Done():
			return nil, fmt.Errorf("read accelerometer: %w", p.Check())
		case burst := <-got:
			return burst, nil
		case <-late.C:
			return nil, fmt.Errorf("read accelerometer: %w", sensors.ErrMute)
		case <-feed.changed:
		}
		problem := feed.Problem()
		switch {
		case problem == nil:
			continue
		case errors.Is(problem, sensors.ErrMute), errors.Is(problem, ErrImplausible):
			return nil, fmt.Errorf("read accelerometer: %w", problem)
		}
		feed.Close()
		source, err := Open(p, h.sys)
		if err != nil {
			return nil, err
		}
		return source.Burst(ctx, n, time.Second/Rate)
	}
}
