//go:build !amd64 || purego

package vcard

// find sets m for the 64 bytes at the beginning of b.
func (m *masks) find(b []byte) { m.findGo(b) }
