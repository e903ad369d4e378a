package rolecatalog

import (
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
