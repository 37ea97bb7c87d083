//go:build unix && !darwin

package settings

import (
	"errors"
	"os"
	"path/filepath"
)

func stateDir() (string, error) {
	if os.Geteuid() == 0 && os.Getenv("XDG_STATE_HOME") == "" {
		return "/var/lib/scruple", nil
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "scruple"), nil
	}
	home := os.Getenv("HOME")
	if !filepath.IsAbs(home) {
		return "", errors.New("no home folder")
	}
	return filepath.Join(home, ".local", "state", "scruple"), nil
}

func socketPath(state string, own bool) string {
	if !own {
		if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) && os.Geteuid() != 0 {
			return filepath.Join(dir, "scruple", "scruple.sock")
		}
		if os.Geteuid() == 0 && state == "/var/lib/scruple" {
			return "/run/scruple/scruple.sock"
		}
	}
	return filepath.Join(state, "run", "scruple.sock")
}
