package iio

import (
	"bytes"
	"strings"
)

// Uevent is a message of the kernel about a device.
type Uevent struct {
	Action    string // "add", "remove", "change", ...
	Subsystem string
	Node      string // "iio:device0", "" where there is no device file
}

// maxUevent is the size of the kernel's own buffer for a message, with its header.
const maxUevent = 8192

// ParseUevent reads a message of NETLINK_KOBJECT_UEVENT: "ACTION@DEVPATH" and then KEY=VALUE, each with a NUL after it.
func ParseUevent(b []byte) (e Uevent, ok bool) {
	head, rest, ok := bytes.Cut(b, []byte{0})
	if !ok || len(b) > maxUevent || !bytes.ContainsRune(head, '@') {
		return Uevent{}, false
	}
	for len(rest) > 0 {
		var pair []byte
		pair, rest, _ = bytes.Cut(rest, []byte{0})
		key, value, _ := strings.Cut(string(pair), "=")
		switch key {
		case "ACTION":
			e.Action = value
		case "SUBSYSTEM":
			e.Subsystem = value
		case "DEVNAME":
			e.Node = value
		}
	}
	return e, e.Action != "" && e.Subsystem != ""
}
