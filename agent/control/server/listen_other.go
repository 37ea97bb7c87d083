//go:build !unix

package server

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// privateFolder makes dir. Its access list comes from the profile folder, which is the account's own.
func privateFolder(dir string) error { return os.MkdirAll(dir, 0o700) }

// isSocket: Windows shows a socket as a reparse point without a Go mode of its own.
func isSocket(info fs.FileInfo) bool { return !info.Mode().IsRegular() && !info.IsDir() }

func isRefused(err error) bool {
	const wsaeConnRefused = syscall.Errno(10061)
	return errors.Is(err, wsaeConnRefused)
}
