// Package canonical gives every phone number and every e-mail address one
// spelling, so that two devices that hold the same person derive the same
// digest.
//
//   - AppendPhone writes E.164 exactly as Google's libphonenumber, release
//     MetadataVersion, parses and formats it. Its numbering rules are compiled
//     to tables: nothing is built at start-up, nothing is allocated per number.
//   - AppendEmail trims, lower-cases ASCII and takes the domain through IDNA2008.
//     AppendEmailFolded adds gmail's own rules; its result is a second
//     identifier and never replaces the first.
//
// What is left out on purpose: whether a number is valid or in service. E.164
// is written for impossible numbers too, because validity moves with every
// metadata release and a digest must not.
//
// Nothing here keeps, logs or quotes its input; errors are words.
package canonical

// PhoneForm is the version of the rules by which this package spells
// identifiers of every kind. It is part of the digest's key derivation: digests
// of different forms cannot match.
const PhoneForm uint32 = 1

// MetadataVersion is the libphonenumber release whose numbering plans are
// compiled in. It travels beside a batch, because releases differ in about one
// number per several thousand while the form stays the same.
const MetadataVersion = "9.0.32"
