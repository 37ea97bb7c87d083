// Package configs holds the files that are installed beside the programs, so that the programs can also
// show them: the example policy, the settings with their documentation, and the systemd unit.
//
// It interprets none of them; see packages agent/policy and agent/settings for that.
package configs

import _ "embed"

// PolicyYAML is the complete example policy, unsigned. Its keys and pins are placeholders.
//
//go:embed policy.yaml
var PolicyYAML []byte

// SettingsYAML is the settings file with every key, its meaning and its default.
//
//go:embed scruple.yaml
var SettingsYAML []byte

// Unit is the systemd unit, a template with one instance per user account.
//
//go:embed scruple.service
var Unit []byte

// Context is the vocabulary of receipts in JSON-LD, as published under https://scruple-agent.github.io/ns: the context
// that every receipt carries, and the terms that W3C DPV lacks.
//
//go:embed context.jsonld
var Context []byte
