package rolecatalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rollebro/rollebro/nemlogin"
	"github.com/rollebro/rollebro/rolecatalog/plan"
)

// target is one identity with what is to be written to it.
type target struct {
	id      *Identity
	user    string
	userID  uint64
	adds    []*write
	removes []*write
	settled bool // the adds have been read back
}

// write is one grant on its way.
type write struct {
	change *plan.Change
	err    error // of the last request, nil when the service said yes
	done   bool  // seen when read back
}

// applier carries a plan out. First everybody gets what is to be added, then what is to be removed is taken away, and each
// identity is read again after its last write: the reading, not the answer to the write, decides what was done.
type applier struct {
	s       *session
	plan    *plan.Plan
	o       ReconcileOptions
	journal *journal
	targets []*target
	earlier map[plan.AttemptKey]*Attempt

	mu         sync.Mutex
	report     *ReconcileReport
	observed   plan.Observed
	failedAdds map[string]bool // roles of which an add failed
	steps      int
}

func (s *session) apply(ctx context.Context, p *plan.Plan, observed plan.Observed, report *ReconcileReport, o ReconcileOptions) error {
	if p.Empty() {
		return nil
	}
	a := &applier{s: s, plan: p, o: o, report: report, observed: observed, failedAdds: map[string]bool{}, earlier: map[plan.AttemptKey]*Attempt{}}
	for i := range s.snapshot.Attempts {
		a.earlier[s.snapshot.Attempts[i].key()] = &s.snapshot.Attempts[i]
	}
	a.collect()
	a.journal = s.b.openJournal(ctx)
	defer a.journal.close()
	for _, phase := range []func(context.Context, *target) error{a.addTo, a.removeFrom} {
		err := s.b.each(ctx, len(a.targets), func(ctx context.Context, i int) error { return phase(ctx, a.targets[i]) })
		if err != nil {
			return fmt.Errorf("applying plan %s: %w", short(p.ID), err)
		}
	}
	return nil
}

// collect sorts the plan's work by identity.
func (a *applier) collect() {
	rows := make(map[string]*Identity, len(a.s.snapshot.Identities))
	for i := range a.s.snapshot.Identities {
		rows[a.s.snapshot.Identities[i].UUID] = &a.s.snapshot.Identities[i]
	}
	byIdentity := make(map[string]*target)
	for i := range a.plan.Changes {
		c := &a.plan.Changes[i]
		if c.Verb != plan.Add && c.Verb != plan.Remove {
			continue
		}
		t := byIdentity[c.Identity]
		if t == nil {
			t = &target{id: rows[c.Identity], user: c.User, userID: a.s.userOf(c.Identity)}
			byIdentity[c.Identity] = t
			a.targets = append(a.targets, t)
		}
		if c.Verb == plan.Add {
			t.adds = append(t.adds, &write{change: c})
		} else {
			t.removes = append(t.removes, &write{change: c})
		}
	}
}

func (a *applier) addTo(ctx context.Context, t *target) error {
	if len(t.adds) == 0 {
		return nil
	}
	if err := a.send(ctx, t, t.adds); err != nil {
		return err
	}
	trouble := slices.ContainsFunc(t.adds, func(w *write) bool { return w.err != nil })
	if len(t.removes) > 0 && !trouble && !a.exchanges(t) {
		return nil // read back once, after the removals
	}
	t.settled = true
	return a.settle(ctx, t, t.adds)
}

// exchanges reports whether a removal depends on what was added, so that seeing it comes first: the service's yes is not
// enough to take away what it replaces.
func (a *applier) exchanges(t *target) bool {
	last := a.s.b.o.LastHolderRoles
	return slices.ContainsFunc(t.adds, func(add *write) bool {
		return last != nil && last.MatchString(add.change.RoleName) ||
			slices.ContainsFunc(t.removes, func(r *write) bool { return r.change.Grant.Role == add.change.Grant.Role })
	})
}

func (a *applier) removeFrom(ctx context.Context, t *target) error {
	if len(t.removes) == 0 {
		return nil
	}
	// A removal that goes with an addition waits until that has worked: a role moved from one P-number to another isn't
	// lost in between, and neither is the last holder of an administrator's role.
	refused := map[string]bool{}
	for _, w := range t.adds {
		if w.err != nil && !w.done {
			refused[w.change.Grant.Role] = true
		}
	}
	var ready []*write
	for _, w := range t.removes {
		if refused[w.change.Grant.Role] || a.wouldOrphan(w.change) {
			a.hold(t, w)
		} else {
			ready = append(ready, w)
		}
	}
	if err := a.send(ctx, t, ready); err != nil {
		return err
	}
	if !t.settled {
		ready = slices.Concat(t.adds, ready)
	}
	if len(ready) == 0 {
		return nil
	}
	return a.settle(ctx, t, ready)
}

// wouldOrphan reports whether a removal was planned with a new holder in view who hasn't come.
func (a *applier) wouldOrphan(c *plan.Change) bool {
	last := a.s.b.o.LastHolderRoles
	if last == nil || !last.MatchString(c.RoleName) {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failedAdds[c.Grant.Role]
}

func (a *applier) hold(t *target, w *write) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.report.Held++
	why := "the removal of " + w.change.RoleName + " waits for an addition that failed"
	a.report.Failures = append(a.report.Failures, PersonFailure{User: t.user, Identity: t.id.UUID, Error: why})
	a.report.unfinished[t.userID] = why
}

// send announces writes in the audit trail and sends them, one request per scope and direction. Only an error that ends
// the whole run is returned; the others stay with their writes.
func (a *applier) send(ctx context.Context, t *target, writes []*write) error {
	if len(writes) == 0 {
		return nil
	}
	if err := a.journal.write(Changes{Audit: a.events(t, writes, OutcomeIntended)}); err != nil {
		return err
	}
	byScope := make(map[plan.Scope][]*write)
	var scopes []plan.Scope
	for _, w := range writes {
		scope := w.change.Grant.Scope
		if byScope[scope] == nil {
			scopes = append(scopes, scope)
		}
		byScope[scope] = append(byScope[scope], w)
	}
	slices.SortFunc(scopes, func(x, y plan.Scope) int {
		return cmp.Or(strings.Compare(string(x.Type), string(y.Type)), strings.Compare(x.Value, y.Value))
	})
	for i, scope := range scopes {
		if err := a.request(ctx, t, scope, byScope[scope]); err != nil {
			for _, left := range scopes[i+1:] {
				for _, w := range byScope[left] {
					w.err = errNotSent
				}
			}
			return a.interrupted(t, writes, err)
		}
	}
	return nil
}

// errNotSent stands at writes that were announced and that the end of the run has kept from being sent.
var errNotSent = errors.New("not sent: the run ended before")

// request sends the writes of one scope, which all go in the same direction.
func (a *applier) request(ctx context.Context, t *target, scope plan.Scope, writes []*write) error {
	roles := make([]string, len(writes))
	for i, w := range writes {
		roles[i] = w.change.Grant.Role
	}
	call := a.s.b.o.Client.AddRoles
	if writes[0].change.Verb == plan.Remove {
		call = a.s.b.o.Client.RemoveRoles
	}
	err := call(ctx, t.id.UUID, nemlogin.Scope{Type: string(scope.Type), Value: scope.Value}, roles)
	partial, some := errors.AsType[*nemlogin.WriteError](err)
	for _, w := range writes {
		w.err = err
		if some {
			w.err = partial.Failed[w.change.Grant.Role]
		}
	}
	if err != nil && stops(err) {
		return err
	}
	return nil
}

// interrupted records, of writes that were announced, which ones have not happened, and that it isn't known what became of
// the others.
func (a *applier) interrupted(t *target, writes []*write, cause error) error {
	var never, unknown []*write
	for _, w := range writes {
		failed, told := errors.AsType[*nemlogin.Error](w.err)
		switch class := nemlogin.ClassOf(w.err); {
		case errors.Is(w.err, errNotSent), told && !failed.Sent, class == nemlogin.ClassAuth, class == nemlogin.ClassReadOnly:
			never = append(never, w)
		default:
			unknown = append(unknown, w)
		}
	}
	events := append(a.events(t, never, OutcomeFailed), a.events(t, unknown, OutcomeUnknown)...)
	return errors.Join(cause, a.journal.write(Changes{Audit: events}))
}

// settle reads an identity again until its writes show, or it is clear that they will not now. A write that failed in
// passing is sent again, after a look at whether it was carried out all the same.
func (a *applier) settle(ctx context.Context, t *target, writes []*write) error {
	var r reading
	for try := 0; ; try++ {
		var err error
		t.id.GoneSince, t.id.CheckedAt = nil, nil
		if r, err = a.s.b.read(ctx, t.id); err != nil {
			return a.interrupted(t, writes, err)
		}
		again, wait := judge(writes, r)
		if !wait || try == len(a.s.b.o.Backoff) {
			break
		}
		if err := pause(ctx, a.s.b.o.Backoff[try]); err != nil {
			return a.interrupted(t, writes, err)
		}
		if len(again) > 0 {
			// Each time it is sent has its end on the record, so that one removal isn't counted as several.
			if err := a.journal.write(Changes{Audit: a.events(t, again, OutcomeFailed)}); err != nil {
				return err
			}
		}
		for _, verb := range []plan.Verb{plan.Add, plan.Remove} {
			repeat := slices.DeleteFunc(slices.Clone(again), func(w *write) bool { return w.change.Verb != verb })
			if err := a.send(ctx, t, repeat); err != nil {
				return err
			}
		}
	}
	return a.record(t, writes, r)
}

// judge compares what was written with what is there. It returns the writes worth sending again, and whether waiting for
// the rest makes sense.
func judge(writes []*write, r reading) (again []*write, wait bool) {
	if r.state != plan.Read {
		return nil, r.state == plan.Failed
	}
	held := make(map[plan.Grant]bool, len(r.grants))
	for i := range r.grants {
		held[r.grants[i].grant()] = true
	}
	for _, w := range writes {
		w.done = held[w.change.Grant] == (w.change.Verb == plan.Add)
		switch class := nemlogin.ClassOf(w.err); {
		case w.done:
		case w.err == nil:
			wait = true // accepted, but not to be seen yet
		case class == nemlogin.ClassTransient || class == nemlogin.ClassGarbage || class == nemlogin.ClassConflict:
			again, wait = append(again, w), true
		}
	}
	return again, wait
}

// pause waits, or returns early with the reason why the context ended.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// record keeps how the writes to one identity ended, and what it holds now.
func (a *applier) record(t *target, writes []*write, r reading) error {
	b := a.s.b
	known := r.state == plan.Read
	var done, failed []*write
	for _, w := range writes {
		if known && w.done {
			done = append(done, w)
			continue
		}
		if w.err == nil {
			w.err = errors.New("the service accepted it, but it doesn't show when read back")
			if !known {
				w.err = fmt.Errorf("it couldn't be read back: %w", r.err)
			}
		}
		failed = append(failed, w)
	}
	outcome := OutcomeFailed
	if !known {
		outcome = OutcomeUnknown
	}
	changes := Changes{Audit: append(a.events(t, done, OutcomeDone), a.events(t, failed, outcome)...)}
	changes.Observed = b.note(t.id, r)
	changes.Identities = []Identity{*t.id}
	at := b.now()
	for _, w := range done {
		if earlier := a.earlier[w.key()]; earlier != nil {
			changes.ClearedAttempts = append(changes.ClearedAttempts, *earlier)
		}
	}
	for _, w := range failed {
		changes.Attempts = append(changes.Attempts, a.attempt(w, at))
	}
	a.count(t, done, failed, r)
	return a.journal.write(changes)
}

func (w *write) key() plan.AttemptKey {
	return plan.AttemptKey{Verb: w.change.Verb, Identity: w.change.Identity, Grant: w.change.Grant}
}

// attempt is the memory of a failed write: when it is tried next.
func (a *applier) attempt(w *write, at time.Time) Attempt {
	t := Attempt{
		CVR: a.s.b.cvr, Verb: string(w.change.Verb), Identity: w.change.Identity, Role: w.change.Grant.Role,
		ScopeType: string(w.change.Grant.Scope.Type), ScopeValue: w.change.Grant.Scope.Value, FirstFailedAt: at,
	}
	if earlier := a.earlier[w.key()]; earlier != nil {
		t.FirstFailedAt, t.Attempts = earlier.FirstFailedAt, earlier.Attempts
	}
	t.Attempts++
	t.NextTryAt = at.Add(RetryDelay(t.Attempts))
	t.Class, t.Error = string(nemlogin.ClassOf(w.err)), w.err.Error()
	return t
}

func (a *applier) count(t *target, done, failed []*write, r reading) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.state == plan.Read {
		a.observed[t.id.UUID] = r.observation()
	}
	for _, w := range done {
		if w.change.Verb == plan.Add {
			a.report.Added++
		} else {
			a.report.Removed++
		}
		a.tell(w, OutcomeDone)
	}
	for _, w := range failed {
		a.report.Failed++
		if w.change.Verb == plan.Add {
			a.failedAdds[w.change.Grant.Role] = true
		}
		f := PersonFailure{User: t.user, Identity: t.id.UUID, Error: fmt.Sprintf("%s %s (%s): %v", w.change.Verb, w.change.RoleName, w.change.Grant.Scope, w.err)}
		a.report.Failures = append(a.report.Failures, f)
		a.report.unfinished[t.userID] = f.Error
		a.tell(w, OutcomeFailed)
	}
	a.steps++
	if a.o.Progress != nil {
		a.o.Progress(len(a.observed)+a.steps, len(a.observed)+len(a.targets))
	}
}

func (a *applier) tell(w *write, outcome string) {
	if told := a.s.b.o.Observer.Write; told != nil {
		told(string(w.change.Verb), outcome, 1)
	}
}

// events are the audit events of some writes.
func (a *applier) events(t *target, writes []*write, outcome string) []AuditEvent {
	events := make([]AuditEvent, len(writes))
	for i, w := range writes {
		action := AuditAdd
		if w.change.Verb == plan.Remove {
			action = AuditRemove
		}
		reason := string(w.change.Reason)
		if len(w.change.Because) > 0 {
			reason += ": " + strings.Join(w.change.Because, "; ")
		}
		events[i] = AuditEvent{
			Actor: a.o.Actor, Action: action, Identity: t.id.UUID, User: t.user, Role: w.change.Grant.Role,
			ScopeType: string(w.change.Grant.Scope.Type), ScopeValue: w.change.Grant.Scope.Value,
			Reason: reason, Plan: a.plan.ID, Run: a.o.Run, Outcome: outcome,
		}
		if w.err != nil && outcome != OutcomeIntended {
			events[i].Detail = w.err.Error()
		}
	}
	return events
}
