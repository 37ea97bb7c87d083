//go:build linux || darwin

package lanes

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"os"
	"syscall"
	"testing"
	"unsafe"
)

// fence returns a page that is followed by one that must not be touched.
func fence(t *testing.T) []byte {
	t.Helper()
	size := os.Getpagesize()
	mem, err := syscall.Mmap(-1, 0, 2*size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(mem) })
	if err := syscall.Mprotect(mem[size:], syscall.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	return mem[:size:size]
}

// TestFences ends messages, offsets and results at the end of mapped memory: one
// byte read or written behind them is a crash.
func TestFences(t *testing.T) {
	each(t, func(t *testing.T, be *backend) {
		mem, offMem, out := fence(t), fence(t), fence(t)
		for i := range mem {
			mem[i] = byte(i)
		}
		for n := range 130 {
			for _, count := range []int{1, 2, 5, 16, 33} {
				data := mem[len(mem)-min(count*n, len(mem)):]
				all := unsafe.Slice((*uint32)(unsafe.Pointer(&offMem[0])), len(offMem)/4)
				offs := all[len(all)-count-1:]
				for i := range offs {
					offs[i] = uint32(min(i*n, len(data)))
				}
				dst := out[len(out)-count*Size:]
				var h HMAC
				h.Init([]byte("key"))
				h.sum(be, Size, dst, data, offs)
				mac := hmac.New(sha256.New, []byte("key"))
				mac.Write(data[offs[count-1]:offs[count]])
				if want, got := mac.Sum(nil)[:Size], dst[(count-1)*Size:]; !bytes.Equal(got, want) {
					t.Fatalf("message %d of %d bytes: %x, want %x", count, n, got, want)
				}
				plain.sum(be, sha256.Size, out[len(out)-count*sha256.Size:], data, offs)
			}
		}
	})
}
