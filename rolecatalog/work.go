package rolecatalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// WorkReport tells how a turn of the work list went.
type WorkReport struct {
	Done   int `json:"done"`
	Failed int `json:"failed"` // tried again later
	ReconcileReport
}

// waitBlocked is how long people wait whose plan a guard or the quarantine holds up: a person has to act first.
const waitBlocked = 15 * time.Minute

// ProcessWork reconciles the people on the work list whose time has come, at most limit of them. Who fails is tried again
// after the times of RetryDelay; who is marked anew meanwhile stays on the list.
func (b *Bridge) ProcessWork(ctx context.Context, limit int, o ReconcileOptions) (WorkReport, error) {
	var report WorkReport
	due, err := b.store.DueWork(ctx, b.cvr, b.now(), limit)
	if err != nil || len(due) == 0 {
		return report, err
	}
	// At most twice: removals that one person's failed reading has held back go through without that person.
	for turn := 0; len(due) > 0; turn++ {
		users := make([]uint64, len(due))
		for i := range due {
			users[i] = due[i].UserID
		}
		slices.Sort(users)
		r, err := b.Reconcile(ctx, Selection{Users: users, Label: b.label(ctx, users)}, o)
		if err != nil {
			// A run that was only stopped leaves everybody due at once.
			if ctx.Err() == nil && !errors.Is(err, ErrFenced) {
				b.postpone(ctx, due, err)
			}
			return report, err
		}
		report.add(&r)
		changes := &Changes{}
		var again []Work
		for _, w := range due {
			switch why := r.unfinished[w.UserID]; {
			case (r.Blocked || r.Quarantined) && !r.DryRun:
				w.NextTryAt, w.LastError = b.now().Add(waitBlocked), cmp.Or(firstRed(r.Plan), "the bridge is in quarantine")
				changes.Retried = append(changes.Retried, w)
				report.Failed++
			case why != "":
				changes.Retried = append(changes.Retried, b.failedAgain(w, why))
				report.Failed++
			case !r.later[w.UserID].IsZero():
				w.NextTryAt = r.later[w.UserID]
				changes.Retried = append(changes.Retried, w)
			case r.again[w.UserID] && turn == 0:
				again = append(again, w)
			case r.again[w.UserID]:
				w.NextTryAt, w.LastError = b.now().Add(time.Minute), "removals were held back because the reading was incomplete"
				changes.Retried = append(changes.Retried, w)
			default:
				changes.Finished = append(changes.Finished, w)
				report.Done++
			}
		}
		if err := b.commit(ctx, changes); err != nil {
			return report, fmt.Errorf("storing the work list: %w", err)
		}
		due = again
	}
	return report, nil
}

// add sums up the reports of several turns.
func (r *WorkReport) add(t *ReconcileReport) {
	sum := r.ReconcileReport
	r.ReconcileReport = *t
	r.Adopted += sum.Adopted
	r.Added += sum.Added
	r.Removed += sum.Removed
	r.ReconcileReport.Failed += sum.Failed
	r.ReadFailed += sum.ReadFailed
	r.Failures = slices.Concat(sum.Failures, t.Failures)
}

func (b *Bridge) failedAgain(w Work, why string) Work {
	at := b.now()
	w.Attempts++
	w.LastError, w.NextTryAt = why, at.Add(RetryDelay(w.Attempts))
	if w.FirstFailedAt == nil {
		w.FirstFailedAt = &at
	}
	return w
}

// postpone gives work back after a run that failed as a whole.
func (b *Bridge) postpone(ctx context.Context, due []Work, cause error) {
	changes := &Changes{}
	for _, w := range due {
		changes.Retried = append(changes.Retried, b.failedAgain(w, cause.Error()))
	}
	if err := b.commit(ctx, changes); err != nil {
		b.log.WithError(err).Error("Storing the work list failed")
	}
}

// label names whom a plan is for.
func (b *Bridge) label(ctx context.Context, users []uint64) string {
	if len(users) == 1 {
		if found, err := b.store.Users(ctx, UserFilter{IDs: users, IncludeDeleted: true}); err == nil && len(found) == 1 {
			return "user " + found[0].UserID
		}
	}
	return fmt.Sprintf("%d users", len(users))
}

// HousekeepReport tells what housekeeping found.
type HousekeepReport struct {
	Marked int `json:"marked"` // people whose assignments start or stop
	Pruned int `json:"pruned"` // rows past their retention
}

// Retention says how long what is finished is kept. The audit trail is kept for good.
type Retention struct {
	Plans, Runs time.Duration // defaults two years and two years
}

// Housekeep puts on the work list whoever's assignments have started or ended since the last time, and deletes what is
// past its retention. It may be called as often as one likes; after a day on which it didn't run it catches up.
func (b *Bridge) Housekeep(ctx context.Context) (HousekeepReport, error) {
	var report HousekeepReport
	state, err := b.store.State(ctx, b.cvr)
	if err != nil {
		return report, err
	}
	today := b.today()
	switch from := state.DatesThrough; {
	case from == "":
		// The first time there is nothing to catch up with: the first reconcile looks at everybody.
		err = b.commit(ctx, &Changes{State: func(s *State) { s.DatesThrough = today }})
	case from < today:
		var users []uint64
		if users, err = b.store.UsersWithDates(ctx, b.cvr, from, today); err == nil {
			report.Marked = len(users)
			err = b.commit(ctx, &Changes{Mark: b.mark(users, "an assignment starts or stops"), State: func(s *State) { s.DatesThrough = today }})
		}
	}
	if err != nil {
		return report, fmt.Errorf("handing over the assignments that start or stop: %w", err)
	}
	keep := b.o.Retention
	now := b.now()
	report.Pruned, err = b.store.Prune(ctx, b.cvr, now.Add(-keep.Plans), now.Add(-keep.Runs))
	if err != nil {
		return report, fmt.Errorf("deleting what is past its retention: %w", err)
	}
	return report, nil
}
