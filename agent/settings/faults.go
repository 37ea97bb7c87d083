package settings

import (
	"fmt"
	"strings"
)

// Fault is one thing that is wrong with the settings. It holds no value.
type Fault struct {
	// Where is "FILE:LINE", "environment NAME" or "flag --NAME".
	Where   string
	Key     string // "" when the fault is not in one key
	Problem string
}

// Error returns one line.
func (f Fault) Error() string {
	if f.Key == "" {
		return fmt.Sprintf("%s: %s", f.Where, f.Problem)
	}
	return fmt.Sprintf("%s: %s: %s", f.Where, f.Key, f.Problem)
}

// Faults is all that is wrong, so that one run shows everything.
type Faults []Fault

// Error returns one line a fault.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}

func (fs *Faults) add(where, key, problem string) {
	*fs = append(*fs, Fault{where, key, problem})
}

func (fs Faults) orNil() error {
	if len(fs) == 0 {
		return nil
	}
	return fs
}
