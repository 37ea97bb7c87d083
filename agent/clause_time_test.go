package agent_test

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/agent/items"
	"github.com/scruple-agent/scruple/agent/minimise"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/configs"
	"github.com/scruple-agent/scruple/sensors/device"
	"github.com/scruple-agent/scruple/uploader"
	"github.com/scruple-agent/scruple/uploader/journal"
	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/spool"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// TestClause_2_2_DeviceForgetsInMonths: months of daily reports that nobody fetches, in simulated time: none is older than the
// policy's 30 days.
func TestClause_2_2_DeviceForgetsInMonths(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		doc, err := policy.Parse("policy", configs.PolicyYAML)
		if err != nil {
			t.Fatal(err)
		}
		desk := consenttest.Setup(t, doc)
		tuple := consenttest.Tuple(t, doc, "device", "service")
		id := consenttest.Give(t, desk.Register, tuple)
		rules, err := doc.Effective(tuple.Category, tuple.Purpose)
		if err != nil {
			t.Fatal(err)
		}
		keep := rules.Purpose.Device.For
		sample := device.Sample{Model: "Example", OS: "debian", OSVersion: "12", Network: "wifi", AddressFamily: "ipv4", Sensors: []string{"steps"}}
		s, err := spool.Open(filepath.Join(t.TempDir(), "spool"), desk.Ring, spool.Limits{Retention: func(wire.UUID) time.Duration { return keep }})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for day := range 120 {
			report, err := minimise.Device(consenttest.PermitFrom(t, desk.Register, tuple), sample, "1.0", time.Now())
			if err == nil {
				err = s.Append(consenttest.PermitFrom(t, desk.Register, tuple), report)
			}
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(policy.Day)
			s.Sweep()
			held, err := s.Reports(id)
			if err != nil {
				t.Fatal(err)
			}
			if day > 40 && len(held) < 20 {
				t.Fatalf("day %d: only %d reports are kept", day, len(held))
			}
			for _, r := range held {
				if age := time.Since(time.Unix(r.Item.Time, 0)); age > keep+time.Hour { // the time of a report is its hour
					t.Fatalf("day %d: a report of %v is kept, the policy says %v", day, age, keep)
				}
			}
		}
	})
}

// TestClause_2_2_ItemsAreForgottenInMonths: what was submitted is kept for the person as long as the policy says, in simulated time:
// 7 days of one purpose, and until it is deleted of another.
func TestClause_2_2_ItemsAreForgottenInMonths(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		doc, err := policy.Parse("policy", configs.PolicyYAML)
		if err != nil {
			t.Fatal(err)
		}
		desk := consenttest.Setup(t, doc)
		s, err := items.Open(filepath.Join(t.TempDir(), "items"), desk.Ring)
		if err != nil {
			t.Fatal(err)
		}
		chats, posts := consenttest.Tuple(t, doc, "chat-records", "backup"), consenttest.Tuple(t, doc, "posts", "moments")
		of := map[policy.Tuple]wire.UUID{chats: consenttest.Give(t, desk.Register, chats), posts: consenttest.Give(t, desk.Register, posts)}
		for day := range 60 {
			for tuple := range of {
				name := strconv.Itoa(day)
				it := items.Item{Name: name, Stored: time.Now().Unix(), Fields: map[string]any{"item": name}}
				if err := s.Put(consenttest.PermitFrom(t, desk.Register, tuple), it, false); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(policy.Day)
			if err := s.Sweep(time.Now(), desk.Register.Retention); err != nil {
				t.Fatal(err)
			}
			for tuple, want := range map[policy.Tuple]int{chats: min(day+1, 7), posts: day + 1} {
				if list, err := s.List(of[tuple]); err != nil || len(list) != want {
					t.Fatalf("day %d: %d items of %s are kept, want %d (%v)", day, len(list), tuple, want, err)
				}
			}
		}
	})
}

// pipes is a network inside this process, for simulated time.
type pipes struct {
	conns chan net.Conn
	down  chan struct{}
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.down:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { p.once.Do(func() { close(p.down) }); return nil }

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-p.down:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// TestClause_6_4_DaysOfAnyAnswer: simulated days in which the receiver meets a withdrawal with one answer only. It is
// tried all the time and within reason, never dropped, and delivered when the receiver is well.
func TestClause_6_4_DaysOfAnyAnswer(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]receiver.Fault{
		"400": {Status: http.StatusBadRequest}, "404": {Status: http.StatusNotFound}, "410": {Status: http.StatusGone},
		"500": {Status: http.StatusInternalServerError}, "silence": {Silent: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { daysOf(t, fault) })
		})
	}
}

func daysOf(t *testing.T, fault receiver.Fault) {
	faults := &receiver.Faults{}
	far, err := receiver.OpenDev(receiver.DevOptions{
		Dir: t.TempDir(), Policy: configs.PolicyYAML, Controller: "messenger", Listen: "127.0.0.1:0", Config: receiver.Config{Faults: faults},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	network := &pipes{conns: make(chan net.Conn), down: make(chan struct{})}
	server := far.Server(far.TLS)
	go func() { _ = server.ServeTLS(network, "", "") }()
	defer server.Close()

	desk := consenttest.Setup(t, far.Policy)
	dir := t.TempDir()
	s, err := spool.Open(filepath.Join(dir, "spool"), desk.Ring, spool.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	j, err := journal.Open(filepath.Join(dir, "egress"), desk.Ring, journal.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	u := uploader.New(uploader.Options{
		Register: desk.Register, Spool: s, Ring: desk.Ring, Journal: j, Policy: func() *policy.Document { return far.Policy }, Log: zap.NewNop(),
		Dial: network.dial,
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = u.Run(ctx)
	}()
	defer func() {
		cancel()
		<-ended
	}()
	tuple := consenttest.Tuple(t, far.Policy, "location", "nearby")
	id := consenttest.Give(t, desk.Register, tuple)
	u.Kick()
	settled := func(want int) {
		t.Helper()
		for range 3 * 60 * 60 { // within the hour that an outage may add, and one request's patience
			if len(desk.Register.Outbox("messenger")) == want {
				return
			}
			time.Sleep(time.Second)
		}
		t.Fatalf("%d messages wait, want %d", len(desk.Register.Outbox("messenger")), want)
	}
	settled(0)
	path := "PUT /v1/consents/" + id.String() + "/withdrawal"
	fault.On, fault.Times = path, -1
	faults.Next(fault)
	if err := desk.Register.Withdraw(tuple, true, consenttest.Person); err != nil {
		t.Fatal(err)
	}
	u.Kick()
	days := 4 // package uploader has ten of them
	if testing.Short() {
		days = 1
	}
	time.Sleep(time.Duration(days) * policy.Day)
	if tries := faults.Seen(path); tries < days*20 || tries > days*24*4 {
		t.Errorf("%d tries in %d days, want about one or two an hour", tries, days)
	}
	if n := len(desk.Register.Outbox("messenger")); n != 1 {
		t.Errorf("%d messages wait, want the withdrawal", n)
	}
	faults.Clear()
	settled(0)
	held, err := far.Store.Holdings(t.Context(), time.Now())
	if err != nil || len(held) != 1 || held[0].Status != receiver.StatusWithdrawn {
		t.Errorf("the receiver holds %+v, %v", held, err)
	}
}
