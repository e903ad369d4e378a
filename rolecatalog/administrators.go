package rolecatalog

import (
	"context"
	"fmt"
	"slices"

	"github.com/rollebro/rollebro/nemlogin"
)

// MirrorReport tells how the mirroring of administrators went.
type MirrorReport struct {
	People  int `json:"people"`
	Added   int `json:"added"`
	Removed int `json:"removed"`
	Failed  int `json:"failed"`
}

// MirrorAdministrators reads who is an administrator in MitID Erhverv and shows it as assignments of read-only job function
// roles. It is a one-way copy: nothing is ever written there for them. Somebody whose reading failed keeps what is shown.
func (b *Bridge) MirrorAdministrators(ctx context.Context, progress Progress) (MirrorReport, error) {
	var report MirrorReport
	if b.o.Client == nil {
		return report, errNoClient
	}
	s, err := b.look(ctx, Selection{})
	if err != nil {
		return report, err
	}
	roles, err := b.administratorRoles(ctx)
	if err != nil {
		return report, err
	}
	mirror := mirror{s: s, roles: roles, held: map[uint64]map[uint64]*Assignment{}}
	for i := range s.snapshot.Assignments {
		a := &s.snapshot.Assignments[i]
		if a.AssignedBy == ActorMirror {
			if mirror.held[a.UserID] == nil {
				mirror.held[a.UserID] = map[uint64]*Assignment{}
			}
			mirror.held[a.UserID][a.JobFunctionRoleID] = a
		}
	}
	var ids []*Identity
	for i := range s.snapshot.Identities {
		id := &s.snapshot.Identities[i]
		if l := s.effective.links[id.UUID]; l.owner != nil && id.RetiredAt == nil {
			ids = append(ids, id)
		}
	}
	report.People = len(ids)
	answers := make([]*nemlogin.Employee, len(ids))
	err = b.each(ctx, len(ids), func(ctx context.Context, i int) error {
		e, err := b.o.Client.Employee(ctx, ids[i].UUID)
		switch {
		case err == nil:
			answers[i] = &e
		case stops(err):
			return fmt.Errorf("reading the administrators: %w", err)
		case nemlogin.ClassOf(err) == nemlogin.ClassNotFound:
			answers[i] = &nemlogin.Employee{AdministratorRoles: []string{}}
		}
		return nil
	})
	if err != nil {
		return report, err
	}
	changes := &Changes{}
	for i, id := range ids {
		if answers[i] == nil || answers[i].AdministratorRoles == nil {
			report.Failed++
			continue
		}
		mirror.compare(s.effective.links[id.UUID].owner, answers[i].AdministratorRoles, changes, &report)
		if progress != nil {
			progress(i+1, len(ids))
		}
	}
	// Who has left, or has no NemLogin UUID any more, is no administrator; of a conflict nobody can tell.
	for userID := range mirror.held {
		if u := s.effective.users[userID]; u != nil && (u.Deleted || u.NemLoginUUID == "") {
			mirror.compare(u, nil, changes, &report)
		}
	}
	at := b.now()
	changes.State = func(st *State) { st.AdministratorsAt = &at }
	if err := b.commit(ctx, changes); err != nil {
		return report, fmt.Errorf("storing the administrators: %w", err)
	}
	return report, nil
}

// mirror compares administrators with the assignments that show them.
type mirror struct {
	s     *session
	roles map[string]*JobFunctionRole       // by identifier
	held  map[uint64]map[uint64]*Assignment // by user and job function role
}

func (m *mirror) compare(user *User, names []string, changes *Changes, report *MirrorReport) {
	b := m.s.b
	at := b.now()
	for identifier, role := range m.roles {
		held := m.held[user.ID][role.ID]
		is := slices.Contains(names, identifier) && user.Active()
		event := AuditEvent{Actor: ActorMirror, User: user.UserID, Identity: user.NemLoginUUID, Role: identifier, Reason: role.Name}
		switch {
		case is && held == nil:
			changes.Assignments = append(changes.Assignments, &Assignment{CVR: b.cvr, UserID: user.ID, JobFunctionRoleID: role.ID, AssignedBy: ActorMirror, CreatedAt: at})
			event.Action = AuditAssign
			report.Added++
		case !is && held != nil:
			held.EndedAt, held.EndedBy = &at, ActorMirror
			changes.Assignments = append(changes.Assignments, held)
			event.Action = AuditUnassign
			report.Removed++
		default:
			continue
		}
		changes.Audit = append(changes.Audit, event)
	}
}

// administratorRoles finds the read-only job function roles by IT system and identifier, and makes those that are missing.
func (b *Bridge) administratorRoles(ctx context.Context) (map[string]*JobFunctionRole, error) {
	system, err := b.store.ITSystem(ctx, NemLoginSystem)
	if err != nil {
		return nil, err
	}
	all, err := b.store.JobFunctionRoles(ctx, b.cvr)
	if err != nil {
		return nil, err
	}
	roles := make(map[string]*JobFunctionRole, len(b.o.AdministratorRoles))
	changes := &Changes{}
	at := b.now()
	for _, want := range b.o.AdministratorRoles {
		i := slices.IndexFunc(all, func(r JobFunctionRole) bool { return r.ITSystemID == system.ID && r.Identifier == want.Identifier })
		if i >= 0 {
			role := &all[i]
			roles[want.Identifier] = role
			if role.Name != want.Name || role.Description != want.Description {
				role.Name, role.Description, role.UpdatedAt = want.Name, want.Description, at
				changes.JobFunctionRoles = append(changes.JobFunctionRoles, role)
			}
			continue
		}
		role := &JobFunctionRole{
			CVR: b.cvr, ITSystemID: system.ID, Identifier: want.Identifier, Name: want.Name, Description: want.Description,
			Origin: OriginAdministrator, ReadOnly: true, UserOnly: true, CreatedAt: at, UpdatedAt: at,
		}
		roles[want.Identifier] = role
		changes.JobFunctionRoles = append(changes.JobFunctionRoles, role)
	}
	if len(changes.JobFunctionRoles) == 0 {
		return roles, nil
	}
	if err := b.commit(ctx, changes); err != nil {
		return nil, fmt.Errorf("storing the administrator roles: %w", err)
	}
	return roles, nil
}
