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

	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/agent/minimise"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
	"github.com/scruple-agent/scruple/uploader/wire"

	_ "modernc.org/sqlite"
)

// The attack on stored data. Simulated devices use lane B with their pseudonyms and send one answer each on lane C. The
// attacker has everything that the receiver has stored (every table, and the file itself, in which rows lie in the order
// they came in), and knows of every device which rows of lane B are its own. It tries to say which row of lane C
// is the device's.

// crowd is how many devices there are; rounds how often they do it all over.
const (
	crowd  = 40
	rounds = 5
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

// stored is a row of a lane as the attacker finds it.
type stored struct {
	id     []byte
	day    int64
	offset int // in the file
}

// simulate runs a receiver for a fortnight and returns the devices and its folder. They agree in the first week and are active on lane B
// all the time. sent returns when a device's answer is sent, of whose last use of lane B it is told.
func simulate(t *testing.T, seed uint64, sent func(r *rand.Rand, last time.Duration) time.Duration) ([]*simulated, string) {
	t.Helper()
	random := rand.New(rand.NewPCG(2026, seed))
	clock := receivertest.NewClock()
	far := receivertest.New(t, receivertest.Options{Clock: clock})
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
	for i := range devices {
		d := &simulated{client: far.Client(t, "device", "service")}
		devices[i] = d
		given := time.Duration(random.Int64N(int64(6 * policy.Day)))
		events = append(events, event{given, func() { d.client.Give(t); d.given = clock.Now() }})
		last := given
		for range 1 + random.IntN(3) {
			at := given + time.Duration(random.Int64N(int64(14*policy.Day-given)))
			last = max(last, at)
			events = append(events, event{at, func() {
				model := fmt.Sprintf("Example %0*d", 1+random.IntN(30), i)
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
		events = append(events, event{sent(random, last), func() { postAnswer(t, far, cfg, d.body) }})
	}
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	for _, e := range events {
		clock.Advance(start.Add(e.at).Sub(clock.Now()))
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

// laneC reads what the attacker finds of lane C: the ids with their day and where they lie in the file. It fails if any
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
	ids, err := db.Query("SELECT id, day FROM answer_ids")
	if err != nil {
		t.Fatal(err)
	}
	defer ids.Close()
	for ids.Next() {
		var s stored
		if err := ids.Scan(&s.id, &s.day); err != nil {
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
	// A cell is put before those that came earlier, so a higher offset within a page is an earlier arrival.
	slices.SortFunc(found, func(a, b stored) int {
		return cmp.Or(cmp.Compare(a.offset/4096, b.offset/4096), cmp.Compare(b.offset, a.offset))
	})
	return found
}

// attacks are the ways to bring the devices into an order and the rows of lane C into another, and to join first with first.
var attacks = []struct {
	name    string
	devices func(file []byte, a, b *simulated) int
	rows    func(a, b stored) int
}{
	{"by order of arrival", func(_ []byte, a, b *simulated) int { return a.last.Compare(b.last) }, nil},
	{"by order of consents", func(_ []byte, a, b *simulated) int { return a.given.Compare(b.given) }, nil},
	{"by order in the file", func(file []byte, a, b *simulated) int {
		return cmp.Compare(bytes.Index(file, b.batches[len(b.batches)-1]), bytes.Index(file, a.batches[len(a.batches)-1]))
	}, nil},
	{"by day", func(_ []byte, a, b *simulated) int { return a.last.Compare(b.last) }, func(a, b stored) int { return cmp.Compare(a.day, b.day) }},
	{"by size", func(_ []byte, a, b *simulated) int { return cmp.Compare(a.size, b.size) }, func(a, b stored) int { return cmp.Compare(a.day, b.day) }},
	{"by number of batches", func(_ []byte, a, b *simulated) int { return cmp.Compare(len(a.batches), len(b.batches)) }, nil},
	{"by value of the ids", func(_ []byte, a, b *simulated) int { return bytes.Compare(a.client.Consent[:], b.client.Consent[:]) }, func(a, b stored) int {
		return bytes.Compare(a.id, b.id)
	}},
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
		d, r := slices.Clone(devices), slices.Clone(rows)
		slices.SortStableFunc(d, func(x, y *simulated) int { return a.devices(file, x, y) })
		if a.rows != nil {
			slices.SortStableFunc(r, a.rows)
		}
		for j := range d {
			if bytes.Equal(d[j].answer.ID[:], r[j].id) {
				joined[i]++
			}
		}
	}
	return joined
}

// guess is the attack by value: what was told is stored as counts of ranges only, so the devices, in an order that lane B gives, are
// dealt the ranges that the counts have. It returns how many guesses are right, and how many are on average without any join.
func guess(t *testing.T, devices []*simulated, dir string) (right int, chance float64) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "receiver.db")+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query("SELECT range, sum(n) FROM answers GROUP BY range ORDER BY range")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var dealt []uint
	for rows.Next() {
		var (
			told uint
			n    int
		)
		if err := rows.Scan(&told, &n); err != nil {
			t.Fatal(err)
		}
		dealt = append(dealt, slices.Repeat([]uint{told}, n)...)
		chance += float64(n) * float64(n) / float64(len(devices))
	}
	order := slices.Clone(devices)
	slices.SortStableFunc(order, func(a, b *simulated) int { return cmp.Compare(a.size, b.size) })
	for i, d := range order {
		if d.answer.Range == dealt[i] {
			right++
		}
	}
	return right, chance
}

// TestClause_4_StoredStatisticsCannotBeJoined: whatever the receiver has stored does not tell which answer is whose. Joining
// at random finds one device a round on average, so five in all, with a Poisson distribution: 18 or more come about
// once in 100,000 times. The same attacks on answers that are sent at once, instead of after the random delay, find far more: they
// have teeth.
func TestClause_4_StoredStatisticsCannotBeJoined(t *testing.T) {
	t.Parallel()
	const bound = 18
	total := make([]int, len(attacks))
	right, chance := 0, 0.0
	for seed := range uint64(rounds) {
		devices, dir := simulate(t, seed, func(r *rand.Rand, _ time.Duration) time.Duration {
			return 7*policy.Day + time.Duration(r.Int64N(int64(6*policy.Day))) // the end of the week, and the random delay
		})
		for i, n := range attack(t, devices, dir) {
			total[i] += n
		}
		n, expected := guess(t, devices, dir)
		right, chance = right+n, chance+expected
	}
	t.Logf("by value: %d of %d guesses are right, %.1f by chance", right, rounds*crowd, chance)
	if float64(right) > chance+4.5*math.Sqrt(chance) {
		t.Errorf("by value: %d of %d guesses are right, %.1f by chance", right, rounds*crowd, chance)
	}
	for i, a := range attacks {
		t.Logf("%s: %d of %d devices joined, %d by chance", a.name, total[i], rounds*crowd, rounds)
		if total[i] >= bound {
			t.Errorf("%s: %d of %d devices joined with their answers, want fewer than %d", a.name, total[i], rounds*crowd, bound)
		}
	}
	devices, dir := simulate(t, 99, func(_ *rand.Rand, last time.Duration) time.Duration { return last })
	if n := attack(t, devices, dir)[0]; n < crowd/2 {
		t.Errorf("the attack by order joins %d of %d answers that are sent at once: it shows nothing", n, crowd)
	}
}
