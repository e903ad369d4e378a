package plan

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCompute(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		table string
		setup func(*world)
	}{
		{name: "the four cases", table: `
			identity | grant               | desired | observed | change
			anna     | read Cvr 12345678   | yes     | yes      | keep
			anna     | report PU 1012345678| yes     | no       | add
			anna     | report PU 1087654321| no      | yes      | remove
			anna     | foreign Cvr 12345678| no      | yes      | skip unmanaged`},

		{name: "all three parts of a grant count", table: `
			identity | grant                | desired | observed | change
			anna     | report PU 1012345678 | yes     | no       | add
			anna     | report PU 1012345679 | no      | yes      | remove
			anna     | report SE 10123456   | no      | yes      | remove
			anna     | read PU 1012345678   | no      | yes      | remove
			bo       | report PU 1012345679 | yes     | no       | add`},

		{name: "another organisation's CVR grant is left alone and ours is given", table: `
			identity | grant             | desired | observed | change
			anna     | read Cvr 12345678 | yes     | no       | add
			anna     | read Cvr 87654321 | no      | yes      | skip other_cvr`},

		{name: "another organisation's CVR grant is never asked for", table: `
			identity | grant             | desired | observed | change
			anna     | read Cvr 87654321 | yes     | no       | skip other_cvr
			bo       | read Cvr 87654321 | yes     | yes      | skip other_cvr`},

		{name: "an unknown scope type is left alone, the rest of the user is not", table: `
			identity | grant             | desired | observed | change
			anna     | read Region 1084  | no      | yes      | skip scope_type
			anna     | read cvr 12345678 | no      | yes      | skip scope_type
			anna     | read Cvr 12345678 | no      | yes      | remove`},

		{name: "a withdrawn role", table: `
			identity | grant               | desired | observed | change
			anna     | old Cvr 12345678    | yes     | yes      | skip withdrawn
			bo       | old Cvr 12345678    | yes     | no       | skip withdrawn (add)
			carl     | old Cvr 12345678    | no      | yes      | skip withdrawn (remove)`},

		{name: "a wanted role that the catalogue doesn't know", table: `
			identity | grant                | desired | observed | change
			anna     | foreign Cvr 12345678 | yes     | no       | skip unmanaged (add)
			bo       | foreign Cvr 12345678 | yes     | yes      | skip unmanaged`},

		{
			name: "a role without its scope value is neither given nor taken", table: `
			identity | grant                | desired | observed | change
			anna     | report PU 1012345678 | no      | yes      | skip no_value (remove)
			anna     | report PU 1012345679 | yes     | no       | skip no_value (add)
			anna     | report PU 1012345670 | yes     | yes      | skip no_value
			anna     | read Cvr 12345678    | no      | yes      | remove`,
			setup: func(w *world) { w.user("anna").NoValue = map[string]bool{"report": true, "read": false} },
		},

		{name: "an empty scope value holds its role back", table: `
			identity | grant                | desired | observed | change
			anna     | report PU            | yes     | no       | skip no_value
			anna     | report PU 1012345678 | no      | yes      | skip no_value (remove)
			anna     | report Cvr 12345678  | no      | yes      | skip no_value (remove)
			anna     | read Cvr 12345678    | yes     | no       | add
			bo       | read SE              | no      | yes      | skip no_value`},

		{
			name: "a role that came after the import", table: `
			identity | grant                | desired | observed | change
			anna     | report PU 1012345678 | no      | yes      | skip not_adopted (remove)
			anna     | report PU 1012345679 | yes     | yes      | keep
			anna     | report PU 1012345670 | yes     | no       | add
			anna     | read Cvr 12345678    | no      | yes      | remove`,
			setup: func(w *world) { w.user("anna").Unadopted = map[string]bool{"report": true, "read": false} },
		},

		{
			name: "a user who is not adopted", table: `
			identity | grant                | desired | observed | change
			anna     | report PU 1012345678 | no      | yes      | skip not_adopted (remove)
			anna     | report PU 1012345679 | yes     | no       | skip not_adopted (add)
			anna     | read Cvr 12345678    | yes     | yes      | skip not_adopted
			anna     | foreign Cvr 12345678 | no      | yes      | skip unmanaged
			bo       | read Cvr 12345678    | yes     | no       | add`,
			setup: func(w *world) { w.user("anna").Hold = NotAdopted },
		},

		{
			name: "two users with one identity", table: `
			identity | grant                | desired | observed | change
			anna     | report PU 1012345678 | no      | yes      | skip conflict
			anna     | report PU 1012345679 | yes     | no       | skip conflict
			bo       | read Cvr 12345678    | no      | yes      | remove`,
			setup: func(w *world) { w.user("anna").Hold = Conflict },
		},

		{
			name: "a protected user gets and keeps", table: `
			identity | grant                | desired | observed | change
			anna     | read Cvr 12345678    | no      | yes      | skip protected (remove)
			anna     | report PU 1012345679 | yes     | no       | add`,
			setup: func(w *world) { w.user("anna").Protected = true },
		},

		{
			name: "reasons of removals", table: `
			identity | grant                | desired | observed | change
			anna     | read Cvr 12345678    | no      | yes      | remove user_deleted
			anna     | report PU 1012345678 | no      | yes      | remove user_deleted
			bo       | read Cvr 12345678    | no      | yes      | remove ended
			bo       | report PU 1012345678 | no      | yes      | remove`,
			setup: func(w *world) {
				w.user("anna").RemoveReason = UserDeleted
				ended := map[Grant]bool{grant("read Cvr 12345678"): true}
				w.user("anna").EndedGrants, w.user("bo").EndedGrants = ended, ended
			},
		},

		{
			name: "a failed read holds all removals back, gives go on", table: `
			identity | grant                | desired | observed | change
			anna     | read Cvr 12345678    | yes     | no       | skip read_failed
			bo       | read Cvr 12345678    | yes     | no       | add
			bo       | report PU 1012345678 | no      | yes      | skip incomplete (remove)`,
			setup: func(w *world) { w.state("anna", Failed, "504 Gateway Timeout") },
		},

		{
			name: "an identity that is gone holds nobody back", table: `
			identity | grant                | desired | observed | change
			anna     | read Cvr 12345678    | yes     | no       | skip gone
			bo       | report PU 1012345678 | no      | yes      | remove`,
			setup: func(w *world) { w.state("anna", IsGone, "") },
		},

		{
			name: "an identity that wasn't asked for is left out", table: `
			identity | grant                | desired | observed | change
			anna     | read Cvr 12345678    | yes     | no       |
			bo       | report PU 1012345678 | no      | yes      | remove`,
			setup: func(w *world) { w.state("anna", NotWanted, "") },
		},

		{
			name: "no answer and an unset state are failed reads", table: `
			identity | grant                | desired | observed | change
			anna     | read Cvr 12345678    | yes     | no       | skip read_failed
			bo       | read Cvr 12345678    | yes     | no       | skip read_failed
			carl     | report PU 1012345678 | no      | yes      | skip incomplete (remove)`,
			setup: func(w *world) {
				delete(w.observed, "anna")
				w.observed["bo"] = Observation{}
			},
		},

		{
			name: "failed writes wait for their turn", table: `
			identity | grant                | desired | observed | change
			anna     | read Cvr 12345678    | yes     | no       | skip waiting (add)
			anna     | report PU 1012345678 | no      | yes      | skip needs_person (remove)
			anna     | report PU 1012345679 | no      | yes      | remove`,
			setup: func(w *world) {
				w.options.Waiting = map[AttemptKey]Attempt{
					{Add, "anna", grant("read Cvr 12345678")}:       {Error: "503"},
					{Remove, "anna", grant("report PU 1012345678")}: {Error: "rejected", NeedsPerson: true},
					{Add, "anna", grant("report PU 1012345679")}:    {Error: "an older wish"},
				}
			},
		},

		{
			name: "the last holder of an administrator role stays, the first in order", table: `
			identity | grant              | desired | observed | change
			anna     | admin Cvr 12345678 | no      | yes      | skip last_holder (remove)
			bo       | admin Cvr 12345678 | no      | yes      | remove
			carl     | read Cvr 12345678  | no      | yes      | remove`,
			setup: administratorLike,
		},

		{
			name: "a holder to come lets the last one go", table: `
			identity | grant              | desired | observed | change
			anna     | admin Cvr 12345678 | no      | yes      | remove
			bo       | admin Cvr 12345678 | yes     | no       | add`,
			setup: administratorLike,
		},

		{
			name: "a holder outside this plan lets the last one go", table: `
			identity | grant              | desired | observed | change
			anna     | admin Cvr 12345678 | no      | yes      | remove`,
			setup: func(w *world) {
				administratorLike(w)
				w.options.Baseline.Holders = map[string]int{"admin": 2}
			},
		},

		{
			name: "nobody counts as a holder for another organisation", table: `
			identity | grant              | desired | observed | change
			anna     | admin Cvr 12345678 | no      | yes      | skip last_holder (remove)
			bo       | admin Cvr 87654321 | no      | yes      | skip other_cvr`,
			setup: administratorLike,
		},

		{
			name: "identities that nobody asked about are ignored", table: `
			identity | grant             | desired | observed | change
			anna     | read Cvr 12345678 | yes     | yes      | keep`,
			setup: func(w *world) {
				w.observed["stranger"] = Observation{State: Read, Grants: []ObservedGrant{{Grant: grant("read Cvr 12345678")}}}
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, want := parseWorld(t, tt.table)
			if tt.setup != nil {
				tt.setup(w)
			}
			p := w.compute(t)
			if diff := cmp.Diff(want, lines(p)); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
			if err := p.Verify(); err != nil {
				t.Error(err)
			}
		})
	}
}

func administratorLike(w *world) {
	w.options.AdministratorLike = func(uuid string, _ Role) bool { return uuid == "admin" }
}

func TestComputeMergesDuplicates(t *testing.T) {
	t.Parallel()
	g := grant("read Cvr 12345678")
	because := []string{"direct: B", "direct: A", "the caller's", "too"}[:2]
	p, err := Compute(
		Desired{Subjects: []Subject{{Identity: "anna", Grants: []DesiredGrant{
			{Grant: g, Because: because},
			{Grant: g, Because: []string{"unit: C", "direct: A"}},
		}}}},
		Observed{"anna": {State: Read, Grants: []ObservedGrant{{Grant: g, RoleName: "x"}, {Grant: g}}}},
		testOptions())
	if err != nil {
		t.Fatal(err)
	}
	want := []Change{{
		Verb: Keep, Identity: "anna", Grant: g, RoleName: "Læseadgang", Reason: Assigned,
		Because: []string{"direct: A", "direct: B", "unit: C"},
	}}
	if diff := cmp.Diff(want, p.Changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if p.Source.Grants != 1 || p.Target.Grants != 1 {
		t.Errorf("counted %d and %d grants, want 1 and 1", p.Source.Grants, p.Target.Grants)
	}
	if diff := cmp.Diff([]string{"direct: B", "direct: A", "the caller's", "too"}, because[:4]); diff != "" {
		t.Errorf("the caller's slice has changed:\n%s", diff)
	}
}

// TestComputeReadsRolesInAnyCase: MitID Erhverv's uuids are compared without regard to case, so a role in capitals is
// not a second role beside the wanted one.
func TestComputeReadsRolesInAnyCase(t *testing.T) {
	t.Parallel()
	w, _ := parseWorld(t, `anna | read Cvr 12345678 | yes | no |`)
	w.observed["anna"] = Observation{State: Read, Grants: []ObservedGrant{{Grant: grant("READ Cvr 12345678")}}}
	if diff := cmp.Diff([]string{"anna read Cvr 12345678: keep"}, lines(w.compute(t))); diff != "" {
		t.Error(diff)
	}
}

// TestComputeLeavesMalformedValuesOut: a CPR number typed where a P-number belongs is a value of the wrong form, and
// must not come into a document.
func TestComputeLeavesMalformedValuesOut(t *testing.T) {
	t.Parallel()
	const typed = "010190-9999"
	w, _ := parseWorld(t, `
		anna | report PU `+typed+` | yes | no |
		anna | report SE 1234567   | yes | no |
		bo   | read Region `+typed+` | yes | no |`)
	p := w.compute(t)
	want := []string{"anna report PU: skip no_value", "anna report SE: skip no_value", "bo read Region: skip scope_type"}
	if diff := cmp.Diff(want, lines(p)); diff != "" {
		t.Error(diff)
	}
	if b, err := p.JSON(); err != nil || strings.Contains(string(b), typed) {
		t.Errorf("the document has the value that was typed: %v", err)
	}
	if p.Source.Complete {
		t.Error("the catalogue's side counts as complete without a usable scope")
	}
}

func TestComputeUnread(t *testing.T) {
	t.Parallel()
	w, _ := parseWorld(t, `
		anna | read Cvr 12345678 | no | yes |
		bo   | read Cvr 12345678 | no | yes |
		carl | read Cvr 12345678 | yes | no |`)
	w.state("bo", Failed, "504")
	w.state("carl", IsGone, "")
	w.user("carl").Hold = NotAdopted
	p := w.compute(t)
	want := []Unread{
		{Identity: "bo", User: "user-bo", State: Failed, Error: "504"},
		{Identity: "carl", User: "user-carl", State: IsGone},
	}
	if diff := cmp.Diff(want, p.Unread); diff != "" {
		t.Errorf("unread (-want +got):\n%s", diff)
	}
	if p.Target.Complete || p.Target.Failed != 1 || p.Target.Gone != 1 || p.Target.Identities != 3 {
		t.Errorf("target %+v", p.Target)
	}
	skips := p.Skips()
	if last := skips[len(skips)-1]; last.Reason != NotAdopted || last.Detail != Gone.Text() {
		t.Errorf("carl's line is %+v, want one that says both what holds it and that it is gone", last)
	}
}

func TestComputeErrors(t *testing.T) {
	t.Parallel()
	subject := func(s Subject) Desired { return Desired{Subjects: []Subject{s}} }
	tests := []struct {
		name    string
		desired Desired
		options func(*Options)
		want    string
	}{
		{"no CVR", Desired{}, func(o *Options) { o.CVR = "" }, "CVR number"},
		{"negative limit", Desired{}, func(o *Options) { o.Limits.RoleRemovalsPercent = -1 }, "negative"},
		{"one identity twice", Desired{Subjects: []Subject{{Identity: "x", User: "b"}, {Identity: "x", User: "a"}}}, nil, `twice, for users "a" and "b"`},
		{"no identity", subject(Subject{User: "a"}), nil, `user "a"`},
		{"identity in capitals", subject(Subject{Identity: "ABC"}), nil, "lower case"},
		{"role in capitals", subject(Subject{Identity: "a", Grants: []DesiredGrant{{Grant: grant("READ Cvr 12345678")}}}), nil, "lower case"},
		{"hold", subject(Subject{Identity: "a", Hold: Waiting}), nil, "hold"},
		{"remove reason", subject(Subject{Identity: "a", RemoveReason: Conflict}), nil, "remove"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := testOptions()
			if tt.options != nil {
				tt.options(&o)
			}
			_, err := Compute(tt.desired, nil, o)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
		})
	}
}
