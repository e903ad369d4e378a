package rolecatalog_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rollebro/rollebro/nemlogin"
	"github.com/rollebro/rollebro/nemlogin/simulator"
	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/rolecatalog/plan"
)

// fixture is a random organisation: some users who hold something at first, and a catalogue that wants something else.
type fixture struct {
	*world
	users      []string
	identities []string
	roles      []string
	initial    map[string][]string // what each identity held when the second reconcile began
	wanted     map[string][]string // what the catalogue says in the end
}

// wide keeps the guards out of the way of the laws that are about something else.
func wide(o *rolecatalog.Options, _ *nemlogin.Options) {
	o.Limits = plan.Limits{RemovalsCount: 1000, RoleRemovalsCount: 1000, CatalogueShrinkPercent: 20}
	o.LastHolderRoles = nil
}

// TestMain makes the properties small enough for every day; -rapid.checks asks for more.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		_ = flag.Set("rapid.checks", propertyChecks)
	}
	os.Exit(m.Run())
}

var scopes = []nemlogin.Scope{
	{Type: "Cvr", Value: cvr}, {Type: "PU", Value: "1000000001"}, {Type: "PU", Value: "1000000002"}, {Type: "SE", Value: "20000001"},
}

// newFixture imports what people hold at random and then changes the assignments at random. Nothing is written yet.
func newFixture(t testing.TB, rt *rapid.T, options ...option) *fixture {
	t.Helper()
	f := &fixture{world: newWorld(t, options...), wanted: map[string][]string{}, initial: map[string][]string{}}
	f.roles = f.world.roles(rapid.IntRange(2, 5).Draw(rt, "roles"))
	for i := range rapid.IntRange(1, 8).Draw(rt, "users") {
		user := fmt.Sprintf("u%d", i)
		identity := f.person(user)
		f.users, f.identities = append(f.users, user), append(f.identities, identity)
		for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(0, len(f.roles)*len(scopes)-1), 0, 6, rapid.ID).Draw(rt, "held") {
			s := scopes[n%len(scopes)]
			f.hold(identity, f.roles[n/len(scopes)], s.Type, s.Value)
		}
	}
	// One person keeps what he has, so that the catalogue never wants nothing at all, which is another guard's business.
	f.hold(f.person("anker"), f.roles[0], "Cvr", cvr)
	f.importAll()
	f.change(rt)
	for _, id := range f.identities {
		f.initial[id] = f.held(id)
	}
	return f
}

// change ends some assignments and makes others.
func (f *fixture) change(rt *rapid.T) {
	systems := map[string]rolecatalog.SystemRole{}
	for _, id := range f.roles {
		systems[id] = f.systemRole(id)
	}
	roles := map[string]*rolecatalog.JobFunctionRole{}
	for i, user := range f.users {
		row := f.row(user)
		wanted := map[string]bool{}
		for _, a := range f.explain(user).Changes {
			wanted[g(a.Grant.Role, string(a.Grant.Scope.Type), a.Grant.Scope.Value)] = true
		}
		for _, a := range f.explain(user).Assignments {
			if a.EndedAt != nil || !rapid.Bool().Draw(rt, "end") {
				continue
			}
			f.must(f.bridge.Unassign(f.ctx, row.ID, a.ID, "test"))
		}
		for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(0, len(f.roles)*len(scopes)-1), 0, 4, rapid.ID).Draw(rt, "assign") {
			s, id := scopes[n%len(scopes)], f.roles[n/len(scopes)]
			name := fmt.Sprintf("%s %s %s", id, s.Type, s.Value)
			if roles[name] == nil {
				rule := rolecatalog.ScopeRule{SystemRoleID: systems[id].ID, ScopeType: s.Type}
				if s.Type != "Cvr" {
					rule.Values = []string{s.Value}
				}
				roles[name] = f.jobFunctionRole(name, rule)
			}
			f.assign(user, roles[name])
		}
		f.wanted[f.identities[i]] = f.desired(user)
	}
}

// desired asks the catalogue what a user should hold.
func (f *fixture) desired(user string) []string {
	wanted := map[string]bool{}
	for _, c := range f.explain(user).Changes {
		if c.Verb == plan.Keep || c.Verb == plan.Add || c.Intended == plan.Add {
			wanted[g(c.Grant.Role, string(c.Grant.Scope.Type), c.Grant.Scope.Value)] = true
		}
	}
	return slices.Sorted(maps.Keys(wanted))
}

// converge reconciles until nothing is left to do, as the daily runs and the work list would, and checks the outcome.
func (f *fixture) converge(rt *rapid.T) {
	f.sim.ClearFaults()
	f.sim.OnRequest(nil)
	for range 3 {
		f.clock.Add(25 * time.Hour)
		report, err := f.bridge.Reconcile(f.ctx, rolecatalog.Selection{}, rolecatalog.ReconcileOptions{})
		if err != nil {
			rt.Fatalf("a clean run fails: %v", err)
		}
		if report.Plan.Empty() {
			break
		}
	}
	for i, id := range f.identities {
		if got := f.held(id); !slices.Equal(got, f.wanted[id]) {
			rt.Fatalf("%s holds %q, want %q", f.users[i], got, f.wanted[id])
		}
	}
	if _, err := f.store.VerifyAudit(f.ctx); err != nil {
		rt.Fatalf("the audit trail: %v", err)
	}
}

// witness watches that nobody loses for a moment what he had and shall have, and that every write was announced.
type witness struct {
	f      *fixture
	mu     sync.Mutex
	broken []string
	writes []simulator.Request
}

func (wi *witness) look(r simulator.Request) {
	if r.Method == http.MethodGet || r.Endpoint != simulator.EndpointRoles {
		return
	}
	wi.mu.Lock()
	defer wi.mu.Unlock()
	for _, id := range wi.f.identities {
		held := wi.f.held(id)
		for _, grant := range wi.f.initial[id] {
			if slices.Contains(wi.f.wanted[id], grant) && !slices.Contains(held, grant) {
				wi.broken = append(wi.broken, id+" has lost "+grant)
			}
		}
		if id != r.Identity || r.Method != http.MethodDelete {
			continue
		}
		// What a person still lacks has been asked for before anything is taken from him.
		for _, grant := range wi.f.wanted[id] {
			if !slices.Contains(held, grant) && !slices.ContainsFunc(wi.writes, func(w simulator.Request) bool {
				return w.Identity == id && w.Method == http.MethodPost
			}) {
				wi.broken = append(wi.broken, id+" loses something before he got "+grant)
			}
		}
	}
	wi.writes = append(wi.writes, r)
}

func (wi *witness) check(rt *rapid.T) {
	wi.mu.Lock()
	defer wi.mu.Unlock()
	if len(wi.broken) > 0 {
		rt.Fatalf("%s", strings.Join(wi.broken, "\n"))
	}
	intents := map[string]bool{}
	events, err := wi.f.store.Audit(wi.f.ctx, rolecatalog.AuditFilter{CVR: cvr, Actions: []string{rolecatalog.AuditAdd, rolecatalog.AuditRemove}})
	if err != nil {
		rt.Fatal(err)
	}
	for _, e := range events {
		if e.Outcome == rolecatalog.OutcomeIntended {
			intents[e.Action+e.Identity+g(e.Role, e.ScopeType, e.ScopeValue)] = true
		}
	}
	for _, w := range wi.f.sim.Requests() {
		if w.Method == http.MethodGet || w.Endpoint != simulator.EndpointRoles {
			continue
		}
		action := rolecatalog.AuditAdd
		if w.Method == http.MethodDelete {
			action = rolecatalog.AuditRemove
		}
		for _, role := range w.Roles {
			if !intents[action+w.Identity+g(role, w.Scope.Type, w.Scope.Value)] {
				rt.Fatalf("%s %s %v was not announced in the audit trail", w.Method, w.Path, w.Scope)
			}
		}
	}
}

func TestLawL1UnknownIsNeverEmpty(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{"garbage-200", "empty-200", "see-log-500", "service-unavailable", "rate-limit-429"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			ids := w.roles(2)
			var identities []string
			for i := range 6 {
				identity := w.person(fmt.Sprintf("u%d", i))
				w.hold(identity, ids[0], "Cvr", cvr)
				identities = append(identities, identity)
			}
			w.importAll()
			for _, a := range w.explain("u0").Assignments {
				w.must(w.bridge.Unassign(w.ctx, w.row("u0").ID, a.ID, "test"))
			}
			w.sim.ResetRequests()
			// Somebody else's reading fails: the removal waits.
			w.must(w.sim.SetFault(fault, simulator.Fault{Rate: 1, Identity: identities[5]}))
			report := w.reconcile()
			if report.ReadFailed != 1 || report.Held != 1 {
				t.Errorf("read failed %d, held %d; want 1 and 1", report.ReadFailed, report.Held)
			}
			w.noWrites()
			// Looked at alone, the person's reading is complete, and the removal goes through although the other still fails.
			w.work()
			w.holds(identities[0])
			w.holds(identities[5], g(ids[0], "Cvr", cvr))
		})
	}
}

func TestLawL3OnlyWhatIsOurs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(2)
	outside := w.sim.AddRole("Uden for kataloget", "")
	w.must(w.sim.RemoveRoleFromCatalogue(outside))
	stranger := w.identity() // no user has it
	w.hold(stranger, ids[0], "Cvr", cvr)
	anne := w.person("anne")
	theirs := []string{g(outside, "Cvr", cvr), g(ids[0], "Cvr", "99900099"), g(ids[1], "Region", "1081")}
	for _, grant := range theirs {
		part := strings.Split(grant, "/")
		w.hold(anne, part[0], part[1], part[2])
	}
	w.hold(anne, ids[0], "PU", "1000000001")
	w.importAll()
	// The client would refuse such a write as well; it isn't even tried.
	tried := func(report rolecatalog.ReconcileReport) {
		t.Helper()
		if report.Failed > 0 {
			t.Errorf("%d writes were tried and failed: %+v", report.Failed, report.Failures)
		}
	}
	w.assign("anne", w.jobFunctionRole("Rolle", rolecatalog.ScopeRule{SystemRoleID: w.systemRole(ids[1]).ID, ScopeType: "Cvr"}))
	tried(w.reconcile())
	w.holds(anne, append(theirs, g(ids[0], "PU", "1000000001"), g(ids[1], "Cvr", cvr))...)
	// Not even when everything of hers is taken away; somebody else keeps something, so that no guard speaks first.
	w.hold(w.person("anker"), ids[0], "Cvr", cvr)
	w.importAll()
	w.must(w.bridge.ChangeUserState(w.ctx, []uint64{w.row("anne").ID}, "test", func(u *rolecatalog.User) { u.Deleted = true }))
	tried(w.reconcile())
	w.holds(anne, theirs...)
	w.holds(stranger, g(ids[0], "Cvr", cvr))
	for _, r := range w.sim.Requests() {
		if r.Identity == stranger {
			t.Errorf("%s %s was sent", r.Method, r.Path)
		}
	}
}

func TestLawL4DryRunWritesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dryRun)
	ids := w.roles(2)
	identity := w.person("anne")
	w.hold(identity, ids[0], "Cvr", cvr)
	w.importAll()
	w.must(w.bridge.Unassign(w.ctx, w.row("anne").ID, w.explain("anne").Assignments[0].ID, "test"))
	w.assign("anne", w.jobFunctionRole("Rolle", rolecatalog.ScopeRule{SystemRoleID: w.systemRole(ids[1]).ID, ScopeType: "Cvr"}))
	report := w.reconcile()
	if report.Plan.Counts.Add != 1 || report.Plan.Counts.Remove != 1 {
		t.Errorf("the plan has %+v", report.Plan.Counts)
	}
	w.work()
	if _, err := w.bridge.Apply(w.ctx, report.PlanID, rolecatalog.ReconcileOptions{}); err != nil {
		t.Error(err)
	}
	w.noWrites()
	// The second lock: a bridge that is not told of the dry run can't write through the client that is.
	w.connect(func(_ *rolecatalog.Options, no *nemlogin.Options) { no.ReadOnly = true })
	if _, err := w.bridge.Reconcile(w.ctx, rolecatalog.Selection{}, rolecatalog.ReconcileOptions{}); nemlogin.ClassOf(err) != nemlogin.ClassReadOnly {
		t.Errorf("the client lets the write through: %v", err)
	}
	w.noWrites()
	w.holds(identity, g(ids[0], "Cvr", cvr))
}

func TestLawL5AndL6ConvergesUnderFaultsAndAddsBeforeItRemoves(t *testing.T) {
	t.Parallel()
	faults := []string{
		"service-unavailable", "see-log-500", "garbage-200", "empty-200", "write-200-text", "rate-limit-429", "optimistic-concurrency",
		"batch-rejected", "batch-atomic", "batch-partial-failure", "repeat-add-error", "repeat-delete-error", "token-revoked", "stale-read",
	}
	rapid.Check(t, func(rt *rapid.T) {
		f := newFixture(t, rt, wide)
		wi := &witness{f: f}
		f.sim.OnRequest(func(r simulator.Request) simulator.Action { wi.look(r); return simulator.Action{} })
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom(faults), 0, 3, rapid.ID).Draw(rt, "faults") {
			f.must(f.sim.SetFault(name, simulator.Fault{Rate: rapid.Float64Range(0.05, 0.6).Draw(rt, "rate"), Delay: time.Millisecond}))
		}
		for range rapid.IntRange(1, 3).Draw(rt, "runs") {
			report, err := f.bridge.Reconcile(f.ctx, rolecatalog.Selection{}, rolecatalog.ReconcileOptions{})
			if err == nil && report.Clean() {
				f.sim.ClearFaults()
				if p, err := f.bridge.Plan(f.ctx, rolecatalog.Selection{}, nil); err != nil || !p.Empty() {
					rt.Fatalf("a run without failures leaves something to do: %s, %v", p.Summary(), err)
				}
				break
			}
			f.clock.Add(2 * time.Hour)
		}
		wi.check(rt)
		f.converge(rt)
		f.sim.ResetRequests()
		if p, err := f.bridge.Plan(f.ctx, rolecatalog.Selection{}, nil); err != nil || !p.Empty() {
			rt.Fatalf("after the apply there is still something to do: %+v, %v", p, err)
		}
	})
}

// mortal is a store that dies at the n-th commit, before or after it took effect, and stays dead.
type mortal struct {
	rolecatalog.Store
	left  atomic.Int64
	after bool
	die   context.CancelFunc
}

var errKilled = errors.New("killed")

func (m *mortal) Commit(ctx context.Context, c *rolecatalog.Changes) error {
	switch n := m.left.Add(-1); {
	case n < 0:
		return errKilled
	case n == 0:
		m.die()
		if m.after {
			_ = m.Store.Commit(ctx, c)
		}
		return errKilled
	}
	return m.Store.Commit(ctx, c)
}

func TestLawL9KilledAnywhereTheNextRunConverges(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		f := newFixture(t, rt, wide)
		wi := &witness{f: f}
		for range rapid.IntRange(1, 3).Draw(rt, "kills") {
			ctx, cancel := context.WithCancel(f.ctx)
			dying := &mortal{Store: f.store, after: rapid.Bool().Draw(rt, "after"), die: cancel}
			dying.left.Store(int64(rapid.IntRange(1, 40).Draw(rt, "commit")))
			request := int64(rapid.IntRange(1, 60).Draw(rt, "request"))
			applied := rapid.Bool().Draw(rt, "applied")
			var n atomic.Int64
			f.connect(wide, func(o *rolecatalog.Options, _ *nemlogin.Options) { o.Store = dying })
			f.sim.OnRequest(func(r simulator.Request) simulator.Action {
				wi.look(r)
				if n.Add(1) == request {
					dying.left.Store(0)
					cancel()
					return simulator.Action{Drop: true, Apply: applied}
				}
				return simulator.Action{}
			})
			_, err := f.bridge.Reconcile(ctx, rolecatalog.Selection{}, rolecatalog.ReconcileOptions{})
			_ = err // dead or done; the next process looks at the world, not at this
			cancel()
		}
		f.connect(wide)
		f.converge(rt)
		wi.check(rt)
		for _, user := range f.users {
			seen := map[string]bool{}
			for _, a := range f.explain(user).Assignments {
				key := fmt.Sprintf("%d %v", a.JobFunctionRoleID, a.Values)
				if a.EndedAt == nil && seen[key] && a.AssignedBy == rolecatalog.ActorImport {
					rt.Fatalf("%s got %s twice", user, a.RoleName)
				}
				seen[key] = seen[key] || a.EndedAt == nil
			}
		}
	})
}

func TestLawL2ImportKilledAnywhereLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		ids := w.roles(3)
		users := rapid.IntRange(1, 12).Draw(rt, "users")
		before := map[string][]string{}
		for i := range users {
			identity := w.person(fmt.Sprintf("u%d", i))
			for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(0, len(ids)*len(scopes)-1), 0, 5, rapid.ID).Draw(rt, "held") {
				s := scopes[n%len(scopes)]
				w.hold(identity, ids[n/len(scopes)], s.Type, s.Value)
			}
			before[identity] = w.held(identity)
		}
		for range rapid.IntRange(1, 3).Draw(rt, "kills") {
			ctx, cancel := context.WithCancel(w.ctx)
			dying := &mortal{Store: w.store, after: rapid.Bool().Draw(rt, "after"), die: cancel}
			dying.left.Store(int64(rapid.IntRange(1, 6).Draw(rt, "commit")))
			w.connect(func(o *rolecatalog.Options, _ *nemlogin.Options) { o.Store = dying })
			_, _ = w.bridge.Import(ctx, nil)
			cancel()
		}
		w.connect()
		w.importAll()
		w.sim.ResetRequests()
		report := w.reconcile()
		if !report.Plan.Empty() || len(w.writes()) > 0 {
			rt.Fatalf("after the import there is something to do: %+v", report.Plan.Counts)
		}
		grants := 0
		for identity, held := range before {
			if !slices.Equal(w.held(identity), held) {
				rt.Fatalf("%s held %q and holds %q", identity, held, w.held(identity))
			}
			grants += len(held)
		}
		made := 0
		for i := range users {
			made += len(w.explain(fmt.Sprintf("u%d", i)).Assignments)
		}
		if made != grants {
			rt.Fatalf("%d assignments for %d grants", made, grants)
		}
	})
}

func TestLawL2WhoWasNeverAdoptedLosesNothingEvenWhenNobodyHasHimAnyMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(1)
	w.hold(w.person("anne"), ids[0], "Cvr", cvr)
	bo := w.person("bo")
	w.hold(bo, ids[0], "PU", "1000000001")
	w.must(w.sim.SetFault("see-log-500", simulator.Fault{Rate: 1, Identity: bo}))
	w.importAll()
	w.sim.ClearFaults()
	w.assign("bo", w.jobFunctionRole("Rolle", rolecatalog.ScopeRule{SystemRoleID: w.systemRole(ids[0]).ID, ScopeType: "Cvr"}))
	p, err := w.bridge.Plan(w.ctx, rolecatalog.Selection{}, nil) // a plan adopts nobody
	w.must(err)
	if !p.Empty() || !hasChange(p, plan.Skip, plan.NotAdopted) {
		t.Errorf("%+v", p.Changes)
	}
	w.user("bo", "")
	w.sim.ResetRequests()
	w.work()
	w.reconcile()
	w.noWrites()
	w.holds(bo, g(ids[0], "PU", "1000000001"))
}

func TestLawL11WithdrawnIsNotGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(10)
	anne, bo := w.person("anne"), w.person("bo")
	w.hold(anne, ids[0], "Cvr", cvr)
	w.importAll()
	w.work()
	w.must(w.sim.RemoveRoleFromCatalogue(ids[0]))
	w.refresh()
	w.sim.ResetRequests()
	// While it is away nothing is added and nothing removed, whatever is decided here.
	w.assign("bo", w.imported(ids[0], "Cvr"))
	w.must(w.bridge.Unassign(w.ctx, w.row("anne").ID, w.explain("anne").Assignments[0].ID, "test"))
	w.work()
	report := w.reconcile()
	w.noWrites()
	if !hasChange(report.Plan, plan.Skip, plan.Withdrawn) {
		t.Errorf("it isn't told: %+v", report.Plan.Changes)
	}
	// Back again, what was decided is carried out.
	w.must(w.sim.RestoreRole(ids[0]))
	w.refresh()
	w.reconcile()
	w.holds(anne)
	w.holds(bo, g(ids[0], "Cvr", cvr))
}

func TestLawL10RemovalsStayWithinTheGuardOverAnySequenceOfRuns(t *testing.T) {
	t.Parallel()
	limits := plan.Limits{RemovalsCount: 3, RemovalsPercent: 10, RoleRemovalsCount: 2, RoleRemovalsPercent: 50, CatalogueShrinkPercent: 20}
	rapid.Check(t, func(rt *rapid.T) {
		f := newFixture(t, rt, func(o *rolecatalog.Options, _ *nemlogin.Options) { o.Limits = limits })
		start := f.clock.Now()
		for range rapid.IntRange(1, 6).Draw(rt, "runs") {
			if rapid.Bool().Draw(rt, "people") {
				_, _ = f.bridge.ProcessWork(f.ctx, rapid.IntRange(1, 5).Draw(rt, "limit"), rolecatalog.ReconcileOptions{})
			} else {
				_, _ = f.bridge.Reconcile(f.ctx, rolecatalog.Selection{}, rolecatalog.ReconcileOptions{})
			}
			f.clock.Add(time.Duration(rapid.IntRange(0, 120).Draw(rt, "minutes")) * time.Minute)
			removed := 0
			for _, r := range f.sim.Requests() {
				if r.Method == http.MethodDelete && r.Status/100 == 2 {
					removed += len(r.Roles)
				}
			}
			// The share is of what was held; the most it can allow here is a tenth of it.
			held := 0
			for _, grants := range f.initial {
				held += len(grants)
			}
			if f.clock.Now().Sub(start) < 24*time.Hour && removed > max(limits.RemovalsCount, (held+removed)*limits.RemovalsPercent/100) {
				rt.Fatalf("%d removals within a day", removed)
			}
			if rapid.Bool().Draw(rt, "more") {
				f.change(rt)
			}
		}
	})
}

func TestLawL14OneIdentityOneOwner(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(1)
	shared := w.person("anne")
	w.hold(shared, ids[0], "Cvr", cvr)
	w.importAll()
	w.reconcile()
	// Later a second user turns up with the identity: from then on nothing is written to it, whatever either is given.
	w.user("bo", shared)
	w.assign("bo", w.jobFunctionRole("Rolle", rolecatalog.ScopeRule{SystemRoleID: w.systemRole(ids[0]).ID, ScopeType: "PU", Values: []string{"1000000001"}}))
	w.must(w.bridge.Unassign(w.ctx, w.row("anne").ID, w.explain("anne").Assignments[0].ID, "test"))
	w.sim.ResetRequests()
	w.reconcile()
	w.work()
	w.noWrites()
	// It goes to bo: what it holds is kept for him first.
	w.user("anne", "")
	w.work()
	w.holds(shared, g(ids[0], "Cvr", cvr), g(ids[0], "PU", "1000000001"))
}

func TestLawL13NoCPRNumberAnywhere(t *testing.T) {
	t.Parallel()
	const cpr = "0311651234"
	w := newWorld(t)
	ids := w.roles(1)
	identity := w.identity()
	_, err := w.bridge.LoadUsers(w.ctx, []rolecatalog.UserRow{{UserID: "anne", Name: "Anne", CPR: "031165-1234", NemLoginUUID: &identity}}, rolecatalog.LoadOptions{Actor: "test"})
	w.must(err)
	_, err = w.bridge.LoadUsers(w.ctx, []rolecatalog.UserRow{{UserID: "bo", Name: "Bo", CPR: "9911651234", Line: 2}}, rolecatalog.LoadOptions{})
	if err == nil || strings.Contains(err.Error(), "9911651234") || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("the error for a wrong CPR number is %v", err)
	}
	w.hold(identity, ids[0], "Cvr", cvr)
	w.importAll()
	report := w.reconcile()
	document, err := report.Plan.JSON()
	w.must(err)
	events, err := w.store.Audit(w.ctx, rolecatalog.AuditFilter{CVR: cvr})
	w.must(err)
	text := string(document) + fmt.Sprintf("%+v %+v", events, w.explain("anne").History)
	if strings.Contains(text, cpr) || strings.Contains(text, "031165-1234") {
		t.Error("the CPR number is in a plan or in the audit trail")
	}
	found, err := w.store.Users(w.ctx, rolecatalog.UserFilter{Key: "anne", WithCPR: true})
	w.must(err)
	if len(found) != 1 || found[0].CPR != cpr {
		t.Error("the CPR number was not kept")
	}
}

func TestStalePlanIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(1)
	identity := w.person("anne")
	w.importAll()
	w.assign("anne", w.jobFunctionRole("Rolle", rolecatalog.ScopeRule{SystemRoleID: w.systemRole(ids[0]).ID, ScopeType: "Cvr"}))
	p, err := w.bridge.Plan(w.ctx, rolecatalog.Selection{}, nil)
	w.must(err)
	w.hold(identity, ids[0], "PU", "1000000001") // somebody changes something in MitID Erhverv meanwhile
	w.sim.ResetRequests()
	if _, err := w.bridge.Apply(w.ctx, p.ID, rolecatalog.ReconcileOptions{}); !errors.Is(err, rolecatalog.ErrStale) {
		t.Errorf("applying a stale plan gives %v", err)
	}
	w.noWrites()
	if _, err := w.bridge.Apply(w.ctx, "ffffffffffff", rolecatalog.ReconcileOptions{}); !errors.Is(err, rolecatalog.ErrUnknownPlan) {
		t.Errorf("applying an unknown plan gives %v", err)
	}
	fresh, err := w.bridge.Plan(w.ctx, rolecatalog.Selection{}, nil)
	w.must(err)
	if _, err := w.bridge.Apply(w.ctx, fresh.ID[:12], rolecatalog.ReconcileOptions{}); err != nil {
		t.Error(err)
	}
	w.holds(identity, g(ids[0], "Cvr", cvr))
}

func TestFencedProcessChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.roles(1)
	w.person("anne")
	old, err := w.store.AcquireLease(w.ctx, "writer", "one", w.clock.Now(), time.Minute)
	w.must(err)
	w.clock.Add(2 * time.Minute)
	_, err = w.store.AcquireLease(w.ctx, "writer", "two", w.clock.Now(), time.Minute)
	w.must(err)
	ctx := rolecatalog.WithFence(w.ctx, rolecatalog.Fence{Name: old.Name, Token: old.Token})
	if _, err := w.bridge.Import(ctx, nil); !errors.Is(err, rolecatalog.ErrFenced) {
		t.Errorf("an import under a lost lease gives %v", err)
	}
}

// clumsy is a client with a bug.
type clumsy struct{ rolecatalog.Client }

func (clumsy) AssignedRoles(context.Context, string) ([]nemlogin.AssignedRole, error) {
	panic("a bug in the client")
}

func TestBugInAWorkerIsThePanicOfItsCaller(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.roles(1)
	w.person("anne")
	w.refresh()
	bridge, err := rolecatalog.New(rolecatalog.Options{CVR: cvr, Store: w.store, Client: clumsy{w.client}})
	w.must(err)
	defer func() {
		if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), "a bug in the client") {
			t.Errorf("recovered %v", v)
		}
	}()
	_, err = bridge.Import(w.ctx, nil)
	t.Errorf("the import returned %v", err)
}

func TestTwoRefreshesAtOnceStoreTheCatalogueOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.roles(30)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if _, err := w.bridge.RefreshCatalogue(w.ctx); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if roles, err := w.bridge.SystemRoles(w.ctx); err != nil || len(roles) != 30 {
		t.Errorf("%d roles are stored (%v), want 30", len(roles), err)
	}
}
