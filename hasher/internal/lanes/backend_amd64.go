//go:build !purego

package lanes

import "github.com/klauspost/cpuid/v2"

// The features are read from the CPU itself: GODEBUG, which turns the standard
// library's assembly off, does not reach them.
func supported() []*backend {
	has := func(f ...cpuid.FeatureID) bool { return cpuid.CPU.Supports(f...) }
	sha := has(cpuid.SHA, cpuid.SSSE3, cpuid.SSE4, cpuid.AVX, cpuid.AVX2)
	avx512 := has(cpuid.AVX512F, cpuid.AVX512BW, cpuid.BMI2, cpuid.POPCNT)

	var list []*backend
	if sha && avx512 && has(cpuid.AVX512VL) {
		list = append(list, &backend{
			name: "shani4", lanes: 4, hmac: kernels{shani4Short, shani4HMAC}, sum: kernels{shani4SumShort, shani4Sum},
			blocks: shani4Blocks, classify: avx512Classify, ni: true,
		})
	}
	if avx512 {
		list = append(list, &backend{
			name: "avx512x16", lanes: 16, hmac: kernels{one: avx512HMAC}, sum: kernels{one: avx512Sum},
			blocks: avx512Blocks, classify: avx512Classify, byWord: true,
		})
	}
	if sha {
		list = append(list, &backend{
			name: "shani2", lanes: 2, hmac: kernels{shani2Short, shani2HMAC}, sum: kernels{shani2SumShort, shani2Sum},
			blocks: shani2Blocks, ni: true, overread: true,
		})
	}
	if has(cpuid.AVX2) {
		list = append(list, &backend{
			name: "avx2x8", lanes: 8, hmac: kernels{one: avx2HMAC}, sum: kernels{one: avx2Sum},
			blocks: avx2Blocks, byWord: true, overread: true,
		})
	}
	return list
}
