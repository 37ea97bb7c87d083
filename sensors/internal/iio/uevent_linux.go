package iio

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Changes waits for IIO devices that come or go. While nothing happens it costs nothing.
type Changes struct{ file *os.File }

// WatchChanges listens to the kernel's messages about devices. It fails where the system does not let this process.
func WatchChanges() (*Changes, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, fmt.Errorf("watch devices: %w", err)
	}
	const kernel = 1 // the group of the kernel's messages; 2 is udev's
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernel}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("watch devices: %w", err)
	}
	return &Changes{os.NewFile(uintptr(fd), "uevents")}, nil
}

// Wait returns when an IIO device or trigger has come, gone or changed, or when messages were lost. It fails after Close.
func (c *Changes) Wait() error {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return err
	}
	buf := make([]byte, maxUevent)
	for {
		var (
			n    int
			from unix.Sockaddr
			fail error
		)
		if err := raw.Read(func(fd uintptr) bool {
			n, from, fail = unix.Recvfrom(int(fd), buf, unix.MSG_DONTWAIT)
			return !errors.Is(fail, unix.EAGAIN)
		}); err != nil {
			return err
		}
		switch {
		case errors.Is(fail, unix.ENOBUFS): // lost some: look for oneself
			return nil
		case errors.Is(fail, unix.EINTR):
			continue
		case fail != nil:
			return fmt.Errorf("watch devices: %w", fail)
		}
		// Any process may send to the group's port; only the kernel's own is believed.
		if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != 0 {
			continue
		}
		if e, ok := ParseUevent(buf[:n]); ok && e.Subsystem == "iio" {
			return nil
		}
	}
}

// Close ends Wait.
func (c *Changes) Close() error { return c.file.Close() }
