package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Compute compares the two sides and says what is to be done, what is held back, and whether the guards let it pass.
//
// It is pure: the same input, in whatever order, gives the same document. It leaves its arguments as they are; the caller
// sets CreatedAt. Identities that are observed but have no subject are not the plan's business: they are ignored.
//
// Something that is wrong with one grant (no scope value, a number of the wrong length, another organisation's CVR number)
// is a skip with its reason, and so stops nobody else's changes; for a role whose wanted scope can't be told nothing is
// removed either. An error means that the input as a whole can't be trusted: no CVR number, two subjects with one
// identity, identities or roles that are not in lower case, negative limits.
func Compute(desired Desired, observed Observed, o Options) (*Plan, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("computing the plan: %w", err)
	}
	subjects, err := inOrder(desired.Subjects)
	if err != nil {
		return nil, fmt.Errorf("computing the plan: %w", err)
	}
	c := newComputation(o, subjects, observed)
	for _, s := range subjects {
		c.subject(s, observed)
	}
	return c.plan(), nil
}

func (o Options) check() error {
	if !digits(o.CVR, 8) {
		return errors.New("the organisation's CVR number must have 8 digits")
	}
	l := o.Limits
	if min(l.RemovalsCount, l.RemovalsPercent, l.RoleRemovalsCount, l.RoleRemovalsPercent, l.CatalogueShrinkPercent) < 0 {
		return errors.New("a guard's limit must not be negative")
	}
	return nil
}

// inOrder sorts subjects by identity and refuses what would make a plan wrong for others than the subject itself.
func inOrder(subjects []Subject) ([]*Subject, error) {
	sorted := make([]*Subject, len(subjects))
	for i := range subjects {
		s := &subjects[i]
		sorted[i] = s
		if !canonical(s.Identity) {
			return nil, fmt.Errorf("user %q: %q is not an identity in lower case", s.User, s.Identity)
		}
		if s.Hold != "" && !s.Hold.holds() {
			return nil, fmt.Errorf("user %q: %q is no reason to hold an identity", s.User, s.Hold)
		}
		if s.RemoveReason != "" && !s.RemoveReason.takes() {
			return nil, fmt.Errorf("user %q: %q is no reason to remove a grant", s.User, s.RemoveReason)
		}
		for _, g := range s.Grants {
			// In another case the same role would be added under one name and removed under the other.
			if !canonical(g.Role) {
				return nil, fmt.Errorf("user %q: %q is not a role uuid in lower case", s.User, g.Role)
			}
		}
	}
	slices.SortFunc(sorted, func(a, b *Subject) int { return strings.Compare(a.Identity, b.Identity) })
	for i := 1; i < len(sorted); i++ {
		if a, b := sorted[i-1], sorted[i]; a.Identity == b.Identity {
			return nil, fmt.Errorf("identity %s is there twice, for users %q and %q: one subject on hold is needed",
				a.Identity, min(a.User, b.User), max(a.User, b.User))
		}
	}
	return sorted, nil
}

// canonical reports whether s can be a key: something, in lower case, without space around it.
func canonical(s string) bool {
	return s != "" && utf8.ValidString(s) && strings.ToLower(s) == s && strings.TrimSpace(s) == s
}

func digits(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// clean makes a text survive JSON unchanged, so that a stored plan keeps its id.
func clean(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// computation is the work of one Compute.
type computation struct {
	o     Options
	lines []Change // in order of identity and grant

	source, target             Inventory
	sourceDigest, targetDigest *digest
	unread                     []Unread

	managed int            // grants observed that the machine may touch
	holders map[string]int // by role, grants observed

	// What follows belongs to the subject at hand and is used again for the next one.
	wanted []DesiredGrant
	held   []ObservedGrant
	faulty []string // roles with a wanted scope that can't be told
}

func newComputation(o Options, subjects []*Subject, observed Observed) *computation {
	lines := 0
	for _, s := range subjects {
		lines += max(len(s.Grants), len(observed[s.Identity].Grants))
	}
	c := &computation{
		o: o, lines: make([]Change, 0, lines), holders: make(map[string]int, len(o.Catalogue.Roles)),
		sourceDigest: newDigest("source"), targetDigest: newDigest("target"),
	}
	c.source.Complete = true
	uuids := make([]string, 0, len(o.Catalogue.Roles))
	for uuid := range o.Catalogue.Roles {
		uuids = append(uuids, uuid)
	}
	slices.Sort(uuids)
	c.sourceDigest.number(len(uuids))
	for _, uuid := range uuids {
		c.sourceDigest.text(uuid)
		c.sourceDigest.flag(o.Catalogue.Roles[uuid].Withdrawn)
	}
	return c
}

// subject compares the two sides for one identity.
func (c *computation) subject(s *Subject, observed Observed) {
	seen, ok := observed[s.Identity]
	switch {
	case !ok:
		seen = Observation{State: Failed, Error: "it was not read"}
	case seen.State != Read && seen.State != IsGone && seen.State != NotWanted:
		seen.State = Failed
	}
	c.want(s)
	c.see(s, seen)
	switch seen.State {
	case Read:
		c.merge(s)
	case Failed, IsGone:
		c.unreadSubject(s, seen)
	case NotWanted:
	}
}

// merge goes through both sides of a subject that was read, which are in the same order.
func (c *computation) merge(s *Subject) {
	wanted, held := c.wanted, c.held
	for len(wanted) > 0 || len(held) > 0 {
		var order int
		switch {
		case len(held) == 0:
			order = -1
		case len(wanted) == 0:
			order = 1
		default:
			order = wanted[0].compare(held[0].Grant)
		}
		switch {
		case order < 0:
			c.line(s, wanted[0].Grant, wanted[0].Because, "", true, false)
			wanted = wanted[1:]
		case order > 0:
			c.line(s, held[0].Grant, nil, held[0].RoleName, false, true)
			held = held[1:]
		default:
			c.line(s, held[0].Grant, wanted[0].Because, held[0].RoleName, true, true)
			wanted, held = wanted[1:], held[1:]
		}
	}
}

// want prepares the catalogue's side of a subject: sorted, each grant once, with all its reasons.
func (c *computation) want(s *Subject) {
	c.wanted, c.faulty = c.wanted[:0], c.faulty[:0]
	for _, g := range s.Grants {
		if reason := fault(g.Scope); reason != "" {
			// A value that isn't one may be anything, a CPR number too: it stays out of the document.
			g.Scope = Scope{Type: ScopeType(clean(string(g.Scope.Type)))}
			c.faulty = append(c.faulty, g.Role)
			c.source.Complete = false
		}
		c.wanted = append(c.wanted, g)
	}
	slices.SortFunc(c.wanted, func(a, b DesiredGrant) int { return a.compare(b.Grant) })
	n := 0
	for i, g := range c.wanted {
		if i > 0 && c.wanted[n-1].Grant == g.Grant {
			c.wanted[n-1].Because = append(slices.Clip(c.wanted[n-1].Because), g.Because...)
			continue
		}
		c.wanted[n] = g
		n++
	}
	c.wanted = c.wanted[:n]

	c.source.Identities++
	c.source.Grants += n
	if len(s.NoValue) > 0 {
		c.source.Complete = false
	}
	d := c.sourceDigest
	d.text(s.Identity)
	d.text(string(s.Hold))
	d.flag(s.Protected)
	for _, roles := range []map[string]bool{s.Unadopted, s.NoValue} {
		listed := make([]string, 0, len(roles))
		for role, yes := range roles {
			if yes {
				listed = append(listed, role)
			}
		}
		slices.Sort(listed)
		d.number(len(listed))
		for _, role := range listed {
			d.text(role)
		}
	}
	d.number(n)
	for _, g := range c.wanted {
		d.grant(g.Grant)
	}
}

// fault says what makes a wanted scope one that can't be asked for, whichever organisation it is for; empty: nothing.
func fault(s Scope) Reason {
	switch s.Type {
	case Cvr, SE:
		if !digits(s.Value, 8) {
			return NoScopeValue
		}
	case PU:
		if !digits(s.Value, 10) {
			return NoScopeValue
		}
	default:
		return UnknownScope
	}
	return ""
}

// see prepares MitID Erhverv's side of a subject: sorted, each grant once.
func (c *computation) see(s *Subject, seen Observation) {
	c.held = c.held[:0]
	d := c.targetDigest
	d.text(s.Identity)
	d.text(string(seen.State))
	if seen.State == NotWanted {
		return
	}
	c.target.Identities++
	switch seen.State {
	case Failed:
		c.target.Failed++
		return
	case IsGone:
		c.target.Gone++
		return
	case Read, NotWanted:
	}
	for _, g := range seen.Grants {
		g.Role = strings.ToLower(clean(g.Role))
		g.Scope = Scope{Type: ScopeType(clean(string(g.Scope.Type))), Value: clean(g.Scope.Value)}
		c.held = append(c.held, g)
	}
	slices.SortFunc(c.held, func(a, b ObservedGrant) int {
		if order := a.compare(b.Grant); order != 0 {
			return order
		}
		return strings.Compare(a.RoleName, b.RoleName)
	})
	c.held = slices.CompactFunc(c.held, func(a, b ObservedGrant) bool { return a.Grant == b.Grant })

	c.target.Grants += len(c.held)
	d.number(len(c.held))
	for _, g := range c.held {
		d.grant(g.Grant)
		if !g.Scope.Type.Known() || g.Scope.Value == "" || c.foreign(g.Scope) {
			continue
		}
		c.holders[g.Role]++
		if role, ok := c.o.Catalogue.Roles[g.Role]; ok && !role.Withdrawn && s.Hold == "" {
			c.managed++
		}
	}
}

// foreign reports whether a scope is another organisation's.
func (c *computation) foreign(s Scope) bool { return s.Type == Cvr && s.Value != c.o.CVR }

// unreadSubject leaves alone everything of an identity of which nothing is known.
func (c *computation) unreadSubject(s *Subject, seen Observation) {
	v := verdict{verb: Skip, reason: ReadFailed, detail: clean(seen.Error)}
	if seen.State == IsGone {
		v.reason = Gone
	}
	c.unread = append(c.unread, Unread{
		Identity: s.Identity, User: clean(s.User), Name: clean(s.Name), State: seen.State, Error: v.detail,
	})
	if s.Hold != "" {
		if v.detail == "" {
			v.detail = v.reason.Text()
		}
		v.reason = s.Hold
	}
	for _, g := range c.wanted {
		c.append(s, g.Grant, g.Because, "", v)
	}
}

// line decides about one grant and writes it down.
func (c *computation) line(s *Subject, g Grant, because []string, roleName string, wanted, held bool) {
	c.append(s, g, because, roleName, c.decide(s, g, wanted, held))
}

func (c *computation) append(s *Subject, g Grant, because []string, roleName string, v verdict) {
	if role, ok := c.o.Catalogue.Roles[g.Role]; ok && role.Name != "" {
		roleName = role.Name
	}
	c.lines = append(c.lines, Change{
		Verb: v.verb, Identity: s.Identity, User: clean(s.User), Name: clean(s.Name), Grant: g, RoleName: clean(roleName),
		Reason: v.reason, Because: inSortedOrder(because), Intended: v.intended, Detail: v.detail,
	})
}

// inSortedOrder gives texts sorted and each once, the same slice when it is so already.
func inSortedOrder(texts []string) []string {
	fine := true
	for i, t := range texts {
		if !utf8.ValidString(t) || i > 0 && texts[i-1] >= t {
			fine = false
		}
	}
	if fine {
		return slices.Clip(texts)
	}
	sorted := make([]string, len(texts))
	for i, t := range texts {
		sorted[i] = clean(t)
	}
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

// verdict is what is decided about one grant.
type verdict struct {
	verb     Verb
	reason   Reason
	intended Verb
	detail   string
}

// decide says what to do about a grant of an identity that was read. It is wanted, or held, or both.
func (c *computation) decide(s *Subject, g Grant, wanted, held bool) verdict {
	var would Verb
	switch {
	case wanted && !held:
		would = Add
	case held && !wanted:
		would = Remove
	}
	role, managed := c.o.Catalogue.Roles[g.Role]
	switch {
	case !managed && held:
		return verdict{verb: Skip, reason: Unmanaged}
	case !managed:
		return verdict{verb: Skip, reason: Unmanaged, intended: Add}
	case !g.Scope.Type.Known():
		return verdict{verb: Skip, reason: UnknownScope}
	case g.Scope.Value == "": // nothing could be asked for it, on either side
		return verdict{verb: Skip, reason: NoScopeValue}
	case c.foreign(g.Scope):
		return verdict{verb: Skip, reason: OtherCVR}
	case s.Hold == Conflict: // two users may want two things
		return verdict{verb: Skip, reason: Conflict}
	case s.Hold != "":
		return verdict{verb: Skip, reason: s.Hold, intended: would}
	case role.Withdrawn:
		return verdict{verb: Skip, reason: Withdrawn, intended: would}
	case s.NoValue[g.Role] || slices.Contains(c.faulty, g.Role):
		return verdict{verb: Skip, reason: NoScopeValue, intended: would, detail: "for another assignment of the same role"}
	case wanted && held:
		return verdict{verb: Keep, reason: Assigned}
	case would == Remove && s.Unadopted[g.Role]:
		return verdict{verb: Skip, reason: NotAdopted, intended: Remove}
	case would == Remove && s.Protected:
		return verdict{verb: Skip, reason: Protected, intended: Remove, detail: s.removeReason(g).Text()}
	}
	if len(c.o.Waiting) > 0 {
		if a, ok := c.o.Waiting[AttemptKey{Verb: would, Identity: s.Identity, Grant: g}]; ok {
			v := verdict{verb: Skip, reason: Waiting, intended: would, detail: clean(a.Error)}
			if a.NeedsPerson {
				v.reason = NeedsPerson
			}
			return v
		}
	}
	if would == Remove {
		return verdict{verb: Remove, reason: s.removeReason(g)}
	}
	return verdict{verb: Add, reason: Assigned}
}

// removeReason says why a grant that is held and not wanted goes.
func (s *Subject) removeReason(g Grant) Reason {
	switch {
	case s.RemoveReason != "":
		return s.RemoveReason
	case s.EndedGrants[g]:
		return Ended
	}
	return NotAssigned
}

// plan makes the document of what was decided.
func (c *computation) plan() *Plan {
	c.keepLastHolders()
	r := c.removals()
	guards := c.guards(r)
	if c.target.Failed > 0 {
		c.holdRemovals()
	}
	p := &Plan{
		FormatVersion: FormatVersion, CVR: c.o.CVR, Selection: clean(c.o.Selection),
		Source: c.source, Target: c.target, Unread: c.unread, Guards: guards,
	}
	p.Source.Hash = c.sourceDigest.sum()
	p.Target.Hash = c.targetDigest.sum()
	p.Target.Complete = c.target.Failed == 0
	p.Changes, p.Counts = byVerb(c.lines)
	p.Blocked = len(p.BlockedBy()) > 0
	p.Effect = p.effect()
	p.ID = p.id()
	return p
}

// skip turns a removal into a skip that remembers it.
func (c *Change) skip(r Reason) {
	c.Detail = c.Reason.Text()
	c.Verb, c.Intended, c.Reason = Skip, Remove, r
}

// holdRemovals leaves every removal for a plan in which everything could be read: what was not read may be what would have
// shown that the catalogue, the certificate or the organisation is the wrong one.
func (c *computation) holdRemovals() {
	for i := range c.lines {
		if c.lines[i].Verb == Remove {
			c.lines[i].skip(IncompleteIn)
		}
	}
}

// keepLastHolders keeps one grant of each administrator-like role that the plan would leave without any.
func (c *computation) keepLastHolders() {
	if c.o.AdministratorLike == nil {
		return
	}
	type balance struct{ adds, removes, first int }
	roles := make(map[string]balance)
	for i := range c.lines {
		l := &c.lines[i]
		if l.Verb != Add && l.Verb != Remove {
			continue
		}
		b := roles[l.Grant.Role]
		if l.Verb == Add {
			b.adds++
		} else {
			if b.removes == 0 {
				b.first = i
			}
			b.removes++
		}
		roles[l.Grant.Role] = b
	}
	for uuid, b := range roles { // each role concerns lines of its own, so the order doesn't show
		if b.removes > 0 && c.holdersOf(uuid)+b.adds <= b.removes && c.o.AdministratorLike(uuid, c.o.Catalogue.Roles[uuid]) {
			c.lines[b.first].skip(LastOfRole)
		}
	}
}

// holdersOf counts the grants of a role in the organisation.
func (c *computation) holdersOf(role string) int {
	if n, ok := c.o.Baseline.Holders[role]; ok {
		return n
	}
	return c.holders[role]
}
