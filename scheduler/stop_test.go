package scheduler_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/rollebro/rollebro/scheduler"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStopLetsWhatRunsComeToAnEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, rec := newMemory(), newRecorder(t)
		s := start(t, m, scheduler.Options{Jobs: []scheduler.Job{
			rec.job(scheduler.JobReconcile, scheduler.LeaseWriter, "", lasts(10*time.Second)),
			rec.job(scheduler.JobAdministrators, scheduler.LeaseWriter, "* * * * * *", nil),
		}})
		if err := s.Trigger(scheduler.JobReconcile); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		waiting := make(chan error, 1)
		go func() {
			_, err := s.Do(context.Background(), scheduler.JobAdministrators) //nolint:usetesting // outlives nothing
			waiting <- err
		}()
		synctest.Wait()
		began := time.Now()
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("stopped after %v", took)
		}
		if diff := cmp.Diff([]scheduler.Outcome{scheduler.OK}, outcomes(m.all())); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if err := <-waiting; !errors.Is(err, scheduler.ErrStopped) {
			t.Errorf("who waited in the queue was told %v", err)
		}
		if err := s.Trigger(scheduler.JobReconcile); !errors.Is(err, scheduler.ErrStopped) {
			t.Errorf("after the stop: %v", err)
		}
		if l, _, _ := m.CurrentLease(t.Context(), scheduler.LeaseWriter); l.Owner != "" {
			t.Errorf("the lease was kept: %+v", l)
		}
	})
}

func TestStopCallsOffWhatTakesTooLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, rec := newMemory(), newRecorder(t)
		var cause error
		job := rec.job(scheduler.JobReconcile, scheduler.LeaseWriter, "", func(ctx context.Context) error {
			<-ctx.Done()
			cause = context.Cause(ctx)
			<-time.After(3 * time.Second) // what is in flight
			return ctx.Err()
		})
		job.Retry = true
		s := start(t, m, scheduler.Options{Jobs: []scheduler.Job{job}})
		if err := s.Trigger(scheduler.JobReconcile); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		began := time.Now()
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != scheduler.DefaultGrace+3*time.Second {
			t.Errorf("stopped after %v", took)
		}
		if diff := cmp.Diff([]scheduler.Outcome{scheduler.Interrupted}, outcomes(m.all())); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if !errors.Is(cause, scheduler.ErrStopped) {
			t.Errorf("the cause was %v", cause)
		}
	})
}

func TestStopGivesUpOnAJobThatDoesNotListen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, rec := newMemory(), newRecorder(t)
		free := make(chan struct{})
		s := start(t, m, scheduler.Options{Jobs: []scheduler.Job{
			rec.job("deaf", scheduler.LeaseWriter, "", func(context.Context) error { <-free; return nil }),
		}})
		if err := s.Trigger("deaf"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := s.Stop(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || err.Error() != "stopping, while deaf did not end: context deadline exceeded" {
			t.Errorf("the error is %v", err)
		}
		close(free)
	})
}

func TestLostLeaseInterruptsTheRunAndItIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		passUntil(t, "2000-02-10 12:00:00")
		m, rec := newMemory(), newRecorder(t)
		first := true
		job := rec.job(scheduler.JobReconcile, scheduler.LeaseWriter, "", func(ctx context.Context) error {
			if !first {
				return nil
			}
			first = false
			m.setDown(true)
			<-ctx.Done()
			return ctx.Err()
		})
		job.Retry = true
		s := start(t, m, scheduler.Options{Jobs: []scheduler.Job{job}})
		_, err := s.Do(t.Context(), scheduler.JobReconcile)
		if !errors.Is(err, scheduler.ErrLost) {
			t.Errorf("the error is %v", err)
		}
		m.setDown(false)
		pass(2 * time.Minute)
		// That the first run was interrupted could not be stored then; it is now.
		want := []scheduler.Outcome{scheduler.Interrupted, scheduler.OK}
		if diff := cmp.Diff(want, outcomes(m.all())); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// A process is killed in a run. The next one takes the lease over when it has run out, and sets the record right.
func TestRestartAfterAKill(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, rec, p := newMemory(), newRecorder(t), newPeople()
		now := time.Now()
		if _, err := m.AcquireLease(t.Context(), scheduler.LeaseWriter, "killed", now, scheduler.DefaultTTL); err != nil {
			t.Fatal(err)
		}
		left := scheduler.Run{CVR: cvr, Job: scheduler.JobReconcile, Owner: "killed", StartedAt: now, Outcome: scheduler.Running}
		if err := m.StartRun(t.Context(), &left); err != nil {
			t.Fatal(err)
		}
		p.add(now)
		start(t, m, p.options(rec, nil))
		pass(scheduler.DefaultTTL - time.Second)
		if p.left() != 1 || m.all()[0].Outcome != scheduler.Running {
			t.Error("taken over while the lease still ran")
		}
		pass(scheduler.DefaultPoll + time.Second)
		want := []scheduler.Outcome{scheduler.Interrupted, scheduler.OK}
		if diff := cmp.Diff(want, outcomes(m.all())); diff != "" || p.left() != 0 {
			t.Errorf("%d left (-want +got):\n%s", p.left(), diff)
		}
	})
}

// A job that is run beside the scheduler, with the same runner, waits for the scheduler's and keeps the lease from nobody.
func TestOneRunnerRunsOneJobOfALeaseAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, rec := newMemory(), newRecorder(t)
		runner := &scheduler.Runner{Store: m, CVR: cvr}
		s := start(t, m, scheduler.Options{Runner: runner, Jobs: []scheduler.Job{
			rec.job(scheduler.JobReconcile, scheduler.LeaseWriter, "", lasts(time.Minute)),
		}})
		if err := s.Trigger(scheduler.JobReconcile); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		began := time.Now()
		if _, err := runner.Run(t.Context(), rec.job(scheduler.JobImport, scheduler.LeaseWriter, "", func(context.Context) error {
			if running := s.Running(); len(running) != 0 {
				t.Errorf("at the same time: %v", running)
			}
			return nil
		}), scheduler.TriggerCommand, nil); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited != time.Minute {
			t.Errorf("waited %v", waited)
		}
		if err := s.Trigger(scheduler.JobReconcile); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		run, err := runner.Run(ctx, rec.job(scheduler.JobImport, scheduler.LeaseWriter, "", nil), scheduler.TriggerCommand, nil)
		if !errors.Is(err, context.DeadlineExceeded) || run.ID != 0 {
			t.Errorf("who would not wait got %+v, %v", run, err)
		}
	})
}

// A process that runs on finds what another one, which held the lease in between, left behind.
func TestRunsOfADeadNeighbourAreMarked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		runner := scheduler.Runner{Store: m, CVR: cvr, Owner: "survivor"}
		job := scheduler.Job{
			Name: scheduler.JobReconcile, Lease: scheduler.LeaseWriter,
			Run: func(context.Context, *scheduler.Run, scheduler.Progress) error { return nil },
		}
		run := func() {
			t.Helper()
			if _, err := runner.Run(t.Context(), job, scheduler.TriggerCommand, nil); err != nil {
				t.Fatal(err)
			}
		}
		run()
		now := time.Now()
		if _, err := m.AcquireLease(t.Context(), scheduler.LeaseWriter, "dead", now, scheduler.DefaultTTL); err != nil {
			t.Fatal(err)
		}
		left := scheduler.Run{CVR: cvr, Job: scheduler.JobReconcile, Owner: "dead", StartedAt: now, Outcome: scheduler.Running}
		if err := m.StartRun(t.Context(), &left); err != nil {
			t.Fatal(err)
		}
		_, err := runner.Run(t.Context(), job, scheduler.TriggerCommand, nil)
		var held *scheduler.HeldError
		if !errors.As(err, &held) || held.Lease.Owner != "dead" {
			t.Errorf("while the other holds the lease: %v", err)
		}
		pass(scheduler.DefaultTTL)
		run()
		want := []scheduler.Outcome{scheduler.OK, scheduler.Interrupted, scheduler.OK}
		if diff := cmp.Diff(want, outcomes(m.all())); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestTwoProcessesRunAJobOncePerHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		passUntil(t, "2000-02-10 00:00:00")
		m, rec := newMemory(), newRecorder(t)
		for i := range 2 { // the seconds of the two differ
			cron := crons(t, scheduler.Hours{Minute: 17, Second: 10 + 30*i})[scheduler.JobCatalogue]
			start(t, m, scheduler.Options{Jobs: []scheduler.Job{
				rec.job(scheduler.JobCatalogue, scheduler.LeaseReader, cron, lasts(time.Duration(1+i)*25*time.Second)),
			}})
		}
		passUntil(t, "2000-02-11 00:00:00")
		want := []string{"02-10 03:17:10", "02-10 10:17:10", "02-10 14:17:10"}
		if diff := cmp.Diff(want, rec.times(scheduler.JobCatalogue)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// L8: whatever happens to the database and to the processes, two of them never write at the same time.
func TestLawL8OneWriter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		minutes := rapid.SliceOfN(rapid.SampledFrom([]string{"work", "down", "slow", "restart"}), 5, 20).Draw(rt, "minutes")
		work := rapid.SliceOfN(rapid.IntRange(1, 400), 3, 3).Draw(rt, "seconds of work")
		reaction := time.Duration(rapid.IntRange(0, 14).Draw(rt, "seconds to stop")) * time.Second
		synctest.Test(t, func(t *testing.T) {
			m := newMemory()
			var writing atomic.Int32
			var overlaps atomic.Int32
			process := func(i int) *scheduler.Scheduler {
				job := scheduler.Job{
					Name: scheduler.JobReconcile, Lease: scheduler.LeaseWriter, Cron: fmt.Sprintf("%d * * * * *", 7*i), Retry: true,
					Run: func(ctx context.Context, _ *scheduler.Run, _ scheduler.Progress) error {
						if writing.Add(1) > 1 {
							overlaps.Add(1)
						}
						defer writing.Add(-1)
						select {
						case <-time.After(time.Duration(work[i]) * time.Second):
							return nil
						case <-ctx.Done():
							<-time.After(reaction) // the request in flight
							return ctx.Err()
						}
					},
				}
				s, err := scheduler.New(scheduler.Options{Jobs: []scheduler.Job{job}, Runner: &scheduler.Runner{Store: m, CVR: cvr}})
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				return s
			}
			all := []*scheduler.Scheduler{process(0), process(1), process(2)}
			for i, happens := range minutes {
				switch happens {
				case "down":
					m.setDown(true)
					pass(50 * time.Second)
					m.setDown(false)
				case "slow":
					wait := make(chan struct{})
					m.mu.Lock()
					m.renewing = wait
					m.mu.Unlock()
					pass(50 * time.Second)
					m.mu.Lock()
					m.renewing = nil
					m.mu.Unlock()
					close(wait)
				case "restart":
					if err := all[i%3].Stop(t.Context()); err != nil {
						t.Error(err)
					}
					all[i%3] = process(i % 3)
				}
				pass(time.Minute)
			}
			for _, s := range all {
				if err := s.Stop(t.Context()); err != nil {
					t.Error(err)
				}
			}
			if n := overlaps.Load(); n > 0 {
				rt.Errorf("%d times two processes wrote at the same time", n)
			}
			if len(m.all()) == 0 {
				rt.Error("nobody ever wrote")
			}
		})
	})
}
