package scheduler_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollebro/rollebro/scheduler"
	"github.com/rollebro/rollebro/store/storetest"
)

// L8 on a real database: processes that want to write all the time get their turns, and never two at once.
func TestLawL8OneWriterOnADatabase(t *testing.T) {
	t.Parallel()
	db := storetest.SQLite(t)
	const processes, turns = 3, 8
	var writing, overlaps atomic.Int32
	job := scheduler.Job{
		Name: scheduler.JobReconcile, Lease: scheduler.LeaseWriter,
		Run: func(ctx context.Context, r *scheduler.Run, _ scheduler.Progress) error {
			if writing.Add(1) > 1 {
				overlaps.Add(1)
			}
			defer writing.Add(-1)
			l, ok, err := db.CurrentLease(ctx, scheduler.LeaseWriter)
			if err == nil && (!ok || l.Owner != r.Owner) {
				t.Errorf("%s writes, and the lease is %+v", r.Owner, l)
			}
			r.Counts = map[string]int{"added": 1}
			return err
		},
	}
	var wg sync.WaitGroup
	for range processes {
		runner := &scheduler.Runner{Store: db, CVR: cvr, Owner: scheduler.NewOwner()}
		wg.Go(func() {
			for done := 0; done < turns; {
				run, err := runner.Run(t.Context(), job, scheduler.TriggerCommand, nil)
				switch {
				case errors.Is(err, scheduler.ErrHeld):
				case err != nil:
					t.Error(err)
					return
				default:
					done++
					if run.Outcome != scheduler.OK {
						t.Errorf("the run is %+v", run)
					}
				}
			}
		})
	}
	wg.Wait()
	if n := overlaps.Load(); n > 0 {
		t.Errorf("%d times two wrote at once", n)
	}
	runs, err := db.Runs(t.Context(), cvr, scheduler.JobReconcile, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]scheduler.Outcome, processes*turns)
	for i := range want {
		want[i] = scheduler.OK
	}
	if diff := cmp.Diff(want, outcomes(runs)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
