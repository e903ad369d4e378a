package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/scheduler"
)

// workAtOnce is how many people of the queue one run takes.
const workAtOnce = 200

// fenced makes a job's commits conditional on its lease still being held: a process that was asleep and wakes up after
// another one took over must not overwrite what that one did.
func (a *app) fenced(lease string, work func(ctx context.Context, r *scheduler.Run, p scheduler.Progress) error) func(context.Context, *scheduler.Run, scheduler.Progress) error {
	return func(ctx context.Context, r *scheduler.Run, p scheduler.Progress) error {
		held, ok, err := a.store.CurrentLease(ctx, lease)
		if err != nil {
			return fmt.Errorf("reading the lease: %w", err)
		}
		if !ok || held.Owner != a.runner.Owner {
			return scheduler.ErrLost
		}
		r.DryRun = a.bridge.DryRun()
		return work(rolecatalog.WithFence(ctx, rolecatalog.Fence{Name: lease, Token: held.Token}), r, p)
	}
}

// job makes a job of the bridge.
func (a *app) job(name, lease string, work func(ctx context.Context, r *scheduler.Run, p scheduler.Progress) error) scheduler.Job {
	return scheduler.Job{Name: name, Lease: lease, Run: a.fenced(lease, work)}
}

func (a *app) catalogueJob() scheduler.Job {
	return a.job(scheduler.JobCatalogue, scheduler.LeaseReader, func(ctx context.Context, r *scheduler.Run, _ scheduler.Progress) error {
		report, err := a.bridge.RefreshCatalogue(ctx)
		r.Counts = map[string]int{
			"roles": report.Roles, "new": report.New, "changed": report.Changed, "withdrawn": report.Withdrawn, "returned": report.Returned,
		}
		if err == nil && report.Refused != "" {
			err = errors.New(report.Refused)
		}
		return err
	})
}

func (a *app) numbersJob() scheduler.Job {
	return a.job(scheduler.JobNumbers, scheduler.LeaseReader, func(ctx context.Context, r *scheduler.Run, _ scheduler.Progress) error {
		report, err := a.bridge.RefreshNumbers(ctx)
		r.Counts = map[string]int{"pNumbers": report.PNumbers, "seNumbers": report.SENumbers, "new": report.New, "gone": report.Gone}
		if len(report.Warnings) > 0 {
			r.Outcome, r.Error = scheduler.Partly, report.Warnings[0]
		}
		return err
	})
}

func (a *app) administratorsJob() scheduler.Job {
	return a.job(scheduler.JobAdministrators, scheduler.LeaseReader, func(ctx context.Context, r *scheduler.Run, p scheduler.Progress) error {
		report, err := a.bridge.MirrorAdministrators(ctx, rolecatalog.Progress(p))
		r.Counts = map[string]int{"people": report.People, "added": report.Added, "removed": report.Removed, "failed": report.Failed}
		if report.Failed > 0 {
			r.Outcome = scheduler.Partly
		}
		return err
	})
}

func (a *app) housekeepingJob() scheduler.Job {
	return a.job(scheduler.JobHousekeeping, scheduler.LeaseReader, func(ctx context.Context, r *scheduler.Run, _ scheduler.Progress) error {
		if a.keystore != nil {
			a.keystore.logFindings(a.log)
		}
		report, err := a.bridge.Housekeep(ctx)
		r.Counts = map[string]int{"marked": report.Marked, "pruned": report.Pruned}
		return err
	})
}

// importJob imports and puts the report where the command finds it.
func (a *app) importJob(report *rolecatalog.ImportReport) scheduler.Job {
	return a.job(scheduler.JobImport, scheduler.LeaseWriter, func(ctx context.Context, r *scheduler.Run, p scheduler.Progress) error {
		done, err := a.bridge.Import(ctx, rolecatalog.Progress(p))
		*report = done
		r.Counts = map[string]int{
			"candidates": done.Candidates, "adopted": done.Adopted, "failed": done.Failed, "gone": done.Gone,
			"conflicts": done.Conflicts, "roles": done.Roles, "assignments": done.Assignments, "unmanaged": done.Unmanaged,
		}
		if done.Failed > 0 {
			r.Outcome = scheduler.Partly
		}
		return err
	})
}

// reconcileJob does one reconcile: of everybody, or the apply of a plan.
func (a *app) reconcileJob(name string, report *rolecatalog.ReconcileReport, do func(ctx context.Context, o rolecatalog.ReconcileOptions) (rolecatalog.ReconcileReport, error)) scheduler.Job {
	return a.job(name, scheduler.LeaseWriter, func(ctx context.Context, r *scheduler.Run, p scheduler.Progress) error {
		done, err := do(ctx, rolecatalog.ReconcileOptions{Run: r.ID, Progress: rolecatalog.Progress(p)})
		*report = done
		record(r, &done)
		return err
	})
}

// record puts a reconcile's figures into its run.
func record(r *scheduler.Run, done *rolecatalog.ReconcileReport) {
	r.Plan, r.DryRun = done.PlanID, done.DryRun
	r.Counts = map[string]int{
		"adopted": done.Adopted, "added": done.Added, "removed": done.Removed, "failed": done.Failed, "held": done.Held,
		"readFailed": done.ReadFailed,
	}
	switch {
	case done.Blocked || done.Quarantined:
		r.Outcome = scheduler.Blocked
	case !done.Clean():
		r.Outcome = scheduler.Partly
	}
	if len(done.Failures) > 0 {
		r.Error = fmt.Sprintf("%s: %s", done.Failures[0].User, done.Failures[0].Error)
	}
}

func (a *app) peopleJob() scheduler.Job {
	job := a.job(scheduler.JobPeople, scheduler.LeaseWriter, func(ctx context.Context, r *scheduler.Run, p scheduler.Progress) error {
		report, err := a.bridge.ProcessWork(ctx, workAtOnce, rolecatalog.ReconcileOptions{Run: r.ID, Progress: rolecatalog.Progress(p)})
		record(r, &report.ReconcileReport)
		r.Counts[scheduler.CountDone] = report.Done
		r.Counts["left"] = report.Failed
		if report.Failed > 0 && report.Done+report.Added+report.Removed == 0 && r.Outcome != scheduler.Blocked {
			r.Outcome = scheduler.Failed // nothing at all worked, for anybody
		}
		return err
	})
	job.Urgent, job.Retry = true, true
	return job
}

// scheduler puts all jobs on the clock.
func (a *app) scheduler(ctx context.Context) (*scheduler.Scheduler, error) {
	crons, err := a.hours(ctx)
	if err != nil {
		return nil, err
	}
	var (
		imported   rolecatalog.ImportReport
		reconciled rolecatalog.ReconcileReport
	)
	jobs := []scheduler.Job{
		a.catalogueJob(), a.numbersJob(), a.importJob(&imported), a.administratorsJob(), a.housekeepingJob(), a.peopleJob(),
		a.reconcileJob(scheduler.JobReconcile, &reconciled, func(ctx context.Context, o rolecatalog.ReconcileOptions) (rolecatalog.ReconcileReport, error) {
			return a.bridge.Reconcile(ctx, rolecatalog.Selection{}, o)
		}),
	}
	for i := range jobs {
		jobs[i].Cron = crons[jobs[i].Name]
		jobs[i].Retry = true
	}
	overdue := func(job string) func(context.Context) (bool, error) {
		return func(ctx context.Context) (bool, error) { return a.overdue(ctx, job, crons[job]) }
	}
	state := func(needed func(rolecatalog.State) bool) func(context.Context) (bool, error) {
		return func(ctx context.Context) (bool, error) {
			st, err := a.store.State(ctx, a.config.CVR)
			return needed(st), err
		}
	}
	return scheduler.New(scheduler.Options{
		Runner: a.runner, Jobs: jobs, Disabled: !a.config.Schedule.Enabled,
		AtStart: []scheduler.StartUp{
			{Job: scheduler.JobHousekeeping},
			{Job: scheduler.JobCatalogue, Required: true, Needed: state(func(s rolecatalog.State) bool { return s.CatalogueAt == nil })},
			{Job: scheduler.JobCatalogue, Needed: overdue(scheduler.JobCatalogue)},
			{Job: scheduler.JobImport, Needed: state(func(s rolecatalog.State) bool { return s.FirstImportAt == nil })},
			{Job: scheduler.JobNumbers, Needed: overdue(scheduler.JobNumbers)},
			{Job: scheduler.JobReconcile, Needed: func(ctx context.Context) (bool, error) {
				st, err := a.store.State(ctx, a.config.CVR)
				if err != nil || st.FirstImportAt == nil { // then the import comes first, and what follows from it at its hour
					return false, err
				}
				return a.overdue(ctx, scheduler.JobReconcile, crons[scheduler.JobReconcile])
			}},
			{Job: scheduler.JobAdministrators, Needed: overdue(scheduler.JobAdministrators)},
		},
		Work: &scheduler.Work{
			Job: scheduler.JobPeople, Wake: a.bridge.WorkAdded(), Next: a.nextWork, Quiet: a.config.Schedule.Quiet,
		},
	})
}

// overdue reports whether a job with hours has to be made up for: it has never run, its last run failed or was broken off
// (also by a process that was killed, and whose record says that it still runs), or an hour has passed without it.
func (a *app) overdue(ctx context.Context, job, cron string) (bool, error) {
	if cron == "" { // switched off
		return false, nil
	}
	runs, err := a.store.Runs(ctx, a.config.CVR, job, 1)
	if err != nil || len(runs) == 0 {
		return err == nil, err
	}
	switch last := &runs[0]; last.Outcome {
	case scheduler.Running, scheduler.Interrupted, scheduler.Failed:
		return true, nil
	default:
		return scheduler.Missed(cron, last.StartedAt, a.now())
	}
}

// nextWork tells when the queue is due. Before the catalogue is there it is not: the first look at a person would read the
// catalogue too, at the same time as the job for it.
func (a *app) nextWork(ctx context.Context) (time.Time, bool, error) {
	state, err := a.store.State(ctx, a.config.CVR)
	if err != nil || state.CatalogueAt == nil {
		return time.Time{}, false, err
	}
	return a.bridge.NextWork(ctx)
}
