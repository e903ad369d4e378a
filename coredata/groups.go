package coredata

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/rollebro/rollebro/rolecatalog"
)

// GroupsFull carries out a full load of the groups of exactly one domain: groups that it leaves out are deleted.
func (s *Service) GroupsFull(ctx context.Context, body io.Reader, c Caller) (Outcome, error) {
	return s.groups(ctx, "full load of groups", body, c, true)
}

// GroupsDelta carries out a delta load of groups; the members of each group in it are replaced.
func (s *Service) GroupsDelta(ctx context.Context, body io.Reader, c Caller) (Outcome, error) {
	return s.groups(ctx, "delta load of groups", body, c, false)
}

func (s *Service) groups(ctx context.Context, name string, body io.Reader, caller Caller, full bool) (Outcome, error) {
	c, b, err := decoded(s, name, caller, body, listOf[groupEntry]("groups"))
	if err != nil {
		return c.done(err)
	}
	if err := c.checkGroups(ctx, b); err != nil {
		return c.done(err)
	}
	return c.done(c.decide(ctx, PartPeople|PartGroups, func(d *deciding) error {
		return d.loadGroups(b.list, full)
	}))
}

func (c *call) checkGroups(ctx context.Context, b *listBody[groupEntry]) error {
	named := b.domain.shown()
	if err := c.find(ctx, "Ukendt domæne: "+named); err != nil {
		return err
	}
	if !b.set {
		return refusef("groups mangler for domæne %s", named)
	}
	c.counts[CountEntries] = len(b.list)
	seen := make(map[str]struct{}, len(b.list))
	for _, g := range b.list {
		id := shown(string(g.UUID))
		if _, twice := seen[g.UUID]; twice && g.UUID != "" {
			return refusef("Duplicate key %s", id)
		}
		seen[g.UUID] = struct{}{}
		switch {
		case g.UUID == "":
			return refusef("Gruppe uden uuid for domæne %s", named)
		case g.Name == "":
			return refusef("Gruppe uden navn: %s for domæne %s", id, named)
		case tooLong(string(g.UUID), maxGroupUUID), tooLong(string(g.Name), maxField), tooLong(g.Description.value, maxDescription):
			return refusef("Gruppe med for lang værdi: %s for domæne %s", id, named)
		}
	}
	return nil
}

// directory finds the people of a call's scope by account name and by uuid, both in lower case. Where several answer to the
// same, one who isn't locked comes first, then the oldest.
type directory struct {
	bySAM, byUUID map[string]*rolecatalog.User
}

func (d *deciding) directory() directory {
	dir := directory{make(map[string]*rolecatalog.User, len(d.tree.People)), make(map[string]*rolecatalog.User, len(d.tree.People))}
	for _, u := range d.tree.People {
		if !d.c.covers(u.DomainID) {
			continue
		}
		prefer(dir.bySAM, u.UserKey, u)
		prefer(dir.byUUID, strings.ToLower(u.ExtUUID), u)
	}
	return dir
}

func prefer(in map[string]*rolecatalog.User, key string, u *rolecatalog.User) {
	if key == "" {
		return
	}
	if first := in[key]; first == nil || first.LockedDataset && !u.LockedDataset {
		in[key] = u
	}
}

// member finds the person whom a group names, by account name or by uuid.
func (dir *directory) member(name string) *rolecatalog.User {
	key := strings.ToLower(name)
	if len(key) == uuidLength {
		if u := dir.byUUID[key]; u != nil {
			return u
		}
	}
	if u := dir.bySAM[key]; u != nil {
		return u
	}
	return dir.byUUID[key]
}

func (d *deciding) loadGroups(entries []*groupEntry, full bool) error {
	dir := d.directory()
	people := make(map[uint64]*rolecatalog.User, len(d.tree.People))
	for _, u := range d.tree.People {
		people[u.ID] = u
	}
	groups := make(map[string]*Group)
	for _, g := range d.tree.Groups {
		if g.DomainID == d.c.domain.ID {
			groups[g.UUID] = g
			d.toll.groups++
		}
	}
	inPayload := make(map[string]struct{}, len(entries))
	for _, e := range entries {
		inPayload[string(e.UUID)] = struct{}{}
		d.loadGroup(e, groups[string(e.UUID)], &dir, people)
	}
	if full {
		for _, g := range d.tree.Groups {
			if _, ok := inPayload[g.UUID]; ok || g.DomainID != d.c.domain.ID {
				continue
			}
			d.changes.DeleteGroups = append(d.changes.DeleteGroups, g)
			d.count(CountDeleted)
			d.toll.groupsDeleted++
		}
		if err := d.pay(); err != nil {
			return err
		}
	}
	d.summary("groups: %d created, %d updated, %d deleted; %d members in, %d out", CountCreated, CountUpdated, CountDeleted, CountJoined, CountLeft)
	return nil
}

// loadGroup brings one group to what its entry says.
func (d *deciding) loadGroup(e *groupEntry, g *Group, dir *directory, people map[uint64]*rolecatalog.User) {
	var description *string
	if e.Description.set {
		description = &e.Description.value
	}
	changed := false
	switch {
	case g == nil:
		g = &Group{DomainID: d.c.domain.ID, UUID: string(e.UUID), Name: string(e.Name), Description: description}
		d.changes.CreateGroups = append(d.changes.CreateGroups, g)
		d.count(CountCreated)
	case g.Name != string(e.Name) || !same(g.Description, description):
		after := *g
		after.Name, after.Description = string(e.Name), description
		d.changes.UpdateGroups = append(d.changes.UpdateGroups, &after)
		changed = true
	}
	wanted := make(map[uint64]struct{}, len(e.Members))
	before := make(map[uint64]struct{}, len(g.Members))
	for _, id := range g.Members {
		before[id] = struct{}{}
	}
	for _, name := range e.Members {
		u := dir.member(string(name))
		if u == nil || u.LockedDataset {
			d.count(CountUnknown)
			d.warnf("gruppe %s: %s er ukendt eller spærret og er sprunget over", shown(g.UUID), shown(string(name)))
			continue
		}
		if _, twice := wanted[u.ID]; twice {
			continue
		}
		wanted[u.ID] = struct{}{}
		if _, ok := before[u.ID]; !ok {
			d.join(g, u)
			changed = true
		}
	}
	for _, id := range g.Members {
		if _, ok := wanted[id]; !ok {
			u := people[id]
			if u == nil {
				u = &rolecatalog.User{ID: id}
			}
			d.leave(g, u)
			changed = true
		}
	}
	if len(g.Members) > 0 && len(wanted) == 0 {
		d.toll.groupsEmptied++
		d.count(CountEmptied)
	}
	if g.ID != 0 {
		if changed {
			d.count(CountUpdated)
		} else {
			d.count(CountUnchanged)
		}
	}
}

// summary records in the audit trail what a call has changed, when it has changed something.
func (d *deciding) summary(format string, counts ...string) {
	if d.changes.empty() {
		return
	}
	args := make([]any, len(counts))
	for i, name := range counts {
		args[i] = d.counts[name]
	}
	d.trail.domain("changed", fmt.Sprintf(format, args...))
}

func same(a, b *string) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// GroupMember puts one person into a group of a domain, or takes him out; both must be in exactly that domain.
func (s *Service) GroupMember(ctx context.Context, domain string, body io.Reader, add bool, caller Caller) (Outcome, error) {
	var group, sam text
	name := "removal of a group member"
	if add {
		name = "addition of a group member"
	}
	c := s.begin(name, domain, caller)
	if err := decodeInto(body, map[string]any{"groupuuid": &group, "samaccountname": &sam}); err != nil {
		return c.done(err)
	}
	if err := c.find(ctx, "Unknown domain: "+shown(domain)); err != nil {
		return c.done(err)
	}
	return c.done(c.decide(ctx, PartPeople|PartGroups, func(d *deciding) error {
		u, err := d.active(sam, func(id uint64) bool { return id == c.domain.ID })
		if err != nil {
			return err
		}
		return d.setMember(u, group, sam, add)
	}))
}

func (d *deciding) setMember(u *rolecatalog.User, group, sam text, add bool) error {
	var g *Group
	for _, one := range d.tree.Groups {
		if one.DomainID == d.c.domain.ID && one.UUID == group.value {
			g = one
		}
	}
	if g == nil {
		return refusef("No group found with uuid: %s", group.shown())
	}
	member := false
	for _, id := range g.Members {
		member = member || id == u.ID
	}
	switch {
	case !add && !member:
		return refusef("Person with sAMAccountName: %s is not a member of group: %s", sam.shown(), group.shown())
	case add && member:
		return nil
	case add:
		d.join(g, u)
		d.trail.always(u, "changed", "joins the group "+shown(g.Name))
	default:
		d.leave(g, u)
		d.trail.always(u, "changed", "leaves the group "+shown(g.Name))
	}
	return nil
}

// active finds the person with an account name in the domains that scope accepts; he must not be locked.
func (d *deciding) active(sam text, scope func(domain uint64) bool) (*rolecatalog.User, error) {
	key, locked := strings.ToLower(sam.value), false
	for _, u := range d.tree.People {
		if key == "" || u.UserKey != key || !scope(u.DomainID) {
			continue
		}
		if !u.Locked() {
			return u, nil
		}
		locked = true
	}
	if locked {
		return nil, refusef("No active person found with sAMAccountName: %s", sam.shown())
	}
	return nil, refusef("No person found with sAMAccountName: %s", sam.shown())
}
