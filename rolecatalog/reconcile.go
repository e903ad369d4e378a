package rolecatalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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
	// First of all: somebody who can't sign in learns it at once, and not person by person.
	if err := b.o.Client.Authenticate(ctx); err != nil {
		return nil, fmt.Errorf("signing in to MitID Erhverv: %w", err)
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
	listed, err := s.listed(ctx)
	if err != nil {
		return report, err
	}
	observed, err := s.observeAndAdopt(ctx, &report, o.Progress)
	if err != nil {
		return report, err
	}
	if err := s.closeIntents(ctx, observed); err != nil {
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
	if err == nil && b.o.DryRun {
		err = s.takeOff(ctx, listed, &report) // there is no more to be done for them in a dry run
	}
	if err != nil || !apply {
		return report, err
	}
	if expect != nil && expect.ID != p.ID {
		expect.Document = nil // as stored
		s.records = append(s.records, expect)
	}
	if err := s.apply(ctx, p, observed, &report, o); err != nil {
		err = errors.Join(err, s.brokenOff(context.WithoutCancel(ctx), p, &report, o, err))
		return report, err
	}
	err = s.conclude(ctx, p, observed, &report, o)
	if err == nil {
		err = s.takeOff(ctx, listed, &report)
	}
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
