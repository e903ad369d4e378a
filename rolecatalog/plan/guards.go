package plan

import (
	"fmt"
	"slices"
	"strconv"
)

// blocks reports whether a plan is refused when this guard is not OK.
func (g GuardResult) blocks() bool { return g.Guard != GuardIncomplete }

// removals are what the guards judge: the removals as they were intended, before an incomplete read holds them back.
type removals struct {
	total  int
	byRole map[string]int
}

func (c *computation) removals() removals {
	r := removals{byRole: make(map[string]int)}
	for i := range c.lines {
		if c.lines[i].Verb == Remove {
			r.total++
			r.byRole[c.lines[i].Grant.Role]++
		}
	}
	return r
}

// guards judges the plan. Every guard has a result, the one per role a line for each role it refuses.
func (c *computation) guards(r removals) []GuardResult {
	results := []GuardResult{c.guardIncomplete(r), c.guardCatalogue(), c.guardShrunk(), c.guardDesired()}
	results = append(results, c.guardRemovals(r)...)
	return append(results, c.guardRoles(r)...)
}

func (c *computation) guardIncomplete(r removals) GuardResult {
	g := GuardResult{Guard: GuardIncomplete, Count: c.target.Failed, Of: c.target.Identities, OK: c.target.Failed == 0}
	switch {
	case g.OK:
		g.Message = fmt.Sprintf("Every identity was read (%d).", g.Of)
	case r.total == 0:
		g.Message = fmt.Sprintf("%d of %s could not be read; nothing is removed until all can be.", g.Count, number(g.Of, "identity", "identities"))
	default:
		g.Message = fmt.Sprintf("%d of %s could not be read; %s held back until all can be.",
			g.Count, number(g.Of, "identity", "identities"), number(r.total, "removal is", "removals are"))
	}
	return g
}

// available counts the roles of the catalogue that are not withdrawn.
func (c Catalogue) available() int {
	n := 0
	for _, r := range c.Roles {
		if !r.Withdrawn {
			n++
		}
	}
	return n
}

func (c *computation) guardCatalogue() GuardResult {
	n := c.o.Catalogue.available()
	g := GuardResult{Guard: GuardCatalogue, Count: n, Of: len(c.o.Catalogue.Roles), OK: n > 0}
	if g.OK {
		g.Message = fmt.Sprintf("The catalogue has %s.", number(n, "system role", "system roles"))
	} else {
		g.Message = "The catalogue has no system roles; refresh it from MitID Erhverv before anything is changed."
	}
	return g
}

func (c *computation) guardShrunk() GuardResult {
	before, now := c.o.Catalogue.Before, c.o.Catalogue.available()
	limit := share(c.o.Limits.CatalogueShrinkPercent, before)
	g := GuardResult{Guard: GuardShrunk, Count: max(before-now, 0), Limit: limit, Of: before}
	g.OK = g.Count <= limit
	switch {
	case before == 0:
		g.Message = "There is no earlier catalogue to compare with."
	case g.OK:
		g.Message = fmt.Sprintf("The catalogue had %s and has lost %d; up to %d may go.", number(before, "system role", "system roles"), g.Count, limit)
	default:
		g.Message = fmt.Sprintf("The catalogue had %s and has lost %d, where up to %d may go (%d %%); check in MitID Erhverv that this is meant.",
			number(before, "system role", "system roles"), g.Count, limit, c.o.Limits.CatalogueShrinkPercent)
	}
	return g
}

func (c *computation) guardDesired() GuardResult {
	g := GuardResult{Guard: GuardDesired, Count: c.source.Grants, Of: c.managed}
	g.OK = c.o.Selection != All || c.source.Grants > 0 || c.managed == 0
	switch {
	case !g.OK:
		g.Message = fmt.Sprintf("The catalogue gives nobody anything, while %s held; check that users and assignments are loaded.",
			number(c.managed, "managed grant is", "managed grants are"))
	case c.o.Selection != All:
		g.Message = "Only a plan for the whole organisation can tell that the catalogue gives nobody anything."
	default:
		g.Message = fmt.Sprintf("The catalogue gives %s.", number(g.Count, "grant", "grants"))
	}
	return g
}

// guardRemovals judges the removals of this plan, and those together with what the last 24 hours took, so that a loss
// isn't let through in small pieces. A plan without removals is not refused for what was removed before it.
func (c *computation) guardRemovals(r removals) []GuardResult {
	managed := c.managed
	if c.o.Baseline.Managed > 0 {
		managed = c.o.Baseline.Managed
	}
	l := c.o.Limits
	limit := max(l.RemovalsCount, share(l.RemovalsPercent, managed))
	one := GuardResult{Guard: GuardRemovals, Count: r.total, Limit: limit, Of: managed, OK: r.total <= limit}
	one.Message = fmt.Sprintf("The plan removes %d of %s", one.Count, number(managed, "managed grant", "managed grants"))
	day := GuardResult{Guard: GuardRemovals24h, Count: r.total + c.o.Baseline.Removals24h, Limit: limit, Of: managed}
	day.OK = r.total == 0 || day.Count <= limit
	day.Message = fmt.Sprintf("The plan and the 24 hours before it remove %d of %s", day.Count, number(managed, "managed grant", "managed grants"))
	return []GuardResult{one.limited(l.RemovalsCount, l.RemovalsPercent), day.limited(l.RemovalsCount, l.RemovalsPercent)}
}

func (c *computation) guardRoles(r removals) []GuardResult {
	roles := make([]string, 0, len(r.byRole))
	for role := range r.byRole {
		roles = append(roles, role)
	}
	slices.Sort(roles)
	l := c.o.Limits
	worst := GuardResult{Guard: GuardRoleRemovals, OK: true, Limit: l.RoleRemovalsCount, Message: "No role loses a holder."}
	var refused []GuardResult
	for _, role := range roles {
		holders := c.holdersOf(role)
		limit := max(l.RoleRemovalsCount, share(l.RoleRemovalsPercent, holders))
		g := GuardResult{
			Guard: GuardRoleRemovals, Subject: role, Limit: limit, Of: holders,
			Count: r.byRole[role] + c.o.Baseline.RoleRemovals24h[role],
		}
		g.OK = g.Count <= limit
		name := clean(c.o.Catalogue.Roles[role].Name)
		if name == "" {
			name = role
		}
		g.Message = fmt.Sprintf("The plan and the 24 hours before it take the role %q from %d of %s", name, g.Count, number(holders, "holder", "holders"))
		g = g.limited(l.RoleRemovalsCount, l.RoleRemovalsPercent)
		switch {
		case !g.OK:
			refused = append(refused, g)
		case worst.Subject == "" || g.Count > worst.Count:
			worst = g
		}
	}
	if len(refused) > 0 {
		return refused
	}
	return []GuardResult{worst}
}

// limited ends the message of a removal guard: with its limit, and with what to do.
func (g GuardResult) limited(count, percent int) GuardResult {
	if g.OK {
		g.Message += fmt.Sprintf("; up to %d may go.", g.Limit)
		return g
	}
	g.Message += fmt.Sprintf(", where up to %d may go (%d, or %d %% if that is more); correct the catalogue, or approve the plan.",
		g.Limit, count, percent)
	return g
}

// share is percent of n, rounded down: the whole number of things that are not more than percent of n.
func share(percent, n int) int {
	return int(int64(percent) * int64(n) / 100)
}

// number writes a number with its noun.
func number(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
