package scheduler

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/sirupsen/logrus"
)

// What set a run off.
const (
	TriggerSchedule = "schedule" // its hour
	TriggerStart    = "start"    // the process began and it had never been done, had been broken off, or its hour had been missed
	TriggerCommand  = "command"  // a person
	TriggerChange   = "change"   // somebody's roles changed, or a retry of one came due
	TriggerRetry    = "retry"    // the run before failed as a whole
)

// CountDone is the count in which a run of JobPeople says for how many people it did the work.
const CountDone = "done"

// maxErrorBytes bounds the error text of a run record.
const maxErrorBytes = 2000

// finishTimeout bounds the storing of how a run ended, which is done also when the run itself was called off.
const finishTimeout = 10 * time.Second

// ErrStopped is the cause with which the context of a job ends when the process is shut down.
var ErrStopped = errors.New("shutting down")

// PanicError is a bug in a job, caught. The process goes on; the run has failed.
type PanicError struct {
	Value any
	Stack []byte
}

// Error gives the value of the panic, not the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Progress is told how far a job is; total may grow while it runs.
type Progress func(done, total int)

// Job is a piece of the bridge's work. The scheduler knows when and how often it runs, and nothing of what it does.
type Job struct {
	Name string // one of the Job… constants, or another name of its own
	// Lease is the name of the lease it runs under, and jobs of one lease run one at a time, in this process and in all
	// others. Without one it may run beside anything, and while it runs another process may take it for dead.
	Lease string
	// Cron is when it runs, in the form that ParseCron returns. "": never by itself.
	Cron string
	// Urgent jobs go before the others that wait for the same lease.
	Urgent bool
	// Retry: when it fails as a whole it is tried again after a while, see Options.Backoff.
	Retry bool
	// Run does it. It fills in the Counts, Plan and DryRun of the run, and the Outcome where the error doesn't tell it (Partly,
	// Blocked). Nobody else looks at r before Run returns. An error makes the run Failed if Run left the Outcome empty or
	// OK. When ctx ends, Run ends as soon as what it has begun allows.
	Run func(ctx context.Context, r *Run, progress Progress) error
}

// Runner runs jobs once: under their lease, on the record, and with panics caught. The commands that do one thing use it
// as it is; the Scheduler uses it for all it does. A process has one, shared by all, and jobs of one lease that are run at
// the same time wait for each other. Its methods are safe for concurrent use.
type Runner struct {
	Store    Store
	CVR      string
	Owner    string             // of NewOwner; default a new one
	LeaseTTL time.Duration      // default DefaultTTL
	Now      func() time.Time   // default time.Now
	Logger   logrus.FieldLogger // default: silent
	Metrics  *Metrics           // nil: none

	once       sync.Once
	mu         sync.Mutex
	tokens     map[string]uint64 // by lease: the token it was last held with
	turns      map[string]chan struct{}
	unfinished []Run // ended, but not yet stored as such
}

func silent() logrus.FieldLogger {
	l := logrus.New()
	l.SetOutput(io.Discard)
	return l
}

func (r *Runner) setDefaults() {
	r.once.Do(func() {
		if r.Owner == "" {
			r.Owner = NewOwner()
		}
		if r.Now == nil {
			r.Now = time.Now
		}
		if r.Logger == nil {
			r.Logger = silent()
		}
		if r.Metrics == nil {
			r.Metrics = NewMetrics(nil)
		}
		r.tokens, r.turns = make(map[string]uint64), make(map[string]chan struct{})
	})
}

// Run runs the job now. The error is the job's own: a *HeldError when it did not begin because another process holds its
// lease, a *PanicError when it panicked, one that is ErrLost when the lease was lost on the way. The run that is returned
// says how it ended; its ID is 0 when it did not begin. progress may be nil.
func (r *Runner) Run(ctx context.Context, job Job, trigger string, progress Progress) (Run, error) {
	return r.run(ctx, job, trigger, runHooks{progress: progress})
}

// runHooks is what the scheduler wants to know and say of a run.
type runHooks struct {
	progress Progress
	// needless is asked under the lease whether the run need not be any more.
	needless func(ctx context.Context) bool
	started  func(Run)
}

// errNeedless says that a run did not begin because it was not needed any more.
var errNeedless = errors.New("not needed any more")

func (r *Runner) run(ctx context.Context, job Job, trigger string, hooks runHooks) (Run, error) {
	r.setDefaults()
	if job.Lease == "" {
		return r.record(ctx, job, trigger, hooks)
	}
	turn := r.turn(job.Lease)
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return Run{}, fmt.Errorf("waiting for another job under the lease %q: %w", job.Lease, context.Cause(ctx))
	}
	held, hold, err := Acquire(ctx, LeaseOptions{
		Store: r.Store, Name: job.Lease, Owner: r.Owner, TTL: r.LeaseTTL, Now: r.Now, Logger: r.Logger,
	})
	if err != nil {
		return Run{}, err
	}
	r.Metrics.leaseHeld(job.Lease, true)
	defer r.Metrics.leaseHeld(job.Lease, false)
	defer hold.Release(ctx)
	if err := r.tidyUp(held, hold.Lease()); err != nil {
		return Run{}, err
	}
	return r.record(held, job, trigger, hooks)
}

// turn has room for one: the lease alone would let this process in twice, and the first to end would give it away.
func (r *Runner) turn(lease string) chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.turns[lease] == nil {
		r.turns[lease] = make(chan struct{}, 1)
	}
	return r.turns[lease]
}

// tidyUp marks the runs that dead processes left behind, when the lease comes from another process or this one is new.
func (r *Runner) tidyUp(ctx context.Context, l Lease) error {
	r.mu.Lock()
	before, known := r.tokens[l.Name]
	r.tokens[l.Name] = l.Token
	r.mu.Unlock()
	if known && l.Token-before <= 1 { // nobody else had it in between
		return nil
	}
	n, err := r.Store.InterruptRuns(ctx, r.CVR, 0, r.Now())
	if err != nil {
		r.mu.Lock()
		delete(r.tokens, l.Name)
		r.mu.Unlock()
		return fmt.Errorf("marking interrupted runs: %w", err)
	}
	if n > 0 {
		r.Logger.WithField("runs", n).Warn("runs of a process that is gone were marked as interrupted")
	}
	return nil
}

func (r *Runner) record(ctx context.Context, job Job, trigger string, hooks runHooks) (Run, error) {
	r.storeUnfinished(ctx)
	if hooks.needless != nil && hooks.needless(ctx) {
		return Run{}, errNeedless
	}
	run := Run{
		CVR: r.CVR, Job: job.Name, Trigger: trigger, Owner: r.Owner,
		StartedAt: r.Now(), Outcome: Running,
	}
	if err := r.Store.StartRun(ctx, &run); err != nil {
		return Run{}, fmt.Errorf("recording that %s begins: %w", job.Name, err)
	}
	log := r.Logger.WithFields(logrus.Fields{"job": job.Name, "run": run.ID, "trigger": trigger})
	log.Info("job begins")
	if hooks.started != nil {
		hooks.started(run)
	}
	r.Metrics.started(job.Name)
	began := r.Now()

	progress := hooks.progress
	if progress == nil {
		progress = func(int, int) {}
	}
	working := run
	working.Outcome = ""
	err := call(ctx, job, &working, progress)
	if err != nil && lost(ctx) && !errors.Is(err, ErrLost) {
		err = fmt.Errorf("%w: %w", ErrLost, err)
	}

	// What the job may say of its run, and nothing else.
	run.Counts, run.Plan, run.DryRun, run.Error = working.Counts, working.Plan, working.DryRun, working.Error
	run.Outcome = outcome(ctx, working.Outcome, err)
	if err != nil {
		run.Error = err.Error()
	}
	run.Error = bounded(run.Error)
	finished := r.Now()
	run.FinishedAt = &finished
	took := finished.Sub(began)
	r.Metrics.finished(job.Name, run.Outcome, took, finished)
	logEnd(log, run, took, err)
	r.finish(ctx, run)
	return run, err
}

// call runs the job's function and turns a panic into an error.
func call(ctx context.Context, job Job, run *Run, progress Progress) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return job.Run(ctx, run, progress)
}

// outcome tells how a run ended from what the job said of it and from its error. A run that was called off is not a
// failure, unless it failed before that of itself.
func outcome(ctx context.Context, said Outcome, err error) Outcome {
	if err == nil {
		if said == "" || said == Running {
			return OK
		}
		return said
	}
	var bug *PanicError
	switch {
	case errors.As(err, &bug):
		return Failed
	case ctx.Err() != nil:
		return Interrupted
	case said == "" || said == Running || said == OK:
		return Failed
	default:
		return said
	}
}

func logEnd(log logrus.FieldLogger, run Run, took time.Duration, err error) {
	log = log.WithFields(logrus.Fields{"outcome": run.Outcome, "duration": took.Round(time.Millisecond).String()})
	for name, n := range run.Counts {
		log = log.WithField("count."+name, n)
	}
	var bug *PanicError
	switch {
	case errors.As(err, &bug):
		log.WithField("stack", string(bug.Stack)).WithError(err).Error("job panicked")
	case run.Outcome == OK:
		log.Info("job done")
	case run.Outcome == Partly || run.Outcome == Blocked || run.Outcome == Interrupted:
		log.WithField("error", run.Error).Warn("job ended")
	default:
		log.WithField("error", run.Error).Error("job failed")
	}
}

// finish stores how a run ended, or keeps it for later when the database cannot be reached.
func (r *Runner) finish(ctx context.Context, run Run) {
	if err := r.finishNow(ctx, &run); err != nil {
		r.Logger.WithError(err).WithFields(logrus.Fields{"job": run.Job, "run": run.ID}).
			Error("how the run ended could not be stored; it is tried again before the next run")
		r.mu.Lock()
		r.unfinished = append(r.unfinished, run)
		r.mu.Unlock()
	}
}

func (r *Runner) finishNow(ctx context.Context, run *Run) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	return r.Store.FinishRun(ctx, run)
}

func (r *Runner) storeUnfinished(ctx context.Context) {
	r.mu.Lock()
	runs := r.unfinished
	r.unfinished = nil
	r.mu.Unlock()
	for _, run := range runs {
		r.finish(ctx, run)
	}
}

// bounded cuts a text so that it fits the record, between two characters, and makes it valid UTF-8.
func bounded(s string) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) <= maxErrorBytes {
		return s
	}
	cut := maxErrorBytes - len("…")
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
