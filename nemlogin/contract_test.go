package nemlogin_test

import (
	"context"
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rollebro/rollebro/certs/certstest"
	"github.com/rollebro/rollebro/nemlogin"
	"github.com/rollebro/rollebro/nemlogin/simulator"
)

// authority issues the certificates of all simulators here; making keys is slow.
var authority = sync.OnceValues(func() (*certstest.Authority, error) {
	return certstest.NewAuthority(certstest.AuthorityOptions{Keys: certstest.ECDSA})
})

// world is a simulator, a client of it, and some of what is in it.
type world struct {
	*simulator.Simulator
	client   *nemlogin.Client
	identity string // holds no roles
	roles    []string
	scope    nemlogin.Scope
}

// newWorld starts a simulator and makes a client of it.
func newWorld(t *testing.T, adjust ...func(*nemlogin.Options)) *world {
	t.Helper()
	issuer, err := authority()
	if err != nil {
		t.Fatal(err)
	}
	s, err := simulator.New(simulator.Options{Users: 20, Roles: 30, Listen: "127.0.0.1:0", Authority: issuer})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) //nolint:usetesting // t.Context has ended by now
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	w := &world{Simulator: s}
	w.client = w.newClient(t, adjust...)
	w.identity, err = s.AddIdentity(simulator.NewIdentity{GivenName: "Ny", Surname: "Prøve", EmailAddress: "ny@eksempelby.dk"})
	if err != nil {
		t.Fatal(err)
	}
	for range 6 {
		w.roles = append(w.roles, s.AddRole("Prøverolle", "til denne test"))
	}
	w.scope = nemlogin.Scope{Type: nemlogin.ScopePU, Value: s.PNumbers()[0]}
	return w
}

func (w *world) newClient(t *testing.T, adjust ...func(*nemlogin.Options)) *nemlogin.Client {
	t.Helper()
	options := nemlogin.Options{
		BaseURL: w.URL(), CVR: w.CVR(), RootCAs: w.Roots(),
		Certificate: func() (*tls.Certificate, error) { c := w.ClientCertificate(); return &c, nil },
		Retry:       nemlogin.RetryPolicy{Attempts: 3, Base: time.Microsecond, Max: time.Microsecond, MaxRetryAfter: time.Millisecond},
	}
	for _, f := range adjust {
		f(&options)
	}
	c, err := nemlogin.New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// off is the rate that switches a base behaviour off by set.
const off = -1

// set switches a behaviour on, or off.
func (w *world) set(t testing.TB, name string, fault simulator.Fault) {
	t.Helper()
	switch fault.Rate {
	case 0:
		fault.Rate = 1
	case off:
		fault.Rate = 0
	}
	if err := w.SetFault(name, fault); err != nil {
		t.Fatal(err)
	}
}

// held lists which of w.roles the identity holds with w.scope.
func (w *world) held() []string {
	identity, _ := w.Identity(w.identity)
	var held []string
	for _, role := range w.roles {
		if identity.Holds(role, w.scope.Type, w.scope.Value) {
			held = append(held, role)
		}
	}
	return held
}

// writes counts the writes of roles received.
func (w *world) writes() int {
	n := 0
	for _, r := range w.Requests() {
		if r.Write() && r.Endpoint == simulator.EndpointRoles {
			n++
		}
	}
	return n
}

// TestContractReads compares what the client reads with what is there.
func TestContractReads(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()

	catalogue, err := w.client.Roles(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, role := range catalogue {
		got = append(got, role.UUID+role.Name)
	}
	for _, role := range w.Roles() {
		want = append(want, role.UUID+role.Name)
	}
	same(t, "the catalogue", got, want)

	got = nil
	units, err := w.client.ProductionUnits(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, unit := range units {
		got = append(got, unit.Number)
		if unit.CVR != w.CVR() || unit.Name == "" {
			t.Errorf("got %+v", unit)
		}
	}
	same(t, "P-numbers", got, w.PNumbers())

	got = nil
	numbers, err := w.client.SENumbers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, number := range numbers {
		got = append(got, number.Number)
	}
	same(t, "SE-numbers", got, w.SENumbers())

	for _, identity := range w.State().Identities {
		assigned, err := w.client.AssignedRoles(ctx, identity.UUID)
		if err != nil {
			t.Fatal(err)
		}
		got, want = nil, nil
		for _, role := range assigned {
			got = append(got, role.UUID+" "+role.Scope.String())
		}
		for _, role := range identity.Roles {
			want = append(want, role.UUID+" "+role.Scope.Type+" "+role.Scope.Value)
		}
		same(t, "the roles of "+identity.UUID, got, want)

		employee, err := w.client.Employee(ctx, identity.UUID)
		if err != nil {
			t.Fatal(err)
		}
		if employee.Status != identity.Status || employee.AdministratorRoles == nil || employee.AllowSigning != identity.AllowSigning {
			t.Errorf("read %+v, is %+v", employee, identity)
		}
		same(t, "administrator roles", employee.AdministratorRoles, identity.AdminRoles)
	}
}

// same compares lists without regard to order.
func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-is +read):\n%s", what, diff)
	}
}

// TestContractWrites adds and removes in every scope and looks at the result.
func TestContractWrites(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	for _, scope := range []nemlogin.Scope{
		{Type: nemlogin.ScopeCvr, Value: w.CVR()}, {Type: nemlogin.ScopePU, Value: w.PNumbers()[1]}, {Type: nemlogin.ScopeSE, Value: w.SENumbers()[0]},
	} {
		w.scope = scope
		if err := w.client.AddRoles(ctx, w.identity, scope, w.roles); err != nil {
			t.Fatal(err)
		}
		same(t, "after adding", w.held(), w.roles)
		if err := w.client.RemoveRoles(ctx, w.identity, scope, w.roles[1:]); err != nil {
			t.Fatal(err)
		}
		same(t, "after removing", w.held(), w.roles[:1])
	}
}

// TestContractFaults switches every fault that this client can meet on and
// wants the right class of error, or success where the fault must be borne.
func TestContractFaults(t *testing.T) {
	t.Parallel()
	add := func(w *world) error {
		return w.client.AddRoles(t.Context(), w.identity, w.scope, w.roles[:3])
	}
	assigned := func(w *world) error {
		_, err := w.client.AssignedRoles(t.Context(), w.identity)
		return err
	}
	catalogue := func(w *world) error { _, err := w.client.Roles(t.Context()); return err }
	units := func(w *world) error { _, err := w.client.ProductionUnits(t.Context()); return err }
	numbers := func(w *world) error { _, err := w.client.SENumbers(t.Context()); return err }
	authenticate := func(w *world) error { return w.client.Authenticate(t.Context()) }
	remove := func(w *world) error {
		return w.client.RemoveRoles(t.Context(), w.identity, w.scope, w.roles[:3])
	}
	twice := func(do func(*world) error) func(*world) error {
		return func(w *world) error { return errors.Join(do(w), do(w)) }
	}
	// A refused certificate shows as an alert or, if the connection is closed
	// before the alert is read, as a break.
	handshake := func(w *world) (err error) {
		for range 20 {
			w.client.CloseIdleConnections()
			if err = w.client.Authenticate(t.Context()); nemlogin.ClassOf(err) == nemlogin.ClassAuth {
				break
			}
		}
		return err
	}
	first := func(f simulator.Fault) simulator.Fault { f.Count = 1; return f }

	tests := []struct {
		fault string
		how   simulator.Fault
		do    func(*world) error
		want  nemlogin.Class
		say   string // part of the error
	}{
		{simulator.Garbage200, simulator.Fault{Endpoint: simulator.EndpointRoles}, assigned, nemlogin.ClassGarbage, ""},
		{simulator.Garbage200, first(simulator.Fault{Endpoint: simulator.EndpointRoles}), assigned, "", ""},
		{simulator.Garbage200, simulator.Fault{Endpoint: simulator.EndpointCatalogue}, catalogue, nemlogin.ClassGarbage, ""},
		{simulator.Empty200, simulator.Fault{Endpoint: simulator.EndpointRoles}, assigned, nemlogin.ClassGarbage, ""},
		{simulator.Empty200, simulator.Fault{Endpoint: simulator.EndpointCatalogue}, catalogue, nemlogin.ClassGarbage, ""},
		{simulator.Empty200, simulator.Fault{Endpoint: simulator.EndpointPNumbers}, units, nemlogin.ClassGarbage, ""},
		{simulator.Empty200, simulator.Fault{Endpoint: simulator.EndpointSENumbers}, numbers, nemlogin.ClassGarbage, ""},
		{simulator.Write200Text, simulator.Fault{}, add, "", ""},
		{simulator.SeeLog500, simulator.Fault{Endpoint: simulator.EndpointRoles}, assigned, nemlogin.ClassTransient, "See log"},
		{simulator.SeeLog500, simulator.Fault{Endpoint: simulator.EndpointRoles, Count: 2}, assigned, "", ""},
		{simulator.ServiceUnavailable, simulator.Fault{Endpoint: simulator.EndpointRoles}, assigned, nemlogin.ClassTransient, "503"},
		{simulator.ServiceUnavailable, simulator.Fault{Endpoint: "POST " + simulator.EndpointRoles}, add, nemlogin.ClassTransient, "503"},
		{simulator.ServiceUnavailable, first(simulator.Fault{Endpoint: simulator.EndpointAuthenticate}), add, "", ""},
		{simulator.ServiceUnavailable, simulator.Fault{Endpoint: simulator.EndpointRoles, RetryAfter: "3600"}, assigned, nemlogin.ClassTransient, "503"},
		{simulator.OptimisticConcurrency, simulator.Fault{Endpoint: simulator.EndpointRoles, Value: "any"}, add, nemlogin.ClassConflict, "409"},
		{simulator.TokenRevoked, simulator.Fault{Endpoint: simulator.EndpointRoles, Count: 1}, add, "", ""},
		{simulator.TokenRevoked, simulator.Fault{Endpoint: simulator.EndpointRoles}, add, nemlogin.ClassAuth, "Adgang til IdM services"},
		{simulator.AuthDown, simulator.Fault{}, authenticate, nemlogin.ClassTransient, "authenticate"},
		{simulator.CertWithoutRight, simulator.Fault{Status: 401}, authenticate, nemlogin.ClassAuth, "Adgang til IdM services"},
		{simulator.CertWithoutRight, simulator.Fault{Status: 403}, authenticate, nemlogin.ClassAuth, "Adgang til IdM services"},
		{simulator.CAListMismatch, simulator.Fault{}, authenticate, "", ""},
		{simulator.RateLimit429, simulator.Fault{Endpoint: simulator.EndpointRoles}, assigned, nemlogin.ClassTransient, "429"},
		{simulator.RateLimit429, simulator.Fault{Endpoint: simulator.EndpointRoles, Count: 2}, add, "", ""},
		{simulator.PNumberString, simulator.Fault{}, units, "", ""},
		{simulator.EmptyCatalogue, simulator.Fault{}, catalogue, "", ""},
		{simulator.EmptyPNumbers, simulator.Fault{}, units, "", ""},
		{simulator.EmptySENumbers, simulator.Fault{}, numbers, "", ""},
		{simulator.PartialCatalogue, simulator.Fault{Share: 0.5}, catalogue, "", ""},
		{simulator.SameNameRoles, simulator.Fault{}, catalogue, "", ""},
		{simulator.UnknownScopeType, simulator.Fault{}, assigned, "", ""},
		{simulator.OtherCVRScope, simulator.Fault{}, assigned, "", ""},
		{simulator.TimedAssignment, simulator.Fault{}, assigned, "", ""},
		{simulator.CertWithoutRight, simulator.Fault{Value: "alert"}, handshake, nemlogin.ClassAuth, "does not accept the client certificate"},
		{simulator.CertExpired, simulator.Fault{}, handshake, nemlogin.ClassAuth, "does not accept the client certificate"},
		{simulator.HangAfterWrite, simulator.Fault{Delay: time.Millisecond}, add, nemlogin.ClassTransient, ""},
		{simulator.BatchRejected, simulator.Fault{}, add, "", ""},
		{simulator.BatchRejected, simulator.Fault{Status: 422}, add, "", ""},
		{simulator.RepeatAddError, simulator.Fault{}, twice(add), nemlogin.ClassConflict, "409"},
		{simulator.RepeatAddError, simulator.Fault{Status: 500}, twice(add), nemlogin.ClassTransient, "500"},
		{simulator.RepeatDeleteError, simulator.Fault{}, remove, nemlogin.ClassRejected, "the identity exists"},
		{simulator.NoBody204, simulator.Fault{Rate: off}, add, "", ""},
		{simulator.BareArray, simulator.Fault{Rate: off}, assigned, nemlogin.ClassGarbage, ""},
		{simulator.BareArray, simulator.Fault{Rate: off}, units, nemlogin.ClassGarbage, ""},
		{simulator.UnknownFields, simulator.Fault{Rate: off}, assigned, "", ""},
		{simulator.PNumberNumber, simulator.Fault{Rate: off}, units, "", ""},
	}
	// What shows only on some identities, or in the handshake.
	unseen := []string{
		simulator.UnknownScopeType, simulator.OtherCVRScope, simulator.TimedAssignment,
		simulator.CAListMismatch, simulator.CertExpired, simulator.CertWithoutRight,
	}
	for _, test := range tests {
		t.Run(test.fault, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.set(t, test.fault, test.how)
			err := test.do(w)
			if got := nemlogin.ClassOf(err); got != test.want {
				t.Fatalf("%v is %q, want %q", err, got, test.want)
			}
			if err != nil && !strings.Contains(err.Error(), test.say) {
				t.Errorf("%q does not say %q", err, test.say)
			}
			if w.Shown(test.fault) == 0 && test.how.Rate != off && !slices.Contains(unseen, test.fault) {
				t.Error("the fault did not show")
			}
		})
	}
}

// TestContractUnknownIdentity tells a person who is gone from a service that is
// unwell.
func TestContractUnknownIdentity(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.RemoveIdentity(w.identity); err != nil {
		t.Fatal(err)
	}
	_, reading := w.client.AssignedRoles(t.Context(), w.identity)
	_, employee := w.client.Employee(t.Context(), w.identity)
	for what, err := range map[string]error{"AssignedRoles": reading, "Employee": employee} {
		if nemlogin.ClassOf(err) != nemlogin.ClassNotFound {
			t.Errorf("%s: got %v", what, err)
		}
	}
	w.set(t, simulator.ServiceUnavailable, simulator.Fault{Endpoint: simulator.EndpointEmployee})
	if _, err := w.client.AssignedRoles(t.Context(), w.identity); nemlogin.ClassOf(err) != nemlogin.ClassTransient {
		t.Errorf("without a look-up: got %v", err)
	}
}

// TestContractHang wants a write that was carried out but not answered to be
// reported as uncertain and sent once.
func TestContractHang(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.OnRequest(func(r simulator.Request) simulator.Action {
		return simulator.Action{Drop: r.Write() && r.Endpoint == simulator.EndpointRoles, Apply: true}
	})
	err := w.client.AddRoles(t.Context(), w.identity, w.scope, w.roles)
	if nemlogin.ClassOf(err) != nemlogin.ClassTransient {
		t.Errorf("got %v", err)
	}
	if n := w.writes(); n != 1 {
		t.Errorf("%d writes were sent", n)
	}
	same(t, "what was written", w.held(), w.roles)
}

// TestContractReadOnly wants no write to arrive.
func TestContractReadOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *nemlogin.Options) { o.ReadOnly = true })
	if err := w.client.AddRoles(t.Context(), w.identity, w.scope, w.roles); nemlogin.ClassOf(err) != nemlogin.ClassReadOnly {
		t.Errorf("got %v", err)
	}
	if _, err := w.client.AssignedRoles(t.Context(), w.identity); err != nil {
		t.Error(err)
	}
	if n := w.writes(); n != 0 {
		t.Errorf("%d writes were sent", n)
	}
}

// TestContractOneBadRole wants the bad role of a batch found, whether the service
// applies the others or none.
func TestContractOneBadRole(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{simulator.BatchAtomic, simulator.BatchPartialFailure} {
		for _, status := range []int{400, 422} {
			w := newWorld(t)
			w.set(t, fault, simulator.Fault{Status: status, Value: w.roles[2]})
			err := w.client.AddRoles(t.Context(), w.identity, w.scope, w.roles)
			failed, ok := errors.AsType[*nemlogin.WriteError](err)
			if !ok || nemlogin.ClassOf(err) != nemlogin.ClassRejected || len(failed.Failed) != 1 || failed.Failed[w.roles[2]] == nil {
				t.Errorf("%s with %d: got %v", fault, status, err)
			}
			same(t, "what was written", w.held(), slices.Concat(w.roles[:2], w.roles[3:]))
		}
	}
}

// TestContractOldTokensWork has the service unable to give out tokens.
func TestContractOldTokensWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.client.Authenticate(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.set(t, simulator.AuthDown, simulator.Fault{})
	if err := w.client.AddRoles(t.Context(), w.identity, w.scope, w.roles); err != nil {
		t.Error(err)
	}
	w.RevokeTokens()
	if err := w.client.RemoveRoles(t.Context(), w.identity, w.scope, w.roles); nemlogin.ClassOf(err) != nemlogin.ClassTransient {
		t.Errorf("got %v", err)
	}
	same(t, "what was written", w.held(), w.roles)
	w.ClearFaults()
	if err := w.client.RemoveRoles(t.Context(), w.identity, w.scope, w.roles); err != nil {
		t.Error(err)
	}
}

// TestContractSlow wants a slow answer waited for, but not for ever.
func TestContractSlow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.client.Authenticate(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.set(t, simulator.Slow, simulator.Fault{Endpoint: simulator.EndpointCatalogue, Delay: 50 * time.Millisecond})
	if _, err := w.client.Roles(t.Context()); err != nil {
		t.Error(err)
	}
	w.set(t, simulator.Slow, simulator.Fault{Endpoint: simulator.EndpointCatalogue, Delay: time.Hour})
	hasty := w.newClient(t, func(o *nemlogin.Options) { o.Timeout, o.Retry.Attempts = 500*time.Millisecond, 1 })
	if _, err := hasty.Roles(t.Context()); nemlogin.ClassOf(err) != nemlogin.ClassTransient {
		t.Errorf("got %v", err)
	}
}

// TestContractWrongScope has a role refused for a foreign P-number, alone and
// among others.
func TestContractWrongScope(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	foreign := nemlogin.Scope{Type: nemlogin.ScopePU, Value: "9999999999"}
	err := w.client.AddRoles(t.Context(), w.identity, foreign, w.roles[:2])
	failed, ok := errors.AsType[*nemlogin.WriteError](err)
	if !ok || nemlogin.ClassOf(err) != nemlogin.ClassRejected || len(failed.Failed) != 2 {
		t.Errorf("got %v", err)
	}
}

// TestContractUnderFire writes under random faults: what the client calls
// written is there, and what it calls rejected is not.
func TestContractUnderFire(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	faults := []string{
		simulator.ServiceUnavailable, simulator.SeeLog500, simulator.RateLimit429, simulator.TokenRevoked,
		simulator.Write200Text, simulator.OptimisticConcurrency, simulator.BatchRejected, simulator.Garbage200,
	}
	rapid.Check(t, func(rt *rapid.T) {
		w.ClearFaults()
		for _, role := range w.roles {
			if err := w.Revoke(w.identity, role, w.scope.Type, w.scope.Value); err != nil {
				rt.Fatal(err)
			}
		}
		for _, name := range faults {
			rate := rapid.SampledFrom([]float64{0, 0, 0, 0.2, 0.5}).Draw(rt, name)
			if err := w.SetFault(name, simulator.Fault{Rate: rate}); err != nil {
				rt.Fatal(err)
			}
		}
		err := w.client.AddRoles(t.Context(), w.identity, w.scope, w.roles)
		var named map[string]error
		if failed, ok := errors.AsType[*nemlogin.WriteError](err); ok {
			named = failed.Failed
		}
		held := w.held()
		for _, role := range w.roles {
			there := slices.Contains(held, role)
			if named[role] == nil && !there {
				rt.Fatalf("%s is called written, and is not there", role)
			}
			if nemlogin.ClassOf(named[role]) == nemlogin.ClassRejected && there {
				rt.Fatalf("%s is called rejected, and is there: %v", role, named[role])
			}
		}
		// A read either tells the truth or fails.
		assigned, err := w.client.AssignedRoles(t.Context(), w.identity)
		if err == nil && len(assigned) != len(held) {
			rt.Fatalf("%d roles were read, %d are held", len(assigned), len(held))
		}
	})
}
