package wire

import (
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// ErrTooLarge says that a body is above MaxBody or would unpack to more than MaxPlain.
var ErrTooLarge = errors.New("body too large")

// window is the encoder's window in bytes: a batch is rarely larger, and the encoder keeps 0.6 MiB of heap with it
// instead of 18.
const window = 128 << 10

// Compress packs plain as one zstd frame. The encoder lives for one call only: batches are rare, and a
// resident agent should not keep its tables. It returns ErrTooLarge when the result may not be sent.
func Compress(plain []byte) ([]byte, error) {
	if len(plain) > MaxPlain {
		return nil, fmt.Errorf("compress: %w", ErrTooLarge)
	}
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window),
		zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	defer e.Close()
	body := e.EncodeAll(plain, nil)
	if len(body) > MaxBody {
		return nil, fmt.Errorf("compress: %w", ErrTooLarge)
	}
	return body, nil
}

// Decompress unpacks what Compress or any other zstd encoder with a window up to 8 MiB (what RFC 8878 asks every decoder
// to support) made. It allocates no more than MaxPlain and a window. It returns ErrTooLarge for a body above
// the limits and ErrMalformed for what is no zstd.
func Decompress(body []byte) ([]byte, error) {
	if len(body) > MaxBody {
		return nil, fmt.Errorf("decompress: %w", ErrTooLarge)
	}
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(MaxPlain), zstd.WithDecoderMaxWindow(8<<20))
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	defer d.Close()
	plain, err := d.DecodeAll(body, nil)
	switch {
	case errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, zstd.ErrWindowSizeExceeded):
		return nil, fmt.Errorf("decompress: %w", ErrTooLarge)
	case err != nil:
		return nil, fmt.Errorf("decompress: %w: not zstd", ErrMalformed)
	case len(plain) > MaxPlain:
		return nil, fmt.Errorf("decompress: %w", ErrTooLarge)
	}
	return plain, nil
}
