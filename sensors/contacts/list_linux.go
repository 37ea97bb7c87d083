package contacts

import (
	"encoding/binary"
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// lister holds the block that the system writes names into.
type lister struct{ block []byte }

// list calls each with some more names of the folder, and tells whether there
// may be others. The names of one block share its memory.
func (d *dir) list(each func(string, kind)) (more bool, err error) {
	if d.block == nil {
		d.block = make([]byte, 32<<10)
	}
	n, err := unix.Getdents(d.fd, d.block)
	switch {
	case errors.Is(err, unix.EINTR):
		return true, nil
	case err != nil:
		return false, err
	case n <= 0:
		d.block = nil
		return false, nil
	}
	text := string(d.block[:n])
	for at := 0; at+direntHead < n; {
		size := int(binary.NativeEndian.Uint16(d.block[at+16:]))
		if size <= direntHead || at+size > n {
			return false, unix.EIO
		}
		name, _, _ := strings.Cut(text[at+direntHead:at+size], "\x00")
		switch d.block[at+18] {
		case unix.DT_REG:
			each(name, regular)
		case unix.DT_DIR:
			each(name, subdir)
		case unix.DT_LNK:
			each(name, link)
		case unix.DT_UNKNOWN:
			if info, err := d.root.Lstat(name); err == nil {
				each(name, kindOf(info.Mode()))
			}
		default:
			each(name, other)
		}
		at += size
	}
	return true, nil
}

// direntHead is what stands before the name in struct linux_dirent64: inode,
// offset, length, type.
const direntHead = 19
