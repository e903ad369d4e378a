package store

import (
	"fmt"
	"reflect"
	"slices"
)

// saving says how rows of a table that have ids of their own are created and updated.
type saving[T any] struct {
	table   string
	given   []*T
	id      func(*T) *uint64
	prepare func(*T) error // completes and checks a copy
	columns []string       // what an update changes
	extra   []string       // what it changes besides in the rows that more is true of
	more    func(*T) bool  // nil: of none
}

// save creates the rows without an id and updates the others, each in batches. It returns the copies that it wrote, in the
// order of p.given; the caller's own rows become like them when the transaction has held.
func save[T any](m *commit, p saving[T]) ([]T, error) {
	if len(p.given) == 0 {
		return nil, nil
	}
	rows, now := make([]T, len(p.given)), m.s.now()
	var fresh []int
	var ids []uint64
	for i, g := range p.given {
		if g == nil {
			return nil, fmt.Errorf("%w: an entry is nil", ErrInvalid)
		}
		rows[i] = *g
		if err := p.prepare(&rows[i]); err != nil {
			return nil, err
		}
		tidy(reflect.ValueOf(&rows[i]).Elem(), now)
		if id := *p.id(&rows[i]); id == 0 {
			fresh = append(fresh, i)
		} else {
			ids = append(ids, id)
		}
	}
	if err := m.s.mustExist(m.tx, p.table, ids); err != nil {
		return nil, err
	}
	next, err := m.allocate(p.table, len(fresh))
	if err != nil {
		return nil, err
	}
	var created, plain, wide []T
	for i := range rows {
		switch {
		case *p.id(p.given[i]) == 0:
			*p.id(&rows[i]) = next
			next++
			created = append(created, rows[i])
		case p.more != nil && p.more(&rows[i]):
			wide = append(wide, rows[i])
		default:
			plain = append(plain, rows[i])
		}
	}
	// Updates first: a user may be renamed and another one created under the old name.
	if err := replace(m.s, m.tx, p.table, plain, []string{"id"}, p.columns); err != nil {
		return nil, err
	}
	if err := replace(m.s, m.tx, p.table, wide, []string{"id"}, slices.Concat(p.columns, p.extra)); err != nil {
		return nil, err
	}
	if err := insert(m.s, m.tx, p.table, created, nil); err != nil {
		return nil, err
	}
	return rows, nil
}

// give makes the caller's rows like the written ones when the transaction has held.
func give[T any](m *commit, given []*T, rows []T) {
	m.handBack = append(m.handBack, func() {
		for i, g := range given {
			*g = rows[i]
		}
	})
}
