package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// migrationLock is how many seconds a replica waits for another one's migrations.
const migrationLock = 120

const migrationsTable = "migrations"

// Migrate brings the schema up to date. Replicas that start together take turns. A schema that is newer than the program
// is left alone: ErrNewerSchema.
func (s *Store) Migrate(ctx context.Context) error {
	pending, err := s.Pending(ctx)
	if err != nil || len(pending) == 0 {
		return err
	}
	if len(pending) < len(migrations) {
		s.log.WithField("migrations", len(pending)).Info("bringing the database up to date")
	}
	if s.dialect.mysql {
		err = s.write.WithContext(ctx).Connection(func(conn *gorm.DB) error {
			// A session, or else each statement would add to the one before.
			return s.migrateMySQL(ctx, conn.Session(&gorm.Session{NewDB: true, Context: ctx}))
		})
	} else {
		err = s.again(ctx, func() error { return s.runMigrations(ctx, s.write.WithContext(ctx)) })
	}
	if err != nil {
		return s.mapError(ctx, "migrating the database", err)
	}
	return nil
}

// migrateMySQL holds a named lock of the server while it works: DDL ends a transaction, so no lock in one would last.
// The lock belongs to the connection, and goes with it when the process dies.
func (s *Store) migrateMySQL(ctx context.Context, conn *gorm.DB) (err error) {
	const name = "CONCAT('rollebro.', MD5(DATABASE()))"
	var got sql.NullInt64
	if err := conn.Raw("SELECT GET_LOCK("+name+", ?)", migrationLock).Scan(&got).Error; err != nil {
		return fmt.Errorf("waiting for other replicas: %w", err)
	}
	if got.Int64 != 1 {
		return fmt.Errorf("another replica has been migrating for more than %d seconds", migrationLock)
	}
	defer func() {
		var freed sql.NullInt64
		e := conn.WithContext(context.WithoutCancel(ctx)).Raw("SELECT RELEASE_LOCK(" + name + ")").Scan(&freed).Error
		if err == nil && e != nil {
			err = fmt.Errorf("letting other replicas go on: %w", e)
		}
	}()
	return s.runMigrations(ctx, conn)
}

// runMigrations runs what another replica has not run meanwhile.
func (s *Store) runMigrations(ctx context.Context, db *gorm.DB) error {
	return s.runList(ctx, db, migrations)
}

func (s *Store) runList(ctx context.Context, db *gorm.DB, list []migration) error {
	work := func(db *gorm.DB) error {
		if err := s.createMigrationsTable(db); err != nil {
			return err
		}
		// Looked at again under the lock.
		done, err := appliedIn(db)
		if err != nil {
			return err
		}
		if err := known(done, list); err != nil {
			return err
		}
		steps := make([]*gormigrate.Migration, len(list))
		for i, m := range list {
			steps[i] = &gormigrate.Migration{ID: m.id, Migrate: func(tx *gorm.DB) error {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := m.step.run(tx, s.dialect, s.now()); err != nil {
					return fmt.Errorf("%s: %w", m.id, err)
				}
				return nil
			}}
		}
		options := &gormigrate.Options{TableName: migrationsTable, IDColumnName: "id", IDColumnSize: 255}
		return gormigrate.New(db, options, steps).Migrate()
	}
	if s.dialect.mysql {
		return work(db)
	}
	// SQLite's DDL is transactional: all or nothing, and the transaction is the lock.
	return db.Transaction(work)
}

// createMigrationsTable makes gormigrate's own table, which it would otherwise derive from a Go type.
func (s *Store) createMigrationsTable(db *gorm.DB) error {
	table := createTable{name: migrationsTable, columns: "\n\tid $key(255) NOT NULL PRIMARY KEY"}
	return table.run(db, s.dialect, s.now())
}

// appliedIn returns the ids of the migrations that the database has had, in order.
func appliedIn(db *gorm.DB) ([]string, error) {
	var ids []string
	if err := db.Raw("SELECT id FROM " + migrationsTable + " ORDER BY id").Scan(&ids).Error; err != nil {
		return nil, fmt.Errorf("reading which migrations were run: %w", err)
	}
	return ids, nil
}

// known refuses a database that has had a migration that this program doesn't have.
func known(done []string, list []migration) error {
	for _, id := range done {
		if !slices.ContainsFunc(list, func(m migration) bool { return m.id == id }) {
			return fmt.Errorf("%w (it has had %s)", ErrNewerSchema, id)
		}
	}
	return nil
}

// applied returns the ids of the migrations that the database has had; none when it is empty.
func (s *Store) applied(ctx context.Context) ([]string, error) {
	db := s.read.WithContext(ctx)
	query := "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
	if s.dialect.mysql {
		query = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?"
	}
	var n int
	if err := db.Raw(query, migrationsTable).Scan(&n).Error; err != nil {
		return nil, s.mapError(ctx, "reading the schema's version", err)
	}
	if n == 0 {
		return nil, nil
	}
	ids, err := appliedIn(db)
	if err != nil {
		return nil, s.mapError(ctx, "reading the schema's version", err)
	}
	return ids, nil
}

// Pending returns the ids of the migrations that are still to be run, oldest first, or ErrNewerSchema.
func (s *Store) Pending(ctx context.Context) ([]string, error) {
	done, err := s.applied(ctx)
	if err != nil {
		return nil, err
	}
	if err := known(done, migrations); err != nil {
		return nil, err
	}
	var pending []string
	for _, m := range migrations {
		if !slices.Contains(done, m.id) {
			pending = append(pending, m.id)
		}
	}
	return pending, nil
}

// SchemaVersion returns the newest migration that the database has had, YYYYMMDDHHMM-name; empty: none.
func (s *Store) SchemaVersion(ctx context.Context) (string, error) {
	done, err := s.applied(ctx)
	if err != nil || len(done) == 0 {
		return "", err
	}
	return slices.MaxFunc(done, strings.Compare), nil
}
