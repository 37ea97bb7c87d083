package keyring

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/scruple-agent/scruple/agent/durable"
)

// DeviceKey returns the device key of a folder: 32 bytes in the file device.key, made at the first start. If the
// folder already has a ring but no device key, no new one is made, since it could not open the ring:
// ErrSealed. The caller wipes the key with clear after Open.
func DeviceKey(dir string) ([]byte, error) {
	if err := durable.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("device key: %w", err)
	}
	path := filepath.Join(dir, "device.key")
	key, err := ReadDeviceKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if _, err := os.Stat(filepath.Join(dir, fileName)); !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("device key: %w: %s is missing; put it back, or move the folder away to start anew",
			ErrSealed, path)
	}
	key = NewKey()
	if err := durable.WriteFile(path, key, 0o600); err != nil {
		return nil, fmt.Errorf("device key: %w", err)
	}
	return key, nil
}

// ReadDeviceKey reads a device key from a file that settings name, such as a service manager's credential. It
// must hold exactly 32 bytes and be readable by nobody else (durable.ErrForeign). fs.ErrNotExist when missing.
func ReadDeviceKey(path string) ([]byte, error) {
	if err := durable.CheckPrivate(path); err != nil {
		return nil, fmt.Errorf("device key: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("device key: %w", err)
	}
	defer f.Close()
	key, err := io.ReadAll(io.LimitReader(f, KeySize+1))
	if err != nil {
		return nil, fmt.Errorf("device key: %w", err)
	}
	if len(key) != KeySize {
		return nil, fmt.Errorf("device key: %s: %w: want %d bytes; put it back, or move the state folder away to start anew", path, ErrSealed, KeySize)
	}
	return key, nil
}
