package agent_test

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"database/sql"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/agent/minimise"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
	"github.com/scruple-agent/scruple/uploader/wire"

	_ "modernc.org/sqlite"
)

// The attack on stored data. Simulated devices use lane B with their pseudonyms and send one answer each on lane C. The
// attacker has everything that the receiver has stored (every table, the file itself, in which rows lie in the order
// they came in, and its log), and knows of every device which rows of lane B are its own. It tries to say which row of lane C
// is the device's, and what the device told. Each attack is shown to work in a world in which what it looks for is there.

// crowd is how many devices there are; rounds how often they do it all over.
const (
	crowd  = 40
	rounds = 5
)

// plan is what a device does on lane B.
type plan struct {
	given, last time.Duration // its consent, its last batch
	size        int           // rises with what is stored of it
}

// world says when a device's answer is sent.
type world struct {
	sent    func(r *rand.Rand, p plan) time.Duration
	stretch int // how many days a day has
}

// The first is as it should be: the end of the week, and the random delay. In the others an answer is sent at a moment that lane B
// knows; in the last the receiver's weeks are as short as eight hours.
var (
	honest = world{func(r *rand.Rand, _ plan) time.Duration {
		return 7*policy.Day + time.Duration(r.Int64N(int64(6*policy.Day)))
	}, 1}
	atOnce      = world{func(_ *rand.Rand, p plan) time.Duration { return p.last }, 1}
	withConsent = world{func(_ *rand.Rand, p plan) time.Duration { return p.given }, 1}
	smallFirst  = world{func(_ *rand.Rand, p plan) time.Duration { return 7*policy.Day + time.Duration(p.size)*time.Minute }, 1}
	shortWeeks  = world{atOnce.sent, 21}
)

// simulated is one device with what only the test knows: its row of lane C, and what it told there.
type simulated struct {
	client  *receivertest.Client
	batches [][]byte // ids of lane B
	size    int
	given   time.Time // its consent
	last    time.Time // its last batch
	answer  wire.Answer
	body    []byte
}

// page is where the last batch lies in the file, as an order: a cell is put before those that came earlier, so a higher offset within
// a page is an earlier arrival.
func (s *simulated) page(file []byte) int {
	return arrival(bytes.Index(file, s.batches[len(s.batches)-1]))
}

func arrival(offset int) int { return offset/4096*4096 + 4095 - offset%4096 }

// stored is a row of a lane as the attacker finds it.
type stored struct {
	id     []byte
	offset int // in the file
}

// simulate runs a receiver for a fortnight that begins on a Monday and returns the devices and its folder. They agree in the first
// week and are active on lane B all the time.
func simulate(t *testing.T, seed uint64, w world) ([]*simulated, string) {
	t.Helper()
	random := rand.New(rand.NewPCG(2026, seed))
	clock := receivertest.NewClock()
	const monday, week = 4 * 86400, 7 * 86400
	clock.Advance(time.Duration(week-(clock.Now().Unix()-monday)%week) * time.Second)
	dir := t.TempDir()
	lines, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer lines.Close()
	log := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.Lock(lines), zap.DebugLevel))
	far := receivertest.New(t, receivertest.Options{Clock: clock, Dir: dir, Log: log})
	permit := consenttest.Permit(t, far.Policy, "usage", "statistics") // nothing of it is in a body
	question := permit.Effective().Questions()[:1]
	cfg := far.Client(t, "usage", "statistics").HTTP.Transport.(*http.Transport).TLSClientConfig.Clone()
	cfg.Certificates = nil

	type event struct {
		at time.Duration
		do func()
	}
	var events []event
	devices := make([]*simulated, crowd)
	start := clock.Now()
	widths := random.Perm(crowd)
	for i := range devices {
		d := &simulated{client: far.Client(t, "device", "service")}
		devices[i] = d
		p := plan{given: time.Duration(random.Int64N(int64(6 * policy.Day)))}
		events = append(events, event{p.given, func() { d.client.Give(t); d.given = clock.Now() }})
		p.last = p.given
		batches := 1 + random.IntN(3)
		p.size = batches*crowd + widths[i]
		for n := range batches {
			at := p.given + time.Duration(random.Int64N(int64(14*policy.Day-p.given)))
			p.last = max(p.last, at)
			model := "Example "
			if n == 0 {
				for range 4 * widths[i] {
					model += string(rune('!' + random.IntN(90)))
				}
			}
			events = append(events, event{at, func() {
				b, body := d.client.Batch(t, wire.Item{Time: clock.Now().Truncate(time.Hour).Unix(), Fields: map[string]any{"model": model}})
				d.client.Receipt(t, d.client.PutBatch(t, b.ID, body))
				d.batches, d.size, d.last = append(d.batches, b.ID[:]), d.size+len(body), clock.Now()
			}})
		}
		secret := make([]byte, 32)
		for j := range secret {
			secret[j] = byte(random.Uint32())
		}
		made, err := minimise.Answers(permit, map[string]int64{question[0].Field: int64(random.IntN(200))}, secret, question)
		if err != nil {
			t.Fatal(err)
		}
		d.body = made[0].Body()
		if d.answer, err = wire.DecodeAnswer(d.body); err != nil {
			t.Fatal(err)
		}
		events = append(events, event{w.sent(random, p), func() { postAnswer(t, far, cfg, d.body) }})
	}
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	for _, e := range events {
		clock.Advance(start.Add(e.at * time.Duration(w.stretch)).Sub(clock.Now()))
		e.do()
	}
	for _, d := range devices {
		d.client.HTTP.CloseIdleConnections()
	}
	far.Stop()
	return devices, far.Dir
}

// postAnswer sends one answer on a connection of its own.
func postAnswer(t *testing.T, far *receivertest.Receiver, cfg *tls.Config, body []byte) {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Post(far.URL+"/v1/analytics", "application/cbor", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Fatalf("status %d", resp.StatusCode)
	}
}

// laneC reads what the attacker finds of lane C: the ids and where they lie in the file. It fails if any
// other table or column has them, or if lane C has a column that is not known here.
func laneC(t *testing.T, dir string, devices []*simulated) []stored {
	t.Helper()
	path := filepath.Join(dir, "receiver.db")
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	columns := map[string][]string{}
	rows, err := db.Query("SELECT m.name, c.name FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY m.name, c.cid")
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			t.Fatal(err)
		}
		columns[table] = append(columns[table], column)
	}
	rows.Close()
	for table, want := range map[string][]string{
		"answers": {"question", "day", "range", "n", "until"}, "answer_ids": {"id", "day"},
		"questions": {"tag", "category", "purpose", "field", "bounds", "epsilon"},
	} {
		if !slices.Equal(columns[table], want) {
			t.Errorf("lane C stores %s: %v; the attack knows %v", table, columns[table], want)
		}
	}
	// Nothing of lane C stands anywhere but there, and nothing of lane B in it.
	for table, names := range columns {
		for _, column := range names {
			rows, err := db.Query(fmt.Sprintf("SELECT CAST(%q AS BLOB) FROM %q", column, table))
			if err != nil {
				t.Fatal(err)
			}
			for rows.Next() {
				var value []byte
				if err := rows.Scan(&value); err != nil {
					t.Fatal(err)
				}
				for _, d := range devices {
					own := table == "answer_ids" && column == "id"
					if !own && bytes.Contains(value, d.answer.ID[:]) {
						t.Fatalf("%s.%s has the id of an answer", table, column)
					}
					name := d.client.Pseudonym(t)
					if table == "answer_ids" && (bytes.Equal(value, name[:16]) || bytes.Equal(value, d.client.Consent[:])) {
						t.Fatalf("%s.%s has a pseudonym or a consent", table, column)
					}
				}
			}
			rows.Close()
		}
	}
	var found []stored
	ids, err := db.Query("SELECT id FROM answer_ids")
	if err != nil {
		t.Fatal(err)
	}
	defer ids.Close()
	for ids.Next() {
		var s stored
		if err := ids.Scan(&s.id); err != nil {
			t.Fatal(err)
		}
		if s.offset = bytes.Index(file, s.id); s.offset < 0 {
			t.Fatal("an id is not in the file")
		}
		found = append(found, s)
	}
	if len(found) != len(devices) {
		t.Fatalf("%d answers are stored, want %d", len(found), len(devices))
	}
	otherFiles(t, dir, devices)
	slices.SortFunc(found, func(a, b stored) int { return cmp.Compare(arrival(a.offset), arrival(b.offset)) })
	return found
}

// otherFiles looks for lane C in whatever else lies in the receiver's folder: nothing has an answer's id, and no line of the log
// was written because of an answer.
func otherFiles(t *testing.T, dir string, devices []*simulated) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() == "receiver.db" || e.IsDir() {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range devices {
			if bytes.Contains(b, d.answer.ID[:]) || bytes.Contains(b, []byte(d.answer.ID.String())) {
				t.Fatalf("%s has the id of an answer", e.Name())
			}
		}
		if e.Name() != "log" {
			continue
		}
		expected := 0
		for _, d := range devices {
			expected += 1 + len(d.batches) // lane A and lane B
		}
		if n := bytes.Count(b, []byte(`"answered"`)); bytes.Contains(b, []byte("analytics")) || n != expected {
			t.Errorf("the log tells of %d requests, want the %d of lanes A and B; or it names the analytics lane", n, expected)
		}
	}
}

// attacks are the ways to bring the devices into the order in which the rows of lane C lie, and to join first with first. works is
// a world in which the attack finds what it looks for.
var attacks = []struct {
	name    string
	devices func(file []byte, a, b *simulated) int
	works   *world
}{
	{"by order of arrival", func(_ []byte, a, b *simulated) int { return a.last.Compare(b.last) }, &atOnce},
	{"by order of consents", func(_ []byte, a, b *simulated) int { return a.given.Compare(b.given) }, &withConsent},
	{"by order in the file", func(file []byte, a, b *simulated) int { return cmp.Compare(a.page(file), b.page(file)) }, &atOnce},
	{"by size", func(_ []byte, a, b *simulated) int { return cmp.Compare(a.size, b.size) }, &smallFirst},
}

// attack returns how many devices each attack joins with their own row.
func attack(t *testing.T, devices []*simulated, dir string) []int {
	t.Helper()
	rows := laneC(t, dir, devices)
	file, err := os.ReadFile(filepath.Join(dir, "receiver.db"))
	if err != nil {
		t.Fatal(err)
	}
	joined := make([]int, len(attacks))
	for i, a := range attacks {
		d := slices.Clone(devices)
		slices.SortStableFunc(d, func(x, y *simulated) int { return a.devices(file, x, y) })
		for j := range d {
			if bytes.Equal(d[j].answer.ID[:], rows[j].id) {
				joined[i]++
			}
		}
	}
	return joined
}

// guess is the attack by value: a device is said to have told what most told in the week of its last batch. It returns how many
// guesses are right, and how many are on average when the devices' weeks are exchanged among them.
func guess(t *testing.T, devices []*simulated, dir string) (right int, chance float64) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "receiver.db")+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query("SELECT day, range FROM answers ORDER BY day, n, range")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	most := map[int64]uint{} // the last of a week is the largest
	for rows.Next() {
		var (
			monday int64
			told   uint
		)
		if err := rows.Scan(&monday, &told); err != nil {
			t.Fatal(err)
		}
		if (monday-4)%7 != 0 {
			t.Fatal("an answer is stored with more than its week")
		}
		most[monday] = told
	}
	said := func(d *simulated) uint {
		day := d.last.Unix() / 86400
		return most[day-(day-4)%7]
	}
	for _, d := range devices {
		if said(d) == d.answer.Range {
			right++
		}
		for _, other := range devices {
			if said(other) == d.answer.Range {
				chance += 1 / float64(len(devices))
			}
		}
	}
	return right, chance
}

// guesses is guess in some rounds of a world, and reports whether more were right than chance explains.
func guesses(t *testing.T, w world) (more bool) {
	t.Helper()
	const tries = 2
	right, chance := 0, 0.0
	for seed := range uint64(tries) {
		devices, dir := simulate(t, 100+seed, w)
		n, expected := guess(t, devices, dir)
		right, chance = right+n, chance+expected
	}
	t.Logf("by value: %d of %d guesses are right, %.1f by chance", right, tries*crowd, chance)
	return float64(right) > chance+3.5*math.Sqrt(chance*(1-chance/(tries*crowd)))
}

// TestClause_4_StoredStatisticsCannotBeJoined: whatever the receiver has stored does not tell which answer is whose. Joining
// at random finds one device a round on average, so five in all, with a Poisson distribution: 18 or more come about
// once in 100,000 times. What was told is not known either, even where answers are sent while the device is on for lane B.
func TestClause_4_StoredStatisticsCannotBeJoined(t *testing.T) {
	t.Parallel()
	const bound = 18
	total := make([]int, len(attacks))
	for seed := range uint64(rounds) {
		devices, dir := simulate(t, seed, honest)
		for i, n := range attack(t, devices, dir) {
			total[i] += n
		}
	}
	for i, a := range attacks {
		t.Logf("%s: %d of %d devices joined, %d by chance", a.name, total[i], rounds*crowd, rounds)
		if total[i] >= bound {
			t.Errorf("%s: %d of %d devices joined with their answers, want fewer than %d", a.name, total[i], rounds*crowd, bound)
		}
	}
	for _, w := range []*world{&atOnce, &withConsent, &smallFirst} {
		devices, dir := simulate(t, 99, *w)
		for i, n := range attack(t, devices, dir) {
			if attacks[i].works == w && n < crowd/2 {
				t.Errorf("%s: joins %d of %d answers where it should work: it shows nothing", attacks[i].name, n, crowd)
			}
		}
	}
	if guesses(t, atOnce) {
		t.Error("by value: the week tells what devices told")
	}
	if !guesses(t, shortWeeks) {
		t.Error("by value: finds nothing where weeks are short: it shows nothing")
	}
}
