package cli

import (
	"fmt"
	"io"
	"runtime"
	"strings"

	"github.com/klauspost/cpuid/v2"
	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/hasher"
	"github.com/scruple-agent/scruple/hasher/canonical"
)

// hasherInfo is the answer of "hasher info".
type hasherInfo struct {
	Backend    string          `json:"backend"`
	Backends   []string        `json:"backends"`
	Forced     string          `json:"forced,omitempty"` // why the backend that was asked for is not in use
	Form       uint32          `json:"form"`
	Metadata   string          `json:"metadata"`
	Regions    int             `json:"regions"`
	DigestSize int             `json:"digest_size"` // bytes
	CPU        string          `json:"cpu"`
	Cores      int             `json:"cores"`
	System     string          `json:"system"`
	Features   map[string]bool `json:"features"`
}

// features are the instructions that decide between the backends.
var features = map[string][]cpuid.FeatureID{
	"amd64": {cpuid.SHA, cpuid.AVX2, cpuid.AVX512F, cpuid.AVX512BW, cpuid.AVX512VL, cpuid.BMI2},
	"arm64": {cpuid.SHA2, cpuid.ASIMD},
}[runtime.GOARCH]

func hasherInfoCommand(a *app) *cobra.Command {
	return a.command(command{
		use:   "info",
		short: T{"the kernel in use, the versions of the canonical forms", "所用的计算内核和统一写法的版本"},
		long: T{
			"Tells which kernel computes the digests here and which others this CPU could run, which instructions decide it, and\nthe two versions that must be the same for digests to match: that of the form and that of the numbering plans.\nThe variable SCRUPLE_HASHER_BACKEND chooses another kernel.",
			"显示本机计算摘要所用的内核、此处理器可运行的其他内核、起决定作用的指令，\n以及摘要能够匹配所必须一致的两个版本：写法版本和号码规则版本。\n变量 SCRUPLE_HASHER_BACKEND 可选用其他内核。",
		},
		example: T{"  scruple hasher info\n  scruple hasher info --json", "  scruple hasher info\n  scruple hasher info --json"},
		run: func(*cobra.Command, []string) error {
			i := hasherInfo{
				Backend: hasher.Backend(), Backends: hasher.Backends(), Form: canonical.PhoneForm, Metadata: canonical.MetadataVersion,
				Regions: len(canonical.Regions()), DigestSize: hasher.DigestSize, CPU: cpuid.CPU.BrandName, Cores: runtime.NumCPU(),
				System: runtime.GOOS + "/" + runtime.GOARCH, Features: map[string]bool{},
			}
			if err := hasher.BackendErr(); err != nil {
				i.Forced = err.Error()
			}
			var names []string
			for _, f := range features {
				i.Features[f.String()] = cpuid.CPU.Supports(f)
				sign := "-"
				if cpuid.CPU.Supports(f) {
					sign = "+"
				}
				names = append(names, sign+f.String())
			}
			return a.print(i, func(w io.Writer) {
				table(w, [][]string{
					{a.t(T{"kernel", "内核"}), join(", ", i.Backend, i.Forced)},
					{a.t(T{"kernels of this CPU", "此处理器可用的内核"}), strings.Join(i.Backends, " ")},
					{a.t(T{"form version", "写法版本"}), fmt.Sprint(i.Form)},
					{a.t(T{"metadata version", "号码规则版本"}), fmt.Sprintf(a.t(T{"libphonenumber %s, %d regions", "libphonenumber %s，%d 个地区"}), i.Metadata, i.Regions)},
					{a.t(T{"digest", "摘要"}), fmt.Sprintf("HMAC-SHA256, %d B", i.DigestSize)},
					{a.t(T{"processor", "处理器"}), fmt.Sprintf("%s, %s × %d", i.System, orElse(i.CPU, "?"), i.Cores)},
					{a.t(T{"instructions", "指令"}), orElse(strings.Join(names, " "), "-")},
				})
			})
		},
	})
}
