//go:build e2e && linux

package e2e_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/internal/e2e"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// promptly is how soon a withdrawal must have closed the source, or before its answer where the machine takes longer for
// the request itself.
const promptly = 200 * time.Millisecond

// program builds the daemon once for all rigs of this machine, into programs.
var (
	programs string
	program  = sync.OnceValues(func() (file string, err error) {
		if programs, err = os.MkdirTemp("", "scruple-e2e-"); err != nil {
			return "", err
		}
		file = filepath.Join(programs, "scruple")
		here := e2e.Arch{Name: "this machine", GOARCH: runtime.GOARCH, GOARM: os.Getenv("GOARM")}
		return file, e2e.Build(here, "github.com/scruple-agent/scruple/agent/cmd/scruple", file)
	})
)

func TestMain(m *testing.M) {
	code := m.Run()
	if programs != "" {
		_ = os.RemoveAll(programs)
	}
	os.Exit(code)
}

// house is the built daemon, run as a service would, with a real receiver, a person and an application.
type house struct {
	t      *testing.T
	dir    string
	env    []string
	far    *receivertest.Receiver
	person *control.Client
	app    *control.Client
	cmd    *exec.Cmd
	down   chan struct{}
}

// newHouse starts a receiver and a daemon with these lines of settings. bus is the address of its system bus, "" for a machine
// without one. Reports leave at once. The application may use what tuple names.
func newHouse(t *testing.T, bus, tuple string, settings ...string) *house {
	t.Helper()
	file, err := program()
	must(t, err)
	h := &house{t: t, dir: t.TempDir(), far: receivertest.New(t, receivertest.Options{}), down: make(chan struct{})}
	if bus == "" {
		bus = "unix:path=" + filepath.Join(h.dir, "no-bus")
	}
	config := filepath.Join(h.dir, "scruple.yaml")
	h.env = append(os.Environ(), "SCRUPLE_CONFIG="+config, "DBUS_SYSTEM_BUS_ADDRESS="+bus, "LC_ALL=C.UTF-8")
	must(t, os.Mkdir(filepath.Join(h.dir, "sys"), 0o700))
	must(t, os.WriteFile(filepath.Join(h.dir, "note"), h.far.Note, 0o600))
	must(t, os.WriteFile(config, fmt.Appendf(nil, "version: 1\nstate_dir: %q\npolicy_file: %q\npolicy_key: %q\nregion: CN\niio_root: %q\nupload:\n  slot: 0s\n%s",
		filepath.Join(h.dir, "state"), filepath.Join(h.dir, "note"), h.far.Key, filepath.Join(h.dir, "sys"), strings.Join(settings, "")), 0o600))
	socket := filepath.Join(h.dir, "state/run/scruple.sock")
	h.person, h.app = control.NewClient(socket, control.AsPerson(control.ChannelCLI)), control.NewClient(socket, control.AsApplication("people"))
	t.Cleanup(h.person.Close)
	t.Cleanup(h.app.Close)

	h.cmd = exec.Command(file, "run")
	h.cmd.Env = h.env
	log, err := os.Create(filepath.Join(h.dir, "log"))
	must(t, err)
	h.cmd.Stderr = log
	out, err := h.cmd.StdoutPipe()
	must(t, err)
	must(t, h.cmd.Start())
	log.Close()
	ready := bufio.NewReader(out)
	if _, err := ready.ReadString('\n'); err != nil {
		t.Fatalf("the daemon did not start: %s", h.log())
	}
	go func() {
		defer close(h.down)
		_, _ = io.Copy(io.Discard, ready)
		_ = h.cmd.Wait()
	}()
	t.Cleanup(h.stop)

	_, err = h.person.DeclareAge(t.Context(), "18+")
	must(t, err)
	exe, err := os.Executable()
	must(t, err)
	_, err = h.person.RegisterClient(t.Context(), control.ClientRequest{Name: "people", Exe: exe})
	must(t, err)
	_, err = h.person.AllowClient(t.Context(), "people", control.AccessRequest{Tuple: tuple})
	must(t, err)
	return h
}

// stop ends the daemon as a service manager does; it must have lived until then, and end well.
func (h *house) stop() {
	select {
	case <-h.down:
		h.t.Errorf("the daemon ended by itself: %s", h.log())
		return
	default:
	}
	_ = h.cmd.Process.Signal(os.Interrupt)
	select {
	case <-h.down:
	case <-time.After(30 * time.Second):
		_ = h.cmd.Process.Kill()
		h.t.Errorf("the daemon did not end: %s", h.log())
		return
	}
	if !h.cmd.ProcessState.Success() || strings.Contains(h.log(), "panic") {
		h.t.Errorf("the daemon ended with %v: %s", h.cmd.ProcessState, h.log())
	}
}

func (h *house) log() string {
	b, _ := os.ReadFile(filepath.Join(h.dir, "log"))
	return string(b[max(0, len(b)-4000):])
}

// give is the person who reads a notice and agrees.
func (h *house) give(tuple string) wire.UUID {
	h.t.Helper()
	n, err := h.person.Show(h.t.Context(), tuple, "en")
	must(h.t, err)
	s, err := h.person.Give(h.t.Context(), tuple, "en", n.SHA256)
	must(h.t, err)
	id, err := wire.ParseUUID(s.Consent)
	must(h.t, err)
	return id
}

// withdraw takes a consent back, and says after how long the proxy saw the last connection to the source closed.
func (h *house) withdraw(tuple string, proxy *tap) (took time.Duration) {
	h.t.Helper()
	proxy.forget()
	answered := make(chan error, 1)
	start := time.Now()
	go func() {
		_, err := h.person.Withdraw(h.t.Context(), tuple, false)
		answered <- err
	}()
	prompt, late := false, time.After(30*time.Second)
	for open := true; open; {
		select {
		case at := <-proxy.closed:
			n, _ := proxy.connections()
			took, open = max(at.Sub(start), 0), n > 0
			prompt = took <= promptly || len(answered) == 0
		case <-late:
			h.t.Fatal("the source is still open 30 s after the withdrawal")
		}
	}
	must(h.t, <-answered)
	if !prompt {
		h.t.Errorf("the source was closed %v after the withdrawal, the promise is %v", took, promptly)
	}
	return took.Round(100 * time.Microsecond)
}

func (h *house) status() control.Status {
	h.t.Helper()
	s, err := h.person.Status(h.t.Context())
	must(h.t, err)
	return s
}

func (h *house) row(tuple string) control.Tuple {
	h.t.Helper()
	rows := h.status().Tuples
	i := slices.IndexFunc(rows, func(r control.Tuple) bool { return r.Tuple == tuple })
	if i < 0 {
		h.t.Fatalf("status has no %s", tuple)
	}
	return rows[i]
}

// consent returns the id of the consent to a tuple.
func (h *house) consent(tuple string) (id wire.UUID, ok bool) {
	h.t.Helper()
	id, err := wire.ParseUUID(h.row(tuple).Consent)
	return id, err == nil
}

// says returns what "scruple status" prints of a tuple, in English and in Chinese.
func (h *house) says(tuple string) (en, zh string) {
	h.t.Helper()
	file, err := program()
	must(h.t, err)
	both := map[string]string{}
	for _, lang := range []string{"en", "zh-CN"} {
		cmd := exec.Command(file, "status")
		cmd.Env = append(slices.Clone(h.env), "SCRUPLE_LANGUAGE="+lang)
		out, err := cmd.Output()
		must(h.t, err)
		for line := range strings.Lines(string(out)) {
			if strings.HasPrefix(line, tuple) && both[lang] == "" {
				both[lang] = strings.TrimSpace(line)
			}
		}
	}
	return both["en"], both["zh-CN"]
}

// arrived returns what the receiver holds under a consent, and whether it stood in fields that are none of these. Also what the
// journal says left must be that.
func (h *house) arrived(consent wire.UUID, fields ...string) (items []wire.Item) {
	h.t.Helper()
	for _, b := range h.far.Stored(h.t, consent) {
		items = append(items, b.Batch.Items...)
	}
	for _, it := range items {
		for name := range it.Fields {
			if !slices.Contains(fields, name) {
				h.t.Errorf("%q arrived", name)
			}
		}
	}
	return items
}

// left returns the bodies of batches that left the device, as the journal shows them.
func (h *house) left(tuple string) (bodies []string) {
	h.t.Helper()
	list, err := h.person.EgressList(h.t.Context())
	must(h.t, err)
	for _, e := range list {
		if e.Tuple == tuple && e.Readable && strings.HasPrefix(e.Path, "/v1/batches/") {
			body, err := h.person.EgressBody(h.t.Context(), e.ID)
			must(h.t, err)
			content, err := json.Marshal(body.Content)
			must(h.t, err)
			bodies = append(bodies, string(content))
		}
	}
	return bodies
}

// cpu is how much processor time the daemon has used, in ticks of 10 ms.
func (h *house) cpu() (ticks int) {
	h.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", h.cmd.Process.Pid))
	must(h.t, err)
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+2:]))
	for _, s := range f[11:13] {
		n := 0
		_, err := fmt.Sscan(s, &n)
		must(h.t, err)
		ticks += n
	}
	return ticks
}

// tap stands between the daemon and a service, and sees when the daemon closes a connection.
type tap struct {
	address string
	to      func() (net.Conn, error)
	closed  chan time.Time // one a connection that the daemon closed
	pause   atomic.Int64   // nanoseconds before each 4 KiB that the service sends
	bytes   atomic.Int64   // that the service sent
	mu      sync.Mutex
	open    int // connections of the daemon at the moment
	total   int
}

func newTap(t *testing.T, to string) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	p := &tap{address: l.Addr().String(), to: func() (net.Conn, error) { return net.Dial("tcp", to) }, closed: make(chan time.Time, 1024)}
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(near)
		}
	}()
	return p
}

func (p *tap) serve(near net.Conn) {
	defer near.Close()
	far, err := p.to()
	if err != nil {
		return
	}
	defer far.Close()
	p.count(1)
	go func() { // what the service sends; its end is the daemon's to notice
		defer near.Close()
		buf := make([]byte, 4096)
		for {
			n, err := far.Read(buf)
			if err != nil {
				return
			}
			p.bytes.Add(int64(n))
			time.Sleep(time.Duration(p.pause.Load()))
			if _, err := near.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	_, err = io.Copy(far, near)
	p.count(-1)
	if !errors.Is(err, net.ErrClosed) {
		p.closed <- time.Now()
	}
}

func (p *tap) count(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open += n
	p.total += max(n, 0)
}

// connections returns how many are open, and how many there were.
func (p *tap) connections() (open, total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open, p.total
}

// forget throws away what was closed before.
func (p *tap) forget() {
	for len(p.closed) > 0 {
		<-p.closed
	}
}

// eventually waits until something holds, for a minute at most.
func eventually(t *testing.T, what string, holds func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !holds() {
		if time.Since(start) > time.Minute {
			t.Fatalf("did not happen: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return time.Since(start).Round(time.Millisecond)
}

// need returns where a program of the machine is, or skips.
func need(t *testing.T, pack string, names ...string) string {
	t.Helper()
	for _, n := range names {
		if path, err := exec.LookPath(n); err == nil {
			return path
		}
	}
	t.Skipf("MISSING: %s (Debian package %s)", filepath.Base(names[0]), pack)
	return ""
}
