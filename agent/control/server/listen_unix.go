//go:build unix

package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// privateFolder makes dir, or checks that it is a folder of this account that nobody else can enter.
func privateFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a folder", dir)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("folder %s belongs to another account", dir)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("folder %s is open to others: chmod 700 it, or set another socket path", dir)
	}
	return nil
}

func isSocket(info fs.FileInfo) bool { return info.Mode().Type() == fs.ModeSocket }

func isRefused(error) bool { return false }
