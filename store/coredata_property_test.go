//go:build unix

package store_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/rollebro/rollebro/coredata"
	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/store"
	"github.com/rollebro/rollebro/store/storetest"
)

// Whatever loads do one after the other, both kinds of database hold what the loads said, and the same row ids.
func TestLoadsLeaveTheSame(t *testing.T) {
	t.Parallel()
	var clock atomic.Int64
	now := func() time.Time { return storetest.Noon.Add(time.Duration(clock.Load()) * time.Second) }
	stores := []*store.Store{storetest.SQLite(t, storetest.Clock(now)), storetest.MariaDBStore(t, storetest.Clock(now))}
	checks := 0
	rapid.Check(t, func(t *rapid.T) {
		checks++
		model := world{users: map[string]rolecatalog.User{}, groups: map[string]string{}, members: map[[2]string]bool{}, kombit: map[[2]string]bool{}}
		for _, s := range stores {
			main, err := s.CreateDomain(t.Context(), fmt.Sprintf("main %d", checks), nil)
			if err != nil {
				t.Fatal(err)
			}
			sub, err := s.CreateDomain(t.Context(), fmt.Sprintf("sub %d", checks), &main.ID)
			if err != nil {
				t.Fatal(err)
			}
			model.main, model.sub = main.ID, sub.ID
		}
		for step := range rapid.IntRange(1, 8).Draw(t, "steps") {
			clock.Add(1)
			next := model.draw(t, fmt.Sprintf("%08d-%02d", checks, step))
			var refused error
			if rapid.IntRange(0, 5).Draw(t, "refused") == 0 {
				refused = errors.New("refused")
			}
			for _, s := range stores {
				err := s.ChangeTree(t.Context(), storetest.CVR, model.main, treeParts, func(tree *coredata.Tree) (*coredata.Changes, error) {
					return model.changes(tree, &next), refused
				})
				if !errors.Is(err, refused) {
					t.Fatalf("%s: %v", s.Dialect(), err)
				}
			}
			if refused == nil {
				model = next
			}
			var trees []*coredata.Tree
			for _, s := range stores {
				err := s.ChangeTree(t.Context(), storetest.CVR, model.main, treeParts, func(tree *coredata.Tree) (*coredata.Changes, error) {
					trees = append(trees, tree)
					return nil, nil
				})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(model, worldOf(trees[len(trees)-1]), cmp.AllowUnexported(world{}), ignoreStored); diff != "" {
					t.Fatalf("%s (-what the loads said +what is stored):\n%s", s.Dialect(), diff)
				}
			}
			if diff := cmp.Diff(trees[0], trees[1]); diff != "" {
				t.Fatalf("what is stored (-SQLite +MariaDB):\n%s", diff)
			}
		}
		var work [2][]rolecatalog.Work
		for i, s := range stores {
			var err error
			if work[i], err = s.Work(t.Context(), storetest.CVR, 0); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(work[0], work[1]); diff != "" {
			t.Fatalf("the work list (-SQLite +MariaDB):\n%s", diff)
		}
	})
	for _, s := range stores {
		if _, err := s.VerifyAudit(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

const treeParts = coredata.PartPeople | coredata.PartGroups | coredata.PartKombit

// ignoreStored leaves out what only the store knows.
var ignoreStored = cmp.Options{
	cmpopts.IgnoreFields(rolecatalog.User{}, "ID", "UserKey", "CreatedAt", "UpdatedAt"), cmpopts.EquateEmpty(),
}

// world is what a tree should hold, by names. A user who is replaced gets another uuid, a group another name.
type world struct {
	main, sub uint64
	users     map[string]rolecatalog.User // by account name
	groups    map[string]string           // uuid to name
	members   map[[2]string]bool          // group and user
	kombit    map[[2]string]bool          // user and identifier
}

var (
	accounts = []string{"anna", "bo", "cia", "dan"}
	groups   = []string{"g", "G", "h"}
	jobs     = []string{"http://jfr/1", "http://jfr/2"}
)

// draw returns what the world is to be after a load.
func (w *world) draw(t *rapid.T, label string) world {
	next := world{main: w.main, sub: w.sub, users: map[string]rolecatalog.User{}, groups: map[string]string{}, members: map[[2]string]bool{}, kombit: map[[2]string]bool{}}
	for _, name := range accounts {
		was, there := w.users[name]
		switch rapid.SampledFrom([]string{"keep", "change", "replace", "gone"}).Draw(t, name) {
		case "keep":
			if there {
				next.users[name] = was
			}
		case "change":
			if there {
				next.users[name] = drawUser(t, was)
			}
		case "replace":
			next.users[name] = drawUser(t, rolecatalog.User{UUID: name + label, UserID: name, DomainID: rapid.SampledFrom([]uint64{w.main, w.sub}).Draw(t, "domain")})
		}
	}
	for _, uuid := range groups {
		was, there := w.groups[uuid]
		switch rapid.SampledFrom([]string{"keep", "replace", "gone"}).Draw(t, "group "+uuid) {
		case "keep":
			if there {
				next.groups[uuid] = was
			}
		case "replace":
			next.groups[uuid] = uuid + label
		}
	}
	for _, name := range slices.Sorted(maps.Keys(next.users)) {
		for _, uuid := range slices.Sorted(maps.Keys(next.groups)) {
			if rapid.Bool().Draw(t, "member") {
				next.members[[2]string{uuid, name}] = true
			}
		}
		for _, job := range jobs {
			if rapid.Bool().Draw(t, "job") {
				next.kombit[[2]string{name, job}] = true
			}
		}
	}
	return next
}

func drawUser(t *rapid.T, u rolecatalog.User) rolecatalog.User {
	yes := func(what string) bool { return rapid.Bool().Draw(t, what) }
	text := func(what string) string {
		return rapid.SampledFrom([]string{"", "a", "Å ", "😀\\'\""}).Draw(t, what)
	}
	texts := func(what string) map[string]string {
		return rapid.MapOfN(rapid.SampledFrom([]string{"", "a", "æ"}), rapid.SampledFrom([]string{"", "b", "ø"}), 0, 2).Draw(t, what)
	}
	when := func(what string) *time.Time {
		at := moment.Draw(t, what)
		if at != nil {
			*at = at.Truncate(time.Microsecond)
		}
		return at
	}
	u.Name, u.Email = text("name"), text("email")
	u.NemLoginUUID = rapid.SampledFrom([]string{"", "n1", "n2"}).Draw(t, "NemLogin UUID")
	if cpr := rapid.SampledFrom([]string{"", "3102991111", "3102992222"}).Draw(t, "cpr"); cpr != "" {
		u.CPR = cpr // an empty one leaves the stored one
	}
	u.CoreData = rolecatalog.CoreData{
		FromCoreData: yes("from"), Alias: text("alias"), NSISAllowed: yes("nsis"), TransferToNemLogin: yes("transfer"), PrivateMitID: yes("private"),
		QualifiedSignature: yes("signature"), Robot: yes("robot"), TrustedEmployee: yes("trusted"), ExpiresAt: when("expires"),
		PasswordChangedOn: rapid.SampledFrom([]string{"", "2026-02-28"}).Draw(t, "password"), Department: text("department"), EAN: text("ean"),
		RID: text("rid"), ExternalUUID: text("external"), Attributes: texts("attributes"), KombitAttributes: texts("kombit"),
		Roles: rapid.SliceOfN(rapid.SampledFrom([]string{"", "r"}), 0, 2).Draw(t, "roles"), LockedDataset: yes("locked"), LockedDatasetAt: when("locked at"),
		LockedExpired: yes("expired"),
	}
	return u
}

// changes says how a tree becomes the world that is wanted, and more than needed: who is a member already joins again.
func (w *world) changes(tree *coredata.Tree, want *world) *coredata.Changes {
	c := &coredata.Changes{Reason: "a load", Audit: []rolecatalog.AuditEvent{{Action: rolecatalog.AuditUser, Actor: "load"}}}
	users, stored := map[string]*rolecatalog.User{}, map[string]*rolecatalog.User{}
	for _, u := range tree.People {
		stored[u.UserID] = u
	}
	for _, name := range accounts {
		wanted, ok := want.users[name]
		was := stored[name]
		switch {
		case was != nil && ok && was.UUID == wanted.UUID:
			u := wanted
			u.ID, u.CreatedAt = was.ID, was.CreatedAt
			users[name] = &u
			c.Update = append(c.Update, &u)
			continue
		case was != nil:
			c.Delete = append(c.Delete, was)
		}
		if ok {
			u := wanted
			users[name] = &u
			c.Create = append(c.Create, &u)
			c.Mark = append(c.Mark, &u)
		}
	}
	byUUID := map[string]*coredata.Group{}
	for _, g := range tree.Groups {
		name, ok := want.groups[g.UUID]
		switch {
		case ok && name == g.Name:
			byUUID[g.UUID] = g
		case ok && name[len(name)-1]%2 == 0:
			g.Name = name
			byUUID[g.UUID] = g
			c.UpdateGroups = append(c.UpdateGroups, g)
		default:
			c.DeleteGroups = append(c.DeleteGroups, g)
		}
	}
	for _, uuid := range slices.Sorted(maps.Keys(want.groups)) {
		if byUUID[uuid] == nil {
			byUUID[uuid] = &coredata.Group{DomainID: w.main, UUID: uuid, Name: want.groups[uuid]}
			c.CreateGroups = append(c.CreateGroups, byUUID[uuid])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(users)) {
		for _, uuid := range slices.Sorted(maps.Keys(byUUID)) {
			of := coredata.Membership{Group: byUUID[uuid], User: users[name]}
			if want.members[[2]string{uuid, name}] {
				c.Join = append(c.Join, of)
			} else {
				c.Leave = append(c.Leave, of)
			}
		}
		for _, job := range jobs {
			of := coredata.KombitOf{User: users[name], Identifier: job, CVR: storetest.CVR}
			if want.kombit[[2]string{name, job}] {
				c.KombitAdd = append(c.KombitAdd, of)
			} else {
				c.KombitRemove = append(c.KombitRemove, of)
			}
		}
	}
	return c
}

// worldOf is what a tree holds, by names.
func worldOf(tree *coredata.Tree) world {
	w := world{main: tree.Master.ID, sub: tree.Subs[0].ID, users: map[string]rolecatalog.User{}, groups: map[string]string{}, members: map[[2]string]bool{}, kombit: map[[2]string]bool{}}
	names := map[uint64]string{}
	for _, u := range tree.People {
		names[u.ID] = u.UserID
		w.users[u.UserID] = *u
	}
	for _, g := range tree.Groups {
		w.groups[g.UUID] = g.Name
		for _, id := range g.Members {
			w.members[[2]string{g.UUID, names[id]}] = true
		}
	}
	for _, k := range tree.Kombit {
		w.kombit[[2]string{names[k.UserID], k.Identifier}] = true
	}
	return w
}
