package rolecatalog

import (
	"fmt"
	"slices"
	"strings"

	"github.com/rollebro/rollebro/rolecatalog/plan"
)

// link says whose an identity is.
type link struct {
	owner  *User   // nil: nobody's, or a conflict
	rivals []*User // two or more active users with this NemLogin UUID: a conflict
}

// linksOf works out, for each NemLogin UUID, whose it is. The one active user that has it owns it; two active ones are a
// conflict. Without an active one it belongs to the inactive user it was linked to last, or the newest.
func linksOf(users []User, identities []Identity) map[string]link {
	linked := make(map[string]uint64, len(identities))
	for i := range identities {
		linked[identities[i].UUID] = identities[i].UserID
	}
	links := make(map[string]link, len(users))
	for i := range users {
		u := &users[i]
		if u.NemLoginUUID == "" {
			continue
		}
		l, seen := links[u.NemLoginUUID]
		switch {
		case !seen:
			l.owner = u
		case u.Active() && len(l.rivals) > 0:
			l.rivals = append(l.rivals, u)
		case u.Active() && l.owner.Active():
			l = link{rivals: []*User{l.owner, u}}
		case u.Active():
			l.owner = u
		case l.owner != nil && !l.owner.Active() && (u.ID == linked[u.NemLoginUUID] || l.owner.ID != linked[u.NemLoginUUID] && u.ID > l.owner.ID):
			l.owner = u
		}
		links[u.NemLoginUUID] = l
	}
	return links
}

// effective turns a snapshot of the catalogue into what should be: the desired side of a plan.
type effective struct {
	cvr        string
	today      string
	snapshot   *Snapshot
	links      map[string]link
	users      map[uint64]*User
	systemRole map[uint64]*SystemRole
	managed    map[string]bool // uuids of the roles in the catalogue, withdrawn ones too
	roles      map[uint64]*roleGrants
	byUser     map[uint64][]*Assignment
	protected  map[string]bool
	keepLocked bool          // a locked user keeps his roles
	newRoles   []*SystemRole // roles that came after some identity's adoption, by Since descending
}

// roleGrants is what one job function role gives, prepared once.
type roleGrants struct {
	because []string
	fixed   []plan.Grant
	open    []openRule
	noValue []string // system roles with a broken rule: no valid fixed value
}

// openRule is a system role whose scope value each assignment brings.
type openRule struct {
	systemRoleID uint64
	role         string
	scopeType    plan.ScopeType
}

func newEffective(cvr, today string, s *Snapshot, protected []string) *effective {
	e := &effective{
		cvr: cvr, today: today, snapshot: s,
		links:      linksOf(s.Users, s.Identities),
		users:      make(map[uint64]*User, len(s.Users)),
		systemRole: make(map[uint64]*SystemRole, len(s.SystemRoles)),
		managed:    make(map[string]bool, len(s.SystemRoles)),
		roles:      make(map[uint64]*roleGrants, len(s.Roles)),
		byUser:     make(map[uint64][]*Assignment, len(s.Users)),
		protected:  make(map[string]bool, len(protected)),
	}
	for i := range s.Users {
		e.users[s.Users[i].ID] = &s.Users[i]
	}
	for i := range s.SystemRoles {
		r := &s.SystemRoles[i]
		e.systemRole[r.ID] = r
		e.managed[r.UUID] = true
		e.newRoles = append(e.newRoles, r)
	}
	slices.SortFunc(e.newRoles, func(a, b *SystemRole) int { return int(b.Since - a.Since) })
	for i := range s.Roles {
		e.roles[s.Roles[i].ID] = e.prepare(&s.Roles[i])
	}
	for i := range s.Assignments {
		a := &s.Assignments[i]
		e.byUser[a.UserID] = append(e.byUser[a.UserID], a)
	}
	for _, u := range protected {
		e.protected[strings.ToLower(u)] = true
	}
	return e
}

// prepare works out what a job function role gives by itself and what it leaves to the assignment. A system role with any
// PU or SE rule never gives a grant for the whole CVR.
func (e *effective) prepare(role *JobFunctionRole) *roleGrants {
	g := &roleGrants{because: []string{"direct: " + role.Name}}
	limited := make(map[uint64]bool, len(role.Rules))
	for _, rule := range role.Rules {
		if rule.ScopeType != string(plan.Cvr) {
			limited[rule.SystemRoleID] = true
		}
	}
	for _, rule := range role.Rules {
		system := e.systemRole[rule.SystemRoleID]
		if system == nil {
			continue
		}
		t := plan.ScopeType(rule.ScopeType)
		switch {
		case t == plan.Cvr:
			if !limited[rule.SystemRoleID] {
				g.fixed = append(g.fixed, plan.Grant{Role: system.UUID, Scope: plan.Scope{Type: plan.Cvr, Value: e.cvr}})
			}
		case rule.AtAssignment:
			g.open = append(g.open, openRule{rule.SystemRoleID, system.UUID, t})
		default:
			given := false
			for _, value := range rule.Values {
				if ValidateScope(t, value) == nil {
					g.fixed = append(g.fixed, plan.Grant{Role: system.UUID, Scope: plan.Scope{Type: t, Value: value}})
					given = true
				}
			}
			if !given {
				g.noValue = append(g.noValue, system.UUID)
			}
		}
	}
	return g
}

// ValidateScope checks the form of a scope value: 8 digits for Cvr and SE, 10 for PU.
func ValidateScope(t plan.ScopeType, value string) error {
	var digits int
	switch t {
	case plan.Cvr, plan.SE:
		digits = 8
	case plan.PU:
		digits = 10
	default:
		return fmt.Errorf("the scope type %q is none of Cvr, PU and SE", t)
	}
	if len(value) != digits || strings.Trim(value, "0123456789") != "" {
		// It isn't quoted: what people enter by mistake may be a CPR number.
		return fmt.Errorf("the value for the scope %s must have %d digits, and no other characters", t, digits)
	}
	return nil
}

// grants are one user's effective roles.
type grants struct {
	wanted  map[plan.Grant][]string // with where each comes from
	ended   map[plan.Grant]bool     // given by an assignment whose last day has passed
	noValue map[string]bool         // roles of an assignment without its scope value
}

// of works out what a user's assignments give on the day. Dates are inclusive at both ends.
func (e *effective) of(userID uint64) grants {
	g := grants{wanted: make(map[plan.Grant][]string, len(e.byUser[userID]))}
	for _, a := range e.byUser[userID] {
		role := e.roles[a.JobFunctionRoleID]
		if role == nil || a.EndedAt != nil || a.StartDate != "" && a.StartDate > e.today {
			continue
		}
		ended := a.StopDate != "" && a.StopDate < e.today
		give := func(grant plan.Grant) {
			if ended {
				if g.ended == nil {
					g.ended = make(map[plan.Grant]bool)
				}
				g.ended[grant] = true
				return
			}
			if was, ok := g.wanted[grant]; ok {
				g.wanted[grant] = mergeReasons(was, role.because)
			} else {
				g.wanted[grant] = role.because
			}
		}
		missing := func(uuid string) {
			if ended {
				return
			}
			if g.noValue == nil {
				g.noValue = make(map[string]bool)
			}
			g.noValue[uuid] = true
		}
		for _, grant := range role.fixed {
			give(grant)
		}
		for _, uuid := range role.noValue {
			missing(uuid)
		}
		for _, rule := range role.open {
			given := false
			for _, v := range a.Values {
				if v.SystemRoleID != rule.systemRoleID || v.ScopeType != string(rule.scopeType) {
					continue
				}
				if ValidateScope(rule.scopeType, v.Value) == nil {
					give(plan.Grant{Role: rule.role, Scope: plan.Scope{Type: rule.scopeType, Value: v.Value}})
					given = true
				}
			}
			if !given {
				missing(rule.role)
			}
		}
	}
	return g
}

func mergeReasons(a, b []string) []string {
	for _, s := range b {
		if !slices.Contains(a, s) {
			a = append(slices.Clone(a), s)
		}
	}
	return a
}

// subject describes one identity to the plan.
func (e *effective) subject(id *Identity) plan.Subject {
	s := plan.Subject{Identity: id.UUID}
	l := e.links[id.UUID]
	if len(l.rivals) > 0 {
		names := make([]string, len(l.rivals))
		for i, u := range l.rivals {
			names[i] = u.UserID
		}
		slices.Sort(names)
		s.User, s.Name, s.Hold = strings.Join(names, ", "), "", plan.Conflict
		return s
	}
	user, linked := l.owner, l.owner != nil
	if !linked {
		user = e.users[id.UserID] // whose it was
	}
	if user != nil {
		s.User, s.Name, s.Protected = user.UserID, user.Name, e.protected[user.UserKey]
	}
	switch {
	case !linked:
		s.RemoveReason = plan.Abandoned
	case user.Deleted:
		s.RemoveReason = plan.UserDeleted
	case user.Disabled, user.Locked() && !e.keepLocked:
		s.RemoveReason = plan.UserDisabled
	default:
		g := e.of(user.ID)
		s.Grants = make([]plan.DesiredGrant, 0, len(g.wanted))
		for grant, because := range g.wanted {
			s.Grants = append(s.Grants, plan.DesiredGrant{Grant: grant, Because: because})
		}
		s.NoValue, s.EndedGrants = g.noValue, g.ended
	}
	if !id.Adopted() || linked && id.UserID != user.ID {
		s.Hold = plan.NotAdopted
		return s
	}
	for _, r := range e.newRoles {
		if r.Since <= id.Generation {
			break
		}
		if s.Unadopted == nil {
			s.Unadopted = make(map[string]bool)
		}
		s.Unadopted[r.UUID] = true
	}
	return s
}

// desired is the catalogue's side of the plan for these identities.
func (e *effective) desired(identities []Identity) plan.Desired {
	d := plan.Desired{Subjects: make([]plan.Subject, 0, len(identities))}
	for i := range identities {
		if identities[i].RetiredAt == nil {
			d.Subjects = append(d.Subjects, e.subject(&identities[i]))
		}
	}
	return d
}

// catalogue is the set of managed roles as the plan needs it.
func (e *effective) catalogue() plan.Catalogue {
	c := plan.Catalogue{Roles: make(map[string]plan.Role, len(e.systemRole))}
	for _, r := range e.systemRole {
		c.Roles[r.UUID] = plan.Role{Name: r.Name, Withdrawn: r.WithdrawnAt != nil}
	}
	return c
}
