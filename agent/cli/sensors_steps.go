package cli

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/sensors/steps/pedometer"
)

func sensorsStepsCommand(a *app) *cobra.Command {
	return a.command(command{
		use:   "steps FILE|- [--json]",
		short: T{"how many steps a recording of an accelerometer holds", "统计加速度计记录中的步数"},
		long: T{
			"Counts the steps in a recording of an accelerometer, as the agent does where a device has no step counter of its own.\n\nThe recording is lines of comma-separated numbers, gzip or not; - is standard input. The first line may name the\ncolumns: t_ns (nanoseconds; or timestamp, in seconds) and ax, ay, az in m/s2 with gravity, or else magnitude in any\nunit; other columns are passed over. Without names: t_ns,magnitude or t_ns,ax,ay,az or t_ns,accuracy,ax,ay,az. Any rate\nfrom 12.5 to 400 Hz will do, with gaps; samples out of order are dropped and counted.\n\nWith --json: file, steps, seconds, rate_hz, samples, late (dropped), gaps (pauses of more than half a second), level\n(the mean magnitude, or what 1 g reads) and notes (rate, unit) on what makes the count doubtful.",
			"统计加速度计记录中的步数，方法与代理在没有硬件计步器的设备上所用的相同。\n\n记录由逗号分隔的数字行组成，可为 gzip 压缩；- 表示标准输入。首行可以是列名：\nt_ns（纳秒；或 timestamp，单位秒），以及含重力的 ax、ay、az（单位 m/s2），或任意单位的 magnitude；\n其余列忽略。没有列名时应为 t_ns,magnitude、t_ns,ax,ay,az 或 t_ns,accuracy,ax,ay,az。\n采样率 12.5 至 400 Hz 均可，允许间断；次序颠倒的样本会丢弃并计数。\n\n使用 --json 时输出：file、steps、seconds、rate_hz、samples、late（丢弃的样本）、\ngaps（超过半秒的间断）、level（平均模值，或 1 g 对应的读数）和 notes（使结果存疑的情况：rate、unit）。",
		},
		example: T{
			"  scruple sensors steps walk.csv\n  scruple sensors steps walk.csv.gz --json\n  scruple sensors steps - < walk.csv",
			"  scruple sensors steps walk.csv\n  scruple sensors steps walk.csv.gz --json\n  scruple sensors steps - < walk.csv",
		},
		args: oneName,
		run:  func(_ *cobra.Command, args []string) error { return a.countSteps(args[0]) },
	})
}

// stepsAnswer is what is printed about a recording.
type stepsAnswer struct {
	File    string   `json:"file"`
	Steps   uint64   `json:"steps"`
	Seconds float64  `json:"seconds"`
	Rate    float64  `json:"rate_hz"`
	Samples uint64   `json:"samples"`
	Late    uint64   `json:"late"`
	Gaps    uint64   `json:"gaps"`
	Level   float64  `json:"level"`
	Notes   []string `json:"notes"`
}

// stepsNotes say why a count is doubtful.
var stepsNotes = map[string]T{
	"rate": {"the rate is not between 12.5 and 400 Hz: is the time in nanoseconds?", "采样率不在 12.5 至 400 Hz 之间：时间单位是纳秒吗？"},
	"unit": {"the mean is far from 9.81: are ax, ay, az in m/s2, with gravity?", "平均值与 9.81 相差较大：ax、ay、az 的单位是 m/s2 且包含重力吗？"},
}

func (a *app) countSteps(path string) error {
	in, name := a.Stdin, "-"
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return fileError(path, err)
		}
		defer file.Close()
		in, name = file, path
	}
	said := name
	if path == "-" {
		said = a.t(T{"standard input", "标准输入"})
	}
	var c pedometer.Counter
	if err := readSteps(in, &c); err != nil {
		return fileError(said, err)
	}
	st := c.Stats()
	answer := stepsAnswer{
		File: name, Steps: c.Steps(), Seconds: places(st.Duration.Seconds()), Samples: st.Samples,
		Late: st.Late, Gaps: st.Gaps, Level: places(st.Level), Notes: []string{},
	}
	if st.Duration > 0 {
		answer.Rate = places(float64(st.Samples) / st.Duration.Seconds())
	}
	if answer.Rate < 0.9*pedometer.MinRate || answer.Rate > 1.1*pedometer.MaxRate {
		answer.Notes = append(answer.Notes, "rate")
	}
	if !st.Scaled && math.Abs(st.Level-9.81) > 4 {
		answer.Notes = append(answer.Notes, "unit")
	}
	return a.print(answer, func(w io.Writer) {
		fmt.Fprintf(w, a.t(T{"%d steps in %.1f s\n", "%d 步，%.1f 秒\n"}), answer.Steps, answer.Seconds)
		fmt.Fprintf(w, a.t(T{"samples: %d (%.1f Hz), dropped: %d, gaps: %d\n", "样本：%d 个（%.1f Hz），丢弃：%d 个，间断：%d 处\n"}),
			answer.Samples, answer.Rate, answer.Late, answer.Gaps)
		for _, note := range answer.Notes {
			fmt.Fprintf(w, a.t(T{"doubtful: %s\n", "存疑：%s\n"}), a.t(stepsNotes[note]))
		}
	})
}

// readSteps counts a recording, compressed or not.
func readSteps(r io.Reader, c *pedometer.Counter) error {
	in := bufio.NewReader(r)
	if magic, _ := in.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(in)
		if err != nil {
			return err
		}
		defer z.Close()
		return pedometer.Read(z, c)
	}
	return pedometer.Read(in, c)
}

// fileError names a file once, and why it cannot be read.
func fileError(name string, err error) error {
	var p *fs.PathError
	if !errors.As(err, &p) {
		return fmt.Errorf("%s: %w", name, err)
	}
	return fmt.Errorf("%s: %w", name, p.Err)
}

// places rounds to three decimal places.
func places(v float64) float64 { return math.Round(v*1000) / 1000 }
