package rolecatalog

import (
	"context"
	"fmt"
	"time"

	"github.com/rollebro/rollebro/rolecatalog/plan"
)

// RetryDelay is how long to wait after the n-th failed attempt (n from 1): 1, 5, 15 minutes, 1 hour, 6 hours, then daily.
func RetryDelay(n int) time.Duration {
	steps := [...]time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour}
	if n < 1 {
		n = 1
	}
	if n > len(steps) {
		return 24 * time.Hour
	}
	return steps[n-1]
}

// NeedsPersonAfter is how long something may go on failing before it is left to a person.
const NeedsPersonAfter = 28 * 24 * time.Hour

// waiting lists the writes that failed and whose time has not come, or will not come by itself.
func waiting(attempts []Attempt, now time.Time) map[plan.AttemptKey]plan.Attempt {
	m := make(map[plan.AttemptKey]plan.Attempt)
	for i := range attempts {
		a := &attempts[i]
		tired := now.Sub(a.FirstFailedAt) >= NeedsPersonAfter
		if tired || a.NextTryAt.After(now) {
			m[a.key()] = plan.Attempt{Error: a.Error, NeedsPerson: tired}
		}
	}
	return m
}

func (a *Attempt) key() plan.AttemptKey {
	return plan.AttemptKey{Verb: plan.Verb(a.Verb), Identity: a.Identity, Grant: plan.Grant{
		Role: a.Role, Scope: plan.Scope{Type: plan.ScopeType(a.ScopeType), Value: a.ScopeValue},
	}}
}

// Retry forgets how often what concerns a person has failed, and looks at the person again at once: for what needed a person,
// after the person has mended it. It returns how many failed writes are tried anew.
func (b *Bridge) Retry(ctx context.Context, user uint64, actor string) (int, error) {
	s, err := b.look(ctx, Selection{Users: []uint64{user}})
	if err != nil {
		return 0, err
	}
	changes := &Changes{Mark: b.mark([]uint64{user}, "tried again by hand")}
	for i := range s.snapshot.Attempts {
		if a := s.snapshot.Attempts[i]; s.userOf(a.Identity) == user {
			changes.ClearedAttempts = append(changes.ClearedAttempts, a)
		}
	}
	for i := range s.snapshot.Users {
		if u := &s.snapshot.Users[i]; u.ID == user {
			changes.Audit = append(changes.Audit, AuditEvent{
				Actor: actor, Action: AuditUser, User: u.UserID, Identity: u.NemLoginUUID,
				Detail: fmt.Sprintf("to be looked at again by hand, with %d failed writes", len(changes.ClearedAttempts)),
			})
		}
	}
	if len(changes.Audit) == 0 {
		return 0, fmt.Errorf("user %d: %w", user, ErrNotFound)
	}
	if err := b.commit(ctx, changes); err != nil {
		return 0, fmt.Errorf("storing the work list: %w", err)
	}
	return len(changes.ClearedAttempts), nil
}
