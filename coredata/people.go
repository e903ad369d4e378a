package coredata

import (
	"context"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/rollebro/rollebro/rolecatalog"
)

// Full carries out a full load: the people of the payload are created and updated, and who isn't in it is locked, in the
// whole tree or in the sub-domain that the payload names.
func (s *Service) Full(ctx context.Context, body io.Reader, c Caller) (Outcome, error) {
	return s.load(ctx, "full load", body, c, true)
}

// Delta carries out a delta load: the people of the payload are created and updated, others stay as they are.
func (s *Service) Delta(ctx context.Context, body io.Reader, c Caller) (Outcome, error) {
	return s.load(ctx, "delta load", body, c, false)
}

func (s *Service) load(ctx context.Context, name string, body io.Reader, caller Caller, full bool) (Outcome, error) {
	c, b, err := decoded(s, name, caller, body, decodePeople)
	if err != nil {
		return c.done(err)
	}
	l, err := c.validate(ctx, b, full)
	if err != nil {
		return c.done(err)
	}
	return c.done(c.decide(ctx, PartPeople, func(d *deciding) error {
		return (&loading{deciding: d, load: l, zone: denmark(), scratch: &rolecatalog.User{}}).decide()
	}))
}

// loading is a load on its way into a tree.
type loading struct {
	*deciding

	load    *load
	zone    *time.Location
	scratch *rolecatalog.User // where an update is tried out
}

// decide says what the load changes. It is linear in the people of the tree and of the payload.
func (l *loading) decide() error {
	byKey, twice := index(l.tree.People)
	for i := range l.load.people {
		p := &l.load.people[i]
		was := byKey[p.key]
		if others := twice[p.key]; others != nil {
			var err error
			if was, err = l.choose(p, others); err != nil {
				return err
			}
		}
		l.place(p, was)
	}
	var locked []*rolecatalog.User
	for _, u := range l.tree.People {
		if !u.FromCoreData || u.LockedDataset || l.load.sub != 0 && u.DomainID != l.load.sub {
			continue
		}
		l.toll.active++
		if l.load.full && l.absent(u) {
			locked = append(locked, u)
		}
	}
	if len(l.load.people) == 0 && len(locked) > 0 {
		return refusef("Tom entryList for domæne %s: ingen af personerne i den kan indlæses, og %d ville blive låst", shown(l.c.named), len(locked))
	}
	l.toll.locked = len(locked)
	if err := l.pay(); err != nil {
		return err
	}
	return l.lock(locked, "left out of a full load")
}

// absent reports whether nothing in the payload names the user.
func (l *loading) absent(u *rolecatalog.User) bool {
	if _, ok := l.load.present[u.UserKey]; ok {
		return false
	}
	_, ok := l.load.uuids[strings.ToLower(u.ExtUUID)]
	return !ok
}

// index finds users by account name. twice holds those whose name several have.
func index(people []*rolecatalog.User) (byKey map[string]*rolecatalog.User, twice map[string][]*rolecatalog.User) {
	byKey = make(map[string]*rolecatalog.User, len(people))
	for _, u := range people {
		if first := byKey[u.UserKey]; first != nil {
			if twice == nil {
				twice = make(map[string][]*rolecatalog.User)
			}
			if twice[u.UserKey] == nil {
				twice[u.UserKey] = []*rolecatalog.User{first}
			}
			twice[u.UserKey] = append(twice[u.UserKey], u)
			continue
		}
		byKey[u.UserKey] = u
	}
	return byKey, twice
}

// choose picks the user whom an entry means among several with his account name, which only other sources can bring about
// (in different domains of the tree): one that CoreData has loaded before others, then one in the entry's domain.
func (l *loading) choose(p *person, users []*rolecatalog.User) (*rolecatalog.User, error) {
	rank := func(u *rolecatalog.User) int {
		r := 0
		if u.FromCoreData {
			r += 2
		}
		if u.DomainID == p.domain {
			r++
		}
		return r
	}
	best := users[0]
	for _, u := range users[1:] {
		if rank(u) > rank(best) {
			best = u
		}
	}
	for _, u := range users {
		if u != best && u.DomainID == p.domain {
			return nil, refusef("Duplicate key %s (attempted merging values %s and %s)", shown(p.key), best.UUID, u.UUID)
		}
	}
	l.warnf("%s findes %d gange i domænet %s", shown(p.key), len(users), l.tree.Master.Name)
	return best, nil
}

// place decides what becomes of one entry.
func (l *loading) place(p *person, was *rolecatalog.User) {
	switch {
	case was == nil:
		l.create(p, nil)
	case !l.sameCPR(was, p):
		l.replace(p, was, "another CPR number")
	case was.LockedDataset && was.ExtUUID != p.UUID.value:
		l.replace(p, was, "locked, and another uuid")
	default:
		l.update(p, was)
	}
}

// sameCPR reports whether the entry's CPR number counts as the user's own. Of a user that another source brought it may not
// be known yet.
func (l *loading) sameCPR(was *rolecatalog.User, p *person) bool {
	if was.CPR == p.cpr || was.CPR == "" {
		return true
	}
	if !was.FromCoreData && (was.CPR == unknownCPR || p.cpr == unknownCPR) {
		return true
	}
	return p.cpr == unknownCPR && p.external != "" && was.ExternalUUID == p.external
}

// replace deletes a user physically and creates him anew: whoever comes with this account name is another person.
func (l *loading) replace(p *person, was *rolecatalog.User, why string) {
	l.toll.recreated++
	l.count(CountRecreated)
	l.count(CountDeleted)
	l.changes.Delete = append(l.changes.Delete, was)
	l.trail.always(was, "deleted", "deleted and created anew: "+why)
	l.warnf("%s er slettet og oprettet på ny (%s)", shown(was.UserKey), why)
	l.marks.sharing(was.NemLoginUUID, was)
	l.create(p, was)
}

func (l *loading) create(p *person, instead *rolecatalog.User) {
	u := &rolecatalog.User{UUID: uuid.NewString(), UserID: p.key, UserKey: p.key, CPR: p.cpr, Name: string(p.Name), CreatedAt: l.c.now, UpdatedAt: l.c.now}
	l.onto(u, p)
	l.changes.Create = append(l.changes.Create, u)
	l.count(CountCreated)
	if u.NemLoginUUID != "" {
		l.marks.user(u)
		l.marks.sharing(u.NemLoginUUID, instead)
	}
	if instead == nil {
		l.trail.briefly(u, "added to the dataset", "created")
	}
}

func (l *loading) update(p *person, was *rolecatalog.User) {
	*l.scratch = *was
	l.scratch.CPR = "" // stays as it is stored
	changed := l.onto(l.scratch, p)
	if was.CPR == "" || was.CPR == unknownCPR && p.cpr != unknownCPR {
		l.scratch.CPR = p.cpr
		changed = append(changed, "CPR number")
	}
	reactivated := was.LockedDataset
	if reactivated {
		l.scratch.LockedDataset = false
	}
	if len(changed) == 0 && !reactivated {
		l.count(CountUnchanged)
		return
	}
	u := new(rolecatalog.User)
	*u = *l.scratch
	u.UpdatedAt = l.c.now
	l.changes.Update = append(l.changes.Update, u)
	l.count(CountUpdated)
	detail := "changed: " + strings.Join(changed, ", ")
	switch {
	case reactivated:
		l.count(CountReactivated)
		l.trail.always(u, "added to the dataset", strings.TrimSuffix("reactivated; "+detail, "; changed: "))
	case !was.FromCoreData:
		l.count(CountTakenOver)
		l.trail.always(u, "added to the dataset", "known from another source; "+detail)
	default:
		l.trail.briefly(u, "changed", detail)
	}
	moved := was.NemLoginUUID != u.NemLoginUUID
	if reactivated || moved || was.LockedExpired != u.LockedExpired || !sameDay(was.ExpiresAt, u.ExpiresAt, l.zone) {
		l.marks.user(u)
		l.marks.sharing(was.NemLoginUUID, was)
		if moved {
			l.marks.sharing(u.NemLoginUUID, was)
		}
	}
}

// differences collects the names of fields that change.
type differences []string

func set[T comparable](d *differences, name string, field *T, value T) {
	if *field != value {
		*field = value
		*d = append(*d, name)
	}
}

// onto brings a user to what the entry says and returns the names of the fields that it changes. What the entry leaves out
// is cleared.
func (l *loading) onto(u *rolecatalog.User, p *person) []string {
	o := &l.c.s.Options
	var d differences
	set(&d, "from CoreData", &u.FromCoreData, true)
	set(&d, "domain", &u.DomainID, p.domain)
	set(&d, "uuid", &u.ExtUUID, p.UUID.value)
	set(&d, "robot", &u.Robot, u.Robot || p.Robot.on())
	set(&d, "nsisAllowed", &u.NSISAllowed, p.NSISAllowed.on() && !u.Robot)
	set(&d, "transferToNemlogin", &u.TransferToNemLogin, p.TransferToNemLogin.on() && !u.Robot)
	if !u.NSISAllowed || u.Name == "" {
		set(&d, "name", &u.Name, string(p.Name))
	}
	set(&d, "alias", &u.Alias, string(p.Name))
	set(&d, "e-mail", &u.Email, string(p.Email))
	set(&d, "privateMitId", &u.PrivateMitID, p.PrivateMitID.on())
	set(&d, "qualifiedSignature", &u.QualifiedSignature, p.QualifiedSignature.on())
	if o.TrustedEmployee {
		set(&d, "trustedEmployee", &u.TrustedEmployee, p.TrustedEmployee.on())
	}
	set(&d, "department", &u.Department, string(p.Department))
	set(&d, "ean", &u.EAN, string(p.EAN))
	if p.RID != "" {
		set(&d, "rid", &u.RID, string(p.RID))
	}
	set(&d, "passwordAdTimestamp", &u.PasswordChangedOn, p.password)
	if !sameDay(u.ExpiresAt, p.expires, l.zone) {
		u.ExpiresAt = p.expires
		d = append(d, "expireTimestamp")
	}
	set(&d, "expired", &u.LockedExpired, u.ExpiresAt != nil && u.ExpiresAt.Before(l.c.now))
	if !maps.Equal(u.Attributes, map[string]string(p.Attributes)) {
		u.Attributes = p.Attributes
		d = append(d, "attributes")
	}
	if o.RoleAPI && !slices.Equal(u.Roles, p.roles) {
		u.Roles = p.roles
		d = append(d, "roles")
	}
	if !p.badUUID {
		external(&d, u, p.external)
	}
	return d
}

// external gives a user the NemLogin UUID that the entry brings, when it is another one than it brought last. One that goes
// takes the NemLogin UUID along only if that is still the one it brought.
func external(d *differences, u *rolecatalog.User, id string) {
	before := u.ExternalUUID
	if before == id {
		return
	}
	set(d, "externalNemloginUserUuid", &u.ExternalUUID, id)
	if id != "" || u.NemLoginUUID == before {
		set(d, "NemLogin UUID", &u.NemLoginUUID, id)
	}
}
