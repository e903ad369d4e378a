//go:build unix

package store_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/store"
	"github.com/rollebro/rollebro/store/storetest"
)

// Whatever is committed, in whatever order: both kinds of database take it or refuse it alike, give the same ids, and hold
// the same afterwards, down to the hashes of the audit trail.
func TestBothDatabasesHoldTheSame(t *testing.T) {
	t.Parallel()
	var clock atomic.Int64
	now := func() time.Time { return storetest.Noon.Add(time.Duration(clock.Load()) * time.Second) }
	lite, maria := storetest.Memory(t, storetest.Clock(now)), storetest.MariaDBStore(t, storetest.Clock(now))
	checks, taken := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		checks++
		cvr := fmt.Sprintf("%08d", checks)
		w := &writer{cvr: cvr}
		for _, s := range []*store.Store{lite, maria} {
			// The minute is drawn by each for itself.
			if err := s.Commit(t.Context(), &rolecatalog.Changes{CVR: cvr, State: func(s *rolecatalog.State) { s.Minute = 7 }}); err != nil {
				t.Fatal(err)
			}
		}
		for step := range rapid.IntRange(1, 6).Draw(t, "steps") {
			clock.Add(1)
			a := w.changes(t, step)
			b := copied(a)
			errA, errB := lite.Commit(t.Context(), a), maria.Commit(t.Context(), b)
			for _, class := range []error{nil, rolecatalog.ErrDuplicate, rolecatalog.ErrNotFound, store.ErrInvalid} {
				if errors.Is(errA, class) != errors.Is(errB, class) {
					t.Fatalf("SQLite says %v, MariaDB says %v", errA, errB)
				}
			}
			if diff := cmp.Diff(a, b, cmpopts.IgnoreFields(rolecatalog.Changes{}, "State")); diff != "" {
				t.Fatalf("what is given back (-SQLite +MariaDB):\n%s", diff)
			}
			if errA == nil {
				w.keep(a)
				taken++
			}
		}
		if diff := cmp.Diff(content(t, lite, cvr), content(t, maria, cvr)); diff != "" {
			t.Fatalf("what is stored (-SQLite +MariaDB):\n%s", diff)
		}
	})
	t.Logf("%d changes were taken in %d checks", taken, checks)
	if taken < checks/2 {
		t.Errorf("only %d changes were taken in %d checks: nearly everything drawn is refused", taken, checks)
	}
	for _, s := range []*store.Store{lite, maria} {
		if _, err := s.VerifyAudit(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// writer draws changes, with references to what is there by now and sometimes to what is not.
type writer struct {
	cvr     string
	users   []rolecatalog.User
	systems []rolecatalog.SystemRole
	roles   []rolecatalog.JobFunctionRole
	given   []rolecatalog.Assignment
}

func (w *writer) keep(c *rolecatalog.Changes) {
	for _, u := range c.Users {
		w.users = append(w.users, *u)
	}
	for _, s := range c.SystemRoles {
		w.systems = append(w.systems, *s)
	}
	for _, r := range c.JobFunctionRoles {
		w.roles = append(w.roles, *r)
	}
	for _, a := range c.Assignments {
		w.given = append(w.given, *a)
	}
}

var (
	word   = rapid.SampledFrom([]string{"a", "A", "å", "Å", "aa", "a ", "æ", "😀", "o'x\\", "\xff", "ø"})
	short  = rapid.SampledFrom([]string{"i1", "i2", "I2", "i3", ""})
	moment = rapid.Custom(func(t *rapid.T) *time.Time {
		if rapid.Bool().Draw(t, "none") {
			return nil
		}
		at := storetest.Noon.Add(time.Duration(rapid.Int64Range(0, 1e15).Draw(t, "ns")))
		return &at
	})
	day = rapid.SampledFrom([]string{"", "2026-11-20", "2026-11-21", "2020-01-01", "2030-12-31"})
)

func one[T any](t *rapid.T, all []T, what string) (T, bool) {
	var none T
	if len(all) == 0 || rapid.IntRange(0, 19).Draw(t, what+"?") == 0 {
		return none, false
	}
	return all[rapid.IntRange(0, len(all)-1).Draw(t, what)], true
}

func (w *writer) changes(t *rapid.T, step int) *rolecatalog.Changes {
	c := &rolecatalog.Changes{CVR: w.cvr}
	generation := rapid.Int64Range(0, 9).Draw(t, "generation")
	c.State = func(s *rolecatalog.State) { s.Generation = generation }
	times := func(what string) int { return rapid.IntRange(0, 2).Draw(t, what) }
	for i := range times("users") {
		u, known := one(t, w.users, "user")
		if !known {
			u = rolecatalog.User{UUID: fmt.Sprintf("%s-%d-%d", w.cvr, step, i), DomainID: 1}
		}
		u.UserID, u.Name = w.cvr+word.Draw(t, "user id")+word.Draw(t, "more of it"), word.Draw(t, "name")
		u.NemLoginUUID, u.Deleted, u.DeletedAt = short.Draw(t, "uuid"), rapid.Bool().Draw(t, "deleted"), moment.Draw(t, "deleted at")
		c.Users = append(c.Users, &u)
	}
	for range times("system roles") {
		s, known := one(t, w.systems, "system role")
		if !known {
			s = rolecatalog.SystemRole{ITSystemID: 1, UUID: word.Draw(t, "role uuid")}
		}
		s.Name, s.WithdrawnAt = word.Draw(t, "name"), moment.Draw(t, "withdrawn")
		c.SystemRoles = append(c.SystemRoles, &s)
	}
	for range times("job function roles") {
		r, known := one(t, w.roles, "job function role")
		if !known {
			r = rolecatalog.JobFunctionRole{ITSystemID: 1, Identifier: word.Draw(t, "identifier")}
		}
		r.Name, r.Rules = word.Draw(t, "name"), nil
		if s, ok := one(t, w.systems, "rule"); ok {
			r.Rules = []rolecatalog.ScopeRule{{SystemRoleID: s.ID, ScopeType: "PU", Values: []string{word.Draw(t, "value")}}}
		}
		c.JobFunctionRoles = append(c.JobFunctionRoles, &r)
	}
	for range times("assignments") {
		if len(w.users) == 0 || len(w.roles)+len(c.JobFunctionRoles) == 0 {
			break // it could only be refused, and everything else with it
		}
		a, known := one(t, w.given, "assignment")
		if !known {
			u, _ := one(t, w.users, "holder")
			a = rolecatalog.Assignment{UserID: u.ID}
			if s, ok := one(t, w.systems, "value's role"); ok {
				a.Values = []rolecatalog.AssignmentValue{{SystemRoleID: s.ID, ScopeType: "SE", Value: word.Draw(t, "value")}}
			}
			if r, ok := one(t, w.roles, "held"); ok {
				a.JobFunctionRoleID = r.ID
			} else if len(c.JobFunctionRoles) > 0 {
				a.Role = c.JobFunctionRoles[0]
			}
		}
		a.StartDate, a.StopDate, a.EndedAt = day.Draw(t, "start"), day.Draw(t, "stop"), moment.Draw(t, "ended")
		c.Assignments = append(c.Assignments, &a)
	}
	w.records(t, c, times)
	return c
}

func (w *writer) records(t *rapid.T, c *rolecatalog.Changes, times func(string) int) {
	for range times("identities") {
		c.Identities = append(c.Identities, rolecatalog.Identity{UUID: short.Draw(t, "uuid"), LastError: word.Draw(t, "error"), ReadAt: moment.Draw(t, "read")})
	}
	for range times("observed") {
		c.Observed = append(c.Observed, rolecatalog.ObservedSet{Identity: short.Draw(t, "uuid"), Grants: []rolecatalog.ObservedGrant{{Role: word.Draw(t, "role"), ScopeType: "Cvr"}, {Role: "x"}}})
	}
	for range times("attempts") {
		c.Attempts = append(c.Attempts, rolecatalog.Attempt{Identity: short.Draw(t, "uuid"), Verb: "add", Role: word.Draw(t, "role"), Error: word.Draw(t, "error")})
		c.ClearedAttempts = append(c.ClearedAttempts, rolecatalog.Attempt{Identity: short.Draw(t, "uuid"), Verb: "add", Role: word.Draw(t, "role")})
	}
	for range times("marks") {
		next := moment.Draw(t, "next")
		if next == nil {
			next = &time.Time{}
		}
		c.Mark = append(c.Mark, rolecatalog.Work{UserID: rapid.Uint64Range(1, 4).Draw(t, "user"), Reason: word.Draw(t, "reason"), NextTryAt: *next})
	}
	for range times("finished") {
		c.Finished = append(c.Finished, rolecatalog.Work{UserID: rapid.Uint64Range(1, 4).Draw(t, "user"), Version: rapid.Int64Range(1, 20).Draw(t, "version")})
		c.Retried = append(c.Retried, rolecatalog.Work{UserID: rapid.Uint64Range(1, 4).Draw(t, "user"), Version: rapid.Int64Range(1, 20).Draw(t, "version"), Attempts: 1, FirstFailedAt: moment.Draw(t, "failed")})
	}
	for range times("events") {
		c.Audit = append(c.Audit, rolecatalog.AuditEvent{Action: "x", Actor: word.Draw(t, "actor"), Detail: word.Draw(t, "detail")})
	}
}

// copied keeps the pointer from an assignment to a role of the same changes.
func copied(c *rolecatalog.Changes) *rolecatalog.Changes {
	d := *c
	roles := map[*rolecatalog.JobFunctionRole]*rolecatalog.JobFunctionRole{}
	d.Users, d.SystemRoles, d.JobFunctionRoles, d.Assignments = nil, nil, nil, nil
	for _, u := range c.Users {
		v := *u
		d.Users = append(d.Users, &v)
	}
	for _, s := range c.SystemRoles {
		v := *s
		d.SystemRoles = append(d.SystemRoles, &v)
	}
	for _, r := range c.JobFunctionRoles {
		v := *r
		v.Rules = append([]rolecatalog.ScopeRule(nil), r.Rules...)
		roles[r] = &v
		d.JobFunctionRoles = append(d.JobFunctionRoles, &v)
	}
	for _, a := range c.Assignments {
		v := *a
		v.Values = append([]rolecatalog.AssignmentValue(nil), a.Values...)
		if role, ok := roles[a.Role]; ok {
			v.Role = role
		}
		d.Assignments = append(d.Assignments, &v)
	}
	d.Audit = append([]rolecatalog.AuditEvent(nil), c.Audit...)
	return &d
}

// content is all that is stored of an organisation.
func content(t *rapid.T, s *store.Store, cvr string) []any {
	ctx := t.Context()
	var all []any
	add := func(v any, err error) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	state, err := s.State(ctx, cvr)
	add(state, err)
	snap, err := s.Snapshot(ctx, cvr, nil, "2026-11-21")
	add(snap, err)
	roles, err := s.JobFunctionRoles(ctx, cvr)
	add(roles, err)
	observed, err := s.Observed(ctx, cvr, nil)
	for i := range observed {
		observed[i].ID = 0 // nobody refers to it
	}
	add(observed, err)
	work, err := s.Work(ctx, cvr, 0)
	add(work, err)
	due, err := s.DueWork(ctx, cvr, storetest.Noon.Add(200*time.Hour), 0)
	add(due, err)
	events, err := s.Audit(ctx, rolecatalog.AuditFilter{CVR: cvr})
	add(events, err)
	for _, u := range snap.Users {
		given, err := s.UserAssignments(ctx, cvr, u.ID)
		add(given, err)
	}
	users, err := s.Users(ctx, rolecatalog.UserFilter{Search: "Å", IncludeDeleted: true})
	add(users, err)
	return all
}
