module github.com/scruple-agent/scruple/bench

go 1.26.0

require (
	github.com/nyaruka/phonenumbers v1.8.1
	github.com/pk910/hashtree-bindings v0.2.6
	github.com/scruple-agent/scruple v0.0.0
)

require (
	github.com/klauspost/cpuid/v2 v2.3.0 // indirect
	github.com/minio/sha256-simd v1.0.1 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	google.golang.org/protobuf v1.36.11 // indirect
)

replace github.com/scruple-agent/scruple => ../
