// Package store keeps everything: the database connection, the schema's migrations, and every query of the house. It runs
// on SQLite (the embedded default) and on MariaDB or MySQL, where several replicas may share one database; the same
// conformance suite holds for both.
//
// Rules that the whole package follows:
//   - Row ids come from the table sequences, never from the database's own counters: those are neither consecutive on a
//     cluster nor the same on both kinds of database.
//   - Times are UTC with microseconds, texts are valid UTF-8, and text compares byte by byte on both: å is not a, and a
//     trailing space counts.
//   - Writing transactions lock in one order (state, sequences, rows, audit head), so that they wait for each other
//     rather than deadlock; what deadlocks all the same is run again as a whole.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	"gorm.io/gorm"

	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/scheduler"
)

var (
	_ rolecatalog.Store = (*Store)(nil)
	_ scheduler.Store   = (*Store)(nil)
)

// Options say which database to open and how.
type Options struct {
	// URL is a JDBC URL (jdbc:mariadb://host[:port]/database?…, jdbc:mysql://…, jdbc:sqlite:FILE), "sqlite:FILE", a plain
	// file name, ":memory:" (gone when the Store is closed), or "mysql:" with a DSN of go-sql-driver. Empty: DefaultFile.
	URL string
	// Username and Password are used where the URL has none of its own.
	Username, Password string
	// KeyFile holds the keys that CPR numbers are encrypted with. It is created when it isn't there and the database holds
	// no CPR number yet. Empty: beside the SQLite file, its name with ".key" added; on MariaDB and MySQL there is then no
	// key, and storing or reading a CPR number is an error.
	KeyFile string
	// MaxConnections limits the connections to MariaDB or MySQL, and the reading ones to SQLite. 0: 10.
	MaxConnections int
	// NoMigration opens the database as it is; Migrate brings it up to date later. For checks.
	NoMigration bool
	// Logger gets warnings, and at debug level every statement without its values. nil: nothing is logged.
	Logger logrus.FieldLogger
	// Now is the clock for the times the store sets itself. nil: time.Now.
	Now func() time.Time
}

// DefaultFile is the SQLite file that is used when Options.URL is empty.
const DefaultFile = "rollebro.db"

// Store is an open database. It is safe for concurrent use.
type Store struct {
	dialect dialect
	write   *gorm.DB // SQLite: one connection, so that writers queue here and not in the file lock
	read    *gorm.DB // SQLite: several read-only connections; otherwise the same as write
	keep    *gorm.DB // SQLite in memory: what keeps it there
	numbers *gorm.DB // MariaDB and MySQL: one connection, on which row ids are taken ahead of a long transaction
	place   string   // where the database is, for messages; no secrets
	file    string   // SQLite: its file; empty for memory
	log     logrus.FieldLogger
	now     func() time.Time
	keys    *keys
	keyFile string
	queues  queues
	retried atomic.Int64 // times that again has tried again
}

// Open opens the database, brings its schema up to date (unless Options.NoMigration) and checks that the key for CPR
// numbers is the one they were encrypted with. It returns ErrNewerSchema, ErrWrongKey, ErrKeyMissing, or an error that says
// in a line what is wrong with the connection.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Logger == nil {
		quiet := logrus.New()
		quiet.SetOutput(io.Discard)
		o.Logger = quiet
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxConnections <= 0 {
		o.MaxConnections = 10
	}
	t, err := parseURL(o.URL, o.Username, o.Password)
	if err != nil {
		return nil, err
	}
	for _, w := range t.warnings {
		o.Logger.Warn("database URL: " + w)
	}
	s := &Store{log: o.Logger, keyFile: o.KeyFile, place: t.place()}
	s.now = func() time.Time { return micro(o.Now()) }
	if t.mysql != nil {
		err = s.openMySQL(ctx, t, o)
	} else {
		err = s.openSQLite(ctx, t, o)
	}
	if err == nil && !o.NoMigration {
		err = s.Migrate(ctx)
	}
	if err == nil {
		err = s.openKeys(ctx, !o.NoMigration)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close closes the connections.
func (s *Store) Close() error {
	var errs []error
	for _, db := range []*gorm.DB{s.read, s.write, s.keep, s.numbers} {
		if db == nil {
			continue
		}
		pool, err := db.DB()
		if err == nil {
			err = pool.Close()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("closing the database: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Ping asks the database for a sign of life.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	if err := s.read.WithContext(ctx).Raw("SELECT 1").Scan(&one).Error; err != nil {
		return s.mapError(ctx, "asking the database", err)
	}
	return nil
}

// Dialect names the kind of database: "sqlite", "mariadb" or "mysql".
func (s *Store) Dialect() string { return s.dialect.name }

// Place says where the database is, without secrets.
func (s *Store) Place() string { return s.place }

// How often what another transaction kept from succeeding is tried, and half the longest pause after the first time.
const (
	maxTries   = 10
	firstPause = 5 * time.Millisecond
)

// update runs fn in a writing transaction, again when the database broke it off for the sake of another. fn must therefore
// not change anything outside the transaction.
func (s *Store) update(ctx context.Context, doing string, fn func(tx *gorm.DB) error) error {
	opts := &sql.TxOptions{}
	if s.dialect.mysql {
		// Every statement sees what others have committed, and no gaps are locked: fewer deadlocks.
		opts.Isolation = sql.LevelReadCommitted
	}
	err := s.again(ctx, func() error { return s.write.WithContext(ctx).Transaction(fn, opts) })
	if err != nil {
		return s.mapError(ctx, doing, err)
	}
	return nil
}

// again calls fn until it succeeds, fails for a reason that doesn't pass, or has been tried often enough.
func (s *Store) again(ctx context.Context, fn func() error) error {
	for try := 1; ; try++ {
		err := fn()
		if err == nil || try == maxTries || !passing(err) || ctx.Err() != nil {
			return err
		}
		s.retried.Add(1)
		s.log.WithField("try", try).Debug("the database was held by another; trying again")
		pause := time.NewTimer(rand.N(firstPause << try)) //nolint:gosec // only to part those who collided
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return err
		}
	}
}

// view runs fn in a transaction that sees one moment of the database and can't change it.
func (s *Store) view(ctx context.Context, doing string, fn func(tx *gorm.DB) error) error {
	opts := &sql.TxOptions{ReadOnly: true}
	if s.dialect.mysql {
		opts.Isolation = sql.LevelRepeatableRead
	}
	if err := s.read.WithContext(ctx).Transaction(fn, opts); err != nil {
		return s.mapError(ctx, doing, err)
	}
	return nil
}

// micro is t as the database keeps it.
func micro(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
