package location

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/scruple-agent/scruple/sensors"
)

// transport is what lines come through: a connection, or a serial line.
type transport interface {
	io.ReadCloser
	SetReadDeadline(time.Time) error
}

// lines is a feed of text, one report a line.
type lines struct {
	from  transport
	text  *bufio.Reader
	parse func([]byte) (Fix, Kind)
	stop  func() bool // the end of the context closes the transport
}

// endless is how many bytes without an end of line are thrown away before the connection is.
const endless = 1 << 20

// newLines reads lines of at most longest bytes; longer ones are nonsense and are not kept. ctx is the life of the
// transport.
func newLines(ctx context.Context, from transport, longest int, parse func([]byte) (Fix, Kind)) *lines {
	return &lines{
		from: from, text: bufio.NewReaderSize(from, longest), parse: parse,
		stop: context.AfterFunc(ctx, func() { _ = from.Close() }),
	}
}

func (l *lines) close() {
	l.stop()
	_ = l.from.Close()
}

// next gives a line Silence to come in full, so that one that drips in is no way to keep a connection.
func (l *lines) next(ctx context.Context) (Fix, Kind, error) {
	if err := l.from.SetReadDeadline(time.Now().Add(Silence)); err != nil {
		return Fix{}, Nonsense, l.over(ctx, err)
	}
	line, err := l.text.ReadSlice('\n')
	if err == nil {
		fix, kind := l.parse(line)
		return fix, kind, nil
	}
	for thrown := len(line); errors.Is(err, bufio.ErrBufferFull); thrown += len(line) {
		if thrown > endless {
			return Fix{}, Nonsense, fmt.Errorf("%w: an endless line", ErrProtocol)
		}
		if line, err = l.text.ReadSlice('\n'); err == nil {
			return Fix{}, Nonsense, nil
		}
	}
	return Fix{}, Nonsense, l.over(ctx, err)
}

// over says why no further line comes.
func (l *lines) over(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return ErrSilent
	}
	return sensors.Absent("the other end (it closed the connection)")
}
