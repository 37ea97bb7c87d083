package sensors

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Root is one of the kernel's folders, /sys or /dev, as a capability: nothing outside it can be reached, not even
// through symbolic links. Sensors are read through it, and switched on and off where the system lets this process.
type Root struct {
	root *os.Root
	fsys fs.FS
}

// OpenRoot opens a folder. The error says no more than that it cannot be opened.
func OpenRoot(dir string) (*Root, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, errors.New("the folder cannot be opened")
	}
	return &Root{root, root.FS()}, nil
}

// Close ends the capability. Streams that are open stay so.
func (r *Root) Close() error { return r.root.Close() }

// Open implements fs.FS.
func (r *Root) Open(name string) (fs.File, error) { return r.fsys.Open(name) }

// Stat implements fs.StatFS.
func (r *Root) Stat(name string) (fs.FileInfo, error) { return fs.Stat(r.fsys, name) }

// ReadDir implements fs.ReadDirFS.
func (r *Root) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(r.fsys, name) }

// WriteFile writes to a file that exists, in one call, as attributes of sysfs are written. It makes none, so the
// permissions are without effect.
func (r *Root) WriteFile(name string, data []byte, _ fs.FileMode) error {
	f, err := r.root.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

var (
	// ErrGone says that a device was there and has been removed. It matches ErrAbsent.
	ErrGone = fmt.Errorf("it was removed: %w", ErrAbsent)
	// ErrBusy says that another program uses the device, of which there can be one user only.
	ErrBusy = errors.New("another program uses it")
	// ErrDenied says that this process may not open the device.
	ErrDenied = errors.New("this process may not open it")
	// ErrMute says that a sensor did not answer in time, or delivers nothing. Nothing of a late answer is used.
	ErrMute = errors.New("it does not answer")
)

// Stream is a device file that is open for reading and never waits.
type Stream interface {
	// Take reads what waits into p, 0 bytes where nothing does. ErrGone says that the device is no more.
	Take(p []byte) (n int, err error)
	// Close closes the file.
	Close() error
}

// Streams opens device files by name, as *Root does.
type Streams interface {
	OpenStream(name string) (Stream, error)
}

// Switches writes attributes, as *Root does.
type Switches interface {
	WriteFile(name string, data []byte, perm fs.FileMode) error
}
