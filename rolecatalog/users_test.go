package rolecatalog_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/rollebro/rollebro/nemlogin"
	"github.com/rollebro/rollebro/rolecatalog"
)

func TestLoadUsersRefusesBadRowsAndStoresNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const id = "0f8fad5b-d9cb-469f-a165-70867728950e"
	good := rolecatalog.UserRow{Line: 2, UserID: "good", Name: "God"}
	for _, c := range []struct {
		what string
		row  rolecatalog.UserRow
		want string
	}{
		{"no user id", rolecatalog.UserRow{Line: 3, Name: "N"}, "line 3: the user id is missing"},
		{"blank user id", rolecatalog.UserRow{Line: 3, UserID: "  ", Name: "N"}, "line 3: the user id is missing"},
		{"no name", rolecatalog.UserRow{Line: 3, UserID: "x"}, `line 3: the new user "x" has no name`},
		{"twice", rolecatalog.UserRow{Line: 3, UserID: "GOOD ", Name: "N"}, `line 3: the user "GOOD" stands in line 2 already`},
		{"domain", rolecatalog.UserRow{Line: 3, UserID: "x", Name: "N", Domain: "Månen"}, `line 3: there is no domain "Månen"`},
		{"uuid", rolecatalog.UserRow{Line: 3, UserID: "x", Name: "N", NemLoginUUID: new("0f8fad5b")}, `line 3: the NemLogin UUID "0f8fad5b" is not a UUID`},
		{"ext uuid", rolecatalog.UserRow{Line: 3, UserID: "x", Name: "N", ExtUUID: new("1-2")}, `line 3: the extUuid "1-2" is not a UUID`},
		{"long name", rolecatalog.UserRow{Line: 3, UserID: "x", Name: strings.Repeat("n", 256)}, "line 3: a field is longer than 255 characters"},
		{"long e-mail", rolecatalog.UserRow{UserID: "x", Name: "N", Email: new(strings.Repeat("n", 256))}, "a field is longer than 255 characters"},
		{"cpr letters", rolecatalog.UserRow{Line: 3, UserID: "x", Name: "N", CPR: "03116512ab"}, "line 3: the CPR number is not one"},
		{"cpr month", rolecatalog.UserRow{Line: 3, UserID: "x", Name: "N", CPR: "0313651234"}, "line 3: the CPR number is not one"},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			_, err := w.bridge.LoadUsers(w.ctx, []rolecatalog.UserRow{good, c.row}, rolecatalog.LoadOptions{Actor: "test"})
			var rows rolecatalog.RowErrors
			if !errors.As(err, &rows) || !strings.HasPrefix(rows[0].Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	t.Run("all at once", func(t *testing.T) {
		t.Parallel()
		_, err := w.bridge.LoadUsers(w.ctx, []rolecatalog.UserRow{good, {Line: 3}, {Line: 4, UserID: "y", Name: "N", NemLoginUUID: new("z")}}, rolecatalog.LoadOptions{})
		if err == nil || strings.Count(err.Error(), "\n") != 1 {
			t.Errorf("two bad rows give %v", err)
		}
	})
	t.Cleanup(func() {
		users, err := w.store.Users(t.Context(), rolecatalog.UserFilter{IncludeDeleted: true})
		if err == nil && len(users) != 0 {
			t.Errorf("%d users were stored", len(users))
		}
	})
	// In a dry run nothing is stored either, but everything is told.
	report, err := w.bridge.LoadUsers(w.ctx, []rolecatalog.UserRow{good, {UserID: "b", Name: "B", NemLoginUUID: new(strings.ToUpper(id))}}, rolecatalog.LoadOptions{DryRun: true})
	w.must(err)
	if report.Created != 2 || report.Updated+report.Unchanged != 0 {
		t.Errorf("%+v", report)
	}
}

func TestLoadUsersShowsNoCPRNumberThatStandsInTheWrongColumn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, cpr := range []string{"0311651234", "031165-1234"} {
		for what, row := range map[string]rolecatalog.UserRow{
			"user id":       {UserID: cpr, Name: "N"},
			"no name":       {UserID: cpr},
			"domain":        {UserID: "x", Name: "N", Domain: cpr},
			"NemLogin UUID": {UserID: "x", Name: "N", NemLoginUUID: new(cpr)},
			"extUuid":       {UserID: "x", Name: "N", ExtUUID: new("Anne " + cpr)},
		} {
			_, err := w.bridge.LoadUsers(w.ctx, []rolecatalog.UserRow{row, row}, rolecatalog.LoadOptions{Actor: "test"})
			if err == nil || strings.Contains(err.Error(), cpr) || strings.Contains(err.Error(), "1234") {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	w.roles(1)
	w.importAll()
	if _, err := w.bridge.Assign(w.ctx, rolecatalog.AssignRequest{}); !errors.Is(err, rolecatalog.ErrNotFound) {
		t.Errorf("%v", err)
	}
	if err := rolecatalog.ValidateScope("SE", "0311651234"); err == nil || strings.Contains(err.Error(), "1234") {
		t.Errorf("a CPR number as an SE-number: %v", err)
	}
}

func TestLoadUsersChangesWhatTheLoadHolds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	load := func(row rolecatalog.UserRow) rolecatalog.LoadReport {
		row.UserID = "anne"
		report, err := w.bridge.LoadUsers(w.ctx, []rolecatalog.UserRow{row}, rolecatalog.LoadOptions{Actor: "test"})
		w.must(err)
		return report
	}
	id := unknownUUID()
	load(rolecatalog.UserRow{Name: "Anne", Email: new("a@eksempelby.example"), NemLoginUUID: &id})
	if report := load(rolecatalog.UserRow{}); report.Unchanged != 1 {
		t.Errorf("a row without fields: %+v", report)
	}
	if report := load(rolecatalog.UserRow{Email: new("")}); report.Updated != 1 || w.row("anne").Email != "" || w.row("anne").NemLoginUUID != id {
		t.Errorf("an empty field clears only itself: %+v", w.row("anne"))
	}
	load(rolecatalog.UserRow{Disabled: new(true)})
	if u := w.row("anne"); u.Active() || u.DisabledAt == nil {
		t.Errorf("%+v", u)
	}
	w.must(w.bridge.ChangeUserState(w.ctx, []uint64{w.row("anne").ID}, "test", func(u *rolecatalog.User) { u.Deleted = true }))
	load(rolecatalog.UserRow{Disabled: new(false)})
	if u := w.row("anne"); !u.Active() || u.DisabledAt != nil || u.DeletedAt != nil {
		t.Errorf("%+v", u)
	}
}

// BenchmarkLoadUsersNewUUIDs gives everybody a new NemLogin UUID, all of whom are put on the work list.
func BenchmarkLoadUsersNewUUIDs(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := newWorld(b)
			for b.Loop() {
				rows := make([]rolecatalog.UserRow, n)
				for i := range rows {
					rows[i] = rolecatalog.UserRow{UserID: fmt.Sprintf("u%d", i), Name: "Navn", NemLoginUUID: new(unknownUUID())}
				}
				if _, err := w.bridge.LoadUsers(w.ctx, rows, rolecatalog.LoadOptions{Actor: "bench"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestLoadUsersUndoesNoLockOfAnotherSource(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.user("anne", "")
	user := w.row("anne")
	user.LockedDataset, user.FromCoreData = true, true
	// The lock comes between the load's reading and its writing.
	between := &betweenReadAndWrite{Store: w.store, do: func() {
		w.must(w.store.Commit(w.ctx, &rolecatalog.Changes{CVR: cvr, Users: []*rolecatalog.User{&user}}))
	}}
	w.connect(func(o *rolecatalog.Options, _ *nemlogin.Options) { o.Store = between })
	email := "anne@eksempelby.example"
	_, err := w.bridge.LoadUsers(w.ctx, []rolecatalog.UserRow{{UserID: "anne", Email: &email}}, rolecatalog.LoadOptions{Actor: "test"})
	w.must(err)
	if got := w.row("anne"); !got.LockedDataset || got.Email != email {
		t.Errorf("after the load: locked %t, e-mail %q", got.LockedDataset, got.Email)
	}
}

// betweenReadAndWrite does something just before the next commit.
type betweenReadAndWrite struct {
	rolecatalog.Store
	do func()
}

func (s *betweenReadAndWrite) Commit(ctx context.Context, c *rolecatalog.Changes) error {
	if s.do != nil {
		do := s.do
		s.do = nil
		do()
	}
	return s.Store.Commit(ctx, c)
}
