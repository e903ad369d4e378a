package plan

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// crowd is a world of n users who all hold role read; the first `leaving` of them are to lose it.
func crowd(n, leaving int) *world {
	w := &world{observed: Observed{}, options: testOptions()}
	g := grant("read Cvr 12345678")
	for i := range n {
		s := Subject{Identity: fmt.Sprintf("id-%05d", i), User: fmt.Sprintf("u%d", i)}
		if i >= leaving {
			s.Grants = []DesiredGrant{{Grant: g}}
		}
		w.desired.Subjects = append(w.desired.Subjects, s)
		w.observed[s.Identity] = Observation{State: Read, Grants: []ObservedGrant{{Grant: g}}}
	}
	// One more wish keeps the guard against an empty desired side out of the way.
	w.desired.Subjects = append(w.desired.Subjects, Subject{Identity: "new", Grants: []DesiredGrant{{Grant: grant("report PU 1012345678")}}})
	w.observed["new"] = Observation{State: Read}
	return w
}

func TestGuards(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		world *world
		setup func(*world)
		want  []string // the guards that refuse
	}{
		{name: "all is well", world: crowd(100, 0)},
		{
			name: "small organisations have the count: 25 of 30 may go, if the role guard lets them", world: crowd(30, 25),
			setup: func(w *world) { w.options.Limits.RoleRemovalsCount = 25 },
		},
		{
			name: "26 of 30 may not", world: crowd(30, 26),
			setup: func(w *world) { w.options.Limits.RoleRemovalsCount = 30 }, want: []string{GuardRemovals, GuardRemovals24h},
		},
		{name: "large ones have the share: 10 % of 309 is 30", world: crowd(309, 30)},
		{name: "31 of 309 is more than 10 %", world: crowd(309, 31), want: []string{GuardRemovals, GuardRemovals24h}},
		{name: "10 of 12 holders may go", world: crowd(12, 10)},
		{name: "11 of 12 holders may not", world: crowd(12, 11), want: []string{GuardRoleRemovals}},
		{name: "half of 22 holders may go", world: crowd(22, 11)},
		{name: "more than half of 22 may not", world: crowd(22, 12), want: []string{GuardRoleRemovals}},
		{
			name: "the 24 hours before count", world: crowd(100, 10),
			setup: func(w *world) { w.options.Baseline.Removals24h = 16 }, want: []string{GuardRemovals24h},
		},
		{
			name: "up to the limit", world: crowd(100, 10),
			setup: func(w *world) { w.options.Baseline.Removals24h = 15 },
		},
		{
			name: "a plan without removals isn't refused for those before it", world: crowd(100, 0),
			setup: func(w *world) {
				w.options.Baseline.Removals24h = 1000
				w.options.Baseline.RoleRemovals24h = map[string]int{"read": 1000}
			},
		},
		{
			name: "the 24 hours before count per role", world: crowd(20, 1),
			setup: func(w *world) { w.options.Baseline.RoleRemovals24h = map[string]int{"read": 10, "report": 50} },
			want:  []string{GuardRoleRemovals},
		},
		{
			name: "the organisation is the whole, not the plan", world: crowd(30, 30),
			setup: func(w *world) {
				w.options.Baseline.Managed, w.options.Baseline.Holders = 300, map[string]int{"read": 60}
			},
		},
		{
			name: "the organisation is the whole, and it is too many", world: crowd(30, 30),
			setup: func(w *world) {
				w.options.Baseline.Managed, w.options.Baseline.Holders = 299, map[string]int{"read": 59}
			}, want: []string{GuardRemovals, GuardRemovals24h, GuardRoleRemovals},
		},
		{
			name: "an incomplete read holds removals back and does not block", world: crowd(100, 3),
			setup: func(w *world) { w.observed["new"] = Observation{State: Failed} },
		},
		{
			name: "an incomplete read does not hide that there are too many", world: crowd(100, 99),
			setup: func(w *world) { w.observed["new"] = Observation{State: Failed} },
			want:  []string{GuardRemovals, GuardRemovals24h, GuardRoleRemovals},
		},
		{
			name: "zero limits refuse any removal", world: crowd(100, 1),
			setup: func(w *world) { w.options.Limits = Limits{} }, want: []string{GuardRemovals, GuardRemovals24h, GuardRoleRemovals},
		},
		{
			name: "no catalogue", world: crowd(5, 0),
			setup: func(w *world) { w.options.Catalogue.Roles = nil }, want: []string{GuardCatalogue},
		},
		{
			name: "nothing but withdrawn roles", world: crowd(5, 0),
			setup: func(w *world) { w.options.Catalogue.Roles = map[string]Role{"read": {Withdrawn: true}} }, want: []string{GuardCatalogue},
		},
		{
			name: "20 % of the catalogue may go", world: crowd(5, 0),
			setup: func(w *world) { w.options.Catalogue = catalogueOf(80, 20); w.options.Catalogue.Before = 100 },
		},
		{
			name: "more may not", world: crowd(5, 0),
			setup: func(w *world) { w.options.Catalogue = catalogueOf(79, 21); w.options.Catalogue.Before = 100 }, want: []string{GuardShrunk},
		},
		{
			name: "a catalogue may grow", world: crowd(5, 0),
			setup: func(w *world) { w.options.Catalogue = catalogueOf(80, 0); w.options.Catalogue.Before = 10 },
		},
		{name: "nothing desired at all", world: crowd(5, 5), setup: desireNothing, want: []string{GuardDesired}},
		{
			name: "nothing desired of one user", world: crowd(5, 5),
			setup: func(w *world) { desireNothing(w); w.options.Selection = "user u1" },
		},
		{name: "nothing desired and nothing held", world: crowd(0, 0), setup: desireNothing},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.setup != nil {
				tt.setup(tt.world)
			}
			p := tt.world.compute(t)
			if diff := cmp.Diff(tt.want, p.BlockedBy(), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("guards that refuse (-want +got):\n%s\n%+v", diff, p.Guards)
			}
			if p.Blocked != (len(tt.want) > 0) {
				t.Errorf("blocked is %t", p.Blocked)
			}
			var seen []string
			for _, g := range p.Guards {
				if g.Message == "" || g.Message[len(g.Message)-1] != '.' {
					t.Errorf("guard %s has no sentence: %q", g.Guard, g.Message)
				}
				seen = append(seen, g.Guard)
			}
			all := []string{GuardIncomplete, GuardCatalogue, GuardShrunk, GuardDesired, GuardRemovals, GuardRemovals24h, GuardRoleRemovals}
			if diff := cmp.Diff(all, slices.Compact(seen)); diff != "" {
				t.Errorf("guards that have a result (-want +got):\n%s", diff)
			}
		})
	}
}

func desireNothing(w *world) {
	for i := range w.desired.Subjects {
		w.desired.Subjects[i].Grants = nil
	}
}

func catalogueOf(available, withdrawn int) Catalogue {
	c := Catalogue{Roles: map[string]Role{"read": {Name: "Læseadgang"}}}
	for i := 1; i < available+withdrawn; i++ {
		c.Roles[fmt.Sprintf("role-%d", i)] = Role{Withdrawn: i >= available}
	}
	return c
}

// TestGuardsIgnoreWhatTheMachineCannotTouch: the share is of what could be removed, or a flood of grants that are not
// ours would widen what may go.
func TestGuardsIgnoreWhatTheMachineCannotTouch(t *testing.T) {
	t.Parallel()
	w := crowd(10, 0)
	for i := range 40 {
		id := fmt.Sprintf("held-%d", i)
		w.desired.Subjects = append(w.desired.Subjects, Subject{Identity: id, Hold: NotAdopted})
		w.observed[id] = Observation{State: Read, Grants: []ObservedGrant{{Grant: grant("read Cvr 12345678")}}}
	}
	o := w.observed["new"]
	for _, g := range []string{"foreign Cvr 12345678", "old Cvr 12345678", "read Cvr 87654321", "read Region 1", "read PU"} {
		o.Grants = append(o.Grants, ObservedGrant{Grant: grant(g)})
	}
	w.observed["new"] = o
	for _, g := range w.compute(t).Guards {
		if g.Guard == GuardRemovals && g.Of != 10 {
			t.Errorf("the removals are counted against %d grants, want 10", g.Of)
		}
	}
}

// TestGuardRolesInOrder: with several roles that lose too many holders each has its line, in order.
func TestGuardRolesInOrder(t *testing.T) {
	t.Parallel()
	w := crowd(40, 0)
	for i := range 40 {
		w.desired.Subjects[i].Grants = nil
		o := w.observed[w.desired.Subjects[i].Identity]
		o.Grants = append(o.Grants, ObservedGrant{Grant: grant("admin Cvr 12345678")})
		w.observed[w.desired.Subjects[i].Identity] = o
	}
	var got []string
	for _, g := range w.compute(t).Guards {
		if g.Guard == GuardRoleRemovals {
			got = append(got, g.Message)
		}
	}
	want := []string{
		`The plan and the 24 hours before it take the role "Rettighedsadministrator" from 40 of 40 holders, where up to 20 may go (10, or 50 % if that is more); correct the catalogue, or approve the plan.`,
		`The plan and the 24 hours before it take the role "Læseadgang" from 40 of 40 holders, where up to 20 may go (10, or 50 % if that is more); correct the catalogue, or approve the plan.`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestShare(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ percent, n, want int }{{10, 0, 0}, {10, 9, 0}, {10, 10, 1}, {10, 259, 25}, {50, 3, 1}, {100, 7, 7}, {33, 100_000_000, 33_000_000}} {
		if got := share(tt.percent, tt.n); got != tt.want {
			t.Errorf("%d %% of %d is %d, want %d", tt.percent, tt.n, got, tt.want)
		}
	}
}
