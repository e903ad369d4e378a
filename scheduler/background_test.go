package scheduler_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/rollebro/rollebro/scheduler"
)

// people is a queue of persons with the time at which each is due.
type people struct {
	mu   sync.Mutex
	due  []time.Time
	wake chan struct{}
	err  error
	asks int
}

func newPeople() *people { return &people{wake: make(chan struct{}, 1)} }

func (p *people) add(at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.due = append(p.due, at)
}

// mark is what a change in this process does.
func (p *people) mark() {
	p.add(time.Now())
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *people) next(context.Context) (time.Time, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asks++
	var first time.Time
	for _, at := range p.due {
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return first, len(p.due) > 0, p.err
}

// work takes all off the queue that are due.
func (p *people) work() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	var later []time.Time
	for _, at := range p.due {
		if at.After(time.Now()) {
			later = append(later, at)
		}
	}
	done := len(p.due) - len(later)
	p.due = later
	return done
}

func (p *people) left() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.due)
}

func (p *people) job(rec *recorder, fn func(ctx context.Context) error) scheduler.Job {
	return scheduler.Job{
		Name: scheduler.JobPeople, Lease: scheduler.LeaseWriter, Urgent: true, Retry: true,
		Run: func(ctx context.Context, r *scheduler.Run, _ scheduler.Progress) error {
			rec.note(scheduler.JobPeople)
			if fn != nil {
				if err := fn(ctx); err != nil {
					return err
				}
			}
			r.Counts = map[string]int{scheduler.CountDone: p.work()}
			return nil
		},
	}
}

func (p *people) options(rec *recorder, fn func(ctx context.Context) error) scheduler.Options {
	return scheduler.Options{
		Jobs: []scheduler.Job{p.job(rec, fn)},
		Work: &scheduler.Work{Job: scheduler.JobPeople, Wake: p.wake, Next: p.next},
	}
}

func TestChangeIsWorkedOnAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, rec, p := newMemory(), newRecorder(t), newPeople()
		start(t, m, p.options(rec, nil))
		pass(62 * time.Second)
		p.mark()
		pass(time.Millisecond)
		if runs := m.of(scheduler.JobPeople); p.left() != 0 || len(runs) != 1 || runs[0].Trigger != scheduler.TriggerChange {
			t.Errorf("%d are left after %+v", p.left(), runs)
		}
		// Nothing to do is not a run.
		pass(time.Hour)
		if runs := m.of(scheduler.JobPeople); len(runs) != 1 {
			t.Errorf("an empty queue made runs: %+v", runs)
		}
	})
}

func TestWorkOfAnotherProcessAndOfABeforeTheStartIsFound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, rec, p := newMemory(), newRecorder(t), newPeople()
		p.add(time.Now().Add(-time.Hour)) // left by a process that is gone
		start(t, m, p.options(rec, nil))
		if p.left() != 0 {
			t.Error("what an earlier process left still waits")
		}
		pass(time.Minute)
		p.add(time.Now()) // another process marks somebody: no signal
		pass(scheduler.DefaultPoll)
		if p.left() != 0 {
			t.Error("what another process marked still waits")
		}
		p.add(time.Now().Add(90*time.Second + time.Millisecond)) // a retry that is due later
		pass(90 * time.Second)
		if p.left() != 1 {
			t.Error("worked on before it was due")
		}
		pass(2 * time.Millisecond)
		if p.left() != 0 {
			t.Error("a retry that came due still waits")
		}
	})
}

// T17: dates that come due or pass are worked on within minutes of midnight, on the days of the clock change too, and again
// until it succeeds.
func TestT17DatesAreWorkedOnAfterMidnight(t *testing.T) {
	t.Parallel()
	for _, day := range []string{"02-10", "03-26", "03-27", "10-29", "10-30"} {
		t.Run(day, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				midnight := copenhagen(t, "2000-"+day+" 00:00:00")
				passUntil(t, midnight.AddDate(0, 0, -1).Format(time.DateTime))
				m, rec, p := newMemory(), newRecorder(t), newPeople()
				var failures atomic.Int32
				opts := p.options(rec, func(context.Context) error {
					if failures.Add(1) == 1 {
						return errBoom
					}
					return nil
				})
				housekeeping := crons(t, scheduler.Hours{Minute: 59, Second: 59})[scheduler.JobHousekeeping]
				opts.Jobs = append(opts.Jobs, rec.job(scheduler.JobHousekeeping, scheduler.LeaseReader, housekeeping, func(context.Context) error {
					if now := time.Now(); !now.Before(midnight) && now.Before(midnight.Add(time.Hour)) {
						p.mark()
					}
					return nil
				}))
				start(t, m, opts)
				passUntil(t, "2000-"+day+" 00:00:00")
				if got := len(rec.times(scheduler.JobPeople)); got != 0 {
					t.Errorf("worked on %d times before midnight", got)
				}
				passUntil(t, "2000-"+day+" 00:06:00")
				want := []string{day + " 00:04:59", day + " 00:05:59"}
				if diff := cmp.Diff(want, rec.times(scheduler.JobPeople)); diff != "" || p.left() != 0 {
					t.Errorf("%d left (-want +got):\n%s", p.left(), diff)
				}
			})
		})
	}
}

func TestQueueIsLeftToTheProcessThatHoldsTheLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, rec, p := newMemory(), newRecorder(t), newPeople()
		_, hold, err := scheduler.Acquire(t.Context(), leaseOf(m, "other"))
		if err != nil {
			t.Fatal(err)
		}
		s := start(t, m, p.options(rec, nil))
		p.mark()
		pass(10 * time.Minute)
		if len(m.all()) != 0 || p.left() != 1 {
			t.Errorf("%d left; runs %+v", p.left(), m.all())
		}
		if st := s.Status()[0]; st.Failures != 0 {
			t.Errorf("a lease that is held elsewhere is no failure: %+v", st)
		}
		hold.Release(t.Context())
		pass(scheduler.DefaultPoll)
		if p.left() != 0 {
			t.Error("the lease is free, and the work still waits")
		}
	})
}

func TestQuietHours(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		passUntil(t, "2000-02-10 22:59:00")
		m, rec, p := newMemory(), newRecorder(t), newPeople()
		opts := p.options(rec, nil)
		quiet, err := scheduler.ParseQuiet("23:00-06:00")
		if err != nil {
			t.Fatal(err)
		}
		opts.Work.Quiet = quiet
		start(t, m, opts)
		p.mark()
		passUntil(t, "2000-02-10 23:00:00")
		p.mark()
		passUntil(t, "2000-02-11 05:59:59")
		if got := len(m.all()); got != 1 || p.left() != 1 {
			t.Errorf("in quiet hours there were %d runs, %d are left", got, p.left())
		}
		passUntil(t, "2000-02-11 06:00:00")
		if p.left() != 0 {
			t.Error("the quiet hours are over, and the work still waits")
		}
	})
}

func TestFailingQueueBacksOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		passUntil(t, "2000-02-10 12:00:00")
		m, rec, p := newMemory(), newRecorder(t), newPeople()
		var mended atomic.Bool
		s := start(t, m, p.options(rec, func(context.Context) error {
			if mended.Load() {
				return nil
			}
			return errBoom
		}))
		p.mark()
		for range 30 {
			pass(40 * time.Second)
			p.mark() // more changes don't make it try more often
		}
		want := []string{"02-10 12:00:00", "02-10 12:01:00", "02-10 12:06:00"}
		if diff := cmp.Diff(want, rec.times(scheduler.JobPeople)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		st := s.Status()[0]
		if st.Failures != 3 || st.LastError != "boom" || st.RetryAt == nil || st.Last.Outcome != scheduler.Failed {
			t.Errorf("the status is %+v", st)
		}
		mended.Store(true)
		pass(2 * time.Minute)
		if st := s.Status()[0]; p.left() != 0 || st.Failures != 0 || st.RetryAt != nil || st.LastError != "" {
			t.Errorf("%d left; status %+v", p.left(), st)
		}
	})
}

// When nothing can be done, as while writing is blocked, the queue isn't asked again and again; new work is, within seconds.
// When nobody of a run could be done the run has failed, and counts as such; but whose change comes next doesn't wait for
// those, who have their own times.
func TestChangeDoesNotWaitForThoseWhoFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, rec, p := newMemory(), newRecorder(t), newPeople()
		var failing atomic.Bool
		failing.Store(true)
		opts := p.options(rec, nil)
		opts.Jobs[0].Run = func(_ context.Context, r *scheduler.Run, _ scheduler.Progress) error {
			done := p.work()
			if failing.Load() {
				for range done {
					p.add(time.Now().Add(time.Minute)) // tried again later
				}
				r.Outcome, r.Error, done = scheduler.Failed, "ab12: no", 0
			}
			r.Counts = map[string]int{scheduler.CountDone: done}
			return nil
		}
		s := start(t, m, opts)
		p.mark()
		pass(3*time.Minute + 30*time.Second)
		if runs := m.of(scheduler.JobPeople); len(runs) != 4 || s.Status()[0].Failures != 4 || s.Status()[0].LastError != "ab12: no" {
			t.Fatalf("%d runs: %+v", len(runs), s.Status()[0])
		}
		failing.Store(false)
		p.mark()
		pass(scheduler.DefaultPoll)
		if p.left() != 1 || s.Status()[0].Failures != 0 {
			t.Errorf("%d are left: %+v", p.left(), s.Status()[0])
		}
	})
}

func TestStalledQueueIsNotAHotLoop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		passUntil(t, "2000-02-10 12:00:00")
		m, rec, p := newMemory(), newRecorder(t), newPeople()
		opts := p.options(rec, nil)
		opts.Jobs[0].Run = func(_ context.Context, r *scheduler.Run, _ scheduler.Progress) error {
			rec.note(scheduler.JobPeople)
			r.Outcome = scheduler.Blocked
			return nil
		}
		start(t, m, opts)
		p.mark()
		passUntil(t, "2000-02-10 13:00:00")
		want := []string{"02-10 12:00:00", "02-10 12:01:00", "02-10 12:06:00", "02-10 12:21:00", "02-10 12:36:00", "02-10 12:51:00"}
		if diff := cmp.Diff(want, rec.times(scheduler.JobPeople)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		p.mark()
		pass(time.Second)
		if got := len(m.all()); got != len(want)+1 {
			t.Errorf("%d runs after new work came", got)
		}
	})
}

func TestQueueSurvivesADatabaseThatIsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, rec, p := newMemory(), newRecorder(t), newPeople()
		start(t, m, p.options(rec, nil))
		p.mu.Lock()
		p.err = errDown
		p.mu.Unlock()
		m.setDown(true)
		p.mark()
		pass(10 * time.Minute)
		p.mu.Lock()
		p.err = nil
		p.mu.Unlock()
		m.setDown(false)
		pass(time.Minute)
		if p.left() != 0 {
			t.Error("the database is back, and the work still waits")
		}
	})
}

func TestFailedJobIsTriedAgainUntilItsNextHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		passUntil(t, "2000-02-10 09:00:00")
		m, rec := newMemory(), newRecorder(t)
		reg := prometheus.NewPedanticRegistry()
		metrics := scheduler.NewMetrics(reg)
		job := rec.job(scheduler.JobCatalogue, scheduler.LeaseReader, "0 0 10,13 * * *", func(context.Context) error { return errBoom })
		job.Retry = true
		s := start(t, m, scheduler.Options{
			Jobs: []scheduler.Job{job}, Runner: &scheduler.Runner{Store: m, CVR: cvr, Metrics: metrics},
		})
		passUntil(t, "2000-02-10 10:10:00")
		if st := s.Status()[0]; st.RetryAt == nil || !st.RetryAt.Equal(copenhagen(t, "2000-02-10 10:21:00")) {
			t.Errorf("the next attempt can't be seen: %+v", st)
		}
		passUntil(t, "2000-02-10 12:30:00")
		if st := s.Status()[0]; st.RetryAt != nil || !st.Next.Equal(copenhagen(t, "2000-02-10 13:00:00")) {
			t.Errorf("an attempt after its next hour: %+v", st)
		}
		passUntil(t, "2000-02-10 13:00:30")
		want := []string{
			"02-10 10:00:00", "02-10 10:01:00", "02-10 10:06:00", "02-10 10:21:00",
			"02-10 11:21:00", "02-10 12:21:00", "02-10 13:00:00",
		}
		if diff := cmp.Diff(want, rec.times(scheduler.JobCatalogue)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		pass(time.Minute) // after its hour the waits begin anew
		if got := rec.times(scheduler.JobCatalogue); got[len(got)-1] != "02-10 13:01:00" {
			t.Errorf("the last attempt was at %s", got[len(got)-1])
		}
		if n, err := testutil.GatherAndCount(reg, "rollebro_job_runs_total"); err != nil || n != 1 {
			t.Errorf("%d series, %v", n, err)
		}
	})
}

func TestBlockedAndUnrepeatableJobsAreNotTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, rec := newMemory(), newRecorder(t)
		apply := rec.job(scheduler.JobApply, scheduler.LeaseWriter, "", func(context.Context) error { return errBoom })
		blocked := scheduler.Job{Name: scheduler.JobReconcile, Retry: true, Run: func(_ context.Context, r *scheduler.Run, _ scheduler.Progress) error {
			r.Outcome = scheduler.Blocked
			return errBoom
		}}
		s := start(t, m, scheduler.Options{Jobs: []scheduler.Job{apply, blocked}})
		for _, job := range []string{scheduler.JobApply, scheduler.JobReconcile} {
			if _, err := s.Do(t.Context(), job); !errors.Is(err, errBoom) {
				t.Errorf("%s: %v", job, err)
			}
		}
		pass(24 * time.Hour)
		if got := len(m.all()); got != 2 {
			t.Errorf("%d runs", got)
		}
	})
}

func TestStartRunsWhatIsNeededInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		passUntil(t, "2000-02-10 12:00:00")
		m, rec := newMemory(), newRecorder(t)
		var mended atomic.Bool
		catalogue := rec.job(scheduler.JobCatalogue, scheduler.LeaseReader, "", func(context.Context) error {
			if mended.Load() {
				return nil
			}
			return errBoom
		})
		catalogue.Retry = true
		needed := func(yes bool) func(context.Context) (bool, error) {
			return func(context.Context) (bool, error) { return yes, nil }
		}
		unsure := 0
		start(t, m, scheduler.Options{
			Jobs: []scheduler.Job{
				rec.job(scheduler.JobNumbers, scheduler.LeaseReader, "", nil), catalogue,
				rec.job(scheduler.JobImport, scheduler.LeaseWriter, "", lasts(10*time.Second)),
				rec.job(scheduler.JobAdministrators, scheduler.LeaseWriter, "", nil),
			},
			AtStart: []scheduler.StartUp{
				{Job: scheduler.JobCatalogue, Needed: needed(true), Required: true},
				{Job: scheduler.JobNumbers, Needed: needed(false)},
				{Job: scheduler.JobImport, Needed: func(context.Context) (bool, error) {
					if unsure++; unsure == 1 {
						return false, errDown
					}
					return true, nil
				}},
				{Job: scheduler.JobAdministrators},
			},
		})
		pass(30 * time.Second)
		if len(rec.times(scheduler.JobImport)) != 0 {
			t.Error("imported without a catalogue")
		}
		mended.Store(true)
		pass(10 * time.Minute)
		want := map[string][]string{
			scheduler.JobCatalogue:      {"02-10 12:00:00", "02-10 12:01:00"},
			scheduler.JobImport:         {"02-10 12:02:00"},
			scheduler.JobAdministrators: {"02-10 12:02:10"},
		}
		rec.mu.Lock()
		defer rec.mu.Unlock()
		if diff := cmp.Diff(want, rec.began); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestDisabledSchedulerRunsOnlyWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, rec, p := newMemory(), newRecorder(t), newPeople()
		opts := p.options(rec, nil)
		failing := rec.job(scheduler.JobCatalogue, scheduler.LeaseReader, "0 * * * * *", func(context.Context) error { return errBoom })
		failing.Retry = true
		opts.Jobs = append(opts.Jobs, failing)
		opts.AtStart = []scheduler.StartUp{{Job: scheduler.JobCatalogue}}
		opts.Disabled = true
		s := start(t, m, opts)
		p.mark()
		pass(48 * time.Hour)
		if len(m.all()) != 0 || len(s.Next()) != 0 {
			t.Errorf("ran %+v; next %v", m.all(), s.Next())
		}
		if _, err := s.Do(t.Context(), scheduler.JobCatalogue); !errors.Is(err, errBoom) {
			t.Errorf("asked for, it said %v", err)
		}
		pass(48 * time.Hour)
		if len(m.all()) != 1 {
			t.Errorf("a run that was asked for was tried again by itself: %+v", m.all())
		}
	})
}
