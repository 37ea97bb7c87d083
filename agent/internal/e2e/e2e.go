// Package e2e runs the built daemon against real kernels and real services: Debian's kernels in QEMU with sensors that
// the guest's kernel takes for hardware, gpsd, GeoClue, a CardDAV server, mocks of logind and NetworkManager. What a rig
// claims is seen from the device's or the service's side, never asked of the agent.
//
// The rigs are the tests of this package behind the build tag e2e; "make e2e" runs them. What follows here is
// what they need: a kernel (Kernel), an initramfs (Image) and a machine (Boot). Package guest is the program that is
// process 1 in the guest.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Arch is a kind of machine that a rig boots.
type Arch struct {
	Name    string // "arm64", "armv7", "amd64"
	Debian  string // Debian's name of it
	GOARCH  string
	GOARM   string
	Kernel  string // Debian's package that depends on the newest kernel
	QEMU    string
	Machine []string // arguments of QEMU
	Console string   // arguments of the kernel
}

// The machines. TCG emulates each of them, so that no hardware support is needed.
var (
	ARM64 = Arch{
		"arm64", "arm64", "arm64", "", "linux-image-arm64", "qemu-system-aarch64",
		[]string{"-M", "virt", "-cpu", "cortex-a53"},
		"console=ttyAMA0",
	}
	ARMv7 = Arch{
		"armv7", "armhf", "arm", "7", "linux-image-armmp", "qemu-system-arm",
		[]string{"-M", "virt,highmem=off", "-cpu", "cortex-a15"},
		"console=ttyAMA0",
	}
	AMD64 = Arch{
		"amd64", "amd64", "amd64", "", "linux-image-amd64", "qemu-system-x86_64",
		[]string{"-M", "q35", "-cpu", "max"},
		"console=ttyS0 edd=off mitigations=off",
	}
)

// CacheDir is where kernels are kept between runs: SCRUPLE_E2E_CACHE, or scruple-e2e in the account's cache folder.
func CacheDir() (string, error) {
	if dir := os.Getenv("SCRUPLE_E2E_CACHE"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder: %w; set SCRUPLE_E2E_CACHE", err)
	}
	return filepath.Join(dir, "scruple-e2e"), nil
}

// Build builds a package of this module for a machine, static and stripped, into file.
func Build(a Arch, pkg, file string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", file, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+a.GOARCH, "GOARM="+a.GOARM)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s for %s: %w\n%s", pkg, a.Name, err, out)
	}
	return nil
}
