package server

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// peerOf asks macOS for LOCAL_PEERCRED and LOCAL_PEERPID.
func peerOf(c net.Conn) (Peer, error) {
	var (
		cred *unix.Xucred
		pid  int
	)
	err := onSocket(c, func(fd int) (err error) {
		if cred, err = unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED); err != nil {
			return err
		}
		pid, err = unix.GetsockoptInt(fd, unix.SOL_LOCAL, unix.LOCAL_PEERPID)
		return err
	})
	if err != nil {
		return Peer{}, fmt.Errorf("peer credentials: %w", err)
	}
	return Peer{UID: int(cred.Uid), PID: pid, Self: int(cred.Uid) == os.Geteuid()}, nil
}
