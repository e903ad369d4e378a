//go:build unix

// Package storetest gives tests a store on each kind of database, and holds the conformance suite that both must pass.
package storetest

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/rollebro/rollebro/store"
)

// Option changes how a test's store is opened.
type Option func(*store.Options)

// Clock gives the store a clock.
func Clock(now func() time.Time) Option {
	return func(o *store.Options) { o.Now = now }
}

// SQLite returns a store on a new SQLite file, which is closed when the test ends.
func SQLite(tb testing.TB, options ...Option) *store.Store {
	tb.Helper()
	return openStore(tb, store.Options{URL: "sqlite:" + filepath.Join(tb.TempDir(), "test.sqlite")}, options)
}

// Memory returns a store on an SQLite database in memory: the quickest, with one connection.
func Memory(tb testing.TB, options ...Option) *store.Store {
	tb.Helper()
	return openStore(tb, store.Options{URL: ":memory:"}, options)
}

// MariaDBStore returns a store on a new database of the throw-away MariaDB, with a key file of its own.
func MariaDBStore(tb testing.TB, options ...Option) *store.Store {
	tb.Helper()
	return openStore(tb, store.Options{URL: "mysql:" + MariaDB(tb), KeyFile: filepath.Join(tb.TempDir(), "test.key")}, options)
}

// Each runs a test once on SQLite and once on MariaDB, each with a store of its own, in parallel.
func Each(t *testing.T, test func(t *testing.T, s *store.Store), options ...Option) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, SQLite(t, options...))
	})
	t.Run("mariadb", func(t *testing.T) {
		t.Parallel()
		test(t, MariaDBStore(t, options...))
	})
}

func openStore(tb testing.TB, o store.Options, options []Option) *store.Store {
	tb.Helper()
	for _, option := range options {
		option(&o)
	}
	s, err := store.Open(tb.Context(), o)
	if err != nil {
		tb.Fatalf("opening the store: %v", err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("closing the store: %v", err)
		}
	})
	return s
}
