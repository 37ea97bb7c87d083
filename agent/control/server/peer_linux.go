package server

import (
	"fmt"
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// peerOf asks Linux (and Android) for SO_PEERCRED: who connected, at the time of connecting.
func peerOf(c net.Conn) (Peer, error) {
	var cred *unix.Ucred
	err := onSocket(c, func(fd int) (err error) {
		cred, err = unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		return err
	})
	if err != nil {
		return Peer{}, fmt.Errorf("peer credentials: %w", err)
	}
	// Of another account's process the program is not told; such an application is known by its account.
	exe, _ := os.Readlink("/proc/" + strconv.Itoa(int(cred.Pid)) + "/exe")
	return Peer{UID: int(cred.Uid), PID: int(cred.Pid), Self: int(cred.Uid) == os.Geteuid(), Exe: exe}, nil
}
