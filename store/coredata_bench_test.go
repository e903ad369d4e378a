//go:build unix

package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollebro/rollebro/coredata"
	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/store"
	"github.com/rollebro/rollebro/store/storetest"
)

const loadSize = 100_000

// loaded are people as a load brings them: invented CPR numbers of a day that doesn't exist.
func loaded(n int) []*rolecatalog.User {
	users := make([]*rolecatalog.User, n)
	for i := range users {
		users[i] = &rolecatalog.User{
			DomainID: 1, UserID: fmt.Sprintf("user%06d", i), Name: "Åse Ødegård Ærlig", Email: fmt.Sprintf("user%06d@kommune.example", i),
			ExtUUID: fmt.Sprintf("11111111-0000-4000-8000-%012d", i), CPR: fmt.Sprintf("310299%04d", i%10_000),
			CoreData: rolecatalog.CoreData{
				FromCoreData: true, Alias: "Åse Ødegård Ærlig", NSISAllowed: true, TransferToNemLogin: true, Department: "Børn og unge",
				Attributes: map[string]string{"title": "Pædagog", "phone": "12345678"},
			},
		}
	}
	return users
}

// copyRaw writes the users of one database into another one's table, with nothing but the driver: what this database can
// do at best on this machine. It returns how long the writing took.
func copyRaw(ctx context.Context, b *testing.B, from, to *store.Store) time.Duration {
	b.Helper()
	pool := func(s *store.Store) *sql.DB {
		db, err := s.DB().DB()
		if err != nil {
			b.Fatal(err)
		}
		return db
	}
	rows, err := pool(from).QueryContext(ctx, "SELECT * FROM users ORDER BY id") //nolint:unqueryvet // the very same rows, whatever they are
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		b.Fatal(err)
	}
	var values []any
	for rows.Next() {
		row := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			b.Fatal(err)
		}
		values = append(values, row...)
	}
	if err := rows.Err(); err != nil {
		b.Fatal(err)
	}
	many := 10 // SQLite's driver looks for each value among all of them
	if to.Dialect() != "sqlite" {
		many = 500
	}
	one := "(" + strings.TrimSuffix(strings.Repeat("?,", len(columns)), ",") + ")"
	start := time.Now()
	tx, err := pool(to).BeginTx(ctx, nil)
	if err != nil {
		b.Fatal(err)
	}
	for part := range slices.Chunk(values, many*len(columns)) {
		lines := strings.TrimSuffix(strings.Repeat(one+",", len(part)/len(columns)), ",")
		if _, err := tx.ExecContext(ctx, "INSERT INTO users ("+strings.Join(columns, ",")+") VALUES "+lines, part...); err != nil {
			b.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}

// peak watches the heap while something goes on.
func peak(do func()) (megabytes float64) {
	var most atomic.Uint64
	stop, done := make(chan struct{}), make(chan struct{})
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				var now runtime.MemStats
				runtime.ReadMemStats(&now)
				most.Store(max(most.Load(), now.HeapAlloc))
			}
		}
	}()
	do()
	close(stop)
	<-done
	return max(0, float64(most.Load())-float64(before.HeapAlloc)) / (1 << 20)
}

// BenchmarkLoad loads 100,000 people for the first time, then again without any change, next to a plain copy of the same rows
// on the same kind of database: "first/raw" must stay below 4, "unchanged/raw" below 1.
func BenchmarkLoad(b *testing.B) {
	for name, open := range map[string]func(testing.TB, ...storetest.Option) *store.Store{"sqlite": storetest.SQLite, "mariadb": storetest.MariaDBStore} {
		b.Run(name, func(b *testing.B) {
			ctx := b.Context()
			var raw, first, unchanged time.Duration
			var firstMB, unchangedMB float64
			var statements int64
			for b.Loop() {
				count := &counting{}
				s, plain := open(b, count.option), open(b)
				users := loaded(loadSize)
				begun, before := time.Now(), count.statements.Load()
				firstMB = max(firstMB, peak(func() {
					err := load(ctx, s, 1, func(*coredata.Tree) *coredata.Changes { return &coredata.Changes{Create: users} })
					if err != nil {
						b.Fatal(err)
					}
				}))
				first += time.Since(begun)
				statements += count.statements.Load() - before
				begun = time.Now()
				unchangedMB = max(unchangedMB, peak(func() {
					err := load(ctx, s, 1, func(tree *coredata.Tree) *coredata.Changes {
						if len(tree.People) != loadSize || tree.People[7].CPR == "" {
							b.Fatalf("%d people", len(tree.People))
						}
						return nil
					})
					if err != nil {
						b.Fatal(err)
					}
				}))
				unchanged += time.Since(begun)
				raw += copyRaw(ctx, b, s, plain)
			}
			b.ReportMetric(float64(b.N)*loadSize/first.Seconds(), "people/s")
			b.ReportMetric(float64(b.N)*loadSize/raw.Seconds(), "raw/s")
			b.ReportMetric(first.Seconds()/raw.Seconds(), "first/raw")
			b.ReportMetric(unchanged.Seconds()/raw.Seconds(), "unchanged/raw")
			b.ReportMetric(float64(statements)/float64(b.N*loadSize), "statements/person")
			b.ReportMetric(firstMB, "first-MB")
			b.ReportMetric(unchangedMB, "unchanged-MB")
		})
	}
}

// BenchmarkGroups fills 1,000 groups with 1,000 members each, reads them, and empties them: a million memberships.
func BenchmarkGroups(b *testing.B) {
	for name, open := range map[string]func(testing.TB, ...storetest.Option) *store.Store{"sqlite": storetest.SQLite, "mariadb": storetest.MariaDBStore} {
		b.Run(name, func(b *testing.B) {
			const groups, members = 1000, 1000
			var join, read, leave time.Duration
			for b.Loop() {
				s := open(b)
				var c coredata.Changes
				c.Create = loaded(2 * members)
				for i := range groups {
					g := &coredata.Group{DomainID: 1, UUID: fmt.Sprint(i), Name: "Gruppe"}
					c.CreateGroups = append(c.CreateGroups, g)
					for j := range members {
						c.Join = append(c.Join, coredata.Membership{Group: g, User: c.Create[(i+j)%len(c.Create)]})
					}
				}
				do := func(took *time.Duration, c *coredata.Changes, want int) {
					begun := time.Now()
					err := load(b.Context(), s, 1, func(tree *coredata.Tree) *coredata.Changes {
						n := 0
						for _, g := range tree.Groups {
							n += len(g.Members)
						}
						if n != want {
							b.Fatalf("%d memberships, want %d", n, want)
						}
						return c
					})
					if err != nil {
						b.Fatal(err)
					}
					*took += time.Since(begun)
				}
				do(&join, &c, 0)
				do(&read, nil, groups*members)
				do(&leave, &coredata.Changes{Leave: c.Join}, groups*members)
			}
			for unit, took := range map[string]time.Duration{"joined/s": join, "read/s": read, "left/s": leave} {
				b.ReportMetric(float64(b.N*groups*members)/took.Seconds(), unit)
			}
		})
	}
}
