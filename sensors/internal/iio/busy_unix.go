//go:build unix

package iio

import (
	"errors"
	"syscall"
)

func busy(err error) bool { return errors.Is(err, syscall.EBUSY) }
