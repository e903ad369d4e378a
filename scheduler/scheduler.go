package scheduler

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/sirupsen/logrus"
)

// Errors of the scheduler that a caller acts on.
var (
	ErrUnknownJob = errors.New("unknown job")
	ErrNotStarted = errors.New("the scheduler has not been started")
)

// DefaultGrace is how long Stop lets what runs come to an end by itself.
const DefaultGrace = 20 * time.Second

// heldPoll is how often a job that waits for another process asks for the lease.
const heldPoll = 5 * time.Second

// sameTick is how far apart two processes may be and still mean the same hour: their seconds are drawn, their clocks differ.
const sameTick = 2 * time.Minute

func defaultBackoff() []time.Duration {
	return []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}
}

// Options configures a Scheduler.
type Options struct {
	Runner *Runner
	Jobs   []Job
	// AtStart is done in this order, in the background, when the scheduler starts.
	AtStart []StartUp
	// Work is the per-person queue; nil: none.
	Work *Work
	// Disabled: nothing runs by itself, neither at its hour, at the start nor for the queue; Trigger works.
	Disabled bool
	Location *time.Location // of the hours; default Zone
	// Backoff is how long a job that failed as a whole waits before it is run again: after the first time, the second, and so
	// on; the last holds for all that follow. It ends at the job's next hour, and begins anew there. Default 1, 5 and 15
	// minutes, then every hour.
	Backoff []time.Duration
	Grace   time.Duration // default DefaultGrace
}

// StartUp is a job that is run when the scheduler starts, if it is needed.
type StartUp struct {
	Job    string
	Needed func(ctx context.Context) (bool, error) // nil: always. Asked again under the job's lease
	// Required: what comes after waits until this job has run without failing as a whole.
	Required bool
}

// Scheduler runs the jobs at their hours, one at a time under each lease. It is made by New, started once and stopped
// once. Its methods are safe for concurrent use.
type Scheduler struct {
	opts   Options
	runner *Runner
	log    logrus.FieldLogger
	jobs   map[string]*state
	lanes  map[string]*lane
	stop   chan struct{} // closed: nothing new begins
	wg     sync.WaitGroup

	mu       sync.Mutex
	started  bool
	stopping bool
	cron     gocron.Scheduler
	kill     context.CancelCauseFunc // ends what runs
}

// state is what the scheduler knows of a job. Scheduler.mu guards it, except job and lane, which never change.
type state struct {
	job  Job
	lane *lane

	tick        gocron.Job
	pending     *request
	running     *Run // as it was when it began
	done, total int
	waitingFor  *Lease // another process has it
	last        *Run
	lastError   string
	lastOK      time.Time
	failures    int // in a row
	attempt     int // of these, since the job's last hour
	retryAt     time.Time
	retry       *time.Timer
	changed     chan struct{} // closed and replaced whenever a run has ended
}

// request is a run that is to come.
type request struct {
	st       *state
	trigger  string
	asked    time.Time
	leave    bool // to another process that holds the lease
	needless func(ctx context.Context) bool
	done     chan struct{} // closed when run and err are there
	run      Run
	err      error
}

// New checks the options. Nothing runs before Start.
func New(opts Options) (*Scheduler, error) {
	if opts.Runner == nil || opts.Runner.Store == nil {
		return nil, errors.New("a scheduler needs a runner with a store")
	}
	if opts.Location == nil {
		loc, err := time.LoadLocation(Zone)
		if err != nil {
			return nil, fmt.Errorf("loading the time zone of the hours: %w", err)
		}
		opts.Location = loc
	}
	if len(opts.Backoff) == 0 {
		opts.Backoff = defaultBackoff()
	}
	if opts.Grace <= 0 {
		opts.Grace = DefaultGrace
	}
	opts.Runner.setDefaults()
	s := &Scheduler{
		opts: opts, runner: opts.Runner, log: opts.Runner.Logger,
		jobs: make(map[string]*state), lanes: make(map[string]*lane), stop: make(chan struct{}),
	}
	for _, job := range opts.Jobs {
		if err := s.add(job); err != nil {
			return nil, err
		}
	}
	for _, up := range opts.AtStart {
		if s.jobs[up.Job] == nil {
			return nil, fmt.Errorf("start-up: %w %q", ErrUnknownJob, up.Job)
		}
	}
	if w := opts.Work; w != nil {
		if s.jobs[w.Job] == nil {
			return nil, fmt.Errorf("work: %w %q", ErrUnknownJob, w.Job)
		}
		if w.Next == nil {
			return nil, errors.New("work: nobody says when it is due")
		}
	}
	return s, nil
}

func (s *Scheduler) add(job Job) error {
	if job.Name == "" || job.Run == nil {
		return fmt.Errorf("job %q needs a name and something to run", job.Name)
	}
	if s.jobs[job.Name] != nil {
		return fmt.Errorf("job %q is there twice", job.Name)
	}
	if job.Cron != "" {
		if _, err := ParseCron(job.Cron); err != nil {
			return fmt.Errorf("job %q: %w", job.Name, err)
		}
	}
	key := "lease " + job.Lease
	if job.Lease == "" {
		key = "job " + job.Name
	}
	if s.lanes[key] == nil {
		s.lanes[key] = &lane{more: make(chan struct{}, 1)}
	}
	s.jobs[job.Name] = &state{job: job, lane: s.lanes[key], changed: make(chan struct{})}
	return nil
}

// Start begins to run the jobs and returns at once. The end of ctx doesn't end them, as they shall come to an end in an
// orderly way: Stop does.
func (s *Scheduler) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started || s.stopping {
		return errors.New("a scheduler starts once")
	}
	cron, err := gocron.NewScheduler(gocron.WithLocation(s.opts.Location), gocron.WithStopTimeout(s.opts.Grace))
	if err != nil {
		return fmt.Errorf("making the clock of the jobs: %w", err)
	}
	if !s.opts.Disabled {
		if err := s.addTicks(cron); err != nil {
			return errors.Join(err, cron.Shutdown())
		}
	}
	s.recall(ctx)
	ctx, s.kill = context.WithCancelCause(context.WithoutCancel(ctx))
	s.cron, s.started = cron, true
	for _, lane := range s.lanes {
		s.wg.Go(func() { s.serve(ctx, lane) })
	}
	if s.opts.Disabled {
		s.log.Warn("scheduled jobs are switched off; nothing runs unless it is asked for")
		return nil
	}
	cron.Start()
	s.wg.Go(func() { s.startUp(ctx) })
	if s.opts.Work != nil {
		s.wg.Go(func() { s.watch(ctx, *s.opts.Work) })
	}
	return nil
}

// addTicks tells gocron the hours. What gocron runs only puts the job in its queue, so that no job is held up by another,
// and a job that runs when its hour comes again is not doubled.
func (s *Scheduler) addTicks(cron gocron.Scheduler) error {
	for name, st := range s.jobs {
		if st.job.Cron == "" {
			continue
		}
		tick, err := cron.NewJob(gocron.CronJob(st.job.Cron, true), gocron.NewTask(func() { s.tick(name) }),
			gocron.WithName(name), gocron.WithSingletonMode(gocron.LimitModeReschedule),
			// An hour that summer time leaves out is made up for.
			gocron.WithDaylightSavingsTimePolicy(gocron.DaylightSavingsTimeRunAfterTransition))
		if err != nil {
			return fmt.Errorf("scheduling %s at %q: %w", name, st.job.Cron, err)
		}
		st.tick = tick
	}
	return nil
}

// recall reads from the record how the jobs went before this process began, for the status and the metrics.
func (s *Scheduler) recall(ctx context.Context) {
	for name, st := range s.jobs {
		last, ok, err := s.runner.Store.LastRun(ctx, s.runner.CVR, name)
		if err == nil && ok {
			st.last = &last
		}
		if err == nil {
			last, ok, err = s.runner.Store.LastRun(ctx, s.runner.CVR, name, OK)
			if err == nil && ok && last.FinishedAt != nil {
				st.lastOK = *last.FinishedAt
				s.runner.Metrics.succeeded(name, st.lastOK)
			}
		}
		if err != nil {
			s.log.WithError(err).WithField("job", name).Warn("reading when the job last ran")
			return
		}
	}
}

// tick is what gocron calls when the hour of a job has come.
func (s *Scheduler) tick(name string) {
	now := s.runner.Now()
	_, err := s.enqueue(name, request{trigger: TriggerSchedule, asked: now, needless: func(ctx context.Context) bool {
		return s.doneElsewhere(ctx, name, now.Add(-sameTick))
	}})
	if err != nil {
		s.log.WithError(err).WithField("job", name).Info("the hour of the job has come, and it does not run")
	}
}

// doneElsewhere reports whether another process on this database has run the job since then, and it did not fail.
func (s *Scheduler) doneElsewhere(ctx context.Context, name string, since time.Time) bool {
	runs, err := s.runner.Store.Runs(ctx, s.runner.CVR, name, 5)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(runs, func(r Run) bool {
		return r.Owner != s.runner.Owner && !r.StartedAt.Before(since) && r.Outcome != Failed && r.Outcome != Interrupted
	})
}

// Trigger runs a job as soon as its lease allows, and doesn't wait for it. Asked for twice before it begins it runs once;
// asked for while it runs it runs once more. The errors are ErrUnknownJob, ErrNotStarted and ErrStopped.
func (s *Scheduler) Trigger(name string) error {
	_, err := s.enqueue(name, request{trigger: TriggerCommand})
	return err
}

// Do is Trigger, and waits for the run. When ctx ends first the run goes on.
func (s *Scheduler) Do(ctx context.Context, name string) (Run, error) {
	req, err := s.enqueue(name, request{trigger: TriggerCommand})
	if err != nil {
		return Run{}, err
	}
	select {
	case <-req.done:
		return req.run, req.err
	case <-ctx.Done():
		return Run{}, fmt.Errorf("waiting for %s: %w", name, context.Cause(ctx))
	}
}

// Stop lets nothing new begin, gives what runs the grace of the options, or half of what ctx leaves if that is less, calls
// it off, and waits for it. The error is that of ctx, and names what still runs, when ctx ends before that.
func (s *Scheduler) Stop(ctx context.Context) error {
	s.mu.Lock()
	if s.stopping || !s.started {
		s.stopping = true
		s.mu.Unlock()
		s.wg.Wait()
		return nil
	}
	s.stopping = true
	close(s.stop)
	for _, st := range s.jobs {
		if st.retry != nil {
			st.retry.Stop()
		}
	}
	cron, kill := s.cron, s.kill
	s.mu.Unlock()

	if err := cron.ShutdownWithContext(ctx); err != nil {
		s.log.WithError(err).Warn("stopping the clock of the jobs")
	}
	ended := make(chan struct{})
	go func() { s.wg.Wait(); close(ended) }()

	grace := s.opts.Grace
	if deadline, ok := ctx.Deadline(); ok {
		grace = min(grace, time.Until(deadline)/2)
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
		s.log.WithField("jobs", strings.Join(s.names(), ", ")).Warn("calling off what still runs")
	case <-ctx.Done():
	}
	kill(ErrStopped)
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stopping, while %s did not end: %w", strings.Join(s.names(), ", "), ctx.Err())
	}
}

// names returns the jobs that run, in order.
func (s *Scheduler) names() []string {
	return slices.Sorted(maps.Keys(s.Running()))
}
