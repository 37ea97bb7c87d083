package lanes

import "fmt"

// Env is the environment variable that names the backend to use.
const Env = "SCRUPLE_HASHER_BACKEND"

// Backend returns the name of the backend in use.
func Backend() string { return "portable" }

// Backends returns the names of the backends that this CPU can run.
func Backends() []string { return []string{"portable"} }

// SetBackend forces a backend; "auto" chooses again.
func SetBackend(name string) error {
	if name == "auto" || name == "portable" {
		return nil
	}
	return fmt.Errorf("hasher backend %q is unknown", name)
}

// EnvErr tells why the backend that Env names is not in use.
func EnvErr() error { return nil }
