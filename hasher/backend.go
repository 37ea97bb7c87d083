package hasher

import "github.com/scruple-agent/scruple/hasher/internal/lanes"

// BackendEnv is the environment variable that names the kernel to use.
const BackendEnv = lanes.Env

// Backend returns the name of the kernel in use. The first call, or the first
// digest, chooses it: the one that BackendEnv names, else the fastest in a short
// timing among those that the CPU can run.
func Backend() string { return lanes.Backend() }

// Backends returns the names of the kernels that this build has and this CPU can
// run, the preferred one first. The last is "portable".
func Backends() []string { return lanes.Backends() }

// SetBackend forces a kernel by name for the whole process; "auto" goes back to
// the timing. The error says that the name is unknown or the CPU cannot run it.
func SetBackend(name string) error { return lanes.SetBackend(name) }

// BackendErr tells why the kernel that BackendEnv names is not in use, nil if it
// is or none is named.
func BackendErr() error { return lanes.EnvErr() }
