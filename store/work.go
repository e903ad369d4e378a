package store

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"github.com/rollebro/rollebro/rolecatalog"
)

// Attempts returns the failed writes that are remembered.
func (s *Store) Attempts(ctx context.Context, cvr string) ([]rolecatalog.Attempt, error) {
	var rows []rolecatalog.Attempt
	err := s.read.WithContext(ctx).Table("attempts").Where("cvr = ?", cvr).Order("identity, verb, role, scope_type, scope_value").Find(&rows).Error
	if err != nil {
		return nil, s.mapError(ctx, "reading failed writes", err)
	}
	return rows, nil
}

// DueWork returns the work whose time has come, oldest first. limit 0: all of it.
func (s *Store) DueWork(ctx context.Context, cvr string, now time.Time, limit int) ([]rolecatalog.Work, error) {
	db := s.read.WithContext(ctx).Table("work").Where("cvr = ? AND next_try_at <= ?", cvr, micro(now))
	return s.listWork(ctx, db.Order("next_try_at, user_id"), limit)
}

// Work returns the backlog, longest failing first, then what has not failed yet, oldest first. limit 0: all of it.
func (s *Store) Work(ctx context.Context, cvr string, limit int) ([]rolecatalog.Work, error) {
	db := s.read.WithContext(ctx).Table("work").Where("cvr = ?", cvr)
	return s.listWork(ctx, db.Order("first_failed_at IS NULL, first_failed_at, created_at, user_id"), limit)
}

func (s *Store) listWork(ctx context.Context, db *gorm.DB, limit int) ([]rolecatalog.Work, error) {
	if limit > 0 {
		db = db.Limit(limit)
	}
	var rows []rolecatalog.Work
	if err := db.Find(&rows).Error; err != nil {
		return nil, s.mapError(ctx, "reading the work list", err)
	}
	return rows, nil
}

// NextWork returns when the next work is due; ok is false when there is none.
func (s *Store) NextWork(ctx context.Context, cvr string) (at time.Time, ok bool, err error) {
	var row rolecatalog.Work
	err = s.read.WithContext(ctx).Table("work").Where("cvr = ?", cvr).Order("next_try_at").Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return time.Time{}, false, nil
	}
	if err != nil {
		return time.Time{}, false, s.mapError(ctx, "reading the work list", err)
	}
	return row.NextTryAt, true, nil
}

// WorkBacklog counts all work, and the part of it that has failed before.
func (s *Store) WorkBacklog(ctx context.Context, cvr string) (all, failing int, err error) {
	var row struct{ All, Failing int }
	err = s.read.WithContext(ctx).Raw("SELECT COUNT(*) AS `all`, COUNT(first_failed_at) AS failing FROM work WHERE cvr = ?", cvr).Scan(&row).Error
	if err != nil {
		return 0, 0, s.mapError(ctx, "counting the work list", err)
	}
	return row.All, row.Failing, nil
}
