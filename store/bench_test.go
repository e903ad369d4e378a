//go:build unix

package store_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sirupsen/logrus"

	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/store"
	"github.com/rollebro/rollebro/store/storetest"
)

// counting counts statements through the log.
type counting struct{ statements atomic.Int64 }

func (c *counting) Levels() []logrus.Level { return logrus.AllLevels }

func (c *counting) Fire(e *logrus.Entry) error {
	if _, ok := e.Data["sql"]; ok {
		c.statements.Add(1)
	}
	return nil
}

func (c *counting) option(o *store.Options) {
	log := logrus.New()
	log.SetOutput(nowhere{})
	log.SetLevel(logrus.DebugLevel)
	log.AddHook(c)
	o.Logger = log
}

type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

func people(n int) []*rolecatalog.User {
	users := make([]*rolecatalog.User, n)
	for i := range users {
		users[i] = &rolecatalog.User{
			DomainID: 1, UserID: fmt.Sprintf("user%06d", i), Name: "Åse Ødegård Ærlig", Email: fmt.Sprintf("user%06d@kommune.example", i),
			UUID: fmt.Sprintf("11111111-0000-4000-8000-%012d", i), NemLoginUUID: fmt.Sprintf("00000000-0000-4000-8000-%012d", i),
		}
	}
	return users
}

// A load of many people costs statements by the batch, never by the row.
func TestCommitCostsFewStatements(t *testing.T) {
	t.Parallel()
	storetestEach := func(name string, open func(testing.TB, ...storetest.Option) *store.Store, most int64) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			count := &counting{}
			s := open(t, count.option)
			const n = 3000
			users := people(n)
			for _, what := range []string{"creating", "updating"} {
				before := count.statements.Load()
				must(t, s.Commit(t.Context(), &rolecatalog.Changes{CVR: storetest.CVR, Users: users}))
				if got := count.statements.Load() - before; got > most || got < 2 {
					t.Errorf("%s %d users takes %d statements, at most %d are fine", what, n, got, most)
				}
			}
			_, err := s.State(t.Context(), storetest.CVR)
			must(t, err)
			before := count.statements.Load()
			_, err = s.Snapshot(t.Context(), storetest.CVR, nil, "2026-11-21")
			must(t, err)
			if got := count.statements.Load() - before; got > 15 {
				t.Errorf("a snapshot takes %d statements", got)
			}
		})
	}
	storetestEach("sqlite", storetest.SQLite, 320)
	storetestEach("mariadb", storetest.MariaDBStore, 12)
}

func eachStore(b *testing.B, bench func(b *testing.B, s *store.Store)) {
	b.Helper()
	b.Run("sqlite", func(b *testing.B) { bench(b, storetest.SQLite(b)) })
	b.Run("mariadb", func(b *testing.B) { bench(b, storetest.MariaDBStore(b)) })
}

// BenchmarkCommitUsers brings 10,000 people up to date in one transaction.
func BenchmarkCommitUsers(b *testing.B) {
	eachStore(b, func(b *testing.B, s *store.Store) {
		b.Helper()
		users := people(10_000)
		for b.Loop() {
			if err := s.Commit(b.Context(), &rolecatalog.Changes{CVR: storetest.CVR, Users: users}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkSnapshot reads the whole of 50,000 people with 200,000 assignments.
func BenchmarkSnapshot(b *testing.B) {
	eachStore(b, func(b *testing.B, s *store.Store) {
		b.Helper()
		ctx := b.Context()
		users := people(50_000)
		var roles []*rolecatalog.JobFunctionRole
		for i := range 40 {
			roles = append(roles, &rolecatalog.JobFunctionRole{ITSystemID: 1, Identifier: fmt.Sprint(i), Name: strings.Repeat("r", 20)})
		}
		if err := s.Commit(ctx, &rolecatalog.Changes{CVR: storetest.CVR, Users: users, JobFunctionRoles: roles}); err != nil {
			b.Fatal(err)
		}
		var given []*rolecatalog.Assignment
		var identities []rolecatalog.Identity
		for i, u := range users {
			for j := range 4 {
				given = append(given, &rolecatalog.Assignment{UserID: u.ID, JobFunctionRoleID: roles[(i+j)%40].ID, AssignedBy: rolecatalog.ActorImport})
			}
			identities = append(identities, rolecatalog.Identity{UUID: u.NemLoginUUID, UserID: u.ID, Generation: 1})
		}
		if err := s.Commit(ctx, &rolecatalog.Changes{CVR: storetest.CVR, Assignments: given, Identities: identities}); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			snap, err := s.Snapshot(ctx, storetest.CVR, nil, "2026-11-21")
			if err != nil || len(snap.Assignments) != 200_000 || len(snap.Users) != 50_000 {
				b.Fatalf("%d assignments, %v", len(snap.Assignments), err)
			}
		}
	})
}
