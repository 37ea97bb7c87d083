package forge

import "github.com/scruple-agent/scruple/agent/consent"

// open has the signature of every source.
func open(consent.Permit) error { return nil }

func without(r *consent.Register, s consent.State) {
	open()                // ERROR "not enough arguments"
	open(nil)             // ERROR "cannot use nil"
	open("given")         // ERROR "cannot use .given."
	open(s.InForce)       // ERROR "cannot use s.InForce"
	open(s)               // ERROR "cannot use s"
	open(r.newLease(nil)) // ERROR "r.newLease undefined|cannot refer to unexported method newLease"
	open(consent.Given)   // ERROR "cannot use consent.Given"
}
