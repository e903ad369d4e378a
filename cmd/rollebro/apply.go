package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/scheduler"
)

func (p *program) applyCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "apply PLAN-ID | --yes",
		Short: "Carry a plan out in MitID Erhverv",
		Long: `Carries a plan out in MitID Erhverv. Everything is read again first, and a plan that
would do something else by now is refused as stale. With --yes there is no plan to hold
to: what is found to be different is changed, within the guards.

The beginning of the id is enough, from 6 characters on. While userDryRunOnly is true,
nothing is written.

Exit codes: 0 done; 3 done in part, the rest is tried again; 4 blocked by a guard or by
the quarantine; 5 the plan is stale; 11 another process is writing.`,
		Example: "  rollebro apply 3f9a2c71\n  rollebro apply --yes",
		Args:    cobra.MaximumNArgs(1),
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "apply what is different, without a plan")
	wait := waitFlag(cmd)
	format := outputFlag(cmd, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		switch {
		case len(args) == 0 && !yes:
			return advise(errNothingNamed, `"rollebro plan" makes a plan and tells its id.`)
		case len(args) == 1 && yes:
			return advise(errors.New("a plan is named and --yes is given"), "Use one of them.")
		case len(args) == 1 && len(args[0]) < shortestID:
			return shortIDError(args[0])
		}
		a, err := p.open(ctx, needsMitID)
		if err != nil {
			return err
		}
		defer a.close()
		job, do := scheduler.JobReconcile, func(ctx context.Context, o rolecatalog.ReconcileOptions) (rolecatalog.ReconcileReport, error) {
			return a.bridge.Reconcile(ctx, rolecatalog.Selection{}, o)
		}
		if len(args) == 1 {
			if _, _, err := a.bridge.StoredPlan(ctx, args[0]); err != nil { // a mistyped id is no run that failed
				return err
			}
			job, do = scheduler.JobApply, func(ctx context.Context, o rolecatalog.ReconcileOptions) (rolecatalog.ReconcileReport, error) {
				o.Actor = actorCommand
				return a.bridge.Apply(ctx, args[0], o)
			}
		}
		var report rolecatalog.ReconcileReport
		bar := p.progress("Applying")
		err = a.runWaiting(ctx, a.reconcileJob(job, &report, do), *wait, bar.update)
		bar.close()
		// Who is refused is told all the same what was found, unless it is about another plan than the one that was named.
		if report.PlanID != "" && !errors.Is(err, rolecatalog.ErrStale) {
			if *format == "json" {
				err = errors.Join(err, writeJSON(p.stdout, report))
			} else {
				writeReconcile(p.stdout, &report)
			}
		}
		if err != nil {
			return err
		}
		return outcome(&report)
	}
	return cmd
}

// actorCommand is who did what was done by a command.
const actorCommand = "command line"

// outcome is the error of a reconcile that did not do everything.
func outcome(r *rolecatalog.ReconcileReport) error {
	switch {
	case r.Blocked:
		return fmt.Errorf("plan %s: %w", shortID(r.PlanID), rolecatalog.ErrBlocked)
	case r.Quarantined:
		return fmt.Errorf("plan %s: %w", shortID(r.PlanID), rolecatalog.ErrQuarantined)
	case !r.Clean():
		return &exitError{code: exitPartly, err: advise(
			errors.New("not everything could be done; what is missing is tried again"),
			`"rollebro status" shows how that goes.`)}
	}
	return nil
}

// shortestID is how much of a plan's id must be given at least, in characters.
const shortestID = 6

func shortIDError(id string) error {
	return advise(fmt.Errorf("%q is too short for the id of a plan", id), "Give at least its first %d characters; \"rollebro status\" lists the newest plans.", shortestID)
}

// shortID is as much of a plan's id as people need.
func shortID(id string) string { return id[:min(12, len(id))] }

func writeReconcile(w io.Writer, r *rolecatalog.ReconcileReport) {
	fmt.Fprintf(w, "Plan %s: ", shortID(r.PlanID))
	switch {
	case r.Blocked:
		fmt.Fprintln(w, "blocked by a guard; nothing was written")
		if r.Plan != nil {
			for _, g := range r.Plan.Guards {
				if !g.OK {
					fmt.Fprintf(w, "  %s\n", printable(g.Message))
				}
			}
		}
	case r.Quarantined:
		fmt.Fprintln(w, "the bridge is quarantined; nothing was written")
	case r.DryRun && r.Plan != nil:
		fmt.Fprintf(w, "dry run: %d to add and %d to remove; nothing was written\n", r.Plan.Counts.Add, r.Plan.Counts.Remove)
	default:
		fmt.Fprintf(w, "%d added, %d removed", r.Added, r.Removed)
		if r.Adopted > 0 {
			fmt.Fprintf(w, ", %s imported", counted(r.Adopted, "identity", "identities"))
		}
		fmt.Fprintln(w)
	}
	for _, part := range []struct {
		n         int
		one, many string
	}{
		{r.Failed, "write failed, or how it went is not known", "writes failed, or how they went is not known"},
		{r.Held, "removal held back, because something that belongs with it failed", "removals held back, because something that belongs with them failed"},
		{r.ReadFailed, "identity could not be read", "identities could not be read"},
	} {
		if part.n > 0 {
			fmt.Fprintf(w, "  %s\n", counted(part.n, part.one, part.many))
		}
	}
	writeFailures(w, r.Failures)
}
