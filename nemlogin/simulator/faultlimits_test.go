package simulator

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestBadHours(t *testing.T) {
	t.Parallel()
	clock := newClock() // noon
	s := start(t, Options{Now: clock.now, TokenLifetime: 100 * time.Hour})
	c := login(t, s)
	mustFault(t, s, BadHours, Fault{Rate: 0.8})
	failed := func() (n int) {
		for range 60 {
			if c.get(EndpointSENumbers).status == 503 {
				n++
			}
		}
		return n
	}
	if n := failed(); n != 0 {
		t.Errorf("%d of 60 calls failed at noon", n)
	}
	clock.add(15 * time.Hour)
	if n := failed(); n < 36 || n == 60 {
		t.Errorf("%d of 60 calls failed at three in the night", n)
	}
	clock.add(5 * time.Hour)
	if n := failed(); n < 3 || n > 26 {
		t.Errorf("%d of 60 calls failed at eight", n)
	}
	mustFault(t, s, BadHours, Fault{Rate: 1, FromHour: 22, UntilHour: 9})
	if n := failed(); n != 60 {
		t.Errorf("%d of 60 calls failed within hours of one's own", n)
	}
	clock.add(2 * time.Hour)
	if n := failed(); n != 0 {
		t.Errorf("%d of 60 calls failed outside hours of one's own", n)
	}
}

func TestStaleRead(t *testing.T) {
	t.Parallel()
	clock := newClock()
	s := start(t, Options{Now: clock.now})
	c := login(t, s)
	mustFault(t, s, StaleRead, Fault{Rate: 1, Delay: time.Minute})
	who, roles := person(t, s, active), s.Roles()
	path := at(EndpointRoles, who.UUID)
	number := s.PNumbers()[2]
	c.post(path, write(ScopePU, number, roles[10].UUID)).want(204)
	clock.add(30 * time.Second)
	c.post(path, write(ScopePU, number, roles[11].UUID)).want(204)
	if n := len(c.roles(who.UUID)); n != len(who.Roles) {
		t.Errorf("%d roles at once, want the %d there were", n, len(who.Roles))
	}
	clock.add(30 * time.Second)
	if n := len(c.roles(who.UUID)); n != len(who.Roles)+2 {
		t.Errorf("%d roles later, want %d", n, len(who.Roles)+2)
	}
}

func TestFaultLimits(t *testing.T) {
	t.Parallel()
	s := start(t, Options{Seed: 5})
	c := login(t, s)
	one, other := s.State().Identities[0].UUID, s.State().Identities[1].UUID
	statuses := func(n int, path string) (out []int) {
		for range n {
			out = append(out, c.get(path).status)
		}
		return out
	}
	expect := func(got []int, want ...int) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("statuses (-want +got):\n%s", diff)
		}
	}
	mustFault(t, s, ServiceUnavailable, Fault{Rate: 1, Nth: 2, Endpoint: "GET " + EndpointRoles})
	expect(statuses(2, EndpointSENumbers), 200, 200)
	expect(statuses(3, at(EndpointRoles, one)), 200, 503, 200)
	c.post(at(EndpointRoles, one), write(ScopeCVR, s.CVR(), s.Roles()[3].UUID)).want(204)

	mustFault(t, s, ServiceUnavailable, Fault{Rate: 1, Every: 3, Count: 2})
	expect(statuses(10, EndpointSENumbers), 200, 200, 503, 200, 200, 503, 200, 200, 200, 200)
	if n := s.Shown(ServiceUnavailable); n != 2 {
		t.Errorf("shown %d times", n)
	}

	mustFault(t, s, ServiceUnavailable, Fault{Rate: 1, Identity: strings.ToUpper(one)})
	expect(statuses(1, at(EndpointRoles, one)), 503)
	expect(statuses(1, at(EndpointRoles, other)), 200)

	mustFault(t, s, ServiceUnavailable, Fault{Rate: 1, Endpoint: at(EndpointRoles, other)})
	expect(statuses(1, at(EndpointRoles, one)), 200)
	expect(statuses(1, at(EndpointRoles, other)), 503)

	mustFault(t, s, ServiceUnavailable, Fault{Rate: 0.5})
	first := statuses(40, EndpointSENumbers)
	mustFault(t, s, ServiceUnavailable, Fault{Rate: 0.5})
	expect(statuses(40, EndpointSENumbers), first...)
	if !slices.Contains(first, 200) || !slices.Contains(first, 503) {
		t.Errorf("half of the calls failing: %v", first)
	}
	if f := s.Fault(ServiceUnavailable); f.Rate != 0.5 {
		t.Errorf("the fault set is %+v", f)
	}
	mustFault(t, s, UnknownFields, Fault{})
	s.ClearFaults()
	expect(statuses(2, EndpointSENumbers), 200, 200)
	if s.Fault(ServiceUnavailable) != (Fault{}) || s.Faults()[UnknownFields] != 1 {
		t.Error("the faults were not cleared")
	}
}

func TestWrongFaults(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	err := s.SetFault("garbage", Fault{Rate: 1})
	if !errors.Is(err, ErrUnknownFault) {
		t.Fatalf("an unknown name: %v", err)
	}
	for _, name := range s.FaultNames() {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("the error does not name %s", name)
		}
	}
	if err := s.SetFault("renegotiation", Fault{Rate: 1}); err == nil || !strings.Contains(err.Error(), "Go TLS server") {
		t.Errorf("renegotiation: %v", err)
	}
	for _, f := range []Fault{
		{Rate: 1.1},
		{Rate: -1},
		{Rate: 1, Share: 2},
		{Rate: 1, Nth: -1},
		{Rate: 1, FromHour: 25},
		{Rate: 1, Status: 100},
		{Rate: 1, Endpoint: "[a"},
		{Rate: 1, Identity: "somebody"},
		{Rate: 1, Delay: -1},
	} {
		if err := s.SetFault(Slow, f); err == nil {
			t.Errorf("%+v was taken", f)
		}
	}
	if err := s.SetFaults(map[string]Fault{AuthDown: {Rate: 1}, Slow: {Rate: 2}}); err == nil || s.Faults()[AuthDown] != 0 {
		t.Errorf("half of the faults were set: %v", err)
	}
	if _, err := New(Options{Faults: map[string]float64{"no-such": 1}}); !errors.Is(err, ErrUnknownFault) {
		t.Errorf("as an option: %v", err)
	}
}

func TestParseFaults(t *testing.T) {
	t.Parallel()
	got, err := ParseFaults(" service-unavailable=0.1, garbage-200 ,strict-data=0,")
	want := map[string]float64{ServiceUnavailable: 0.1, Garbage200: 1, StrictData: 0}
	if err != nil || !cmp.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	for _, spec := range []string{"x", "slow=fast", "slow=2", "renegotiation"} {
		if _, err := ParseFaults(spec); err == nil {
			t.Errorf("%q was taken", spec)
		}
	}
}

func TestOnRequest(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	c := login(t, s)
	who, roles := person(t, s, active), s.Roles()
	path := at(EndpointRoles, who.UUID)
	number := s.PNumbers()[3]
	holds := func(i int) bool {
		now, _ := s.Identity(who.UUID)
		return now.Holds(roles[i].UUID, ScopePU, number)
	}
	var mu sync.Mutex
	var seen []Request
	var action Action
	s.OnRequest(func(r Request) Action {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r)
		return action
	})
	do := func(a Action, i int) response {
		mu.Lock()
		action = a
		mu.Unlock()
		return c.post(path, write(ScopePU, number, roles[i].UUID))
	}
	do(Action{Status: 503, Body: "later"}, 4).want(503).says("later")
	do(Action{Drop: true}, 4).broken()
	if holds(4) {
		t.Error("a call that was stopped had an effect")
	}
	do(Action{Status: 500, Apply: true}, 4).want(500)
	do(Action{Drop: true, Apply: true}, 5).broken()
	do(Action{}, 6).want(204)
	if !holds(4) || !holds(5) || !holds(6) {
		t.Error("a call that was to be carried out was not")
	}
	s.OnRequest(nil)
	do(Action{Status: 418}, 7).want(204)
	mu.Lock()
	defer mu.Unlock()
	if len(seen) != 5 || seen[0].Identity != who.UUID || seen[0].Endpoint != EndpointRoles || !seen[0].Write() ||
		seen[4].Number != seen[0].Number+4 {
		t.Errorf("the hook saw %+v", seen)
	}
}
