//go:build !unix

package receiver

// syncDir does nothing: these systems do not let a program sync a folder.
func syncDir(string) error { return nil }
