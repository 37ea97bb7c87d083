package control

import "time"

// The sources of an address book.
const (
	BookFiles     = "files"     // contacts.paths
	BookEvolution = "evolution" // contacts.evolution
	BookCardDAV   = "carddav"   // contacts.carddav
)

// Book is one source of the address book and how its last reading went.
type Book struct {
	Source string `json:"source"` // one of the Book constants
	// Read is when the last reading of it came to its end, zero for never under this consent.
	Read time.Time `json:"read,omitzero"`
	// Error is why the last reading failed, "" when it did not. It names no path, address or user.
	Error string `json:"error,omitempty"`
	// Counts say what was read and what was skipped, by a fixed word, as in Collected.
	Counts map[string]int `json:"counts,omitempty"`
}
