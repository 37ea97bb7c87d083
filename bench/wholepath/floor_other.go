//go:build !unix

package main

import (
	"os"
	"path/filepath"
)

// readAll is what reading a folder of folders of files costs here without looking at them.
func readAll(dir string) error {
	return filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			_, err = os.ReadFile(path)
		}
		return err
	})
}

// statAll is what it costs to see that nothing has changed.
func statAll(dir string) error {
	return filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			_, err = os.Lstat(path)
		}
		return err
	})
}
