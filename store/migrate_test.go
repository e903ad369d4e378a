//go:build unix

package store_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/store"
	"github.com/rollebro/rollebro/store/storetest"
)

var update = flag.Bool("update", false, "write the golden files anew")

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func asIs(o *store.Options) { o.NoMigration = true }

// The schema is what a golden file says, so that a change of it is seen in review, and a released migration isn't changed.
func TestSchemaGolden(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) { //nolint:thelper // a test: its own lines are to be named
		file := filepath.Join("testdata", "schema."+s.Dialect()+".sql")
		got := schemaOf(t, s)
		if *update {
			must(t, os.WriteFile(file, []byte(got), 0o600))
		}
		want, err := os.ReadFile(file)
		must(t, err)
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("the schema differs from %s (-want +got); if that is meant, run the test with -update:\n%s", file, diff)
		}
	})
}

var counter = regexp.MustCompile(` AUTO_INCREMENT=\d+`)

func schemaOf(t *testing.T, s *store.Store) string {
	t.Helper()
	var b strings.Builder
	if s.Dialect() == "sqlite" {
		var statements []string
		must(t, s.DB().Raw("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY tbl_name, type DESC, name").Scan(&statements).Error)
		for _, sql := range statements {
			b.WriteString(sql + ";\n")
		}
		return b.String()
	}
	var tables []string
	must(t, s.DB().Raw("SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY table_name").Scan(&tables).Error)
	for _, table := range tables {
		var name, sql string
		must(t, s.DB().Raw("SHOW CREATE TABLE `"+table+"`").Row().Scan(&name, &sql))
		b.WriteString(counter.ReplaceAllString(sql, "") + ";\n")
	}
	return b.String()
}

func TestMigrationIDs(t *testing.T) {
	t.Parallel()
	shape := regexp.MustCompile(`^20\d{10}-[a-z-]+$`)
	ids := store.Migrations()
	if !slices.IsSorted(ids) {
		t.Error("a new migration goes to the end")
	}
	for i, id := range ids {
		if !shape.MatchString(id) || slices.Contains(ids[:i], id) {
			t.Errorf("%q is not YYYYMMDDHHMM-name, or is there twice", id)
		}
	}
}

// Killed at any point between and within migrations, the next start finishes them, and to the same schema.
func TestInterruptedMigrationResumes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) { //nolint:thelper // a test: its own lines are to be named
		ctx, n := t.Context(), len(store.Migrations())
		pending, err := s.Pending(ctx)
		must(t, err)
		if len(pending) != n {
			t.Fatalf("%d of %d are pending at first", len(pending), n)
		}
		columns := slices.Index(store.Migrations(), "202611211910-users-coredata")
		for _, done := range []int{0, 1, 7, columns, n - 3, n - 1} {
			if done > 0 {
				must(t, s.MigrateFirst(ctx, done))
			}
			must(t, s.RunStep(done)) // run, and killed before that was recorded
			must(t, s.RunStep(done))
			if pending, err = s.Pending(ctx); err != nil || len(pending) != n-done {
				t.Errorf("after %d: %d are pending, %v", done, len(pending), err)
			}
		}
		report, err := s.Check(ctx)
		must(t, err)
		if report.OK() || len(report.Pending) != 1 {
			t.Errorf("the report on an unfinished schema: %+v", report)
		}
		must(t, s.Migrate(ctx))
		must(t, s.Migrate(ctx))
		version, err := s.SchemaVersion(ctx)
		must(t, err)
		if version != store.Migrations()[n-1] {
			t.Errorf("the schema's version is %s", version)
		}
		want, err := os.ReadFile(filepath.Join("testdata", "schema."+s.Dialect()+".sql"))
		must(t, err)
		if diff := cmp.Diff(string(want), schemaOf(t, s)); diff != "" {
			t.Errorf("the resumed schema (-want +got):\n%s", diff)
		}
		var rows int64
		must(t, s.DB().Raw("SELECT (SELECT COUNT(*) FROM domains) + (SELECT COUNT(*) FROM it_systems) + (SELECT COUNT(*) FROM audit_head)").Scan(&rows).Error)
		if rows != 3 {
			t.Errorf("%d first rows, want 3", rows)
		}
	}, asIs)
}

func TestNewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) { //nolint:thelper // a test: its own lines are to be named
		ctx := t.Context()
		must(t, s.DB().Exec("INSERT INTO migrations (id) VALUES ('209901010000-future')").Error)
		err := s.Migrate(ctx)
		if !errors.Is(err, store.ErrNewerSchema) || !strings.Contains(err.Error(), "209901010000-future") {
			t.Errorf("the error is %v", err)
		}
		report, err := s.Check(ctx)
		must(t, err)
		if report.OK() {
			t.Error("the check finds nothing wrong")
		}
	})
}

// Replicas that start at the same moment on an empty database all come up.
func TestReplicasStartTogether(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]store.Options{
		"sqlite":  {URL: filepath.Join(t.TempDir(), "a.sqlite")},
		"mariadb": {URL: "mysql:" + storetest.MariaDB(t), KeyFile: filepath.Join(t.TempDir(), "key"), MaxConnections: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const replicas = 4
			errs := make(chan error, replicas)
			for range replicas {
				go func() {
					s, err := store.Open(t.Context(), o)
					if err == nil {
						var domains int64
						err = s.DB().Table("domains").Count(&domains).Error
						if err == nil && domains != 1 {
							err = fmt.Errorf("%d domains", domains)
						}
						err = errors.Join(err, s.Close())
					}
					errs <- err
				}()
			}
			for range replicas {
				if err := <-errs; err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// Users from before the CoreData columns are there afterwards as they were, and can be given CoreData's.
func TestUsersOutliveMigrations(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) { //nolint:thelper // a test: its own lines are to be named
		ctx := t.Context()
		before := slices.Index(store.Migrations(), "202611211910-users-coredata")
		must(t, s.MigrateFirst(ctx, before))
		const when = "2026-11-21 12:00:00.123456"
		must(t, s.DB().Exec(`INSERT INTO users (id, uuid, ext_uuid, domain_id, user_id, user_key, name, email, nemlogin_uuid, disabled, deleted,
			created_at, updated_at, search) VALUES (1, 'u1', '', 1, 'Åse', 'åse', 'Åse Ødegård', 'aase@kommune.example', 'n1', FALSE, FALSE, ?, ?, 'åse'),
			(2, 'u2', 'x2', 1, 'bo', 'bo', 'Bo', '', '', TRUE, FALSE, ?, ?, 'bo')`, when, when, when, when).Error)
		must(t, s.DB().Exec("UPDATE sequences SET next_id = 3 WHERE name = 'users'").Error)
		must(t, s.Migrate(ctx))

		at := time.Date(2026, time.November, 21, 12, 0, 0, 123456000, time.UTC)
		want := []rolecatalog.User{
			{ID: 2, UUID: "u2", ExtUUID: "x2", DomainID: 1, UserID: "bo", UserKey: "bo", Name: "Bo", Disabled: true, CreatedAt: at, UpdatedAt: at},
			{
				ID: 1, UUID: "u1", DomainID: 1, UserID: "Åse", UserKey: "åse", Name: "Åse Ødegård", Email: "aase@kommune.example",
				NemLoginUUID: "n1", CreatedAt: at, UpdatedAt: at,
			},
		}
		got, err := s.Users(ctx, rolecatalog.UserFilter{})
		must(t, err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the users after the migration (-want +got):\n%s", diff)
		}
		if !got[1].Active() {
			t.Error("the user is not active any more")
		}
		snap, err := s.Snapshot(ctx, storetest.CVR, nil, "2026-11-21")
		must(t, err)
		if diff := cmp.Diff([]rolecatalog.User{want[1], want[0]}, snap.Users); diff != "" {
			t.Errorf("the snapshot after the migration (-want +got):\n%s", diff)
		}
		changed := got[1]
		changed.CoreData = rolecatalog.CoreData{FromCoreData: true, Alias: "Åse", LockedDataset: true}
		must(t, s.Commit(ctx, &rolecatalog.Changes{CVR: storetest.CVR, Users: []*rolecatalog.User{&changed, {DomainID: 1, UserID: "ny"}}}))
		again, err := s.Users(ctx, rolecatalog.UserFilter{IDs: []uint64{1, 3}})
		must(t, err)
		if len(again) != 2 || again[1].Active() || again[1].Alias != "Åse" || again[0].UserID != "ny" {
			t.Errorf("after a change: %+v", again)
		}
	}, asIs)
}
