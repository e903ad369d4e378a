package coredata

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rollebro/rollebro/rolecatalog"
)

// memory is a Store in memory. It holds every call to the promises that the real one relies on: a decision must not touch
// the tree that it was given, changes must not contradict each other, and account names stay unique in their domain.
type memory struct {
	tb testing.TB

	mu       sync.Mutex
	domains  []rolecatalog.Domain
	users    map[uint64]rolecatalog.User
	groups   map[uint64]Group
	kombit   map[KombitRole]bool
	releases []Release
	audit    []rolecatalog.AuditEvent
	marked   []string // account names, of the last change
	next     uint64
	writes   int  // changes that were not nil
	repeat   bool // decide twice, as after a deadlock
	last     *Changes
	fault    error // of every change
	fast     bool  // leave out the checks that take long
}

func cmpRoles(a, b KombitRole) int {
	return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
}

func newMemory(tb testing.TB) *memory {
	tb.Helper()
	m := &memory{tb: tb, users: make(map[uint64]rolecatalog.User), groups: make(map[uint64]Group), kombit: make(map[KombitRole]bool), next: 100}
	parent := uint64(1)
	m.domains = []rolecatalog.Domain{
		{ID: 1, Name: "skovby.dk"}, {ID: 2, Name: "Elev1", ParentID: &parent}, {ID: 3, Name: "elev2", ParentID: &parent}, {ID: 4, Name: "andenby.dk"},
	}
	other := uint64(4)
	m.domains = append(m.domains, rolecatalog.Domain{ID: 5, Name: "fremmed", ParentID: &other})
	return m
}

func (m *memory) Domain(_ context.Context, name string) (domain, master rolecatalog.Domain, err error) {
	for _, d := range m.domains {
		if strings.EqualFold(d.Name, name) {
			if d.ParentID == nil {
				return d, d, nil
			}
			return d, m.domains[*d.ParentID-1], nil
		}
	}
	return domain, master, ErrNoDomain
}

func (m *memory) tree(master uint64, parts Part) *Tree {
	t := &Tree{Master: m.domains[master-1]}
	in := map[uint64]bool{master: true}
	for _, d := range m.domains {
		if d.ParentID != nil && *d.ParentID == master {
			t.Subs = append(t.Subs, d)
			in[d.ID] = true
		}
	}
	for _, id := range slices.Sorted(maps.Keys(m.users)) {
		if u := m.users[id]; parts&PartPeople != 0 && in[u.DomainID] && !u.Deleted {
			u.Attributes, u.KombitAttributes, u.Roles = maps.Clone(u.Attributes), maps.Clone(u.KombitAttributes), slices.Clone(u.Roles)
			t.People = append(t.People, &u)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(m.groups)) {
		if g := m.groups[id]; parts&PartGroups != 0 && in[g.DomainID] {
			g.Members = slices.Clone(g.Members)
			t.Groups = append(t.Groups, &g)
		}
	}
	if parts&PartKombit != 0 {
		for r := range m.kombit {
			if in[m.users[r.UserID].DomainID] {
				t.Kombit = append(t.Kombit, r)
			}
		}
	}
	for i := range m.releases {
		if r := m.releases[i]; t.Release == nil && r.DomainID == master && r.UsedAt == nil {
			t.Release = &r
		}
	}
	return t
}

func (m *memory) ChangeTree(_ context.Context, cvr string, master uint64, parts Part, decide func(*Tree) (*Changes, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if cvr == "" {
		m.tb.Error("a change without a CVR number")
	}
	if m.fault != nil {
		return m.fault
	}
	if m.repeat {
		if _, err := decide(m.tree(master, parts)); err != nil {
			return err
		}
	}
	t := m.tree(master, parts)
	changes, err := decide(t)
	if !m.fast && !cmp.Equal(t, m.tree(master, parts), cmpopts.SortSlices(cmpRoles)) {
		m.tb.Error("the decision has changed the tree that it was given")
	}
	if err != nil || changes == nil {
		return err
	}
	m.writes++
	m.last = changes
	m.apply(changes)
	return nil
}

func (m *memory) apply(c *Changes) {
	m.tb.Helper()
	for _, u := range c.Delete {
		delete(m.users, u.ID)
		for id, g := range m.groups {
			g.Members = slices.DeleteFunc(slices.Clone(g.Members), func(member uint64) bool { return member == u.ID })
			m.groups[id] = g
		}
		maps.DeleteFunc(m.kombit, func(r KombitRole, _ bool) bool { return r.UserID == u.ID })
	}
	for _, u := range c.Create {
		if u.ID != 0 || u.UUID == "" || u.CPR == "" || u.UserKey != u.UserID || u.UserKey != strings.ToLower(u.UserKey) {
			m.tb.Errorf("a new user is not in order: %+v", u)
		}
		m.next++
		u.ID = m.next
		m.users[u.ID] = *u
	}
	seen := make(map[uint64]bool)
	for _, u := range c.Update {
		was, ok := m.users[u.ID]
		if !ok || seen[u.ID] {
			m.tb.Errorf("an update of a user that doesn't exist or is updated twice: %s", u.UserID)
		}
		seen[u.ID] = true
		after := *u
		if after.CPR == "" {
			after.CPR = was.CPR
		}
		m.users[u.ID] = after
	}
	names := make(map[string]bool)
	for _, u := range m.users {
		key := fmt.Sprint(u.DomainID, "/", u.UserKey)
		if names[key] {
			m.tb.Errorf("%s is twice in its domain", key)
		}
		names[key] = true
	}
	m.applyGroups(c)
	m.marked = nil
	for _, u := range c.Mark {
		if _, ok := m.users[u.ID]; !ok {
			m.tb.Errorf("%s is marked and doesn't exist", u.UserID)
		}
		m.marked = append(m.marked, u.UserKey)
	}
	slices.Sort(m.marked)
	for _, e := range c.Audit {
		if e.Actor == "" || e.Action == "" || maskCPR(e.Detail+e.User+e.Reason) != e.Detail+e.User+e.Reason {
			m.tb.Errorf("an audit event is not in order: %+v", e)
		}
	}
	m.audit = append(m.audit, c.Audit...)
	if c.Release != nil {
		for i := range m.releases {
			if m.releases[i].ID == c.Release.ID {
				m.releases[i] = *c.Release
			}
		}
	}
}

func (m *memory) applyGroups(c *Changes) {
	m.tb.Helper()
	for _, g := range c.DeleteGroups {
		delete(m.groups, g.ID)
	}
	for _, g := range c.CreateGroups {
		m.next++
		g.ID = m.next
		m.groups[g.ID] = Group{ID: g.ID, DomainID: g.DomainID, UUID: g.UUID, Name: g.Name, Description: g.Description}
	}
	for _, g := range c.UpdateGroups {
		after := *g
		after.Members = m.groups[g.ID].Members
		m.groups[g.ID] = after
	}
	for _, s := range c.Leave {
		g := m.groups[s.Group.ID]
		if g.ID != 0 && !slices.Contains(g.Members, s.User.ID) {
			m.tb.Errorf("%d leaves a group that he isn't in", s.User.ID)
		}
		g.Members = slices.DeleteFunc(slices.Clone(g.Members), func(id uint64) bool { return id == s.User.ID })
		if g.ID != 0 {
			m.groups[g.ID] = g
		}
	}
	for _, s := range c.Join {
		g := m.groups[s.Group.ID]
		if slices.Contains(g.Members, s.User.ID) {
			m.tb.Errorf("%d joins a group that he is in", s.User.ID)
		}
		g.Members = append(slices.Clone(g.Members), s.User.ID)
		slices.Sort(g.Members)
		m.groups[g.ID] = g
	}
	for _, k := range c.KombitRemove {
		r := KombitRole{k.User.ID, k.Identifier, k.CVR}
		if !m.kombit[r] {
			m.tb.Errorf("a KOMBIT role is taken that isn't there: %+v", r)
		}
		delete(m.kombit, r)
	}
	for _, k := range c.KombitAdd {
		r := KombitRole{k.User.ID, k.Identifier, k.CVR}
		if m.kombit[r] {
			m.tb.Errorf("a KOMBIT role is given twice: %+v", r)
		}
		m.kombit[r] = true
	}
}

// user finds a user by account name.
func (m *memory) user(key string) rolecatalog.User {
	m.tb.Helper()
	for _, u := range m.users {
		if u.UserKey == key {
			return u
		}
	}
	m.tb.Fatalf("there is no user %s", key)
	return rolecatalog.User{}
}

// group gives the account names of a group's members.
func (m *memory) group(uuid string) []string {
	m.tb.Helper()
	for _, g := range m.groups {
		if g.UUID == uuid {
			names := []string{}
			for _, id := range g.Members {
				names = append(names, m.users[id].UserKey)
			}
			slices.Sort(names)
			return names
		}
	}
	return nil
}

// roles gives the KOMBIT roles of a user, as identifier@cvr.
func (m *memory) roles(key string) []string {
	m.tb.Helper()
	id, roles := m.user(key).ID, []string{}
	for r := range m.kombit {
		if r.UserID == id {
			roles = append(roles, r.Identifier+"@"+r.CVR)
		}
	}
	slices.Sort(roles)
	return roles
}

// add puts a user in that another source has brought.
func (m *memory) add(u rolecatalog.User) rolecatalog.User {
	m.next++
	u.ID, u.UUID, u.UserKey = m.next, fmt.Sprintf("row-%d", m.next), strings.ToLower(u.UserID)
	if u.DomainID == 0 {
		u.DomainID = 1
	}
	m.users[u.ID] = u
	return u
}

// locked gives the account names locked in the dataset.
func (m *memory) locked() []string {
	names := []string{}
	for _, u := range m.users {
		if u.LockedDataset {
			names = append(names, u.UserKey)
		}
	}
	slices.Sort(names)
	return names
}

func (m *memory) People(context.Context, uint64, string, func([]rolecatalog.User) error) error {
	panic("no load reads like this")
}

func (m *memory) Kombit(context.Context, uint64, string, func(rolecatalog.User, []KombitRole) error) error {
	panic("no load reads like this")
}

func (m *memory) Groups(context.Context, uint64, string, func(Group, []string) error) error {
	panic("no load reads like this")
}

func (m *memory) LogCall(context.Context, *Call) error { panic("not a load's business") }

func (m *memory) Calls(context.Context, string, int) ([]Call, error) { panic("not a load's business") }

func (m *memory) LastLoads(context.Context) (map[string]time.Time, error) {
	panic("not a load's business")
}

func (m *memory) PruneCalls(context.Context, time.Time) (int, error) { panic("not a load's business") }

func (m *memory) AddRelease(context.Context, *Release) error { panic("not a load's business") }

func (m *memory) Expire(context.Context, string, time.Time) (int, error) {
	panic("not a load's business")
}
