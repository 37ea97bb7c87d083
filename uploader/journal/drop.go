package journal

import (
	"fmt"

	"github.com/scruple-agent/scruple/agent/durable"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Drop removes the bodies of a consent for which drop says so, given how they left. What stays of each is what stays of all: lane, consent
// id, time, size and hash. It returns how many went. A body that cannot be read is kept; it is idempotent.
func (j *Journal) Drop(consent wire.UUID, drop func(path string, body []byte) bool) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	entries, err := j.index.read()
	if err != nil {
		return 0, fmt.Errorf("read egress journal: %w", err)
	}
	n, seen := 0, map[wire.Hash]bool{}
	for _, e := range entries {
		if e.Consent != consent || seen[e.Hash] {
			continue
		}
		seen[e.Hash] = true
		s, err := j.read(e)
		if err != nil || !drop(s.Path, s.Body) {
			continue
		}
		if err := durable.Remove(j.path(consent, e.Hash)); err != nil {
			return n, fmt.Errorf("egress journal: %w", err)
		}
		j.size -= int64(len(s.Body))
		n++
	}
	return n, nil
}
