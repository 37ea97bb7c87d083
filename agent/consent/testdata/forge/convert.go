package forge

import "github.com/scruple-agent/scruple/agent/consent"

type look struct{ lease *int }

type same struct{ lease *consent.lease } // ERROR "not exported by package"

var (
	_ = consent.Permit(look{})     // ERROR "cannot convert look"
	_ = consent.Permit(struct{}{}) // ERROR "cannot convert struct"
	_ = new(consent.lease)         // ERROR "not exported by package"
)
