package store

import (
	"context"
	"slices"

	"gorm.io/gorm"

	"github.com/rollebro/rollebro/rolecatalog"
)

// SystemRoles returns an organisation's system roles, withdrawn ones too, by name.
func (s *Store) SystemRoles(ctx context.Context, cvr string) ([]rolecatalog.SystemRole, error) {
	var rows []rolecatalog.SystemRole
	if err := s.read.WithContext(ctx).Table("system_roles").Where("cvr = ?", cvr).Order("name, id").Find(&rows).Error; err != nil {
		return nil, s.mapError(ctx, "reading system roles", err)
	}
	return rows, nil
}

// ScopeNumbers returns an organisation's P- and SE-numbers, those that are gone too.
func (s *Store) ScopeNumbers(ctx context.Context, cvr string) ([]rolecatalog.ScopeNumber, error) {
	var rows []rolecatalog.ScopeNumber
	if err := s.read.WithContext(ctx).Table("scope_numbers").Where("cvr = ?", cvr).Order("scope_type, value").Find(&rows).Error; err != nil {
		return nil, s.mapError(ctx, "reading P- and SE-numbers", err)
	}
	return rows, nil
}

// JobFunctionRoles returns all of them, retired ones too, by name, with their rules and how many users hold them.
func (s *Store) JobFunctionRoles(ctx context.Context, cvr string) ([]rolecatalog.JobFunctionRole, error) {
	var roles []rolecatalog.JobFunctionRole
	err := s.view(ctx, "reading job function roles", func(tx *gorm.DB) error {
		roles = nil
		if err := tx.Table("job_function_roles").Where("cvr = ?", cvr).Order("name, id").Find(&roles).Error; err != nil {
			return err
		}
		if err := s.fillRules(tx, roles); err != nil {
			return err
		}
		var counts []struct {
			Role uint64
			N    int
		}
		err := tx.Raw("SELECT job_function_role_id AS role, COUNT(DISTINCT user_id) AS n FROM assignments "+
			"WHERE cvr = ? AND ended_at IS NULL GROUP BY job_function_role_id", cvr).Scan(&counts).Error
		if err != nil {
			return err
		}
		holders := make(map[uint64]int, len(counts))
		for _, c := range counts {
			holders[c.Role] = c.N
		}
		for i := range roles {
			roles[i].Holders = holders[roles[i].ID]
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return roles, nil
}

// ITSystem returns the IT system with this identifier, or rolecatalog.ErrNotFound.
func (s *Store) ITSystem(ctx context.Context, identifier string) (rolecatalog.ITSystem, error) {
	var row rolecatalog.ITSystem
	if err := s.read.WithContext(ctx).Table("it_systems").Where("identifier = ?", identifier).Take(&row).Error; err != nil {
		return row, s.mapError(ctx, "finding the IT system "+identifier, err)
	}
	return row, nil
}

// UserAssignments returns a user's assignments with their values, those that have ended too, newest first.
func (s *Store) UserAssignments(ctx context.Context, cvr string, userID uint64) ([]rolecatalog.Assignment, error) {
	var rows []rolecatalog.Assignment
	err := s.view(ctx, "reading a user's assignments", func(tx *gorm.DB) error {
		rows = nil
		if err := tx.Table("assignments").Where("user_id = ? AND cvr = ?", userID, cvr).Order("id DESC").Find(&rows).Error; err != nil {
			return err
		}
		ids := make([]uint64, len(rows))
		at := make(map[uint64]int, len(rows))
		for i := range rows {
			ids[i], at[rows[i].ID] = rows[i].ID, i
		}
		return inChunks(ids, func(part []uint64) error {
			var values []rolecatalog.AssignmentValue
			if err := in(s, tx.Table("assignment_values"), "assignment_id", part).Order("id").Find(&values).Error; err != nil {
				return err
			}
			for _, v := range values {
				a := &rows[at[v.AssignmentID]]
				a.Values = append(a.Values, v)
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// UsersWithDates returns the users whose grants the change of day from -> to changes, in order.
func (s *Store) UsersWithDates(ctx context.Context, cvr, from, to string) ([]uint64, error) {
	var ids []uint64
	// Two indexes, one for each half. A day is a text that sorts; the open one is empty and so before all days.
	err := s.read.WithContext(ctx).Raw("SELECT user_id FROM assignments WHERE cvr = ? AND start_date > ? AND start_date <= ? AND ended_at IS NULL "+
		"UNION SELECT user_id FROM assignments WHERE cvr = ? AND stop_date >= ? AND stop_date < ? AND stop_date <> '' AND ended_at IS NULL "+
		"ORDER BY user_id", cvr, from, to, cvr, from, to).Scan(&ids).Error
	if err != nil {
		return nil, s.mapError(ctx, "finding assignments that begin or end", err)
	}
	return ids, nil
}

// Holders returns the users with a present assignment of any of these job function roles, in order.
func (s *Store) Holders(ctx context.Context, cvr string, roles []uint64) ([]uint64, error) {
	seen := map[uint64]bool{}
	ids := []uint64{}
	err := s.view(ctx, "finding the holders of roles", func(tx *gorm.DB) error {
		clear(seen)
		return inChunks(roles, func(part []uint64) error {
			var some []uint64
			db := tx.Table("assignments").Distinct("user_id").Where("cvr = ? AND ended_at IS NULL", cvr)
			if err := in(s, db, "job_function_role_id", part).Pluck("user_id", &some).Error; err != nil {
				return err
			}
			for _, id := range some {
				seen[id] = true
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	for id := range seen {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids, nil
}
