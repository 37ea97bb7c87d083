package server

import (
	"fmt"
	"net"
	"unsafe"

	"golang.org/x/sys/windows"
)

// sioAFUnixGetPeerPID is the control code by which Windows tells the process at the other end of a
// unix socket (SIO_AF_UNIX_GETPEERPID of afunix.h).
const sioAFUnixGetPeerPID = 0x58000100

// peerOf asks Windows for the peer's process and compares its account with ours. Windows has no uid:
// Peer.UID is -1 and Self is what counts. A process that ended before it was asked is refused.
func peerOf(c net.Conn) (Peer, error) {
	var pid, returned uint32
	err := onSocket(c, func(fd int) error {
		return windows.WSAIoctl(windows.Handle(fd), sioAFUnixGetPeerPID, nil, 0,
			(*byte)(unsafe.Pointer(&pid)), uint32(unsafe.Sizeof(pid)), &returned, nil, 0)
	})
	if err != nil {
		return Peer{}, fmt.Errorf("peer process: %w", err)
	}
	process, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, pid)
	if err != nil {
		return Peer{}, fmt.Errorf("peer process: %w", err)
	}
	defer windows.CloseHandle(process)
	var token windows.Token
	if err := windows.OpenProcessToken(process, windows.TOKEN_QUERY, &token); err != nil {
		return Peer{}, fmt.Errorf("peer account: %w", err)
	}
	defer token.Close()
	theirs, err := token.GetTokenUser()
	if err != nil {
		return Peer{}, fmt.Errorf("peer account: %w", err)
	}
	ours, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return Peer{}, fmt.Errorf("own account: %w", err)
	}
	var path [1 << 10]uint16
	n, exe := uint32(len(path)), ""
	if windows.QueryFullProcessImageName(process, 0, &path[0], &n) == nil {
		exe = windows.UTF16ToString(path[:n])
	}
	return Peer{UID: -1, PID: int(pid), Exe: exe, Self: theirs.User.Sid.Equals(ours.User.Sid)}, nil
}
