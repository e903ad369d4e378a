package rolecatalog_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/rollebro/rollebro/nemlogin"
	"github.com/rollebro/rollebro/nemlogin/simulator"
	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/store/storetest"
)

const (
	benchUsers   = 500
	benchGrants  = 4
	benchLatency = 20 * time.Millisecond
	inFlight     = 8
)

func inParallel(o *rolecatalog.Options, c *nemlogin.Options) {
	c.Concurrency, o.Concurrency = inFlight, 2*inFlight
}

// oneByOne is how the original works: one request at a time, one role in each.
func oneByOne(o *rolecatalog.Options, c *nemlogin.Options) {
	c.Concurrency, c.BatchSize, o.Concurrency = 1, 1, 1
}

// BenchmarkReconcile compares eight requests in flight, with all roles of a scope in one request, with one request and one
// role at a time: the same code, the same people and the same latency of 20 ms, in the same run. The first run writes four
// grants for each of 500 people, the second finds nothing to do.
//
// "x-ideal" is the time over requests × latency / requests in flight; the "-requests" are what was sent.
func BenchmarkReconcile(b *testing.B) {
	for range b.N {
		first, firstRequests, second, secondRequests := reconcileBench(b, inParallel)
		slow, slowRequests, slowSecond, _ := reconcileBench(b, oneByOne)
		report := func(name string, fast, slow time.Duration, requests int) {
			ideal := time.Duration(requests) * benchLatency / inFlight
			b.ReportMetric(fast.Seconds(), name+"-s")
			b.ReportMetric(slow.Seconds(), name+"-one-by-one-s")
			b.ReportMetric(slow.Seconds()/fast.Seconds(), name+"-times-faster")
			b.ReportMetric(fast.Seconds()/ideal.Seconds(), name+"-x-ideal")
			b.ReportMetric(float64(requests), name+"-requests")
		}
		report("first", first, slow, firstRequests)
		report("unchanged", second, slowSecond, secondRequests)
		b.ReportMetric(float64(slowRequests), "first-one-by-one-requests")
	}
	b.ReportMetric(0, "ns/op")
}

func reconcileBench(b *testing.B, options ...option) (first time.Duration, firstRequests int, second time.Duration, secondRequests int) {
	b.Helper()
	w := newWorld(b, options...)
	ids := w.roles(benchGrants)
	var rows []rolecatalog.UserRow
	for i := range benchUsers {
		identity := w.identity()
		rows = append(rows, rolecatalog.UserRow{UserID: fmt.Sprintf("u%04d", i), Name: "Navn", NemLoginUUID: &identity})
	}
	_, err := w.bridge.LoadUsers(w.ctx, rows, rolecatalog.LoadOptions{Actor: "bench"})
	w.must(err)
	w.importAll()
	var rules []rolecatalog.ScopeRule
	for _, id := range ids {
		rules = append(rules, rolecatalog.ScopeRule{SystemRoleID: w.systemRole(id).ID, ScopeType: "Cvr"})
	}
	role := w.jobFunctionRole("Alle fire", rules...)
	users, err := w.store.Users(w.ctx, rolecatalog.UserFilter{})
	w.must(err)
	changes := &rolecatalog.Changes{CVR: cvr}
	for i := range users {
		changes.Assignments = append(changes.Assignments, &rolecatalog.Assignment{CVR: cvr, UserID: users[i].ID, JobFunctionRoleID: role.ID, AssignedBy: "bench", CreatedAt: w.clock.Now()})
	}
	w.must(w.store.Commit(w.ctx, changes))
	w.must(w.sim.SetFault("slow", simulator.Fault{Rate: 1, Delay: benchLatency}))
	measure := func(adds int) (time.Duration, int) {
		runtime.GC()
		w.sim.ResetRequests()
		began := time.Now()
		report := w.reconcile()
		took := time.Since(began)
		if report.Added != adds || !report.Clean() {
			b.Fatalf("%d added, want %d: %+v", report.Added, adds, report.Failures)
		}
		return took, len(w.sim.Requests())
	}
	first, firstRequests = measure(benchUsers * benchGrants)
	second, secondRequests = measure(0)
	return first, firstRequests, second, secondRequests
}

// BenchmarkFirstImport imports 10,000 people with some 40,000 grants, stops it half-way and goes on, as after a kill.
func BenchmarkFirstImport(b *testing.B) {
	const people = 10_000
	for range b.N {
		b.StopTimer()
		w := importWorld(b, people)
		b.StartTimer()
		ctx, cancel := context.WithCancelCause(w.ctx)
		stop := errors.New("killed")
		_, err := w.bridge.Import(ctx, func(done, _ int) {
			if done == people/2 {
				cancel(stop)
			}
		})
		if err == nil {
			b.Fatal("the import was not stopped")
		}
		rest := w.importAll()
		if rest.Failed > 0 || rest.Candidates >= people {
			b.Fatalf("after the kill: %+v", rest)
		}
		b.ReportMetric(float64(people)/b.Elapsed().Seconds(), "people/s")
		b.ReportMetric(float64(people-rest.Candidates), "kept-of-first-half")
		b.StopTimer()
		if report := w.reconcile(); !report.Plan.Empty() {
			b.Fatalf("after the import there is something to do: %+v", report.Plan.Counts)
		}
		b.StartTimer()
	}
}

// importWorld is a simulator with seeded people, all of them loaded as users.
func importWorld(b *testing.B, people int) *world {
	b.Helper()
	ca, err := authority()
	if err != nil {
		b.Fatal(err)
	}
	sim, err := simulator.New(simulator.Options{CVR: cvr, Users: people, Seed: 7, Listen: "127.0.0.1:0", Authority: ca})
	if err != nil {
		b.Fatal(err)
	}
	if err := sim.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = sim.Close(context.Background()) }) //nolint:usetesting // the own context of the test has ended by then
	w := &world{TB: b, ctx: b.Context(), sim: sim, store: storetest.SQLite(b), clock: &clock{now: time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)}}
	w.connect(inParallel)
	var rows []rolecatalog.UserRow
	for i, id := range sim.State().Identities {
		rows = append(rows, rolecatalog.UserRow{UserID: fmt.Sprintf("u%05d", i), Name: id.GivenName + " " + id.Surname, NemLoginUUID: &id.UUID})
	}
	_, err = w.bridge.LoadUsers(w.ctx, rows, rolecatalog.LoadOptions{Actor: "bench"})
	w.must(err)
	return w
}
