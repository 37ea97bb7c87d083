package agent_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/sensors/contacts/booktest"
	"github.com/scruple-agent/scruple/sensors/sensortest"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
)

// gpsd tells everyone who asks one position a tenth of a second, until they hang up.
type gpsd struct {
	address string

	mu       sync.Mutex
	lat, lon float64
	came     int
	here     int
}

func newGPSD(t *testing.T) *gpsd {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	g := &gpsd{address: ln.Addr().String(), lat: 39.912345, lon: 116.456789}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go g.talk(c)
		}
	}()
	return g
}

func (g *gpsd) talk(c net.Conn) {
	defer c.Close()
	g.mu.Lock()
	g.came++
	g.here++
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		g.here--
		g.mu.Unlock()
	}()
	if _, err := bufio.NewReader(c).ReadString('\n'); err != nil {
		return
	}
	for {
		g.mu.Lock()
		lat, lon := g.lat, g.lon
		g.mu.Unlock()
		line := fmt.Sprintf(`{"class":"TPV","mode":3,"time":%q,"lat":%f,"lon":%f,"eph":4.5}`+"\n", time.Now().UTC().Format(time.RFC3339Nano), lat, lon)
		if _, err := io.WriteString(c, line); err != nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// seen is how many connections came.
func (g *gpsd) seen() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.came
}

// busy is how many connections there are.
func (g *gpsd) busy() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.here
}

func (g *gpsd) move(lat, lon float64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lat, g.lon = lat, lon
}

// fields returns the fields of every item of the batches.
func fields(t *testing.T, contents ...string) (list []map[string]any) {
	t.Helper()
	for _, content := range contents {
		batch := parsed[struct {
			Items []struct {
				Fields map[string]any `json:"fields"`
			} `json:"items"`
		}](t, content)
		for _, item := range batch.Items {
			list = append(list, item.Fields)
		}
	}
	return list
}

// TestClause_1_2_OnlyTheKindOfDevice: device information and the accelerometer are consents of their own; what leaves has
// the declared fields and no identifier of the hardware; the two cannot be joined by their pseudonym; the receiver keeps no
// address.
func TestClause_1_2_OnlyTheKindOfDevice(t *testing.T) {
	t.Parallel()
	h := newHouse(t, receivertest.Options{})
	for name, file := range sensortest.Accelerometer() {
		h.write("sys/"+name, file.Data)
	}
	device, gravity := h.give("device/service"), h.give("accelerometer/gravity")
	h.collected("device/service")
	if c, err := h.client.Collect(t.Context(), "accelerometer/gravity"); err != nil || c.Reports != 1 {
		t.Fatalf("accelerometer: %d reports, %v", c.Reports, err)
	}
	h.send("device/service")
	h.send("accelerometer/gravity")
	for tuple, want := range map[string][]string{
		"device/service":        {"address-family", "agent-version", "model", "network", "os", "os-version", "sensors"},
		"accelerometer/gravity": {"moving", "orientation", "still"},
	} {
		items := fields(t, h.sent(tuple)...)
		if len(items) != 1 || !slices.Equal(slices.Sorted(maps.Keys(items[0])), want) {
			t.Errorf("%s: %d items left, the first with %v", tuple, len(items), items)
		}
	}
	a, _ := h.holding(device)
	b, _ := h.holding(gravity)
	if a.Batches != 1 || b.Batches != 1 || a.Pseudonym == b.Pseudonym {
		t.Errorf("the receiver holds %+v and %+v", a, b)
	}

	if _, err := h.client.Withdraw(t.Context(), "device/service", true); err != nil {
		t.Fatal(err)
	}
	if row := h.tuple("accelerometer/gravity"); row.Status != control.StatusGiven || !row.Collecting {
		t.Errorf("with device information withdrawn, the accelerometer is %q: %s", row.Status, row.Reason)
	}
	h.refused(control.ExitRefused, "device/service", "data", "collect", "device/service")
	h.stop()
	h.far.Stop()
	h.absent(hardware(t)...)
	for _, name := range []string{"receiver.db", "receiver.db-wal"} {
		text, err := os.ReadFile(filepath.Join(h.far.Dir, name))
		if err == nil && (strings.Contains(string(text), "127.0.0.1:") || strings.Contains(string(text), "\x7f\x00\x00\x01")) {
			t.Errorf("%s holds the address of the connection", name)
		}
	}
}

// hardware returns what identifies this machine, as far as it has it.
func hardware(t *testing.T) (ids []string) {
	t.Helper()
	if name, err := os.Hostname(); err == nil && len(name) >= 8 && name != "localhost" {
		ids = append(ids, name)
	}
	for _, file := range []string{"/etc/machine-id", "/sys/class/dmi/id/product_uuid", "/sys/class/dmi/id/product_serial"} {
		if text, err := os.ReadFile(file); err == nil && len(strings.TrimSpace(string(text))) >= 8 {
			ids = append(ids, strings.TrimSpace(string(text)))
		}
	}
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if len(link.HardwareAddr) > 0 {
			ids = append(ids, link.HardwareAddr.String(), strings.ReplaceAll(link.HardwareAddr.String(), ":", ""))
		}
	}
	return ids
}

// TestClause_1_5_OnlyWhileTheFeatureIsUsed: consent alone reads nothing; a session of that one feature does, as a grid cell, and
// ends by itself; clearing stops it in place, erases here and at the receiver. Coordinates are nowhere.
func TestClause_1_5_OnlyWhileTheFeatureIsUsed(t *testing.T) {
	t.Parallel()
	const tuple = "location/nearby"
	gps := newGPSD(t)
	h := newHouse(t, receivertest.Options{}, "gpsd: "+gps.address+"\n")
	app := h.application("example.app", tuple)
	open := func(d time.Duration) {
		t.Helper()
		if _, err := app.OpenSession(t.Context(), tuple, d); err != nil {
			t.Fatal(err)
		}
	}
	id := h.give(tuple)
	h.refused(control.ExitRefused, tuple, "data", "collect", tuple)
	h.refused(control.ExitRefused, "location/shake", "session", "open", "location/shake")
	wait()
	if gps.seen() != 0 || h.tuple(tuple).Reason != control.ReasonNoSession {
		t.Fatalf("without a session: %d connections to the gpsd, reason %q", gps.seen(), h.tuple(tuple).Reason)
	}

	open(time.Second)
	h.collected(tuple)
	eventually(t, "the session ends by itself", func() bool { return gps.busy() == 0 && h.tuple(tuple).Reason == control.ReasonNoSession })
	h.send(tuple)
	items := fields(t, h.sent(tuple)...)
	if len(items) != 1 || items[0]["level"] != 12.0 || items[0]["cell"] == "" || len(items[0]) != 4 {
		t.Errorf("what left: %v", items)
	}
	if held, _ := h.holding(id); held.Batches != 1 {
		t.Errorf("the receiver holds %d batches", held.Batches)
	}

	gps.move(31.234567, 121.456789)
	open(time.Minute)
	h.collected(tuple)
	h.must("consent", "withdraw", tuple, "--clear")
	if row := h.tuple(tuple); row.Status != control.StatusWithdrawn || row.Spool.Reports != 0 {
		t.Errorf("after withdrawing: status %q, %d reports here", row.Status, row.Spool.Reports)
	}
	eventually(t, "the receiver has erased", func() bool {
		held, _ := h.holding(id)
		return gps.busy() == 0 && held.Status == "withdrawn" && held.Batches == 0
	})
	connections := gps.seen()
	if _, err := app.OpenSession(t.Context(), tuple, time.Minute); control.ExitCode(err) != control.ExitRefused || gps.seen() != connections {
		t.Errorf("a session after withdrawing: %v", err)
	}
	h.stop()
	h.absent("39.912345", "116.456789", "31.234567", "121.456789", "39.91234", "121.45678")
}

// TestClause_1_6_OnlyTotals: the counter is read after consent; what leaves is the total since then.
func TestClause_1_6_OnlyTotals(t *testing.T) {
	t.Parallel()
	const tuple = "steps/compare"
	h := newHouse(t, receivertest.Options{})
	h.steps(13370)
	h.refused(control.ExitRefused, tuple, "data", "collect", tuple)
	id := h.give(tuple)
	collect := func(want int) {
		t.Helper()
		if c, err := h.client.Collect(t.Context(), tuple); err != nil || c.Reports != want {
			t.Fatalf("%d reports, want %d: %v", c.Reports, want, err)
		}
	}
	collect(0) // steps from before the consent
	h.steps(13470)
	collect(1)
	h.send(tuple)
	items := fields(t, h.sent(tuple)...)
	if len(items) != 1 || len(items[0]) != 1 || items[0]["total"] != 100.0 {
		t.Errorf("what left: %v, want the total 100 alone", items)
	}
	if held, _ := h.holding(id); held.Batches != 1 || held.Items != 1 {
		t.Errorf("the receiver holds %+v", held)
	}
	h.must("consent", "withdraw", tuple)
	h.steps(13570)
	h.refused(control.ExitRefused, tuple, "data", "collect", tuple)
}

// TestClause_1_7_OnlyDigests: of the address book only keyed digests leave, and no name, number or address is on a disk at
// either end or in a log.
func TestClause_1_7_OnlyDigests(t *testing.T) {
	t.Parallel()
	const tuple, people = "contacts/find-friends", 60
	h := newHouse(t, receivertest.Options{})
	h.write("book.vcf", book(t, people))
	id := h.give(tuple)
	h.collected(tuple)
	h.send(tuple)
	items := fields(t, h.sent(tuple)...)
	if len(items) != 1 || !slices.Equal(slices.Sorted(maps.Keys(items[0])), []string{"digests", "epoch", "form", "metadata"}) {
		t.Fatalf("what left: %d items", len(items))
	}
	var digests []byte
	if err := json.Unmarshal(fmt.Appendf(nil, "%q", items[0]["digests"]), &digests); err != nil || len(digests) < people*16 {
		t.Errorf("%d bytes of digests for %d people: %v", len(digests), people, err)
	}
	if held, ok := h.holding(id); !ok || held.Batches != 0 || held.Matches != 0 {
		t.Errorf("the receiver, which has no users, holds %+v", held)
	}
	var texts []string
	for _, p := range booktest.Generate(7, people, booktest.Options{}).People {
		texts = append(append(texts, p.Name), p.Emails...)
		for _, phone := range p.Phones {
			texts = append(texts, phone, strings.TrimPrefix(phone, "+"), strings.TrimPrefix(phone, "+86"))
		}
	}
	texts = slices.DeleteFunc(texts, func(s string) bool { return len(s) < 6 })
	h.stop()
	h.absent(texts...)
	if sent := fmt.Sprint(items); slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(sent, s) }) {
		t.Error("a name, number or address left")
	}
}

// TestClause_6_4_InTheMiddleOfACollection: a withdrawal ends a reading that is under way, and what it had read is gone.
func TestClause_6_4_InTheMiddleOfACollection(t *testing.T) {
	t.Parallel()
	const tuple = "accelerometer/gravity"
	h := newHouse(t, receivertest.Options{})
	for name, file := range sensortest.Accelerometer() {
		h.write("sys/"+name, file.Data)
	}
	h.give(tuple)
	done := make(chan error, 1)
	go func() {
		_, err := h.client.Collect(context.WithoutCancel(t.Context()), tuple) // takes a second
		done <- err
	}()
	time.Sleep(300 * time.Millisecond)
	h.must("consent", "withdraw", tuple)
	if err := <-done; err == nil {
		t.Error("the reading went on")
	}
	if row := h.tuple(tuple); row.Status != control.StatusWithdrawn || row.Spool.Reports != 0 || row.Collecting {
		t.Errorf("after withdrawing: status %q, %d reports, collecting %v", row.Status, row.Spool.Reports, row.Collecting)
	}
}
