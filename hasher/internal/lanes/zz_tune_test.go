package lanes

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"testing"
	"time"
)

func TestTune(t *testing.T) {
	if os.Getenv("TUNE") == "" {
		t.SkipNow()
	}
	runtime.GOMAXPROCS(1)
	r := rand.New(rand.NewPCG(1, 1))
	mk := func(n int, kind int) ([]byte, []uint32) {
		var data []byte
		offs := []uint32{0}
		for i := range n {
			if kind == 1 && i%2 == 1 || kind == 2 {
				data = fmt.Appendf(data, "%s.%d@example.com", "person.of.invention"[:5+r.IntN(14)], i%1000)
			} else {
				data = fmt.Appendf(data, "+%d", 100_0000_0000+r.Int64N(99900_0000_0000))
			}
			offs = append(offs, uint32(len(data)))
		}
		return append(data, make([]byte, 64)...)[:len(data)], offs
	}
	const n = 1024
	idx := make([]uint32, n)
	for i := range idx {
		idx[i] = uint32(i)
	}
	dst := make([]byte, n*32)
	type c struct {
		name string
		f    func()
		best time.Duration
	}
	var cs []*c
	pd, po := mk(n, 0)
	md, mo := mk(n, 1)
	add := func(name string, f func()) { cs = append(cs, &c{name, f, time.Hour}) }
	for _, be := range supported() {
		j := &job{be: be, h: &plain, size: Size, dst: dst, data: md, offs: mo}
		js := &job{be: be, h: &plain, size: 32, dst: dst, data: md, offs: mo}
		jp := &job{be: be, h: &plain, size: Size, dst: dst, data: pd, offs: po}
		if be.short != nil {
			add(be.name+" short kernel phone", func() { be.short(jp.key(), &pd[0], &po[0], &idx[0], n/be.lanes, &dst[0]) })
		}
		add(be.name+" one kernel phone", func() { be.one(jp.key(), &pd[0], &po[0], &idx[0], n/be.lanes, &dst[0]) })
		add(be.name+" one kernel mix", func() { be.one(j.key(), &md[0], &mo[0], &idx[0], n/be.lanes, &dst[0]) })
		add(be.name+" sum kernel mix", func() { be.sum(j.key(), &md[0], &mo[0], &idx[0], n/be.lanes, &dst[0]) })
		w := new(worker)
		add(be.name+" chunk phone", func() { w.chunk(jp, 0, n) })
		add(be.name+" chunk mix", func() { w.chunk(j, 0, n) })
		add(be.name+" chunk sum", func() { w.chunk(js, 0, n) })
		add(be.name+" classify", func() { w.classify(be, j.offs, 16) })
	}
	big := make([]byte, 0)
	_ = big
	var cold [160]job
	for i := range cold {
		d, o := mk(2048, 1)
		cold[i] = job{be: supported()[0], h: &plain, size: Size, dst: make([]byte, 0), data: d, offs: o}
	}
	cdst := make([]byte, 2048*32)
	w := new(worker)
	ci := 0
	add("cold mix hmac x2", func() { ci++; j := &cold[ci%160]; j.size = Size; j.dst = cdst; w.chunk(j, 0, 1024); w.chunk(j, 1024, 2048) })
	add("cold mix sum x2", func() { ci++; j := &cold[ci%160]; j.size = 32; j.dst = cdst; w.chunk(j, 0, 1024); w.chunk(j, 1024, 2048) })
	add("cold classify x2", func() { ci++; j := &cold[ci%160]; w.classify(j.be, j.offs[:1025], 16); w.classify(j.be, j.offs[1024:], 16) })
	add("hot mix hmac x2", func() { j := &cold[0]; j.size = Size; j.dst = cdst; w.chunk(j, 0, 1024); w.chunk(j, 1024, 2048) })
	add("hot mix sum x2", func() { j := &cold[0]; j.size = 32; j.dst = cdst; w.chunk(j, 0, 1024); w.chunk(j, 1024, 2048) })
	for range 3000 {
		for _, c := range cs {
			s := time.Now()
			c.f()
			c.best = min(c.best, time.Since(s))
		}
	}
	for _, c := range cs {
		fmt.Printf("%-34s %6.2f ns  %6.1f cycles\n", c.name, float64(c.best)/n, float64(c.best)/n*3.69)
	}
}
