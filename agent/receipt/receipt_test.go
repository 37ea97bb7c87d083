package receipt_test

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/agent/receipt"
	"github.com/scruple-agent/scruple/configs"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// life lets a person go through everything there are receipts of, under the example policy, and returns the receipts by
// tuple and event with the ledger keys of both controllers.
func life(t testing.TB) (receipts map[string][]byte, keys map[policy.ControllerID]string) {
	t.Helper()
	doc, err := policy.Parse("policy.yaml", configs.PolicyYAML)
	if err != nil {
		t.Fatal(err)
	}
	d := consenttest.Setup(t, doc)
	reg := d.Register
	tuple := func(name string) policy.Tuple {
		tuple, err := doc.Tuple(consenttest.Subject, name)
		if err != nil {
			t.Fatal(err)
		}
		return tuple
	}
	ok := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	show := func(name string, lang policy.Lang) {
		_, err := reg.Show(tuple(name), lang, consenttest.Person)
		ok(err)
	}
	consenttest.Give(t, reg, tuple("steps/compare"))
	ok(reg.Withdraw(tuple("steps/compare"), true, consenttest.Person))
	show("contacts/find-friends", policy.LangZH)
	ok(reg.Refuse(tuple("contacts/find-friends"), consenttest.Person))
	show("location/nearby", policy.LangEN)
	ok(reg.Defer(tuple("location/nearby"), consenttest.Person))
	ok(reg.Refuse(tuple("device/service"), consenttest.Person)) // never shown
	consenttest.Give(t, reg, tuple("payment/pay"))
	consenttest.Give(t, reg, tuple("accelerometer/gravity"))
	ok(reg.Sweep(reg.State(tuple("accelerometer/gravity")).Expiry))

	receipts, keys = map[string][]byte{}, map[policy.ControllerID]string{}
	for _, tu := range doc.Tuples(consenttest.Subject) {
		list, err := receipt.Export(reg, tu)
		ok(err)
		for _, r := range list {
			receipts[tu.String()+" "+string(r.Event)] = r.File
		}
	}
	for _, c := range []policy.ControllerID{"messenger", "payments"} {
		key, err := reg.LedgerKey(c)
		ok(err)
		keys[c] = key
	}
	return receipts, keys
}

func controllerOf(name string) policy.ControllerID {
	if strings.HasPrefix(name, "payment") {
		return "payments"
	}
	return "messenger"
}

// Every kind of record gives a receipt that is verified by us and by the program in another language, with the key and
// without it, and says what happened.
func TestReceiptsOfEveryEvent(t *testing.T) {
	receipts, keys := life(t)
	verified := map[string][][]byte{}
	for name, want := range map[string]receipt.Verified{
		"steps/compare requested":       {Lang: "en", Person: true},
		"steps/compare given":           {Lang: "en", Person: true},
		"steps/compare withdrawn":       {Lang: "en", Person: true},
		"contacts/find-friends refused": {Lang: "zh-CN", Person: true},
		"location/nearby deferred":      {Lang: "en", Person: true},
		"device/service refused":        {Person: true},
		"payment/pay given":             {Lang: "en", Person: true},
		"accelerometer/gravity expired": {Lang: "en"},
	} {
		file := receipts[name]
		if file == nil {
			t.Errorf("%s: no receipt; there are %v", name, slices.Sorted(maps.Keys(receipts)))
			continue
		}
		for _, key := range []string{keys[controllerOf(name)], ""} {
			got, err := receipt.Verify(file, key)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if got.Tuple+" "+got.Event != name || got.Lang != want.Lang || got.Person != want.Person || got.KeyGiven != (key != "") ||
				(got.Notice == "") != (want.Lang == "") || got.Expiry.IsZero() != (got.Event != "given") {
				t.Errorf("%s: %+v", name, got)
			}
			verified[key] = append(verified[key], file)
		}
	}
	for key, files := range verified {
		for _, part := range inPython(t, key, files...) {
			if part != "" {
				t.Errorf("verify.py: %s", part)
			}
		}
	}
}

// inPython returns what verify.py says of each file: "" for verified, else the part that does not hold. It runs once for
// all of them: most of the time is Python's start.
func inPython(t testing.TB, key string, files ...[]byte) []string {
	t.Helper()
	const each = `
import runpy, sys
v = runpy.run_path("testdata/verify.py")
for path in sys.argv[2:]:
    with open(path, "rb") as f:
        try: v["verify"](f.read((1 << 20) + 1), sys.argv[1]); print("verified")
        except v["Fault"] as fault: print(str(fault).split(":")[0])
`
	dir := t.TempDir()
	args := []string{"-I", "-c", each, key}
	for i, file := range files {
		args = append(args, filepath.Join(dir, strconv.Itoa(i)))
		if err := os.WriteFile(args[len(args)-1], file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(python(t), args...).CombinedOutput()
	said := strings.Split(strings.TrimSuffix(strings.ReplaceAll(string(out), "verified", ""), "\n"), "\n")
	if err != nil || len(said) != len(files) {
		t.Fatalf("verify.py: %v: %s", err, out)
	}
	return said
}

func python(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("MISSING: python3, for the verifier in another language")
	}
	return path
}

// verify.py is a program: it takes a file and a key, and says by its exit code what a script needs to know.
func TestProgramInAnotherLanguage(t *testing.T) {
	receipts, keys := life(t)
	file := filepath.Join(t.TempDir(), "receipt.json")
	good := receipts["contacts/find-friends refused"]
	run := func(content []byte, args ...string) (out string, code int) {
		t.Helper()
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := exec.Command(python(t), append([]string{"-I", "testdata/verify.py", file}, args...)...).CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if exit != nil {
			code = exit.ExitCode()
		}
		return string(b), code
	}
	if out, code := run(good, keys["messenger"]); code != 0 || !strings.HasPrefix(out, "verified: refused contacts/find-friends at 20") {
		t.Errorf("good: %d, %s", code, out)
	}
	if out, code := run(good, keys["payments"]); code != 1 || !strings.HasPrefix(out, "not verified: key: ") {
		t.Errorf("another key: %d, %s", code, out)
	}
	if out, code := run(good[1:]); code != 1 || !strings.HasPrefix(out, "not verified: format: ") {
		t.Errorf("damaged: %d, %s", code, out)
	}
}

// identifier finds whatever could tell a person again: ids, hashes, keys, signatures, random bytes in base64.
var identifier = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32,}|[A-Za-z0-9+/]{22,}={0,2}`)

// No receipt carries an identifier that another one carries: what two receipts have in common is what everybody's
// receipts have in common, but for the ledger's key and the checkpoint, which are one controller's.
func TestNoReceiptCarriesAnIdentifierOfAnother(t *testing.T) {
	mine, keys := life(t)
	others, _ := life(t)
	common := map[string]bool{}
	for _, file := range others { // another person on another device
		for _, found := range identifiers(t, file) {
			common[found] = true
		}
	}
	carriers := map[string][]string{}
	for name, file := range mine {
		for _, found := range identifiers(t, file) {
			if !common[found] && !slices.Contains(carriers[found], name) {
				carriers[found] = append(carriers[found], name)
			}
		}
		if strings.Contains(string(file), `"`+string(consenttest.Subject)+`"`) {
			t.Errorf("%s: carries the account", name)
		}
	}
	if len(carriers) < 3*len(mine) {
		t.Fatalf("only %d identifiers were found: does the test still see them?", len(carriers))
	}
	for found, names := range carriers {
		ledger := false
		for _, key := range keys {
			ledger = ledger || strings.Contains(key, found)
		}
		if len(names) > 1 && !ledger {
			t.Errorf("%v carry the same %d characters", names, len(found))
		}
		if ledger && slices.ContainsFunc(names, func(n string) bool { return controllerOf(n) != controllerOf(names[0]) }) {
			t.Errorf("receipts of two controllers carry the same key: %v", names)
		}
	}
}

// identifiers returns what of a receipt could be one, the proof left out: neighbours in one tree share its hashes, which
// the package comment says.
func identifiers(t *testing.T, file []byte) []string {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(file, &doc); err != nil {
		t.Fatal(err)
	}
	evidence := doc["scruple:evidence"].(map[string]any)
	delete(evidence, "scruple:proof")
	record, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return identifier.FindAllString(string(record), -1)
}

// The ids of one record stay the same however often its receipt is exported, and the second export says what the first did.
func TestSecondExportIsTheSameReceipt(t *testing.T) {
	doc := consenttest.Document(t)
	reg := consenttest.New(t, doc)
	tuple := consenttest.Tuple(t, doc, "steps", "compare")
	consenttest.Give(t, reg, tuple)
	one, err := receipt.Export(reg, tuple)
	if err != nil {
		t.Fatal(err)
	}
	consenttest.Give(t, reg, consenttest.Tuple(t, doc, "device", "service")) // the ledger grows
	two, err := receipt.Export(reg, tuple)
	if err != nil || len(one) != len(two) || len(one) != 2 {
		t.Fatalf("%d and %d receipts: %v", len(one), len(two), err)
	}
	for i := range one {
		a, b := decode(t, one[i].File), decode(t, two[i].File)
		delete(a["scruple:evidence"].(map[string]any), "scruple:proof")
		delete(b["scruple:evidence"].(map[string]any), "scruple:proof")
		if !slices.Equal(encode(t, a), encode(t, b)) {
			t.Errorf("receipt %d differs", i)
		}
	}
}

// A receipt can be made after the policy has changed: the record brings the terms that were agreed to.
func TestReceiptAfterThePolicyChanged(t *testing.T) {
	doc := consenttest.Document(t)
	reg := consenttest.New(t, doc)
	tuple := consenttest.Tuple(t, doc, "steps", "compare")
	consenttest.Give(t, reg, tuple)
	changed := consenttest.Document(t)
	changed.Version = 2
	changed.Controllers[0].Contact = "other@example.com"
	changed.Categories[3].Purposes[0].Device = policy.Retention{Until: policy.UntilWithdrawn}
	if err := reg.SetPolicy(changed); err != nil {
		t.Fatal(err)
	}
	if err := reg.Withdraw(tuple, false, consenttest.Person); err != nil {
		t.Fatal(err)
	}
	list, err := receipt.Export(reg, tuple)
	if err != nil || len(list) != 3 {
		t.Fatalf("%d receipts: %v", len(list), err)
	}
	for _, r := range list {
		text := string(r.File)
		if strings.Contains(text, "until withdrawn") {
			t.Errorf("%s: shows terms that were not agreed to", r.Event)
		}
		if want := r.Event == consent.EventWithdrawn; strings.Contains(text, "other@example.com") != want {
			t.Errorf("%s: shows a contact of another time", r.Event)
		}
	}
}

// There is no receipt of what is no event of a consent, nor of a question that showed nothing.
func TestNoReceiptOfOtherRecords(t *testing.T) {
	doc := consenttest.Document(t)
	reg := consenttest.New(t, doc)
	tuple := consenttest.Tuple(t, doc, "steps", "compare")
	if err := reg.Request(tuple, consenttest.App); err != nil {
		t.Fatal(err)
	}
	list, err := receipt.Export(reg, tuple)
	if err != nil || len(list) != 0 {
		t.Errorf("requested: %d receipts, %v", len(list), err)
	}
	consenttest.Give(t, reg, tuple)
	consenttest.AcknowledgeAll(t, reg, "messenger")
	if _, err := reg.Erase(tuple, consenttest.Person); err != nil {
		t.Fatal(err)
	}
	list, err = receipt.Export(reg, tuple)
	if err != nil || len(list) != 2 {
		t.Errorf("%d receipts, want those of the question and the consent: %v", len(list), err)
	}
	records, err := reg.Records("messenger")
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range records {
		if rec.Event != consent.EventErased && rec.Event != consent.EventAcknowledged {
			continue
		}
		in, err := reg.InclusionProof("messenger", rec.Seq)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := receipt.Make(receipt.Evidence{Statement: in.Statement, Salt: in.Salt, Proof: in.Proof}); !errors.Is(err, receipt.ErrNoReceipt) {
			t.Errorf("%s: %v", rec.Event, err)
		}
	}
	if _, err := receipt.Make(receipt.Evidence{Statement: []byte("no record")}); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("no record: %v", err)
	}
}

func decode(t testing.TB, file []byte) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(file, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func encode(t testing.TB, doc any) []byte {
	t.Helper()
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
