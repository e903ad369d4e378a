//go:build unix

package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rollebro/rollebro/apikeys"
	"github.com/rollebro/rollebro/coredata"
	"github.com/rollebro/rollebro/rolecatalog"
)

// Every load sees what those before it have done: each creates the user that its number of users calls for.
func loadsConcurrent(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	other, err := f.CreateDomain(t.Context(), "Other", nil)
	check(t, err)
	masters := []uint64{1, other.ID}
	const each = 8
	check(t, together(len(masters)*each, func(i int) error {
		master := masters[i%len(masters)]
		return f.ChangeTree(t.Context(), CVR, master, coredata.PartPeople, func(tree *coredata.Tree) (*coredata.Changes, error) {
			fresh := newUser(master, fmt.Sprintf("nr%d", len(tree.People)), "")
			return &coredata.Changes{
				Create: []*rolecatalog.User{fresh}, Mark: []*rolecatalog.User{fresh}, Audit: []rolecatalog.AuditEvent{{Action: "load"}},
			}, nil
		})
	}))
	for _, master := range masters {
		var names []string
		for _, u := range f.tree(t, master, coredata.PartPeople).People {
			names = append(names, u.UserID)
		}
		slices.Sort(names)
		same(t, "users", names, []string{"nr0", "nr1", "nr2", "nr3", "nr4", "nr5", "nr6", "nr7"})
	}
	checked, err := f.VerifyAudit(t.Context())
	check(t, err)
	if work, err := f.Work(t.Context(), CVR, 0); err != nil || len(work) != 2*each || checked != 2*each {
		t.Errorf("%d marks, %d events, %v", len(work), checked, err)
	}
}

func largeGroups(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	const people, members = 1200, 1000
	var c coredata.Changes
	for i := range people {
		c.Create = append(c.Create, newUser(1, fmt.Sprintf("user%04d", i), ""))
	}
	for i := range 3 {
		c.CreateGroups = append(c.CreateGroups, &coredata.Group{DomainID: 1, UUID: fmt.Sprint(i), Name: "Gruppe"})
		for j := range members {
			c.Join = append(c.Join, coredata.Membership{Group: c.CreateGroups[i], User: c.Create[j]})
		}
	}
	f.change(t, 1, &c)
	// All of the first group move on to the second's last hundred; two thirds leave the third.
	next := &coredata.Changes{}
	for j := range people {
		if j < members {
			next.Leave = append(next.Leave, coredata.Membership{Group: c.CreateGroups[0], User: c.Create[j]})
		} else {
			next.Join = append(next.Join, coredata.Membership{Group: c.CreateGroups[1], User: c.Create[j]})
		}
		if j%3 != 0 {
			next.Leave = append(next.Leave, coredata.Membership{Group: c.CreateGroups[2], User: c.Create[j]})
		}
	}
	f.change(t, 1, next)
	var sizes []int
	for _, g := range f.tree(t, 1, coredata.PartGroups).Groups {
		sizes = append(sizes, len(g.Members))
		if !slices.IsSorted(g.Members) {
			t.Error("members are not in order")
		}
	}
	same(t, "sizes", sizes, []int{0, people, 334})
}

func streams(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	sub, err := f.CreateDomain(ctx, "Sub", new(uint64(1)))
	check(t, err)
	other, err := f.CreateDomain(ctx, "Other", nil)
	check(t, err)
	var c coredata.Changes
	for i := range 4100 { // more than two pieces
		u := newUser([]uint64{1, sub.ID}[i%2], fmt.Sprintf("user%04d", i), "")
		if i%1000 == 0 {
			u.CPR, u.CoreData = "3102991111", fullCoreData()
		}
		c.Create = append(c.Create, u)
	}
	group := &coredata.Group{DomainID: sub.ID, UUID: "g", Name: "Gruppe"}
	c.CreateGroups = []*coredata.Group{{DomainID: 1, UUID: "e", Name: "Tom"}, group, {DomainID: 1, UUID: "f", Name: "Anden"}}
	for _, i := range []int{4099, 3000, 7} {
		c.Join = append(c.Join, coredata.Membership{Group: group, User: c.Create[i]}, coredata.Membership{Group: c.CreateGroups[2], User: c.Create[7]})
		c.KombitAdd = append(c.KombitAdd, coredata.KombitOf{User: c.Create[i], Identifier: "b", CVR: CVR}, coredata.KombitOf{User: c.Create[i], Identifier: "a", CVR: CVR})
	}
	f.change(t, 1, &c)
	f.change(t, other.ID, &coredata.Changes{Create: []*rolecatalog.User{newUser(other.ID, "user0000", "3102991111")}})
	c.Create[7].Deleted = true
	f.commit(t, &rolecatalog.Changes{Users: []*rolecatalog.User{c.Create[7]}})

	read := func(cpr string) []rolecatalog.User {
		var all []rolecatalog.User
		check(t, f.People(ctx, 1, cpr, func(some []rolecatalog.User) error {
			if len(some) == 0 || len(some) > 2000 {
				t.Errorf("a piece of %d", len(some))
			}
			all = append(all, some...)
			return nil
		}))
		return all
	}
	all := read("")
	if len(all) != 4099 || !slices.IsSortedFunc(all, func(a, b rolecatalog.User) int { return int(a.ID) - int(b.ID) }) {
		t.Errorf("%d people", len(all))
	}
	same(t, "one of them", all[0], *c.Create[0], cmpopts.EquateEmpty())
	var names []string
	for _, u := range read("3102991111") {
		names = append(names, u.UserID+" "+u.CPR)
	}
	same(t, "by CPR number", names, []string{
		"user0000 3102991111", "user1000 3102991111", "user2000 3102991111", "user3000 3102991111", "user4000 3102991111",
	})
	if n := len(read("3102992222")); n != 0 {
		t.Errorf("%d people of an unknown number", n)
	}
	enough := errors.New("enough")
	is(t, f.People(ctx, 1, "", func([]rolecatalog.User) error { return enough }), enough)

	kombit := func(cpr string) (out []string) {
		check(t, f.Kombit(ctx, 1, cpr, func(u rolecatalog.User, roles []coredata.KombitRole) error {
			for _, r := range roles {
				if r.UserID != u.ID {
					t.Errorf("a role of %d with user %d", r.UserID, u.ID)
				}
				out = append(out, u.UserID+" "+r.Identifier)
			}
			return nil
		}))
		return out
	}
	same(t, "KOMBIT roles", kombit(""), []string{"user3000 a", "user3000 b", "user4099 a", "user4099 b"})
	same(t, "KOMBIT roles by CPR number", kombit("3102991111"), []string{"user3000 a", "user3000 b"})
	is(t, f.Kombit(ctx, 1, "", func(rolecatalog.User, []coredata.KombitRole) error { return enough }), enough)

	groups := func(domain uint64, cpr string) (out []string) {
		check(t, f.Groups(ctx, domain, cpr, func(g coredata.Group, members []string) error {
			out = append(out, g.UUID+": "+strings.Join(members, " "))
			return nil
		}))
		return out
	}
	same(t, "groups", groups(1, ""), []string{"e: ", "f: "})
	same(t, "groups of the sub-domain", groups(sub.ID, ""), []string{"g: user3000 user4099"})
	same(t, "groups by CPR number", groups(1, "3102991111"), []string{"g: user3000 user4099"})
	same(t, "groups by CPR number, of a sub-domain", groups(sub.ID, "3102991111"), []string{"g: user3000 user4099"})
	same(t, "groups by CPR number, of another domain", groups(other.ID, "3102991111"), []string(nil))
	is(t, f.Groups(ctx, 1, "", func(coredata.Group, []string) error { return enough }), enough)
}

func callLog(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	_, err := f.CreateDomain(ctx, "Skole", new(uint64(1)))
	check(t, err)
	_, err = f.CreateDomain(ctx, "Never", nil)
	check(t, err)
	micros := func(d time.Duration) time.Time { return Noon.Add(d).Truncate(time.Microsecond) }
	calls := []coredata.Call{
		{At: micros(0), Endpoint: "POST /api/coredata/full", Domain: "administrativt", Client: "AD", DurationMS: 12, Status: 200, Success: true, Counts: map[string]int{"created": 3}},
		{At: micros(2 * time.Hour), Endpoint: "POST /api/coredata/delta", Domain: "SKOLE", Status: 200, Success: true},
		{At: micros(3 * time.Hour), Endpoint: "POST /api/coredata/full", Domain: "Administrativt", Status: 400, Error: "nej"},
		{At: micros(4 * time.Hour), Endpoint: "GET /api/coredata", Domain: "Administrativt", Status: 200, Success: true},
		{At: micros(1 * time.Hour), Endpoint: "POST /api/coredata/full", Domain: "Ukendt", Status: 400, Success: true},
	}
	for i := range calls {
		check(t, f.LogCall(ctx, &calls[i]))
		if calls[i].ID == 0 {
			t.Error("no id is handed back")
		}
	}
	newest := []coredata.Call{calls[3], calls[2], calls[1], calls[4], calls[0]}
	got, err := f.Calls(ctx, "", 0)
	check(t, err)
	same(t, "all", got, newest)
	got, err = f.Calls(ctx, " ADMINISTRATIVT", 2)
	check(t, err)
	same(t, "of a domain", got, newest[:2])
	last, err := f.LastLoads(ctx)
	check(t, err)
	same(t, "the last loads", last, map[string]time.Time{rolecatalog.PrimaryDomain: micros(2 * time.Hour)})

	gone, err := f.PruneCalls(ctx, micros(2*time.Hour))
	check(t, err)
	if gone != 1 { // of no domain of ours; the other one is the last load of its domain
		t.Errorf("%d lines were pruned, want 1", gone)
	}
	got, err = f.Calls(ctx, "", 10)
	check(t, err)
	same(t, "after pruning", got, append(newest[:3:3], newest[4]))
	gone, err = f.PruneCalls(ctx, micros(24*time.Hour))
	check(t, err)
	again, err := f.LastLoads(ctx)
	check(t, err)
	if gone != 2 {
		t.Errorf("%d lines were pruned, want 2", gone)
	}
	same(t, "the last loads, after pruning all", again, last)
	long := coredata.Call{Endpoint: strings.Repeat("å", 300), Domain: strings.Repeat("Å", 300), Error: "\xff"}
	check(t, f.LogCall(ctx, &long))
	if long.At.IsZero() || len([]rune(long.Domain)) != 255 || long.Error != "\uFFFD" {
		t.Errorf("a long line is kept as %+v", long)
	}
}

func releases(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	other, err := f.CreateDomain(ctx, "Other", nil)
	check(t, err)
	first, second := &coredata.Release{DomainID: 1, By: "åse", Reason: "skolestart"}, &coredata.Release{DomainID: 1, By: "bo"}
	check(t, f.AddRelease(ctx, first))
	check(t, f.AddRelease(ctx, second))
	check(t, f.AddRelease(ctx, &coredata.Release{DomainID: other.ID, By: "cia"}))
	is(t, f.AddRelease(ctx, &coredata.Release{DomainID: 99}), rolecatalog.ErrNotFound)
	if first.ID == 0 || first.CreatedAt.IsZero() || second.ID <= first.ID {
		t.Errorf("handed back: %+v %+v", first, second)
	}
	same(t, "the oldest", f.tree(t, 1, 0).Release, first)
	same(t, "not used by reading", f.tree(t, 1, 0).Release, first)

	// Each is used by one load, however many come at once.
	var with, without atomic.Int32
	check(t, together(6, func(int) error {
		return f.ChangeTree(ctx, CVR, 1, 0, func(tree *coredata.Tree) (*coredata.Changes, error) {
			return &coredata.Changes{Release: tree.Release}, nil
		})
	}))
	if left := f.tree(t, 1, 0).Release; left != nil {
		t.Errorf("%+v is left", left)
	}
	check(t, f.AddRelease(ctx, &coredata.Release{DomainID: 1, By: "old", CreatedAt: f.now().Add(-coredata.ReleaseHolds - time.Second)}))
	if left := f.tree(t, 1, 0).Release; left != nil {
		t.Errorf("a release that is a day old still holds: %+v", left)
	}
	check(t, f.AddRelease(ctx, &coredata.Release{DomainID: 1, By: "dan"}))
	check(t, together(6, func(int) error {
		used := false
		err := f.ChangeTree(ctx, CVR, 1, 0, func(tree *coredata.Tree) (*coredata.Changes, error) {
			used = tree.Release != nil
			return &coredata.Changes{Release: tree.Release}, nil
		})
		if used {
			with.Add(1)
		} else {
			without.Add(1)
		}
		return err
	}))
	if with.Load() != 1 || without.Load() != 5 {
		t.Errorf("one release let %d loads through", with.Load())
	}
	if left := f.tree(t, other.ID, 0).Release; left == nil || left.By != "cia" {
		t.Errorf("the other domain's is %+v", left)
	}
}

func expiry(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	until := func(name string, at *time.Time, change ...func(*rolecatalog.User)) {
		f.user(t, name, append(change, func(u *rolecatalog.User) { u.ExpiresAt, u.NemLoginUUID = at, "n-"+name })...)
	}
	past, now := Noon.Add(-time.Hour), Noon
	until("never", nil)
	until("later", at(time.Second))
	until("just", &now)
	until("past", &past)
	until("locked", &past, func(u *rolecatalog.User) { u.LockedExpired = true })
	until("deleted", &past, func(u *rolecatalog.User) { u.Deleted = true })
	f.user(t, "rival", func(u *rolecatalog.User) { u.NemLoginUUID = "n-past" })
	for i := range 20 {
		until(fmt.Sprintf("many%02d", i), &past)
	}
	var expired atomic.Int32
	check(t, together(4, func(int) error {
		n, err := f.Expire(ctx, CVR, Noon)
		expired.Add(int32(n))
		return err
	}))
	if expired.Load() != 22 {
		t.Errorf("%d have expired, want 22 exactly once", expired.Load())
	}
	var locked []string
	all, err := f.Users(ctx, rolecatalog.UserFilter{IncludeDeleted: true})
	check(t, err)
	for i := range all {
		if all[i].LockedExpired && !strings.HasPrefix(all[i].UserID, "many") {
			locked = append(locked, all[i].UserID)
		}
	}
	same(t, "locked", locked, []string{"just", "locked", "past"})
	marked := slices.DeleteFunc(f.marked(t), func(line string) bool { return strings.HasPrefix(line, "many") })
	same(t, "marked", marked, []string{"just: the account has expired", "past: the account has expired", "rival: the account has expired"})
	events, err := f.Audit(ctx, rolecatalog.AuditFilter{CVR: CVR, User: "past"})
	check(t, err)
	if len(events) != 1 || events[0].Action != rolecatalog.AuditUser || events[0].Identity != "n-past" {
		t.Errorf("recorded: %+v", events)
	}
	if n, err := f.Expire(ctx, CVR, Noon); n != 0 || err != nil {
		t.Errorf("again: %d, %v", n, err)
	}
	if n, err := f.Expire(ctx, CVR, Noon.Add(time.Minute)); n != 1 || err != nil {
		t.Errorf("a minute later: %d, %v", n, err)
	}
}

func keys(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	micros := Noon.Truncate(time.Microsecond)
	first := &apikeys.Key{Name: "AD", Prefix: "rollebro_abc", Hash: []byte{0, 1, 0xff}, Role: apikeys.CoreData, Domains: []string{"Å", "b"}, CreatedAt: micros, CreatedBy: "åse", ExpiresAt: &micros}
	second := &apikeys.Key{Prefix: "x", Hash: []byte{2}, Role: apikeys.Admin, Domains: []string{}}
	check(t, f.CreateKey(ctx, first))
	check(t, f.CreateKey(ctx, second))
	is(t, f.CreateKey(ctx, &apikeys.Key{Hash: []byte{2}, Role: apikeys.Read}), rolecatalog.ErrDuplicate)
	if first.ID == 0 || second.ID <= first.ID || second.CreatedAt.IsZero() {
		t.Errorf("handed back: %+v %+v", first, second)
	}
	all, err := f.Keys(ctx)
	check(t, err)
	same(t, "all", all, []apikeys.Key{*first, *second})
	found, err := f.KeyByHash(ctx, []byte{0, 1, 0xff})
	check(t, err)
	same(t, "by hash", found, *first)
	for _, hash := range [][]byte{nil, {}, {0, 1}, {0, 1, 0xff, 0}} {
		_, err = f.KeyByHash(ctx, hash)
		is(t, err, apikeys.ErrUnknown)
	}
	check(t, f.UsedKey(ctx, first.ID, Noon))
	check(t, f.UsedKey(ctx, first.ID, Noon.Add(-time.Hour)))
	check(t, f.RevokeKey(ctx, first.ID, Noon))
	check(t, f.RevokeKey(ctx, first.ID, Noon.Add(time.Hour)))
	is(t, f.RevokeKey(ctx, 99, Noon), apikeys.ErrUnknown)
	found, err = f.KeyByHash(ctx, first.Hash)
	check(t, err)
	first.LastUsedAt, first.RevokedAt = &micros, &micros
	same(t, "used and revoked", found, *first)
	all, err = f.Keys(ctx)
	check(t, err)
	same(t, "the other one", all[1], *second)
}
