//go:build purego || !(amd64 || arm64)

package lanes

func supported() []*backend { return nil }
