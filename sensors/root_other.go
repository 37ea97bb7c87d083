//go:build !linux

package sensors

// OpenStream returns ErrAbsent: there are no such device files on this system.
func (r *Root) OpenStream(string) (Stream, error) { return nil, Absent("the device file") }
