package coredata

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rollebro/rollebro/rolecatalog"
)

// wire is a person as a client sends him.
type wire struct {
	UUID       string            `json:"uuid"`
	CPR        string            `json:"cpr"`
	Name       string            `json:"name"`
	SAM        string            `json:"samAccountName"`
	Email      string            `json:"email,omitempty"`
	SubDomain  string            `json:"subDomain,omitempty"`
	External   string            `json:"externalNemloginUserUuid,omitempty"`
	NSIS       bool              `json:"nsisAllowed"`
	Robot      bool              `json:"robot,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
	Expires    string            `json:"expireTimestamp,omitempty"`
}

var (
	somePeople  = []string{"ada", "Bo", "CAI", "dea", "Eva", "fie"}
	someCPRs    = []string{"1403791001", "2305881038", unknownCPR, "not one"}
	someUUIDs   = []string{uuidBOTH, uuidRuK}
	someExterns = []string{"", "", "2e4b6d80-1c3f-4a5b-8e9d-7f6a5b4c3d2e", "3e4b6d80-1c3f-4a5b-8e9d-7f6a5b4c3d2e"}
)

func wires(t *rapid.T, sub string) []wire {
	sams := rapid.SliceOfNDistinct(rapid.SampledFrom(somePeople), 1, len(somePeople), strings.ToLower).Draw(t, "sams")
	var list []wire
	for _, sam := range sams {
		w := wire{
			SAM: sam, UUID: rapid.SampledFrom(someUUIDs).Draw(t, "uuid"), CPR: rapid.SampledFrom(someCPRs).Draw(t, "cpr"),
			Name: rapid.SampledFrom([]string{"Anna", "Berit"}).Draw(t, "name"), Email: rapid.SampledFrom([]string{"", "a@b"}).Draw(t, "email"),
			External: rapid.SampledFrom(someExterns).Draw(t, "external"), NSIS: rapid.Bool().Draw(t, "nsis"), Robot: rapid.Bool().Draw(t, "robot"),
			Expires: rapid.SampledFrom([]string{"", "2020-01-01", "2030-01-01"}).Draw(t, "expires"),
		}
		if rapid.Bool().Draw(t, "attributes") {
			w.Attributes = map[string]string{"x": rapid.SampledFrom([]string{"1", "2", ""}).Draw(t, "x")}
		}
		if sub == "" {
			w.SubDomain = rapid.SampledFrom([]string{"", "elev1", "ELEV2"}).Draw(t, "sub")
		}
		list = append(list, w)
	}
	return list
}

func payload(list []wire, sub string) string {
	b, err := json.Marshal(map[string]any{"domain": "Skovby.dk", "globalSubDomain": sub, "entryList": list})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// truth is what a user should be, told by the plainest program that knows the rules.
type truth struct {
	Person              int // grows whenever the account is another person's
	CPR, UUID, Name     string
	Alias, Email        string
	Domain              uint64
	External, NemLogin  string
	NSIS, Robot         bool
	Locked, Expired     bool
	Attributes, Expires string
}

type model struct {
	users    map[string]*truth
	external bool
	persons  int
}

func (m *model) load(list []wire, sub uint64, full bool) {
	domains := map[string]uint64{"": 1, "elev1": 2, "elev2": 3}
	inScope := make(map[string]bool)
	for key, u := range m.users {
		inScope[key] = sub == 0 || u.Domain == sub
	}
	for _, w := range list {
		delete(inScope, strings.ToLower(w.SAM))
	}
	for _, w := range list {
		if w.CPR == "not one" {
			continue
		}
		if !m.external {
			w.External = ""
		}
		key := strings.ToLower(w.SAM)
		u := m.users[key]
		if u != nil {
			same := u.CPR == w.CPR || w.CPR == unknownCPR && w.External != "" && u.External == w.External
			if !same || u.Locked && u.UUID != w.UUID {
				u = nil
			}
		}
		if u == nil {
			m.persons++
			u = &truth{Person: m.persons, CPR: w.CPR, Name: w.Name}
			m.users[key] = u
		}
		u.Robot = u.Robot || w.Robot
		u.NSIS = w.NSIS && !u.Robot
		if !u.NSIS {
			u.Name = w.Name
		}
		if w.External != u.External {
			if w.External != "" || u.NemLogin == u.External {
				u.NemLogin = w.External
			}
			u.External = w.External
		}
		u.UUID, u.Alias, u.Email, u.Locked, u.Expires, u.Expired = w.UUID, w.Name, w.Email, false, w.Expires, w.Expires == "2020-01-01"
		u.Attributes = w.Attributes["x"]
		u.Domain = domains[strings.ToLower(w.SubDomain)]
		if sub != 0 {
			u.Domain = sub
		}
	}
	if full {
		for key, scoped := range inScope {
			if u := m.users[key]; scoped && !u.Locked {
				u.Locked, u.Attributes = true, ""
			}
		}
	}
}

// seen describes what is stored in the model's words; persons numbers the users as the model does.
func seen(m *memory, persons map[string]map[uint64]int, numbers map[string]*truth) map[string]*truth {
	all := make(map[string]*truth)
	for _, u := range m.users {
		person := numbers[u.UserKey]
		n := 0
		if person != nil {
			if persons[u.UserKey] == nil {
				persons[u.UserKey] = make(map[uint64]int)
			}
			if _, ok := persons[u.UserKey][u.ID]; !ok && !slices.Contains(slices.Collect(maps.Values(persons[u.UserKey])), person.Person) {
				persons[u.UserKey][u.ID] = person.Person
			}
			n = persons[u.UserKey][u.ID]
		}
		t := &truth{
			Person: n, CPR: u.CPR, UUID: u.ExtUUID, Name: u.Name, Alias: u.Alias, Email: u.Email, Domain: u.DomainID, External: u.ExternalUUID,
			NemLogin: u.NemLoginUUID, NSIS: u.NSISAllowed, Robot: u.Robot, Locked: u.LockedDataset, Expired: u.LockedExpired, Attributes: u.Attributes["x"],
		}
		if u.ExpiresAt != nil {
			t.Expires = u.ExpiresAt.In(denmark()).Format("2006-01-02")
		}
		all[u.UserKey] = t
	}
	return all
}

// Whatever is loaded in whatever order, the users are what the plain model says; who is in a payload isn't locked; a delta
// load locks nobody; exactly those are marked whose lock, expiry or NemLogin UUID has changed; and the same load again
// writes nothing.
func TestLoadsFollowTheModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s, m := newService(t)
		s.Options.ExternalUUIDs = rapid.Bool().Draw(rt, "externals")
		m.repeat = rapid.Bool().Draw(rt, "repeat")
		ref := &model{users: make(map[string]*truth), external: s.Options.ExternalUUIDs}
		persons := make(map[string]map[uint64]int)
		for range rapid.IntRange(1, 6).Draw(rt, "loads") {
			full := rapid.Bool().Draw(rt, "full")
			sub := rapid.SampledFrom([]string{"", "elev1"}).Draw(rt, "global")
			list := wires(rt, sub)
			call := (*Service).Delta
			if full {
				call = (*Service).Full
			}
			before := maps.Clone(m.users)
			lockedBefore := m.locked()
			next := &model{users: make(map[string]*truth), external: ref.external, persons: ref.persons}
			for key, u := range ref.users {
				c := *u
				next.users[key] = &c
			}
			next.load(list, map[string]uint64{"elev1": 2}[sub], full)
			writes := m.writes
			m.marked = nil
			if _, err := call(s, t.Context(), strings.NewReader(payload(list, sub)), testCaller); err != nil {
				valid := slices.ContainsFunc(list, func(w wire) bool { return w.CPR != "not one" })
				refusal, bad := errors.AsType[*Refusal](err)
				if !bad || valid || !full || !strings.HasPrefix(refusal.Text, "Tom entryList") || m.writes != writes {
					rt.Fatalf("refused: %v", err)
				}
				continue
			}
			ref = next
			if d := cmp.Diff(ref.users, seen(m, persons, ref.users)); d != "" {
				rt.Fatalf("the users (-model +stored):\n%s", d)
			}
			checkMarks(rt, before, m)
			for _, key := range m.locked() {
				if slices.ContainsFunc(list, func(w wire) bool { return strings.EqualFold(w.SAM, key) && w.CPR != "not one" }) {
					rt.Fatalf("%s is in the payload and locked", key)
				}
				if !slices.Contains(lockedBefore, key) && (!full || slices.ContainsFunc(list, func(w wire) bool { return strings.EqualFold(w.SAM, key) })) {
					rt.Fatalf("%s was locked by a delta load, or though he is in the payload", key)
				}
			}
			writes = m.writes
			if out, err := call(s, t.Context(), strings.NewReader(payload(list, sub)), testCaller); err != nil || m.writes != writes {
				rt.Fatalf("the same load again has written, or is refused: %v %v", out.Counts, err)
			}
		}
	})
}

// checkMarks holds the marks of the last load against what has become of the users.
func checkMarks(t *rapid.T, before map[uint64]rolecatalog.User, m *memory) {
	touched, identities := make(map[string]bool), make(map[string]bool)
	for id, was := range before {
		is, ok := m.users[id]
		switch {
		case !ok:
			identities[was.NemLoginUUID] = true
		case was.Locked() != is.Locked() || was.LockedDataset != is.LockedDataset || was.NemLoginUUID != is.NemLoginUUID || !sameDay(was.ExpiresAt, is.ExpiresAt, denmark()):
			touched[is.UserKey] = true
			identities[was.NemLoginUUID], identities[is.NemLoginUUID] = true, true
		}
	}
	for id, is := range m.users {
		if _, old := before[id]; !old && is.NemLoginUUID != "" {
			touched[is.UserKey], identities[is.NemLoginUUID] = true, true
		}
	}
	delete(identities, "")
	for id, is := range m.users {
		if was, old := before[id]; old && identities[was.NemLoginUUID] {
			touched[is.UserKey] = true
		}
	}
	if d := cmp.Diff(slices.Sorted(maps.Keys(touched)), m.marked); d != "" && len(touched)+len(m.marked) > 0 {
		t.Fatalf("marked (-should be +are):\n%s", d)
	}
}

// The order of the entries doesn't matter.
func TestOrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		first, second := wires(rt, ""), wires(rt, "")
		shuffled := rapid.Permutation(second).Draw(rt, "order")
		var results []map[string]*truth
		for _, last := range [][]wire{second, shuffled} {
			s, m := newService(t)
			s.Options.ExternalUUIDs = true
			for _, list := range [][]wire{first, last} {
				_, err := s.Full(t.Context(), strings.NewReader(payload(list, "")), testCaller)
				if _, bad := errors.AsType[*Refusal](err); err != nil && !bad {
					rt.Fatal(err)
				}
			}
			results = append(results, seen(m, make(map[string]map[uint64]int), nil))
		}
		if d := cmp.Diff(results[0], results[1]); d != "" {
			rt.Fatal(d)
		}
	})
}

// A full load without some people locks exactly them, up to the guard; beyond it, it changes nothing.
func TestFullLocksExactlyWhoIsLeftOut(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s, m := newService(t)
		m.fast = true
		s.Options.GuardCount, s.Options.GuardPercent = rapid.IntRange(1, 5).Draw(rt, "count"), rapid.IntRange(0, 100).Draw(rt, "percent")
		n := rapid.IntRange(2, 30).Draw(rt, "people")
		ok(t, s, (*Service).Full, people(n, nil))
		out := rapid.SliceOfNDistinct(rapid.IntRange(1, n-1), 0, n-1, rapid.ID[int]).Draw(rt, "left out")
		_, err := s.Full(t.Context(), strings.NewReader(people(n, func(i int) bool { return slices.Contains(out, i) })), testCaller)
		want := []string{}
		if len(out) <= max(s.Options.GuardCount, n*s.Options.GuardPercent/100) {
			for _, i := range out {
				want = append(want, fmt.Sprintf("p%d", i))
			}
			if err != nil {
				rt.Fatal(err)
			}
		} else if _, bad := errors.AsType[*Refusal](err); !bad {
			rt.Fatalf("the guard hasn't refused: %v", err)
		}
		slices.Sort(want)
		if d := cmp.Diff(want, m.locked()); d != "" {
			rt.Fatalf("locked:\n%s", d)
		}
	})
}
