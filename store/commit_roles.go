package store

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/rollebro/rollebro/rolecatalog"
)

func (m *commit) systemRoles() error {
	now := m.s.now()
	rows, err := save(m, saving[rolecatalog.SystemRole]{
		table: "system_roles",
		given: m.c.SystemRoles,
		id:    func(r *rolecatalog.SystemRole) *uint64 { return &r.ID },
		prepare: func(r *rolecatalog.SystemRole) error {
			stamp(&r.CreatedAt, &r.UpdatedAt, now)
			if err := own(&r.CVR, m.c.CVR); err != nil {
				return err
			}
			return withinLimits(most{"a system role's uuid", r.UUID, 64})
		},
		columns: []string{"cvr", "it_system_id", "uuid", "name", "description", "basic_package", "since", "withdrawn_at", "updated_at"},
	})
	give(m, m.c.SystemRoles, rows)
	return err
}

// roleKey is what a job function role is known by.
type roleKey struct {
	cvr        string
	system     uint64
	identifier string
}

func keyOf(r *rolecatalog.JobFunctionRole) roleKey {
	return roleKey{r.CVR, r.ITSystemID, r.Identifier}
}

// jobFunctionRoles creates roles with their rules, and updates others whole. A new one whose identifier is there already
// becomes that one, as it is stored: people may have renamed it.
func (m *commit) jobFunctionRoles() error {
	m.roles = map[*rolecatalog.JobFunctionRole]uint64{}
	given := m.mentionedRoles()
	if len(given) == 0 {
		return nil
	}
	known, err := m.knownRoles(given)
	if err != nil {
		return err
	}
	var write []*rolecatalog.JobFunctionRole // copies that are created or updated
	become := make([]*rolecatalog.JobFunctionRole, len(given))
	for i, g := range given {
		role := *g
		if err := own(&role.CVR, m.c.CVR); err != nil {
			return err
		}
		role.Identifier = strings.ToValidUTF8(role.Identifier, "\uFFFD") // as it is stored
		if there := known[keyOf(&role)]; role.ID == 0 && there != nil {
			become[i] = there
			continue
		}
		role.Rules = slices.Clone(role.Rules)
		write = append(write, &role)
		become[i] = &role
		if role.ID == 0 {
			known[keyOf(&role)] = &role // the same one again in these changes
		}
	}
	if err := m.writeRoles(write); err != nil {
		return err
	}
	for i, g := range given {
		m.roles[g] = become[i].ID
	}
	m.handBack = append(m.handBack, func() {
		for i, g := range given {
			*g = *become[i]
			g.Rules = slices.Clone(g.Rules)
		}
	})
	return nil
}

// mentionedRoles returns the job function roles of the changes, each once, and the new ones that assignments alone name.
func (m *commit) mentionedRoles() []*rolecatalog.JobFunctionRole {
	seen := map[*rolecatalog.JobFunctionRole]bool{}
	var roles []*rolecatalog.JobFunctionRole
	add := func(r *rolecatalog.JobFunctionRole) {
		if r != nil && !seen[r] {
			seen[r] = true
			roles = append(roles, r)
		}
	}
	for _, r := range m.c.JobFunctionRoles {
		add(r)
	}
	for _, a := range m.c.Assignments {
		if a != nil && a.ID == 0 && a.Role != nil && a.Role.ID == 0 {
			add(a.Role)
		}
	}
	return roles
}

// knownRoles finds the stored roles that have the identifier of a new one. It takes the sequence first, so that no other
// transaction creates one between here and the insert.
func (m *commit) knownRoles(given []*rolecatalog.JobFunctionRole) (map[roleKey]*rolecatalog.JobFunctionRole, error) {
	known := map[roleKey]*rolecatalog.JobFunctionRole{}
	var identifiers []string
	for _, g := range given {
		if g.ID == 0 {
			identifiers = append(identifiers, strings.ToValidUTF8(g.Identifier, "\uFFFD"))
		}
	}
	if len(identifiers) == 0 {
		return known, nil
	}
	var next uint64
	if err := m.s.lock(m.tx).Table("sequences").Where("name = ?", "job_function_roles").Pluck("next_id", &next).Error; err != nil {
		return nil, err
	}
	var stored []rolecatalog.JobFunctionRole
	err := inChunks(identifiers, func(part []string) error {
		var some []rolecatalog.JobFunctionRole
		db := m.tx.Table("job_function_roles")
		if m.c.CVR != "" {
			db = db.Where("cvr = ?", m.c.CVR)
		}
		err := in(m.s, db, "identifier", part).Find(&some).Error
		stored = append(stored, some...)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := m.s.fillRules(m.tx, stored); err != nil {
		return nil, err
	}
	for i := range stored {
		known[keyOf(&stored[i])] = &stored[i]
	}
	return known, nil
}

// writeRoles creates and updates, and sets the ids.
func (m *commit) writeRoles(roles []*rolecatalog.JobFunctionRole) error {
	now := m.s.now()
	rows, err := save(m, saving[rolecatalog.JobFunctionRole]{
		table: "job_function_roles",
		given: roles,
		id:    func(r *rolecatalog.JobFunctionRole) *uint64 { return &r.ID },
		prepare: func(r *rolecatalog.JobFunctionRole) error {
			stamp(&r.CreatedAt, &r.UpdatedAt, now)
			return withinLimits(most{"a job function role's identifier", r.Identifier, 255}, most{"an origin", string(r.Origin), 32})
		},
		columns: []string{
			"cvr", "it_system_id", "identifier", "name", "description", "origin", "read_only", "user_only", "retired_at", "updated_at",
		},
	})
	if err != nil {
		return err
	}
	var updated []uint64
	var rules []rolecatalog.ScopeRule
	for i, r := range roles {
		if r.ID != 0 {
			updated = append(updated, r.ID)
		}
		*r = rows[i]
		for j := range r.Rules {
			rule := &r.Rules[j]
			rule.JobFunctionRoleID = r.ID
			if len(rule.Values) == 0 {
				rule.Values = nil
			}
			if err := withinLimits(most{"a scope type", rule.ScopeType, 64}); err != nil {
				return err
			}
		}
	}
	err = inChunks(updated, func(part []uint64) error {
		return in(m.s, m.tx.Table("scope_rules"), "job_function_role_id", part).Delete(&rolecatalog.ScopeRule{}).Error
	})
	if err != nil {
		return err
	}
	count := 0
	for _, r := range roles {
		count += len(r.Rules)
	}
	next, err := m.s.allocate(m.tx, "scope_rules", count)
	if err != nil {
		return err
	}
	for _, r := range roles {
		for j := range r.Rules {
			r.Rules[j].ID = next
			next++
		}
		rules = append(rules, r.Rules...)
	}
	return insert(m.s, m.tx, "scope_rules", rules, nil)
}

// assignments creates assignments with their values, and updates others without.
func (m *commit) assignments() error {
	now := m.s.now()
	given := slices.Clone(m.c.Assignments)
	rows, err := save(m, saving[rolecatalog.Assignment]{
		table: "assignments",
		given: given,
		id:    func(a *rolecatalog.Assignment) *uint64 { return &a.ID },
		prepare: func(a *rolecatalog.Assignment) error {
			if a.CreatedAt.IsZero() {
				a.CreatedAt = now
			}
			if a.ID == 0 && a.Role != nil {
				if a.JobFunctionRoleID = m.roles[a.Role]; a.JobFunctionRoleID == 0 {
					a.JobFunctionRoleID = a.Role.ID
				}
			}
			a.Values = slices.Clone(a.Values)
			for _, v := range a.Values {
				if err := withinLimits(most{"a scope type", v.ScopeType, 64}, most{"a scope value", v.Value, 255}); err != nil {
					return err
				}
			}
			if err := own(&a.CVR, m.c.CVR); err != nil {
				return err
			}
			return days(a.StartDate, a.StopDate)
		},
		columns: []string{
			"cvr", "user_id", "job_function_role_id", "start_date", "stop_date", "assigned_by", "ended_at", "ended_by",
		},
	})
	if err != nil {
		return err
	}
	var values []rolecatalog.AssignmentValue
	count := 0
	for i := range rows {
		if given[i].ID == 0 {
			count += len(rows[i].Values)
		}
	}
	next, err := m.s.allocate(m.tx, "assignment_values", count)
	if err != nil {
		return err
	}
	for i := range rows {
		if given[i].ID != 0 {
			continue
		}
		for j := range rows[i].Values {
			v := &rows[i].Values[j]
			v.ID, v.AssignmentID = next, rows[i].ID
			next++
		}
		values = append(values, rows[i].Values...)
	}
	give(m, given, rows)
	return insert(m.s, m.tx, "assignment_values", values, nil)
}

// days checks that texts are days as they are stored, or empty.
func days(texts ...string) error {
	for _, t := range texts {
		if t == "" {
			continue
		}
		if _, err := time.Parse(time.DateOnly, t); err != nil {
			return fmt.Errorf("%w: %q is not a day (2006-01-02)", ErrInvalid, t)
		}
	}
	return nil
}

// fillRules reads the rules of job function roles.
func (s *Store) fillRules(tx *gorm.DB, roles []rolecatalog.JobFunctionRole) error {
	at := make(map[uint64]int, len(roles))
	ids := make([]uint64, len(roles))
	for i := range roles {
		at[roles[i].ID], ids[i] = i, roles[i].ID
	}
	return inChunks(ids, func(part []uint64) error {
		var rules []rolecatalog.ScopeRule
		if err := in(s, tx.Table("scope_rules"), "job_function_role_id", part).Order("id").Find(&rules).Error; err != nil {
			return err
		}
		for _, r := range rules {
			role := &roles[at[r.JobFunctionRoleID]]
			role.Rules = append(role.Rules, r)
		}
		return nil
	})
}
