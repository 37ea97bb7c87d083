//go:build !amd64 || purego

package vcard

// window is nothing here.
type window struct{ resume int }

// quick passes over lines that do not matter, up to the first value or the first
// line that step must look at, and tells whether it left a value for found.
func (r *Reader) quick() bool { return r.quickLines() }
