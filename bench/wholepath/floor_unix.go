//go:build unix

package main

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// readAll is what the file system itself costs for reading a folder of folders of files: list, openat, read to the
// end, close.
func readAll(dir string) error {
	buf := make([]byte, 128<<10)
	return eachFile(dir, func(folder int, name string) error {
		fd, err := unix.Openat(folder, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		for {
			n, err := unix.Read(fd, buf)
			if n <= 0 || err != nil {
				return unix.Close(fd)
			}
		}
	})
}

// statAll is what it costs to see that nothing has changed: list, fstatat.
func statAll(dir string) error {
	var st unix.Stat_t
	return eachFile(dir, func(folder int, name string) error {
		return unix.Fstatat(folder, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	})
}

func eachFile(dir string, f func(folder int, name string) error) error {
	folders, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, folder := range folders {
		d, err := os.Open(filepath.Join(dir, folder.Name()))
		if err != nil {
			return err
		}
		entries, err := d.ReadDir(-1)
		for i := 0; err == nil && i < len(entries); i++ {
			err = f(int(d.Fd()), entries[i].Name())
		}
		_ = d.Close()
		if err != nil {
			return err
		}
	}
	return nil
}
