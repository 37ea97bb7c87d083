// Package settings is where viper lives: it reads the settings file, the environment and the command line's
// flags, once, strictly, into one plain struct, and passes plain values on.
//
// Settings say where things lie on this device and how the daemon behaves there. They hold no secret, and
// nothing that the policy decides: controllers, endpoints, pins, categories, minimisers and retention come
// from the policy alone, and a key for one of them is refused like any unknown one. The later of
// default, file, environment (SCRUPLE_ and the key in capitals, dots as underscores: SCRUPLE_LOG_LEVEL), flag
// wins.
//
// Every fault names the file and line, variable or flag, and the key; never the value.
package settings

import "time"

// Version is the version of the settings file that this package reads.
const Version = 1

// Settings are the daemon's. Paths are absolute after Load.
type Settings struct {
	// Version of the file's form, 1. A file without it is refused, so that a later form cannot be
	// misread; there is no variable and no flag for it.
	Version int `mapstructure:"version"`

	// StateDir holds ledgers, keys, spool and egress journal of one user account, 0700. Default "": for
	// root /var/lib/scruple, for anyone else scruple under XDG_STATE_HOME or its substitute
	// ~/.local/state (macOS: ~/Library/Application Support, Windows: %LocalAppData%), because it is
	// state that must survive a restart and is no cache.
	StateDir string `mapstructure:"state_dir"`

	// Socket is the path of the control socket, at most 103 bytes, in a folder of its own. Default "":
	// run/scruple.sock in StateDir when that was set, so that two daemons never share one; else for root
	// /run/scruple/scruple.sock, for anyone else scruple/scruple.sock under XDG_RUNTIME_DIR, which
	// is emptied at logout.
	Socket string `mapstructure:"socket"`

	// PolicyFile is the policy, signed with PolicyKey's private half. Default "": the example policy that
	// is built in, which is unsigned and so needs Dev.
	PolicyFile string `mapstructure:"policy_file"`

	// PolicyLayers are policies that are laid over PolicyFile, in this order, each signed with the same key: where two
	// of them speak of the same thing, the later one is the more specific and wins. Default none. In the environment
	// they are separated like PATH.
	PolicyLayers []string `mapstructure:"policy_layers"`

	// PolicyKey is the public key that the policy must be signed with: a note verifier key
	// ("NAME+HASH+KEY") or the absolute path of a file that holds one; after Load it is the key. Default
	// "": none is pinned, so only Dev starts. Its private half is refused here.
	PolicyKey string `mapstructure:"policy_key"`

	// DeviceKeyFile holds the 32 bytes that wrap the key ring; a file that is named here must be there. Default
	// "": device.key in StateDir, made at the first start. Another place, such as a systemd credential or a
	// removable medium, keeps a copy of StateDir unreadable.
	DeviceKeyFile string `mapstructure:"device_key_file"`

	// Dev accepts an unsigned policy. Default false; for development and the demo only, and status says so.
	Dev bool `mapstructure:"dev"`

	// Language is that of everything a person reads: zh-CN or en. Default "": from LC_ALL, LC_MESSAGES or
	// LANG, and English where they name neither.
	Language string `mapstructure:"language"`

	// Region is where telephone numbers without a country code are from: two capital letters, ISO 3166-1
	// alpha-2. Default "": nowhere, such numbers are counted as skipped, because a wrong guess would
	// make the digest of somebody else's number.
	Region string `mapstructure:"region"`

	Contacts Contacts `mapstructure:"contacts"`

	// IIORoot is the root of sysfs in which accelerometer and step counter are looked for. Default /sys; a
	// recorded tree in tests.
	IIORoot string `mapstructure:"iio_root"`

	// IIODev is the folder of the files through which the buffers of those devices are read. Default /dev, or none where
	// IIORoot is another than /sys.
	IIODev string `mapstructure:"iio_dev"`

	// GPSD is the address of the gpsd that location comes from, host:port. Default 127.0.0.1:2947, where
	// gpsd listens; "" switches the source off.
	GPSD string `mapstructure:"gpsd"`

	Location Location `mapstructure:"location"`

	Log    Log    `mapstructure:"log"`
	Upload Upload `mapstructure:"upload"`

	// File is the settings file that was read; "" when there was none.
	File string `mapstructure:"-"`
}

// Location is where positions come from beside GPSD. The first that is there is taken: gpsd, serial receiver, GeoClue.
type Location struct {
	// Serial is the device of a receiver that speaks NMEA, with its speed where it is no USB one: "/dev/ttyACM0",
	// "/dev/ttyS1,9600". Default "", none. Linux only.
	Serial string `mapstructure:"serial"`
	// GeoClue asks the GeoClue 2 of the system bus, which may itself ask a server on the network. Default false.
	GeoClue bool `mapstructure:"geoclue"`
}

// Contacts are the address books of the person.
type Contacts struct {
	// Paths are .vcf files and folders of them. Default none: no address book is guessed. In the
	// environment they are separated like PATH.
	Paths []string `mapstructure:"paths"`

	// Evolution are contacts.db files of Evolution, or the folder that holds them
	// (~/.local/share/evolution/addressbook). Default none. In the environment they are separated like PATH.
	Evolution []string `mapstructure:"evolution"`

	// CardDAV is an address book on a server.
	CardDAV CardDAV `mapstructure:"carddav"`
}

// CardDAV says where a server's address book is and how it is reached. All of the sources that are set are read.
type CardDAV struct {
	// URL is that of the book, the account or the server: https, or http to this machine. It holds neither user nor
	// password. Default "": none.
	URL string `mapstructure:"url"`
	// User is the name that the server knows the person by. Default "": the server asks for none.
	User string `mapstructure:"user"`
	// PasswordFile holds the password, readable to its owner alone. It is needed with User.
	PasswordFile string `mapstructure:"password_file"`
	// CAFile is a PEM file of the authorities that may vouch for the server. Default "": the system's.
	CAFile string `mapstructure:"ca_file"`
}

// Log is what the daemon writes to standard error. No line holds a personal value, at any level.
type Log struct {
	// Level is debug, info, warn or error. Default info.
	Level string `mapstructure:"level"`
	// Format is json, console, or auto: console where standard error is a terminal. Default auto.
	Format string `mapstructure:"format"`
}

// Upload is when stored reports are sent.
type Upload struct {
	// Slot is the longest random delay between a report and its sending, 0 to 24h, so that the time of an
	// upload does not tell the time of a reading. Default 1h; 0 sends at once, for tests and the demo.
	Slot time.Duration `mapstructure:"slot"`
}

// Defaults returns what holds when nothing is set. The paths that depend on the account are still "".
func Defaults() Settings {
	return Settings{
		Version: Version,
		IIORoot: "/sys",
		IIODev:  "/dev",
		GPSD:    "127.0.0.1:2947",
		Log:     Log{Level: "info", Format: "auto"},
		Upload:  Upload{Slot: time.Hour},
	}
}
