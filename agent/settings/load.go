package settings

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// Load reads the settings once. file is the one that the person named, which must be there; "" is the variable
// SCRUPLE_CONFIG, or else the first that exists of FilePaths. flags may be nil; those with the name of a key
// (FlagName) that were set count. The error is Faults, or one of the file system.
func Load(file string, flags *pflag.FlagSet) (Settings, error) {
	if file == "" {
		file = os.Getenv(EnvConfig)
	}
	named := file != ""
	candidates := []string{file}
	if !named {
		candidates = FilePaths()
	}
	var (
		text []byte
		err  error
	)
	for _, file = range candidates {
		text, err = readFile(file)
		if err == nil {
			return load(file, text, flags)
		}
		if named || !errors.Is(err, fs.ErrNotExist) {
			return Settings{}, err
		}
	}
	return load("", nil, flags)
}

// FilePaths lists where the settings file is looked for, first wins: the account's own, then the system's.
func FilePaths() []string {
	var list []string
	if dir, err := os.UserConfigDir(); err == nil && os.Geteuid() != 0 {
		list = append(list, filepath.Join(dir, "scruple", "scruple.yaml"))
	}
	return append(list, filepath.FromSlash("/etc/scruple/scruple.yaml"))
}

func load(file string, text []byte, flags *pflag.FlagSet) (Settings, error) {
	var faults Faults
	lines := map[string]string{}
	if file != "" {
		lines, faults = checkFile(file, text)
	}
	v := viper.New()
	v.SetConfigType("yaml")
	for _, k := range keys {
		v.SetDefault(k.name, defaultOf(k.name))
	}
	if len(faults) == 0 && file != "" {
		if err := v.ReadConfig(bytes.NewReader(text)); err != nil {
			faults.add(file, "", "not YAML")
		}
	}
	faults = append(faults, bindEnv(v, lines)...)
	faults = append(faults, bindFlags(v, lines, flags)...)
	if len(faults) > 0 {
		return Settings{}, faults
	}
	var s Settings
	hook := viper.DecodeHook(mapstructure.ComposeDecodeHookFunc(
		mapstructure.StringToTimeDurationHookFunc(), stringToPaths,
	))
	if err := v.UnmarshalExact(&s, hook); err != nil { // the text of err can hold a value
		return Settings{}, Faults{{"settings", "", "do not fit together"}}
	}
	s.File = file
	faults = s.check(lines)
	faults = append(faults, s.resolve(lines)...)
	return s, faults.orNil()
}

// defaultOf returns the default of a key from Defaults.
func defaultOf(name string) any {
	v := reflect.ValueOf(Defaults())
	for part := range strings.SplitSeq(name, ".") {
		for i := range v.NumField() {
			if v.Type().Field(i).Tag.Get("mapstructure") == part {
				v = v.Field(i)
				break
			}
		}
	}
	return v.Interface()
}

// bindEnv binds every key's variable, and refuses those with our prefix that are none: a mistyped one would
// else be silently without effect. The empty variable is as good as none.
func bindEnv(v *viper.Viper, where map[string]string) (faults Faults) {
	known := map[string]key{}
	for _, k := range keys {
		if k.name != "version" {
			known[k.env()] = k
		}
	}
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, EnvPrefix) || slices.Contains(otherEnv, name) {
			continue
		}
		k, ok := known[name]
		switch {
		case !ok:
			faults.add("environment "+name, "", unknown(strings.ToLower(strings.TrimPrefix(name, EnvPrefix))))
			continue
		case value == "":
			continue
		}
		where[k.name] = "environment " + name
		switch {
		case k.typ == durationType:
			if _, err := time.ParseDuration(value); err != nil {
				faults.add(where[k.name], k.name, notADuration)
			}
		case k.typ.Kind() == reflect.Bool:
			if _, err := strconv.ParseBool(value); err != nil {
				faults.add(where[k.name], k.name, notABool)
			}
		}
		v.MustBindEnv(k.name, name)
	}
	return faults
}

func bindFlags(v *viper.Viper, where map[string]string, flags *pflag.FlagSet) (faults Faults) {
	if flags == nil {
		return nil
	}
	for _, k := range keys {
		f := flags.Lookup(k.flag())
		if k.name == "version" || f == nil || !f.Changed {
			continue
		}
		where[k.name] = "flag --" + f.Name
		if err := v.BindPFlag(k.name, f); err != nil {
			faults.add(where[k.name], k.name, "cannot be set here")
		}
	}
	return faults
}

// stringToPaths splits a list of the environment like PATH.
func stringToPaths(from, to reflect.Type, value any) (any, error) {
	if from.Kind() != reflect.String || to != reflect.TypeFor[[]string]() {
		return value, nil
	}
	return filepath.SplitList(value.(string)), nil
}

var regionCode = regexp.MustCompile(`^[A-Z]{2}$`)

// check looks at the values. where says where each key was set.
func (s *Settings) check(where map[string]string) (faults Faults) {
	fault := func(ok bool, key, problem string) {
		if !ok {
			faults.add(cmp.Or(where[key], "default"), key, problem)
		}
	}
	fault(s.Version == Version, "version", "this program reads version 1")
	fault(slices.Contains([]string{"", "zh-CN", "en"}, s.Language), "language", "the languages are zh-CN and en")
	fault(s.Region == "" || regionCode.MatchString(s.Region), "region", "not two capital letters (ISO 3166-1 alpha-2)")
	fault(slices.Contains([]string{"debug", "info", "warn", "error"}, s.Log.Level), "log.level", "the levels are debug, info, warn, error")
	fault(slices.Contains([]string{"auto", "json", "console"}, s.Log.Format), "log.format", "the formats are auto, json, console")
	fault(s.Upload.Slot >= 0 && s.Upload.Slot <= 24*time.Hour, "upload.slot", "not between 0 and 24h")
	faults = append(faults, s.Contacts.CardDAV.check(where)...)
	problem := s.readPolicyKey()
	fault(problem == "", "policy_key", problem)
	if s.GPSD != "" {
		host, port, err := net.SplitHostPort(s.GPSD)
		n, perr := strconv.ParseUint(port, 10, 16)
		fault(err == nil && perr == nil && host != "" && n > 0, "gpsd", "not host:port")
	}
	return faults
}

// check looks at the values. What is missing is told at what it is missing for.
func (c CardDAV) check(where map[string]string) (faults Faults) {
	const section = "contacts.carddav"
	at := cmp.Or(where[section+".url"], where[section+".user"], where[section+".password_file"], where[section+".ca_file"], "default")
	switch {
	case c == CardDAV{}:
	case c.URL == "":
		faults.add(at, section+".url", "missing")
	case !davURL(c.URL):
		faults.add(at, section+".url", "not an https address (http to this machine alone), or one with a user, password or query in it")
	case c.User != "" && c.PasswordFile == "":
		faults.add(at, section+".password_file", "missing: a file that holds the password, readable to its owner alone")
	}
	return faults
}

// davURL tells whether a password may be sent to an address.
func davURL(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

// readPolicyKey replaces the path of a file by the key that it holds, and says what is wrong.
func (s *Settings) readPolicyKey() string {
	if filepath.IsAbs(s.PolicyKey) {
		text, err := readFile(s.PolicyKey)
		if err != nil {
			return "the file cannot be read"
		}
		if s.PolicyKey = strings.TrimSpace(string(text)); s.PolicyKey == "" {
			return "the file is empty"
		}
	}
	switch {
	case strings.Contains(s.PolicyKey, "PRIVATE+KEY"):
		return "this is the private half; settings hold no secrets"
	case s.PolicyKey != "" && strings.Count(s.PolicyKey, "+") < 2:
		return "not NAME+HASH+KEY, nor the absolute path of a file that holds it"
	}
	return ""
}

// resolve fills in the paths that depend on the account and makes all absolute. A relative path is allowed in
// a flag only: in a file or a variable it would change its meaning with the folder that the daemon is started in.
func (s *Settings) resolve(where map[string]string) (faults Faults) {
	path := func(key string, p *string) {
		switch {
		case *p == "" || filepath.IsAbs(*p):
		case strings.HasPrefix(where[key], "flag "):
			abs, err := filepath.Abs(*p)
			if err != nil {
				faults.add(where[key], key, "the current folder is not known")
			}
			*p = abs
		default:
			faults.add(cmp.Or(where[key], "default"), key, "not an absolute path")
		}
	}
	own := s.StateDir != ""
	if !own {
		dir, err := stateDir()
		if err != nil {
			faults.add("default", "state_dir", "no home folder is known; set it")
		}
		s.StateDir = dir
	}
	path("state_dir", &s.StateDir)
	if s.Socket == "" {
		s.Socket = socketPath(s.StateDir, own)
	}
	path("socket", &s.Socket)
	path("device_key_file", &s.DeviceKeyFile)
	path("policy_file", &s.PolicyFile)
	for i := range s.PolicyLayers {
		path("policy_layers", &s.PolicyLayers[i])
	}
	path("iio_root", &s.IIORoot)
	path("iio_dev", &s.IIODev)
	path("location.serial", &s.Location.Serial)
	for key, list := range map[string][]string{"contacts.paths": s.Contacts.Paths, "contacts.evolution": s.Contacts.Evolution} {
		for i := range list {
			if list[i] == "" {
				faults.add(cmp.Or(where[key], "default"), key, "an empty path")
				continue
			}
			path(key, &list[i])
		}
	}
	path("contacts.carddav.password_file", &s.Contacts.CardDAV.PasswordFile)
	path("contacts.carddav.ca_file", &s.Contacts.CardDAV.CAFile)
	return faults
}
