package canonical

import "errors"

// failure is an index into failures. A sentinel holds no input by construction.
type failure uint8

const (
	failCountryCode failure = iota + 1
	failNotANumber
	failTooShortAfterIDD
	failTooShort
	failTooLong
	failNotAnAddress
	failBadDomain
)

var failures = [...]struct{ word, text string }{
	failCountryCode:      {"country-code", "no country calling code and no usable default region"},
	failNotANumber:       {"not-a-number", "not a phone number"},
	failTooShortAfterIDD: {"too-short-after-idd", "too short after the international prefix"},
	failTooShort:         {"too-short", "too short for a phone number"},
	failTooLong:          {"too-long", "too long"},
	failNotAnAddress:     {"not-an-address", "not an e-mail address"},
	failBadDomain:        {"bad-domain", "domain is not a host name"},
}

func (f failure) Error() string { return failures[f].text }

// Why an input has no canonical form. Compare with errors.Is; Word gives the
// short name of each.
var (
	// ErrCountryCode: the number names no assigned country calling code, or
	// is written nationally while no default region is known.
	ErrCountryCode error = failCountryCode
	// ErrNotANumber: the text does not hold a phone number.
	ErrNotANumber error = failNotANumber
	// ErrTooShortAfterIDD: at most two digits follow the international prefix.
	ErrTooShortAfterIDD error = failTooShortAfterIDD
	// ErrTooShort: the national number has fewer than two digits.
	ErrTooShort error = failTooShort
	// ErrTooLong: the national number has more than 17 digits, or the e-mail
	// address more than 254 bytes.
	ErrTooLong error = failTooLong
	// ErrNotAnAddress: no @, an empty local part, or a space or control
	// character inside the address.
	ErrNotAnAddress error = failNotAnAddress
	// ErrBadDomain: what follows the @ is not a domain name under IDNA2008.
	ErrBadDomain error = failBadDomain
)

// Word returns the short stable name of an error of this package, such as
// "country-code", also when it was wrapped; "" for nil and for foreign errors.
func Word(err error) string {
	var f failure
	if errors.As(err, &f) {
		return failures[f].word
	}
	return ""
}
