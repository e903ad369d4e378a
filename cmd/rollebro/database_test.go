package main

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/rollebro/rollebro/store"
)

// altered is a database in which a statement was run behind Rollebro's back.
func (s settings) altered(t *testing.T, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", strings.TrimPrefix(s[setDatabase], "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// A schema from a newer program is a matter of what is installed, and every command says so with one exit code.
func TestNewerSchema(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.must(t, exitOK, "db", "migrate")
	w.altered(t, "INSERT INTO migrations (id) VALUES ('299901010000-of-the-future')")
	for _, args := range [][]string{{"status"}, {"serve"}, {"db", "check"}, {"db", "migrate"}, {"users", "list"}} {
		r := w.with(setListen, "127.0.0.1:0").must(t, exitConfig, args...)
		if want := "rollebro: " + store.ErrNewerSchema.Error(); !strings.HasPrefix(r.err, want) || strings.Count(r.err, "\n") != 1 {
			t.Errorf("%v says %q", args, r.err)
		}
	}
	w.must(t, exitConfig, "config", "check")
}

// A trail that was tampered with is told once, and not with what was being done twice over.
func TestBrokenAuditTrail(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.must(t, exitOK, "users", "load", w.file("users.csv"))
	w.altered(t, "UPDATE audit_events SET actor = 'somebody else' WHERE id = 1")
	r := w.must(t, exitFailure, "db", "check")
	if !strings.HasPrefix(r.err, "rollebro: checking the audit trail: the audit trail has been changed: event 1") {
		t.Errorf("it says %q", r.err)
	}
}
