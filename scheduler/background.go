package scheduler

import (
	"context"
	"errors"
	"time"
)

// DefaultPoll is how often the queue is asked for work that another process put there.
const DefaultPoll = 5 * time.Second

// maxStall bounds how long the queue is left alone when a run got none of its due work done.
const maxStall = 15 * time.Minute

// Work is the per-person queue, as far as the scheduler knows it.
type Work struct {
	Job string // works off what is due; a job with a lease, Urgent and Retry
	// Wake says that something was put in the queue by this process. It may be nil.
	Wake <-chan struct{}
	// Next returns when the first of the queue is due; ok is false when it is empty.
	Next  func(ctx context.Context) (at time.Time, ok bool, err error)
	Poll  time.Duration // default DefaultPoll
	Quiet Quiet         // when nobody is worked on
}

// startUp runs what is needed at the start, in order.
func (s *Scheduler) startUp(ctx context.Context) {
	for _, up := range s.opts.AtStart {
		if !s.startOne(ctx, up) {
			return
		}
	}
}

// startOne runs one job of the start if it is needed, and waits for it. It reports whether to go on.
func (s *Scheduler) startOne(ctx context.Context, up StartUp) bool {
	st := s.jobs[up.Job]
	log := s.log.WithField("job", up.Job)
	for attempt := 1; up.Needed != nil; attempt++ {
		needed, err := up.Needed(ctx)
		if err == nil && !needed {
			return true
		}
		if err == nil {
			break
		}
		log.WithError(err).Warn("whether the job is needed at the start is not known; asking again")
		if !s.pause(s.backoff(attempt)) {
			return false
		}
	}
	req, err := s.enqueue(up.Job, request{trigger: TriggerStart, needless: func(ctx context.Context) bool {
		if up.Needed == nil {
			return false
		}
		needed, err := up.Needed(ctx)
		return err == nil && !needed
	}})
	if err != nil {
		return false
	}
	select {
	case <-req.done:
	case <-s.stop:
		return false
	}
	for up.Required {
		s.mu.Lock()
		failing, changed := st.failures > 0, st.changed
		s.mu.Unlock()
		if !failing {
			break
		}
		select {
		case <-changed:
		case <-s.stop:
			return false
		}
	}
	return true
}

// watch has the queue worked off: when it is woken, when something comes due, and now and then for the sake of other
// processes, which share it.
func (s *Scheduler) watch(ctx context.Context, w Work) {
	if w.Poll <= 0 {
		w.Poll = DefaultPoll
	}
	poll := time.NewTicker(w.Poll)
	defer poll.Stop()
	due := time.NewTimer(0) // what an earlier process left is looked at once
	defer due.Stop()
	q := queue{s: s, w: w, st: s.jobs[w.Job]}
	wake := w.Wake
	for {
		select {
		case <-s.stop:
			return
		case _, open := <-wake:
			if !open {
				wake = nil
			}
			q.woken()
		case <-poll.C:
		case <-due.C:
		}
		for {
			again, at := q.work(ctx)
			if !at.IsZero() {
				due.Reset(at.Sub(s.runner.Now()))
			}
			if !again {
				break
			}
		}
	}
}

// queue is what watch remembers from one look at the queue to the next.
type queue struct {
	s  *Scheduler
	w  Work
	st *state

	broken    bool // the last look failed
	stalls    int  // runs in a row that got nothing done
	ended     time.Time
	notBefore time.Time
}

// woken has new work looked at soon, even though what was there before could not be done.
func (q *queue) woken() {
	if soon := q.ended.Add(q.w.Poll); q.notBefore.After(soon) {
		q.notBefore = soon
	}
}

// work runs the job if something is due. It reports whether to look again at once, and otherwise when, if that is known.
func (q *queue) work(ctx context.Context) (again bool, at time.Time) {
	s := q.s
	at, ok, err := q.w.Next(ctx)
	if err != nil {
		if !q.broken {
			s.log.WithError(err).Error("the queue of people cannot be read; trying on")
		}
		q.broken = true
		return false, time.Time{}
	}
	q.broken = false
	if !ok {
		return false, time.Time{}
	}
	s.mu.Lock()
	retryAt := q.st.retryAt
	s.mu.Unlock()
	due := at
	at = latest(at, retryAt, q.notBefore)
	now := s.runner.Now().In(s.opts.Location)
	if end, quiet := q.w.Quiet.until(latest(at, now).In(s.opts.Location)); quiet {
		at = latest(at, end)
	}
	if at.After(now) {
		return false, at
	}
	req, err := s.enqueue(q.w.Job, request{trigger: TriggerChange, leave: true})
	if err != nil {
		return false, time.Time{}
	}
	select {
	case <-req.done:
	case <-s.stop:
		return false, time.Time{}
	}
	q.ended = s.runner.Now()
	if errors.Is(req.err, ErrHeld) || req.err != nil && failedAsAWhole(req.run, req.err) {
		return false, time.Time{} // left to who holds the lease, or until retryAt
	}
	q.stalled(ctx, due, req.run)
	return true, time.Time{}
}

// stalled leaves the queue alone for a while when a run did nothing for anybody and what was due before still is, as it
// may be when writing is blocked: asking again and again would change nothing.
func (q *queue) stalled(ctx context.Context, due time.Time, run Run) {
	next, ok, err := q.w.Next(ctx)
	if err == nil && (!ok || !next.Equal(due)) || run.Counts[CountDone] > 0 {
		q.stalls, q.notBefore = 0, time.Time{}
		return
	}
	q.stalls++
	q.notBefore = q.ended.Add(min(q.s.backoff(q.stalls), maxStall))
}

func latest(t time.Time, others ...time.Time) time.Time {
	for _, o := range others {
		if o.After(t) {
			t = o
		}
	}
	return t
}
