//go:build unix

package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/store"
)

// CVR is the organisation that the suite works for; OtherCVR one whose rows must never be seen through it.
const (
	CVR      = "12345678"
	OtherCVR = "87654321"
)

// Noon is the suite's time. It has microseconds, which every database must keep.
var Noon = time.Date(2026, time.November, 21, 12, 0, 0, 123456000, time.UTC)

// Run holds a store to the contract of rolecatalog.Store and scheduler.Store. open returns a new and empty one.
func Run(t *testing.T, open func(tb testing.TB, options ...Option) *store.Store) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, *fixture){
		"first start":            firstStart,
		"domains":                domains,
		"users":                  users,
		"users are told apart":   spelling,
		"CPR numbers":            cprNumbers,
		"CoreData of a user":     coreDataOfUser,
		"domain look-up":         domainLookUp,
		"loads":                  changeTree,
		"loads that delete":      hardDelete,
		"loads that fail":        loadRollback,
		"loads, many at once":    loadsConcurrent,
		"large groups":           largeGroups,
		"streams":                streams,
		"call log":               callLog,
		"releases":               releases,
		"expiry":                 expiry,
		"API keys":               keys,
		"system roles":           systemRoles,
		"job function roles":     jobFunctionRoles,
		"assignments":            assignments,
		"dates":                  dates,
		"snapshot":               snapshot,
		"snapshot of some":       snapshotOfSome,
		"moved identities":       movedIdentities,
		"observed":               observed,
		"work":                   work,
		"attempts":               attempts,
		"plans":                  plans,
		"large plans":            largePlans,
		"prune":                  prune,
		"audit":                  audit,
		"audit, many at once":    auditConcurrent,
		"removals":               removals,
		"state":                  state,
		"nothing after an error": rollback,
		"ended context":          endedContext,
		"odd values":             oddValues,
		"leases":                 leases,
		"leases, many at once":   leasesConcurrent,
		"fence":                  fence,
		"runs":                   runs,
		"interrupted runs":       interruptedRuns,
		"many rows":              manyRows,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fixture{tick: Noon}
			f.Store = open(t, Clock(f.now))
			test(t, f)
		})
	}
}

// fixture is a store whose clock goes a millisecond ahead each time that it is asked.
type fixture struct {
	*store.Store
	mu   sync.Mutex
	tick time.Time
}

func (f *fixture) now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tick = f.tick.Add(time.Millisecond)
	return f.tick
}

func (f *fixture) commit(t *testing.T, c *rolecatalog.Changes) {
	t.Helper()
	if c.CVR == "" {
		c.CVR = CVR
	}
	check(t, f.Commit(t.Context(), c))
}

// user creates one.
func (f *fixture) user(t *testing.T, id string, change ...func(*rolecatalog.User)) *rolecatalog.User {
	t.Helper()
	u := &rolecatalog.User{DomainID: 1, UserID: id, Name: "Navn " + id}
	for _, do := range change {
		do(u)
	}
	f.commit(t, &rolecatalog.Changes{Users: []*rolecatalog.User{u}})
	return u
}

// role creates a system role, and a job function role that holds it for the whole organisation.
func (f *fixture) role(t *testing.T, uuid string) (*rolecatalog.SystemRole, *rolecatalog.JobFunctionRole) {
	t.Helper()
	system := &rolecatalog.SystemRole{ITSystemID: 1, UUID: uuid, Name: "Rolle " + uuid, Since: 1}
	f.commit(t, &rolecatalog.Changes{SystemRoles: []*rolecatalog.SystemRole{system}})
	role := &rolecatalog.JobFunctionRole{
		ITSystemID: 1, Identifier: uuid + "_Cvr", Name: "Rolle " + uuid, Origin: rolecatalog.OriginImported,
		Rules: []rolecatalog.ScopeRule{{SystemRoleID: system.ID, ScopeType: "Cvr"}},
	}
	f.commit(t, &rolecatalog.Changes{JobFunctionRoles: []*rolecatalog.JobFunctionRole{role}})
	return system, role
}

func (f *fixture) assign(t *testing.T, user *rolecatalog.User, role *rolecatalog.JobFunctionRole, start, stop string) *rolecatalog.Assignment {
	t.Helper()
	a := &rolecatalog.Assignment{UserID: user.ID, JobFunctionRoleID: role.ID, StartDate: start, StopDate: stop, AssignedBy: "Åse Ødegård"}
	f.commit(t, &rolecatalog.Changes{Assignments: []*rolecatalog.Assignment{a}})
	return a
}

func (f *fixture) users(t *testing.T, filter rolecatalog.UserFilter) []string {
	t.Helper()
	found, err := f.Users(t.Context(), filter)
	check(t, err)
	ids := make([]string, len(found))
	for i := range found {
		ids[i] = found[i].UserID
	}
	return ids
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func is(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("got the error %v, want %v", got, want)
	}
}

func same(t *testing.T, what string, got, want any, options ...cmp.Option) {
	t.Helper()
	if diff := cmp.Diff(want, got, options...); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

func at(d time.Duration) *time.Time {
	t := Noon.Add(d)
	return &t
}

// together runs n functions at once and returns the first error.
func together(n int, do func(i int) error) error {
	errs := make(chan error, n)
	for i := range n {
		go func() { errs <- do(i) }()
	}
	var first error
	for range n {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

func firstStart(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	found, err := f.Domains(t.Context())
	check(t, err)
	if len(found) != 1 || found[0].ID != 1 || found[0].Name != rolecatalog.PrimaryDomain || found[0].NameKey != "administrativt" {
		t.Errorf("the first domain is %+v", found)
	}
	system, err := f.ITSystem(t.Context(), rolecatalog.NemLoginSystem)
	check(t, err)
	if system.ID != 1 || system.Name != "NemLog-in" {
		t.Errorf("the first IT system is %+v", system)
	}
	_, err = f.ITSystem(t.Context(), "nemlogin")
	is(t, err, rolecatalog.ErrNotFound)
	check(t, f.Ping(t.Context()))
	check(t, f.Migrate(t.Context())) // again, to no effect
	report, err := f.Check(t.Context())
	check(t, err)
	if !report.OK() {
		t.Errorf("the new database has problems: %+v", report)
	}
}

func domains(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	school, err := f.CreateDomain(ctx, " Skole ", nil)
	check(t, err)
	under, err := f.CreateDomain(ctx, "Ærø Skole", &school.ID)
	check(t, err)
	if school.Name != "Skole" || school.ID != 2 || under.ParentID == nil || *under.ParentID != school.ID {
		t.Errorf("created %+v and %+v", school, under)
	}
	_, err = f.CreateDomain(ctx, "ÆRØ SKOLE", nil)
	is(t, err, rolecatalog.ErrDuplicate)
	_, err = f.CreateDomain(ctx, "Tredje", &under.ID)
	is(t, err, store.ErrInvalid)
	missing := uint64(99)
	_, err = f.CreateDomain(ctx, "Fjerde", &missing)
	is(t, err, rolecatalog.ErrNotFound)
	_, err = f.CreateDomain(ctx, "  ", nil)
	is(t, err, store.ErrInvalid)
	all, err := f.Domains(ctx)
	check(t, err)
	same(t, "domains", names(all), []string{"Administrativt", "Skole", "Ærø Skole"})
}

func names(all []rolecatalog.Domain) []string {
	out := make([]string, len(all))
	for i := range all {
		out[i] = all[i].Name
	}
	return out
}

func state(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	first, err := f.State(ctx, CVR)
	check(t, err)
	again, err := f.State(ctx, CVR)
	check(t, err)
	same(t, "the state at the second call", again, first)
	if first.Minute < 0 || first.Minute > 59 || first.CVR != CVR {
		t.Errorf("the first state is %+v", first)
	}
	_, err = f.State(ctx, "")
	is(t, err, store.ErrInvalid)
	want := rolecatalog.State{
		CVR: CVR, Generation: 3, CatalogueAt: at(time.Second), CatalogueCount: 7, CatalogueError: "fejl", AcceptShrink: true, NumbersAt: at(2 * time.Second),
		NumbersError: "ø", AdministratorsAt: at(3 * time.Second), FirstImportAt: at(4 * time.Second), ReconciledAt: at(5 * time.Second),
		DatesThrough: "2026-11-20", QuarantineSince: at(6 * time.Second), QuarantineReason: "for meget", QuarantinePlan: "abc", Minute: 17, Version: 1,
	}
	f.commit(t, &rolecatalog.Changes{State: func(s *rolecatalog.State) {
		same(t, "the state given to the change", *s, first)
		*s = want
	}})
	got, err := f.State(ctx, CVR)
	check(t, err)
	same(t, "the changed state", got, want)

	// Everybody adds one; none is lost.
	check(t, together(16, func(int) error {
		return f.Commit(ctx, &rolecatalog.Changes{CVR: CVR, State: func(s *rolecatalog.State) { s.Generation++ }})
	}))
	got, err = f.State(ctx, CVR)
	check(t, err)
	if got.Generation != 19 || got.Version != 17 {
		t.Errorf("after 16 more: generation %d, version %d", got.Generation, got.Version)
	}
	// The other organisation's first state, from many at once.
	check(t, together(8, func(int) error {
		_, err := f.State(ctx, OtherCVR)
		return err
	}))
}

func rollback(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	kept := f.user(t, "kept")
	system, _ := f.role(t, "r")
	before, err := f.Snapshot(ctx, CVR, nil, "2026-11-21")
	check(t, err)
	changed := *kept
	changed.Name = "other"
	u := &rolecatalog.User{DomainID: 1, UserID: "new"}
	role := &rolecatalog.JobFunctionRole{ITSystemID: 1, Identifier: "new", Rules: []rolecatalog.ScopeRule{{SystemRoleID: system.ID, ScopeType: "Cvr"}}}
	c := &rolecatalog.Changes{
		CVR: CVR, State: func(s *rolecatalog.State) { s.Generation = 99 },
		Users: []*rolecatalog.User{&changed, u}, JobFunctionRoles: []*rolecatalog.JobFunctionRole{role},
		Assignments: []*rolecatalog.Assignment{{UserID: kept.ID, Role: role}, {UserID: 4711, Role: role}}, // the second user doesn't exist
		Identities:  []rolecatalog.Identity{{UUID: "i"}},
		Mark:        []rolecatalog.Work{{UserID: kept.ID}},
		Audit:       []rolecatalog.AuditEvent{{Action: "x"}},
	}
	is(t, f.Commit(ctx, c), rolecatalog.ErrNotFound)
	if u.ID != 0 || u.UUID != "" || role.ID != 0 || role.Rules[0].ID != 0 || c.Assignments[0].ID != 0 || c.Assignments[0].JobFunctionRoleID != 0 || c.Audit[0].ID != 0 {
		t.Errorf("ids are left behind: %+v %+v %+v %+v", u, role, c.Assignments[0], c.Audit[0])
	}
	after, err := f.Snapshot(ctx, CVR, nil, "2026-11-21")
	check(t, err)
	same(t, "the catalogue after the refused changes", after, before)
	n, err := f.VerifyAudit(ctx)
	check(t, err)
	all, _, err := f.WorkBacklog(ctx, CVR)
	check(t, err)
	if n != 0 || all != 0 {
		t.Errorf("%d audit events and %d pieces of work are left", n, all)
	}
	// The same changes without the fault are taken.
	c.Assignments = c.Assignments[:1]
	check(t, f.Commit(ctx, c))
	if u.ID == 0 || role.ID == 0 || c.Assignments[0].JobFunctionRoleID != role.ID || c.Audit[0].ID != 1 || c.Audit[0].Hash == "" {
		t.Errorf("ids are missing: %+v %+v %+v %+v", u, role, c.Assignments[0], c.Audit[0])
	}
	is(t, f.Commit(ctx, &rolecatalog.Changes{CVR: CVR, Users: []*rolecatalog.User{{ID: 4711, DomainID: 1, UserID: "x"}}}), rolecatalog.ErrNotFound)
	is(t, f.Commit(ctx, &rolecatalog.Changes{CVR: CVR, Identities: []rolecatalog.Identity{{CVR: OtherCVR, UUID: "x"}}}), store.ErrInvalid)
	is(t, f.Commit(ctx, &rolecatalog.Changes{Identities: []rolecatalog.Identity{{UUID: "x"}}}), store.ErrInvalid)
}

func endedContext(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx, cancel := context.WithCancel(t.Context())
	u := &rolecatalog.User{DomainID: 1, UserID: "never"}
	// It ends within the transaction.
	err := f.Commit(ctx, &rolecatalog.Changes{CVR: CVR, State: func(*rolecatalog.State) { cancel() }, Users: []*rolecatalog.User{u}})
	is(t, err, context.Canceled)
	if u.ID != 0 {
		t.Error("an id was given")
	}
	for name, call := range map[string]func() error{
		"Users":        func() error { _, err := f.Users(ctx, rolecatalog.UserFilter{}); return err },
		"Snapshot":     func() error { _, err := f.Snapshot(ctx, CVR, nil, "2026-11-21"); return err },
		"Plans":        func() error { _, err := f.Plans(ctx, CVR, 1); return err },
		"AcquireLease": func() error { _, err := f.AcquireLease(ctx, "n", "o", Noon, time.Minute); return err },
		"Commit":       func() error { return f.Commit(ctx, &rolecatalog.Changes{Users: []*rolecatalog.User{u}}) },
		"VerifyAudit":  func() error { _, err := f.VerifyAudit(ctx); return err },
		"Ping":         func() error { return f.Ping(ctx) },
	} {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s gives the error %v", name, err)
		}
	}
	if left := f.users(t, rolecatalog.UserFilter{IncludeDeleted: true}); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func oddValues(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	long := strings.Repeat("æøå€😀", 20_000) // 280 kB
	u := f.user(t, "odd", func(u *rolecatalog.User) {
		u.Name, u.Email = long, "broken \xff\xfe utf-8"
		u.DisabledAt = &time.Time{}
		local := Noon.In(time.FixedZone("CET", 3600)).Add(999)
		u.DeletedAt = &local
	})
	found, err := f.Users(ctx, rolecatalog.UserFilter{})
	check(t, err)
	if len(found) != 1 || found[0].DisabledAt != nil || found[0].Name != long || found[0].Email != "broken \uFFFD utf-8" || !found[0].DeletedAt.Equal(Noon) || found[0].DeletedAt.Location() != time.UTC {
		t.Fatalf("got %d users; e-mail %q, deleted %v", len(found), found[0].Email, found[0].DeletedAt)
	}
	same(t, "the user given back", *u, found[0])
	f.commit(t, &rolecatalog.Changes{
		Attempts: []rolecatalog.Attempt{{Verb: "add", Identity: "i", Role: "r"}}, // no times
		Mark:     []rolecatalog.Work{{UserID: u.ID}},
		Audit:    []rolecatalog.AuditEvent{{Action: strings.Repeat("å", 100), Detail: long}, {Detail: "\xff"}, {Actor: "linje\r\nny \\ ' \" % ; --"}},
	})
	n, err := f.VerifyAudit(ctx)
	check(t, err)
	if n != 3 {
		t.Errorf("%d events", n)
	}
	for name, c := range map[string]*rolecatalog.Changes{
		"user id":    {Users: []*rolecatalog.User{{DomainID: 1, UserID: strings.Repeat("å", 256)}}},
		"no user id": {Users: []*rolecatalog.User{{DomainID: 1}}},
		"nil":        {Users: []*rolecatalog.User{nil}},
		"value":      {ScopeNumbers: []*rolecatalog.ScopeNumber{{ScopeType: "PU", Value: strings.Repeat("1", 256)}}},
		"day":        {Assignments: []*rolecatalog.Assignment{{UserID: u.ID, StartDate: "21-11-2026"}}},
		"CVR number": {Identities: []rolecatalog.Identity{{CVR: strings.Repeat("1", 17), UUID: "x"}}},
	} {
		if name != "CVR number" {
			c.CVR = CVR
		}
		if err := f.Commit(ctx, c); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	check(t, f.Commit(ctx, nil))
	check(t, f.Commit(ctx, &rolecatalog.Changes{}))
	check(t, f.Commit(ctx, &rolecatalog.Changes{Users: []*rolecatalog.User{{DomainID: 1, UserID: strings.Repeat("å", 255)}}}))
}

func manyRows(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	const n = 6001 // more than one piece of an IN list
	many := make([]*rolecatalog.User, n)
	for i := range many {
		many[i] = &rolecatalog.User{DomainID: 1, UserID: fmt.Sprintf("b%06d", i), NemLoginUUID: fmt.Sprintf("n%06d", i)}
	}
	f.commit(t, &rolecatalog.Changes{Users: many})
	ids, uuids := make([]uint64, n), make([]string, n)
	for i, u := range many {
		ids[n-1-i], uuids[i] = u.ID, strings.ToUpper(u.NemLoginUUID)
		u.Name = "ny"
	}
	f.commit(t, &rolecatalog.Changes{Users: many})
	for name, filter := range map[string]rolecatalog.UserFilter{
		"by id": {IDs: ids, Search: "NY"}, "by NemLogin UUID": {NemLoginUUIDs: uuids}, "all": {},
	} {
		filter.Limit, filter.Offset = 3, n-2
		same(t, name, f.users(t, filter), []string{"b005999", "b006000"})
	}
	snap, err := f.Snapshot(ctx, CVR, ids, "2026-11-21")
	check(t, err)
	if len(snap.Users) != n {
		t.Errorf("%d users in the snapshot", len(snap.Users))
	}
}
