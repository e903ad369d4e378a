package scheduler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// lane is the queue of the jobs that share a lease, or of one job without a lease. Scheduler.mu guards the queue.
type lane struct {
	queue []*request
	more  chan struct{} // has one when the queue may have something
}

// enqueue puts a job in its queue, unless it waits there already: then that request stands for both. A job whose hour comes
// while it runs doesn't run again.
func (s *Scheduler) enqueue(name string, req request) (*request, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.jobs[name]
	switch {
	case st == nil:
		return nil, fmt.Errorf("%w %q", ErrUnknownJob, name)
	case s.stopping:
		return nil, ErrStopped
	case !s.started:
		return nil, ErrNotStarted
	case req.trigger == TriggerSchedule && st.running != nil:
		return nil, fmt.Errorf("%s is still running since %s", name, wallClock(st.running.StartedAt))
	case st.pending != nil:
		// Somebody who waits, or insists, makes it sure.
		st.pending.leave = st.pending.leave && req.leave
		if req.needless == nil {
			st.pending.needless = nil
		}
		return st.pending, nil
	}
	r := req
	r.st, r.done = st, make(chan struct{})
	if r.asked.IsZero() {
		r.asked = s.runner.Now()
	}
	st.pending = &r
	l := st.lane
	at := len(l.queue)
	if st.job.Urgent {
		for at > 0 && !l.queue[at-1].st.job.Urgent {
			at--
		}
	}
	l.queue = append(l.queue, nil)
	copy(l.queue[at+1:], l.queue[at:])
	l.queue[at] = &r
	select {
	case l.more <- struct{}{}:
	default:
	}
	return &r, nil
}

// next takes the first request off the queue; nil when there is none.
func (s *Scheduler) next(l *lane) *request {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(l.queue) == 0 {
		return nil
	}
	req := l.queue[0]
	l.queue = l.queue[1:]
	return req
}

// serve runs what comes into the queue, one after the other, until Stop. What then waits is told so.
func (s *Scheduler) serve(ctx context.Context, l *lane) {
	for {
		select {
		case <-s.stop:
			for req := s.next(l); req != nil; req = s.next(l) {
				s.settle(req, Run{}, ErrStopped)
			}
			return
		case <-l.more:
			for req := s.next(l); req != nil; req = s.next(l) {
				run, err := s.attempt(ctx, req)
				s.settle(req, run, err)
			}
		}
	}
}

// attempt runs the job of a request, when its lease is free. ctx ends with Stop's grace.
func (s *Scheduler) attempt(ctx context.Context, req *request) (Run, error) {
	st := req.st
	hooks := runHooks{
		progress: func(done, total int) {
			s.mu.Lock()
			defer s.mu.Unlock()
			st.done, st.total = done, total
		},
		needless: func(ctx context.Context) bool {
			s.mu.Lock()
			needless := req.needless
			s.mu.Unlock()
			return needless != nil && needless(ctx)
		},
		started: func(run Run) {
			s.mu.Lock()
			defer s.mu.Unlock()
			st.running, st.waitingFor, st.done, st.total = &run, nil, 0, 0
			if st.pending == req {
				st.pending = nil
			}
		},
	}
	for {
		select {
		case <-s.stop:
			return Run{}, ErrStopped
		default:
		}
		run, err := s.runner.run(ctx, st.job, req.trigger, hooks)
		var held *HeldError
		if !errors.As(err, &held) || run.ID != 0 {
			return run, err
		}
		s.mu.Lock()
		first, leave := st.waitingFor == nil, req.leave
		if !leave {
			st.waitingFor = &held.Lease
		}
		s.mu.Unlock()
		if leave {
			return run, err
		}
		if first {
			s.log.WithError(err).WithField("job", st.job.Name).Info("the job waits")
		}
		s.pause(heldPoll)
	}
}

// pause waits, and reports whether it was not cut short by Stop.
func (s *Scheduler) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.stop:
		return false
	}
}

// settle notes how a request ended, sees to it that a job that failed as a whole is tried again, and tells who waits.
func (s *Scheduler) settle(req *request, run Run, err error) {
	st := req.st
	regular, hasRegular := s.regular(st)
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.pending == req {
		st.pending = nil
	}
	st.running, st.waitingFor = nil, nil
	req.run, req.err = run, err
	defer func() {
		close(req.done)
		close(st.changed)
		st.changed = make(chan struct{})
	}()
	if run.ID != 0 {
		st.last = &run
		if run.Outcome == OK && run.FinishedAt != nil {
			st.lastOK = *run.FinishedAt
		}
	}
	switch {
	case errors.Is(err, errNeedless):
		req.err = nil
		return
	case errors.Is(err, ErrHeld) && run.ID == 0, errors.Is(err, ErrStopped), s.stopping:
		return
	case !failedAsAWhole(run, err):
		st.lastError, st.failures, st.attempt = "", 0, 0
		st.retryAt = time.Time{}
		if st.retry != nil {
			st.retry.Stop()
		}
		s.runner.Metrics.failuresInARow(st.job.Name, 0)
		return
	}
	s.fail(req, err, regular, hasRegular)
}

// failedAsAWhole reports whether a run did nothing, or not all, of what it should, in a way that trying again may mend.
func failedAsAWhole(run Run, err error) bool {
	return run.ID == 0 && err != nil || run.Outcome == Failed || run.Outcome == Interrupted
}

// fail sets the time of the next attempt. The caller holds mu.
func (s *Scheduler) fail(req *request, err error, regular time.Time, hasRegular bool) {
	st := req.st
	if req.trigger == TriggerSchedule {
		st.attempt = 0
	}
	st.failures++
	st.attempt++
	s.runner.Metrics.failuresInARow(st.job.Name, st.failures)
	st.lastError = cmp.Or(req.run.Error, "failed")
	if err != nil {
		st.lastError = bounded(err.Error())
	}
	log := s.log.WithField("job", st.job.Name).WithField("failures", st.failures)
	if req.run.ID == 0 {
		log = log.WithError(err)
	}
	if st.retry != nil {
		st.retry.Stop()
	}
	st.retryAt = time.Time{}
	queue := s.opts.Work != nil && s.opts.Work.Job == st.job.Name
	if queue && err == nil {
		return // each person of the queue has a next try, and nobody else has to wait for it
	}
	if s.opts.Disabled || !st.job.Retry {
		log.Warn("the job is not tried again by itself")
		return
	}
	delay := s.backoff(st.attempt)
	at := s.runner.Now().Add(delay)
	if hasRegular && !at.Before(regular) {
		log.WithField("next", regular).Warn("the job is tried again at its next hour")
		return
	}
	st.retryAt = at
	log.WithField("next", at).Warn("the job is tried again")
	if queue {
		return // it comes back to it
	}
	name, failed := st.job.Name, s.runner.Now()
	st.retry = time.AfterFunc(delay, func() {
		retry := request{trigger: TriggerRetry, needless: func(ctx context.Context) bool {
			return s.doneElsewhere(ctx, name, failed)
		}}
		if _, err := s.enqueue(name, retry); err != nil && !errors.Is(err, ErrStopped) {
			s.log.WithError(err).WithField("job", name).Error("the job could not be tried again")
		}
	})
}

func (s *Scheduler) backoff(attempt int) time.Duration {
	return s.opts.Backoff[min(max(attempt, 1), len(s.opts.Backoff))-1]
}

// regular returns the next hour of a job. Not under mu: gocron answers from a goroutine of its own.
func (s *Scheduler) regular(st *state) (time.Time, bool) {
	if st.tick == nil { // set before anything runs
		return time.Time{}, false
	}
	select {
	case <-s.stop: // gocron would keep us waiting for an answer
		return time.Time{}, false
	default:
	}
	next, err := st.tick.NextRun()
	return next, err == nil && !next.IsZero()
}
