package coredata

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/rollebro/rollebro/rolecatalog"
)

// deciding is a call that decides what it changes in a tree. What it decides follows from the tree, the call and its body
// alone, so that it can be done again when the transaction must be repeated.
type deciding struct {
	*notes

	c       *call
	tree    *Tree
	parts   Part // what of the tree has been read
	changes *Changes
	trail   trail
	marks   marks
	toll    toll
}

// errNeedsAll is a decision's wish for the whole tree: only a load that locks somebody needs his groups and roles.
var errNeedsAll = errors.New("needs groups and roles too")

const wholeTree = PartPeople | PartGroups | PartKombit

// decide has the store carry out what a call decides.
func (c *call) decide(ctx context.Context, parts Part, decide func(*deciding) error) error {
	before := c.notes
	wake := false
	run := func(parts Part) error {
		return c.s.Store.ChangeTree(ctx, c.s.CVR, c.master.ID, parts, func(t *Tree) (*Changes, error) {
			c.notes = before.clone() // what an earlier try has counted doesn't count
			d := &deciding{notes: c.notes, c: c, tree: t, parts: parts, changes: &Changes{}, trail: trail{c: c}, marks: newMarks(t)}
			if err := decide(d); err != nil {
				return nil, err
			}
			changes := d.finish()
			wake = changes != nil && len(changes.Mark) > 0
			return changes, nil
		})
	}
	err := run(parts)
	if errors.Is(err, errNeedsAll) {
		err = run(wholeTree)
	}
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		return refusal
	case err != nil:
		return fmt.Errorf("storing the %s of %s: %w", c.name, c.master.Name, err)
	}
	if wake && c.s.Wake != nil {
		c.s.Wake()
	}
	return nil
}

// finish gives what has been decided; nil when that is nothing.
func (d *deciding) finish() *Changes {
	d.changes.Mark = d.marks.but(d.changes.Delete)
	d.changes.Audit = d.trail.all(d.notes)
	if d.changes.empty() {
		return nil
	}
	d.changes.Reason = "CoreData: " + d.c.name
	return d.changes
}

// lock locks users in the dataset: they lose attributes, KOMBIT roles and memberships, and keep everything else, so that a
// mistake can be undone.
func (d *deciding) lock(users []*rolecatalog.User, why string) error {
	if len(users) == 0 {
		return nil
	}
	if d.parts != wholeTree {
		return errNeedsAll
	}
	locked := make(map[uint64]*rolecatalog.User, len(users))
	for _, was := range users {
		u := d.change(was)
		at := d.c.now
		u.LockedDataset, u.LockedDatasetAt, u.Attributes = true, &at, nil
		locked[u.ID] = u
		d.count(CountLocked)
		d.trail.always(u, "removed from the dataset", "locked: "+why)
		d.marks.user(u)
		d.marks.sharing(u.NemLoginUUID, u)
	}
	for _, g := range d.tree.Groups {
		for _, id := range g.Members {
			if u := locked[id]; u != nil {
				d.leave(g, u)
			}
		}
	}
	for _, r := range d.tree.Kombit {
		if u := locked[r.UserID]; u != nil {
			d.lose(u, r.Identifier, r.CVR)
		}
	}
	return nil
}

// change puts a copy of a user among those to be written; the caller changes it.
func (d *deciding) change(was *rolecatalog.User) *rolecatalog.User {
	u := new(rolecatalog.User)
	*u = *was
	u.CPR = "" // stays as it is stored
	u.UpdatedAt = d.c.now
	d.changes.Update = append(d.changes.Update, u)
	return u
}

func (d *deciding) join(g *Group, u *rolecatalog.User) {
	d.changes.Join = append(d.changes.Join, Membership{Group: g, User: u})
	d.count(CountJoined)
}

func (d *deciding) leave(g *Group, u *rolecatalog.User) {
	d.changes.Leave = append(d.changes.Leave, Membership{Group: g, User: u})
	d.count(CountLeft)
}

func (d *deciding) gain(u *rolecatalog.User, identifier, cvr string) {
	d.changes.KombitAdd = append(d.changes.KombitAdd, KombitOf{User: u, Identifier: identifier, CVR: cvr})
	d.count(CountJoined)
}

func (d *deciding) lose(u *rolecatalog.User, identifier, cvr string) {
	d.changes.KombitRemove = append(d.changes.KombitRemove, KombitOf{User: u, Identifier: identifier, CVR: cvr})
	d.count(CountLeft)
}

// marks collects, once each, the users that the role side must look at.
type marks struct {
	tree   *Tree
	seen   map[uint64]struct{}
	users  []*rolecatalog.User
	shared map[string][]*rolecatalog.User // by NemLogin UUID; made when it's first asked for
}

func newMarks(t *Tree) marks { return marks{tree: t, seen: make(map[uint64]struct{})} }

// user marks a user, new or known.
func (m *marks) user(u *rolecatalog.User) {
	if u.ID != 0 {
		if _, ok := m.seen[u.ID]; ok {
			return
		}
		m.seen[u.ID] = struct{}{}
	}
	m.users = append(m.users, u)
}

// sharing marks the others in the tree that have a NemLogin UUID: a conflict begins or ends for them.
func (m *marks) sharing(id string, but *rolecatalog.User) {
	if id == "" {
		return
	}
	if m.shared == nil {
		m.shared = make(map[string][]*rolecatalog.User)
		for _, u := range m.tree.People {
			if u.NemLoginUUID != "" {
				m.shared[u.NemLoginUUID] = append(m.shared[u.NemLoginUUID], u)
			}
		}
	}
	for _, u := range m.shared[id] {
		if but == nil || u.ID != but.ID {
			m.user(u)
		}
	}
}

// but gives the marked users without those that are deleted.
func (m *marks) but(deleted []*rolecatalog.User) []*rolecatalog.User {
	if len(deleted) == 0 {
		return m.users
	}
	gone := make(map[uint64]struct{}, len(deleted))
	for _, u := range deleted {
		gone[u.ID] = struct{}{}
	}
	return slices.DeleteFunc(m.users, func(u *rolecatalog.User) bool {
		_, ok := gone[u.ID]
		return ok
	})
}

// auditEach is how many people of a load that are only created or updated stand in the audit trail by themselves; of more,
// one line gives their number. Who is locked, reactivated or deleted always has his own.
const auditEach = 1000

// trail collects the audit events of a call.
type trail struct {
	c      *call
	events []rolecatalog.AuditEvent
	small  []rolecatalog.AuditEvent // that a summary may stand for
}

func (t *trail) event(u *rolecatalog.User, reason, detail string) rolecatalog.AuditEvent {
	return rolecatalog.AuditEvent{
		Actor: t.c.caller.Name, Action: rolecatalog.AuditUser, User: maskCPR(u.UserID), Identity: u.NemLoginUUID,
		Reason: "CoreData: " + reason, Detail: detail,
	}
}

func (t *trail) always(u *rolecatalog.User, reason, detail string) {
	t.events = append(t.events, t.event(u, reason, detail))
}

func (t *trail) briefly(u *rolecatalog.User, reason, detail string) {
	if len(t.small) <= auditEach {
		t.small = append(t.small, t.event(u, reason, detail))
	}
}

// domain records what concerns the domain as a whole.
func (t *trail) domain(reason, detail string) {
	t.events = append(t.events, rolecatalog.AuditEvent{
		Actor: t.c.caller.Name, Action: rolecatalog.AuditDomain, Reason: "CoreData: " + reason,
		Detail: fmt.Sprintf("%s of %s: %s", t.c.name, t.c.domain.Name, detail),
	})
}

// all gives the events, with a summary when there are too many small ones.
func (t *trail) all(n *notes) []rolecatalog.AuditEvent {
	if len(t.small) > auditEach {
		t.domain("many at once", fmt.Sprintf("%d created, %d updated", n.counts[CountCreated], n.counts[CountUpdated]))
		return t.events
	}
	return append(t.events, t.small...)
}
