// Package scheduler decides when the bridge works: the jobs and their hours, the queue of people, the lease that lets
// only one process write, and the record of every run.
package scheduler

import (
	"context"
	"errors"
	"time"
)

// ErrHeld says that another process holds the lease.
var ErrHeld = errors.New("another process holds the writer lease")

// ErrLost says that the lease was taken over while this process thought it held it.
var ErrLost = errors.New("the writer lease was lost")

// Lease is the right to write to MitID Erhverv, held by one process at a time.
type Lease struct {
	Name  string `gorm:"primaryKey" json:"name"`
	Owner string `json:"owner"` // host, process and a random part
	// Token is the fencing token: it grows by one each time the lease changes hands.
	Token      uint64    `json:"token"`
	AcquiredAt time.Time `json:"acquiredAt"`
	ExpiresAt  time.Time `json:"expiresAt"`
}

// Outcome is how a run ended.
type Outcome string

// The outcomes. A run with failures is never OK.
const (
	Running     Outcome = "running"
	OK          Outcome = "ok"
	Partly      Outcome = "partly"      // done, with failures of some
	Failed      Outcome = "failed"      // nothing or not all was done
	Blocked     Outcome = "blocked"     // a guard refused, or quarantine
	Interrupted Outcome = "interrupted" // shut down or killed while it ran
)

// Run is one execution of a job.
type Run struct {
	ID         uint64         `gorm:"primaryKey" json:"id"`
	CVR        string         `json:"cvr"`
	Job        string         `json:"job"`     // one of the Job… constants
	Trigger    string         `json:"trigger"` // schedule, start, command, change
	Owner      string         `json:"owner"`
	DryRun     bool           `json:"dryRun"`
	StartedAt  time.Time      `json:"startedAt"`
	FinishedAt *time.Time     `json:"finishedAt,omitempty"`
	Outcome    Outcome        `json:"outcome"`
	Counts     map[string]int `gorm:"serializer:json" json:"counts,omitempty"`
	Plan       string         `json:"plan,omitempty"`
	Error      string         `json:"error,omitempty"`
}

// The jobs.
const (
	JobCatalogue      = "catalogue"
	JobImport         = "import"
	JobReconcile      = "reconcile"
	JobPeople         = "people" // the per-person queue
	JobAdministrators = "administrators"
	JobNumbers        = "numbers"
	JobHousekeeping   = "housekeeping"
	JobApply          = "apply" // a plan by id
)

// Store keeps leases and runs. Package store implements it.
type Store interface {
	// AcquireLease takes the lease if it is free, expired at now, or held by owner already (then it is extended with the same
	// Token). It returns ErrHeld, with the present holder in the Lease, when another owner holds it.
	AcquireLease(ctx context.Context, name, owner string, now time.Time, ttl time.Duration) (Lease, error)
	// RenewLease extends a lease; ErrLost when Owner or Token aren't the stored ones any more.
	RenewLease(ctx context.Context, l Lease, now time.Time, ttl time.Duration) (Lease, error)
	// ReleaseLease frees a lease that is still held; it is no error when it is not.
	ReleaseLease(ctx context.Context, l Lease) error
	// CurrentLease returns the lease as stored; ok is false when nobody has ever held it.
	CurrentLease(ctx context.Context, name string) (l Lease, ok bool, err error)

	// StartRun stores a run that begins and gives it its ID; FinishRun stores how it ended.
	StartRun(ctx context.Context, r *Run) error
	FinishRun(ctx context.Context, r *Run) error
	// Runs returns the newest runs first; job "": of all jobs.
	Runs(ctx context.Context, cvr, job string, limit int) ([]Run, error)
	// LastRun returns the newest finished run of a job with one of these outcomes (none given: any); ok is false without one.
	LastRun(ctx context.Context, cvr, job string, outcomes ...Outcome) (r Run, ok bool, err error)
	// InterruptRuns marks runs of this owner, or of owners whose lease has expired, that still count as running. Only the holder of
	// the lease calls it.
	InterruptRuns(ctx context.Context, cvr string, except uint64, now time.Time) (int, error)
}
