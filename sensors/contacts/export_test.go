package contacts

import "io"

// WindowsContact returns the vCard of a .contact file.
func WindowsContact(r io.Reader) io.Reader { return &windowsContact{src: r} }
