// Package forge holds code that tries to get at a source without a consent. None of it compiles; the comments
// say how the compiler refuses it.
package forge

import "github.com/scruple-agent/scruple/agent/consent"

var (
	named      = consent.Permit{lease: nil} // ERROR "unknown field lease|cannot refer to unexported field lease"
	positional = consent.Permit{nil}        // ERROR "implicit assignment to unexported field lease"
)

func assigned() (p consent.Permit) {
	p.lease = nil // ERROR "cannot refer to unexported field lease|p.lease undefined"
	return p
}
