package rolecatalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rollebro/rollebro/rolecatalog/plan"
)

// ReconcileOptions accompany one reconcile.
type ReconcileOptions struct {
	Run      uint64 // the run it belongs to, for the audit trail
	Actor    string // who caused it; default ActorSchedule
	Progress Progress
}

// ReconcileReport tells what a reconcile found and did.
type ReconcileReport struct {
	Plan        *plan.Plan      `json:"-"`
	PlanID      string          `json:"plan"`
	DryRun      bool            `json:"dryRun"`
	Blocked     bool            `json:"blocked"`     // a guard refuses, and nobody has approved
	Quarantined bool            `json:"quarantined"` // nothing is written until a plan is approved or a clean one comes
	Adopted     int             `json:"adopted"`
	Added       int             `json:"added"`
	Removed     int             `json:"removed"`
	Failed      int             `json:"failed"`     // writes that failed or whose outcome is unknown
	Held        int             `json:"held"`       // removals held back because something that belongs with them failed
	ReadFailed  int             `json:"readFailed"` // identities that could not be read
	Failures    []PersonFailure `json:"failures,omitempty"`

	unfinished map[uint64]string    // users to come back to after a while, with why
	again      map[uint64]bool      // users to come back to at once
	later      map[uint64]time.Time // users with a failed write that isn't due yet
}

// Clean reports whether everything that was to be done is done.
func (r *ReconcileReport) Clean() bool {
	return !r.Blocked && !r.Quarantined && r.Failed == 0 && r.Held == 0 && r.ReadFailed == 0
}

// Reconcile makes MitID Erhverv hold what the catalogue says, for everybody or for some: it reads, adopts who has not been
// adopted, computes and stores the plan, and applies it unless this is a dry run, a guard refuses or the bridge is
// quarantined. One person's failure doesn't stop the others; the error is for what stops everything.
func (b *Bridge) Reconcile(ctx context.Context, sel Selection, o ReconcileOptions) (ReconcileReport, error) {
	return b.reconcile(ctx, sel, o, nil)
}

// Apply carries a stored plan out. It reads and plans again, and refuses with ErrStale when a fresh plan would do
// something else than the stored one.
func (b *Bridge) Apply(ctx context.Context, id string, o ReconcileOptions) (ReconcileReport, error) {
	record, p, err := b.StoredPlan(ctx, id)
	if err != nil {
		return ReconcileReport{}, err
	}
	sel := Selection{Label: p.Selection}
	if p.Selection != selectionAll {
		if sel.Users, err = b.usersOf(ctx, p); err != nil {
			return ReconcileReport{}, err
		}
	}
	report, err := b.reconcile(ctx, sel, o, &record)
	switch {
	case err != nil:
		return report, err
	case report.Blocked:
		return report, fmt.Errorf("plan %s: %w", short(record.ID), ErrBlocked)
	case report.Quarantined:
		return report, fmt.Errorf("plan %s: %w", short(record.ID), ErrQuarantined)
	}
	return report, nil
}

const selectionAll = "all"

func short(id string) string { return id[:min(12, len(id))] }

// StoredPlan finds a plan by its id, or the beginning of it.
func (b *Bridge) StoredPlan(ctx context.Context, id string) (PlanRecord, *plan.Plan, error) {
	record, err := b.store.Plan(ctx, b.cvr, id)
	if errors.Is(err, ErrNotFound) {
		return record, nil, fmt.Errorf("%w: %s", ErrUnknownPlan, id)
	}
	if err != nil {
		return record, nil, err
	}
	p, err := plan.Decode(bytes.NewReader(record.Document))
	if err != nil {
		return record, nil, fmt.Errorf("reading the stored plan %s: %w", short(record.ID), err)
	}
	return record, p, nil
}

// usersOf lists the users that a plan for some people was made for.
func (b *Bridge) usersOf(ctx context.Context, p *plan.Plan) ([]uint64, error) {
	wanted := make(map[string]bool)
	for i := range p.Changes {
		wanted[p.Changes[i].Identity] = true
	}
	identities, err := b.store.Identities(ctx, b.cvr)
	if err != nil {
		return nil, err
	}
	users := []uint64{}
	seen := make(map[uint64]bool)
	for i := range identities {
		if id := &identities[i]; wanted[id.UUID] && !seen[id.UserID] {
			seen[id.UserID] = true
			users = append(users, id.UserID)
		}
	}
	return users, nil
}

// Plan reads MitID Erhverv, computes what a reconcile would do, and stores it. Nothing else changes, here or there; who
// has not been adopted is shown as such.
func (b *Bridge) Plan(ctx context.Context, sel Selection, progress Progress) (*plan.Plan, error) {
	if b.o.Client == nil {
		return nil, errNoClient
	}
	s, err := b.look(ctx, sel)
	if err != nil {
		return nil, err
	}
	if s.snapshot.State.Generation == 0 {
		return nil, errors.New("the catalogue of system roles has not been read yet: run `rollebro import` first")
	}
	s.snapshot.Identities = append(s.snapshot.Identities, s.unknown()...)
	observed := plan.Observed{}
	err = b.observe(ctx, s.present(), progress, func(id *Identity, r reading) error {
		observed[id.UUID] = r.observation()
		return nil
	})
	if err != nil {
		return nil, err
	}
	p, err := s.compute(ctx, observed)
	if err != nil {
		return nil, err
	}
	status := PlanComputed
	if p.Blocked {
		status = PlanBlocked
	}
	_, err = b.savePlan(ctx, p, status, nil)
	return p, err
}

// savePlan stores a plan; with an approval, as one that has just used it.
func (b *Bridge) savePlan(ctx context.Context, p *plan.Plan, status PlanStatus, approval *PlanRecord) (*PlanRecord, error) {
	var document bytes.Buffer
	if err := p.Encode(&document); err != nil {
		return nil, fmt.Errorf("writing the plan: %w", err)
	}
	record := &PlanRecord{
		CVR: b.cvr, ID: p.ID, Effect: p.Effect, Selection: p.Selection, Status: status, DryRun: b.o.DryRun, CreatedAt: p.CreatedAt,
		Adds: p.Counts.Add, Removes: p.Counts.Remove, Keeps: p.Counts.Keep, Skips: p.Counts.Skip, Document: document.Bytes(),
	}
	if approval != nil {
		record.Status, record.ReleaseUsed = PlanApproved, true
		record.ApprovedAt, record.ApprovedBy, record.ApproveWhy = approval.ApprovedAt, approval.ApprovedBy, approval.ApproveWhy
	}
	if err := b.store.SavePlan(ctx, record); err != nil {
		return nil, fmt.Errorf("storing the plan: %w", err)
	}
	record.Document = nil
	return record, nil
}

func (b *Bridge) reconcile(ctx context.Context, sel Selection, o ReconcileOptions, expect *PlanRecord) (ReconcileReport, error) {
	report := ReconcileReport{DryRun: b.o.DryRun, unfinished: map[uint64]string{}, again: map[uint64]bool{}, later: map[uint64]time.Time{}}
	if b.o.Client == nil {
		return report, errNoClient
	}
	if o.Actor == "" {
		o.Actor = ActorSchedule
	}
	if sel.Users == nil {
		// A full run takes long enough to outlive a token that is already old.
		if err := b.o.Client.Authenticate(ctx); err != nil {
			return report, fmt.Errorf("signing in to MitID Erhverv: %w", err)
		}
	}
	s, err := b.open(ctx, sel)
	if err != nil {
		return report, err
	}
	observed, err := s.observeAndAdopt(ctx, &report, o.Progress)
	if err != nil {
		return report, err
	}
	p, err := s.compute(ctx, observed)
	if err != nil {
		return report, err
	}
	report.Plan, report.PlanID = p, p.ID
	if expect != nil && p.Effect != expect.Effect {
		return report, b.refuseStale(ctx, expect, p, o)
	}
	apply, err := b.decide(ctx, s, p, &report, o)
	if err != nil || !apply {
		return report, err
	}
	if expect != nil && expect.ID != p.ID {
		expect.Document = nil // as stored
		s.records = append(s.records, expect)
	}
	if err := s.apply(ctx, p, observed, &report, o); err != nil {
		return report, errors.Join(err, s.brokenOff(context.WithoutCancel(ctx), p, &report, o, err))
	}
	err = s.conclude(ctx, p, observed, &report, o)
	return report, err
}

// observeAndAdopt reads everybody selected, keeps what was read, and adopts who has not been adopted.
func (s *session) observeAndAdopt(ctx context.Context, report *ReconcileReport, progress Progress) (plan.Observed, error) {
	observed := make(plan.Observed, len(s.snapshot.Identities))
	a := s.adopter()
	err := s.b.observe(ctx, s.present(), progress, func(id *Identity, r reading) error {
		observed[id.UUID] = r.observation()
		if r.state == plan.Failed {
			report.ReadFailed++
			f := s.failure(id, r.err)
			report.Failures = append(report.Failures, f)
			report.unfinished[s.userOf(id.UUID)] = f.Error
		}
		return a.take(ctx, id, r)
	})
	if err == nil {
		err = a.flush(ctx)
	}
	if err != nil {
		return nil, err
	}
	report.Adopted = a.report.Adopted
	// Reading everybody takes minutes: what is planned follows from what the catalogue says now.
	return observed, s.refresh(ctx)
}

// refuseStale records that a plan is not carried out because the world has moved.
func (b *Bridge) refuseStale(ctx context.Context, expect *PlanRecord, fresh *plan.Plan, o ReconcileOptions) error {
	if expect.Status != PlanApplied && expect.Status != PlanPartly {
		expect.Status = PlanStale
	}
	if err := b.store.SavePlan(ctx, expect); err != nil {
		return err
	}
	status := PlanComputed
	if fresh.Blocked {
		status = PlanBlocked
	}
	if _, err := b.savePlan(ctx, fresh, status, nil); err != nil {
		return err
	}
	event := AuditEvent{Actor: o.Actor, Action: AuditPlanRefused, Plan: expect.ID, Run: o.Run, Reason: "stale", Detail: "a fresh plan is " + fresh.ID}
	if err := b.commit(ctx, &Changes{Audit: []AuditEvent{event}}); err != nil {
		return err
	}
	return fmt.Errorf("plan %s: %w: a fresh plan, %s, would do something else", short(expect.ID), ErrStale, short(fresh.ID))
}

// decide stores the plan and says whether it is to be applied; the guards, approvals and the quarantine are heard here.
func (b *Bridge) decide(ctx context.Context, s *session, p *plan.Plan, report *ReconcileReport, o ReconcileOptions) (apply bool, err error) {
	for _, g := range p.Guards {
		if !g.OK && b.o.Observer.Guard != nil {
			b.o.Observer.Guard(g.Guard)
		}
	}
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
		if !g.OK && g.Guard == plan.GuardCatalogue && strings.Contains(g.Message, shrinkRefused) {
			return g.Message
		}
	}
	return ""
}

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
