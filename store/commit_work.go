package store

import (
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/rollebro/rollebro/rolecatalog"
)

// attempts remembers failed writes, and forgets those that were cleared.
func (m *commit) attempts() error {
	if err := m.clearAttempts(); err != nil {
		return err
	}
	rows := slices.Clone(m.c.Attempts)
	for i := range rows {
		r := &rows[i]
		if err := own(&r.CVR, m.c.CVR); err != nil {
			return err
		}
		err := withinLimits(most{"a verb", r.Verb, 16}, most{"a NemLogin UUID", r.Identity, 64}, most{"a role's uuid", r.Role, 64},
			most{"a scope type", r.ScopeType, 64}, most{"a scope value", r.ScopeValue, 255}, most{"an error class", r.Class, 64})
		if err != nil {
			return err
		}
	}
	key := []string{"cvr", "identity", "verb", "role", "scope_type", "scope_value"}
	return replace(m.s, m.tx, "attempts", rows, key, []string{"attempts", "first_failed_at", "next_try_at", "class", "error"})
}

// clearAttempts deletes by key, a hundred at a time.
func (m *commit) clearAttempts() error {
	for part := range slices.Chunk(m.c.ClearedAttempts, 100) {
		var keys []clause.Expression
		for _, a := range part {
			if err := own(&a.CVR, m.c.CVR); err != nil {
				return err
			}
			keys = append(keys, clause.And(
				clause.Eq{Column: "cvr", Value: a.CVR}, clause.Eq{Column: "identity", Value: a.Identity},
				clause.Eq{Column: "verb", Value: a.Verb}, clause.Eq{Column: "role", Value: a.Role},
				clause.Eq{Column: "scope_type", Value: a.ScopeType}, clause.Eq{Column: "scope_value", Value: a.ScopeValue}))
		}
		if err := m.tx.Table("attempts").Where(clause.Or(keys...)).Delete(&rolecatalog.Attempt{}).Error; err != nil {
			return err
		}
	}
	return nil
}

// work finishes and retries what was looked at, and marks who must be looked at (again).
func (m *commit) work() error {
	if err := m.finish(); err != nil {
		return err
	}
	if err := m.retry(); err != nil {
		return err
	}
	return m.mark()
}

// mark gives every mark a version of its own, larger than all before it, also those of rows that are gone by now: who
// finishes an old version then never takes a later mark away.
func (m *commit) mark() error {
	rows := slices.Clone(m.c.Mark)
	version, err := m.s.allocate(m.tx, "work", len(rows))
	if err != nil {
		return err
	}
	for i := range rows {
		r := &rows[i]
		if err := own(&r.CVR, m.c.CVR); err != nil {
			return err
		}
		if r.Of != nil {
			if r.UserID = m.people[r.Of]; r.UserID == 0 {
				r.UserID = r.Of.ID
			}
		}
		r.Version = int64(version) + int64(i)
	}
	earlier := "MIN(work.next_try_at, excluded.next_try_at)"
	if m.s.dialect.mysql {
		earlier = "LEAST(next_try_at, VALUES(next_try_at))"
	}
	return insert(m.s, m.tx, "work", rows, &clause.OnConflict{
		Columns: []clause.Column{{Name: "cvr"}, {Name: "user_id"}},
		DoUpdates: append(clause.Set{{Column: clause.Column{Name: "next_try_at"}, Value: gorm.Expr(earlier)}},
			clause.AssignmentColumns([]string{"reason", "version"})...),
	})
}

// current returns those rows of the work list that still have the version that was looked at, and holds them.
func (m *commit) current(looked []rolecatalog.Work) ([]rolecatalog.Work, error) {
	type key struct {
		cvr  string
		user uint64
	}
	byCVR := map[string][]uint64{}
	for _, w := range looked {
		if err := own(&w.CVR, m.c.CVR); err != nil {
			return nil, err
		}
		byCVR[w.CVR] = append(byCVR[w.CVR], w.UserID)
	}
	stored := map[key]rolecatalog.Work{}
	for cvr, users := range byCVR {
		err := inChunks(users, func(part []uint64) error {
			var rows []rolecatalog.Work
			err := in(m.s, m.s.lock(m.tx).Table("work").Where("cvr = ?", cvr), "user_id", part).Order("user_id").Find(&rows).Error
			for _, r := range rows {
				stored[key{r.CVR, r.UserID}] = r
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	var still []rolecatalog.Work
	for _, w := range looked {
		_ = own(&w.CVR, m.c.CVR)
		if row, ok := stored[key{w.CVR, w.UserID}]; ok && row.Version == w.Version {
			row.Attempts, row.NextTryAt, row.LastError, row.FirstFailedAt = w.Attempts, w.NextTryAt, w.LastError, w.FirstFailedAt
			still = append(still, row)
		}
	}
	return still, nil
}

func (m *commit) finish() error {
	if len(m.c.Finished) == 0 {
		return nil
	}
	done, err := m.current(m.c.Finished)
	if err != nil {
		return err
	}
	byCVR := map[string][]uint64{}
	for _, w := range done {
		byCVR[w.CVR] = append(byCVR[w.CVR], w.UserID)
	}
	for cvr, users := range byCVR {
		err := inChunks(users, func(part []uint64) error {
			return in(m.s, m.tx.Table("work").Where("cvr = ?", cvr), "user_id", part).Delete(&rolecatalog.Work{}).Error
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *commit) retry() error {
	if len(m.c.Retried) == 0 {
		return nil
	}
	again, err := m.current(m.c.Retried)
	if err != nil {
		return err
	}
	return replace(m.s, m.tx, "work", again, []string{"cvr", "user_id"}, []string{"attempts", "next_try_at", "last_error", "first_failed_at"})
}
