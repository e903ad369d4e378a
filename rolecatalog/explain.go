package rolecatalog

import (
	"context"
	"fmt"
	"slices"

	"github.com/rollebro/rollebro/rolecatalog/plan"
)

// Explanation is everything that is known of one person's roles, without asking MitID Erhverv anew.
type Explanation struct {
	User        User            `json:"user"`
	Identity    *Identity       `json:"identity,omitempty"`
	Conflict    []string        `json:"conflict,omitempty"` // user ids that have the same NemLogin UUID
	Assignments []AssignmentRow `json:"assignments"`
	// Changes compare what the catalogue says with what MitID Erhverv answered at Identity.ReadAt.
	Changes  []plan.Change `json:"changes"`
	Attempts []Attempt     `json:"attempts,omitempty"` // writes that failed, with their next try
	Work     *Work         `json:"work,omitempty"`     // set while the person waits to be looked at
	History  []AuditEvent  `json:"history,omitempty"`  // newest first
}

// AssignmentRow is an assignment with the name of its role.
type AssignmentRow struct {
	Assignment
	RoleName string `json:"roleName"`
}

// Explain explains one person, found by user id, uuid, extUuid or NemLogin UUID. ErrNotFound when there is none; when
// several domains have the user id, the first one is taken.
func (b *Bridge) Explain(ctx context.Context, key string) (Explanation, error) {
	var x Explanation
	found, err := b.store.Users(ctx, UserFilter{Key: key, IncludeDeleted: true, Limit: 2})
	if err != nil {
		return x, err
	}
	if len(found) == 0 {
		return x, fmt.Errorf("user %q: %w", key, ErrNotFound)
	}
	x.User = found[0]
	s, err := b.look(ctx, Selection{Users: []uint64{x.User.ID}, Label: "user " + x.User.UserID})
	if err != nil {
		return x, err
	}
	for i := range s.snapshot.Identities {
		id := &s.snapshot.Identities[i]
		if id.UUID == x.User.NemLoginUUID || x.Identity == nil && x.User.NemLoginUUID == "" && s.userOf(id.UUID) == x.User.ID {
			x.Identity = id
		}
	}
	if x.User.NemLoginUUID != "" {
		for _, u := range s.effective.links[x.User.NemLoginUUID].rivals {
			x.Conflict = append(x.Conflict, u.UserID)
		}
		slices.Sort(x.Conflict)
	}
	if err := b.explainAssignments(ctx, &x); err != nil {
		return x, err
	}
	if err := s.explainChanges(ctx, &x); err != nil {
		return x, err
	}
	if x.Work, err = b.workOf(ctx, x.User.ID); err != nil {
		return x, err
	}
	if x.Identity != nil {
		for i := range s.snapshot.Attempts {
			if s.snapshot.Attempts[i].Identity == x.Identity.UUID {
				x.Attempts = append(x.Attempts, s.snapshot.Attempts[i])
			}
		}
	}
	x.History, err = b.store.Audit(ctx, AuditFilter{CVR: b.cvr, User: x.User.UserID, Limit: 50})
	return x, err
}

func (b *Bridge) explainAssignments(ctx context.Context, x *Explanation) error {
	list, err := b.store.UserAssignments(ctx, b.cvr, x.User.ID)
	if err != nil {
		return err
	}
	roles, err := b.store.JobFunctionRoles(ctx, b.cvr)
	if err != nil {
		return err
	}
	names := make(map[uint64]string, len(roles))
	for i := range roles {
		names[roles[i].ID] = roles[i].Name
	}
	x.Assignments = make([]AssignmentRow, len(list))
	for i := range list {
		x.Assignments[i] = AssignmentRow{Assignment: list[i], RoleName: names[list[i].JobFunctionRoleID]}
	}
	return nil
}

// explainChanges computes a plan from the last reading.
func (s *session) explainChanges(ctx context.Context, x *Explanation) error {
	if x.Identity == nil {
		return nil
	}
	stored, err := s.b.store.Observed(ctx, s.b.cvr, []string{x.Identity.UUID})
	if err != nil {
		return err
	}
	r := reading{state: plan.Read, grants: stored}
	if x.Identity.GoneSince != nil {
		r.state = plan.IsGone
	} else if x.Identity.ReadAt == nil {
		r.state = plan.Failed
	}
	p, err := s.compute(ctx, plan.Observed{x.Identity.UUID: r.observation()})
	if err != nil {
		return err
	}
	for i := range p.Changes {
		if p.Changes[i].Identity == x.Identity.UUID {
			x.Changes = append(x.Changes, p.Changes[i])
		}
	}
	return nil
}

func (b *Bridge) workOf(ctx context.Context, user uint64) (*Work, error) {
	work, err := b.store.Work(ctx, b.cvr, 0)
	if err != nil {
		return nil, err
	}
	for i := range work {
		if work[i].UserID == user {
			return &work[i], nil
		}
	}
	return nil, nil
}
