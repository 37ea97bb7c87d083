package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// What TestModel holds against the model: every request that leaves, the agent after every act, and both receivers in the end.

// departed is asked about every request at the moment it leaves the device.
func (w *world) departed(q request) fate {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts["left"]++
	if b, ok := q.batch(); ok {
		w.counts["batches left"]++
		l := w.lives[b.Consent]
		switch {
		case l == nil:
			w.failf("a batch leaves under a consent that was never given")
		case l.agreed.controller != q.to:
			w.failf("%s: a batch leaves to %s", l.purpose, q.to)
		case !w.inForce(l) && !w.nearExpiry(l):
			w.failf("%s: a batch of consent %s leaves, which is not in force", l.purpose, l.id)
		}
		for _, item := range b.Items {
			v := w.values[reading(item)]
			switch {
			case l == nil:
			case v == nil:
				w.failf("%s: reading %d leaves, which was never allowed", l.purpose, reading(item))
			case v.consent != b.Consent:
				w.failf("%s: reading %d leaves under consent %s, and was made under %s", l.purpose, reading(item), b.Consent, v.consent)
			case v.made.round%w.current()[l.purpose].round != 0:
				w.failf("%s: reading %d leaves finer than the policy in force allows", l.purpose, reading(item))
			}
		}
		if l != nil {
			l.sent[b.ID] = q
		}
		if w.batchStands {
			w.batchStands = false
			return stand
		}
	}
	if len(w.fates) == 0 {
		return deliver
	}
	f := w.fates[0]
	w.fates = w.fates[1:]
	return f
}

// check holds the agent against the model.
func (w *world) check() {
	a := w.agent
	for controller, err := range a.register.Problems() {
		if errors.Is(err, consent.ErrDamaged) {
			w.failf("a power cut looks like damage of the ledger of %s: %v", controller, err)
		}
	}
	for _, p := range modelPurposes {
		t, l := w.tuple(p), w.given[p]
		s, want := a.register.State(t), w.inForce(w.given[p])
		switch {
		case l != nil && w.nearExpiry(l):
			continue
		case s.InForce && !want:
			w.failf("%s: in force against the person's word", p)
		case want && !s.InForce && !errors.Is(s.Err, consent.ErrClock):
			w.failf("%s: not in force although the person has agreed: %v", p, s.Err)
		case want && s.Consent != l.id:
			w.failf("%s: another consent is in force", p)
		}
		permit, err := a.register.Permit(t)
		if err == nil && (!want || permit.Check() != nil) {
			w.failf("%s: a permit without a consent", p)
		}
		if held, ok := w.permits[s.Consent]; err == nil && (!ok || held.Check() != nil) {
			w.permits[s.Consent] = permit
		}
	}
	for id, held := range w.permits {
		if l := w.lives[id]; !w.inForce(l) && !w.nearExpiry(l) && held.Check() == nil {
			w.failf("%s: an old permit goes on without a consent in force", l.purpose)
		}
	}
	for id, l := range w.lives {
		if !l.ended && !l.parked {
			continue
		}
		if a.register.InForce(id) == nil {
			w.failf("%s: consent %s can be sent under after its end", l.purpose, id)
		}
		if !l.ended {
			continue
		}
		if _, err := a.ring.DataKey(id); err == nil {
			w.failf("%s: the data key of consent %s is there after the withdrawal", l.purpose, id)
		}
		if _, err := a.spool.Reports(id); err == nil && w.onDisk("spool", id) {
			w.failf("%s: what was stored under consent %s is readable after the withdrawal", l.purpose, id)
		}
		if w.onDisk("spool", id) || w.onDisk("egress/bodies", id) {
			w.failf("%s: files of consent %s are there after the withdrawal", l.purpose, id)
		}
	}
}

func (w *world) onDisk(folder string, id wire.UUID) bool {
	_, err := os.Stat(filepath.Join(w.dir, "state", folder, id.String()))
	return err == nil
}

// quiesce lets everything arrive that can, in any order, and compares both receivers with the model.
func (w *world) quiesce() {
	w.note("everything arrives")
	w.renewReceivers()
	w.mu.Lock()
	w.down, w.fates = false, nil
	w.mu.Unlock()
	if w.behind() {
		w.offset += w.seen.Sub(w.clock())
	}
	for range 4 {
		for range w.r.IntN(3) {
			w.lateDelivery("")
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		for _, c := range w.agent.register.Controllers() {
			_ = w.agent.uploader.Deliver(ctx, c)
		}
		for _, p := range modelPurposes {
			_, _ = w.agent.Flush(ctx, w.tuple(p))
		}
		cancel()
	}
	for _, q := range w.late {
		w.arrive(q)
	}
	w.late = nil
	w.check()
	for _, c := range w.agent.register.Controllers() {
		for _, m := range w.agent.register.Outbox(c) {
			if m.Kind != wire.MsgConsent {
				w.failf("%s: a %s message waits although everything works", m.Tuple, m.Kind)
			}
		}
	}
	for id, l := range w.lives {
		w.compare(id, l)
	}
	for n, v := range w.values {
		l := w.lives[v.consent]
		must := v.sure && w.inForce(l) && !w.nearExpiry(l) && v.made == w.current()[l.purpose] && time.Since(v.at) < 60*day &&
			time.Now().Before(l.expiry.Add(-2*time.Hour))
		if must && !w.account.held[v.consent][n] {
			w.failf("%s: reading %d was stored and has not arrived", l.purpose, n)
		}
	}
}

// compare compares what a receiver holds under a consent with what it should.
func (w *world) compare(id wire.UUID, l *life) {
	for batch, q := range l.sent { // once more, after whatever was erased or withdrawn
		switch {
		case w.account.withdrawn[id]:
			if w.counts["sent again after the end"]++; w.arrive(q).Code/100 == 2 {
				w.failf("%s: the receiver takes a batch of consent %s although it was withdrawn", l.purpose, id)
			}
		case w.account.batches[batch]: // it may be confirmed again, and is not held again
			w.arrive(q)
		}
	}
	stored, err := w.stores[l.agreed.controller].Batches(context.Background(), id, receiver.Accessor{Who: "test", Command: "model", Now: time.Now()})
	if err != nil {
		w.failf("%s: %v", l.purpose, err)
		return
	}
	count := 0
	for _, b := range stored {
		for _, item := range b.Batch.Items {
			count++
			w.counts["arrived"]++
			switch v := w.values[reading(item)]; {
			case v == nil || v.consent != id:
				w.failf("%s: the receiver holds reading %d under consent %s, which was not read under it", l.purpose, reading(item), id)
			case !w.account.held[id][reading(item)]:
				w.failf("%s: the receiver holds reading %d, which was erased or refused", l.purpose, reading(item))
			}
		}
	}
	switch {
	case count != len(w.account.held[id]):
		w.failf("%s: the receiver holds %d readings under consent %s and has confirmed %d", l.purpose, count, id, len(w.account.held[id]))
	case l.told && !w.account.withdrawn[id]:
		w.failf("%s: the receiver does not know that consent %s was withdrawn", l.purpose, id)
	case l.cleared && count > 0:
		w.failf("%s: the receiver holds %d readings although consent %s was withdrawn and cleared", l.purpose, count, id)
	case w.given[l.purpose] == l && w.account.withdrawn[id] && w.inForce(l):
		w.failf("%s: the receiver says that consent %s was withdrawn", l.purpose, id)
	}
}
