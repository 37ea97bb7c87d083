package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/scruple-agent/scruple/configs"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
	"github.com/scruple-agent/scruple/uploader/wire"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"scruple-receiver": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("LANG", "en_US.UTF-8")
			return os.WriteFile(filepath.Join(env.WorkDir, "example.yaml"), configs.PolicyYAML, 0o600)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			// appears FILE waits until a file is there and has a line.
			"appears": func(ts *testscript.TestScript, neg bool, args []string) {
				for range 1000 {
					if b, err := os.ReadFile(ts.MkAbs(args[0])); err == nil && bytes.HasSuffix(b, []byte("\n")) {
						return
					}
					time.Sleep(10 * time.Millisecond)
				}
				ts.Fatalf("%s does not appear", args[0])
			},
			// exits CODE COMMAND ARGS... runs the command in this process and compares its exit code.
			"exits": func(ts *testscript.TestScript, neg bool, args []string) {
				var out, errs bytes.Buffer
				cmd := args[1:]
				for i, a := range cmd {
					if i > 0 && cmd[i-1] == "--dir" {
						cmd[i] = ts.MkAbs(a)
					}
				}
				code := run(context.Background(), cmd, ts.Getenv, strings.NewReader(""), &out, &errs)
				_, _ = ts.Stdout().Write(out.Bytes())
				_, _ = ts.Stderr().Write(errs.Bytes())
				if want := args[0]; want != string(rune('0'+code)) {
					ts.Fatalf("exit code %d, want %s\n%s", code, want, errs.String())
				}
			},
		},
	})
}

// show works while the receiver serves: counts without --open, contents with it, and the opening is recorded.
func TestShowWhileServing(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	c := r.Client(t, "device", "service")
	c.Give(t)
	const canary = "canary-77aa01"
	c.Receipt(t, c.Send(t, wire.Item{Time: 1784000000, Fields: map[string]any{"model": canary}}))
	gone := r.Client(t, "steps", "compare")
	gone.Give(t)
	gone.Withdraw(t, true)

	show := func(args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		args = append([]string{"show", "--dir", r.Dir}, args...)
		if code := run(t.Context(), args, func(string) string { return "" }, nil, &out, &errs); code != exitDone {
			t.Fatalf("%v: exit code %d: %s", args, code, errs.String())
		}
		return out.String()
	}
	var list []held
	if err := json.Unmarshal([]byte(show("--json")), &list); err != nil || len(list) != 2 {
		t.Fatalf("got %d holdings, %v; want 2", len(list), err)
	}
	for _, h := range list {
		switch h.Consent {
		case c.Consent:
			if h.Batches != 1 || h.Items != 1 || h.Category != "device" || h.Status != "given" || h.Stored != nil {
				t.Errorf("got %+v", h)
			}
		case gone.Consent:
			if h.Batches != 0 || h.Category != "" || h.Status != "withdrawn" {
				t.Errorf("got %+v", h)
			}
		}
	}
	if text := show(); strings.Contains(text, canary) || !strings.Contains(text, "device/service") || !strings.Contains(text, "(erased)") {
		t.Errorf("counts: got %s", text)
	}
	if text := show("--accesses"); strings.Contains(text, "show --open") {
		t.Errorf("accesses before: got %s", text)
	}
	if text := show("--fields"); strings.Contains(text, canary) || !strings.Contains(text, "\tmodel\t1\n") {
		t.Errorf("fields: got %s", text)
	}
	if text := show("--accesses"); !strings.Contains(text, "show --fields") {
		t.Errorf("accesses after counting fields: got %s", text)
	}
	if text := show("--open", "--json"); !strings.Contains(text, canary) {
		t.Errorf("opened: got %s", text)
	}
	if text := show("--accesses"); !strings.Contains(text, "show --open") || !strings.Contains(text, c.Consent.String()) {
		t.Errorf("accesses after: got %s", text)
	}
}

func FuzzUsers(f *testing.F) {
	f.Add([]byte("ann,+12025550101\nbob,bob@example.com\n"))
	f.Add([]byte(",\n,,\n@"))
	say := language(nil, func(string) string { return "" })
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := parseUsers(bytes.NewReader(b), say)
		if err == nil && len(list) > bytes.Count(b, []byte("\n"))+1 {
			t.Errorf("got %d users from %d lines", len(list), bytes.Count(b, []byte("\n"))+1)
		}
	})
}

func TestUsersBadLines(t *testing.T) {
	say := language(nil, func(string) string { return "" })
	for name, text := range map[string]string{
		"no comma":  "ann,+12025550101\ncanary-1\n",
		"long line": "ann," + strings.Repeat("canary-1", 1000),
	} {
		if _, err := parseUsers(strings.NewReader(text), say); err == nil || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%s: got %v, want an error with the line and without the value", name, err)
		}
	}
	if _, err := parseUsers(failing{}, say); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v, want the reader's error", err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, os.ErrClosed }

// TestAnalyticsTable shows what the answers say, as a table and as JSON.
func TestAnalyticsTable(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	e, err := r.Policy.Effective("crash", "statistics")
	if err != nil {
		t.Fatal(err)
	}
	q := e.Questions()[0]
	tr := r.Client(t, "crash", "statistics").HTTP.Transport.(*http.Transport).Clone()
	tr.TLSClientConfig.Certificates = nil
	defer tr.CloseIdleConnections()
	for i := range uint(10) {
		body, err := wire.EncodeAnswer(wire.Answer{
			Version: 1, ID: wire.NewUUID(), Category: "crash", Purpose: "statistics", Field: q.Field, Question: q.Tag(), Range: i / 5,
		})
		if err != nil {
			t.Fatal(err)
		}
		resp, err := (&http.Client{Transport: tr}).Post(r.URL+"/v1/analytics", "application/cbor", bytes.NewReader(body))
		if err != nil || resp.StatusCode != http.StatusNoContent {
			t.Fatal(resp, err)
		}
		resp.Body.Close()
	}
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"analytics", "--dir", r.Dir}, func(string) string { return "" }, nil, &out, &errs); code != exitDone {
		t.Fatal(errs.String())
	}
	for _, want := range []string{"crash/statistics  crashes", "0 ", "1-9 ", "100+ ", "108.2 %"} { // (0.5 - 0.175) / (0.475 - 0.175)
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table has no %q:\n%s", want, out.String())
		}
	}
	out.Reset()
	if code := run(t.Context(), []string{"analytics", "--dir", r.Dir, "--json"}, func(string) string { return "" }, nil, &out, &errs); code != exitDone {
		t.Fatal(errs.String())
	}
	var list []struct {
		Answers int `json:"answers"`
		Ranges  []struct {
			Share float64 `json:"share"`
			Error float64 `json:"standard_error"`
		} `json:"ranges"`
	}
	if err := json.Unmarshal(out.Bytes(), &list); err != nil || len(list) != 1 || list[0].Answers != 10 || len(list[0].Ranges) != 4 || list[0].Ranges[0].Error <= 0 {
		t.Errorf("%s, %v", out.String(), err)
	}
}
