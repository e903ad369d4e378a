//go:build unix

package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rollebro/rollebro/coredata"
	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/store"
)

// everything of a tree.
const everything = coredata.PartPeople | coredata.PartGroups | coredata.PartKombit

// change changes the tree of a master domain without looking at it.
func (f *fixture) change(t *testing.T, master uint64, c *coredata.Changes) {
	t.Helper()
	check(t, f.ChangeTree(t.Context(), CVR, master, everything, func(*coredata.Tree) (*coredata.Changes, error) { return c, nil }))
}

// tree returns what is in the tree of a master domain.
func (f *fixture) tree(t *testing.T, master uint64, parts coredata.Part) *coredata.Tree {
	t.Helper()
	var tree *coredata.Tree
	check(t, f.ChangeTree(t.Context(), CVR, master, parts, func(read *coredata.Tree) (*coredata.Changes, error) {
		tree = read
		return nil, nil
	}))
	return tree
}

func newUser(domain uint64, name, cpr string) *rolecatalog.User {
	return &rolecatalog.User{DomainID: domain, UserID: name, Name: "Navn " + name, CPR: cpr, CoreData: rolecatalog.CoreData{FromCoreData: true}}
}

// lines writes a tree down, with names where there are row ids.
func lines(tree *coredata.Tree) []string {
	names := map[uint64]string{}
	var out []string
	for _, u := range tree.People {
		names[u.ID] = u.UserID
		out = append(out, fmt.Sprintf("user %s cpr=%s uuid=%s locked=%t", u.UserID, u.CPR, u.NemLoginUUID, u.Locked()))
	}
	for _, g := range tree.Groups {
		var members []string
		for _, id := range g.Members {
			members = append(members, names[id])
		}
		slices.Sort(members)
		about := "-"
		if g.Description != nil {
			about = *g.Description
		}
		out = append(out, fmt.Sprintf("group %s %s %s [%s]", g.UUID, g.Name, about, strings.Join(members, " ")))
	}
	for _, k := range tree.Kombit {
		out = append(out, fmt.Sprintf("kombit %s %s %s", names[k.UserID], k.Identifier, k.CVR))
	}
	return out
}

func (f *fixture) marked(t *testing.T) []string {
	t.Helper()
	work, err := f.Work(t.Context(), CVR, 0)
	check(t, err)
	all, err := f.Users(t.Context(), rolecatalog.UserFilter{IncludeDeleted: true})
	check(t, err)
	names := map[uint64]string{}
	for i := range all {
		names[all[i].ID] = all[i].UserID
	}
	out := []string{}
	for _, w := range work {
		out = append(out, names[w.UserID]+": "+w.Reason)
	}
	slices.Sort(out)
	return out
}

func domainLookUp(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	first, master, err := f.Domain(ctx, "ADMINISTRATIVT")
	check(t, err)
	if first.ID != 1 || master.ID != 1 {
		t.Errorf("the first domain is %d, its master %d", first.ID, master.ID)
	}
	sub, err := f.CreateDomain(ctx, "Skole Ærø", &first.ID)
	check(t, err)
	found, master, err := f.Domain(ctx, " sKOLE ærø ")
	check(t, err)
	if found.ID != sub.ID || master.ID != first.ID || master.Name != rolecatalog.PrimaryDomain {
		t.Errorf("found %+v under %+v", found, master)
	}
	_, _, err = f.Domain(ctx, "skole aero")
	is(t, err, coredata.ErrNoDomain)
	_, _, err = f.Domain(ctx, "")
	is(t, err, coredata.ErrNoDomain)
	never := func(*coredata.Tree) (*coredata.Changes, error) {
		t.Error("asked about a domain that is not a master")
		return nil, nil
	}
	is(t, f.ChangeTree(ctx, CVR, 99, everything, never), coredata.ErrNoDomain)
	is(t, f.ChangeTree(ctx, CVR, sub.ID, everything, never), coredata.ErrNoDomain)
	is(t, f.People(ctx, 99, "", nil), coredata.ErrNoDomain)
	is(t, f.Kombit(ctx, sub.ID, "", nil), coredata.ErrNoDomain)
	is(t, f.Groups(ctx, 99, "", nil), coredata.ErrNoDomain)
}

func changeTree(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	sub, err := f.CreateDomain(t.Context(), "Sub", new(uint64(1)))
	check(t, err)
	other, err := f.CreateDomain(t.Context(), "Other", nil)
	check(t, err)
	f.change(t, other.ID, &coredata.Changes{Create: []*rolecatalog.User{newUser(other.ID, "anna", "3102991111")}})
	f.user(t, "gone", func(u *rolecatalog.User) { u.Deleted = true })

	anna, bo, cia := newUser(1, "anna", "3102991111"), newUser(sub.ID, "bo", ""), newUser(1, "cia", "3102992222")
	anna.NemLoginUUID = "UPPER"
	about := "om\xffgruppen"
	g1, g2 := &coredata.Group{DomainID: 1, UUID: "G", Name: "Gruppe"}, &coredata.Group{DomainID: sub.ID, UUID: "g", Name: "En", Description: &about}
	f.change(t, 1, &coredata.Changes{
		Create: []*rolecatalog.User{anna, bo, cia}, CreateGroups: []*coredata.Group{g1, g2},
		Join:      []coredata.Membership{{Group: g1, User: anna}, {Group: g1, User: cia}, {Group: g2, User: bo}, {Group: g1, User: anna}},
		KombitAdd: []coredata.KombitOf{{User: cia, Identifier: "http://jfr/2", CVR: CVR}, {User: cia, Identifier: "http://jfr/1", CVR: CVR}, {User: bo, Identifier: "http://jfr/1", CVR: CVR}},
		Mark:      []*rolecatalog.User{anna, cia}, Reason: "new",
		Audit: []rolecatalog.AuditEvent{{Action: rolecatalog.AuditUser, Actor: "load"}},
	})
	if anna.ID == 0 || anna.UUID == "" || anna.UserKey != "anna" || anna.NemLoginUUID != "upper" || g2.ID == 0 || *g2.Description != "om\uFFFDgruppen" || about != "om\xffgruppen" {
		t.Errorf("handed back: %+v %+v", anna, g2)
	}
	tree := f.tree(t, 1, everything)
	if tree.Master.ID != 1 || len(tree.Subs) != 1 || tree.Subs[0].ID != sub.ID || tree.Release != nil {
		t.Errorf("the tree is of %+v with %+v", tree.Master, tree.Subs)
	}
	want := []string{
		"user anna cpr=3102991111 uuid=upper locked=false", "user bo cpr= uuid= locked=false", "user cia cpr=3102992222 uuid= locked=false",
		"group G Gruppe - [anna cia]", "group g En om\uFFFDgruppen [bo]",
		"kombit bo http://jfr/1 " + CVR, "kombit cia http://jfr/1 " + CVR, "kombit cia http://jfr/2 " + CVR,
	}
	same(t, "created", lines(tree), want)
	same(t, "marked", f.marked(t), []string{"anna: new", "cia: new"})
	if none := f.tree(t, 1, 0); len(none.People)+len(none.Groups)+len(none.Kombit) != 0 {
		t.Error("parts are read that nobody asked for")
	}
	same(t, "people alone", lines(f.tree(t, 1, coredata.PartPeople)), want[:3])

	// Members move, roles go, groups are renamed; the others' stays.
	anna.CPR, anna.LockedDataset, cia.CPR, g1.Name = "3102993333", true, "", "Nyt"
	f.change(t, 1, &coredata.Changes{
		Update: []*rolecatalog.User{anna, cia}, UpdateGroups: []*coredata.Group{g1},
		Leave:        []coredata.Membership{{Group: g1, User: anna}, {Group: g2, User: bo}, {Group: g2, User: cia}},
		Join:         []coredata.Membership{{Group: g2, User: anna}, {Group: g1, User: cia}},
		KombitRemove: []coredata.KombitOf{{User: cia, Identifier: "http://jfr/1", CVR: CVR}, {User: anna, Identifier: "http://jfr/1", CVR: CVR}},
		KombitAdd:    []coredata.KombitOf{{User: cia, Identifier: "http://jfr/2", CVR: CVR}, {User: anna, Identifier: "a", CVR: ""}},
	})
	same(t, "changed", lines(f.tree(t, 1, everything)), []string{
		"user anna cpr=3102993333 uuid=upper locked=true", "user bo cpr= uuid= locked=false", "user cia cpr=3102992222 uuid= locked=false",
		"group G Nyt - [cia]", "group g En om\uFFFDgruppen [anna]",
		"kombit anna a ", "kombit bo http://jfr/1 " + CVR, "kombit cia http://jfr/2 " + CVR,
	})
	f.change(t, 1, &coredata.Changes{DeleteGroups: []*coredata.Group{g1}, CreateGroups: []*coredata.Group{{DomainID: 1, UUID: "G", Name: "Igen"}}})
	same(t, "group replaced", lines(f.tree(t, 1, coredata.PartGroups)), []string{"group g En om\uFFFDgruppen []", "group G Igen - []"})
	same(t, "the other domain", lines(f.tree(t, other.ID, everything)), []string{"user anna cpr=3102991111 uuid= locked=false"})
	checked, err := f.VerifyAudit(t.Context())
	check(t, err)
	if checked != 1 {
		t.Errorf("%d events in the trail", checked)
	}
}

// A deleted user takes all that is his along, and a new one may have his name in the same changes.
func hardDelete(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	system, role := f.role(t, "r1")
	anna, bo := newUser(1, "anna", "3102991111"), newUser(1, "bo", "")
	anna.NemLoginUUID, bo.NemLoginUUID = "shared", "shared"
	group := &coredata.Group{DomainID: 1, UUID: "g", Name: "Gruppe"}
	f.change(t, 1, &coredata.Changes{
		Create: []*rolecatalog.User{anna, bo}, CreateGroups: []*coredata.Group{group}, Join: []coredata.Membership{{Group: group, User: anna}, {Group: group, User: bo}},
		KombitAdd: []coredata.KombitOf{{User: anna, Identifier: "k", CVR: CVR}}, Mark: []*rolecatalog.User{anna}, Reason: "first",
	})
	f.commit(t, &rolecatalog.Changes{Assignments: []*rolecatalog.Assignment{
		{UserID: anna.ID, JobFunctionRoleID: role.ID, Values: []rolecatalog.AssignmentValue{{SystemRoleID: system.ID, ScopeType: "PU", Value: "1"}}},
		{UserID: bo.ID, JobFunctionRoleID: role.ID, Values: []rolecatalog.AssignmentValue{{SystemRoleID: system.ID, ScopeType: "PU", Value: "2"}}},
	}})
	work, err := f.Work(ctx, CVR, 0)
	check(t, err)
	f.commit(t, &rolecatalog.Changes{Finished: work})

	fresh := newUser(1, "ANNA", "3102994444")
	f.change(t, 1, &coredata.Changes{
		Delete: []*rolecatalog.User{anna}, Create: []*rolecatalog.User{fresh}, Join: []coredata.Membership{{Group: group, User: fresh}},
		Mark: []*rolecatalog.User{fresh}, Reason: "replaced",
	})
	if fresh.ID == anna.ID || fresh.UUID == anna.UUID {
		t.Errorf("the new user is the old one: %+v", fresh)
	}
	same(t, "afterwards", lines(f.tree(t, 1, everything)), []string{
		"user bo cpr= uuid=shared locked=false", "user ANNA cpr=3102994444 uuid= locked=false", "group g Gruppe - [ANNA bo]",
	})
	same(t, "marked, the one who shared his NemLogin UUID too", f.marked(t), []string{"ANNA: replaced", "bo: replaced"})
	for id, n := range map[uint64]int{anna.ID: 0, bo.ID: 1} {
		given, err := f.UserAssignments(ctx, CVR, id)
		check(t, err)
		if len(given) != n || n == 1 && len(given[0].Values) != 1 {
			t.Errorf("user %d has the assignments %+v", id, given)
		}
	}
	is(t, f.ChangeTree(ctx, CVR, 1, 0, func(*coredata.Tree) (*coredata.Changes, error) {
		return &coredata.Changes{Delete: []*rolecatalog.User{anna}}, nil
	}), rolecatalog.ErrNotFound)

	// Who loses a NemLogin UUID by a load leaves it to whom he shared it with.
	f.change(t, 1, &coredata.Changes{Create: []*rolecatalog.User{{DomainID: 1, UserID: "cia", NemLoginUUID: "shared"}}})
	work, err = f.Work(ctx, CVR, 0)
	check(t, err)
	f.commit(t, &rolecatalog.Changes{Finished: work})
	check(t, f.ChangeTree(ctx, CVR, 1, coredata.PartPeople, func(tree *coredata.Tree) (*coredata.Changes, error) {
		cia := tree.People[len(tree.People)-1]
		cia.NemLoginUUID = ""
		return &coredata.Changes{Update: []*rolecatalog.User{cia}, Mark: []*rolecatalog.User{cia}, Reason: "lost"}, nil
	}))
	same(t, "marked after the loss", f.marked(t), []string{"bo: lost", "cia: lost"})
	check(t, f.ChangeTree(ctx, CVR, 1, coredata.PartPeople, func(tree *coredata.Tree) (*coredata.Changes, error) {
		return &coredata.Changes{Delete: tree.People[len(tree.People)-1:]}, nil
	}))

	// Somebody who was only marked as deleted isn't in the tree, and gives way too.
	fresh.Deleted = true
	f.commit(t, &rolecatalog.Changes{Users: []*rolecatalog.User{fresh}})
	same(t, "with a deleted one", lines(f.tree(t, 1, coredata.PartPeople)), []string{"user bo cpr= uuid=shared locked=false"})
	f.change(t, 1, &coredata.Changes{Create: []*rolecatalog.User{newUser(1, "anna", "")}})
	same(t, "created anew", lines(f.tree(t, 1, everything)), []string{
		"user bo cpr= uuid=shared locked=false", "user anna cpr= uuid= locked=false", "group g Gruppe - [bo]",
	})
}

// Whatever ends a load, nothing of it stays.
func loadRollback(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	other, err := f.CreateDomain(t.Context(), "Other", nil)
	check(t, err)
	f.change(t, 1, &coredata.Changes{Create: []*rolecatalog.User{newUser(1, "anna", "")}, CreateGroups: []*coredata.Group{{DomainID: 1, UUID: "g"}}})
	check(t, f.AddRelease(t.Context(), &coredata.Release{DomainID: 1, By: "x"}))
	before := f.tree(t, 1, everything)
	full := func(tree *coredata.Tree) *coredata.Changes {
		fresh := newUser(1, "ny", "3102991111")
		return &coredata.Changes{
			Create: []*rolecatalog.User{fresh}, Join: []coredata.Membership{{Group: tree.Groups[0], User: fresh}},
			Mark: []*rolecatalog.User{fresh}, Audit: []rolecatalog.AuditEvent{{Action: "x"}}, Release: tree.Release,
		}
	}
	refused := errors.New("refused by the guard")
	for name, of := range map[string]struct {
		change func(*coredata.Changes) error
		want   error
	}{
		"decided against":       {func(*coredata.Changes) error { return refused }, refused},
		"a name twice":          {func(c *coredata.Changes) error { c.Create = append(c.Create, newUser(1, "ANNA", "")); return nil }, rolecatalog.ErrDuplicate},
		"another domain's user": {func(c *coredata.Changes) error { c.Create[0].DomainID = other.ID; return nil }, store.ErrInvalid},
		"another domain's group": {func(c *coredata.Changes) error {
			c.CreateGroups = []*coredata.Group{{DomainID: other.ID, UUID: "x"}}
			return nil
		}, store.ErrInvalid},
		"a group without a uuid": {func(c *coredata.Changes) error { c.CreateGroups = []*coredata.Group{{DomainID: 1}}; return nil }, store.ErrInvalid},
		"a group's uuid twice": {func(c *coredata.Changes) error {
			c.CreateGroups = []*coredata.Group{{DomainID: 1, UUID: "g"}}
			return nil
		}, rolecatalog.ErrDuplicate},
		"a member without a row": {func(c *coredata.Changes) error { c.Join[0].User = newUser(1, "x", ""); return nil }, store.ErrInvalid},
		"a member who is gone":   {func(c *coredata.Changes) error { c.Join[0].User = &rolecatalog.User{ID: 999}; return nil }, rolecatalog.ErrNotFound},
		"a group that is gone": {func(c *coredata.Changes) error {
			c.UpdateGroups = []*coredata.Group{{ID: 99, DomainID: 1, UUID: "y"}}
			return nil
		}, rolecatalog.ErrNotFound},
		"a release that was used": {func(c *coredata.Changes) error { c.Release = &coredata.Release{ID: 99}; return nil }, rolecatalog.ErrNotFound},
		"a long CVR number": {func(c *coredata.Changes) error {
			c.KombitAdd = []coredata.KombitOf{{User: c.Create[0], CVR: "123456789"}}
			return nil
		}, store.ErrInvalid},
	} {
		var fresh *rolecatalog.User
		err := f.ChangeTree(t.Context(), CVR, 1, everything, func(tree *coredata.Tree) (*coredata.Changes, error) {
			c := full(tree)
			fresh = c.Create[0]
			return c, of.change(c)
		})
		if !errors.Is(err, of.want) {
			t.Errorf("%s: the error is %v, want %v", name, err, of.want)
		}
		if name == "decided against" && err != refused { //nolint:errorlint // as it is, not wrapped
			t.Errorf("%s: the error is %v, not as it was", name, err)
		}
		if fresh.ID != 0 || fresh.UUID != "" {
			t.Errorf("%s: handed back all the same: %+v", name, fresh)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = f.ChangeTree(ctx, CVR, 1, everything, func(tree *coredata.Tree) (*coredata.Changes, error) {
		cancel()
		return full(tree), nil
	})
	is(t, err, context.Canceled)
	is(t, f.ChangeTree(ctx, CVR, 1, 0, nil), context.Canceled)

	same(t, "the tree", f.tree(t, 1, everything), before, cmpopts.EquateEmpty())
	same(t, "the other tree", lines(f.tree(t, other.ID, everything)), []string(nil))
	same(t, "the work list", f.marked(t), []string{})
	checked, err := f.VerifyAudit(t.Context())
	check(t, err)
	if checked != 0 {
		t.Errorf("%d events in the trail", checked)
	}
	f.change(t, 1, &coredata.Changes{Create: []*rolecatalog.User{newUser(1, "ny", "")}})
}
