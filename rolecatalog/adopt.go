package rolecatalog

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/rollebro/rollebro/rolecatalog/plan"
)

// ImportReport tells how an import went.
type ImportReport struct {
	Candidates  int             `json:"candidates"` // identities that had not been adopted
	Adopted     int             `json:"adopted"`
	Failed      int             `json:"failed"` // could not be read; nothing is written for them until they are
	Gone        int             `json:"gone"`   // MitID Erhverv doesn't know the identity
	Conflicts   int             `json:"conflicts"`
	Roles       int             `json:"roles"`       // job function roles made
	Assignments int             `json:"assignments"` // made
	Unmanaged   int             `json:"unmanaged"`   // grants left alone: role not in the catalogue, another CVR, an unknown scope type
	Failures    []PersonFailure `json:"failures,omitempty"`
}

// commitEvery is how many people an import brings home in one transaction: few enough that a stop loses little work.
const commitEvery = 100

// Import reads what everybody who has not been adopted holds in MitID Erhverv and keeps it as job function roles given to
// users: one role per system role and scope type, one assignment per scope value. A person counts as adopted only when the
// reading succeeded and the rows are committed, so an import that was stopped goes on where it was, and whoever could not
// be read is tried again next time. Nothing is written to MitID Erhverv.
func (b *Bridge) Import(ctx context.Context, progress Progress) (ImportReport, error) {
	if b.o.Client == nil {
		return ImportReport{}, errNoClient
	}
	s, err := b.open(ctx, Selection{})
	if err != nil {
		return ImportReport{}, err
	}
	a := s.adopter()
	var ids []*Identity
	for i := range s.snapshot.Identities {
		id := &s.snapshot.Identities[i]
		if len(s.effective.links[id.UUID].rivals) > 0 {
			a.report.Conflicts++
		} else if a.behind(id) {
			ids = append(ids, id)
		}
	}
	a.report.Candidates = len(ids)
	err = b.observe(ctx, ids, progress, func(id *Identity, r reading) error {
		if r.state == plan.Failed {
			a.report.Failed++
			a.report.Failures = append(a.report.Failures, s.failure(id, r.err))
		}
		if r.state == plan.IsGone {
			a.report.Gone++
		}
		return a.take(ctx, id, r)
	})
	// What was read is brought home also when the reading ended early.
	if finish := a.flush(context.WithoutCancel(ctx)); err == nil {
		err = finish
	}
	if err != nil {
		return a.report, fmt.Errorf("importing: %w", err)
	}
	if a.report.Failed == 0 && s.snapshot.State.FirstImportAt == nil && len(s.snapshot.Identities) > 0 {
		at := b.now()
		if err := b.commit(ctx, &Changes{State: func(st *State) { st.FirstImportAt = &at }}); err != nil {
			return a.report, err
		}
	}
	b.log.WithFields(map[string]any{
		"candidates": a.report.Candidates, "adopted": a.report.Adopted, "failed": a.report.Failed, "gone": a.report.Gone,
		"roles": a.report.Roles, "assignments": a.report.Assignments,
	}).Info("The import is done")
	return a.report, nil
}

// adopter turns readings into assignments. It is used by one goroutine at a time.
type adopter struct {
	s       *session
	roles   map[string]*JobFunctionRole // by identifier
	managed map[string]*SystemRole
	changes Changes
	pending int
	report  ImportReport
}

func (s *session) adopter() *adopter {
	a := &adopter{s: s, roles: make(map[string]*JobFunctionRole, len(s.snapshot.Roles)), managed: make(map[string]*SystemRole, len(s.snapshot.SystemRoles))}
	for i := range s.snapshot.Roles {
		a.roles[s.snapshot.Roles[i].Identifier] = &s.snapshot.Roles[i]
	}
	for i := range s.snapshot.SystemRoles {
		a.managed[s.snapshot.SystemRoles[i].UUID] = &s.snapshot.SystemRoles[i]
	}
	return a
}

// behind reports whether the identity holds, or may hold, something that has not been imported: it was never adopted by
// its present owner, or roles have come into the catalogue since. A conflict is nobody's, and an identity that no user has
// any longer is left as it is.
func (a *adopter) behind(id *Identity) bool {
	l := a.s.effective.links[id.UUID]
	return l.owner != nil && id.RetiredAt == nil && (id.UserID != l.owner.ID || id.Generation < a.s.snapshot.State.Generation)
}

// take imports one reading. Rows are committed every so often and at flush.
func (a *adopter) take(ctx context.Context, id *Identity, r reading) error {
	a.changes.Observed = append(a.changes.Observed, a.s.b.note(id, r)...)
	if r.state == plan.Read && a.behind(id) {
		a.adopt(id, r)
	}
	a.changes.Identities = append(a.changes.Identities, *id)
	if a.pending++; a.pending >= commitEvery {
		return a.flush(ctx)
	}
	return nil
}

// adopt makes the assignments that give an identity what it holds, and marks it as adopted.
func (a *adopter) adopt(id *Identity, r reading) {
	owner := a.s.effective.links[id.UUID].owner
	since := id.Generation
	if id.UserID != owner.ID {
		since = 0 // another user's until now: whatever it holds is new to this one
	}
	late := since == 0 && a.s.snapshot.State.FirstImportAt != nil && a.s.b.o.LateUsers == LateOverwrite
	wanted := a.s.effective.of(owner.ID).wanted
	made := 0
	for i := range r.grants {
		g := r.grants[i].grant()
		role := a.managed[g.Role]
		if role == nil || !g.Scope.Type.Known() || g.Scope.Type == plan.Cvr && g.Scope.Value != a.s.b.cvr {
			a.report.Unmanaged++
			continue
		}
		if _, given := wanted[g]; given || late || role.Since <= since {
			continue
		}
		a.assign(owner, role, g)
		made++
	}
	at := a.s.b.now()
	id.UserID, id.Generation = owner.ID, a.s.snapshot.State.Generation
	if since == 0 {
		id.AdoptedAt = &at
	}
	a.report.Adopted++
	if since == 0 || made > 0 {
		a.changes.Audit = append(a.changes.Audit, AuditEvent{
			Actor: ActorImport, Action: AuditAdopt, Identity: id.UUID, User: owner.UserID,
			Detail: fmt.Sprintf("%d grants read, %d kept as assignments", len(r.grants), made),
		})
	}
}

// assign keeps one grant as an assignment of the job function role for its (system role, scope type), made when needed.
func (a *adopter) assign(owner *User, role *SystemRole, g plan.Grant) {
	at := a.s.b.now()
	jfr := a.roleFor(role, g.Scope.Type)
	assignment := &Assignment{CVR: a.s.b.cvr, UserID: owner.ID, Role: jfr, AssignedBy: ActorImport, CreatedAt: at}
	if jfr.ID != 0 {
		assignment.JobFunctionRoleID = jfr.ID
	}
	if g.Scope.Type != plan.Cvr {
		assignment.Values = []AssignmentValue{{SystemRoleID: role.ID, ScopeType: string(g.Scope.Type), Value: g.Scope.Value}}
	}
	a.changes.Assignments = append(a.changes.Assignments, assignment)
	a.report.Assignments++
}

// roleFor finds the job function role that gives one system role in a scope of this type and nothing else, or makes it. The
// one that was imported before may have been changed by a person: given for this grant it would give another one, or more.
func (a *adopter) roleFor(role *SystemRole, t plan.ScopeType) *JobFunctionRole {
	first := ImportedIdentifier(role.UUID, t)
	rule := ScopeRule{SystemRoleID: role.ID, ScopeType: string(t), AtAssignment: t != plan.Cvr}
	identifier := first
	for n := 2; ; n++ {
		jfr := a.roles[identifier]
		if jfr == nil {
			break
		}
		if len(jfr.Rules) == 1 && jfr.Rules[0].same(&rule) && !jfr.ReadOnly {
			return jfr
		}
		identifier = fmt.Sprintf("%s_%d", first, n)
	}
	at := a.s.b.now()
	jfr := &JobFunctionRole{
		CVR: a.s.b.cvr, ITSystemID: role.ITSystemID, Identifier: identifier, Name: role.Name + map[plan.ScopeType]string{plan.PU: " med pnr", plan.SE: " med senr"}[t],
		Description: role.Description, Origin: OriginImported, UserOnly: t != plan.Cvr, CreatedAt: at, UpdatedAt: at,
		Rules: []ScopeRule{rule},
	}
	a.roles[identifier] = jfr
	a.changes.JobFunctionRoles = append(a.changes.JobFunctionRoles, jfr)
	a.report.Roles++
	return jfr
}

// same reports whether two rules give the same.
func (r *ScopeRule) same(o *ScopeRule) bool {
	return r.SystemRoleID == o.SystemRoleID && r.ScopeType == o.ScopeType && r.AtAssignment == o.AtAssignment && slices.Equal(r.Values, o.Values)
}

// ImportedIdentifier is the identifier of the job function role that an import makes for a system role and a scope type.
// It is what tells such roles apart; names are for people. Where a person has changed what the role gives, the next one has
// this and "_2" at its end, and so on.
func ImportedIdentifier(systemRole string, t plan.ScopeType) string {
	return strings.ToLower(systemRole) + "_" + string(t)
}

// flush commits what has been collected.
func (a *adopter) flush(ctx context.Context) error {
	if a.pending == 0 {
		return nil
	}
	changes := a.changes
	a.changes, a.pending = Changes{}, 0
	if err := a.s.b.commit(ctx, &changes); err != nil {
		return fmt.Errorf("storing what was imported: %w", err)
	}
	return nil
}
