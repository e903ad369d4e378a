package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/rollebro/rollebro/rolecatalog"
)

// remembered is for how many days an assignment that stopped is still part of a snapshot, as the reason of a removal.
const remembered = 30

// Snapshot reads all that effective roles follow from, as of one moment. Of everybody (users nil) it reads each table once,
// column by column: with some hundred thousand rows the mapping by reflection would take longer than the database.
func (s *Store) Snapshot(ctx context.Context, cvr string, users []uint64, today string) (*rolecatalog.Snapshot, error) {
	day, err := time.Parse(time.DateOnly, today)
	if err != nil {
		return nil, fmt.Errorf("reading the catalogue: %w: %q is not a day (2006-01-02)", ErrInvalid, today)
	}
	// Created first where it is missing: the transaction below can't.
	if _, err := s.State(ctx, cvr); err != nil {
		return nil, err
	}
	var snap *rolecatalog.Snapshot
	err = s.view(ctx, "reading the catalogue", func(tx *gorm.DB) error {
		r := &snapshotReader{s: s, tx: tx, cvr: cvr, since: day.AddDate(0, 0, -remembered).Format(time.DateOnly)}
		if err := r.read(users); err != nil {
			return err
		}
		snap = &r.snap
		return nil
	})
	return snap, err
}

type snapshotReader struct {
	s     *Store
	tx    *gorm.DB
	cvr   string
	since string // assignments that stopped before this day are left out
	snap  rolecatalog.Snapshot
}

func (r *snapshotReader) read(users []uint64) error {
	if err := r.tx.Table("bridge_states").Where("cvr = ?", r.cvr).Take(&r.snap.State).Error; err != nil {
		return err
	}
	if err := r.tx.Table("system_roles").Where("cvr = ?", r.cvr).Order("id").Find(&r.snap.SystemRoles).Error; err != nil {
		return err
	}
	var err error
	if users == nil {
		err = r.everybody()
	} else {
		err = r.some(users)
	}
	if err != nil {
		return err
	}
	return r.roles()
}

func (r *snapshotReader) everybody() error {
	if err := r.users(r.tx.Table("users")); err != nil {
		return err
	}
	if err := r.identities(r.tx.Table("identities").Where("cvr = ?", r.cvr)); err != nil {
		return err
	}
	if err := r.assignments(r.present()); err != nil {
		return err
	}
	values := r.tx.Table("assignment_values v").Joins("JOIN assignments a ON a.id = v.assignment_id").
		Where("a.cvr = ? AND a.ended_at IS NULL AND (a.stop_date = '' OR a.stop_date >= ?)", r.cvr, r.since)
	if err := r.values(values); err != nil {
		return err
	}
	return r.tx.Table("attempts").Where("cvr = ?", r.cvr).Order("identity, verb, role, scope_type, scope_value").Find(&r.snap.Attempts).Error
}

// some reads of the users asked for, and of everybody else who has a NemLogin UUID that one of them has or had: whose an
// identity is can only be told from all who have it.
func (r *snapshotReader) some(asked []uint64) error {
	var uuids []string
	err := inChunks(asked, func(part []uint64) error {
		var now, before []string
		if err := in(r.s, r.tx.Table("users"), "id", part).Where("nemlogin_uuid <> ''").Distinct("nemlogin_uuid").Pluck("nemlogin_uuid", &now).Error; err != nil {
			return err
		}
		err := in(r.s, r.tx.Table("identities").Where("cvr = ?", r.cvr), "user_id", part).Pluck("uuid", &before).Error
		uuids = append(append(uuids, now...), before...)
		return err
	})
	if err != nil {
		return err
	}
	ids := append([]uint64{}, asked...)
	err = inChunks(uuids, func(part []string) error {
		var sharing []uint64
		err := in(r.s, r.tx.Table("users"), "nemlogin_uuid", part).Pluck("id", &sharing).Error
		ids = append(ids, sharing...)
		return err
	})
	if err != nil {
		return err
	}
	err = inChunks(ids, func(part []uint64) error {
		if err := r.users(in(r.s, r.tx.Table("users"), "id", part)); err != nil {
			return err
		}
		return r.assignments(in(r.s, r.present(), "user_id", part))
	})
	if err != nil {
		return err
	}
	err = inChunks(uuids, func(part []string) error {
		if err := r.identities(in(r.s, r.tx.Table("identities").Where("cvr = ?", r.cvr), "uuid", part)); err != nil {
			return err
		}
		var attempts []rolecatalog.Attempt
		err := in(r.s, r.tx.Table("attempts").Where("cvr = ?", r.cvr), "identity", part).
			Order("identity, verb, role, scope_type, scope_value").Find(&attempts).Error
		r.snap.Attempts = append(r.snap.Attempts, attempts...)
		return err
	})
	if err != nil {
		return err
	}
	assigned := make([]uint64, len(r.snap.Assignments))
	for i := range r.snap.Assignments {
		assigned[i] = r.snap.Assignments[i].ID
	}
	return inChunks(assigned, func(part []uint64) error {
		return r.values(in(r.s, r.tx.Table("assignment_values v"), "v.assignment_id", part))
	})
}

// present are the assignments that have not been taken away, nor stopped long ago.
func (r *snapshotReader) present() *gorm.DB {
	return r.tx.Table("assignments").Where("cvr = ? AND ended_at IS NULL AND (stop_date = '' OR stop_date >= ?)", r.cvr, r.since)
}

// roles reads the job function roles that are offered, and those that are assigned.
func (r *snapshotReader) roles() error {
	var all []rolecatalog.JobFunctionRole
	if err := r.tx.Table("job_function_roles").Where("cvr = ?", r.cvr).Order("id").Find(&all).Error; err != nil {
		return err
	}
	assigned := make(map[uint64]bool, len(all))
	for i := range r.snap.Assignments {
		assigned[r.snap.Assignments[i].JobFunctionRoleID] = true
	}
	for _, role := range all {
		if role.RetiredAt == nil || assigned[role.ID] {
			r.snap.Roles = append(r.snap.Roles, role)
		}
	}
	return r.s.fillRules(r.tx, r.snap.Roles)
}

// each runs a query and calls fn for each row.
func each(db *gorm.DB, columns, order string, fn func(*sql.Rows) error) (err error) {
	rows, err := db.Select(columns).Order(order).Rows()
	if err != nil {
		return err
	}
	defer func() {
		if e := rows.Close(); err == nil {
			err = e
		}
	}()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// room makes a list large enough for what a query will give, so that it isn't copied as it grows.
func room[T any](list *[]T, db *gorm.DB) error {
	var n int64
	if err := db.Session(&gorm.Session{}).Count(&n).Error; err != nil {
		return err
	}
	*list = slices.Grow(*list, int(n))
	return nil
}

func (r *snapshotReader) users(db *gorm.DB) error {
	db = db.Session(&gorm.Session{})
	if err := room(&r.snap.Users, db); err != nil {
		return err
	}
	return eachUser(db, plainUser, func(u *rolecatalog.User) error {
		r.snap.Users = append(r.snap.Users, *u)
		return nil
	})
}

func (r *snapshotReader) identities(db *gorm.DB) error {
	db = db.Session(&gorm.Session{})
	if err := room(&r.snap.Identities, db); err != nil {
		return err
	}
	const columns = "uuid, user_id, generation, adopted_at, read_at, gone_since, checked_at, last_error, observed_hash, retired_at"
	return each(db, columns, "uuid", func(rows *sql.Rows) error {
		i := rolecatalog.Identity{CVR: r.cvr}
		err := rows.Scan(&i.UUID, &i.UserID, &i.Generation, &i.AdoptedAt, &i.ReadAt, &i.GoneSince, &i.CheckedAt, &i.LastError,
			&i.ObservedHash, &i.RetiredAt)
		r.snap.Identities = append(r.snap.Identities, i)
		return err
	})
}

func (r *snapshotReader) assignments(db *gorm.DB) error {
	const columns = "id, user_id, job_function_role_id, start_date, stop_date, assigned_by, created_at"
	db = db.Session(&gorm.Session{})
	if err := room(&r.snap.Assignments, db); err != nil {
		return err
	}
	// int64 is what drivers give: database/sql turns it into anything else by way of text. And few people assign a lot.
	var id, user, role int64
	persons := map[string]string{}
	return each(db, columns, "id", func(rows *sql.Rows) error {
		a := rolecatalog.Assignment{CVR: r.cvr}
		err := rows.Scan(&id, &user, &role, &a.StartDate, &a.StopDate, &a.AssignedBy, &a.CreatedAt)
		a.ID, a.UserID, a.JobFunctionRoleID = uint64(id), uint64(user), uint64(role)
		if known, ok := persons[a.AssignedBy]; ok {
			a.AssignedBy = known
		} else {
			persons[a.AssignedBy] = a.AssignedBy
		}
		r.snap.Assignments = append(r.snap.Assignments, a)
		return err
	})
}

func (r *snapshotReader) values(db *gorm.DB) error {
	at := make(map[uint64]int, len(r.snap.Assignments))
	for i := range r.snap.Assignments {
		at[r.snap.Assignments[i].ID] = i
	}
	return each(db, "v.id, v.assignment_id, v.system_role_id, v.scope_type, v.value", "v.id", func(rows *sql.Rows) error {
		var v rolecatalog.AssignmentValue
		if err := rows.Scan(&v.ID, &v.AssignmentID, &v.SystemRoleID, &v.ScopeType, &v.Value); err != nil {
			return err
		}
		a := &r.snap.Assignments[at[v.AssignmentID]]
		a.Values = append(a.Values, v)
		return nil
	})
}
