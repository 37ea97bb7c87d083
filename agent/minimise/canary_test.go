package minimise_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"pgregory.net/rapid"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/agent/minimise"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/configs"
	"github.com/scruple-agent/scruple/hasher/canonical"
	"github.com/scruple-agent/scruple/sensors/accel"
	"github.com/scruple-agent/scruple/sensors/contacts/vcard"
	"github.com/scruple-agent/scruple/sensors/location"
	"github.com/scruple-agent/scruple/sensors/steps"
	"github.com/scruple-agent/scruple/uploader/spool"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// house is everything a raw value could get into: reports, the spool's files, batches, log lines, errors.
type house struct {
	desk  *consenttest.Desk
	spool *spool.Spool
	log   *zap.Logger
	logs  *observer.ObservedLogs
	texts []string // everything printed
	bytes [][]byte // everything stored or sent, in the clear where it can be opened
	seen  [][]byte // spellings of the canaries of all runs
}

func newHouse(t *testing.T, doc *policy.Document) *house {
	h := &house{desk: consenttest.Setup(t, doc)}
	var err error
	if h.spool, err = spool.Open(filepath.Join(h.desk.Dir, "spool"), h.desk.Ring, spool.Limits{}); err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zap.DebugLevel)
	h.log, h.logs = zap.New(core), logs
	return h
}

// print does to a raw value what careless code does.
func (h *house) print(v any) {
	b, _ := json.Marshal(v)
	h.texts = append(h.texts, fmt.Sprint(v), fmt.Sprintf("%+v %#v %x %q", v, v, v, v), string(b))
	h.log.Debug("raw", zap.Any("v", v), zap.Reflect("r", v))
	h.log.Sugar().Errorf("raw %v", v)
}

func (h *house) fail(err error) {
	if err != nil {
		h.texts = append(h.texts, err.Error(), fmt.Sprintf("%+v", err))
		h.log.Warn("failed", zap.Error(err))
	}
}

// take stores a report and sends it, as far as the batch.
func (h *house) take(t *rapid.T, p consent.Permit, r minimise.Report) {
	h.print(r)
	h.bytes = append(h.bytes, r.Encode())
	if err := h.spool.Append(p, r); err != nil {
		t.Fatal(err)
	}
	sending, err := h.spool.Next(p.Consent())
	if err != nil {
		t.Fatal(err)
	}
	plain, err := wire.Decompress(sending.Body)
	if err != nil {
		t.Fatal(err)
	}
	h.bytes = append(h.bytes, sending.Body, plain)
	if err := h.spool.Acked(p.Consent(), sending.ID); err != nil {
		t.Fatal(err)
	}
}

// spellings are how a value could survive.
func spellings(raw []byte) [][]byte {
	return [][]byte{
		raw, []byte(hex.EncodeToString(raw)), []byte(strings.ToUpper(hex.EncodeToString(raw))), []byte(base64.StdEncoding.EncodeToString(raw)),
	}
}

// search looks for every canary, in every spelling, in everything that was printed, stored or sent since the last search.
func (h *house) search(t *rapid.T, canaries map[string][]byte) {
	for _, e := range h.logs.TakeAll() {
		h.texts = append(h.texts, e.Message, fmt.Sprint(e.ContextMap()))
	}
	all := append(h.bytes, []byte(strings.Join(h.texts, "\n")))
	for name, raw := range canaries {
		for _, spelled := range spellings(raw) {
			for _, b := range all {
				if bytes.Contains(b, spelled) {
					t.Fatalf("%s survived", name)
				}
			}
			h.seen = append(h.seen, spelled)
		}
	}
	h.texts, h.bytes = nil, nil
}

// searchDisk looks for every canary of all runs in every file name and file: ring, ledgers, spool.
func (h *house) searchDisk(t *testing.T) {
	files := 0
	err := filepath.WalkDir(h.desk.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		for _, spelled := range h.seen {
			if bytes.Contains(b, spelled) || strings.Contains(path, string(spelled)) {
				t.Errorf("a canary survived on disk")
			}
		}
		return err
	})
	if err != nil || files == 0 || len(h.seen) == 0 {
		t.Errorf("looked for %d spellings in %d files: %v", len(h.seen), files, err)
	}
}

func shipped(t *testing.T) *policy.Document {
	t.Helper()
	doc, err := policy.Parse("policy.yaml", configs.PolicyYAML)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// number adds the forms that a coordinate or an acceleration could survive in.
func number(canaries map[string][]byte, name string, v float64) {
	var bits [8]byte
	binary.BigEndian.PutUint64(bits[:], math.Float64bits(v))
	canaries[name+" (bits)"] = bits[:]
	canaries[name+" (text)"] = []byte(strconv.FormatFloat(v, 'f', 5, 64))
}

// TestNoCanarySurvivesContacts: names, numbers, addresses, labels, notes and photos of random cards, some damaged.
func TestNoCanarySurvivesContacts(t *testing.T) {
	doc := shipped(t)
	h := newHouse(t, doc)
	tuple := consenttest.Tuple(t, doc, "contacts", "find-friends")
	consenttest.Give(t, h.desk.Register, tuple)
	p := consenttest.PermitFrom(t, h.desk.Register, tuple)
	epochKey := bytes.Repeat([]byte{7}, 32)
	rapid.Check(t, func(t *rapid.T) {
		canaries := map[string][]byte{}
		letters := func(name string) string {
			s := "Qx" + rapid.StringMatching(`[A-Z][a-z]{9}`).Draw(t, name)
			canaries[name] = []byte(s)
			return s
		}
		var card strings.Builder
		number := "+1202555" + rapid.StringMatching(`01[0-9]{2}`).Draw(t, "number")
		canaries["number"] = []byte(number)
		canaries["number without plus"] = []byte(number[1:])
		local := letters("address")
		canaries["address in lower case"] = []byte(strings.ToLower(local))
		version := rapid.SampledFrom([]string{"2.1", "3.0", "4.0"}).Draw(t, "version")
		fmt.Fprintf(&card, "BEGIN:VCARD\r\nVERSION:%s\r\nFN:%s\r\nN:%s;%s\r\nTEL;TYPE=%s:%s\r\nEMAIL:%s@example.com\r\nNOTE:%s\r\nPHOTO;ENCODING=b:%s\r\nitem1.X-%s:%s\r\n",
			version, letters("name"), letters("family"), letters("given"), letters("label"), number, local, letters("note"),
			letters("photo"), letters("property"), letters("custom"))
		if rapid.Bool().Draw(t, "bad number") {
			fmt.Fprintf(&card, "TEL:%s\r\n", letters("no number"))
		}
		if rapid.Bool().Draw(t, "bad address") {
			fmt.Fprintf(&card, "EMAIL:%s@@%s\r\n", letters("no address"), letters("no domain"))
		}
		card.WriteString("END:VCARD\r\n")
		text := card.String()
		if rapid.Bool().Draw(t, "cut") {
			text = text[:rapid.IntRange(0, len(text)).Draw(t, "at")]
		}
		now := time.Now()
		pass, err := minimise.NewContacts(p, "US", wire.Epoch{
			ID: 1, NotBefore: now.Unix() - 1, NotAfter: now.Unix() + 100, Mode: "keyed", Length: 16, Form: canonical.PhoneForm, Key: epochKey,
		}, now)
		if err != nil {
			t.Fatal(err)
		}
		reader := vcard.NewReader(strings.NewReader(text))
		for {
			v, err := reader.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				h.fail(err)
				break
			}
			h.print(v)
			h.fail(pass.Add(v.Kind, v.Bytes()))
		}
		h.print(reader.Stats())
		h.print(pass)
		report, err := pass.Report(bytes.Repeat([]byte{9}, 32), now)
		if err != nil {
			t.Fatal(err)
		}
		h.take(t, p, report)
		h.search(t, canaries)
	})
	h.searchDisk(t)
}

// TestNoCanarySurvivesSensors: coordinates, acceleration vectors, counter readings and exact times.
func TestNoCanarySurvivesSensors(t *testing.T) {
	doc := shipped(t)
	h := newHouse(t, doc)
	permit := func(category policy.CategoryID, purpose policy.PurposeID) consent.Permit {
		tuple := consenttest.Tuple(t, doc, category, purpose)
		consenttest.Give(t, h.desk.Register, tuple)
		return consenttest.PermitFrom(t, h.desk.Register, tuple)
	}
	motion, walking, place := permit("accelerometer", "gravity"), permit("steps", "compare"), permit("location", "nearby")
	rapid.Check(t, func(t *rapid.T) {
		canaries := map[string][]byte{}
		// Away from round numbers, so that a match is no coincidence.
		exact := func(name string, limit float64) float64 {
			v := rapid.Float64Range(-limit, limit).Draw(t, name) + 0.012345678
			number(canaries, name, v)
			return v
		}
		now := time.Now()

		fix := location.Fix{Time: now, Lat: exact("latitude", 80), Lon: exact("longitude", 170), Accuracy: 4}
		h.print(fix)
		var l minimise.Location
		if r, told, err := l.Add(place, fix, now); err != nil {
			t.Fatal(err)
		} else if told {
			h.take(t, place, r)
		}
		h.print(l)

		burst := make([]accel.Sample, 3)
		for i := range burst {
			burst[i] = accel.Sample{Time: now, X: exact(fmt.Sprint("x", i), 20), Y: exact(fmt.Sprint("y", i), 20), Z: exact(fmt.Sprint("z", i), 20)}
			h.print(burst[i])
		}
		var m minimise.Motion
		m.Add(burst)
		r, err := m.Report(motion, now)
		if err != nil {
			t.Fatal(err)
		}
		h.take(t, motion, r)

		before := rapid.Uint64Range(1_000_000_000, 2_000_000_000).Draw(t, "counter")
		canaries["counter"] = strconv.AppendUint(nil, before, 10)
		var s minimise.Steps
		for _, reading := range []steps.Sample{{Time: now, Counter: before}, {Time: now, Counter: before + 137}} {
			h.print(reading)
			if _, _, err := s.Add(walking, reading); err != nil {
				t.Fatal(err)
			}
		}
		if r, err = s.Report(walking); err != nil {
			t.Fatal(err)
		}
		h.take(t, walking, r)
		h.search(t, canaries)
	})
	h.searchDisk(t)
}
