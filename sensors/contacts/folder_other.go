//go:build !unix

package contacts

import (
	"io/fs"
	"os"
)

// dir is an open folder. Here no state of a file is known that an edit cannot
// keep, so nothing is remembered and every pass reads every file.
type dir struct {
	root *os.Root
	f    *os.File
	lister
}

func openDir(path string) (*dir, error)      { return newDir(os.OpenRoot(path)) }
func (d *dir) sub(name string) (*dir, error) { return newDir(d.root.OpenRoot(name)) }
func (d *dir) close()                        { _, _ = d.f.Close(), d.root.Close() }

func newDir(root *os.Root, err error) (*dir, error) {
	root, f, err := openRooted(root, err)
	if err != nil {
		return nil, err
	}
	return &dir{root: root, f: f}, nil
}

func (d *dir) stat(string) (mark, bool) { return mark{}, false }

func statPath(string) (mark, bool) { return mark{}, false }

func markFile(*os.File) (mark, bool) { return mark{}, false }

func (d *dir) state() mark { return mark{} }

func (f *file) state() mark { return mark{} }

func (d *dir) open(name string) (*file, mark, error) {
	return plain(checked(d.root.OpenFile(name, openFlags, 0)))
}

func openPath(path string) (*file, mark, error) {
	return plain(checked(os.OpenFile(path, openFlags, 0)))
}

func plain(f *os.File, _ fs.FileInfo, err error) (*file, mark, error) {
	if err != nil {
		return nil, mark{}, err
	}
	return &file{f}, mark{}, nil
}

func (d *dir) follow(name string) (*file, error) {
	f, _, err := d.open(name)
	return f, err
}

// file is an open file.
type file struct{ f *os.File }

// Read implements io.Reader.
func (f *file) Read(p []byte) (int, error) { return f.f.Read(p) }

func (f *file) close() { _ = f.f.Close() }
