//go:build unix

package storetest

import (
	"testing"
	"time"

	"github.com/rollebro/rollebro/rolecatalog"
)

func systemRoles(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	b, _ := f.role(t, "b")
	f.role(t, "a")
	b.Name, b.Description, b.BasicPackage, b.WithdrawnAt = "Øverst", "beskrivelse", true, at(time.Minute)
	f.commit(t, &rolecatalog.Changes{SystemRoles: []*rolecatalog.SystemRole{b}})
	found, err := f.SystemRoles(ctx, CVR)
	check(t, err)
	if len(found) != 2 || found[0].UUID != "a" {
		t.Fatalf("got %+v", found)
	}
	same(t, "the changed one", found[1], *b)
	is(t, f.Commit(ctx, &rolecatalog.Changes{CVR: CVR, SystemRoles: []*rolecatalog.SystemRole{{ITSystemID: 1, UUID: "a"}}}), rolecatalog.ErrDuplicate)
	is(t, f.Commit(ctx, &rolecatalog.Changes{CVR: CVR, SystemRoles: []*rolecatalog.SystemRole{{ITSystemID: 9, UUID: "c"}}}), rolecatalog.ErrNotFound)
	check(t, f.Commit(ctx, &rolecatalog.Changes{CVR: OtherCVR, SystemRoles: []*rolecatalog.SystemRole{{ITSystemID: 1, UUID: "a"}}}))

	number := &rolecatalog.ScopeNumber{ScopeType: "PU", Value: "1000000001", Name: "Rådhuset"}
	f.commit(t, &rolecatalog.Changes{ScopeNumbers: []*rolecatalog.ScopeNumber{number, {ScopeType: "SE", Value: "1000000001"}}})
	number.GoneAt = at(0)
	f.commit(t, &rolecatalog.Changes{ScopeNumbers: []*rolecatalog.ScopeNumber{number}})
	numbers, err := f.ScopeNumbers(ctx, CVR)
	check(t, err)
	if len(numbers) != 2 || numbers[1].ScopeType != "SE" {
		t.Fatalf("got %+v", numbers)
	}
	same(t, "the number that is gone", numbers[0], *number)
	is(t, f.Commit(ctx, &rolecatalog.Changes{CVR: CVR, ScopeNumbers: []*rolecatalog.ScopeNumber{{ScopeType: "PU", Value: "1000000001"}}}), rolecatalog.ErrDuplicate)
}

func jobFunctionRoles(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	system, cvr := f.role(t, "s")
	user := f.user(t, "u")
	rules := []rolecatalog.ScopeRule{
		{SystemRoleID: system.ID, ScopeType: "PU", Values: []string{"1", "å"}}, {SystemRoleID: system.ID, ScopeType: "SE", AtAssignment: true, Values: []string{}},
	}
	role := &rolecatalog.JobFunctionRole{ITSystemID: 1, Identifier: "s_PU", Name: "Å", Description: "d", Origin: rolecatalog.OriginManual, UserOnly: true, Rules: rules}
	twin := &rolecatalog.JobFunctionRole{ITSystemID: 1, Identifier: "s_PU", Name: "Tvilling"}
	f.commit(t, &rolecatalog.Changes{JobFunctionRoles: []*rolecatalog.JobFunctionRole{role, twin}})
	same(t, "the twin", twin, role)
	if rules[0].ID != 0 {
		t.Error("the caller's rules were changed in place")
	}
	read := func() map[string]rolecatalog.JobFunctionRole {
		t.Helper()
		all, err := f.JobFunctionRoles(ctx, CVR)
		check(t, err)
		out := map[string]rolecatalog.JobFunctionRole{}
		for _, r := range all {
			out[r.Identifier] = r
		}
		return out
	}
	same(t, "as stored", read()["s_PU"], *role)

	// Renamed by a person; the next import brings it under its own name.
	role.Name, role.Rules, role.RetiredAt = "Omdøbt", role.Rules[1:], at(0)
	f.commit(t, &rolecatalog.Changes{JobFunctionRoles: []*rolecatalog.JobFunctionRole{role}})
	again := &rolecatalog.JobFunctionRole{ITSystemID: 1, Identifier: "s_PU", Name: "Å", Rules: []rolecatalog.ScopeRule{{SystemRoleID: system.ID, ScopeType: "Cvr"}}}
	alone := &rolecatalog.JobFunctionRole{ITSystemID: 1, Identifier: "s_SE"} // named by an assignment only
	f.commit(t, &rolecatalog.Changes{
		JobFunctionRoles: []*rolecatalog.JobFunctionRole{again},
		Assignments:      []*rolecatalog.Assignment{{UserID: user.ID, Role: again}, {UserID: user.ID, Role: again}, {UserID: user.ID, Role: alone}, {UserID: user.ID, Role: cvr}},
	})
	if again.ID != role.ID || again.Name != "Omdøbt" || len(again.Rules) != 1 || again.Rules[0].ScopeType != "SE" {
		t.Errorf("the imported role became %+v", again)
	}
	all := read()
	if got := all["s_PU"]; got.Name != "Omdøbt" || len(got.Rules) != 1 || got.Holders != 1 || got.RetiredAt == nil {
		t.Errorf("stored: %+v", got)
	}
	if len(all) != 3 || all["s_SE"].ID != alone.ID || all["s_SE"].Holders != 1 || all["s_Cvr"].Holders != 1 {
		t.Errorf("all: %+v", all)
	}
	is(t, f.Commit(ctx, &rolecatalog.Changes{CVR: CVR, JobFunctionRoles: []*rolecatalog.JobFunctionRole{
		{ITSystemID: 1, Identifier: "x", Rules: []rolecatalog.ScopeRule{{SystemRoleID: 99, ScopeType: "Cvr"}}},
	}}), rolecatalog.ErrNotFound)

	// Two importers meet the same new role: one creates it, the others find it.
	made := make([]*rolecatalog.JobFunctionRole, 8)
	check(t, together(len(made), func(i int) error {
		made[i] = &rolecatalog.JobFunctionRole{ITSystemID: 1, Identifier: "race", Name: "Rolle"}
		return f.Commit(ctx, &rolecatalog.Changes{CVR: CVR, JobFunctionRoles: []*rolecatalog.JobFunctionRole{made[i]}})
	}))
	for _, r := range made {
		if r.ID == 0 || r.ID != made[0].ID {
			t.Errorf("ids %d and %d", r.ID, made[0].ID)
		}
	}
}

func assignments(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	system, role := f.role(t, "s")
	user, other := f.user(t, "u"), f.user(t, "v")
	a := &rolecatalog.Assignment{
		UserID: user.ID, JobFunctionRoleID: role.ID, StartDate: "2026-01-01", StopDate: "2026-12-31", AssignedBy: "Bo",
		Values: []rolecatalog.AssignmentValue{{SystemRoleID: system.ID, ScopeType: "PU", Value: "1"}, {SystemRoleID: system.ID, ScopeType: "PU", Value: "2"}},
	}
	b := &rolecatalog.Assignment{UserID: user.ID, JobFunctionRoleID: role.ID}
	f.commit(t, &rolecatalog.Changes{Assignments: []*rolecatalog.Assignment{a, b, {UserID: other.ID, JobFunctionRoleID: role.ID}}})
	found, err := f.UserAssignments(ctx, CVR, user.ID)
	check(t, err)
	same(t, "newest first", found, []rolecatalog.Assignment{*b, *a})
	holders, err := f.Holders(ctx, CVR, []uint64{role.ID, 99})
	check(t, err)
	same(t, "holders", holders, []uint64{user.ID, other.ID})

	b.EndedAt, b.EndedBy = at(time.Hour), "Bo"
	a.StopDate, a.EndedAt, a.Values = "", at(time.Hour), nil
	f.commit(t, &rolecatalog.Changes{Assignments: []*rolecatalog.Assignment{a, b}})
	found, err = f.UserAssignments(ctx, CVR, user.ID)
	check(t, err)
	if len(found) != 2 || found[0].EndedBy != "Bo" || found[1].StopDate != "" || len(found[1].Values) != 2 {
		t.Errorf("ended: %+v", found)
	}
	holders, err = f.Holders(ctx, CVR, []uint64{role.ID})
	check(t, err)
	same(t, "holders now", holders, []uint64{other.ID})
	holders, err = f.Holders(ctx, CVR, nil)
	check(t, err)
	same(t, "holders of nothing", holders, []uint64{})
	is(t, f.Commit(ctx, &rolecatalog.Changes{CVR: CVR, Assignments: []*rolecatalog.Assignment{{UserID: user.ID, JobFunctionRoleID: 99}}}), rolecatalog.ErrNotFound)
}

func dates(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	_, role := f.role(t, "s")
	who := map[string]uint64{}
	for name, d := range map[string][2]string{
		"open": {"", ""}, "starts 20": {"2026-11-20", ""}, "starts 21": {"2026-11-21", ""}, "starts 22": {"2026-11-22", ""},
		"stops 19": {"", "2026-11-19"}, "stops 20": {"", "2026-11-20"}, "stops 21": {"", "2026-11-21"},
	} {
		u := f.user(t, name)
		f.assign(t, u, role, d[0], d[1])
		who[name] = u.ID
	}
	for _, c := range []struct {
		from, to string
		want     []string
	}{
		{"2026-11-20", "2026-11-21", []string{"starts 21", "stops 20"}},
		{"2026-11-20", "2026-11-22", []string{"starts 21", "starts 22", "stops 20", "stops 21"}},
		{"2026-11-21", "2026-11-21", nil},
	} {
		got, err := f.UsersWithDates(ctx, CVR, c.from, c.to)
		check(t, err)
		found := map[uint64]bool{}
		for _, id := range got {
			found[id] = true
		}
		for _, name := range c.want {
			if !found[who[name]] {
				t.Errorf("%s to %s: %q is missing", c.from, c.to, name)
			}
		}
		if len(got) != len(c.want) {
			t.Errorf("%s to %s: %d users, want %q", c.from, c.to, len(got), c.want)
		}
	}
}

func snapshot(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	system, role := f.role(t, "s")
	_, retired := f.role(t, "retired")
	_, unused := f.role(t, "unused")
	retired.RetiredAt, unused.RetiredAt = at(0), at(0)
	f.commit(t, &rolecatalog.Changes{JobFunctionRoles: []*rolecatalog.JobFunctionRole{retired, unused}})
	user := f.user(t, "u", func(u *rolecatalog.User) { u.NemLoginUUID = "i1"; u.DisabledAt = at(1e9) })
	deleted := f.user(t, "d", func(u *rolecatalog.User) { u.Deleted = true })
	a := f.assign(t, user, role, "", "")
	b := f.assign(t, user, retired, "", "2026-10-22") // 30 days before
	f.assign(t, user, role, "", "2026-10-21")
	over := f.assign(t, user, role, "", "")
	over.EndedAt = at(0)
	c := &rolecatalog.Assignment{UserID: deleted.ID, JobFunctionRoleID: role.ID, Values: []rolecatalog.AssignmentValue{{SystemRoleID: system.ID, ScopeType: "PU", Value: "1"}}}
	f.commit(t, &rolecatalog.Changes{
		Assignments: []*rolecatalog.Assignment{over, c},
		Identities:  []rolecatalog.Identity{{UUID: "i1", UserID: user.ID, Generation: 1, AdoptedAt: at(0)}},
		Attempts:    []rolecatalog.Attempt{{Verb: "add", Identity: "i1", Role: "s", NextTryAt: Noon, FirstFailedAt: Noon, Attempts: 2, Class: "transient", Error: "x"}},
	})
	f.commit(t, &rolecatalog.Changes{
		CVR: OtherCVR, Identities: []rolecatalog.Identity{{UUID: "i1"}}, Attempts: []rolecatalog.Attempt{{Verb: "add", Identity: "i1"}},
		SystemRoles: []*rolecatalog.SystemRole{{ITSystemID: 1, UUID: "s"}}, JobFunctionRoles: []*rolecatalog.JobFunctionRole{{ITSystemID: 1, Identifier: "s_Cvr"}},
	})
	got, err := f.Snapshot(ctx, CVR, nil, "2026-11-21")
	check(t, err)
	state, err := f.State(ctx, CVR)
	check(t, err)
	roles, err := f.SystemRoles(ctx, CVR)
	check(t, err)
	same(t, "the state", got.State, state)
	same(t, "users", got.Users, []rolecatalog.User{*user, *deleted})
	same(t, "job function roles", got.Roles, []rolecatalog.JobFunctionRole{*role, *retired})
	same(t, "assignments", got.Assignments, []rolecatalog.Assignment{*a, *b, *c})
	if len(got.SystemRoles) != len(roles) || len(got.Identities) != 1 || got.Identities[0].UserID != user.ID || len(got.Attempts) != 1 || got.Attempts[0].Error != "x" {
		t.Errorf("got %d system roles, identities %+v, attempts %+v", len(got.SystemRoles), got.Identities, got.Attempts)
	}
	all, err := f.Snapshot(ctx, CVR, []uint64{user.ID, deleted.ID}, "2026-11-21")
	check(t, err)
	same(t, "asked for by name", all, got)
}

func snapshotOfSome(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	_, role := f.role(t, "s")
	one := f.user(t, "one", func(u *rolecatalog.User) { u.NemLoginUUID = "shared" })
	two := f.user(t, "two", func(u *rolecatalog.User) { u.NemLoginUUID = "shared"; u.Deleted = true })
	f.user(t, "three", func(u *rolecatalog.User) { u.NemLoginUUID = "own" })
	f.user(t, "four")
	f.assign(t, one, role, "", "")
	b := f.assign(t, two, role, "", "")
	f.commit(t, &rolecatalog.Changes{
		Identities: []rolecatalog.Identity{{UUID: "shared", UserID: two.ID}, {UUID: "earlier", UserID: one.ID}, {UUID: "own", UserID: 3}},
		Attempts:   []rolecatalog.Attempt{{Verb: "add", Identity: "earlier"}, {Verb: "add", Identity: "own"}},
	})
	got, err := f.Snapshot(ctx, CVR, []uint64{one.ID}, "2026-11-21")
	check(t, err)
	same(t, "users", got.Users, []rolecatalog.User{*one, *two})
	if len(got.Assignments) != 2 || got.Assignments[1].ID != b.ID || len(got.Identities) != 2 || got.Identities[0].UUID != "earlier" || len(got.Attempts) != 1 {
		t.Errorf("assignments %+v, identities %+v, attempts %+v", got.Assignments, got.Identities, got.Attempts)
	}
	none, err := f.Snapshot(ctx, CVR, []uint64{}, "2026-11-21")
	check(t, err)
	if len(none.Users) != 0 || len(none.Identities) != 0 || len(none.SystemRoles) != 1 {
		t.Errorf("of nobody: %+v", none)
	}
}
