package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const ourCVR = "12345678"

// The roles of the tests. The key is what a system role's uuid is in real life.
func testCatalogue() Catalogue {
	return Catalogue{Roles: map[string]Role{
		"read":   {Name: "Læseadgang"},
		"report": {Name: "Indberetter"},
		"admin":  {Name: "Rettighedsadministrator"},
		"old":    {Name: "Udgået rolle", Withdrawn: true},
	}}
}

func testOptions() Options {
	return Options{CVR: ourCVR, Selection: All, Catalogue: testCatalogue(), Limits: DefaultLimits()}
}

// grant reads "read Cvr 12345678"; a value that is left out is empty.
func grant(text string) Grant {
	f := append(strings.Fields(text), "", "", "")
	return Grant{Role: f[0], Scope: Scope{Type: ScopeType(f[1]), Value: f[2]}}
}

// world is a test's two sides and its options.
type world struct {
	desired  Desired
	observed Observed
	options  Options
}

// user finds or makes a subject.
func (w *world) user(identity string) *Subject {
	for i := range w.desired.Subjects {
		if w.desired.Subjects[i].Identity == identity {
			return &w.desired.Subjects[i]
		}
	}
	w.desired.Subjects = append(w.desired.Subjects, Subject{Identity: identity, User: "user-" + identity})
	return &w.desired.Subjects[len(w.desired.Subjects)-1]
}

// state makes the reading of an identity end without grants.
func (w *world) state(identity string, s ReadState, err string) {
	w.user(identity)
	w.observed[identity] = Observation{State: s, Error: err}
}

// parseWorld reads a table with the columns identity, grant, desired, observed, change. It gives the world of the first
// four and the last as lines "identity grant: change", sorted.
func parseWorld(t *testing.T, table string) (*world, []string) {
	t.Helper()
	w := &world{observed: Observed{}, options: testOptions()}
	var want []string
	for row := range strings.Lines(table) {
		if strings.TrimSpace(row) == "" {
			continue
		}
		f := strings.Split(row, "|")
		if len(f) != 5 {
			t.Fatalf("row %q has %d columns, not 5", row, len(f))
		}
		for i := range f {
			f[i] = strings.TrimSpace(f[i])
		}
		if f[0] == "identity" {
			continue
		}
		g := grant(f[1])
		s := w.user(f[0])
		if f[2] == "yes" {
			s.Grants = append(s.Grants, DesiredGrant{Grant: g, Because: []string{"direct: test"}})
		}
		o, ok := w.observed[f[0]]
		if !ok {
			o.State = Read
		}
		if f[3] == "yes" {
			o.Grants = append(o.Grants, ObservedGrant{Grant: g})
		}
		w.observed[f[0]] = o
		if f[4] != "" {
			want = append(want, line(f[0], g, f[4]))
		}
	}
	slices.Sort(want)
	return w, want
}

func line(identity string, g Grant, change string) string {
	return strings.TrimSpace(fmt.Sprintf("%s %s %s", identity, g.Role, g.Scope)) + ": " + change
}

// lines writes a plan's changes as parseWorld does: "add", or "skip protected (remove)".
func lines(p *Plan) []string {
	var got []string
	for _, c := range p.Changes {
		text := string(c.Verb)
		if c.Verb == Remove && c.Reason != NotAssigned || c.Verb == Skip {
			text += " " + string(c.Reason)
		}
		if c.Intended != "" {
			text += " (" + string(c.Intended) + ")"
		}
		got = append(got, line(c.Identity, c.Grant, text))
	}
	slices.Sort(got)
	return got
}

func (w *world) compute(t *testing.T) *Plan {
	t.Helper()
	p, err := Compute(w.desired, w.observed, w.options)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
