package rolecatalog_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/rollebro/rollebro/certs/certstest"
	"github.com/rollebro/rollebro/nemlogin"
	"github.com/rollebro/rollebro/nemlogin/simulator"
	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/store"
	"github.com/rollebro/rollebro/store/storetest"
)

const cvr = "99900011"

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

// world is one organisation: its MitID Erhverv, its catalogue and the bridge between them.
type world struct {
	testing.TB
	ctx    context.Context
	sim    *simulator.Simulator
	store  *store.Store
	client *nemlogin.Client
	bridge *rolecatalog.Bridge
	clock  *clock
	cpr    int
	// wrap puts something between the bridge and its client, from the next connect on.
	wrap func(rolecatalog.Client) rolecatalog.Client
}

var authority = sync.OnceValues(func() (*certstest.Authority, error) { return certstest.NewAuthority(certstest.AuthorityOptions{}) })

// option changes how the bridge and its client are made.
type option func(*rolecatalog.Options, *nemlogin.Options)

func dryRun(o *rolecatalog.Options, c *nemlogin.Options) { o.DryRun, c.ReadOnly = true, true }

type nemloginOptions = nemlogin.Options

func overwriteLate(o *rolecatalog.Options, _ *nemlogin.Options) {
	o.LateUsers = rolecatalog.LateOverwrite
}

// onMariaDB is the name of the tests whose sub-tests have their worlds on MariaDB.
const onMariaDB = "/mariadb/"

// newWorld makes an empty organisation with three P-numbers and two SE-numbers: on MariaDB below a test of that name, on
// SQLite elsewhere.
func newWorld(t testing.TB, options ...option) *world {
	t.Helper()
	if strings.Contains(t.Name(), onMariaDB) {
		return newWorldOn(t, storetest.MariaDBStore(t), options...)
	}
	return newWorldOn(t, storetest.SQLite(t), options...)
}

func newWorldOn(t testing.TB, st *store.Store, options ...option) *world {
	t.Helper()
	ca, err := authority()
	if err != nil {
		t.Fatal(err)
	}
	sim, err := simulator.New(simulator.Options{CVR: cvr, Users: -1, Imported: -1, Roles: -1, Listen: "127.0.0.1:0", Authority: ca})
	if err != nil {
		t.Fatal(err)
	}
	if err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sim.Close(context.Background()) }) //nolint:usetesting // the own context of the test has ended by then
	w := &world{TB: t, ctx: t.Context(), sim: sim, store: st, clock: &clock{now: time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)}}
	for _, p := range sim.PNumbers() {
		sim.RemovePNumber(p)
	}
	for _, s := range sim.SENumbers() {
		sim.RemoveSENumber(s)
	}
	for _, p := range []string{"1000000001", "1000000002", "1000000003"} {
		w.must(sim.AddPNumber(p, "Enhed "+p))
	}
	for _, s := range []string{"20000001", "20000002"} {
		w.must(sim.AddSENumber(s))
	}
	w.connect(options...)
	return w
}

// connect makes a client and a bridge anew, as a restart does.
func (w *world) connect(options ...option) {
	w.Helper()
	ro := rolecatalog.Options{
		CVR: cvr, Store: w.store, Now: w.clock.Now, Backoff: []time.Duration{time.Millisecond, time.Millisecond},
		LastHolderRoles: regexp.MustCompile(`(?i)administrator`),
		AdministratorRoles: []rolecatalog.AdministratorRole{
			{Identifier: "OrganizationAdministrator", Name: "Organisationsadministrator"},
			{Identifier: "IdentityAdministrator", Name: "Brugeradministrator"},
			{Identifier: "RightsAdministrator", Name: "Rettighedsadministrator"},
		},
	}
	certificate := w.sim.ClientCertificate()
	no := nemlogin.Options{
		BaseURL: w.sim.URL(), CVR: cvr, RootCAs: w.sim.Roots(), Certificate: func() (*tls.Certificate, error) { return &certificate, nil },
		Retry: nemlogin.RetryPolicy{Attempts: 3, Base: time.Microsecond, Max: time.Millisecond, MaxRetryAfter: time.Millisecond},
	}
	for _, o := range options {
		o(&ro, &no)
	}
	client, err := nemlogin.New(no)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(client.CloseIdleConnections)
	ro.Client = client
	if w.wrap != nil {
		ro.Client = w.wrap(client)
	}
	bridge, err := rolecatalog.New(ro)
	if err != nil {
		w.Fatal(err)
	}
	w.client, w.bridge = client, bridge
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// identity makes an account in MitID Erhverv and returns its UUID.
func (w *world) identity() string {
	w.Helper()
	w.cpr++
	id, err := w.sim.AddIdentity(simulator.NewIdentity{GivenName: "Prøve", Surname: "Person", EmailAddress: fmt.Sprintf("p%d@eksempelby.example", w.cpr)})
	w.must(err)
	return id
}

// user loads a user with an identity; identity "": without one.
func (w *world) user(id, identity string) {
	w.Helper()
	_, err := w.bridge.LoadUsers(w.ctx, []rolecatalog.UserRow{{UserID: id, Name: "Navn " + id, NemLoginUUID: &identity}}, rolecatalog.LoadOptions{Actor: "test"})
	w.must(err)
}

// person is a user with an identity of his own.
func (w *world) person(id string) string {
	w.Helper()
	identity := w.identity()
	w.user(id, identity)
	return identity
}

func (w *world) row(id string) rolecatalog.User {
	w.Helper()
	users, err := w.store.Users(w.ctx, rolecatalog.UserFilter{Key: id, IncludeDeleted: true})
	w.must(err)
	if len(users) != 1 {
		w.Fatalf("%d users with the key %s", len(users), id)
	}
	return users[0]
}

func (w *world) hold(identity, role, scopeType, value string) {
	w.Helper()
	w.must(w.sim.Grant(identity, role, scopeType, value))
}

// held lists what an identity holds in MitID Erhverv, as "role name or uuid/type/value", in order.
func (w *world) held(identity string) []string {
	w.Helper()
	who, ok := w.sim.Identity(identity)
	if !ok {
		w.Fatalf("no identity %s", identity)
	}
	held := make([]string, 0, len(who.Roles))
	for _, r := range who.Roles {
		held = append(held, r.UUID+"/"+r.Scope.Type+"/"+r.Scope.Value)
	}
	slices.Sort(held)
	return held
}

func (w *world) holds(identity string, want ...string) {
	w.Helper()
	slices.Sort(want)
	if got := w.held(identity); !slices.Equal(got, want) {
		w.Errorf("the identity holds\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func g(role, scopeType, value string) string { return role + "/" + scopeType + "/" + value }

func (w *world) importAll() rolecatalog.ImportReport {
	w.Helper()
	report, err := w.bridge.Import(w.ctx, nil)
	w.must(err)
	return report
}

func (w *world) reconcile() rolecatalog.ReconcileReport {
	w.Helper()
	report, err := w.bridge.Reconcile(w.ctx, rolecatalog.Selection{}, rolecatalog.ReconcileOptions{})
	w.must(err)
	return report
}

func (w *world) work() rolecatalog.WorkReport {
	w.Helper()
	report, err := w.bridge.ProcessWork(w.ctx, 100, rolecatalog.ReconcileOptions{})
	w.must(err)
	return report
}

// writes lists the requests that could have changed roles since the last reset.
func (w *world) writes() []string {
	w.Helper()
	var writes []string
	for _, r := range w.sim.Requests() {
		if r.Method != http.MethodGet && !strings.HasSuffix(r.Path, "/authenticate") {
			writes = append(writes, fmt.Sprintf("%s %s %v %d", r.Method, r.Path, r.Scope, r.Status))
		}
	}
	return writes
}

func (w *world) noWrites() {
	w.Helper()
	if writes := w.writes(); len(writes) > 0 {
		w.Errorf("%d writes were sent, none was expected:\n\t%s", len(writes), strings.Join(writes, "\n\t"))
	}
}

func (w *world) jobFunctionRole(name string, rules ...rolecatalog.ScopeRule) *rolecatalog.JobFunctionRole {
	w.Helper()
	role := &rolecatalog.JobFunctionRole{Name: name, Rules: rules}
	w.must(w.bridge.SaveJobFunctionRole(w.ctx, role, "test"))
	return role
}

func (w *world) systemRole(id string) rolecatalog.SystemRole {
	w.Helper()
	roles, err := w.bridge.SystemRoles(w.ctx)
	w.must(err)
	i := slices.IndexFunc(roles, func(r rolecatalog.SystemRole) bool { return r.UUID == id })
	if i < 0 {
		w.Fatalf("no system role %s", id)
	}
	return roles[i]
}

func (w *world) imported(role, scopeType string) *rolecatalog.JobFunctionRole {
	w.Helper()
	roles, err := w.bridge.JobFunctionRoles(w.ctx)
	w.must(err)
	i := slices.IndexFunc(roles, func(r rolecatalog.JobFunctionRole) bool { return r.Identifier == role+"_"+scopeType })
	if i < 0 {
		w.Fatalf("no imported job function role for %s %s", role, scopeType)
	}
	return &roles[i]
}

func (w *world) assign(user string, role *rolecatalog.JobFunctionRole, values ...rolecatalog.AssignmentValue) rolecatalog.Assignment {
	w.Helper()
	return w.assignDates(user, role, "", "", values...)
}

func (w *world) assignDates(user string, role *rolecatalog.JobFunctionRole, start, stop string, values ...rolecatalog.AssignmentValue) rolecatalog.Assignment {
	w.Helper()
	a, err := w.bridge.Assign(w.ctx, rolecatalog.AssignRequest{
		UserID: w.row(user).ID, JobFunctionRoleID: role.ID, StartDate: start, StopDate: stop, Values: values, Actor: "test",
	})
	w.must(err)
	return a
}

func (w *world) refresh() rolecatalog.CatalogueReport {
	w.Helper()
	report, err := w.bridge.RefreshCatalogue(w.ctx)
	w.must(err)
	return report
}

// roles puts n roles into the catalogue, so that one more or less is no shrink, and returns their UUIDs.
func (w *world) roles(n int) []string {
	w.Helper()
	ids := make([]string, n)
	for i := range ids {
		ids[i] = w.sim.AddRole(fmt.Sprintf("Rolle %02d", i), "")
	}
	return ids
}

func (w *world) explain(user string) rolecatalog.Explanation {
	w.Helper()
	x, err := w.bridge.Explain(w.ctx, user)
	w.must(err)
	return x
}

func unknownUUID() string { return uuid.NewString() }
