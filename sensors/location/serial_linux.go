package location

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/scruple-agent/scruple/sensors"
)

// speeds are the line speeds of receivers. A USB receiver has none and ignores it.
var speeds = map[string]uint32{
	"4800": unix.B4800, "9600": unix.B9600, "19200": unix.B19200, "38400": unix.B38400,
	"57600": unix.B57600, "115200": unix.B115200, "230400": unix.B230400, "460800": unix.B460800,
}

var (
	errSpeed = errors.New("serial receiver: the speed after the comma is none of 4800, 9600, 19200, 38400, 57600, " +
		"115200, 230400, 460800")
	errNoTerminal = errors.New("serial receiver: not a serial line")
)

// serial opens a receiver: the path of its device, and, after a comma, its speed; without one the speed stays as it is.
func serial(device string) opener {
	path, speed, set := strings.Cut(device, ",")
	rate, known := speeds[speed]
	return func(ctx context.Context) (feed, error) {
		if set && !known {
			return nil, errSpeed
		}
		line, err := openLine(path, rate)
		if err != nil {
			return nil, err
		}
		return newLines(ctx, line, nmeaLine, new(NMEA).Parse), nil
	}
}

// line is a serial line that gets its old settings back.
type line struct {
	*os.File
	before unix.Termios
}

// openLine opens a serial line for reading bytes as they are: no echo, no line discipline, no modem lines, not as the
// controlling terminal, without waiting for a carrier, and through the runtime's poller, so that reads have deadlines
// and end when it is closed. rate 0 keeps the speed.
func openLine(path string, rate uint32) (*line, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return nil, sensors.Absent("a serial receiver")
	case err != nil:
		return nil, fmt.Errorf("open serial receiver: %w", err)
	}
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		unix.Close(fd)
		return nil, errNoTerminal
	}
	raw := *before
	raw.Iflag, raw.Oflag, raw.Lflag = unix.IGNBRK|unix.IGNPAR, 0, 0
	raw.Cflag = raw.Cflag&^(unix.CSIZE|unix.PARENB|unix.CSTOPB|unix.CRTSCTS) | unix.CS8 | unix.CREAD | unix.CLOCAL
	if rate != 0 {
		raw.Cflag = raw.Cflag&^unix.CBAUD | rate
		raw.Ispeed, raw.Ospeed = rate, rate
	}
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &raw); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("set up serial receiver: %w", err)
	}
	return &line{File: os.NewFile(uintptr(fd), "serial receiver"), before: *before}, nil
}

// Close gives the line its settings back and closes it.
func (l *line) Close() error {
	if c, err := l.SyscallConn(); err == nil {
		_ = c.Control(func(fd uintptr) { _ = unix.IoctlSetTermios(int(fd), unix.TCSETS, &l.before) })
	}
	return l.File.Close()
}
