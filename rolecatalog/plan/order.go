package plan

import (
	"cmp"
	"slices"
	"strings"
)

// compare orders grants by role, scope type and scope value.
func (g Grant) compare(h Grant) int {
	return cmp.Or(
		strings.Compare(g.Role, h.Role),
		strings.Compare(string(g.Scope.Type), string(h.Scope.Type)),
		strings.Compare(g.Scope.Value, h.Scope.Value),
	)
}

// rank is the verb's place in a plan; a text that is no verb has none.
func (v Verb) rank() (int, bool) {
	switch v {
	case Add:
		return 0, true
	case Remove:
		return 1, true
	case Keep:
		return 2, true
	case Skip:
		return 3, true
	}
	return 0, false
}

// verbs are all verbs in the order of their ranks.
var verbs = [...]Verb{Add, Remove, Keep, Skip}

// byVerb brings lines that are in order of identity and grant into the order of a plan, and counts them.
func byVerb(lines []Change) ([]Change, Counts) {
	var n [len(verbs)]int
	for i := range lines {
		r, _ := lines[i].Verb.rank()
		n[r]++
	}
	var next [len(verbs)]int
	for r := 1; r < len(verbs); r++ {
		next[r] = next[r-1] + n[r-1]
	}
	changes := make([]Change, len(lines))
	for i := range lines {
		r, _ := lines[i].Verb.rank()
		changes[next[r]] = lines[i]
		next[r]++
	}
	return changes, Counts{Add: n[0], Remove: n[1], Keep: n[2], Skip: n[3]}
}

// section is the stretch of the changes that have one verb.
func (p *Plan) section(v Verb) []Change {
	want, _ := v.rank()
	find := func(rank int) int {
		i, _ := slices.BinarySearchFunc(p.Changes, rank, func(c Change, rank int) int {
			r, _ := c.Verb.rank()
			return cmp.Compare(r, rank)
		})
		return i
	}
	from, to := find(want), find(want+1)
	return p.Changes[from:to:to]
}

// compare orders the changes of a plan.
func (c *Change) compare(d *Change) int {
	r, _ := c.Verb.rank()
	s, _ := d.Verb.rank()
	return cmp.Or(cmp.Compare(r, s), strings.Compare(c.Identity, d.Identity), c.Grant.compare(d.Grant))
}
