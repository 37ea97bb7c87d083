package vcard

import "io"

// NewReaderBlock returns a Reader with a block of size bytes, so that a small
// input meets the end of a block at every place.
func NewReaderBlock(src io.Reader, size int) *Reader {
	r := &Reader{block: make([]byte, size)}
	r.Reset(src)
	return r
}
