package rolecatalog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/rollebro/rollebro/rolecatalog/plan"
)

// ended stores how a plan that had something to do was carried out, under every id that people know it by.
func (s *session) ended(ctx context.Context, status PlanStatus) error {
	at := s.b.now()
	for _, record := range s.records {
		record.Status, record.AppliedAt = status, &at
		if err := s.b.store.SavePlan(ctx, record); err != nil {
			return fmt.Errorf("storing how the plan ended: %w", err)
		}
	}
	return nil
}

// appliedEvent is the audit event of a plan that was carried out.
func appliedEvent(p *plan.Plan, report *ReconcileReport, o ReconcileOptions, status PlanStatus) AuditEvent {
	return AuditEvent{
		Actor: o.Actor, Action: AuditPlanApplied, Plan: p.ID, Run: o.Run, Outcome: string(status),
		Detail: fmt.Sprintf("%d added, %d removed, %d failed, %d held", report.Added, report.Removed, report.Failed, report.Held),
	}
}

// brokenOff records that something ended the whole run while the plan was being carried out. Another process that has taken
// over the writing meanwhile has the last word.
func (s *session) brokenOff(ctx context.Context, p *plan.Plan, report *ReconcileReport, o ReconcileOptions, cause error) error {
	if errors.Is(cause, ErrFenced) {
		return nil
	}
	event := appliedEvent(p, report, o, PlanPartly)
	event.Detail += "; broken off: " + cause.Error()
	if err := s.b.commit(ctx, &Changes{Audit: []AuditEvent{event}}); err != nil {
		return fmt.Errorf("recording that the plan was broken off: %w", err)
	}
	return s.ended(ctx, PlanPartly)
}

// conclude stores how the plan ended, retires identities that nobody needs any more, and puts on the work list whoever has
// to be come back to.
func (s *session) conclude(ctx context.Context, p *plan.Plan, observed plan.Observed, report *ReconcileReport, o ReconcileOptions) error {
	b := s.b
	at := b.now()
	changes := &Changes{Identities: s.retired(observed, at)}
	changes.ClearedAttempts = s.overtaken(p, observed, changes.Identities)
	if !p.Empty() {
		status := PlanApplied
		if report.Failed > 0 || report.Held > 0 {
			status = PlanPartly
		}
		if err := s.ended(ctx, status); err != nil {
			return err
		}
		changes.Audit = append(changes.Audit, appliedEvent(p, report, o, status))
	}
	s.remember(p, report)
	// Removals held back because somebody else could not be read are looked at again at once, each person alone.
	for i := range p.Changes {
		if c := &p.Changes[i]; c.Verb == plan.Skip && c.Reason == plan.IncompleteIn {
			report.Held++
			if user := s.userOf(c.Identity); report.unfinished[user] == "" {
				report.again[user] = true
			}
		}
	}
	changes.Mark = s.comeBackTo(report, at)
	if s.selection.Users == nil && report.Clean() {
		changes.State = func(st *State) { st.ReconciledAt = &at }
	}
	if len(changes.Identities)+len(changes.Audit)+len(changes.Mark)+len(changes.ClearedAttempts) == 0 && changes.State == nil {
		return nil
	}
	return b.commit(ctx, changes)
}

// comeBackTo lists who is to be put on the work list. Those selected are on it already, and whoever selected them looks after
// them; but an identity may have turned out to be somebody else's.
func (s *session) comeBackTo(report *ReconcileReport, at time.Time) []Work {
	var work []Work
	mark := func(user uint64, next time.Time, reason, why string) {
		if user == 0 || s.selection.Users != nil && slices.Contains(s.selection.Users, user) {
			return
		}
		w := Work{CVR: s.b.cvr, UserID: user, Reason: reason, NextTryAt: next, CreatedAt: at, LastError: why}
		if why != "" {
			w.FirstFailedAt = &at
		}
		work = append(work, w)
	}
	for _, user := range slices.Sorted(maps.Keys(report.again)) {
		mark(user, at, "removals held back", "")
	}
	for _, user := range slices.Sorted(maps.Keys(report.unfinished)) {
		mark(user, at.Add(RetryDelay(1)), "failed", report.unfinished[user])
	}
	for _, user := range slices.Sorted(maps.Keys(report.later)) {
		mark(user, report.later[user], "failed", "")
	}
	return work
}

// overtaken lists the remembered failures of writes that nobody wants any more. They must be forgotten: when the same write
// is wanted again next year, it is a new one.
func (s *session) overtaken(p *plan.Plan, observed plan.Observed, retired []Identity) []Attempt {
	if len(s.snapshot.Attempts) == 0 {
		return nil
	}
	wanted := make(map[plan.AttemptKey]bool)
	for i := range p.Changes {
		c := &p.Changes[i]
		verb := c.Intended
		if c.Verb == plan.Add || c.Verb == plan.Remove {
			verb = c.Verb
		}
		wanted[plan.AttemptKey{Verb: verb, Identity: c.Identity, Grant: c.Grant}] = true
	}
	var gone []Attempt
	for i := range s.snapshot.Attempts {
		a := &s.snapshot.Attempts[i]
		looked := observed[a.Identity].State == plan.Read || slices.ContainsFunc(retired, func(id Identity) bool { return id.UUID == a.Identity })
		if looked && !wanted[a.key()] {
			gone = append(gone, *a)
		}
	}
	return gone
}

// remember notes when the writes that failed earlier, and that this plan left out, are due.
func (s *session) remember(p *plan.Plan, report *ReconcileReport) {
	due := make(map[plan.AttemptKey]time.Time, len(s.snapshot.Attempts))
	for i := range s.snapshot.Attempts {
		due[s.snapshot.Attempts[i].key()] = s.snapshot.Attempts[i].NextTryAt
	}
	for i := range p.Changes {
		c := &p.Changes[i]
		if c.Verb != plan.Skip || c.Reason != plan.Waiting {
			continue
		}
		user := s.userOf(c.Identity)
		next, known := due[plan.AttemptKey{Verb: c.Intended, Identity: c.Identity, Grant: c.Grant}]
		if first, noted := report.later[user]; known && (!noted || next.Before(first)) {
			report.later[user] = next
		}
	}
}

// retired lists the identities that need no reading any more: of a user who is gone, and with nothing managed left.
func (s *session) retired(observed plan.Observed, at time.Time) []Identity {
	var ids []Identity
	for i := range s.snapshot.Identities {
		id := &s.snapshot.Identities[i]
		l := s.effective.links[id.UUID]
		if id.RetiredAt != nil || len(l.rivals) > 0 || l.owner != nil && !l.owner.Deleted {
			continue
		}
		o, looked := observed[id.UUID]
		if !looked || o.State == plan.Failed || s.holdsManaged(o) {
			continue
		}
		retired := *id
		retired.RetiredAt = &at
		ids = append(ids, retired)
	}
	return ids
}

func (s *session) holdsManaged(o plan.Observation) bool {
	for _, g := range o.Grants {
		if s.effective.managed[g.Role] && g.Scope.Type.Known() && (g.Scope.Type != plan.Cvr || g.Scope.Value == s.b.cvr) {
			return true
		}
	}
	return false
}
