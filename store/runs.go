package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/rollebro/rollebro/scheduler"
)

// AcquireLease takes a lease if it is free, has expired, or is held by owner already. scheduler.ErrHeld: another has it, and
// it is returned as it stands.
func (s *Store) AcquireLease(ctx context.Context, name, owner string, now time.Time, ttl time.Duration) (scheduler.Lease, error) {
	now = micro(now)
	var lease scheduler.Lease
	err := s.update(ctx, "taking the lease", func(tx *gorm.DB) error {
		if name == "" || owner == "" {
			return fmt.Errorf("%w: a lease needs a name and an owner", ErrInvalid)
		}
		if err := withinLimits(most{"a lease's name", name, 64}, most{"a lease's owner", owner, 255}); err != nil {
			return err
		}
		// The row is there before it is locked, so that two who come first at once wait for each other.
		free := []scheduler.Lease{{Name: name, AcquiredAt: now, ExpiresAt: now}}
		if err := insert(s, tx, "leases", free, &clause.OnConflict{DoNothing: true}); err != nil {
			return err
		}
		lease = scheduler.Lease{}
		if err := s.lock(tx).Table("leases").Where("name = ?", name).Take(&lease).Error; err != nil {
			return err
		}
		switch {
		case lease.Owner == owner:
		case lease.Owner == "" || !lease.ExpiresAt.After(now):
			lease.Owner, lease.AcquiredAt = owner, now
			lease.Token++
		default:
			return scheduler.ErrHeld
		}
		lease.ExpiresAt = micro(now.Add(ttl))
		return saveLease(tx, lease)
	})
	return lease, err
}

// RenewLease extends a lease. scheduler.ErrLost: it is another's by now, or was released.
func (s *Store) RenewLease(ctx context.Context, l scheduler.Lease, now time.Time, ttl time.Duration) (scheduler.Lease, error) {
	var lease scheduler.Lease
	err := s.update(ctx, "renewing the lease", func(tx *gorm.DB) error {
		lease = scheduler.Lease{}
		err := s.lock(tx).Table("leases").Where("name = ?", l.Name).Take(&lease).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return scheduler.ErrLost
		}
		if err != nil {
			return err
		}
		if lease.Owner != l.Owner || lease.Token != l.Token {
			return scheduler.ErrLost
		}
		lease.ExpiresAt = micro(now.Add(ttl))
		return saveLease(tx, lease)
	})
	return lease, err
}

func saveLease(tx *gorm.DB, l scheduler.Lease) error {
	return tx.Exec("UPDATE leases SET owner = ?, token = ?, acquired_at = ?, expires_at = ? WHERE name = ?",
		l.Owner, l.Token, l.AcquiredAt, l.ExpiresAt, l.Name).Error
}

// ReleaseLease frees a lease that is still held. Its token stays: the next holder's is larger.
func (s *Store) ReleaseLease(ctx context.Context, l scheduler.Lease) error {
	return s.update(ctx, "releasing the lease", func(tx *gorm.DB) error {
		return tx.Exec("UPDATE leases SET owner = '' WHERE name = ? AND owner = ? AND token = ?", l.Name, l.Owner, l.Token).Error
	})
}

// CurrentLease returns a lease as stored, with no owner when it was released; ok is false when nobody has ever held it.
func (s *Store) CurrentLease(ctx context.Context, name string) (l scheduler.Lease, ok bool, err error) {
	err = s.read.WithContext(ctx).Table("leases").Where("name = ? AND token > 0", name).Take(&l).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return scheduler.Lease{}, false, nil
	}
	if err != nil {
		return scheduler.Lease{}, false, s.mapError(ctx, "reading the lease", err)
	}
	return l, true, nil
}

// StartRun stores a run that begins and gives it its ID.
func (s *Store) StartRun(ctx context.Context, r *scheduler.Run) error {
	var rows []scheduler.Run
	err := s.update(ctx, "recording a run", func(tx *gorm.DB) error {
		if err := own(&r.CVR, ""); err != nil {
			return err
		}
		if err := runLimits(r); err != nil {
			return err
		}
		id, err := s.allocate(tx, "runs", 1)
		if err != nil {
			return err
		}
		rows = []scheduler.Run{*r}
		rows[0].ID = id
		if rows[0].Outcome == "" {
			rows[0].Outcome = scheduler.Running
		}
		return insert(s, tx, "runs", rows, nil)
	})
	if err != nil {
		return err
	}
	*r = rows[0]
	return nil
}

func runLimits(r *scheduler.Run) error {
	return withinLimits(most{"a run's job", r.Job, 64}, most{"a run's trigger", r.Trigger, 64}, most{"a run's owner", r.Owner, 255},
		most{"a run's outcome", string(r.Outcome), 32}, most{"a run's plan", r.Plan, 128})
}

// FinishRun stores how a run ended. rolecatalog.ErrNotFound: it was never started.
func (s *Store) FinishRun(ctx context.Context, r *scheduler.Run) error {
	return s.update(ctx, "recording the end of a run", func(tx *gorm.DB) error {
		if err := runLimits(r); err != nil {
			return err
		}
		if err := s.mustExist(tx, "runs", []uint64{r.ID}); err != nil {
			return err
		}
		return replace(s, tx, "runs", []scheduler.Run{*r}, []string{"id"},
			[]string{"job", "trigger", "owner", "dry_run", "started_at", "finished_at", "outcome", "counts", "plan", "error"})
	})
}

// Runs returns the newest runs first; job "": of all jobs; limit 0: all of them.
func (s *Store) Runs(ctx context.Context, cvr, job string, limit int) ([]scheduler.Run, error) {
	db := s.read.WithContext(ctx).Table("runs").Where("cvr = ?", cvr)
	if job != "" {
		db = db.Where("job = ?", job)
	}
	if limit > 0 {
		db = db.Limit(limit)
	}
	var rows []scheduler.Run
	if err := db.Order("id DESC").Find(&rows).Error; err != nil {
		return nil, s.mapError(ctx, "reading runs", err)
	}
	return rows, nil
}

// LastRun returns the newest finished run of a job with one of these outcomes (none given: any).
func (s *Store) LastRun(ctx context.Context, cvr, job string, outcomes ...scheduler.Outcome) (r scheduler.Run, ok bool, err error) {
	db := s.read.WithContext(ctx).Table("runs").Where("cvr = ? AND job = ? AND finished_at IS NOT NULL", cvr, job)
	if len(outcomes) > 0 {
		db = db.Where("outcome IN ?", outcomes)
	}
	err = db.Order("id DESC").Take(&r).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return scheduler.Run{}, false, nil
	}
	if err != nil {
		return scheduler.Run{}, false, s.mapError(ctx, "reading runs", err)
	}
	return r, true, nil
}

// InterruptRuns marks the runs that still count as running though nobody runs them: those of the owner of the run except
// (but not that run), and those of owners without a lease that holds at now.
func (s *Store) InterruptRuns(ctx context.Context, cvr string, except uint64, now time.Time) (int, error) {
	var n int64
	err := s.update(ctx, "marking runs that were interrupted", func(tx *gorm.DB) error {
		var self string
		if err := tx.Table("runs").Where("id = ?", except).Limit(1).Pluck("owner", &self).Error; err != nil {
			return err
		}
		done := tx.Exec("UPDATE runs SET outcome = ?, finished_at = ?, error = ? WHERE cvr = ? AND outcome = ? AND id <> ? "+
			"AND (owner = ? OR owner NOT IN (SELECT owner FROM leases WHERE expires_at > ?))",
			scheduler.Interrupted, micro(now), "the process that ran it ended", cvr, scheduler.Running, except, self, micro(now))
		n = done.RowsAffected
		return done.Error
	})
	return int(n), err
}
