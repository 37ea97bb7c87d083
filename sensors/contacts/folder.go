package contacts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/scruple-agent/scruple/sensors"
)

// Why a file or folder was passed over, beside the reasons of package vcard.
const (
	skipAbsent  = "absent-path" // one of several paths does not exist
	skipFolder  = "unreadable-folder"
	skipLink    = "link-outside" // a symbolic link that leaves the folder, or leads to a folder
	skipSpecial = "special-file" // a pipe, socket or device named like a card
	skipDeep    = "too-deep"     // a folder more than maxDepth below the one given
)

const (
	// maxDepth bounds the open folders; address books are at most a few levels deep.
	maxDepth = 32
	// batch is how many names of one folder are held and sorted at a time.
	batch = 1 << 14
	// settled is how long a file must have been left alone before its mark stands for its content: longer than the
	// coarsest clock that a file system stamps with (FAT, 2 s). What was changed later could change again under the
	// same stamp.
	settled = 2 * time.Second
)

// folders is the Shelf of files and folders.
//
// What is remembered of a file hangs on its path and on a state (see mark) that
// the system gives it: device, inode, size, and the times of the last change of
// its content and of its inode, to the nanosecond. The second of the two cannot be set by
// a program, so an edit that keeps the size and puts the time back shows too. It
// is taken from the open file before the first byte is read, so a change while
// it is being read shows next time; a file that was changed within the settled
// time before the pass is not remembered. What does not show is a write through a
// memory mapping that the system has not yet stamped, until it has.
type folders struct {
	todo []string // paths not yet looked at
	dirs []folder // open folders, the innermost last
	file *file
	path string // of the open file
	base string // its folder, if path is only its name
}

type folder struct {
	dir  *dir
	path string
	key  Key
	todo []node
	more bool // the listing is not at its end
}

type node struct {
	name string
	kind kind
}

// kind is what stands under a name.
type kind uint8

const (
	other   kind = iota // a pipe, a socket, a device
	regular             // a file
	subdir              // a folder
	link                // a symbolic link
)

// mark is the state of a file. Its zero value says that the system tells none.
type mark struct {
	dev, ino, size uint64
	mtime, ctime   int64 // ns
}

func openFolders(r *Reading, paths []string) (*folders, error) {
	f := &folders{}
	for i, path := range paths {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			r.skip(Place{Reason: skipAbsent}, path)
			continue
		case err != nil:
			return nil, fmt.Errorf("open address book %d: %w", i+1, bare(err))
		case !info.IsDir() && !info.Mode().IsRegular():
			return nil, fmt.Errorf("open address book %d: neither a regular file nor a folder", i+1)
		}
		f.todo = append(f.todo, path)
	}
	if len(f.todo) == 0 {
		return nil, fmt.Errorf("open contacts: %w", sensors.Absent("the address book"))
	}
	return f, nil
}

// bare is err without the path that it names.
func bare(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	var linkErr *os.LinkError
	if errors.As(err, &linkErr) {
		return linkErr.Err
	}
	return err
}

// askEvery is how many files that need not be read pass between two full
// questions to the permit; whether it has ended is looked at before each.
const askEvery = 256

// Next implements Shelf.
func (f *folders) Next(_ context.Context, r *Reading) (io.Reader, error) {
	f.leave(r)
	for i := 1; ; i++ {
		ask := r.Ended
		if i%askEvery == 0 {
			ask = r.Check
		}
		if err := ask(); err != nil {
			return nil, err
		}
		n := len(f.dirs)
		if n == 0 {
			if len(f.todo) == 0 {
				return nil, io.EOF
			}
			path := f.todo[0]
			f.todo = f.todo[1:]
			if f.start(r, path) {
				return f.text(), nil
			}
			continue
		}
		d := &f.dirs[n-1]
		if len(d.todo) == 0 && !f.list(r, d) {
			r.left(d.dir.state())
			d.dir.close()
			f.dirs = f.dirs[:n-1]
			continue
		}
		next := d.todo[0]
		d.todo = d.todo[1:]
		if next.kind == subdir {
			sub, err := d.dir.sub(next.name)
			f.enter(r, sub, err, d, next.name)
			continue
		}
		if f.take(r, d, next) {
			return f.text(), nil
		}
	}
}

// start begins with one of the paths, and tells whether it is a file to be read.
func (f *folders) start(r *Reading, path string) bool {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		d, err := openDir(path)
		f.enter(r, d, err, nil, path)
		return false
	}
	var key Key
	if r.mem != nil {
		key = r.mem.Keyer().Name(Key{}, path)
		if r.mem.Has(key) {
			if m, ok := statPath(path); ok && r.Known(r.file(key, m)) {
				return false
			}
		}
	}
	file, m, err := openPath(path)
	return f.begin(r, file, m, err, key, "", path)
}

// take looks at a file in a folder, and tells whether it is to be read.
func (f *folders) take(r *Reading, d *folder, n node) bool {
	if n.kind == link {
		file, err := d.dir.follow(n.name)
		return f.begin(r, file, mark{}, err, Key{}, d.path, n.name)
	}
	var key Key
	if r.mem != nil {
		key = r.mem.Keyer().Name(d.key, n.name)
		if r.mem.Has(key) {
			if m, ok := d.dir.stat(n.name); ok && r.Known(r.file(key, m)) {
				return false
			}
		}
	}
	file, m, err := d.dir.open(n.name)
	return f.begin(r, file, m, err, key, d.path, n.name)
}

// begin takes an opened file, if it is one.
func (f *folders) begin(r *Reading, file *file, m mark, err error, key Key, base, path string) bool {
	if err != nil {
		word := skipUnreadable
		switch {
		case errors.Is(err, errSpecial):
			word = skipSpecial
		case errors.Is(err, fs.ErrNotExist):
			r.moved++
		}
		r.skip(Place{Reason: word}, filepath.Join(base, path))
		return false
	}
	f.file, f.base, f.path = file, base, path
	if r.mem != nil && m != (mark{}) {
		r.Begin(r.file(key, m), r.settled(m))
	}
	return true
}

// errSpecial says that something else than a file was opened. It was opened
// without waiting, so that a pipe put in a card's place stops nothing.
var errSpecial = errors.New("not a regular file")

// enter goes into a folder that was opened below d, or, for nil, at a path.
func (f *folders) enter(r *Reading, sub *dir, err error, d *folder, name string) {
	next := folder{dir: sub, path: name, more: true}
	if d != nil {
		next.path = filepath.Join(d.path, name)
	}
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			r.moved++
		}
		r.skip(Place{Reason: skipFolder}, next.path)
		return
	}
	if len(f.dirs) == maxDepth {
		sub.close()
		r.skip(Place{Reason: skipDeep}, next.path)
		return
	}
	if r.mem != nil {
		var parent Key
		if d != nil {
			parent = d.key
		}
		next.key = r.mem.Keyer().Name(parent, name)
	}
	f.dirs = append(f.dirs, next)
}

// list takes the next names of a folder, and tells whether there are any.
func (f *folders) list(r *Reading, d *folder) bool {
	if !d.more {
		return false
	}
	d.todo = d.todo[:0]
	for d.more && len(d.todo) < batch {
		more, err := d.dir.list(func(name string, k kind) {
			if n, ok := wanted(r, d, name, k); ok {
				d.todo = append(d.todo, n)
			}
		})
		d.more = more
		if err != nil {
			r.skip(Place{Reason: skipFolder}, d.path)
		}
	}
	slices.SortFunc(d.todo, func(a, b node) int { return strings.Compare(a.name, b.name) })
	return len(d.todo) > 0
}

// wanted tells whether an entry of a folder is to be read.
func wanted(r *Reading, d *folder, name string, k kind) (node, bool) {
	if name == "" || name[0] == '.' {
		return node{}, false
	}
	if k == subdir {
		return node{name, k}, true
	}
	if !isCard(name) {
		return node{}, false
	}
	word := ""
	switch k {
	case link:
		info, err := d.dir.root.Stat(name) // follows links inside the folder only
		switch {
		case err != nil || info.IsDir():
			word = skipLink
		case !info.Mode().IsRegular():
			word = skipSpecial
		}
	case other:
		word = skipSpecial
	}
	if word != "" {
		r.skip(Place{Reason: word}, filepath.Join(d.path, name))
		return node{}, false
	}
	return node{name, k}, true
}

func isCard(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".vcf" || strings.EqualFold(ext, ".vcf") || strings.EqualFold(ext, ".vcard") || isContact(name)
}

// kindOf is the kind of a mode.
func kindOf(m fs.FileMode) kind {
	switch {
	case m.IsRegular():
		return regular
	case m.IsDir():
		return subdir
	case m&fs.ModeSymlink != 0:
		return link
	}
	return other
}

// openRooted opens a folder, so that nothing is reached outside it.
func openRooted(root *os.Root, err error) (*os.Root, *os.File, error) {
	if err != nil {
		return nil, nil, err
	}
	f, err := root.Open(".")
	if err != nil {
		_ = root.Close()
		return nil, nil, err
	}
	return root, f, nil
}

// openFlags open without waiting for a pipe's other end.
const openFlags = os.O_RDONLY | syscall.O_NONBLOCK

// checked returns f if it is a regular file.
func checked(f *os.File, err error) (*os.File, fs.FileInfo, error) {
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errSpecial
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// name returns the path of the open file.
func (f *folders) name() string {
	if f.base == "" {
		return f.path
	}
	return filepath.Join(f.base, f.path)
}

// text returns what is in the open file as vCards.
func (f *folders) text() io.Reader {
	if isContact(f.path) {
		return &windowsContact{src: f.file}
	}
	return f.file
}

// leave closes the open file.
func (f *folders) leave(r *Reading) {
	if f.file != nil {
		if r != nil {
			r.left(f.file.state())
		}
		f.file.close()
		f.file = nil
	}
}

// Close implements Shelf.
func (f *folders) Close() error {
	f.leave(nil)
	for _, d := range f.dirs {
		d.dir.close()
	}
	f.dirs, f.todo = nil, nil
	return nil
}
