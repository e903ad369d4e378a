package plan

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// Apply carries a plan out: the observation that follows when every write succeeds.
func Apply(observed Observed, p *Plan) Observed {
	after := maps.Clone(observed)
	for _, c := range p.Changes {
		o := after[c.Identity]
		if c.Verb == Add {
			o.Grants = append(slices.Clone(o.Grants), ObservedGrant{Grant: c.Grant})
		}
		if c.Verb == Remove {
			o.Grants = slices.DeleteFunc(slices.Clone(o.Grants), func(g ObservedGrant) bool { return g.Grant == c.Grant })
		}
		after[c.Identity] = o
	}
	return after
}

var (
	identities = []string{"anna", "bo", "carl", "dina", "eva", "finn"}
	allRoles   = []string{"admin", "foreign", "old", "read", "report"}

	goodScopes = []Scope{
		{Cvr, ourCVR}, {PU, "1012345678"}, {PU, "1012345679"}, {SE, "10123456"}, {SE, "10123457"},
	}
	// Scopes that may turn up, and must not be touched or asked for.
	badScopes = []Scope{{Cvr, "87654321"}, {"Region", "1084"}, {"cvr", ourCVR}, {PU, ""}, {SE, ""}, {Cvr, ""}, {PU, "12"}}
)

func drawGrant(t *rapid.T) Grant {
	scopes := goodScopes
	if rapid.IntRange(0, 9).Draw(t, "bad scope") == 0 {
		scopes = badScopes
	}
	return Grant{Role: rapid.SampledFrom(allRoles).Draw(t, "role"), Scope: rapid.SampledFrom(scopes).Draw(t, "scope")}
}

func drawRoles(t *rapid.T, label string) map[string]bool {
	if rapid.IntRange(0, 3).Draw(t, label+"?") > 0 {
		return nil
	}
	roles := make(map[string]bool)
	for _, role := range rapid.SliceOfNDistinct(rapid.SampledFrom(allRoles), 1, 3, rapid.ID).Draw(t, label) {
		roles[role] = true
	}
	return roles
}

// drawWorld makes a small world in which everything happens that the two sides can bring about.
func drawWorld(t *rapid.T) *world {
	w := &world{observed: Observed{}, options: testOptions()}
	for _, id := range identities[:rapid.IntRange(0, len(identities)).Draw(t, "users")] {
		s := Subject{
			Identity: id, User: "user-" + id,
			Hold:         rapid.SampledFrom([]Reason{"", "", "", "", "", "", NotAdopted, Conflict}).Draw(t, "hold"),
			RemoveReason: rapid.SampledFrom([]Reason{"", "", "", UserDeleted}).Draw(t, "remove reason"),
			Protected:    rapid.IntRange(0, 5).Draw(t, "protected") == 0,
			Unadopted:    drawRoles(t, "unadopted"),
			NoValue:      drawRoles(t, "no value"),
		}
		for _, g := range rapid.SliceOfN(rapid.Custom(drawGrant), 0, 6).Draw(t, "desired") {
			s.Grants = append(s.Grants, DesiredGrant{Grant: g, Because: rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 0, 3).Draw(t, "because")})
		}
		o := Observation{State: rapid.SampledFrom([]ReadState{Read, Read, Read, Read, Read, Read, Read, Read, Read, Failed, IsGone, NotWanted, ""}).Draw(t, "state")}
		for _, g := range rapid.SliceOfN(rapid.Custom(drawGrant), 0, 6).Draw(t, "observed") {
			o.Grants = append(o.Grants, ObservedGrant{Grant: g})
		}
		w.desired.Subjects = append(w.desired.Subjects, s)
		if rapid.IntRange(0, 19).Draw(t, "answered") > 0 {
			w.observed[id] = o
		}
	}
	w.options.Limits = Limits{
		RemovalsCount: rapid.IntRange(0, 9).Draw(t, "removals"), RemovalsPercent: rapid.IntRange(0, 100).Draw(t, "removals %"),
		RoleRemovalsCount: rapid.IntRange(0, 5).Draw(t, "role removals"), RoleRemovalsPercent: rapid.IntRange(0, 100).Draw(t, "role removals %"),
		CatalogueShrinkPercent: 20,
	}
	if rapid.Bool().Draw(t, "administrators") {
		w.options.AdministratorLike = func(uuid string, _ Role) bool { return uuid == "admin" }
	}
	w.options.Baseline.Removals24h = rapid.SampledFrom([]int{0, 0, 1, 5}).Draw(t, "removed before")
	w.options.Waiting = map[AttemptKey]Attempt{}
	for range rapid.IntRange(0, 4).Draw(t, "waiting") {
		key := AttemptKey{
			Verb:     rapid.SampledFrom([]Verb{Add, Remove}).Draw(t, "waiting verb"),
			Identity: rapid.SampledFrom(identities).Draw(t, "waiting identity"), Grant: drawGrant(t),
		}
		w.options.Waiting[key] = Attempt{Error: "503", NeedsPerson: rapid.Bool().Draw(t, "needs person")}
	}
	return w
}

func (w *world) draw(t *rapid.T) *Plan {
	t.Helper()
	p, err := Compute(w.desired, w.observed, w.options)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// forEachChange draws worlds and shows every change of their plans that would be written, with its subject.
func forEachChange(t *testing.T, check func(t *rapid.T, w *world, p *Plan, s *Subject, c Change)) {
	t.Helper()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		p := w.draw(t)
		for _, c := range slices.Concat(p.Adds(), p.Removes()) {
			i := slices.IndexFunc(w.desired.Subjects, func(s Subject) bool { return s.Identity == c.Identity })
			if i < 0 {
				t.Fatalf("%+v is of nobody's", c)
			}
			check(t, w, p, &w.desired.Subjects[i], c)
		}
	})
}

func TestLawL1UnknownIsNeverEmpty(t *testing.T) {
	t.Parallel()
	forEachChange(t, func(t *rapid.T, w *world, p *Plan, _ *Subject, c Change) {
		if o, ok := w.observed[c.Identity]; !ok || o.State != Read {
			t.Errorf("%s for an identity in state %q", c.Verb, o.State)
		}
		if c.Verb == Remove && p.Target.Failed > 0 {
			t.Errorf("removal while %d could not be read", p.Target.Failed)
		}
	})
}

// TestLawL1LosingAnAnswerTakesNothing: whatever part of the answers is lost, nothing is removed that would not have been
// removed with all of them.
func TestLawL1LosingAnAnswerTakesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		var whole []Change
		if p := w.draw(t); p.Target.Failed == 0 {
			whole = p.Removes()
		}
		for _, id := range rapid.SliceOf(rapid.SampledFrom(identities)).Draw(t, "lost") {
			o, ok := w.observed[id]
			if !ok || o.State != Read {
				continue
			}
			o.State = rapid.SampledFrom([]ReadState{Failed, IsGone, NotWanted, ""}).Draw(t, "as")
			w.observed[id] = o
		}
		for _, c := range w.draw(t).Removes() {
			same := func(d Change) bool { return d.Identity == c.Identity && d.Grant == c.Grant }
			if !slices.ContainsFunc(whole, same) && !lastHolderOf(w, c) {
				t.Errorf("%+v is removed only because answers were lost", c)
			}
		}
	})
}

// lastHolderOf: which of the holders of an administrator-like role is the one to stay depends on who is looked at.
func lastHolderOf(w *world, c Change) bool {
	return w.options.AdministratorLike != nil && c.Grant.Role == "admin"
}

func TestLawL2AdoptBeforeWrite(t *testing.T) {
	t.Parallel()
	forEachChange(t, func(t *rapid.T, _ *world, _ *Plan, s *Subject, c Change) {
		if s.Hold == NotAdopted {
			t.Errorf("%s for a user who is not adopted", c.Verb)
		}
		if c.Verb == Remove && s.Unadopted[c.Grant.Role] {
			t.Errorf("removal of %s, which came after the import", c.Grant.Role)
		}
	})
}

func TestLawL3OnlyWhatIsOurs(t *testing.T) {
	t.Parallel()
	forEachChange(t, func(t *rapid.T, w *world, _ *Plan, s *Subject, c Change) {
		if _, ok := w.options.Catalogue.Roles[c.Grant.Role]; !ok {
			t.Errorf("%s of a role outside the catalogue", c.Verb)
		}
		if c.Verb == Add && !slices.Contains(goodScopes, c.Grant.Scope) {
			t.Errorf("add with scope %s", c.Grant.Scope)
		}
		if sc := c.Grant.Scope; !sc.Type.Known() || sc.Value == "" || sc.Type == Cvr && sc.Value != ourCVR {
			t.Errorf("%s with scope %s", c.Verb, sc)
		}
		if c.Verb == Remove && s.Protected {
			t.Error("removal from a protected user")
		}
		if c.Verb == Remove && !slices.Contains(w.observed[c.Identity].Grants, ObservedGrant{Grant: c.Grant}) {
			t.Error("removal of what is not held")
		}
	})
}

// TestLawL5PlanAgainNothingToDo: after a plan is carried out there is nothing to do, and without anything held back the
// two sides agree.
func TestLawL5PlanAgainNothingToDo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		first := w.draw(t)
		w.observed = Apply(w.observed, first)
		second := w.draw(t)
		if !second.Empty() {
			t.Fatalf("the second plan has %v\nafter %v", lines(second), lines(first))
		}
		for _, c := range second.Skips() {
			if c.Intended == "" && c.Reason != Unmanaged && c.Reason != UnknownScope && c.Reason != OtherCVR &&
				c.Reason != NoScopeValue && c.Reason != Withdrawn && c.Reason != Conflict && c.Reason != NotAdopted &&
				c.Reason != ReadFailed && c.Reason != Gone {
				t.Errorf("%+v hides work without saying what", c)
			}
		}
		if len(second.Skips()) > 0 {
			return
		}
		for _, s := range w.desired.Subjects {
			if w.observed[s.Identity].State != Read {
				continue
			}
			want := make(map[Grant]bool)
			for _, g := range s.Grants {
				want[g.Grant] = true
			}
			got := make(map[Grant]bool)
			for _, g := range w.observed[s.Identity].Grants {
				got[g.Grant] = true
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-desired +observed):\n%s", s.Identity, diff)
			}
		}
	})
}

// TestLawL6AddBeforeRemove: whatever the moment at which carrying out stops, everybody has what he had and shall have, and
// no removal has been made before every add was tried.
func TestLawL6AddBeforeRemove(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		p := w.draw(t)
		removing := false
		for _, c := range p.Changes {
			if c.Verb == Add && removing {
				t.Fatalf("%+v comes after a removal", c)
			}
			removing = removing || c.Verb == Remove
		}
		stopped := *p
		stopped.Changes = p.Changes[:rapid.IntRange(0, len(p.Changes)).Draw(t, "stop")]
		after := Apply(w.observed, &stopped)
		for _, s := range w.desired.Subjects {
			for _, g := range s.Grants {
				o := ObservedGrant{Grant: g.Grant}
				if slices.Contains(w.observed[s.Identity].Grants, o) && !slices.Contains(after[s.Identity].Grants, o) {
					t.Errorf("%s lost %v, which is wanted", s.Identity, g.Grant)
				}
			}
		}
	})
}

func TestLawL7NeverWider(t *testing.T) {
	t.Parallel()
	forEachChange(t, func(t *rapid.T, _ *world, _ *Plan, s *Subject, c Change) {
		exact := func(g DesiredGrant) bool { return g.Grant == c.Grant }
		if c.Verb == Add && !slices.ContainsFunc(s.Grants, exact) {
			t.Errorf("%v is given and was never asked for", c.Grant)
		}
		for _, g := range s.Grants {
			if g.Role == c.Grant.Role && !slices.Contains(goodScopes, g.Scope) && g.Scope.Value != "87654321" {
				t.Errorf("%s of a role that is wanted with the scope %q as well", c.Verb, g.Scope)
			}
		}
	})
}

// TestLawL10BoundedLoss counts what a plan may take with figures of its own, and compares.
func TestLawL10BoundedLoss(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		p := w.draw(t)
		managed, holders := 0, make(map[string]int)
		for _, s := range w.desired.Subjects {
			o := w.observed[s.Identity]
			seen := make(map[Grant]bool)
			for _, g := range o.Grants {
				ours := slices.Contains(goodScopes, g.Scope) || g.Scope.Value == "12"
				if o.State != Read || !ours || seen[g.Grant] {
					continue
				}
				seen[g.Grant] = true
				holders[g.Role]++
				if s.Hold == "" && g.Role != "foreign" && g.Role != "old" {
					managed++
				}
			}
		}
		l := w.options.Limits
		tooMany := func(n, count, percent, of int) bool { return n > count && n*100 > percent*of }
		removes := make(map[string]int)
		total := 0
		for _, c := range p.Changes {
			if c.Verb == Remove || c.Reason == IncompleteIn {
				removes[c.Grant.Role]++
				total++
			}
		}
		want := total > 0 && tooMany(total+w.options.Baseline.Removals24h, l.RemovalsCount, l.RemovalsPercent, managed)
		for role, n := range removes {
			want = want || tooMany(n, l.RoleRemovalsCount, l.RoleRemovalsPercent, holders[role])
		}
		if p.Source.Grants == 0 && managed > 0 {
			want = true
		}
		if p.Blocked != want {
			t.Errorf("blocked is %t, want %t: %d removals of %d managed, by role %v of %v, limits %+v", p.Blocked, want, total, managed, removes, holders, l)
		}
	})
}

// TestLawL11WithdrawnIsNotGone: a role leaves the catalogue and returns. Meanwhile nobody gains or loses it, and
// afterwards everything is as if it had never been away.
func TestLawL11WithdrawnIsNotGone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		role := rapid.SampledFrom([]string{"admin", "read", "report"}).Draw(t, "withdrawn")
		of := func(p *Plan) []string {
			q := *p
			q.Changes = slices.DeleteFunc(slices.Clone(p.Changes), func(c Change) bool { return c.Grant.Role != role })
			return lines(&q)
		}
		before := of(w.draw(t))
		present := w.options.Catalogue
		away := testCatalogue()
		away.Roles[role] = Role{Name: away.Roles[role].Name, Withdrawn: true}
		w.options.Catalogue = away
		p := w.draw(t)
		for _, c := range slices.Concat(p.Adds(), p.Removes()) {
			if c.Grant.Role == role {
				t.Errorf("%+v while the role is away", c)
			}
		}
		w.observed = Apply(w.observed, p)
		w.options.Catalogue = present
		if diff := cmp.Diff(before, of(w.draw(t))); diff != "" {
			t.Errorf("the role's changes before it left and after it returned:\n%s", diff)
		}
	})
}

// TestLawL13NoNumberThatIsNoScope: what stands in a scope's place and isn't one does not come into the document.
func TestLawL13NoNumberThatIsNoScope(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		typed := rapid.StringMatching(`(0[1-9]|[12][0-9])(0[1-9]|1[0-2])9[0-9]-[0-9]{4}`).Draw(t, "typed")
		kind := rapid.SampledFrom([]ScopeType{Cvr, PU, SE, "Region"}).Draw(t, "type")
		g := DesiredGrant{Grant: Grant{Role: "read", Scope: Scope{kind, typed}}}
		w.user("anna").Grants = append(w.user("anna").Grants, g)
		b, err := w.draw(t).JSON()
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte(typed)) {
			t.Errorf("%q is in the document", typed)
		}
	})
}

func TestLawL14OneIdentityOneOwner(t *testing.T) {
	t.Parallel()
	forEachChange(t, func(t *rapid.T, _ *world, _ *Plan, s *Subject, c Change) {
		if s.Hold == Conflict {
			t.Errorf("%s for an identity of two users", c.Verb)
		}
	})
}

// TestLastHolderStays: carrying out any number of plans never takes an administrator-like role from its last holder.
func TestLastHolderStays(t *testing.T) {
	t.Parallel()
	holders := func(o Observed) (n int) {
		for _, x := range o {
			for _, g := range x.Grants {
				if x.State == Read && g.Role == "admin" && (g.Scope.Type == PU || g.Scope.Type == SE || g.Scope.Value == ourCVR) && g.Scope.Type.Known() && g.Scope.Value != "" {
					n++
				}
			}
		}
		return n
	}
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		administratorLike(w)
		before := holders(w.observed)
		after := holders(Apply(w.observed, w.draw(t)))
		if before > 0 && after == 0 {
			t.Error("nobody holds the role any longer")
		}
	})
}

// TestComputeIsDeterministic: the order in which the input comes is not part of it, and the input is not touched.
func TestComputeIsDeterministic(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		want := w.draw(t)
		subjects := rapid.Permutation(w.desired.Subjects).Draw(t, "subjects")
		for i := range subjects {
			subjects[i].Grants = rapid.Permutation(subjects[i].Grants).Draw(t, "desired")
			for j := range subjects[i].Grants {
				g := &subjects[i].Grants[j]
				g.Because = rapid.Permutation(g.Because).Draw(t, "because")
			}
		}
		shuffled := Observed{}
		for _, id := range slices.Sorted(maps.Keys(w.observed)) {
			o := w.observed[id]
			o.Grants = rapid.Permutation(o.Grants).Draw(t, "observed")
			shuffled[id] = o
		}
		before := fmt.Sprintf("%+v %+v", subjects, shuffled)
		got, err := Compute(Desired{Subjects: subjects}, shuffled, w.options)
		if err != nil {
			t.Fatal(err)
		}
		if after := fmt.Sprintf("%+v %+v", subjects, shuffled); after != before {
			t.Errorf("the input has changed:\n%s\n%s", before, after)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("the plan of the shuffled input (-want +got):\n%s", diff)
		}
	})
}

// TestComputeAccountsForEverything: every grant of either side that was read has exactly one line.
func TestComputeAccountsForEverything(t *testing.T) {
	t.Parallel()
	type key struct {
		identity string
		grant    Grant
	}
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		p := w.draw(t)
		want := make(map[key]int)
		for _, s := range w.desired.Subjects {
			o, ok := w.observed[s.Identity]
			if ok && o.State == NotWanted {
				continue
			}
			for _, g := range s.Grants {
				if fault(g.Scope) != "" {
					g.Scope.Value = ""
				}
				want[key{s.Identity, g.Grant}] = 1
			}
			for _, g := range o.Grants {
				if o.State == Read {
					want[key{s.Identity, g.Grant}] = 1
				}
			}
		}
		got := make(map[key]int)
		for _, c := range p.Changes {
			got[key{c.Identity, c.Grant}]++
			if c.Intended != "" && c.Verb != Skip {
				t.Errorf("%+v is done and intended", c)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("lines per grant (-want +got):\n%s", diff)
		}
	})
}

// TestEffectIsWhatIsDone: two plans have the same Effect exactly when they add and remove the same.
func TestEffectIsWhatIsDone(t *testing.T) {
	t.Parallel()
	does := func(p *Plan) (texts []string) {
		for _, c := range slices.Concat(p.Adds(), p.Removes()) {
			texts = append(texts, fmt.Sprint(c.Verb, c.Identity, c.Grant))
		}
		return texts
	}
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		a := w.draw(t)
		v := w
		switch rapid.IntRange(0, 3).Draw(t, "other") {
		case 0:
			v = drawWorld(t)
		case 1: // perhaps a difference in what is done
			for i := range v.desired.Subjects {
				s := &v.desired.Subjects[i]
				s.Grants = s.Grants[:rapid.IntRange(0, len(s.Grants)).Draw(t, "still wanted")]
			}
		case 2: // perhaps the same with another number
			for _, s := range v.desired.Subjects {
				for j := range s.Grants {
					s.Grants[j].Scope = rapid.SampledFrom(goodScopes).Draw(t, "scope now")
				}
			}
		case 3: // none
			v.options.Catalogue.Roles["read"] = Role{Name: "Et nyt navn"}
			v.options.Selection = "user anna"
			v.options.Limits = Limits{}
		}
		b := v.draw(t)
		if same := slices.Equal(does(a), does(b)); same != (a.Effect == b.Effect) {
			t.Errorf("the same is done: %t, the same effect: %t", same, a.Effect == b.Effect)
		}
	})
}

// TestEffectIsOfOneOrganisation: an approval for one organisation is none for another.
func TestEffectIsOfOneOrganisation(t *testing.T) {
	t.Parallel()
	w, _ := parseWorld(t, `anna | report PU 1012345678 | yes | no |`)
	a := w.compute(t)
	w.options.CVR = "87654321"
	if b := w.compute(t); a.Effect == b.Effect {
		t.Error("both organisations' plans have the same effect")
	}
}
