package rolecatalog

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/rollebro/rollebro/rolecatalog/plan"
)

// decide stores the plan and says whether it is to be applied; the guards, approvals and the quarantine are heard here.
func (b *Bridge) decide(ctx context.Context, s *session, p *plan.Plan, report *ReconcileReport, o ReconcileOptions) (apply bool, err error) {
	b.tellGuards(p)
	state := &s.snapshot.State
	quarantined := state.QuarantineSince != nil
	status := PlanComputed
	if p.Blocked {
		status = PlanBlocked
	}
	if b.o.DryRun {
		report.Blocked = p.Blocked
		_, err := b.savePlan(ctx, p, status, nil)
		return false, err
	}
	approval, err := b.approvalFor(ctx, p)
	if err != nil {
		return false, err
	}
	stored, err := b.savePlan(ctx, p, status, approval)
	if err != nil {
		return false, err
	}
	s.records = append(s.records, stored)
	if approval != nil && approval.ID != p.ID {
		s.records = append(s.records, approval)
	}
	changes := &Changes{}
	record := func(action, reason, detail string) {
		changes.Audit = append(changes.Audit, AuditEvent{Actor: o.Actor, Action: action, Plan: p.ID, Run: o.Run, Reason: reason, Detail: detail})
	}
	leave := func(reason string) {
		changes.State = func(st *State) { st.QuarantineSince, st.QuarantineReason, st.QuarantinePlan = nil, "", "" }
		record(AuditQuarantineOut, reason, "")
	}
	switch {
	case approval != nil:
		if quarantined {
			leave("approved")
		}
		apply = true
	case p.Blocked:
		report.Blocked, report.Quarantined = true, quarantined
		red := redRemovals(p)
		record(AuditPlanBlocked, firstRed(p), "")
		switch {
		case red != "" && !quarantined:
			report.Quarantined = true
			at := b.now()
			changes.State = func(st *State) { st.QuarantineSince, st.QuarantineReason, st.QuarantinePlan = &at, red, p.ID }
			record(AuditQuarantineIn, red, "")
		case red != "" && s.selection.Users == nil:
			// The plan of everybody that is to be approved is the newest one: an older one would not be carried out.
			changes.State = func(st *State) { st.QuarantineReason, st.QuarantinePlan = red, p.ID }
		}
		b.log.WithFields(map[string]any{"plan": short(p.ID), "reason": firstRed(p)}).Warn("The plan is blocked; nothing is written")
	case quarantined && s.selection.Users == nil && p.Target.Complete:
		leave("a clean plan")
		apply = true
	case quarantined:
		report.Quarantined = true
		if !p.Empty() {
			record(AuditPlanRefused, "quarantine", state.QuarantineReason)
		}
	default:
		apply = true
	}
	if len(changes.Audit) > 0 {
		if err := b.commit(ctx, changes); err != nil {
			return false, err
		}
	}
	return apply, nil
}

// approvalFor finds the approval of what a plan would do, nil without one, and uses it up: it holds once, so that is done
// before the first write, and no second run can use it as well.
func (b *Bridge) approvalFor(ctx context.Context, p *plan.Plan) (*PlanRecord, error) {
	if p.Empty() {
		return nil, nil
	}
	approval, err := b.store.ApprovalFor(ctx, b.cvr, p.Effect)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	approval.ReleaseUsed = true
	if err := b.store.SavePlan(ctx, &approval); err != nil {
		return nil, err
	}
	return &approval, nil
}

// tellGuards reports the guards that refuse.
func (b *Bridge) tellGuards(p *plan.Plan) {
	for _, g := range p.Guards {
		if !g.OK && b.o.Observer.Guard != nil {
			b.o.Observer.Guard(g.Guard)
		}
	}
}

// redRemovals is the message of a red guard on removals, the kind that puts the bridge into quarantine; empty: none.
func redRemovals(p *plan.Plan) string {
	for _, g := range p.Guards {
		switch g.Guard {
		case plan.GuardRemovals, plan.GuardRemovals24h, plan.GuardRoleRemovals, plan.GuardDesired:
			if !g.OK {
				return g.Message
			}
		}
	}
	return ""
}

func firstRed(p *plan.Plan) string {
	for _, g := range p.Guards {
		if !g.OK && g.Guard != plan.GuardIncomplete {
			return g.Message
		}
	}
	return ""
}

// Approve releases a stored plan once, in the name of a person: what it would do is carried out by the next reconcile or by
// Apply, whatever the guards say.
func (b *Bridge) Approve(ctx context.Context, id, by, reason string) (PlanRecord, error) {
	record, p, err := b.StoredPlan(ctx, id)
	if err != nil {
		return record, err
	}
	if by, reason = strings.TrimSpace(by), strings.TrimSpace(reason); by == "" || reason == "" {
		return record, errors.New("an approval needs the name of the person who gives it and a reason")
	}
	if HoldsCPR(by) || HoldsCPR(reason) {
		return record, errors.New("the name or the reason holds a CPR number; it would stay in the audit trail for good, so leave it out")
	}
	if s := record.Status; s == PlanApplied || s == PlanPartly || s == PlanStale {
		return record, fmt.Errorf("plan %s: %w: it is %s", short(record.ID), ErrStale, record.Status)
	}
	shrink := shrinkShown(p)
	if p.Empty() && shrink == "" {
		return record, fmt.Errorf("plan %s has nothing to do, so there is nothing to approve", short(record.ID))
	}
	changes := &Changes{Audit: []AuditEvent{{Actor: by, Action: AuditPlanApproved, Plan: record.ID, Reason: reason}}}
	if shrink != "" {
		changes.State = func(s *State) { s.AcceptShrink = strings.Contains(shrink, s.CatalogueError) }
	}
	// On the record first: an approval that nobody can find there must not hold.
	if err := b.commit(ctx, changes); err != nil {
		return record, fmt.Errorf("recording the approval: %w", err)
	}
	at := b.now()
	record.Status, record.ApprovedAt, record.ApprovedBy, record.ApproveWhy, record.ReleaseUsed = PlanApproved, &at, by, reason, false
	if err := b.store.SavePlan(ctx, &record); err != nil {
		return record, fmt.Errorf("storing the approval: %w", err)
	}
	return record, nil
}

// shrinkShown is the message of a plan's guard that told of a shrunken catalogue; empty: none did. A catalogue that merely
// could not be read is nothing that a person can approve.
func shrinkShown(p *plan.Plan) string {
	for _, g := range p.Guards {
		if !g.OK && g.Guard == plan.GuardShrunk && strings.Contains(g.Message, shrinkRefused) {
			return g.Message
		}
	}
	return ""
}
