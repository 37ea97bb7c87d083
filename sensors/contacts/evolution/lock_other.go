//go:build !unix

package evolution

import (
	"errors"
	"os"
)

const nonblock = 0

// Evolution and its data server do not run here.
func lock(*os.File) error { return errors.ErrUnsupported }

func reserved(*os.File) (bool, error) { return false, errors.ErrUnsupported }
