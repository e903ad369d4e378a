package scheduler_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollebro/rollebro/scheduler"
)

const cvr = "12345678"

var errBoom = errors.New("boom")

// copenhagen returns a wall-clock time as the hours mean it.
func copenhagen(t *testing.T, wall string) time.Time {
	t.Helper()
	loc, err := time.LoadLocation(scheduler.Zone)
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.ParseInLocation("2006-01-02 15:04:05", wall, loc)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// passUntil moves the bubble's clock, which begins in the year 2000, to a wall-clock time.
func passUntil(t *testing.T, wall string) {
	t.Helper()
	d := time.Until(copenhagen(t, wall))
	if d < 0 {
		t.Fatalf("%s is over", wall)
	}
	pass(d)
}

// recorder makes jobs and remembers when they began.
type recorder struct {
	mu    sync.Mutex
	began map[string][]string
	loc   *time.Location
}

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	return &recorder{began: make(map[string][]string), loc: copenhagen(t, "2000-01-01 00:00:00").Location()}
}

func (r *recorder) note(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.began[name] = append(r.began[name], time.Now().In(r.loc).Format("01-02 15:04:05"))
}

func (r *recorder) times(name string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.began[name])
}

// job runs fn, if there is one, and notes when.
func (r *recorder) job(name, lease, cron string, fn func(ctx context.Context) error) scheduler.Job {
	return scheduler.Job{Name: name, Lease: lease, Cron: cron, Run: func(ctx context.Context, _ *scheduler.Run, _ scheduler.Progress) error {
		r.note(name)
		if fn == nil {
			return nil
		}
		return fn(ctx)
	}}
}

func lasts(d time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// start makes and starts a scheduler, which the test's end stops.
func start(t *testing.T, m *memory, opts scheduler.Options) *scheduler.Scheduler {
	t.Helper()
	if opts.Runner == nil {
		opts.Runner = &scheduler.Runner{Store: m, CVR: cvr}
	}
	s, err := scheduler.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil { //nolint:usetesting // the test's own has ended
			t.Error(err)
		}
	})
	synctest.Wait()
	return s
}

func outcomes(runs []scheduler.Run) []scheduler.Outcome {
	var all []scheduler.Outcome
	for _, r := range runs {
		all = append(all, r.Outcome)
	}
	return all
}

func crons(t *testing.T, h scheduler.Hours) map[string]string {
	t.Helper()
	c, err := h.Crons()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestJobsRunAtTheirHours(t *testing.T) {
	t.Parallel()
	days := map[string]string{"winter": "02-10", "summer": "07-10", "summer time begins": "03-26", "summer time ends": "10-29"}
	for name, day := range days {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				passUntil(t, "2000-"+day+" 00:00:00")
				m, rec := newMemory(), newRecorder(t)
				c := crons(t, scheduler.Hours{Minute: 17, Second: 42})
				var jobs []scheduler.Job
				for name, cron := range c {
					jobs = append(jobs, rec.job(name, scheduler.LeaseWriter, cron, nil))
				}
				start(t, m, scheduler.Options{Jobs: jobs})
				passUntil(t, "2000-"+day+" 23:59:59")

				want := map[string][]string{
					scheduler.JobCatalogue:      {"03:17:42", "10:17:42", "14:17:42"},
					scheduler.JobNumbers:        {"03:47:42"},
					scheduler.JobReconcile:      {"10:22:42"},
					scheduler.JobAdministrators: {"23:02:42"},
				}
				for job, times := range want {
					for i := range times {
						times[i] = day + " " + times[i]
					}
					if diff := cmp.Diff(times, rec.times(job)); diff != "" {
						t.Errorf("%s (-want +got):\n%s", job, diff)
					}
				}
				hourly := rec.times(scheduler.JobHousekeeping)
				if len(hourly) < 23 || hourly[0] != day+" 00:02:42" {
					t.Errorf("housekeeping ran at %v", hourly)
				}
				for _, run := range m.all() {
					if run.Trigger != scheduler.TriggerSchedule || run.Outcome != scheduler.OK || run.CVR != cvr {
						t.Errorf("the record says %+v", run)
					}
				}
			})
		})
	}
}

// A full sync at an hour that the night leaves out is made up for, and one at an hour that comes twice runs once.
func TestFullSyncInTheHourOfTheClockChange(t *testing.T) {
	t.Parallel()
	for day, want := range map[string][]string{
		"03-26": {"03-25 02:30:00", "03-26 03:30:00", "03-27 02:30:00"},
		"10-29": {"10-28 02:30:00", "10-29 02:30:00", "10-30 02:30:00"},
	} {
		t.Run(day, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				change := copenhagen(t, "2000-"+day+" 12:00:00")
				passUntil(t, change.AddDate(0, 0, -2).Format(time.DateTime))
				rec := newRecorder(t)
				cron := crons(t, scheduler.Hours{FullSync: "0 30 2 * * ?"})[scheduler.JobReconcile]
				start(t, newMemory(), scheduler.Options{Jobs: []scheduler.Job{rec.job(scheduler.JobReconcile, "", cron, nil)}})
				passUntil(t, change.AddDate(0, 0, 1).Format(time.DateTime))
				if diff := cmp.Diff(want, rec.times(scheduler.JobReconcile)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestNextNamesTheHours(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		passUntil(t, "2000-06-01 12:00:00")
		rec := newRecorder(t)
		c := crons(t, scheduler.Hours{Minute: 8, FullSync: "0 30 10 * * *"})
		s := start(t, newMemory(), scheduler.Options{Jobs: []scheduler.Job{
			rec.job(scheduler.JobCatalogue, "", c[scheduler.JobCatalogue], nil),
			rec.job(scheduler.JobReconcile, "", c[scheduler.JobReconcile], nil),
			rec.job(scheduler.JobApply, "", "", nil),
		}})
		want := map[string]string{scheduler.JobCatalogue: "2000-06-01T14:08:00+02:00", scheduler.JobReconcile: "2000-06-02T10:30:00+02:00"}
		got := make(map[string]string)
		for job, at := range s.Next() {
			got[job] = at.In(rec.loc).Format(time.RFC3339)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestLongReconcileHoldsUpNeitherCatalogueNorItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		passUntil(t, "2000-06-01 09:00:00")
		m, rec := newMemory(), newRecorder(t)
		start(t, m, scheduler.Options{Jobs: []scheduler.Job{
			rec.job(scheduler.JobReconcile, scheduler.LeaseWriter, "0 0 * * * *", lasts(150*time.Minute)),
			rec.job(scheduler.JobAdministrators, scheduler.LeaseWriter, "0 30 10 * * *", nil),
			rec.job(scheduler.JobCatalogue, scheduler.LeaseReader, "0 15 10 * * *", nil),
		}})
		passUntil(t, "2000-06-01 12:59:00")
		for job, want := range map[string][]string{
			scheduler.JobReconcile:      {"06-01 10:00:00"}, // 11:00 and 12:00 find it running
			scheduler.JobCatalogue:      {"06-01 10:15:00"},
			scheduler.JobAdministrators: {"06-01 12:30:00"}, // shares the lease, and waits for its turn
		} {
			if diff := cmp.Diff(want, rec.times(job)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", job, diff)
			}
		}
	})
}

func TestUrgentJobGoesFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, rec := newMemory(), newRecorder(t)
		people := rec.job(scheduler.JobPeople, scheduler.LeaseWriter, "", nil)
		people.Urgent = true
		s := start(t, m, scheduler.Options{Jobs: []scheduler.Job{
			rec.job(scheduler.JobReconcile, scheduler.LeaseWriter, "", lasts(time.Minute)),
			rec.job(scheduler.JobAdministrators, scheduler.LeaseWriter, "", nil),
			people,
		}})
		for _, job := range []string{scheduler.JobReconcile, scheduler.JobAdministrators, scheduler.JobPeople, scheduler.JobPeople} {
			if err := s.Trigger(job); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if got := len(s.Running()); got != 1 {
			t.Errorf("%d jobs run under one lease", got)
		}
		pass(2 * time.Minute)
		var order []string
		for _, run := range m.all() {
			order = append(order, run.Job)
		}
		want := []string{scheduler.JobReconcile, scheduler.JobPeople, scheduler.JobAdministrators}
		if diff := cmp.Diff(want, order); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestPanicFailsTheRunAndNothingElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, rec := newMemory(), newRecorder(t)
		s := start(t, m, scheduler.Options{Jobs: []scheduler.Job{
			rec.job("bad", scheduler.LeaseWriter, "", func(context.Context) error { panic("nobody expected this") }),
			rec.job("good", scheduler.LeaseWriter, "", nil),
		}})
		run, err := s.Do(t.Context(), "bad")
		var bug *scheduler.PanicError
		if !errors.As(err, &bug) || !strings.Contains(string(bug.Stack), "TestPanicFailsTheRun") {
			t.Errorf("the error is %v", err)
		}
		if run.Outcome != scheduler.Failed || !strings.Contains(run.Error, "nobody expected this") || run.FinishedAt == nil {
			t.Errorf("the run is %+v", run)
		}
		if stored := m.of("bad")[0]; stored.Outcome != scheduler.Failed {
			t.Errorf("the record says %+v", stored)
		}
		if run, err := s.Do(t.Context(), "good"); err != nil || run.Outcome != scheduler.OK {
			t.Errorf("the next job: %+v, %v", run, err)
		}
	})
}

func TestOutcomeOfARun(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		said scheduler.Outcome
		err  error
		want scheduler.Outcome
	}{
		"nothing said":              {"", nil, scheduler.OK},
		"partly":                    {scheduler.Partly, nil, scheduler.Partly},
		"blocked":                   {scheduler.Blocked, nil, scheduler.Blocked},
		"an error":                  {"", errBoom, scheduler.Failed},
		"an error is never ok":      {scheduler.OK, errBoom, scheduler.Failed},
		"blocked with the reason":   {scheduler.Blocked, errBoom, scheduler.Blocked},
		"partly with an error":      {scheduler.Partly, errBoom, scheduler.Partly},
		"still running, it said":    {scheduler.Running, nil, scheduler.OK},
		"failed without any reason": {scheduler.Failed, nil, scheduler.Failed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMemory()
			runner := scheduler.Runner{Store: m, CVR: cvr, Owner: "me"}
			var told [2]int
			run, err := runner.Run(t.Context(), scheduler.Job{
				Name: "job", Lease: scheduler.LeaseWriter,
				Run: func(_ context.Context, r *scheduler.Run, progress scheduler.Progress) error {
					progress(3, 4)
					if r.ID == 0 || r.Owner != "me" {
						t.Errorf("the job sees %+v", r)
					}
					r.Owner, r.Job = "somebody", "else" // not the job's to say
					r.Counts, r.Plan, r.DryRun, r.Outcome = map[string]int{"added": 2}, "p1", true, tt.said
					return tt.err
				},
			}, scheduler.TriggerCommand, func(done, total int) { told = [2]int{done, total} })
			if !errors.Is(err, tt.err) || run.Outcome != tt.want {
				t.Errorf("%s, %v; want %s, %v", run.Outcome, err, tt.want, tt.err)
			}
			stored := m.of("job")[0]
			if diff := cmp.Diff(run, stored); diff != "" {
				t.Errorf("returned and stored differ:\n%s", diff)
			}
			if stored.Counts["added"] != 2 || stored.Plan != "p1" || !stored.DryRun || stored.Owner != "me" || stored.FinishedAt == nil {
				t.Errorf("the record says %+v", stored)
			}
			if told != [2]int{3, 4} {
				t.Errorf("progress was %v", told)
			}
			if l, _, _ := m.CurrentLease(t.Context(), scheduler.LeaseWriter); l.Owner != "" {
				t.Errorf("the lease was kept: %+v", l)
			}
		})
	}
}

func TestErrorTextIsBounded(t *testing.T) {
	t.Parallel()
	m := newMemory()
	runner := scheduler.Runner{Store: m, CVR: cvr}
	run, _ := runner.Run(t.Context(), scheduler.Job{Name: "job", Run: func(context.Context, *scheduler.Run, scheduler.Progress) error {
		return errors.New("x" + strings.Repeat("æ", 5000) + "\xff")
	}}, scheduler.TriggerCommand, nil)
	if len(run.Error) > 2000 || !strings.HasSuffix(run.Error, "æ…") {
		t.Errorf("%d bytes ending in %q", len(run.Error), run.Error[len(run.Error)-6:])
	}
}
