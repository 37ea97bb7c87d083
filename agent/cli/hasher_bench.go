package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/scruple-agent/scruple/hasher"
	"github.com/scruple-agent/scruple/sensors/contacts/booktest"
	"github.com/scruple-agent/scruple/sensors/contacts/vcard"
)

const (
	maxBenchPeople = 1_000_000
	// maxBenchBook bounds the book that is measured: it is held in memory, so that no disk is.
	maxBenchBook = 1 << 30
)

func hasherBenchCommand(a *app) *cobra.Command {
	var (
		people, rounds int
		backend        string
		region         func() (string, error)
	)
	cmd := a.command(command{
		use:   "bench [FILE] [--people N] [--rounds N]",
		short: T{"how fast this machine turns an address book into digests", "测量本机将通讯录变为摘要的速度"},
		long: T{
			"Measures on one core, stage by stage, what becomes of an address book: read (bytes into a block), parse (cards into\nvalues), canonical (values into their one spelling), digest, and set (sort, drop repetitions, pad). Then the digests a\nsecond of every kernel that this CPU can run. Figures are medians over rounds.\n\nWithout FILE the book is one of invented people, made in memory; phone numbers without country code are then Chinese.",
			"在单个核心上分阶段测量通讯录的处理：read（读入内存块）、parse（由名片得到各值）、\ncanonical（转为统一写法）、digest（摘要）、set（排序、去重、补齐），\n然后测量此处理器可运行的每个内核每秒的摘要数。结果为各轮的中位数。\n\n不指明 FILE 时在内存中生成虚构人物的通讯录，其中无国家代码的电话号码按中国号码读取。",
		},
		example: T{
			"  scruple hasher bench\n  scruple hasher bench contacts.vcf --region CN --rounds 5 --json",
			"  scruple hasher bench\n  scruple hasher bench contacts.vcf --region CN --rounds 5 --json",
		},
		args: maybeName,
		run: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("people") {
				people = 100_000
			}
			if !cmd.Flags().Changed("rounds") {
				rounds = 11
			}
			switch {
			case people < 1 || people > maxBenchPeople:
				return a.usage(T{"--people is 1 to %d", "--people 的范围为 1 到 %d"}, maxBenchPeople)
			case rounds < 1 || rounds > 1000:
				return a.usage(T{"--rounds is 1 to 1000", "--rounds 的范围为 1 到 1000"})
			}
			if backend != "" {
				if err := hasher.SetBackend(backend); err != nil {
					return a.usage(T{"--backend is one of %s", "--backend 应为以下之一：%s"}, strings.Join(hasher.Backends(), ", "))
				}
			}
			r, err := region()
			if err != nil {
				return err
			}
			if len(args) == 0 && !cmd.Flags().Changed("region") {
				r = booktest.DefaultRegion
			}
			return a.benchHasher(cmd.Context(), firstOf(args), people, rounds, r)
		},
	})
	region = a.regionFlag(cmd)
	f := cmd.Flags()
	f.IntVar(&people, "people", 0, a.t(T{"invented people in the book, a `NUMBER` (100000)", "虚构通讯录的人数 `NUMBER`（100000）"}))
	f.IntVar(&rounds, "rounds", 0, a.t(T{"rounds to take the median of, a `NUMBER` (11)", "取中位数的轮数 `NUMBER`（11）"}))
	f.StringVar(&backend, "backend", "", a.t(T{"`KERNEL` to measure the stages with", "测量各阶段所用的内核 `KERNEL`"}))
	a.complete(cmd, "backend", hasher.Backends)
	for _, name := range []string{"people", "rounds"} {
		a.complete(cmd, name, func() []string { return nil })
	}
	return cmd
}

// benchAnswer is the answer of "hasher bench".
type benchAnswer struct {
	Backend          string       `json:"backend"`
	Cards            int          `json:"cards"`
	Bytes            int          `json:"bytes"`
	Values           int          `json:"values"`
	Identifiers      int          `json:"identifiers"` // values with a canonical form
	Rounds           int          `json:"rounds"`
	Stages           []benchStage `json:"stages"`
	Whole            benchStage   `json:"whole"`
	DigestsPerSecond float64      `json:"digests_per_second"` // one core
	Kernels          []benchSpeed `json:"kernels"`
	AllCores         benchSpeed   `json:"all_cores"`
}

type benchStage struct {
	Name    string  `json:"name"`
	PerCard float64 `json:"ns_per_card"`
	Each    float64 `json:"ns_each"` // per value, identifier or digest: what the stage takes in
}

type benchSpeed struct {
	Name             string  `json:"name"`
	DigestsPerSecond float64 `json:"digests_per_second"`
}

// bench is a book in memory and what each stage leaves for the next. A mailto: URI is taken as it is, which costs the
// same.
type bench struct {
	book   []byte
	region string
	block  []byte
	reader vcard.Reader
	kinds  []vcard.Kind // of the values, as parsed
	raw    []byte       // the values end to end
	ends   []int        // where each ends
	pass   *pass
	ids    [2]hasher.Batch
	set    []byte
	pad    []byte
}

func (a *app) benchHasher(ctx context.Context, file string, people, rounds int, region string) error {
	b := &bench{region: region, block: make([]byte, 128<<10), pad: make([]byte, hasher.EpochKeySize)}
	if file == "" {
		var buf bytes.Buffer
		buf.Grow(people * 400)
		if _, err := booktest.Generate(1, people, booktest.Options{}).WriteTo(&buf); err != nil {
			return err
		}
		b.book = buf.Bytes()
	} else {
		var err error
		if b.book, err = readBook(file); err != nil {
			return err
		}
	}
	var err error
	if b.pass, err = newPass(region); err != nil {
		return err
	}
	defer b.pass.close()

	answer := benchAnswer{Backend: hasher.Backend(), Bytes: len(b.book), Rounds: rounds}
	stages := []struct {
		name string
		run  func()
		n    func() int
	}{
		{"read", b.read, nil},
		{"parse", b.parse, func() int { return len(b.kinds) }},
		{"canonical", b.canonical, func() int { return len(b.kinds) }},
		{"digest", b.digest, b.count},
		{"set", b.finish, b.count},
	}
	kernels := hasher.Backends()
	times := make([][]time.Duration, len(stages)+1+len(kernels)+1)
	progress := a.progress(rounds * len(times))
	defer progress.end()
	measure := func(i int, f func()) {
		start := time.Now()
		f()
		times[i] = append(times[i], time.Since(start))
		progress.step()
	}
	cores := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(cores)
	for round := range rounds {
		if err := ctx.Err(); err != nil {
			return err
		}
		if round == 0 { // makes the room that the stages then reuse
			for _, s := range stages {
				s.run()
			}
			runtime.GC()
		}
		for i, s := range stages {
			measure(i, s.run)
		}
		next := len(stages)
		measure(next, b.whole)
		for _, name := range kernels {
			if err := hasher.SetBackend(name); err != nil {
				return err
			}
			next++
			measure(next, b.digest)
		}
		if err := hasher.SetBackend(answer.Backend); err != nil {
			return err
		}
		runtime.GOMAXPROCS(cores)
		measure(next+1, b.digest)
		runtime.GOMAXPROCS(1)
	}
	answer.Cards, answer.Values, answer.Identifiers = b.reader.Stats().Cards, len(b.kinds), b.count()
	stage := func(name string, i, n int) benchStage {
		took := float64(middle(times[i]).Nanoseconds())
		return benchStage{name, took / float64(max(answer.Cards, 1)), took / float64(max(n, 1))}
	}
	speed := func(name string, i int) benchSpeed {
		took := max(middle(times[i]).Seconds(), 1e-9)
		return benchSpeed{name, float64(answer.Identifiers) / took}
	}
	for i, s := range stages {
		n := answer.Cards
		if s.n != nil {
			n = s.n()
		}
		answer.Stages = append(answer.Stages, stage(s.name, i, n))
	}
	answer.Whole = stage("whole", len(stages), answer.Values)
	for i, name := range kernels {
		answer.Kernels = append(answer.Kernels, speed(name, len(stages)+1+i))
	}
	answer.AllCores = speed(answer.Backend, len(times)-1)
	answer.DigestsPerSecond = speed("", 3).DigestsPerSecond
	progress.end()
	return a.print(answer, func(w io.Writer) { a.writeBench(w, answer, cores) })
}

func (a *app) writeBench(w io.Writer, b benchAnswer, cores int) {
	fmt.Fprintf(w, a.t(T{
		"cards: %d (%s), values: %d, of them with a canonical form: %d; kernel %s, one core, medians of rounds: %d\n\n",
		"%d 张名片，%s，%d 个值，其中 %d 个有统一写法；内核 %s，单核，%d 轮的中位数\n\n",
	}), b.Cards, size(int64(b.Bytes)), b.Values, b.Identifiers, b.Backend, b.Rounds)
	rows := [][]string{{a.t(T{"STAGE", "阶段"}), a.t(T{"NS A CARD", "每张名片纳秒"}), a.t(T{"NS EACH", "每项纳秒"})}}
	for _, s := range append(b.Stages, b.Whole) {
		rows = append(rows, []string{s.Name, fmt.Sprintf("%.1f", s.PerCard), fmt.Sprintf("%.1f", s.Each)})
	}
	table(w, rows)
	fmt.Fprintln(w)
	rows = [][]string{{a.t(T{"KERNEL", "内核"}), a.t(T{"MILLION DIGESTS/S", "每秒百万摘要"})}}
	for _, k := range b.Kernels {
		rows = append(rows, []string{k.Name, fmt.Sprintf("%.2f", k.DigestsPerSecond/1e6)})
	}
	rows = append(rows, []string{fmt.Sprintf("%s × %d", b.AllCores.Name, cores), fmt.Sprintf("%.2f", b.AllCores.DigestsPerSecond/1e6)})
	table(w, rows)
}

// readBook reads a book into memory.
func readBook(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a file", path)
	} else if info.Size() > maxBenchBook {
		return nil, fmt.Errorf("%s: larger than %d bytes", path, maxBenchBook)
	}
	book, err := io.ReadAll(io.LimitReader(f, maxBenchBook))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, errors.Unwrap(err))
	}
	return book, nil
}

func (b *bench) read() {
	for from := 0; from < len(b.book); {
		from += copy(b.block, b.book[from:])
	}
}

func (b *bench) parse() {
	b.reader.ResetBytes(b.book)
	b.kinds, b.ends, b.raw = b.kinds[:0], b.ends[:0], b.raw[:0]
	for {
		v, err := b.reader.Next()
		if err != nil {
			return // a book in memory has no other error than its end
		}
		b.kinds = append(b.kinds, v.Kind)
		b.raw = append(b.raw, v.Bytes()...)
		b.ends = append(b.ends, len(b.raw))
	}
}

func (b *bench) canonical() {
	for i := range b.ids {
		b.ids[i].Reset()
	}
	from := 0
	for i, kind := range b.kinds {
		ids := &b.ids[lane(kind)]
		form, err := appendForm(ids.Buf(), kind, b.raw[from:b.ends[i]], b.region)
		if err == nil {
			_ = ids.Commit(form) // cannot be full: the book is not as large
		}
		from = b.ends[i]
	}
}

func (b *bench) count() int { return b.ids[0].Len() + b.ids[1].Len() }

func (b *bench) digest() {
	b.pass.digests = b.pass.digests[:0]
	for i := range b.ids {
		b.pass.digests = b.pass.keys[i].AppendDigests(b.pass.digests, &b.ids[i])
	}
}

func (b *bench) finish() {
	b.set = append(b.set[:0], b.pass.digests...)
	b.set = hasher.SortDedupe(b.set)
	hasher.Pad(b.set, b.pad)
}

// whole is the pass of a report: the stages through memory of fixed size.
func (b *bench) whole() {
	b.pass.digests, b.pass.sorted = b.pass.digests[:0], 0
	b.reader.Reset(bytes.NewReader(b.book))
	for {
		v, err := b.reader.Next()
		if err != nil {
			break
		}
		_ = b.pass.add(v.Kind, v.Bytes())
	}
	hasher.Pad(b.pass.finish(), b.pad)
}

// middle is the median.
func middle(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2]
}

// progress is a bar on standard error, if that is a terminal.
type progress struct {
	w           io.Writer // nil for none
	done, total int
	shown       int
}

func (a *app) progress(total int) *progress {
	p := &progress{total: total, shown: -1}
	if f, ok := a.Stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.w = f
	}
	return p
}

const barWidth = 40

func (p *progress) step() {
	p.done++
	percent := 100 * p.done / p.total
	if p.w == nil || percent == p.shown {
		return
	}
	p.shown = percent
	full := barWidth * p.done / p.total
	fmt.Fprintf(p.w, "\r[%s%s] %3d %%", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), percent)
}

// end takes the bar away. It may be called more than once.
func (p *progress) end() {
	if p.w != nil && p.shown >= 0 {
		fmt.Fprintf(p.w, "\r%s\r", strings.Repeat(" ", barWidth+8))
		p.shown = -1
	}
}
