package rolecatalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rollebro/rollebro/rolecatalog/plan"
)

// lookBack is how far back writes without an outcome are looked for: longer than the service is ever left standing still.
const lookBack = 60 * 24 * time.Hour

// closeIntents gives an outcome to the writes that a process announced and did not live to tell of, or could not: what is
// there now is what became of them. Only a reading of everybody does it.
func (s *session) closeIntents(ctx context.Context, observed plan.Observed) error {
	if s.selection.Users != nil {
		return nil
	}
	b := s.b
	open, err := b.store.OpenIntents(ctx, b.cvr, b.now().Add(-lookBack))
	if err != nil || len(open) == 0 {
		return err
	}
	held := make(map[string]map[plan.Grant]bool)
	changes := &Changes{}
	broken := make(map[string]bool)
	for _, e := range open {
		o := observed[e.Identity]
		if o.State != plan.Read {
			continue
		}
		if held[e.Identity] == nil {
			held[e.Identity] = make(map[plan.Grant]bool, len(o.Grants))
			for _, g := range o.Grants {
				held[e.Identity][g.Grant] = true
			}
		}
		grant := plan.Grant{Role: e.Role, Scope: plan.Scope{Type: plan.ScopeType(e.ScopeType), Value: e.ScopeValue}}
		e.Outcome = OutcomeFailed
		if held[e.Identity][grant] == (e.Action == AuditAdd) {
			e.Outcome = OutcomeDone
		}
		broken[e.Plan] = true
		e.At, e.Detail = time.Time{}, "what became of it could not be told at the time; this is what a later reading shows"
		changes.Audit = append(changes.Audit, e)
	}
	if len(changes.Audit) == 0 {
		return nil
	}
	if err := b.commit(ctx, changes); err != nil {
		return fmt.Errorf("recording what became of interrupted writes: %w", err)
	}
	return s.markBroken(ctx, broken)
}

// markBroken lets the plans that were broken off by the end of their process say so.
func (s *session) markBroken(ctx context.Context, plans map[string]bool) error {
	at := s.b.now()
	for id := range plans {
		record, err := s.b.store.Plan(ctx, s.b.cvr, id)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if record.AppliedAt == nil {
			record.Status, record.AppliedAt, record.Document = PlanPartly, &at, nil
			if err := s.b.store.SavePlan(ctx, &record); err != nil {
				return fmt.Errorf("storing how a plan ended: %w", err)
			}
		}
	}
	return nil
}

// listed is the work list as it stands before everybody is read.
func (s *session) listed(ctx context.Context) ([]Work, error) {
	if s.selection.Users != nil {
		return nil, nil // whoever selected them looks after their work
	}
	const everybody = 1 << 30
	return s.b.store.DueWork(ctx, s.b.cvr, s.b.now(), everybody)
}

// takeOff takes those off the work list who stood on it before everybody was read, and are done by that. Who was marked
// meanwhile stays.
func (s *session) takeOff(ctx context.Context, listed []Work, report *ReconcileReport) error {
	changes := &Changes{}
	for _, w := range listed {
		if report.unfinished[w.UserID] == "" && !report.again[w.UserID] && report.later[w.UserID].IsZero() {
			changes.Finished = append(changes.Finished, w)
		}
	}
	if len(changes.Finished) == 0 {
		return nil
	}
	if err := s.b.commit(ctx, changes); err != nil {
		return fmt.Errorf("storing the work list: %w", err)
	}
	return nil
}
