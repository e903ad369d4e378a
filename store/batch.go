package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// insert writes rows in as few statements as the dialect's limits allow. The rows are made storable first (see tidy), so
// they must be the store's own copies. conflict is nil for a plain insert.
func insert[T any](s *Store, tx *gorm.DB, table string, rows []T, conflict *clause.OnConflict) error {
	if len(rows) == 0 {
		return nil
	}
	columns, now := columnsOf(reflect.TypeFor[T]()), s.now()
	perStatement := max(1, s.dialect.variables/max(1, columns))
	db := tx.Table(table)
	if conflict != nil {
		db = db.Clauses(*conflict)
	}
	db = db.Session(&gorm.Session{})
	from, size := 0, 0
	flush := func(to int) error {
		if from == to {
			return nil
		}
		batch := rows[from:to]
		from, size = to, 0
		return db.Create(&batch).Error
	}
	for i := range rows {
		n := tidy(reflect.ValueOf(&rows[i]).Elem(), now)
		if i-from == perStatement || size+n > s.dialect.bytes {
			if err := flush(i); err != nil {
				return err
			}
		}
		size += n
	}
	return flush(len(rows))
}

// replace is an insert that brings the rows up to date that are there already by key. Only the named columns change. The
// table must have no unique index that a row could hit besides its key, or the rows must be known to be there: on MariaDB
// any of them would do.
func replace[T any](s *Store, tx *gorm.DB, table string, rows []T, key, columns []string) error {
	conflict := clause.OnConflict{DoUpdates: clause.AssignmentColumns(columns)}
	for _, k := range key {
		conflict.Columns = append(conflict.Columns, clause.Column{Name: k})
	}
	return insert(s, tx, table, rows, &conflict)
}

// allocate returns the first of n new row ids of a table. It locks the sequence until the transaction ends.
func (s *Store) allocate(tx *gorm.DB, table string, n int) (uint64, error) {
	if n == 0 {
		return 0, nil
	}
	done := tx.Exec("UPDATE sequences SET next_id = next_id + ? WHERE name = ?", n, table)
	if done.Error != nil {
		return 0, fmt.Errorf("numbering rows of %s: %w", table, done.Error)
	}
	if done.RowsAffected != 1 {
		return 0, fmt.Errorf("numbering rows of %s: the sequence is missing", table)
	}
	var next uint64
	if err := tx.Raw("SELECT next_id FROM sequences WHERE name = ?", table).Scan(&next).Error; err != nil {
		return 0, fmt.Errorf("numbering rows of %s: %w", table, err)
	}
	return next - uint64(n), nil
}

// mustExist returns gorm.ErrRecordNotFound unless all these rows are there, and holds them.
func (s *Store) mustExist(tx *gorm.DB, table string, ids []uint64) error {
	return inChunks(ids, func(part []uint64) error {
		var found []uint64
		if err := in(s, s.lock(tx).Table(table), "id", part).Order("id").Pluck("id", &found).Error; err != nil {
			return err
		}
		if len(found) != len(part) {
			return fmt.Errorf("%d of the rows to be changed: %w", len(part)-len(found), gorm.ErrRecordNotFound)
		}
		return nil
	})
}

// lock makes a query hold its rows until the transaction ends. On SQLite the transaction holds everything.
func (s *Store) lock(tx *gorm.DB) *gorm.DB {
	if s.dialect.mysql {
		return tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate})
	}
	return tx
}

// chunk is how many values an IN list takes.
const chunk = 5000

// in narrows a query to the rows whose column has one of the values. SQLite gets them as one JSON array: its driver is slow
// with many values.
func in[T uint64 | string](s *Store, tx *gorm.DB, column string, values []T) *gorm.DB {
	if s.dialect.mysql {
		return tx.Where(column+" IN ?", values)
	}
	list, err := json.Marshal(values)
	if err != nil {
		_ = tx.AddError(fmt.Errorf("listing values: %w", err))
	}
	return tx.Where(column+" IN (SELECT value FROM json_each(?))", string(list))
}

// inChunks calls fn with the values in handy pieces, each value once, in order.
func inChunks[T uint64 | string](values []T, fn func([]T) error) error {
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	for part := range slices.Chunk(slices.Compact(sorted), chunk) {
		if err := fn(part); err != nil {
			return err
		}
	}
	return nil
}

var (
	timeType   = reflect.TypeFor[time.Time]()
	stringType = reflect.TypeFor[string]()
)

// tidy makes a row storable and alike on both kinds of database: times in UTC with microseconds and never the zero time,
// which MariaDB refuses (a time that may be missing becomes none, another one now); texts without broken UTF-8. It returns about how many bytes of text the row carries.
func tidy(v reflect.Value, now time.Time) int {
	size := 0
	switch v.Kind() {
	case reflect.String:
		if text := v.String(); !utf8.ValidString(text) {
			v.SetString(strings.ToValidUTF8(text, "\uFFFD"))
		}
		size = v.Len()
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return 2 * v.Len() // escaped in the worst case
		}
		for i := range v.Len() {
			size += tidy(v.Index(i), now)
		}
	case reflect.Pointer:
		if v.IsNil() {
			return 0
		}
		switch v.Type().Elem() {
		case timeType:
			t := *v.Interface().(*time.Time) //nolint:forcetypeassert,errcheck // by the type above
			if t.IsZero() {
				v.SetZero()
				return 0
			}
			u := micro(t)
			v.Set(reflect.ValueOf(&u)) // the caller's time stays as it is
		case stringType:
			text := v.Elem().String()
			if !utf8.ValidString(text) {
				text = strings.ToValidUTF8(text, "\uFFFD")
				v.Set(reflect.ValueOf(&text))
			}
			return len(text)
		}
		return 32
	case reflect.Struct:
		if v.Type() == timeType {
			t := v.Interface().(time.Time) //nolint:forcetypeassert,errcheck // by the type above
			if t.IsZero() {
				t = now
			}
			v.Set(reflect.ValueOf(micro(t)))
			return 32
		}
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && (f.Tag.Get("gorm") != "-" || f.Anonymous) {
				size += tidy(v.Field(i), now)
			}
		}
	case reflect.Map: // of texts, which are valid already, see tidyTexts
		for entries := v.MapRange(); entries.Next(); {
			size += 8
			for _, part := range []reflect.Value{entries.Key(), entries.Value()} {
				if part.Kind() == reflect.String {
					size += part.Len()
				}
			}
		}
		return 2 * size // escaped in the worst case
	default:
		return 8
	}
	return size
}

// columnsOf counts a row type's columns.
func columnsOf(t reflect.Type) int {
	n := 0
	for f := range t.Fields() {
		switch {
		case f.Anonymous && f.Type.Kind() == reflect.Struct:
			n += columnsOf(f.Type)
		case f.IsExported() && f.Tag.Get("gorm") != "-":
			n++
		}
	}
	return n
}

// most is how long the texts in indexed columns may be, in characters. Both databases refuse longer ones alike: MariaDB
// would do so by itself, with its column's name, and SQLite not at all.
type most struct {
	what  string
	text  string
	limit int
}

func withinLimits(texts ...most) error {
	for _, t := range texts {
		if n := utf8.RuneCountInString(t.text); n > t.limit {
			return fmt.Errorf("%w: %s has %d characters, at most %d are possible", ErrInvalid, t.what, n, t.limit)
		}
	}
	return nil
}

var errNoCVR = errors.New("no CVR number is given")

// own gives an entry the organisation of the whole, and refuses another one's.
func own(entry *string, cvr string) error {
	if *entry == "" {
		*entry = cvr
	}
	switch {
	case *entry == "":
		return fmt.Errorf("%w: %w", ErrInvalid, errNoCVR)
	case cvr != "" && *entry != cvr:
		return fmt.Errorf("%w: a row of organisation %s among those of %s", ErrInvalid, *entry, cvr)
	}
	return withinLimits(most{"the CVR number", *entry, 16})
}
