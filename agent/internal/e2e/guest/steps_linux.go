package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// counter is a Bosch BMA400 on an SMBus that has no hardware behind it (module i2c-stub): its driver offers the step
// counter as in_steps_input.
type counter struct {
	bus int
}

// The registers of the BMA400 that the rig writes.
const (
	regChip   = 0x00 // 0x90
	regStatus = 0x03
	regAccelX = 0x04 // x, y, z, 12 bits each
	regSteps  = 0x15 // 24 bits
	regWalk   = 0x18
	regConfig = 0x1a
	regEvents = 0x20 // bit 0: the step counter is on
)

// ioctls of /dev/i2c-N.
const (
	i2cSlave = 0x0703
	i2cSMBus = 0x0720
)

func plugCounter(steps int) *counter {
	files, _ := filepath.Glob("/modules/*i2c*stub.ko")
	if len(files) == 0 {
		panic(fault{fmt.Errorf("the image has no i2c-stub")})
	}
	must("load i2c-stub", load(files[0], "chip_addr=0x14"))
	var adapter string
	adapters, _ := filepath.Glob("/sys/class/i2c-adapter/i2c-*")
	for _, a := range adapters {
		if strings.Contains(read(a+"/name"), "stub") {
			adapter = a
		}
	}
	if adapter == "" {
		panic(fault{fmt.Errorf("no stub among %d adapters", len(adapters))})
	}
	node := "/dev/" + filepath.Base(adapter)
	eventually(5*time.Second, func() bool { return unix.Access(node, unix.R_OK) == nil })
	fd, err := unix.Open(node, unix.O_RDWR|unix.O_CLOEXEC, 0)
	must("open "+node, err)
	must("address the chip", unix.IoctlSetInt(fd, i2cSlave, 0x14))
	c := &counter{bus: fd}
	for reg, v := range map[byte]byte{regChip: 0x90, regStatus: 0x04, regWalk: 1, regConfig: 0x49, regAccelX + 4: 0x00, regAccelX + 5: 0x02} {
		c.write(reg, v)
	}
	c.set(steps)
	must("announce the chip", unixWrite(adapter+"/new_device", "bma400 0x14"))
	if _, ok := eventually(10*time.Second, func() bool { f, _ := iioDevice("bma400"); return f != "" }); !ok {
		fail("kernel-sees-the-counter", "no bma400 among the IIO devices")
	}
	return c
}

func unixWrite(path, text string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(text))
	return err
}

// set makes the chip say that it has counted n steps.
func (c *counter) set(n int) {
	for i := range byte(3) {
		c.write(regSteps+i, byte(n>>(8*i)))
	}
}

// on reports whether the chip has been told to count.
func (c *counter) on() bool {
	var data [34]byte
	c.transfer(1, regEvents, &data)
	return data[0]&1 != 0
}

func (c *counter) write(register, value byte) { c.transfer(0, register, &[34]byte{value}) }

// transfer is "SMBus read byte data" (1) or "write byte data" (0).
func (c *counter) transfer(read, register byte, data *[34]byte) {
	request := struct {
		read    uint8
		command uint8
		size    uint32
		data    *[34]byte
	}{read, register, 2, data}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(c.bus), i2cSMBus, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		must("ask the chip", errno)
	}
}

// stepsScenario takes a hardware step counter through consent, counting, a reset and withdrawals.
func stepsScenario() {
	c := plugCounter(1337)
	d := start()
	defer d.stop()

	time.Sleep(2 * time.Second)
	check(!c.on(), "counter-is-off-before-consent", "")
	d.give(steps)
	_, err := d.collect(steps)
	must("collect "+steps, err)
	check(c.on(), "consent-switches-the-counter-on", "")

	c.set(1337 + 250)
	_, err = d.collect(steps)
	must("collect "+steps, err)
	total := d.total()
	check(total == 250, "steps-since-consent", "%v of 250", total)

	c.set(40) // the chip was reset and counts from 0
	_, err = d.collect(steps)
	must("collect "+steps, err)
	total = d.total()
	check(total == 290, "steps-across-a-reset", "%v of 290", total)

	var times []time.Duration
	for i := range 5 {
		if i > 0 {
			d.give(steps)
		}
		done := make(chan struct{})
		go func() { // it is read all the time
			defer close(done)
			for err := error(nil); err == nil; {
				_, err = d.collect(steps)
			}
		}()
		if _, on := eventually(10*time.Second, c.on); !on {
			fail("withdrawal-closes-the-counter", "it was not on")
		}
		times = append(times, d.withdraw(steps, func() bool { return c.on() || d.readable() }))
		<-done
	}
	promptly("withdrawal-closes-the-counter", times)
	check(!c.on(), "withdrawal-switches-the-counter-off", "")
}

// total adds up the totals that would leave: parts of a day add up.
func (d *daemon) total() float64 {
	var sum float64
	for _, v := range d.items(steps) {
		n, _ := v["total"].(float64)
		sum += n
	}
	return sum
}

// suspendScenario sleeps (S3) in the middle of a capture, withdraws afterwards in the middle of it, and sets the clock back.
func suspendScenario() {
	s := plug()
	d := start()
	d.give(gravity)
	_, err := d.collect(gravity)
	must("collect "+gravity, err)
	d.give(steps)
	_, _ = d.collect(steps) // from here on the accelerometer is followed

	open := func() bool { return d.readable() && s.reporting() }
	if _, ok := eventually(30*time.Second, open); !ok {
		fail("captures-before-a-sleep", "the source was not open")
	}
	boot, monotonic := clock(unix.CLOCK_BOOTTIME), clock(unix.CLOCK_MONOTONIC)
	must("set the alarm", unixWrite("/sys/class/rtc/rtc0/wakealarm", "+4"))
	must("sleep", unixWrite("/sys/power/state", "mem"))
	slept := clock(unix.CLOCK_BOOTTIME) - boot - (clock(unix.CLOCK_MONOTONIC) - monotonic)
	check(slept > 2*time.Second, "machine-slept", "%v", slept.Round(time.Millisecond))
	_, ok := eventually(20*time.Second, open)
	check(ok, "captures-after-a-sleep", "")
	_, err = d.collect(gravity)
	check(err == nil, "reads-after-a-sleep", "%v", err)

	ctx, cancel := short()
	_, err = d.client.Withdraw(ctx, gravity, false) // steps hold the sensor alone
	cancel()
	must("withdraw "+gravity, err)
	var times []time.Duration
	for i := range 3 {
		if i > 0 {
			d.give(steps)
			_, _ = d.collect(steps)
			eventually(30*time.Second, d.readable)
		}
		times = append(times, d.withdraw(steps, d.readable))
	}
	promptly("withdrawal-after-a-sleep", times)
	_, off := eventually(powerOff, s.asleep)
	check(off, "sensor-is-off-after-a-sleep", "")

	d.give(gravity)
	wall := clock(unix.CLOCK_REALTIME)
	back := unix.NsecToTimeval(int64(wall - 2*time.Hour))
	must("set the clock back", unix.Settimeofday(&back))
	time.Sleep(time.Second)
	_, err = d.collect(gravity)
	check(err != nil, "clock-set-back-collects-nothing", "%v", err)
	ctx, cancel = short()
	status, err := d.client.Status(ctx)
	cancel()
	must("status", err)
	check(status.Clock.Trouble, "clock-set-back-is-in-status", "")
	again := unix.NsecToTimeval(int64(wall + 2*time.Second))
	must("set the clock right", unix.Settimeofday(&again))
	d.withdraw(gravity, d.readable)
	_, off = eventually(powerOff, s.asleep)
	check(off, "sensor-is-off-at-the-end", "")
	d.stop()
}

func clock(id int32) time.Duration {
	var t unix.Timespec
	must("read a clock", unix.ClockGettime(id, &t))
	return time.Duration(t.Nano())
}
