//go:build unix

package store_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/store"
	"github.com/rollebro/rollebro/store/storetest"
)

// Whatever is changed in the trail by hand is found, and where.
func TestTamperedAuditIsFound(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) { //nolint:thelper // a test: its own lines are to be named
		ctx := t.Context()
		for range 4 {
			must(t, s.Commit(ctx, &rolecatalog.Changes{CVR: storetest.CVR, Audit: []rolecatalog.AuditEvent{{
				Actor: "a", Action: rolecatalog.AuditRemove, Identity: "i", User: "u", Role: "r", ScopeType: "Cvr", ScopeValue: "v", Reason: "x", Plan: "p", Run: 1, Outcome: "done", Detail: "d",
			}}}))
		}
		broken := func(what, want string) {
			t.Helper()
			n, err := s.VerifyAudit(ctx)
			if !errors.Is(err, store.ErrBrokenChain) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %d events, error %v", what, n, err)
			}
			report, err := s.Check(ctx)
			must(t, err)
			if report.OK() {
				t.Errorf("%s: the report says all is well", what)
			}
		}
		exec := func(sql string, args ...any) {
			t.Helper()
			must(t, s.DB().Exec(sql, args...).Error)
		}
		var e rolecatalog.AuditEvent
		must(t, s.DB().Table("audit_events").Where("id = 2").Take(&e).Error)
		for column, was := range map[string]any{
			"cvr": e.CVR, "at": e.At, "actor": e.Actor, "action": e.Action, "identity": e.Identity, "user": e.User, "role": e.Role, "scope_type": e.ScopeType,
			"scope_value": e.ScopeValue, "reason": e.Reason, "plan": e.Plan, "outcome": e.Outcome, "detail": e.Detail, "hash": e.Hash, "run": e.Run,
		} {
			var other any = "z"
			switch column {
			case "at":
				other = e.At.Add(1000)
			case "run":
				other = 2
			}
			exec("UPDATE audit_events SET `"+column+"` = ? WHERE id = 2", other)
			broken(column, "event 2 is not as it was written")
			exec("UPDATE audit_events SET `"+column+"` = ? WHERE id = 2", was)
		}
		if n, err := s.VerifyAudit(ctx); n != 4 || err != nil {
			t.Fatalf("put back: %d, %v", n, err)
		}
		// Rewritten with a hash that fits its content: the next one tells.
		forged := e
		forged.Detail = "forged"
		forged.Hash = store.ChainHash(&forged)
		exec("UPDATE audit_events SET detail = ?, hash = ? WHERE id = 2", forged.Detail, forged.Hash)
		broken("forged", "event 3 does not follow")
		exec("UPDATE audit_events SET detail = ?, hash = ? WHERE id = 2", e.Detail, e.Hash)
		// The end cut off, the middle taken out, the head moved, the head gone.
		exec("UPDATE audit_head SET last_id = 3, last_hash = (SELECT hash FROM audit_events WHERE id = 3)")
		broken("a head that is behind", "ends with event 4, and should end with 3")
		exec("DELETE FROM audit_events WHERE id = 4")
		exec("UPDATE audit_head SET last_id = 4")
		broken("cut off", "ends with event 3, and should end with 4")
		exec("DELETE FROM audit_events WHERE id = 2")
		broken("taken out", "event 2 is missing")
		exec("DELETE FROM audit_head")
		broken("no head", "not recorded")
	})
}

func TestOpenIntents(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) { //nolint:thelper // a test: its own lines are to be named
		at := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
		event := func(role, outcome string) rolecatalog.AuditEvent {
			at = at.Add(time.Second)
			return rolecatalog.AuditEvent{
				CVR: "99900011", At: at, Actor: "test", Action: rolecatalog.AuditAdd, Identity: "one", Role: role, ScopeType: "Cvr", ScopeValue: "99900011",
				Plan: "p", Outcome: outcome,
			}
		}
		events := []rolecatalog.AuditEvent{
			event("closed", rolecatalog.OutcomeIntended), event("twice", rolecatalog.OutcomeIntended), event("open", rolecatalog.OutcomeIntended),
			event("closed", rolecatalog.OutcomeDone), event("twice", rolecatalog.OutcomeIntended), event("unknown", rolecatalog.OutcomeIntended),
			event("unknown", rolecatalog.OutcomeUnknown),
		}
		if err := s.Commit(t.Context(), &rolecatalog.Changes{CVR: "99900011", Audit: events}); err != nil {
			t.Fatal(err)
		}
		open, err := s.OpenIntents(t.Context(), "99900011", time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range open {
			got = append(got, e.Role)
		}
		if want := []string{"open", "twice", "unknown"}; !slices.Equal(got, want) {
			t.Errorf("open are %q, want %q", got, want)
		}
		if later, err := s.OpenIntents(t.Context(), "99900011", at.Add(time.Second)); err != nil || len(later) > 0 {
			t.Errorf("since the end %d are open (%v)", len(later), err)
		}
	})
}
