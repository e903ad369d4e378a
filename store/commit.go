package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/rollebro/rollebro/rolecatalog"
)

// Commit writes everything in c in one transaction, or nothing. What the rows get here (ids, times) is set on the given
// pointers only after the transaction has held.
//
// The order is parents before children, and the same for everybody. A large list costs few statements: rows are written
// in batches, never one by one. On an error that is ErrDuplicate, ErrNotFound or ErrInvalid c itself can't be written.
func (s *Store) Commit(ctx context.Context, c *rolecatalog.Changes) error {
	if c == nil {
		return nil
	}
	var done *commit
	err := s.update(ctx, "storing changes", func(tx *gorm.DB) error {
		// From the start at each try: the last one's ids were rolled back.
		done = &commit{s: s, tx: tx, c: c}
		return done.run()
	})
	if err != nil {
		return err
	}
	for _, hand := range done.handBack {
		hand()
	}
	return nil
}

// commit is one try of Store.Commit.
type commit struct {
	s        *Store
	tx       *gorm.DB
	c        *rolecatalog.Changes
	people   map[*rolecatalog.User]uint64            // ids of the users in these changes
	roles    map[*rolecatalog.JobFunctionRole]uint64 // ids of the job function roles in these changes
	handBack []func()                                // sets what the caller's rows got

	seen     *seenUsers        // how the users were when the changes were decided upon; nil: not known
	reserved map[string]uint64 // tables whose next row ids have been taken already; the next one of each
}

// allocate returns the first of n new row ids of a table: see Store.allocate.
func (m *commit) allocate(table string, n int) (uint64, error) {
	if next, ok := m.reserved[table]; ok {
		m.reserved[table] = next + uint64(n)
		return next, nil
	}
	return m.s.allocate(m.tx, table, n)
}

func (m *commit) run() error {
	for _, step := range []struct {
		doing string
		do    func() error
	}{
		{"the writer lease", m.fence},
		{"the state", m.state},
		{"users", m.users},
		{"system roles", m.systemRoles},
		{"job function roles", m.jobFunctionRoles},
		{"assignments", m.assignments},
		{"scope numbers", m.scopeNumbers},
		{"identities", m.identities},
		{"observed grants", m.observed},
		{"attempts", m.attempts},
		{"the work list", m.work},
		{"the audit trail", m.audit},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.doing, err)
		}
	}
	return nil
}

// fence refuses a writer whose lease was taken over, and keeps it from being taken over until the end.
func (m *commit) fence() error {
	f := m.c.Fence
	if f == nil {
		return nil
	}
	db := m.tx
	if m.s.dialect.mysql {
		db = db.Clauses(clause.Locking{Strength: clause.LockingStrengthShare})
	}
	var tokens []uint64
	if err := db.Table("leases").Where("name = ?", f.Name).Pluck("token", &tokens).Error; err != nil {
		return err
	}
	if len(tokens) != 1 || tokens[0] != f.Token {
		return rolecatalog.ErrFenced
	}
	return nil
}

// state lets the caller change the organisation's state, which stays locked until the end.
func (m *commit) state() error {
	if m.c.State == nil {
		return nil
	}
	if m.c.CVR == "" {
		return fmt.Errorf("%w: %w", ErrInvalid, errNoCVR)
	}
	state, err := m.s.lockedState(m.tx, m.c.CVR)
	if err != nil {
		return err
	}
	version := state.Version
	m.c.State(&state)
	state.CVR, state.Version = m.c.CVR, version+1
	if err := withinLimits(most{"the quarantine's plan", state.QuarantinePlan, 128}); err != nil {
		return err
	}
	if err := days(state.DatesThrough); err != nil {
		return err
	}
	return replace(m.s, m.tx, "bridge_states", []rolecatalog.State{state}, []string{"cvr"}, []string{
		"generation", "catalogue_at", "catalogue_count", "catalogue_error", "accept_shrink", "numbers_at", "numbers_error",
		"administrators_at", "first_import_at", "reconciled_at", "dates_through", "quarantine_since", "quarantine_reason", "quarantine_plan",
		"minute", "version",
	})
}

// lockedState reads an organisation's state for changing it, and creates it at the first time.
func (s *Store) lockedState(tx *gorm.DB, cvr string) (rolecatalog.State, error) {
	var state rolecatalog.State
	err := s.lock(tx).Table("bridge_states").Where("cvr = ?", cvr).Take(&state).Error
	if !errors.Is(err, gorm.ErrRecordNotFound) {
		return state, err
	}
	if err := withinLimits(most{"the CVR number", cvr, 16}); err != nil {
		return state, err
	}
	// Any minute but the first and last few of the hour, when everybody else's jobs run.
	first := rolecatalog.State{CVR: cvr, Minute: 3 + rand.IntN(54)} //nolint:gosec // nobody gains by guessing it
	if err := insert(s, tx, "bridge_states", []rolecatalog.State{first}, &clause.OnConflict{DoNothing: true}); err != nil {
		return state, err
	}
	err = s.lock(tx).Table("bridge_states").Where("cvr = ?", cvr).Take(&state).Error
	return state, err
}

// State returns what is remembered of an organisation.
func (s *Store) State(ctx context.Context, cvr string) (rolecatalog.State, error) {
	var state rolecatalog.State
	if cvr == "" {
		return state, fmt.Errorf("reading the state: %w: %w", ErrInvalid, errNoCVR)
	}
	err := s.read.WithContext(ctx).Table("bridge_states").Where("cvr = ?", cvr).Take(&state).Error
	if err == nil {
		return state, nil
	}
	if !errors.Is(err, gorm.ErrRecordNotFound) {
		return state, s.mapError(ctx, "reading the state", err)
	}
	err = s.update(ctx, "creating the state", func(tx *gorm.DB) (err error) {
		state, err = s.lockedState(tx, cvr)
		return err
	})
	return state, err
}

// scopeNumbers creates and updates P- and SE-numbers.
func (m *commit) scopeNumbers() error {
	now := m.s.now()
	rows, err := save(m, saving[rolecatalog.ScopeNumber]{
		table: "scope_numbers",
		given: m.c.ScopeNumbers,
		id:    func(n *rolecatalog.ScopeNumber) *uint64 { return &n.ID },
		prepare: func(n *rolecatalog.ScopeNumber) error {
			stamp(&n.CreatedAt, &n.UpdatedAt, now)
			if err := own(&n.CVR, m.c.CVR); err != nil {
				return err
			}
			return withinLimits(most{"a scope type", n.ScopeType, 64}, most{"a P- or SE-number", n.Value, 255})
		},
		columns: []string{"cvr", "scope_type", "value", "name", "gone_at", "updated_at"},
	})
	give(m, m.c.ScopeNumbers, rows)
	return err
}

// stamp sets the times that every row has.
func stamp(created, updated *time.Time, now time.Time) {
	if created.IsZero() {
		*created = now
	}
	*updated = now
}

// audit appends the events; nothing comes after it.
func (m *commit) audit() error {
	events := slices.Clone(m.c.Audit)
	for i := range events {
		if events[i].CVR == "" {
			events[i].CVR = m.c.CVR
		}
	}
	if err := m.s.appendAudit(m.tx, events); err != nil {
		return err
	}
	m.handBack = append(m.handBack, func() { copy(m.c.Audit, events) })
	return nil
}
