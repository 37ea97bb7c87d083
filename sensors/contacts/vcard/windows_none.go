//go:build !amd64 || purego

package vcard

// window is nothing here.
type window struct{ resume int }

const useAVX2 = false

// quickWindows is never called: Next takes quickLines.
func (r *Reader) quickWindows() bool { return r.quickLines() }

// countLow is never called: onlyBreaks counts the breaks themselves.
func countLow([]byte) int { return -1 }
