package simulator

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// world makes a simulator that is not started.
func seeded(tb testing.TB, opts Options) *Simulator {
	tb.Helper()
	opts.Authority = sharedAuthority()
	s, err := New(opts)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// snapshot is everything seeding decides, byte for byte.
func snapshot(t *testing.T, s *Simulator) string {
	t.Helper()
	state, err := json.Marshal(s.State())
	if err != nil {
		t.Fatal(err)
	}
	users, err := s.usersCSV()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(append(s.PNumbers(), s.SENumbers()...), ",") + string(state) + string(users) + s.world.newUUID().String()
}

func TestSameSeedSameWorld(t *testing.T) {
	t.Parallel()
	one := snapshot(t, seeded(t, Options{Users: 500, Seed: 7}))
	if one != snapshot(t, seeded(t, Options{Users: 500, Seed: 7})) {
		t.Error("the same seed gave two worlds")
	}
	if one == snapshot(t, seeded(t, Options{Users: 500, Seed: 8})) {
		t.Error("two seeds gave the same world")
	}
}

func TestMoreUsersDoNotChangeTheRoles(t *testing.T) {
	t.Parallel()
	few, many := seeded(t, Options{Users: 10}), seeded(t, Options{Users: 600})
	if diff := cmp.Diff(few.Roles(), many.Roles()); diff != "" {
		t.Errorf("the catalogue changed:\n%s", diff)
	}
	for i, who := range few.State().Identities[:10] {
		if other := many.State().Identities[i]; who.UUID != other.UUID {
			t.Errorf("user %d changed UUID", i)
		}
	}
}

func TestSeededWorldIsPlausible(t *testing.T) {
	t.Parallel()
	const users = 5000
	s := seeded(t, Options{Users: users})
	state := s.State()
	if len(state.Roles) != 200 || len(state.Identities) != users+users/50 {
		t.Fatalf("%d roles, %d identities", len(state.Roles), len(state.Identities))
	}
	names := map[string]bool{}
	for _, r := range state.Roles {
		if names[r.Name] || len([]rune(r.Name)) > 128 {
			t.Errorf("role name %q", r.Name)
		}
		names[r.Name] = true
	}
	if !names["NemRefusion – Indberetter"] || !names["NemRefusion – Læseadgang"] {
		t.Error("roles of one area do not share a prefix")
	}

	listed := map[string]bool{}
	for _, r := range state.Roles {
		listed[r.UUID] = true
	}
	uuids, emails, statuses := map[string]bool{}, map[string]bool{}, map[string]int{}
	grants, outside, several, admins := 0, 0, 0, 0
	email := regexp.MustCompile(`^[a-z0-9.]+@[a-z.]+$`)
	for _, who := range state.Identities {
		if uuids[who.UUID] || emails[who.EmailAddress] || !email.MatchString(who.EmailAddress) || len(who.GivenName) > 40 {
			t.Errorf("%+v is not new or not plausible", who)
		}
		uuids[who.UUID], emails[who.EmailAddress] = true, true
		statuses[who.Status]++
		admins += len(who.AdminRoles)
		perRole, seen := map[string]int{}, map[AssignedRole]bool{}
		inside := 0
		for _, r := range who.Roles {
			if seen[r] {
				t.Errorf("%s holds %v twice", who.UUID, r)
			}
			seen[r] = true
			if listed[r.UUID] {
				inside++
				if !s.world.has(r.Scope.Type, r.Scope.Value) {
					t.Errorf("%v is not one of the organisation's", r.Scope)
				}
			} else {
				outside++
			}
			if r.Scope.Type == ScopePU {
				perRole[r.UUID]++
			}
		}
		for _, n := range perRole {
			if n > 1 {
				several++
			}
		}
		if inside > 8 {
			t.Errorf("%s holds %d roles", who.UUID, inside)
		}
		grants += inside
		if who.Imported && (len(who.Roles) > 0 || who.RID == "" || who.Status != StatusPending) {
			t.Errorf("an imported user: %+v", who)
		}
	}
	if average := float64(grants) / users; average < 3.8 || average > 4.2 {
		t.Errorf("%.2f roles per user", average)
	}
	if statuses[StatusActive] < users*9/10 || statuses[StatusSuspended] < 50 || statuses[StatusPending] < 50 {
		t.Errorf("the statuses are %v", statuses)
	}
	if outside == 0 || several == 0 || admins < 10 {
		t.Errorf("%d roles outside the catalogue, %d with several P-numbers, %d administrators", outside, several, admins)
	}
}

func TestCPRNumbersAreInvented(t *testing.T) {
	t.Parallel()
	s := seeded(t, Options{Users: 3000})
	persons := map[string]string{}
	shared := 0
	for _, who := range s.world.all() {
		if who.stage == imported {
			if who.cpr != "" {
				t.Errorf("an imported user has a CPR number")
			}
			continue
		}
		number, err := strconv.ParseUint(who.cpr, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if err := checkCPR(who.cpr, time.Now(), false); err != nil {
			t.Errorf("%s: %v", who.cpr, err)
		}
		if modulus11(number) || birthYear(who.cpr) >= 2007 || strings.HasPrefix(who.cpr, "0101") {
			t.Errorf("%s could be somebody's", who.cpr)
		}
		name := who.given + " " + who.surname
		if other, known := persons[who.cpr]; known {
			shared++
			if other != name {
				t.Errorf("%s and %s share a CPR number", name, other)
			}
		}
		persons[who.cpr] = name
	}
	if shared != 3000/150 {
		t.Errorf("%d persons with two accounts", shared)
	}
	if number, _ := strconv.ParseUint(inventedCPR, 10, 64); modulus11(number) {
		t.Error("the CPR number of the tests passes modulus 11")
	}
}

func TestModulus11(t *testing.T) {
	t.Parallel()
	// Weights 4 3 2 7 6 5 4 3 2 1 from the left.
	for number, passes := range map[uint64]bool{0: true, 1: false, 11: false, 19: true, 4000000000: false, 1000000007: true} {
		if modulus11(number) != passes {
			t.Errorf("%010d passes: %v", number, !passes)
		}
	}
}

func TestEmptyWorld(t *testing.T) {
	t.Parallel()
	s := seeded(t, Options{Users: -1, Imported: -1, Roles: -1})
	if state := s.State(); len(state.Identities) != 0 || len(state.Roles) != 0 {
		t.Errorf("%d identities, %d roles", len(state.Identities), len(state.Roles))
	}
	bare := seeded(t, Options{Users: 10, Roles: -1})
	if n := len(bare.State().Identities[0].Roles); n != 0 {
		t.Errorf("%d roles from an empty catalogue", n)
	}
	if _, err := New(Options{CVR: "1"}); err == nil {
		t.Error("a CVR number of one digit was taken")
	}
}

func BenchmarkSeed100k(b *testing.B) {
	for b.Loop() {
		seeded(b, Options{Users: 100_000})
	}
}
