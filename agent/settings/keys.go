package settings

import (
	"reflect"
	"slices"
	"strings"
	"time"
)

// EnvPrefix is the prefix of every environment variable that sets a key.
const EnvPrefix = "SCRUPLE_"

// EnvConfig names the settings file, like the flag --config.
const EnvConfig = "SCRUPLE_CONFIG"

// otherEnv are variables with our prefix that are no settings: which file to read, and what other parts of the
// product read for themselves.
var otherEnv = []string{
	EnvConfig,
	"SCRUPLE_DATA",           // recordings for the evaluation commands and benchmarks
	"SCRUPLE_HASHER_BACKEND", // which kernel hashes
}

// flagNames are the flags whose name is not the key with hyphens.
var flagNames = map[string]string{
	"language":       "lang",
	"contacts.paths": "contacts",
}

// key is one settable value of Settings.
type key struct {
	name string // "log.level"
	typ  reflect.Type
}

func (k key) env() string { return EnvPrefix + strings.ToUpper(strings.ReplaceAll(k.name, ".", "_")) }

func (k key) flag() string {
	if name, ok := flagNames[k.name]; ok {
		return name
	}
	return strings.NewReplacer(".", "-", "_", "-").Replace(k.name)
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	keys         = keysOf(reflect.TypeFor[Settings](), "")
)

// keysOf reads the keys from the struct, so that a field cannot be forgotten.
func keysOf(t reflect.Type, prefix string) []key {
	var list []key
	for i := range t.NumField() {
		f := t.Field(i)
		name := f.Tag.Get("mapstructure")
		switch {
		case name == "-":
		case f.Type.Kind() == reflect.Struct:
			list = append(list, keysOf(f.Type, prefix+name+".")...)
		default:
			list = append(list, key{prefix + name, f.Type})
		}
	}
	return list
}

func find(name string) (key, bool) {
	i := slices.IndexFunc(keys, func(k key) bool { return k.name == name })
	if i < 0 {
		return key{}, false
	}
	return keys[i], true
}

func isSection(name string) bool {
	return slices.ContainsFunc(keys, func(k key) bool { return strings.HasPrefix(k.name, name+".") })
}

// FlagName returns the name of the flag that sets a key, "" for an unknown key.
func FlagName(name string) string {
	k, ok := find(name)
	if !ok {
		return ""
	}
	return k.flag()
}

// unknown says what is wrong with a key that does not exist, and what to do instead.
func unknown(name string) string {
	lower := strings.ToLower(name)
	if strings.HasSuffix(lower, "password") {
		return "settings hold no secrets; name the file that holds it: contacts.carddav.password_file"
	}
	for _, word := range []string{"epoch", "secret", "password", "passphrase", "token", "pepper", "salt", "private", "seed", "key"} {
		if strings.Contains(lower, word) {
			return "settings hold no secrets: the epoch key comes from the controller after consent, the other keys are made on the device"
		}
	}
	for _, word := range []string{"controller", "endpoint", "pin", "categor", "purpose", "minimis", "retention", "residency", "notice", "consent"} {
		if strings.Contains(lower, word) {
			return "the policy alone decides this; nothing here overrides it"
		}
	}
	for _, k := range keys {
		if k.name == lower || strings.ReplaceAll(k.name, "_", "") == strings.NewReplacer("_", "", "-", "").Replace(lower) {
			return "unknown key; the key is " + k.name
		}
	}
	var names []string
	for _, k := range keys {
		names = append(names, k.name)
	}
	return "unknown key; the keys are " + strings.Join(names, ", ")
}
