// Command guest is process 1 of a rig's machine: it loads the modules of the image, makes sensors that the kernel takes
// for hardware, runs the daemon against them, and says on the console what it saw from the sensors' side:
//
//	RIG pass|fail NAME DETAIL
//	RIG info DETAIL
//	RIG done
//
// The scenario is named on the kernel's command line (scenario=NAME).
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// scenarios by name. A scenario panics with a fault to give up.
var scenarios = map[string]func(){
	"accel":   accelScenario,
	"steps":   stepsScenario,
	"suspend": suspendScenario,
}

// fault ends a scenario: what it wanted to try cannot be tried.
type fault struct{ error }

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "guest: this is process 1 of a virtual machine, started by make e2e")
		os.Exit(2)
	}
	for _, m := range [][2]string{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/run"}, {"tmpfs", "/tmp"}} {
		if err := unix.Mount(m[0], m[1], m[0], 0, ""); err != nil {
			info("mount %s: %v", m[1], err)
		}
	}
	name := "accel"
	for _, word := range strings.Fields(read("/proc/cmdline")) {
		if after, ok := strings.CutPrefix(word, "scenario="); ok {
			name = after
		}
	}
	info("kernel %s, scenario %s", strings.Fields(read("/proc/version") + " ? ? ?")[2], name)
	loopback()
	modules()
	func() {
		defer func() {
			if p := recover(); p != nil {
				f, ok := p.(fault)
				if !ok {
					fail("no-panic", "%v", p)
					return
				}
				fail("carried-through", "%v", f.error)
			}
		}()
		scenarios[name]()
		pass("carried-through", "")
	}()
	fmt.Println("RIG done")
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	select {}
}

func info(format string, args ...any) {
	up, _, _ := strings.Cut(read("/proc/uptime"), " ")
	fmt.Printf("RIG info [%s] %s\n", up, fmt.Sprintf(format, args...))
}

func pass(name, format string, args ...any) {
	fmt.Printf("RIG pass %s %s\n", name, fmt.Sprintf(format, args...))
}

func fail(name, format string, args ...any) {
	fmt.Printf("RIG fail %s %s\n", name, fmt.Sprintf(format, args...))
}

// check says whether something held.
func check(ok bool, name, format string, args ...any) bool {
	if ok {
		pass(name, format, args...)
	} else {
		fail(name, format, args...)
	}
	return ok
}

func must(what string, err error) {
	if err != nil {
		panic(fault{fmt.Errorf("%s: %w", what, err)})
	}
}

// read returns a file without its last line break; a file that cannot be read is empty.
func read(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimRight(string(b), "\n\x00")
}

// eventually asks until it holds or the time is up, and returns how long that took.
func eventually(limit time.Duration, holds func() bool) (time.Duration, bool) {
	start := time.Now()
	for {
		if holds() {
			return time.Since(start), true
		}
		if time.Since(start) > limit {
			return limit, false
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// modules loads what the image holds, in the order of the file names.
func modules() {
	files, _ := filepath.Glob("/modules/*.ko")
	slices.Sort(files)
	for _, file := range files {
		if args, held := moduleArgs[filepath.Base(file)[len("00-"):]]; held && args == "" {
			continue
		}
		if err := load(file, ""); err != nil {
			info("load %s: %v", filepath.Base(file), err)
		}
	}
}

// moduleArgs has the modules that a scenario loads itself.
var moduleArgs = map[string]string{"i2c-stub.ko": "", "i2c_stub.ko": ""}

func load(file, args string) error {
	fd, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.FinitModule(fd, args, 0); err != nil && err != unix.EEXIST {
		return err
	}
	return nil
}

// loopback brings lo up: the daemon's sources may want to dial it.
func loopback() {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	_ = unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

// iioDevice returns the folder and the node of the IIO device with this name, "" when there is none.
func iioDevice(name string) (folder, node string) {
	folders, _ := filepath.Glob("/sys/bus/iio/devices/iio:device*")
	for _, f := range folders {
		if read(f+"/name") == name {
			return f, "/dev/" + filepath.Base(f)
		}
	}
	return "", ""
}

// holders returns how many descriptors of a process lead to IIO devices, in /dev or in sysfs.
func holders(process *exec.Cmd) (open []string) {
	folder := fmt.Sprintf("/proc/%d/fd", process.Process.Pid)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		to, err := os.Readlink(filepath.Join(folder, e.Name()))
		if err == nil && strings.Contains(to, "iio:device") {
			open = append(open, to)
		}
	}
	return open
}

// readable reports whether a descriptor gives values of a sensor, rather than its settings, which are put back after a withdrawal.
func readable(held string) bool {
	return strings.HasPrefix(held, "/dev/") || strings.HasSuffix(held, "_raw") || strings.HasSuffix(held, "_input")
}
