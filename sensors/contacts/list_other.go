//go:build !linux

package contacts

import "io"

// lister has nothing to keep here.
type lister struct{}

// list calls each with some more names of the folder, and tells whether there may be others.
func (d *dir) list(each func(string, kind)) (more bool, err error) {
	entries, err := d.f.ReadDir(512)
	for _, e := range entries {
		each(e.Name(), kindOf(e.Type()))
	}
	if err == io.EOF {
		return false, nil
	}
	return err == nil, err
}
