package agent_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
)

// binary builds the daemon's program once for all tests, into programs.
var (
	programs string
	binary   = sync.OnceValues(func() (path string, err error) {
		if programs, err = os.MkdirTemp("", "scruple-test-"); err != nil {
			return "", err
		}
		cmd := exec.Command("go", "build", "-o", programs+"/", "./cmd/scruple")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build: %w\n%s", err, out)
		}
		return filepath.Join(programs, "scruple"), nil
	})
)

func TestMain(m *testing.M) {
	code := m.Run()
	if programs != "" {
		_ = os.RemoveAll(programs)
	}
	os.Exit(code)
}

// daemon is the built daemon in a folder of its own: the settings, the policy as "note", the address book as
// "book.vcf", a tree in place of /sys, the state folder.
type daemon struct {
	t      *testing.T
	dir    string
	client *control.Client
	minor  bool // nothing is declared for the person

	cmd  *exec.Cmd
	down chan struct{}
}

func newDaemon(t *testing.T) *daemon {
	t.Helper()
	d := &daemon{t: t, dir: t.TempDir()}
	if err := os.Mkdir(filepath.Join(d.dir, "sys"), 0o700); err != nil {
		t.Fatal(err)
	}
	d.client = control.NewClient(filepath.Join(d.dir, "state/run/scruple.sock"), control.AsPerson(control.ChannelCLI))
	t.Cleanup(d.client.Close)
	return d
}

// configure writes the settings. more is appended to them, as lines of YAML.
func (d *daemon) configure(key, more string) {
	d.t.Helper()
	d.write("scruple.yaml", fmt.Appendf(nil, "version: 1\nstate_dir: %q\npolicy_file: %q\npolicy_key: %q\nregion: CN\nlanguage: en\niio_root: %q\ncontacts:\n  paths: [%q]\n%s",
		filepath.Join(d.dir, "state"), filepath.Join(d.dir, "note"), key, filepath.Join(d.dir, "sys"), filepath.Join(d.dir, "book.vcf"), more))
}

func (d *daemon) write(name string, b []byte) {
	d.t.Helper()
	path := filepath.Join(d.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// steps puts a step counter into the tree of devices, or moves it.
func (d *daemon) steps(n int) {
	const dir = "sys/bus/iio/devices/iio:device0/"
	d.t.Helper()
	d.write(dir+"name", []byte("bma400\n"))
	d.write(dir+"in_steps_en", []byte("1\n"))
	d.write(dir+"in_steps_input", []byte(strconv.Itoa(n)+"\n"))
}

// start starts the daemon and waits until it answers.
func (d *daemon) start() {
	d.t.Helper()
	if err := d.try(); err != nil {
		d.t.Fatal(err)
	}
}

// try starts the daemon and waits until it answers or gives up; the error is what it says on standard error then.
func (d *daemon) try() error {
	d.t.Helper()
	path, err := binary()
	if err != nil {
		return err
	}
	logfile, err := os.OpenFile(filepath.Join(d.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	d.cmd = exec.Command(path, "run", "--config", filepath.Join(d.dir, "scruple.yaml"))
	d.cmd.Stderr = logfile
	stdout, err := d.cmd.StdoutPipe()
	if err == nil {
		err = d.cmd.Start()
	}
	logfile.Close()
	if err != nil {
		return err
	}
	ready := bufio.NewReader(stdout)
	if _, err := ready.ReadString('\n'); err != nil {
		_ = d.cmd.Wait()
		text, _ := os.ReadFile(filepath.Join(d.dir, "log"))
		return fmt.Errorf("the daemon did not start: %.2000s", text[max(0, len(text)-2000):])
	}
	d.adult()
	d.down = make(chan struct{})
	go func(cmd *exec.Cmd, down chan struct{}) {
		_, _ = io.Copy(io.Discard, ready)
		_ = cmd.Wait()
		close(down)
	}(d.cmd, d.down)
	return nil
}

// adult declares the person to be one, at the first start.
func (d *daemon) adult() {
	if d.minor {
		return
	}
	if age, err := d.client.Age(d.t.Context()); err != nil || age.Band != "" {
		return // a test's own daemon, or declared before
	}
	if _, err := d.client.DeclareAge(d.t.Context(), "18+"); err != nil {
		d.t.Fatal(err)
	}
}

// kill ends the daemon as a power cut of the process would.
func (d *daemon) kill() {
	_ = d.cmd.Process.Kill()
	<-d.down
}

// stop ends the daemon in order. It may be called again.
func (d *daemon) stop() {
	if d.down != nil {
		_ = d.cmd.Process.Signal(os.Interrupt)
		<-d.down
	}
}

// command types a command line and returns what it prints and its exit code.
func (d *daemon) command(args ...string) (out string, code int) {
	d.t.Helper()
	path, err := binary()
	if err != nil {
		d.t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "SCRUPLE_CONFIG="+filepath.Join(d.dir, "scruple.yaml"), "LC_ALL=C.UTF-8")
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		d.t.Fatal(err)
	}
	return text.String(), cmd.ProcessState.ExitCode()
}

// must types a command line that has to succeed.
func (d *daemon) must(args ...string) string {
	d.t.Helper()
	out, code := d.command(args...)
	if code != control.ExitDone {
		d.t.Fatalf("scruple %s: exit code %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// refused types a command line that has to be refused with this exit code, and say why.
func (d *daemon) refused(code int, why string, args ...string) {
	d.t.Helper()
	if out, got := d.command(args...); got != code || !strings.Contains(out, why) {
		d.t.Errorf("scruple %s: exit code %d, want %d and %q\n%s", strings.Join(args, " "), got, code, why, out)
	}
}

// give is the person who reads a notice and agrees, and returns the consent's id.
func (d *daemon) give(tuple string) string {
	d.t.Helper()
	n, err := d.client.Show(d.t.Context(), tuple, "en")
	if err != nil {
		d.t.Fatal(err)
	}
	s, err := d.client.Give(d.t.Context(), tuple, "en", n.SHA256)
	if err != nil {
		d.t.Fatal(err)
	}
	return s.Consent
}

// application registers the program of this test as an application, with access to tuples, and returns its client.
func (d *daemon) application(name string, tuples ...string) *control.Client {
	d.t.Helper()
	return application(d.t, d.client, name, tuples...)
}

func application(t *testing.T, person *control.Client, name string, tuples ...string) *control.Client {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := person.RegisterClient(t.Context(), control.ClientRequest{Name: name, Exe: exe}); err != nil {
		t.Fatal(err)
	}
	for _, tuple := range tuples {
		if _, err := person.AllowClient(t.Context(), name, control.AccessRequest{Tuple: tuple}); err != nil {
			t.Fatal(err)
		}
	}
	app := control.NewClient(person.Socket(), control.AsApplication(name))
	t.Cleanup(app.Close)
	return app
}

func (d *daemon) status() control.Status {
	d.t.Helper()
	s, err := d.client.Status(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	return s
}

func (d *daemon) tuple(name string) control.Tuple {
	d.t.Helper()
	for _, row := range d.status().Tuples {
		if row.Tuple == name {
			return row
		}
	}
	d.t.Fatalf("status has no %s", name)
	return control.Tuple{}
}

// collected waits until the daemon has read something by itself and stored it.
func (d *daemon) collected(tuple string) {
	d.t.Helper()
	eventually(d.t, tuple+" is collected", func() bool { return d.tuple(tuple).Spool.Reports > 0 })
}

// send sends what waits now.
func (d *daemon) send(tuple string) {
	d.t.Helper()
	if _, err := d.client.Flush(d.t.Context(), tuple); err != nil {
		d.t.Fatal(err)
	}
}

// sent returns what the batches of a tuple said that left and are still readable.
func (d *daemon) sent(tuple string) (contents []string) {
	d.t.Helper()
	list, err := d.client.EgressList(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	for _, e := range list {
		if e.Tuple == tuple && e.Readable && strings.HasPrefix(e.Path, "/v1/batches/") {
			body, err := d.client.EgressBody(d.t.Context(), e.ID)
			if err != nil {
				d.t.Fatal(err)
			}
			contents = append(contents, string(body.Content))
		}
	}
	return contents
}

// house is the built daemon and a real receiver.
type house struct {
	*daemon
	far *receivertest.Receiver
}

// newHouse starts a receiver and a daemon whose policy names it. Nothing is sent before it is asked for: the slot of
// lane B is a day.
func newHouse(t *testing.T, o receivertest.Options, settings ...string) *house {
	t.Helper()
	h := &house{newDaemon(t), receivertest.New(t, o)}
	h.write("note", h.far.Note)
	h.configure(h.far.Key, "upload:\n  slot: 24h\n"+strings.Join(settings, ""))
	h.start()
	t.Cleanup(h.stop)
	return h
}

// holding returns what the receiver holds under a consent.
func (h *house) holding(consent string) (receiver.Holding, bool) {
	h.t.Helper()
	for _, held := range h.far.Holdings(h.t) {
		if held.Consent.String() == consent {
			return held, true
		}
	}
	return receiver.Holding{}, false
}

// absent looks for texts in every file at both ends, logs included, but not in the person's own folders. A folder in which a
// file was replaced meanwhile is looked through again.
func (h *house) absent(texts ...string) {
	h.t.Helper()
	for _, dir := range []string{filepath.Join(h.dir, "state"), filepath.Join(h.dir, "log"), h.far.Dir} {
		err := h.look(dir, texts)
		for tries := 0; errors.Is(err, fs.ErrNotExist) && tries < 20; tries++ {
			err = h.look(dir, texts)
		}
		if err != nil {
			h.t.Fatal(err)
		}
	}
}

func (h *house) look(dir string, texts []string) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		for _, text := range texts {
			if bytes.Contains(b, []byte(text)) {
				h.t.Errorf("%s holds what must not be there", path)
			}
		}
		return err
	})
}

// wait sleeps for a moment in which something that must not happen would happen.
func wait() { time.Sleep(100 * time.Millisecond) }
