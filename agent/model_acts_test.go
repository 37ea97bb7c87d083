package agent

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing/synctest"
	"time"

	"github.com/scruple-agent/scruple/agent/durable/durabletest"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// The acts of TestModel.

const day = 24 * time.Hour

// acts are drawn by weight.
var acts = []struct {
	name   string
	weight int
	do     func(*world, policy.PurposeID)
}{
	{"request", 4, (*world).request},
	{"grant", 16, (*world).grant},
	{"refuse", 3, (*world).refuse},
	{"defer", 1, (*world).putOff},
	{"sneak", 2, (*world).sneak},
	{"withdraw", 5, (*world).withdraw},
	{"erase", 2, (*world).erase},
	{"policy", 5, (*world).changePolicy},
	{"older policy", 1, (*world).olderPolicy},
	{"read", 16, (*world).read},
	{"upload", 12, (*world).upload},
	{"upload cut by withdrawal", 4, (*world).withdrawInFlight},
	{"read cut by withdrawal", 3, (*world).withdrawInReading},
	{"run", 3, (*world).run},
	{"reconnect", 2, (*world).reconnect},
	{"late delivery", 6, (*world).lateDelivery},
	{"clock", 3, (*world).moveClock},
	{"sweep", 2, (*world).sweep},
	{"restart", 2, (*world).restart},
}

// live is one sequence.
func (w *world) live() {
	total := 0
	for _, a := range acts {
		total += a.weight
	}
	purposes := modelPurposes[:1+w.r.IntN(len(modelPurposes))] // fewer, and more happens to each
	for range 8 + w.r.IntN(25) {
		n, chosen := w.r.IntN(total), acts[0]
		for _, a := range acts {
			if n -= a.weight; n < 0 {
				chosen = a
				break
			}
		}
		p := purposes[w.r.IntN(len(purposes))]
		if w.r.IntN(6) == 0 {
			n, torn := 1+w.r.IntN(14), w.r.IntN(60)
			w.note("the power goes at step %d", n)
			w.steps.StopAt(n, torn)
		}
		w.note("%s %s", chosen.name, p)
		w.counts[chosen.name]++
		chosen.do(w, p)
		if w.steps.Stopped() {
			w.crash()
		}
		w.steps.StopAt(0, 0)
		clear(w.unsure)
		w.check()
		if len(w.failures) > 0 {
			return
		}
	}
	w.quiesce()
}

// try runs an act that may be cut off; what came of it then is open until the start after.
func (w *world) try(p policy.PurposeID, act string, do func() error) error {
	w.unsure[p] = act
	err := do()
	if w.steps.Stopped() {
		return durabletest.ErrStopped
	}
	delete(w.unsure, p)
	return err
}

func (w *world) request(p policy.PurposeID) {
	_ = w.try(p, "request", func() error { _, err := w.agent.Request(context.Background(), modelApp, w.tuple(p)); return err })
}

func (w *world) grant(p policy.PurposeID) {
	t, old := w.tuple(p), w.given[p]
	err := w.try(p, "grant", func() error {
		n, err := w.agent.Show(context.Background(), modelPerson, t, policy.LangEN)
		if err != nil {
			return err
		}
		hash, err := wire.ParseHash(n.SHA256)
		if err != nil {
			return err
		}
		_, err = w.agent.Give(context.Background(), modelPerson, t, policy.LangEN, hash)
		return err
	})
	if errors.Is(err, durabletest.ErrStopped) {
		return
	}
	if err != nil {
		if !w.behind() {
			w.failf("%s: cannot be given: %v", p, err)
		}
		return
	}
	if s := w.agent.register.State(t); old == nil || s.Consent != old.id {
		w.agree(p, s)
	}
}

func (w *world) refuse(p policy.PurposeID) {
	l := w.given[p]
	err := w.try(p, "refuse", func() error { _, err := w.agent.Refuse(context.Background(), modelPerson, w.tuple(p)); return err })
	if err == nil && l != nil && w.now().Before(l.expiry) {
		w.failf("%s: refused while given", p)
	}
	if err == nil && l != nil { // an expired one is open to another answer
		l.ended, w.given[p] = true, nil
	}
}

func (w *world) putOff(p policy.PurposeID) {
	_ = w.try(p, "defer", func() error { _, err := w.agent.Defer(context.Background(), modelPerson, w.tuple(p)); return err })
}

// sneak is everybody but the person answering, and the person answering to what was not shown.
func (w *world) sneak(p policy.PurposeID) {
	t, ctx := w.tuple(p), context.Background()
	eff, err := w.agent.document().Effective(t.Category, t.Purpose)
	if err != nil {
		w.failf("%s: %v", p, err)
		return
	}
	notice := wire.Hash(eff.Notice(policy.LangEN).SHA256)
	if _, err := w.agent.Give(ctx, modelApp, t, policy.LangEN, notice); err == nil {
		w.failf("%s: an application agrees", p)
	}
	if _, err := w.agent.Withdraw(ctx, modelApp, t, false); err == nil {
		w.failf("%s: an application withdraws", p)
	}
	if _, err := w.agent.Give(ctx, modelPerson, t, policy.LangEN, wire.Hash{1}); err == nil && !w.inForce(w.given[p]) {
		w.failf("%s: given to a notice that was not shown", p)
	}
}

func (w *world) withdraw(p policy.PurposeID) {
	erase, l := w.r.IntN(2) == 0, w.given[p]
	told := l != nil && w.now().Before(l.expiry)
	err := w.try(p, "withdraw", func() error {
		_, err := w.agent.Withdraw(context.Background(), modelPerson, w.tuple(p), erase)
		return err
	})
	if errors.Is(err, durabletest.ErrStopped) { // it has not returned
		if l != nil && w.agent.register.InForce(l.id) == nil {
			w.failf("%s: in force while a withdrawal is under way", p)
		}
		return
	}
	if err != nil {
		w.failf("%s: cannot be withdrawn: %v", p, err)
		return
	}
	w.withdrawn(p, erase, told)
}

func (w *world) erase(p policy.PurposeID) {
	l := w.given[p]
	err := w.try(p, "erase", func() error {
		e, err := w.agent.Erase(context.Background(), modelPerson, w.tuple(p))
		if id, bad := wire.ParseUUID(e.ID); err == nil && bad == nil {
			w.account.erasing[id] = w.readings
		}
		return err
	})
	if err == nil && l == nil {
		w.failf("%s: erased without a consent", p)
	}
	for _, v := range w.values {
		if l != nil && v.consent == l.id {
			v.sure = false
		}
	}
}

// changePolicy puts the next version into force, in which one purpose has other terms.
func (w *world) changePolicy(p policy.PurposeID) {
	if len(w.versions) >= 8 {
		return
	}
	next := map[policy.PurposeID]terms{}
	for id, t := range w.current() {
		next[id] = t
	}
	t := next[p]
	switch w.r.IntN(5) {
	case 0:
		t.controller = modelControllers[w.r.IntN(2)]
	case 1, 2:
		t.kept = []int{300, 400, 500}[w.r.IntN(3)]
	case 3:
		t.round = []int{1, 100}[w.r.IntN(2)]
	}
	next[p] = t
	w.addVersion(next)
	w.between = len(w.versions)
	if w.r.IntN(4) > 0 { // else the receivers have it later
		w.renewReceivers()
	}
	var err error
	if w.r.IntN(2) == 0 {
		_, err = w.agent.UpdatePolicy(context.Background(), modelPerson, w.notes[w.between-1])
	} else if err = os.WriteFile(w.policyFile(), w.notes[w.between-1], 0o600); err == nil {
		_, err = w.agent.ReloadPolicy()
	}
	if w.steps.Stopped() {
		return
	}
	if err != nil {
		w.failf("a later version of the policy is refused: %v", err)
	}
	w.adopt(w.between)
	w.between = 0
	w.note("policy: version %d, %s %+v", w.version, p, t)
}

func (w *world) olderPolicy(policy.PurposeID) {
	if w.version < 2 {
		return
	}
	if _, err := w.agent.UpdatePolicy(context.Background(), modelPerson, w.notes[w.r.IntN(w.version-1)]); err == nil {
		w.failf("an older version of the policy is taken")
	}
}

// read looks at the sensor, once more where that was the first look, from which on steps are counted.
func (w *world) read(p policy.PurposeID) {
	if w.look(p) == 0 && !w.steps.Stopped() {
		w.look(p)
	}
}

// look is one look at the sensor, which has gone on by a number of steps that no other reading has. It returns the number of
// reports that were stored, -1 for none because of an error.
func (w *world) look(p policy.PurposeID) int {
	time.Sleep(4 * time.Hour)
	l := w.given[p]
	w.readings++
	n := w.readings
	allowed := w.inForce(l) || l != nil && w.nearExpiry(l)
	w.mu.Lock()
	if allowed || l == nil || !w.behind() { // a clock that is behind only pauses a consent: what is counted meanwhile would belong to it
		w.counters[p] += n * unit
	}
	w.mayRead, w.reading = allowed, p
	if allowed {
		w.values[n] = &value{consent: l.id, made: w.current()[p], at: time.Now()}
	}
	w.mu.Unlock()
	got, err := w.agent.Collect(context.Background(), modelPerson, w.tuple(p))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mayRead = false
	w.note("look %d %v %+v %v", n, allowed, got.Reports, err)
	switch {
	case !allowed && err == nil:
		w.failf("%s: read without a consent in force", p)
	case err != nil:
		return -1
	case got.Reports == 1:
		w.values[n].sure = true
		w.counts["stored"]++
	default: // what was counted until the first look is nobody's
		delete(w.values, n)
	}
	return got.Reports
}

// withdrawInReading withdraws while the sensor is being read.
func (w *world) withdrawInReading(p policy.PurposeID) {
	time.Sleep(4 * time.Hour)
	l := w.given[p]
	if !w.inForce(l) || w.nearExpiry(l) {
		return
	}
	w.mu.Lock()
	w.readings++
	w.counters[p] += w.readings * unit
	w.values[w.readings] = &value{consent: l.id, made: w.current()[p], at: time.Now()}
	w.mayRead, w.reading, w.stall = true, p, true
	w.mu.Unlock()
	done := make(chan error)
	go func() {
		_, err := w.agent.Collect(context.Background(), modelPerson, w.tuple(p))
		done <- err
	}()
	over := func(finishing bool) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.mayRead, w.stall, w.finishing = false, false, finishing
	}
	select {
	case <-done:
		over(false)
		return
	case <-w.looking:
	}
	w.counts["reading under way"]++
	w.withdraw(p)
	over(true)
	w.lookOn <- struct{}{}
	err := <-done
	over(false)
	if err == nil && w.given[p] == nil {
		w.failf("%s: a reading succeeds although the consent was withdrawn meanwhile", p)
	}
}

// drawFates draws what the next requests meet.
func (w *world) drawFates() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fates = nil
	for range w.r.IntN(4) {
		f := fate(w.r.IntN(int(fates)))
		if f == stand {
			f = deliver
		}
		w.fates = append(w.fates, f)
	}
}

func (w *world) upload(p policy.PurposeID) {
	w.drawFates()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if w.r.IntN(3) == 0 {
		_ = w.agent.uploader.Deliver(ctx, w.tuple(p).Controller)
	}
	sent, err := w.agent.Flush(ctx, w.tuple(p))
	if l := w.given[p]; err == nil && !w.inForce(l) && (l == nil || !w.nearExpiry(l)) {
		w.failf("%s: something is sent without a consent in force: %+v", p, sent)
	}
}

// withdrawInFlight withdraws while a request is on its way.
func (w *world) withdrawInFlight(p policy.PurposeID) {
	if !w.inForce(w.given[p]) || w.isDown() {
		return
	}
	w.mu.Lock()
	w.fates = nil
	if w.batchStands = w.r.IntN(2) == 0; !w.batchStands {
		w.fates = append(slices.Repeat([]fate{deliver}, w.r.IntN(4)), stand)
	}
	w.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = w.agent.Flush(context.Background(), w.tuple(p))
	}()
	batch := false
	select {
	case <-done:
		w.mu.Lock()
		w.batchStands = false
		w.mu.Unlock()
		w.withdraw(p)
		return
	case batch = <-w.standing:
	}
	w.counts["request in flight"]++
	w.withdraw(p)
	if synctest.Wait(); batch && w.given[p] == nil {
		w.counts["batch in flight"]++
		select {
		case <-done:
		default:
			w.failf("%s: a batch in flight goes on although the consent was withdrawn", p)
		}
	}
	select {
	case w.goOn <- struct{}{}: // what has left may arrive
	case <-done:
	}
	<-done
}

func (w *world) isDown() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.down
}

// run lets the uploader work by itself for some hours, and the wheel look once.
func (w *world) run(policy.PurposeID) {
	w.drawFates()
	w.sweep("")
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+w.r.IntN(12))*time.Hour)
	defer cancel()
	_ = w.agent.uploader.Run(ctx)
}

func (w *world) reconnect(policy.PurposeID) {
	w.mu.Lock()
	w.down = !w.down && w.r.IntN(2) == 0
	w.mu.Unlock()
}

func (w *world) lateDelivery(policy.PurposeID) {
	w.mu.Lock()
	if len(w.late) == 0 {
		w.mu.Unlock()
		return
	}
	i := w.r.IntN(len(w.late))
	q := w.late[i]
	if w.r.IntN(3) > 0 { // else it will come once more
		w.late = slices.Delete(w.late, i, i+1)
	}
	w.mu.Unlock()
	w.counts["arrived late"]++
	w.arrive(q)
}

// moveClock lets time pass, or sets the device's clock wrongly, or rightly again.
func (w *world) moveClock(policy.PurposeID) {
	switch w.r.IntN(4) {
	case 0:
		time.Sleep(time.Duration(1+w.r.IntN(60)) * day)
	case 1:
		time.Sleep(time.Duration(1+w.r.IntN(400)) * time.Hour)
	case 2:
		w.now()
		w.offset += time.Duration(1+w.r.IntN(100)) * day
	case 3:
		w.now()
		if w.agent.register.Sweep(w.clock()) != nil { // what the agent has not seen it cannot know
			return
		}
		w.offset -= time.Duration(1+w.r.IntN(30)) * day
	}
	w.now()
}

func (w *world) sweep(policy.PurposeID) {
	w.mu.Lock()
	w.mayRead, w.reading = false, ""
	for _, p := range modelPurposes {
		w.mayRead = w.mayRead || w.inForce(w.given[p])
	}
	w.mu.Unlock()
	w.agent.turn(context.Background(), w.clock())
	w.mu.Lock()
	w.mayRead = false
	w.mu.Unlock()
}

func (w *world) restart(policy.PurposeID) {
	if w.r.IntN(2) == 0 {
		w.agent.storePending()
	}
	if w.steps.Stopped() {
		return
	}
	w.agent.Close()
	w.start()
	w.settle()
}
