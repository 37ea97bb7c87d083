package configs_test

import (
	"crypto/sha256"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/agent/settings"
	"github.com/scruple-agent/scruple/configs"
)

// TestSettingsAreTheDefaults keeps the documented file and the program together: every key is there, with the
// value it has when it is left out.
func TestSettingsAreTheDefaults(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("XDG_STATE_HOME", filepath.Join(dir, "state"))
	t.Setenv("XDG_RUNTIME_DIR", "")
	load := func(name, text string) settings.Settings {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := settings.Load(file, nil)
		if err != nil {
			t.Fatal(err)
		}
		s.File = ""
		return s
	}
	got := load("shipped.yaml", string(configs.SettingsYAML))
	want := load("empty.yaml", "version: 1\n")
	if len(got.Contacts.Paths) == 0 {
		got.Contacts.Paths = want.Contacts.Paths // an empty list and none mean the same
	}
	if len(got.Contacts.Evolution) == 0 {
		got.Contacts.Evolution = want.Contacts.Evolution
	}
	if len(got.PolicyLayers) == 0 {
		got.PolicyLayers = want.PolicyLayers
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the shipped settings are not the defaults:\ngot  %+v\nwant %+v", got, want)
	}
	for _, key := range keysOf(reflect.TypeFor[settings.Settings]()) {
		if !strings.Contains("\n"+strings.ReplaceAll(string(configs.SettingsYAML), "  ", ""), "\n"+key+":") {
			t.Errorf("the shipped settings do not show the key %s", key)
		}
	}
}

func keysOf(t reflect.Type) []string {
	var out []string
	for f := range t.NumField() {
		switch key := t.Field(f).Tag.Get("mapstructure"); {
		case key == "-":
		case t.Field(f).Type.Kind() == reflect.Struct:
			out = append(out, append(keysOf(t.Field(f).Type), key)...)
		default:
			out = append(out, key)
		}
	}
	return out
}

// TestPlaceholders shows that the example's keys and pins are sums of sentences, so that nobody holds a private half.
func TestPlaceholders(t *testing.T) {
	d, err := policy.Parse("policy.yaml", configs.PolicyYAML)
	if err != nil {
		t.Fatal(err)
	}
	sum := func(what, who string) []byte {
		h := sha256.Sum256([]byte("placeholder " + what + " of " + who + ": no private half"))
		return h[:]
	}
	for _, c := range d.Controllers {
		key, err := base64.StdEncoding.DecodeString(c.Key[strings.LastIndex(c.Key[:len(c.Key)-44], "+")+1:])
		if err != nil || len(key) != 33 || string(key[1:]) != string(sum("key", string(c.ID))) {
			t.Errorf("the key of %s is not the documented placeholder", c.ID)
		}
		want := []string{
			"sha256/" + base64.StdEncoding.EncodeToString(sum("pin", string(c.ID))),
			"sha256/" + base64.StdEncoding.EncodeToString(sum("backup pin", string(c.ID))),
		}
		if !reflect.DeepEqual(c.Pins, want) {
			t.Errorf("the pins of %s are not the documented placeholders", c.ID)
		}
	}
}

// TestUnitIsHardened asks systemd itself. Above 1.2 (of 10) something was loosened.
func TestUnitIsHardened(t *testing.T) {
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("MISSING: systemd-analyze, so the unit's exposure was not rated")
	}
	file := filepath.Join(t.TempDir(), "scruple@person.service")
	if err := os.WriteFile(file, configs.Unit, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tool, "security", "--no-pager", "--offline=yes", "--threshold=12", file).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze: %v\n%s", err, out)
	}
}
