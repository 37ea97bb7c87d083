package carddav

import (
	"io"
	"net/url"
	"time"
)

// Limit sets smaller bounds than a person would.
func (c *Config) Limit(body int64, card int, idle, whole time.Duration) {
	c.limits = limits{body: body, card: card, idle: idle, whole: whole}
}

// Chunk sets how many cards are asked for at a time.
func (c *Config) Chunk(n int) { c.limits.chunk = n }

// Same tells whether two addresses are on one server.
func Same(a, b string) bool {
	base, err := url.Parse(a)
	if err != nil {
		return false
	}
	u, err := base.Parse(b)
	return err == nil && (&client{base: base}).same(u)
}

// Decode decodes a multistatus, and returns the number and bytes of its cards.
func Decode(r io.Reader, body int64, card int) (responses, bytes int, err error) {
	in := &meter{src: r, left: body, step: card + 8192, check: func() error { return nil }, read: func() {}}
	_, err = decode(in, limits{card: card}, func(r *response) error {
		responses++
		bytes += len(r.card)
		return nil
	})
	return responses, bytes, err
}
