package rolecatalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/rollebro/rollebro/rolecatalog/plan"
)

// Errors of assigning.
var (
	ErrReadOnly = errors.New("this job function role mirrors MitID Erhverv and can't be assigned or taken away here")
	ErrInvalid  = errors.New("invalid")
)

// AssignRequest asks for an assignment of a job function role to a user.
type AssignRequest struct {
	UserID            uint64
	JobFunctionRoleID uint64
	StartDate         string // "2006-01-02", included; empty: at once
	StopDate          string // "2006-01-02", included; empty: open
	Values            []AssignmentValue
	Actor             string
}

// Assign gives a job function role to a user. Each scope rule that is left to the assignment must get at least one value of
// the right form, and no value may be given for another one; ErrInvalid, ErrReadOnly and ErrNotFound tell what is wrong.
func (b *Bridge) Assign(ctx context.Context, r AssignRequest) (Assignment, error) {
	role, err := b.jobFunctionRole(ctx, r.JobFunctionRoleID)
	if err != nil {
		return Assignment{}, err
	}
	if role.ReadOnly {
		return Assignment{}, fmt.Errorf("assigning %q: %w", role.Name, ErrReadOnly)
	}
	users, err := b.store.Users(ctx, UserFilter{IDs: []uint64{r.UserID}})
	if err != nil {
		return Assignment{}, err
	}
	if len(users) == 0 {
		return Assignment{}, fmt.Errorf("user %d: %w", r.UserID, ErrNotFound)
	}
	if err := checkDates(r.StartDate, r.StopDate); err != nil {
		return Assignment{}, err
	}
	if err := checkValues(role, r.Values); err != nil {
		return Assignment{}, err
	}
	a := &Assignment{
		CVR: b.cvr, UserID: r.UserID, JobFunctionRoleID: role.ID, StartDate: r.StartDate, StopDate: r.StopDate,
		Values: slices.Clone(r.Values), AssignedBy: r.Actor, CreatedAt: b.now(),
	}
	err = b.commit(ctx, &Changes{
		Assignments: []*Assignment{a}, Mark: b.mark([]uint64{r.UserID}, "a role was assigned"),
		Audit: []AuditEvent{{Actor: r.Actor, Action: AuditAssign, User: users[0].UserID, Identity: users[0].NemLoginUUID, Reason: role.Name, Detail: describeAssignment(a)}},
	})
	if err != nil {
		return Assignment{}, fmt.Errorf("storing the assignment: %w", err)
	}
	return *a, nil
}

// Unassign ends a user's assignment.
func (b *Bridge) Unassign(ctx context.Context, userID, id uint64, actor string) error {
	list, err := b.store.UserAssignments(ctx, b.cvr, userID)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(a Assignment) bool { return a.ID == id && a.EndedAt == nil })
	if i < 0 {
		return fmt.Errorf("assignment %d: %w", id, ErrNotFound)
	}
	users, err := b.store.Users(ctx, UserFilter{IDs: []uint64{userID}, IncludeDeleted: true})
	if err != nil {
		return err
	}
	if len(users) == 0 {
		return fmt.Errorf("user %d: %w", userID, ErrNotFound)
	}
	role, err := b.jobFunctionRole(ctx, list[i].JobFunctionRoleID)
	if err != nil {
		return err
	}
	if role.ReadOnly {
		return fmt.Errorf("taking away %q: %w", role.Name, ErrReadOnly)
	}
	at := b.now()
	list[i].EndedAt, list[i].EndedBy = &at, actor
	return b.commit(ctx, &Changes{
		Assignments: []*Assignment{&list[i]}, Mark: b.mark([]uint64{userID}, "a role was taken away"),
		Audit: []AuditEvent{{Actor: actor, Action: AuditUnassign, User: users[0].UserID, Identity: users[0].NemLoginUUID, Reason: role.Name, Detail: describeAssignment(&list[i])}},
	})
}

// SaveJobFunctionRole creates a job function role, or changes one: its name, description and rules. Everybody who holds it
// is put on the work list. A read-only one can't be changed, and neither can an identifier. ErrInvalid, ErrReadOnly,
// ErrNotFound and ErrDuplicate (a new one's identifier is taken) tell what is wrong.
func (b *Bridge) SaveJobFunctionRole(ctx context.Context, role *JobFunctionRole, actor string) error {
	known, err := b.store.SystemRoles(ctx, b.cvr)
	if err != nil {
		return err
	}
	if err := checkRules(role, known); err != nil {
		return err
	}
	role.CVR, role.UpdatedAt = b.cvr, b.now()
	changes := &Changes{JobFunctionRoles: []*JobFunctionRole{role}}
	if role.ID == 0 {
		err = b.newRole(ctx, role)
	} else {
		changes.Mark, err = b.changedRole(ctx, role)
	}
	if err != nil {
		return err
	}
	// A role whose scopes are chosen at assignment time is for persons.
	role.UserOnly = role.UserOnly || slices.ContainsFunc(role.Rules, func(r ScopeRule) bool { return r.AtAssignment })
	changes.Audit = []AuditEvent{{Actor: actor, Action: AuditRole, Role: role.Identifier, Detail: role.Name}}
	return b.commit(ctx, changes)
}

// newRole fills in what a new job function role isn't asked for.
func (b *Bridge) newRole(ctx context.Context, role *JobFunctionRole) error {
	system, err := b.store.ITSystem(ctx, NemLoginSystem)
	if err != nil {
		return err
	}
	role.ITSystemID, role.Origin, role.CreatedAt = system.ID, OriginManual, role.UpdatedAt
	if role.Identifier == "" {
		role.Identifier = uuid.NewString()
		return nil
	}
	roles, err := b.store.JobFunctionRoles(ctx, b.cvr)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(roles, func(r JobFunctionRole) bool { return r.ITSystemID == system.ID && r.Identifier == role.Identifier }) {
		return fmt.Errorf("a job function role with the identifier %q: %w", role.Identifier, ErrDuplicate)
	}
	return nil
}

// changedRole keeps what can't be changed in a job function role, and puts its holders on the work list.
func (b *Bridge) changedRole(ctx context.Context, role *JobFunctionRole) ([]Work, error) {
	before, err := b.jobFunctionRole(ctx, role.ID)
	if err != nil {
		return nil, err
	}
	if before.ReadOnly {
		return nil, fmt.Errorf("changing %q: %w", before.Name, ErrReadOnly)
	}
	role.Identifier, role.Origin, role.ITSystemID, role.CreatedAt, role.ReadOnly = before.Identifier, before.Origin, before.ITSystemID, before.CreatedAt, false
	holders, err := b.store.Holders(ctx, b.cvr, []uint64{role.ID})
	if err != nil {
		return nil, err
	}
	return b.mark(holders, "a job function role has changed"), nil
}

func (b *Bridge) jobFunctionRole(ctx context.Context, id uint64) (*JobFunctionRole, error) {
	roles, err := b.store.JobFunctionRoles(ctx, b.cvr)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(roles, func(r JobFunctionRole) bool { return r.ID == id })
	if i < 0 {
		return nil, fmt.Errorf("job function role %d: %w", id, ErrNotFound)
	}
	return &roles[i], nil
}

// SystemRoles lists the catalogue, withdrawn roles too.
func (b *Bridge) SystemRoles(ctx context.Context) ([]SystemRole, error) {
	return b.store.SystemRoles(ctx, b.cvr)
}

// JobFunctionRoles lists the job function roles with their rules.
func (b *Bridge) JobFunctionRoles(ctx context.Context) ([]JobFunctionRole, error) {
	return b.store.JobFunctionRoles(ctx, b.cvr)
}

func checkDates(start, stop string) error {
	for _, d := range []string{start, stop} {
		if d == "" {
			continue
		}
		if _, err := time.Parse(time.DateOnly, d); err != nil {
			return fmt.Errorf("%w date %q: the form is 2026-12-31", ErrInvalid, d)
		}
	}
	if start != "" && stop != "" && stop < start {
		return fmt.Errorf("%w dates: the last day, %s, is before the first, %s", ErrInvalid, stop, start)
	}
	return nil
}

func checkValues(role *JobFunctionRole, values []AssignmentValue) error {
	type open struct {
		role      uint64
		scopeType string
	}
	given := make(map[open]int)
	for _, rule := range role.Rules {
		if rule.AtAssignment {
			given[open{rule.SystemRoleID, rule.ScopeType}] = 0
		}
	}
	for _, v := range values {
		k := open{v.SystemRoleID, v.ScopeType}
		if _, asked := given[k]; !asked {
			return fmt.Errorf("%w value: %q leaves no %s-number of system role %d to the assignment", ErrInvalid, role.Name, v.ScopeType, v.SystemRoleID)
		}
		if err := ValidateScope(plan.ScopeType(v.ScopeType), v.Value); err != nil {
			return fmt.Errorf("%w value: %w", ErrInvalid, err)
		}
		given[k]++
	}
	for k, n := range given {
		if n == 0 {
			return fmt.Errorf("%w: %q asks for a %s-number at assignment", ErrInvalid, role.Name, k.scopeType)
		}
	}
	return nil
}

func checkRules(role *JobFunctionRole, known []SystemRole) error {
	if strings.TrimSpace(role.Name) == "" {
		return fmt.Errorf("%w: a job function role needs a name", ErrInvalid)
	}
	for _, r := range role.Rules {
		if !slices.ContainsFunc(known, func(s SystemRole) bool { return s.ID == r.SystemRoleID }) {
			return fmt.Errorf("system role %d: %w", r.SystemRoleID, ErrNotFound)
		}
		t := plan.ScopeType(r.ScopeType)
		switch {
		case !t.Known():
			return fmt.Errorf("%w scope type %q: Cvr, PU or SE", ErrInvalid, r.ScopeType)
		case t == plan.Cvr && (r.AtAssignment || len(r.Values) > 0):
			return fmt.Errorf("%w rule: the scope Cvr has no value to choose", ErrInvalid)
		case t != plan.Cvr && r.AtAssignment == (len(r.Values) > 0):
			return fmt.Errorf("%w rule: a %s scope has either fixed values or is left to the assignment", ErrInvalid, t)
		case t == plan.Cvr && slices.ContainsFunc(role.Rules, func(o ScopeRule) bool { return o.SystemRoleID == r.SystemRoleID && o.ScopeType != r.ScopeType }):
			return fmt.Errorf("%w rules: a system role can't be limited and given for the whole CVR in one job function role", ErrInvalid)
		}
		for _, v := range r.Values {
			if err := ValidateScope(t, v); err != nil {
				return fmt.Errorf("%w rule: %w", ErrInvalid, err)
			}
		}
	}
	return nil
}

func describeAssignment(a *Assignment) string {
	var parts []string
	for _, v := range a.Values {
		parts = append(parts, v.ScopeType+" "+v.Value)
	}
	if a.StartDate != "" {
		parts = append(parts, "from "+a.StartDate)
	}
	if a.StopDate != "" {
		parts = append(parts, "to "+a.StopDate)
	}
	return strings.Join(parts, ", ")
}
