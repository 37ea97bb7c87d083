//go:build purego || !amd64

package lanes

func supported() []*backend { return nil }
