//go:build unix

package storetest

import (
	"testing"
	"time"

	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/store"
)

func users(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	school, err := f.CreateDomain(ctx, "Skole", nil)
	check(t, err)
	peter := f.user(t, "Peter", func(u *rolecatalog.User) {
		u.Name, u.Email, u.ExtUUID = "Peter Ærlig", "PEA@kommune.example", "ABC-1"
		u.NemLoginUUID = "AAAAAAAA-0000-4000-8000-000000000001"
	})
	anne := f.user(t, "anne", func(u *rolecatalog.User) { u.NemLoginUUID = peter.NemLoginUUID })
	f.user(t, "Peter", func(u *rolecatalog.User) { u.DomainID = school.ID })
	f.user(t, "slettet", func(u *rolecatalog.User) { u.Deleted, u.DeletedAt = true, at(0) })

	if peter.ID == 0 || len(peter.UUID) != 36 || peter.UserKey != "peter" || peter.NemLoginUUID != "aaaaaaaa-0000-4000-8000-000000000001" ||
		peter.CreatedAt.IsZero() || peter.UpdatedAt.IsZero() {
		t.Errorf("given back: %+v", peter)
	}
	for name, c := range map[string]struct {
		filter rolecatalog.UserFilter
		want   []string
	}{
		"all, by domain and user id":   {rolecatalog.UserFilter{}, []string{"anne", "Peter", "Peter"}},
		"deleted too":                  {rolecatalog.UserFilter{IncludeDeleted: true}, []string{"anne", "Peter", "slettet", "Peter"}},
		"domain":                       {rolecatalog.UserFilter{DomainID: school.ID}, []string{"Peter"}},
		"ids":                          {rolecatalog.UserFilter{IDs: []uint64{anne.ID, peter.ID, anne.ID, 99}}, []string{"anne", "Peter"}},
		"no ids":                       {rolecatalog.UserFilter{IDs: []uint64{}}, []string{}},
		"key: user id":                 {rolecatalog.UserFilter{Key: "PETER"}, []string{"Peter", "Peter"}},
		"key: uuid":                    {rolecatalog.UserFilter{Key: anne.UUID}, []string{"anne"}},
		"key: extUuid":                 {rolecatalog.UserFilter{Key: "ABC-1"}, []string{"Peter"}},
		"key: NemLogin UUID":           {rolecatalog.UserFilter{Key: "AAAAAAAA-0000-4000-8000-000000000001"}, []string{"anne", "Peter"}},
		"key: a part is not enough":    {rolecatalog.UserFilter{Key: "pete"}, []string{}},
		"search: name, any case":       {rolecatalog.UserFilter{Search: "ÆRL"}, []string{"Peter"}},
		"search: e-mail":               {rolecatalog.UserFilter{Search: "pea@KOMM"}, []string{"Peter"}},
		"search: NemLogin UUID":        {rolecatalog.UserFilter{Search: "aaaa-0000"}, []string{"anne", "Peter"}},
		"search: no wildcards":         {rolecatalog.UserFilter{Search: "%"}, []string{}},
		"search: not across fields":    {rolecatalog.UserFilter{Search: "rligpea"}, []string{}},
		"two with one NemLogin UUID":   {rolecatalog.UserFilter{NemLoginUUIDs: []string{"AAAAAAAA-0000-4000-8000-000000000001"}}, []string{"anne", "Peter"}},
		"with NemLogin UUID":           {rolecatalog.UserFilter{WithNemLogin: true}, []string{"anne", "Peter"}},
		"limit":                        {rolecatalog.UserFilter{Limit: 1}, []string{"anne"}},
		"limit and offset":             {rolecatalog.UserFilter{Limit: 1, Offset: 1}, []string{"Peter"}},
		"offset":                       {rolecatalog.UserFilter{Offset: 2}, []string{"Peter"}},
		"offset behind the end":        {rolecatalog.UserFilter{Offset: 9}, []string{}},
		"domain and search, no result": {rolecatalog.UserFilter{DomainID: school.ID, Search: "anne"}, []string{}},
	} {
		same(t, name, f.users(t, c.filter), c.want)
	}

	created := peter.CreatedAt
	uuid := peter.UUID
	*peter = rolecatalog.User{ID: peter.ID, DomainID: 1, UserID: "Pernille", Disabled: true, DisabledAt: at(time.Hour)}
	other := &rolecatalog.User{DomainID: 1, UserID: "peter"} // the name that has become free
	f.commit(t, &rolecatalog.Changes{Users: []*rolecatalog.User{other, peter}})
	found, err := f.Users(ctx, rolecatalog.UserFilter{Key: "pernille"})
	check(t, err)
	if len(found) != 1 || found[0].UUID != uuid || peter.UUID != uuid || !found[0].CreatedAt.Equal(created) || found[0].Email != "" || !found[0].Disabled {
		t.Errorf("updated: %+v", found)
	}
	is(t, f.Commit(ctx, &rolecatalog.Changes{Users: []*rolecatalog.User{{DomainID: 99, UserID: "x"}}}), rolecatalog.ErrNotFound)
}

func spelling(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	all := []string{"aa", "Å", "a", "æ", "ae", "ø", "o", "ü", "y", "y ", " y", "ß", "ss", "😀", "😁", "å\u0301"}
	for _, id := range all {
		f.user(t, id)
	}
	for _, id := range []string{"AA", "å", "Æ", "Ø", "Y "} {
		u := &rolecatalog.User{DomainID: 1, UserID: id}
		is(t, f.Commit(ctx, &rolecatalog.Changes{Users: []*rolecatalog.User{u}}), rolecatalog.ErrDuplicate)
		if u.ID != 0 || u.UUID != "" {
			t.Errorf("%q was refused, and changed to %+v", id, u)
		}
	}
	for _, id := range all {
		if got := f.users(t, rolecatalog.UserFilter{Key: id}); len(got) != 1 || got[0] != id {
			t.Errorf("%q finds %q", id, got)
		}
	}
	same(t, "order", f.users(t, rolecatalog.UserFilter{}),
		[]string{" y", "a", "aa", "ae", "o", "ss", "y", "y ", "ß", "Å", "å\u0301", "æ", "ø", "ü", "😀", "😁"})
	// Renamed to another's name.
	first, err := f.Users(ctx, rolecatalog.UserFilter{Key: "a"})
	check(t, err)
	first[0].UserID = "AE"
	is(t, f.Commit(ctx, &rolecatalog.Changes{Users: []*rolecatalog.User{&first[0]}}), rolecatalog.ErrDuplicate)
	same(t, "nobody changed", f.users(t, rolecatalog.UserFilter{Key: "ae"}), []string{"ae"})
}

func cprNumbers(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	const cpr, second = "0102031233", "0102031241" // both fail modulus 11
	with := f.user(t, "with", func(u *rolecatalog.User) { u.CPR = cpr })
	without := f.user(t, "without")
	if with.CPR != cpr || with.CPRCipher != nil || with.CPRIndex != nil {
		t.Errorf("given back: %+v", with)
	}
	read := func(filter rolecatalog.UserFilter) map[string]string {
		t.Helper()
		found, err := f.Users(ctx, filter)
		check(t, err)
		out := map[string]string{}
		for _, u := range found {
			out[u.UserID] = u.CPR
			if u.CPRCipher != nil || u.CPRIndex != nil {
				t.Errorf("%s comes with what only the store needs", u.UserID)
			}
		}
		return out
	}
	same(t, "not asked for", read(rolecatalog.UserFilter{}), map[string]string{"with": "", "without": ""})
	same(t, "asked for", read(rolecatalog.UserFilter{WithCPR: true}), map[string]string{"with": cpr, "without": ""})
	snap, err := f.Snapshot(ctx, CVR, nil, "2026-11-21")
	check(t, err)
	for _, u := range snap.Users {
		if u.CPR != "" || u.CPRCipher != nil || u.CPRIndex != nil {
			t.Errorf("a snapshot has %+v", u)
		}
	}

	// Updated without: it stays. With another: it changes.
	with.CPR, without.CPR = "", second
	f.commit(t, &rolecatalog.Changes{Users: []*rolecatalog.User{with, without}})
	same(t, "after the update", read(rolecatalog.UserFilter{WithCPR: true}), map[string]string{"with": cpr, "without": second})
	// Somebody who makes up a uuid for the update doesn't make the number unreadable.
	with.UUID, with.CPR = "another", second
	f.commit(t, &rolecatalog.Changes{Users: []*rolecatalog.User{with}})
	same(t, "after the second update", read(rolecatalog.UserFilter{WithCPR: true}), map[string]string{"with": second, "without": second})

	found, err := f.UsersByCPR(ctx, second)
	check(t, err)
	if len(found) != 2 || found[0].UserID != "with" || found[1].UserID != "without" || found[0].CPR != second {
		t.Errorf("found by CPR number: %d users", len(found))
	}
	found, err = f.UsersByCPR(ctx, cpr)
	check(t, err)
	if len(found) != 0 {
		t.Errorf("the old number still finds %d users", len(found))
	}
}

func observed(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	f.role(t, "r1")
	gone, _ := f.role(t, "r2")
	gone.WithdrawnAt = at(0)
	f.commit(t, &rolecatalog.Changes{SystemRoles: []*rolecatalog.SystemRole{gone}})
	grant := func(role, scopeType, value string) rolecatalog.ObservedGrant {
		return rolecatalog.ObservedGrant{Role: role, RoleName: "Rolle", ScopeType: scopeType, ScopeValue: value, Internal: true, ValidFrom: "2020", ValidTo: "2030"}
	}
	f.commit(t, &rolecatalog.Changes{
		Observed: []rolecatalog.ObservedSet{
			{Identity: "i1", Grants: []rolecatalog.ObservedGrant{grant("old", "Cvr", CVR)}}, // the later one counts
			{Identity: "i1", Grants: []rolecatalog.ObservedGrant{
				grant("r1", "PU", "1234567890"), grant("r1", "Cvr", CVR), grant("r1", "Cvr", OtherCVR), grant("r1", "Ukendt", "x"),
				grant("r2", "Cvr", CVR), grant("r3", "Cvr", CVR),
			}},
			{Identity: "i2", Grants: []rolecatalog.ObservedGrant{grant("r1", "SE", "1"), grant("r1", "SE", "1")}},
		},
		Identities: []rolecatalog.Identity{{UUID: "i1", UserID: 7, Generation: 2, AdoptedAt: at(1), ReadAt: at(0), LastError: "x", ObservedHash: "h"}, {UUID: "i2"}},
	})
	f.commit(t, &rolecatalog.Changes{
		CVR: OtherCVR, Observed: []rolecatalog.ObservedSet{{Identity: "i1", Grants: []rolecatalog.ObservedGrant{grant("r1", "Cvr", OtherCVR)}}},
		Identities: []rolecatalog.Identity{{UUID: "i1", Generation: 9}},
	})
	total, byRole, err := f.ObservedTotals(ctx, CVR)
	check(t, err)
	same(t, "totals", byRole, map[string]int{"r1": 4})
	if total != 4 {
		t.Errorf("total %d", total)
	}
	held := func(identities ...string) []string {
		t.Helper()
		rows, err := f.Observed(ctx, CVR, identities)
		check(t, err)
		out := make([]string, len(rows))
		for i, r := range rows {
			out[i] = r.Identity + " " + r.Role + " " + r.ScopeType + " " + r.ScopeValue
		}
		return out
	}
	same(t, "of one", held("I2"), []string{"i2 r1 SE 1", "i2 r1 SE 1"})
	if n := len(held()); n != 8 {
		t.Errorf("of all: %d", n)
	}
	rows, err := f.Observed(ctx, CVR, []string{})
	check(t, err)
	if len(rows) != 0 {
		t.Errorf("of none: %d", len(rows))
	}
	f.commit(t, &rolecatalog.Changes{
		Observed:   []rolecatalog.ObservedSet{{Identity: "i1"}},
		Identities: []rolecatalog.Identity{{UUID: "i1", UserID: 8, Generation: 3, GoneSince: at(5)}},
	})
	if n := len(held()); n != 2 {
		t.Errorf("after one lost all: %d", n)
	}
	rows, err = f.Observed(ctx, OtherCVR, nil)
	check(t, err)
	if len(rows) != 1 {
		t.Errorf("of the other organisation: %d", len(rows))
	}
	identities, err := f.Identities(ctx, CVR)
	check(t, err)
	micros := Noon.Add(5).Truncate(time.Microsecond)
	same(t, "identities", identities, []rolecatalog.Identity{{CVR: CVR, UUID: "i1", UserID: 8, Generation: 3, GoneSince: &micros}, {CVR: CVR, UUID: "i2"}})
	is(t, f.Commit(ctx, &rolecatalog.Changes{CVR: CVR, Observed: []rolecatalog.ObservedSet{{CVR: OtherCVR, Identity: "x"}}}), store.ErrInvalid)
}

// movedIdentities: whose an identity is can only be told when everybody is there who has it, also when it is asked for by the
// one who had it before.
func movedIdentities(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	with := func(uuid string) func(*rolecatalog.User) {
		return func(u *rolecatalog.User) { u.NemLoginUUID = uuid }
	}
	anne, bo, carl := f.user(t, "anne", with("new")), f.user(t, "bo", with("moved")), f.user(t, "carl", with("other"))
	f.commit(t, &rolecatalog.Changes{Identities: []rolecatalog.Identity{
		{UUID: "moved", UserID: anne.ID}, {UUID: "new", UserID: anne.ID}, {UUID: "other", UserID: bo.ID},
	}})
	for _, c := range []struct {
		asked             *rolecatalog.User
		users, identities []string
	}{
		{anne, []string{"anne", "bo"}, []string{"moved", "new"}},
		{bo, []string{"bo", "carl"}, []string{"moved", "other"}},
		{carl, []string{"carl"}, []string{"other"}},
	} {
		snap, err := f.Snapshot(t.Context(), CVR, []uint64{c.asked.ID}, "2026-11-21")
		check(t, err)
		var users, identities []string
		for _, u := range snap.Users {
			users = append(users, u.UserID)
		}
		for _, i := range snap.Identities {
			identities = append(identities, i.UUID)
		}
		same(t, "users for "+c.asked.UserID, users, c.users)
		same(t, "identities for "+c.asked.UserID, identities, c.identities)
	}
}
