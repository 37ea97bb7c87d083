module github.com/scruple-agent/scruple/bench

go 1.26.0

require (
	github.com/pk910/hashtree-bindings v0.2.6
	github.com/scruple-agent/scruple v0.0.0
)

require (
	github.com/klauspost/cpuid/v2 v2.3.0 // indirect
	github.com/minio/sha256-simd v1.0.1 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/scruple-agent/scruple => ../
