package settings

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// clean gives the test an account without any setting.
func clean(t *testing.T) (home string) {
	t.Helper()
	for _, entry := range os.Environ() {
		if name, value, _ := strings.Cut(entry, "="); strings.HasPrefix(name, EnvPrefix) {
			t.Setenv(name, value) // so that it comes back
			os.Unsetenv(name)
		}
	}
	home = t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, "config"))
	t.Setenv("XDG_STATE_HOME", filepath.Join(home, "state"))
	t.Setenv("XDG_RUNTIME_DIR", "")
	return home
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "scruple.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// inAccount returns the defaults as they are for the account of clean.
func inAccount(home, file string) Settings {
	s := Defaults()
	s.StateDir = filepath.Join(home, "state", "scruple")
	s.Socket = filepath.Join(s.StateDir, "run", "scruple.sock")
	s.File = file
	return s
}

func TestDefaults(t *testing.T) {
	home := clean(t)
	for name, file := range map[string]string{"no file": "", "only the version": write(t, "version: 1\n")} {
		got, err := Load(file, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if want := inAccount(home, file); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got\n%+v\nwant\n%+v", name, got, want)
		}
	}
}

// TestOrder: flag over environment over file over default, key by key.
func TestOrder(t *testing.T) {
	home := clean(t)
	file := write(t, `version: 1
language: zh-CN
region: CN
iio_root: /from/file
gpsd: ""
dev: true
contacts:
  paths: [/a, /b]
log: {level: warn, format: json}
upload: {slot: 30m}
`)
	t.Setenv("SCRUPLE_IIO_ROOT", "/from/environment")
	t.Setenv("SCRUPLE_LOG_LEVEL", "error")
	t.Setenv("SCRUPLE_CONTACTS_PATHS", "/c"+string(filepath.ListSeparator)+"/d")
	t.Setenv("SCRUPLE_UPLOAD_SLOT", "10m")
	t.Setenv("SCRUPLE_DEV", "")
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.String("lang", "", "")
	flags.String("log-level", "", "")
	flags.Duration("upload-slot", 0, "")
	flags.String("unrelated", "", "")
	if err := flags.Parse([]string{"--log-level=debug", "--upload-slot=0", "--unrelated=x"}); err != nil {
		t.Fatal(err)
	}
	got, err := Load(file, flags)
	if err != nil {
		t.Fatal(err)
	}
	want := inAccount(home, file)
	want.Language, want.Region, want.IIORoot, want.GPSD, want.Dev = "zh-CN", "CN", "/from/environment", "", true
	want.Contacts.Paths = []string{"/c", "/d"}
	want.Log, want.Upload.Slot = Log{"debug", "json"}, 0
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

// TestSetStateDirHasItsOwnSocket: two daemons with two state folders never share a socket.
func TestSetStateDirHasItsOwnSocket(t *testing.T) {
	clean(t)
	t.Setenv("XDG_RUNTIME_DIR", "/run/user/1000")
	t.Setenv("SCRUPLE_STATE_DIR", "/tmp/one")
	s, err := Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.Socket != filepath.FromSlash("/tmp/one/run/scruple.sock") {
		t.Errorf("socket %s", s.Socket)
	}
}

// TestRelativePaths: only a flag may be relative, to the folder of the person who types it.
func TestRelativePaths(t *testing.T) {
	clean(t)
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.String("state-dir", "", "")
	flags.StringSlice("contacts", nil, "")
	flags.Parse([]string{"--state-dir=here", "--contacts=book.vcf,/x"})
	s, err := Load("", flags)
	if err != nil {
		t.Fatal(err)
	}
	wd, _ := os.Getwd()
	want := []string{filepath.Join(wd, "book.vcf"), "/x"}
	if s.StateDir != filepath.Join(wd, "here") || !reflect.DeepEqual(s.Contacts.Paths, want) {
		t.Errorf("state %s, contacts %v", s.StateDir, s.Contacts.Paths)
	}
}

// TestFaults: each names the file and line, or the variable, and the key; none repeats the value.
func TestFaults(t *testing.T) {
	const canary = "CANARY"
	for _, c := range []struct {
		name, file string
		env        [2]string
		want       string // "LINE: key: problem" for the file, whole for a variable
	}{
		{name: "no version", file: "dev: true\n", want: ":1: version: missing"},
		{name: "empty", file: "", want: ":1: version: missing"},
		{name: "only a comment", file: "# CANARY\n", want: ":1: version: missing"},
		{name: "another version", file: "version: 2\n", want: ":1: version: this program reads version 1"},
		{name: "unknown key", file: "version: 1\nstate_dri: /CANARY\n", want: ":2: state_dri: unknown key; the keys are version, state_dir"},
		{name: "other case", file: "version: 1\nRegion: CN\n", want: ":2: Region: unknown key; the key is region"},
		{name: "hyphen", file: "version: 1\nstate-dir: /CANARY\n", want: ":2: state-dir: unknown key; the key is state_dir"},
		{name: "unknown nested key", file: "version: 1\nlog:\n  colour: CANARY\n", want: ":3: log.colour: unknown key"},
		{name: "dotted key", file: "version: 1\nlog.level: debug\n", want: ":2: a key that is no name"},
		{name: "twice", file: "version: 1\nregion: CN\nregion: US\n", want: ":3: region: twice; first at "},
		{name: "section twice", file: "version: 1\nlog: {level: info}\nlog: {level: warn}\n", want: ":3: log: twice"},
		{name: "secret", file: "version: 1\nepoch_key: CANARY\n", want: ":2: epoch_key: settings hold no secrets"},
		{name: "nested secret", file: "version: 1\ncontacts:\n  pepper: CANARY\n", want: ":3: contacts.pepper: settings hold no secrets"},
		{name: "password", file: "version: 1\ncontacts:\n  carddav:\n    password: CANARY\n", want: ":4: contacts.carddav.password: settings hold no secrets; name the file"},
		{name: "password in address", file: "version: 1\ncontacts: {carddav: {url: \"https://ada:CANARY@dav.example.com/\"}}\n", want: ":2: contacts.carddav.url: not an https address"},
		{name: "address without TLS", file: "version: 1\ncontacts: {carddav: {url: \"http://CANARY.example.com/\"}}\n", want: ":2: contacts.carddav.url: not an https address"},
		{name: "user without password", file: "version: 1\ncontacts: {carddav: {url: \"https://dav.example.com/\", user: CANARY}}\n", want: ":2: contacts.carddav.password_file: missing"},
		{name: "user without address", file: "version: 1\ncontacts: {carddav: {user: CANARY, password_file: /CANARY}}\n", want: ":2: contacts.carddav.url: missing"},
		{name: "relative password file", file: "version: 1\ncontacts: {carddav: {url: \"https://dav.example.com/\", password_file: CANARY}}\n", want: ":2: contacts.carddav.password_file: not an absolute path"},
		{name: "private policy key", file: "version: 1\npolicy_key: PRIVATE+KEY+CANARY+1+2\n", want: ":2: policy_key: this is the private half"},
		{name: "no policy key", file: "version: 1\npolicy_key: CANARY\n", want: ":2: policy_key: not NAME+HASH+KEY"},
		{name: "no policy key file", file: "version: 1\npolicy_key: /CANARY/x\n", want: ":2: policy_key: the file cannot be read"},
		{name: "of the policy", file: "version: 1\nendpoint: https://CANARY\n", want: ":2: endpoint: the policy alone decides"},
		{name: "list for text", file: "version: 1\nregion: [CANARY]\n", want: ":2: region: not a single value"},
		{name: "number for text", file: "version: 1\nregion: 86\n", want: ":2: region: not a text"},
		{name: "text for list", file: "version: 1\ncontacts:\n  paths: /CANARY\n", want: ":3: contacts.paths: not a list"},
		{name: "number in list", file: "version: 1\ncontacts:\n  paths: [1]\n", want: ":3: contacts.paths: an item"},
		{name: "empty path", file: "version: 1\ncontacts: {paths: [\"\"]}\n", want: ":2: contacts.paths: an empty path"},
		{name: "text for bool", file: "version: 1\ndev: \"CANARY\"\n", want: ":2: dev: not true or false"},
		{name: "text for number", file: "version: CANARY\n", want: ":1: version: not a whole number"},
		{name: "no duration", file: "version: 1\nupload: {slot: CANARY}\n", want: ":2: upload.slot: not a duration"},
		{name: "number without unit", file: "version: 1\nupload: {slot: 30}\n", want: ":2: upload.slot: not a duration"},
		{name: "long slot", file: "version: 1\nupload:\n  slot: 48h\n", want: ":3: upload.slot: not between 0 and 24h"},
		{name: "negative slot", file: "version: 1\nupload:\n  slot: -1s\n", want: ":3: upload.slot: not between 0 and 24h"},
		{name: "null", file: "version: 1\nregion:\n", want: ":2: region: no value"},
		{name: "language", file: "version: 1\nlanguage: CANARY\n", want: ":2: language: the languages are zh-CN and en"},
		{name: "region", file: "version: 1\nregion: canary\n", want: ":2: region: not two capital letters"},
		{name: "level", file: "version: 1\nlog: {level: CANARY}\n", want: ":2: log.level: the levels are"},
		{name: "format", file: "version: 1\nlog: {format: CANARY}\n", want: ":2: log.format: the formats are"},
		{name: "gpsd", file: "version: 1\ngpsd: CANARY\n", want: ":2: gpsd: not host:port"},
		{name: "gpsd port", file: "version: 1\ngpsd: \"CANARY:0\"\n", want: ":2: gpsd: not host:port"},
		{name: "relative", file: "version: 1\nstate_dir: CANARY\n", want: ":2: state_dir: not an absolute path"},
		{name: "alias", file: "version: 1\nregion: &a CN\nlanguage: *a\n", want: ":3: language: anchors and aliases"},
		{name: "not a mapping", file: "- CANARY\n", want: ":1: not a mapping"},
		{name: "section is a text", file: "version: 1\nlog: CANARY\n", want: ":2: log: not a mapping"},
		{name: "not YAML", file: "version: 1\nregion: \"CANARY\n", want: ": not YAML"},
		{name: "tab", file: "version: 1\n\tregion: CANARY\n", want: ":2: not YAML"},
		{name: "binary", file: "\x00\x01CANARY", want: ": not YAML"},
		{name: "two documents", file: "version: 1\n---\nCANARY: 1\n", want: ": more than one document"},
		{name: "a secret in place of a key", file: "version: 1\nCANARY+CANARY/CANARY=: 1\n", want: ":2: a key that is no name"},
		{name: "unknown variable", env: [2]string{"SCRUPLE_STATEDIR", "/CANARY"}, want: "environment SCRUPLE_STATEDIR: unknown key; the key is state_dir"},
		{name: "variable for a secret", env: [2]string{"SCRUPLE_EPOCH_KEY", "CANARY"}, want: "environment SCRUPLE_EPOCH_KEY: settings hold no secrets"},
		{name: "variable for the policy's", env: [2]string{"SCRUPLE_ENDPOINT", "CANARY"}, want: "environment SCRUPLE_ENDPOINT: the policy alone decides"},
		{name: "variable for the version", env: [2]string{"SCRUPLE_VERSION", "1"}, want: "environment SCRUPLE_VERSION: unknown key"},
		{name: "bool variable", env: [2]string{"SCRUPLE_DEV", "CANARY"}, want: "environment SCRUPLE_DEV: dev: not true or false"},
		{name: "duration variable", env: [2]string{"SCRUPLE_UPLOAD_SLOT", "CANARY"}, want: "environment SCRUPLE_UPLOAD_SLOT: upload.slot: not a duration"},
		{name: "level variable", env: [2]string{"SCRUPLE_LOG_LEVEL", "CANARY"}, want: "environment SCRUPLE_LOG_LEVEL: log.level: the levels are"},
		{name: "relative variable", env: [2]string{"SCRUPLE_SOCKET", "CANARY"}, want: "environment SCRUPLE_SOCKET: socket: not an absolute path"},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			clean(t)
			var file string
			if c.env[0] != "" {
				t.Setenv(c.env[0], c.env[1])
			} else {
				file = write(t, c.file)
			}
			s, err := Load(file, nil)
			var faults Faults
			if !errors.As(err, &faults) {
				t.Fatalf("got %+v, %v; want faults", s, err)
			}
			if got := faults.Error(); !strings.Contains(got, c.want) || !strings.HasPrefix(got, file) {
				t.Errorf("got %q, want %q", got, file+c.want)
			}
			if got := faults.Error(); strings.Contains(got, canary) {
				t.Errorf("repeats the value: %q", got)
			}
		})
	}
}

// TestAllFaultsAtOnce: one run shows everything that is wrong.
func TestAllFaultsAtOnce(t *testing.T) {
	clean(t)
	file := write(t, "version: 1\nwrong: 1\ndev: maybe\n")
	t.Setenv("SCRUPLE_WRONG", "1")
	_, err := Load(file, nil)
	var faults Faults
	if !errors.As(err, &faults) || len(faults) != 3 {
		t.Errorf("got %v, want three faults", err)
	}
}

// TestPolicyKeyFile: a key may lie in a file, its private half may not.
func TestPolicyKeyFile(t *testing.T) {
	clean(t)
	const key = "policy.example.com+1a2b3c4d+ARmnBdLUS/GkE3CX"
	t.Setenv("SCRUPLE_POLICY_KEY", write(t, key+"\n"))
	if s, err := Load("", nil); err != nil || s.PolicyKey != key {
		t.Errorf("got %q, %v", s.PolicyKey, err)
	}
	t.Setenv("SCRUPLE_POLICY_KEY", write(t, "PRIVATE+KEY+"+key))
	if _, err := Load("", nil); err == nil || !strings.Contains(err.Error(), "private half") || strings.Contains(err.Error(), key) {
		t.Errorf("the private half: %v", err)
	}
}

// TestFile: the named file must be there; of the others the first that exists counts.
func TestFile(t *testing.T) {
	home := clean(t)
	if _, err := Load(filepath.Join(home, "none.yaml"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a named file that is not there: %v", err)
	}
	t.Setenv(EnvConfig, write(t, "version: 1\nregion: GB\n"))
	if s, err := Load("", nil); err != nil || s.Region != "GB" {
		t.Errorf("by %s: %q, %v", EnvConfig, s.Region, err)
	}
	if s, err := Load(write(t, "version: 1\nregion: DE\n"), nil); err != nil || s.Region != "DE" {
		t.Errorf("named beside %s: %q, %v", EnvConfig, s.Region, err)
	}
	if _, err := Load(write(t, "version: 1\n"+strings.Repeat("#", 2<<20)), nil); err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
		t.Errorf("a large file: %v", err)
	}
}

// TestKeys: each key has a variable, a flag name, and its documentation on the field.
func TestKeys(t *testing.T) {
	source, err := os.ReadFile("settings.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		last := k.name[strings.LastIndex(k.name, ".")+1:]
		lines := strings.Split(string(source), "\n")
		for i, line := range lines {
			if strings.Contains(line, "`mapstructure:\""+last+"\"`") && !strings.Contains(lines[i-1], "//") {
				t.Errorf("%s has no documentation", k.name)
			}
		}
	}
	for name, want := range map[string]string{
		"language": "lang", "log.level": "log-level", "device_key_file": "device-key-file", "contacts.paths": "contacts", "none": "",
	} {
		if got := FlagName(name); got != want {
			t.Errorf("flag of %s: %q, want %q", name, got, want)
		}
	}
	if got, want := defaultOf("upload.slot"), time.Hour; got != want {
		t.Errorf("default of upload.slot: %v", got)
	}
}

// FuzzLoad: any file is settings or faults, and what is settings obeys the bounds.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		"version: 1\n", "version: 1\nlog: {level: debug}\n", "version: 1\ncontacts: {paths: [/a]}\nupload: {slot: 1h}\n",
		"version: 1\nregion: &a CN\nlanguage: *a\n", "? [a]\n: b\n", "version: !!int \"1\"\n", "{version: 1, version: 1}", "<<: {version: 1}\n", "\xef\xbb\xbfversion: 1",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := load("file", text, nil)
		var faults Faults
		switch {
		case err == nil && (s.Version != Version || s.Upload.Slot < 0 || s.Upload.Slot > 24*time.Hour || !filepath.IsAbs(s.Socket)):
			t.Errorf("accepted out of bounds: %+v", s)
		case err != nil && !errors.As(err, &faults):
			t.Errorf("not faults: %v", err)
		}
	})
}
