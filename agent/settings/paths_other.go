//go:build !unix || darwin

package settings

import (
	"os"
	"path/filepath"
	"runtime"
)

func stateDir() (string, error) {
	base := os.UserConfigDir
	if runtime.GOOS == "windows" { // %LocalAppData%, which does not travel to other computers
		base = os.UserCacheDir
	}
	dir, err := base()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "scruple"), nil
}

func socketPath(state string, _ bool) string { return filepath.Join(state, "run", "scruple.sock") }
