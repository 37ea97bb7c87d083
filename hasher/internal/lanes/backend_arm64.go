//go:build !purego

package lanes

import "golang.org/x/sys/cpu"

// Which width wins is not known beforehand: cores differ in how many SHA2
// instructions they have under way.
func supported() []*backend {
	if !cpu.ARM64.HasSHA2 {
		return nil
	}
	return []*backend{
		{
			name: "sha2x4", lanes: 4, hmac: kernels{one: sha2x4HMAC}, sum: kernels{one: sha2x4Sum},
			blocks: sha2x4Blocks, overread: true,
		},
		{
			name: "sha2x2", lanes: 2, hmac: kernels{one: sha2x2HMAC}, sum: kernels{one: sha2x2Sum},
			blocks: sha2x2Blocks, overread: true,
		},
	}
}
