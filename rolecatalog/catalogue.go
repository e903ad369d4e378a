package rolecatalog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/rollebro/rollebro/nemlogin"
	"github.com/rollebro/rollebro/rolecatalog/plan"
)

// CatalogueReport tells what a refresh of the catalogue found.
type CatalogueReport struct {
	Roles     int    `json:"roles"` // in the answer
	New       int    `json:"new"`
	Changed   int    `json:"changed"`
	Withdrawn int    `json:"withdrawn"`
	Returned  int    `json:"returned"`
	Refused   string `json:"refused,omitempty"` // why the answer was not accepted; empty: it was
}

// RefreshCatalogue reads the system roles from MitID Erhverv and keeps them under the IT system NemLog-in. A role that is
// no longer listed is marked as withdrawn and keeps its assignments. An answer that is empty, or has lost more than the
// allowed share of the roles, is not accepted: the catalogue stays as it is and nothing is written to MitID Erhverv until a
// good answer comes or a person approves the blocked plan.
func (b *Bridge) RefreshCatalogue(ctx context.Context) (CatalogueReport, error) {
	report, err := b.refreshCatalogue(ctx)
	if errors.Is(err, ErrDuplicate) {
		// Somebody else stored the same new roles meanwhile: compare with what is there now.
		return b.refreshCatalogue(ctx)
	}
	return report, err
}

func (b *Bridge) refreshCatalogue(ctx context.Context) (CatalogueReport, error) {
	answer, err := b.o.Client.Roles(ctx)
	if err != nil {
		if nemlogin.ClassOf(err) != nemlogin.ClassCanceled {
			b.noteCatalogue(ctx, fmt.Sprintf("the roles could not be read: %v", err))
		}
		return CatalogueReport{}, fmt.Errorf("reading the system roles from MitID Erhverv: %w", err)
	}
	report := CatalogueReport{Roles: len(answer)}
	state, err := b.store.State(ctx, b.cvr)
	if err != nil {
		return report, err
	}
	known, err := b.store.SystemRoles(ctx, b.cvr)
	if err != nil {
		return report, err
	}
	system, err := b.store.ITSystem(ctx, NemLoginSystem)
	if err != nil {
		return report, fmt.Errorf("finding the IT system %s: %w", NemLoginSystem, err)
	}

	changes, generation := b.compareCatalogue(answer, known, system.ID, state.Generation, &report)
	before := 0
	for i := range known {
		if known[i].WithdrawnAt == nil {
			before++
		}
	}
	// What the answer leaves of the roles that were there: roles that are new don't make up for those that are missing.
	left := before - report.Withdrawn
	shrink := fmt.Sprintf("%s %d of the %d roles it had; more than %d %% is not taken for granted",
		shrinkRefused, before-left, before, b.o.Limits.CatalogueShrinkPercent)
	switch {
	case len(answer) == 0:
		report.Refused = "MitID Erhverv answered with an empty list of roles"
	case state.AcceptShrink && state.CatalogueError == shrink:
		// What a person was shown and has approved, and nothing more.
	case (before-left)*100 > before*b.o.Limits.CatalogueShrinkPercent:
		report.Refused = shrink
	}
	if report.Refused != "" {
		b.noteCatalogue(ctx, report.Refused)
		report.New, report.Changed, report.Withdrawn, report.Returned = 0, 0, 0, 0
		return report, nil
	}
	at := b.now()
	changes.State = func(s *State) {
		s.CatalogueAt, s.CatalogueCount, s.CatalogueError, s.AcceptShrink = &at, len(answer), "", false
		s.Generation = max(s.Generation, generation)
	}
	if err := b.commit(ctx, changes); err != nil {
		return report, fmt.Errorf("storing the catalogue: %w", err)
	}
	b.log.WithFields(map[string]any{
		"roles": report.Roles, "new": report.New, "changed": report.Changed, "withdrawn": report.Withdrawn, "returned": report.Returned,
	}).Info("The catalogue of system roles is up to date")
	return report, nil
}

// compareCatalogue collects what an answer changes. Roles listed for the first time belong to the next generation.
func (b *Bridge) compareCatalogue(answer []nemlogin.Role, known []SystemRole, itSystem uint64, generation int64, report *CatalogueReport) (*Changes, int64) {
	at := b.now()
	changes := &Changes{}
	byUUID := make(map[string]*SystemRole, len(known))
	for i := range known {
		byUUID[known[i].UUID] = &known[i]
	}
	event := func(r *SystemRole, what string) {
		changes.Audit = append(changes.Audit, AuditEvent{Actor: ActorSchedule, Action: AuditCatalogue, Role: r.UUID, Reason: what, Detail: r.Name})
	}
	listed := make(map[string]bool, len(answer))
	for _, role := range answer {
		uuid := strings.ToLower(role.UUID)
		if listed[uuid] {
			continue
		}
		listed[uuid] = true
		r := byUUID[uuid]
		if r == nil {
			r = &SystemRole{
				CVR: b.cvr, ITSystemID: itSystem, UUID: uuid, Since: generation + 1, CreatedAt: at, UpdatedAt: at,
				Name: role.Name, Description: role.Description, BasicPackage: role.BasicPackage,
			}
			changes.SystemRoles = append(changes.SystemRoles, r)
			report.New++
			event(r, "new")
			continue
		}
		returned := r.WithdrawnAt != nil
		changed := r.Name != role.Name || r.Description != role.Description || r.BasicPackage != role.BasicPackage
		if !returned && !changed {
			continue
		}
		r.Name, r.Description, r.BasicPackage, r.WithdrawnAt, r.UpdatedAt = role.Name, role.Description, role.BasicPackage, nil, at
		changes.SystemRoles = append(changes.SystemRoles, r)
		if returned {
			report.Returned++
			event(r, "returned")
		} else {
			report.Changed++
			event(r, "changed")
		}
	}
	for i := range known {
		r := &known[i]
		if !listed[r.UUID] && r.WithdrawnAt == nil {
			withdrawn := *r
			withdrawn.WithdrawnAt, withdrawn.UpdatedAt = &at, at
			changes.SystemRoles = append(changes.SystemRoles, &withdrawn)
			report.Withdrawn++
			event(r, "withdrawn")
		}
	}
	if report.New > 0 {
		generation++
	}
	return changes, generation
}

// shrinkRefused is how the reason of a refusal begins that a person can approve.
const shrinkRefused = "MitID Erhverv's list of roles lacks"

// noteCatalogue remembers that the last answer was not usable. The run goes on being reported by its caller, so a failure
// to remember is only logged.
func (b *Bridge) noteCatalogue(ctx context.Context, why string) {
	b.log.WithField("reason", why).Warn("The catalogue of system roles stays as it was")
	err := b.commit(ctx, &Changes{
		State: func(s *State) {
			if s.AcceptShrink && !strings.Contains(why, shrinkRefused) {
				return // it couldn't be read this time: the approval of what was seen before waits
			}
			s.CatalogueError, s.AcceptShrink = why, s.AcceptShrink && s.CatalogueError == why
		},
		Audit: []AuditEvent{{Actor: ActorSchedule, Action: AuditCatalogueNo, Detail: why}},
	})
	if err != nil {
		b.log.WithError(err).Error("Remembering that the catalogue was not refreshed failed")
	}
}

// NumbersReport tells what a refresh of the P- and SE-numbers found.
type NumbersReport struct {
	PNumbers  int      `json:"pNumbers"`
	SENumbers int      `json:"seNumbers"`
	New       int      `json:"new"`
	Gone      int      `json:"gone"`
	Warnings  []string `json:"warnings,omitempty"` // an empty answer leaves its list as it was
}

// RefreshNumbers reads the organisation's P- and SE-numbers. An empty or failed answer leaves the list as it is; a number
// that is no longer listed is marked as gone and stays visible where it is used. One failed list doesn't keep the other
// from being stored; the error is returned in the end.
func (b *Bridge) RefreshNumbers(ctx context.Context) (NumbersReport, error) {
	var report NumbersReport
	known, err := b.store.ScopeNumbers(ctx, b.cvr)
	if err != nil {
		return report, err
	}
	changes := &Changes{}
	units, unitsErr := b.o.Client.ProductionUnits(ctx)
	if unitsErr != nil {
		unitsErr = fmt.Errorf("reading the P-numbers from MitID Erhverv: %w", unitsErr)
	} else {
		report.PNumbers = len(units)
		list := make(map[string]string, len(units))
		for _, u := range units {
			list[u.Number] = u.Name
		}
		b.compareNumbers(string(plan.PU), list, known, changes, &report)
	}
	numbers, numbersErr := b.o.Client.SENumbers(ctx)
	if numbersErr != nil {
		numbersErr = fmt.Errorf("reading the SE-numbers from MitID Erhverv: %w", numbersErr)
	} else {
		report.SENumbers = len(numbers)
		list := make(map[string]string, len(numbers))
		for _, n := range numbers {
			list[n.Number] = ""
		}
		b.compareNumbers(string(plan.SE), list, known, changes, &report)
	}
	failed := errors.Join(unitsErr, numbersErr)
	at := b.now()
	changes.State = func(s *State) {
		s.NumbersError = strings.Join(report.Warnings, "; ")
		if failed != nil {
			s.NumbersError = failed.Error()
		} else {
			s.NumbersAt = &at
		}
	}
	if err := b.commit(ctx, changes); err != nil {
		return report, errors.Join(failed, fmt.Errorf("storing the P- and SE-numbers: %w", err))
	}
	for _, w := range report.Warnings {
		b.log.Warn(w)
	}
	return report, failed
}

func (b *Bridge) compareNumbers(scopeType string, list map[string]string, known []ScopeNumber, changes *Changes, report *NumbersReport) {
	at := b.now()
	have := make(map[string]*ScopeNumber, len(known))
	for i := range known {
		if known[i].ScopeType == scopeType {
			have[known[i].Value] = &known[i]
		}
	}
	if len(list) == 0 {
		if len(have) > 0 {
			report.Warnings = append(report.Warnings, fmt.Sprintf("MitID Erhverv answered with no %s-numbers; the %d known ones stay", map[string]string{"PU": "P", "SE": "SE"}[scopeType], len(have)))
		}
		return
	}
	for _, value := range slices.Sorted(maps.Keys(list)) {
		if ValidateScope(plan.ScopeType(scopeType), value) != nil {
			report.Warnings = append(report.Warnings, fmt.Sprintf("MitID Erhverv's list holds %q, which is not a %s-number", value, scopeType))
			continue
		}
		n := have[value]
		switch {
		case n == nil:
			report.New++
			changes.ScopeNumbers = append(changes.ScopeNumbers, &ScopeNumber{CVR: b.cvr, ScopeType: scopeType, Value: value, Name: list[value], CreatedAt: at, UpdatedAt: at})
		case n.Name != list[value] || n.GoneAt != nil:
			n.Name, n.GoneAt, n.UpdatedAt = list[value], nil, at
			changes.ScopeNumbers = append(changes.ScopeNumbers, n)
		}
	}
	for i := range known {
		n := &known[i]
		if _, listed := list[n.Value]; n.ScopeType == scopeType && !listed && n.GoneAt == nil {
			n.GoneAt, n.UpdatedAt = &at, at
			changes.ScopeNumbers = append(changes.ScopeNumbers, n)
			report.Gone++
		}
	}
}
