package main

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/hasher"
	"github.com/scruple-agent/scruple/sensors/contacts/booktest"
)

const (
	deviceTuple   = "device/service"
	contactsTuple = "contacts/find-friends"
	friends       = 40
)

// holding is a line of "scruple-receiver show --json", as far as the demo looks at it.
type holding struct {
	Consent  string   `json:"consent"`
	Category string   `json:"category"`
	Status   string   `json:"status"`
	Batches  int      `json:"batches"`
	Matches  int      `json:"matches"`
	Digests  []string `json:"digests"` // with --open
}

// all plays every scene in order.
func (p *play) all(ctx context.Context) error {
	if err := p.build(ctx); err != nil {
		return err
	}
	p.started = time.Now()
	for _, scene := range []func(context.Context) error{
		p.cast, p.beforeConsent, p.ask, p.collectDevice, p.collectContacts, p.besides, p.withdraw, p.afterwards,
	} {
		if err := scene(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (p *play) receiverDir() string { return filepath.Join(p.dir, "receiver") }

// cast starts the receiver and the agent and invents an address book.
func (p *play) cast(ctx context.Context) error {
	p.scene("A receiver with its own keys, an invented address book, and the agent")
	lines, err := p.start(ctx, "scruple-receiver", "run", "--dev", "--dir", p.receiverDir(), "--listen", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if _, err := p.firstLine("scruple-receiver", lines); err != nil {
		return err
	}
	book := booktest.Generate(20261123, p.people, booktest.Options{Photos: 0.1})
	if err := book.WriteFile(filepath.Join(p.dir, "book.vcf")); err != nil {
		return err
	}
	versions := map[string]int{}
	for _, person := range book.People {
		versions[person.Version]++
	}
	fmt.Fprintf(p.out, "  book.vcf: %d invented people, cards of version 2.1: %d, 3.0: %d, 4.0: %d\n",
		len(book.People), versions["2.1"], versions["3.0"], versions["4.0"])
	if err := p.befriend(ctx, book); err != nil {
		return err
	}
	settings := fmt.Sprintf("version: 1\nstate_dir: %q\npolicy_file: %q\npolicy_key: %q\nregion: %s\nlanguage: en\ncontacts:\n  paths: [%q]\nupload:\n  slot: 24h\n",
		filepath.Join(p.dir, "state"), filepath.Join(p.receiverDir(), "policy.note"), filepath.Join(p.receiverDir(), "policy.key"),
		booktest.DefaultRegion, filepath.Join(p.dir, "book.vcf"))
	config := filepath.Join(p.dir, "scruple.yaml")
	if err := os.WriteFile(config, []byte(settings), 0o600); err != nil {
		return err
	}
	p.env = []string{"SCRUPLE_CONFIG=" + config, "LC_ALL=C.UTF-8"}
	if lines, err = p.start(ctx, "scruple", "run"); err != nil {
		return err
	}
	_, err = p.firstLine("scruple", lines)
	return err
}

// befriend registers some people of the book at the receiver, by one number or address each.
func (p *play) befriend(ctx context.Context, book booktest.Book) error {
	var list strings.Builder
	n := 0
	for i, person := range book.People {
		if n == friends {
			break
		}
		id := ""
		switch {
		case len(person.Phones) > 0:
			id = person.Phones[0]
		case len(person.Emails) > 0:
			id = person.Emails[0]
		default:
			continue
		}
		fmt.Fprintf(&list, "user-%d,%s\n", i, id)
		n++
	}
	file := filepath.Join(p.dir, "users.csv")
	if err := os.WriteFile(file, []byte(list.String()), 0o600); err != nil {
		return err
	}
	return p.person(ctx, "scruple-receiver", "users", "add", "--dir", p.receiverDir(), "--file", file)
}

func (p *play) holdings(ctx context.Context) ([]holding, error) {
	return ask[[]holding](ctx, p, "scruple-receiver", "show", "--dir", p.receiverDir())
}

func (p *play) tuple(ctx context.Context, name string) (control.Tuple, error) {
	status, err := ask[control.Status](ctx, p, "scruple", "status")
	if err != nil {
		return control.Tuple{}, err
	}
	for _, t := range status.Tuples {
		if t.Tuple == name {
			return t, nil
		}
	}
	return control.Tuple{}, fmt.Errorf("status does not name %s", name)
}

// nothing checks that there is no record on the device, none at the receiver, and that nothing has left.
func (p *play) nothing(ctx context.Context) error {
	status, err := ask[control.Status](ctx, p, "scruple", "status")
	if err != nil {
		return err
	}
	reports, collecting := 0, 0
	for _, t := range status.Tuples {
		reports += t.Spool.Reports
		if t.Collecting {
			collecting++
		}
	}
	held, err := p.holdings(ctx)
	if err != nil {
		return err
	}
	left, err := ask[[]control.Egress](ctx, p, "scruple", "egress", "list")
	if err != nil {
		return err
	}
	return p.hold(reports == 0 && collecting == 0 && len(held) == 0 && len(left) == 0,
		"of %d declared purposes, %d collect; %d records on the device, %d at the receiver, %d requests sent",
		len(status.Tuples), collecting, reports, len(held), len(left))
}

func (p *play) beforeConsent(ctx context.Context) error {
	p.scene("Before consent: nothing is there, and nothing can be collected")
	if err := p.person(ctx, "scruple", "status"); err != nil {
		return err
	}
	if err := p.nothing(ctx); err != nil {
		return err
	}
	return p.refused(ctx, contactsTuple)
}

// refused checks that collecting is refused by consent, exit code 3.
func (p *play) refused(ctx context.Context, tuple string) error {
	_, code, err := p.command(ctx, true, "scruple", "data", "collect", tuple)
	if err != nil {
		return err
	}
	return p.hold(code == control.ExitRefused, "collecting %s is refused (exit code %d)", tuple, code)
}

// ask shows the notices and answers them, as a person would.
func (p *play) ask(ctx context.Context) error {
	p.scene("The person declares an age band: minors would need a guardian")
	if err := p.person(ctx, "scruple", "age", "declare", "18+"); err != nil {
		return err
	}
	for _, tuple := range []string{deviceTuple, contactsTuple} {
		p.scene("The person is asked about %s, and says yes", tuple)
		if err := p.person(ctx, "scruple", "consent", "show", tuple); err != nil {
			return err
		}
		notice, err := ask[control.Notice](ctx, p, "scruple", "consent", "show", tuple)
		if err != nil {
			return err
		}
		if err := p.person(ctx, "scruple", "consent", "give", tuple, "--accept", notice.SHA256); err != nil {
			return err
		}
	}
	return nil
}

// collected waits until the agent has read what it was just allowed to read.
func (p *play) collected(ctx context.Context, name string) error {
	for range 200 {
		t, err := p.tuple(ctx, name)
		if err != nil {
			return err
		}
		if t.Spool.Reports > 0 {
			return p.hold(t.Spool.Reports == 1, "the agent read it once, by itself: %d record waits on the device, sealed, %d bytes",
				t.Spool.Reports, t.Spool.Bytes)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s was not collected", name)
}

func (p *play) collectDevice(ctx context.Context) error {
	p.scene("Device information: collected, and sent")
	if err := p.collected(ctx, deviceTuple); err != nil {
		return err
	}
	if err := p.person(ctx, "scruple", "egress", "preview", deviceTuple); err != nil {
		return err
	}
	return p.person(ctx, "scruple", "egress", "send", deviceTuple)
}

func (p *play) collectContacts(ctx context.Context) error {
	p.scene("Contacts: digested under the key that the receiver hands out after consent, and sent")
	if err := p.collected(ctx, contactsTuple); err != nil {
		return err
	}
	if err := p.person(ctx, "scruple", "egress", "send", contactsTuple); err != nil {
		return err
	}
	return p.person(ctx, "scruple", "egress", "list")
}

// besides prints the exact contacts body that left beside what the receiver kept of it.
func (p *play) besides(ctx context.Context) error {
	p.scene("What left, and what the receiver kept")
	left, err := ask[[]control.Egress](ctx, p, "scruple", "egress", "list")
	if err != nil {
		return err
	}
	var body control.EgressBody
	for _, e := range left {
		if e.Tuple == contactsTuple && strings.HasPrefix(e.Path, "/v1/batches/") {
			if body, err = ask[control.EgressBody](ctx, p, "scruple", "egress", "show", e.ID); err != nil {
				return err
			}
		}
	}
	if body.ID == "" {
		return fmt.Errorf("the journal has no contacts batch")
	}
	held, err := ask[[]holding](ctx, p, "scruple-receiver", "show", "--open", "--dir", p.receiverDir())
	if err != nil {
		return err
	}
	var kept holding
	for _, h := range held {
		if h.Category == "contacts" {
			kept = h
		}
	}
	fmt.Fprintf(p.out, "  left: PUT %s\n  %d bytes, SHA-256 %s\n", body.Path, len(body.Body), body.SHA256)
	p.hexdump(body.Body)
	fmt.Fprintf(p.out, "  which means: %.200s ...\n", compact(body.Content))
	left16, err := digestsIn(body)
	if err != nil {
		return err
	}
	matched := p.sideBySide(left16, kept.Digests)
	if err := p.hold(kept.Matches == friends && len(kept.Digests) == friends && matched == friends,
		"of %d digests that left, dummies included, the receiver kept %d: those of the %d people who are its users, and nothing else",
		len(left16), len(kept.Digests), friends); err != nil {
		return err
	}
	return p.canary(ctx, body)
}

// digestsIn takes the digests out of a contacts batch that left.
func digestsIn(body control.EgressBody) ([]string, error) {
	var batch struct {
		Items []struct {
			Fields struct {
				Digests []byte `json:"digests"`
			} `json:"fields"`
		} `json:"items"`
	}
	if err := json.Unmarshal(body.Content, &batch); err != nil || len(batch.Items) != 1 {
		return nil, fmt.Errorf("the contacts batch has %d items: %w", len(batch.Items), err)
	}
	var list []string
	for d := range slices.Chunk(batch.Items[0].Fields.Digests, hasher.DigestSize) {
		list = append(list, hex.EncodeToString(d))
	}
	return list, nil
}

// sideBySide prints what left beside what was kept of it, around the first digests that were kept, and returns how
// many of those kept had left.
func (p *play) sideBySide(left, kept []string) (matched int) {
	keep := map[string]bool{}
	for _, k := range kept {
		if raw, err := base64.StdEncoding.DecodeString(k); err == nil {
			k = hex.EncodeToString(raw)
		}
		keep[k] = true
	}
	fmt.Fprintf(p.out, "  %-34s  %s\n", "left", "kept by the receiver")
	for i, d := range left {
		if keep[d] {
			matched++
		}
		near := keep[d] || i+1 < len(left) && keep[left[i+1]]
		switch {
		case near && matched <= 3 && keep[d]:
			fmt.Fprintf(p.out, "  %-34s  %s\n", d, d)
		case near && matched < 3:
			fmt.Fprintf(p.out, "  %-34s  %s\n", d, "-")
		}
	}
	fmt.Fprintf(p.out, "  %-34s  %s\n", fmt.Sprintf("... %d in all", len(left)), fmt.Sprintf("... %d in all", len(keep)))
	return matched
}

// canary looks for the people themselves in everything that left and in everything the agent wrote.
func (p *play) canary(_ context.Context, body control.EgressBody) error {
	book := booktest.Generate(20261123, p.people, booktest.Options{Photos: 0.1})
	var texts []string
	for _, person := range book.People {
		texts = append(texts, person.Name)
		texts = append(texts, person.Emails...)
		for _, phone := range person.Phones {
			texts = append(texts, strings.TrimPrefix(phone, "+"))
		}
	}
	var files [][]byte
	size := 0
	for _, name := range []string{"state", "receiver", "scruple.log", "scruple-receiver.log"} {
		err := filepath.WalkDir(filepath.Join(p.dir, name), func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil //nolint:nilerr // a file that went away holds nothing
			}
			b, err := os.ReadFile(path)
			files, size = append(files, b), size+len(b)
			return err
		})
		if err != nil {
			return err
		}
	}
	files = append(files, body.Body, body.Content)
	for _, text := range texts {
		if len(text) < 6 {
			continue
		}
		for _, f := range files {
			if strings.Contains(string(f), text) {
				return p.hold(false, "no name, number or address of the book outside the book")
			}
		}
	}
	return p.hold(len(files) > 2, "no name, number or address of the book in what left, in %d bytes of state at both ends, or in the logs", size)
}

func (p *play) withdraw(ctx context.Context) error {
	p.scene("Contacts are withdrawn, and cleared")
	if err := p.person(ctx, "scruple", "consent", "withdraw", contactsTuple, "--clear"); err != nil {
		return err
	}
	receipt, err := p.receipt(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(p.out, "  the controller's signed answer:")
	p.indent(receipt.Note)
	held, err := p.holdings(ctx)
	if err != nil {
		return err
	}
	for _, h := range held {
		if h.Consent == receipt.Consent {
			if err := p.hold(h.Status == "withdrawn" && h.Batches == 0 && h.Matches == 0,
				"the receiver holds nothing of it but that it was withdrawn"); err != nil {
				return err
			}
			return p.person(ctx, "scruple-receiver", "show", "--dir", p.receiverDir())
		}
	}
	return p.hold(false, "the receiver remembers that the consent was withdrawn")
}

// receipt waits for the erasure receipt, which travels by itself.
func (p *play) receipt(ctx context.Context) (control.Receipt, error) {
	for range 100 {
		receipts, err := ask[[]control.Receipt](ctx, p, "scruple", "receipt", "list")
		if err != nil {
			return control.Receipt{}, err
		}
		for _, r := range receipts {
			if r.Kind == "erasure" {
				return r, nil
			}
		}
		select {
		case <-ctx.Done():
			return control.Receipt{}, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return control.Receipt{}, fmt.Errorf("the controller's erasure receipt did not arrive")
}

func (p *play) afterwards(ctx context.Context) error {
	p.scene("Afterwards")
	if err := p.refused(ctx, contactsTuple); err != nil {
		return err
	}
	t, err := p.tuple(ctx, contactsTuple)
	if err != nil {
		return err
	}
	if err := p.hold(t.Status == control.StatusWithdrawn && t.Spool.Reports == 0, "contacts are %s, no record is left on the device", t.Status); err != nil {
		return err
	}
	device, err := p.tuple(ctx, deviceTuple)
	if err != nil {
		return err
	}
	return p.hold(device.Status == control.StatusGiven, "device information, which was not withdrawn, goes on (%s)", device.Status)
}

// hexdump prints a body; the middle of a long one only with -full.
func (p *play) hexdump(b []byte) {
	const line, lines = 32, 6
	for i := 0; i < len(b); i += line {
		if !p.full && i == line*lines && len(b) > line*(lines+2) {
			fmt.Fprintf(p.out, "    ... %d more bytes (-full shows them) ...\n", len(b)-line*(lines+1))
			i = (len(b) - line) / line * line
		}
		fmt.Fprintf(p.out, "    %06x  %x\n", i, b[i:min(i+line, len(b))])
	}
}

func compact(b json.RawMessage) string { return strings.Join(strings.Fields(string(b)), " ") }
