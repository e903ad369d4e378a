package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollebro/rollebro/scheduler"
)

// The service holds the writer lease for moments at a time; a person's command shouldn't fail by chance.
const (
	leaseWait = 15 * time.Second
	leaseLook = 250 * time.Millisecond
)

// waitFlag adds --wait.
func waitFlag(cmd *cobra.Command) *time.Duration {
	return cmd.Flags().Duration("wait", leaseWait, "how `long` to wait while another process writes")
}

// runWaiting runs a job for a command, and waits for a while when another process holds its lease.
func (a *app) runWaiting(ctx context.Context, job scheduler.Job, wait time.Duration, progress scheduler.Progress) error {
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	look := time.NewTicker(leaseLook)
	defer look.Stop()
	for told := false; ; {
		_, err := a.runner.Run(ctx, job, scheduler.TriggerCommand, progress)
		held, isHeld := errors.AsType[*scheduler.HeldError](err)
		if !isHeld || wait <= 0 {
			return err
		}
		if !told {
			fmt.Fprintf(a.stderr, "Waiting: %s writes at the moment.\n", held.Lease.Owner)
			told = true
		}
		select {
		case <-look.C:
		case <-deadline.C:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
