package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollebro/rollebro/cmd/rollebro/userfile"
	"github.com/rollebro/rollebro/nemlogin"
	"github.com/rollebro/rollebro/nemlogin/simulator"
	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/rolecatalog/plan"
)

// logLevel begins the setting of the log's level.
const logLevel = "RC_LOG_LEVEL="

// demoRoles is how many roles the demo's catalogue has.
const demoRoles = 60

func (p *program) demoCommand() *cobra.Command {
	var (
		users  int
		once   bool
		listen string
	)
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole job on invented people, with nothing to configure",
		Long: `Runs a MitID Erhverv of our own and the service on a new SQLite database, all in
this process and in a temporary directory. First it goes through the main job and
tells what happens: users are loaded, what they hold is imported, the plan is empty,
a few things change, the plan is applied, the network breaks and everything is made
good. Then the service runs on --listen until it is stopped.`,
		Example: "  rollebro demo\n  rollebro demo --once --users 500",
		Args:    cobra.NoArgs,
	}
	cmd.Flags().IntVar(&users, "users", 40, "`number` of invented users, at least 10")
	cmd.Flags().BoolVar(&once, "once", false, "end after the tour")
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8090", "`address` of the service")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if users < 10 {
			return advise(fmt.Errorf("--users %d is too few to show anything", users), "Give at least 10.")
		}
		dir, err := os.MkdirTemp("", "rollebro-demo-")
		if err != nil {
			return fmt.Errorf("making a directory for the demo: %w", err)
		}
		return errors.Join(p.demo(cmd.Context(), dir, users, listen, once), os.RemoveAll(dir))
	}
	return cmd
}

// reserve holds the address of the service, so that one that can't be had is found out before the tour and not after it.
func reserve(ctx context.Context, address string) (net.Listener, error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, advise(fmt.Errorf("the service of the demo can't have its address: %w", err),
			"Give another with --listen, such as 127.0.0.1:0 for any free port; or --once for the tour alone.")
	}
	return listener, nil
}

// demo runs the tour in a directory of its own, and then the service.
func (p *program) demo(ctx context.Context, dir string, users int, listen string, once bool) (err error) {
	var held net.Listener
	if !once {
		if held, err = reserve(ctx, listen); err != nil {
			return err
		}
		defer func() { _ = held.Close() }() // it is closed already unless the tour failed
		listen = held.Addr().String()
	}
	opts := simulator.Options{Users: users, Roles: demoRoles, Seed: 1, Listen: "127.0.0.1:0", Inspect: "127.0.0.1:0"}
	sim, err := simulator.New(opts) //nolint:contextcheck // it lives until it is closed
	if err != nil {
		return err
	}
	if err := sim.Start(); err != nil { //nolint:contextcheck // as above
		return err
	}
	defer func() { err = errors.Join(err, sim.Close(context.WithoutCancel(ctx))) }()
	demo, err := p.inDirectory(sim, dir, listen)
	if err != nil {
		return err
	}
	app, err := demo.open(ctx, needsMitID)
	if err != nil {
		return err
	}
	t := &tour{app: app, sim: sim, w: p.stdout, dir: dir, clock: demo.clock}
	err = t.run(ctx)
	app.close()
	if err != nil || once {
		return err
	}
	fmt.Fprintf(p.stdout, "\nThe service runs now: http://%s/manage/health, and MitID Erhverv on %s/simulator/state\nStop with Ctrl-C.\n", listen, sim.InspectURL())
	demo.environ = append(demo.environ[1:], logLevel+"info")
	_ = held.Close() // nothing was received on it
	return demo.serve(ctx)
}

// demoProgram is a program with the settings of a demo, and a clock that can be turned forward.
type demoProgram struct {
	*program
	clock *atomic.Int64 // how far it was turned, in nanoseconds
}

// inDirectory makes the settings: what the simulator says, and a database of its own. Nothing of this machine's settings
// is taken over.
func (p *program) inDirectory(sim *simulator.Simulator, dir, listen string) (*demoProgram, error) {
	if err := sim.WriteDir(dir); err != nil {
		return nil, err
	}
	env, err := os.ReadFile(filepath.Join(dir, "env"))
	if err != nil {
		return nil, fmt.Errorf("reading the simulator's settings: %w", err)
	}
	settings := filepath.Join(dir, "rollebro.yaml")
	if err := os.WriteFile(settings, []byte("# everything comes from the environment\n"), 0o600); err != nil {
		return nil, fmt.Errorf("writing the demo's settings: %w", err)
	}
	demo := *p
	demo.configFile = settings
	demo.environ = []string{
		logLevel + "error", // what goes wrong here goes wrong on purpose
		"RC_INTEGRATIONS_NEMLOGIN_USERDRYRUNONLY=false",
		"SPRING_DATASOURCE_URL=sqlite:" + filepath.Join(dir, "rollebro.db"),
		"RC_WEB_LISTEN=" + listen,
	}
	for line := range strings.Lines(string(env)) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "RC_INTEGRATIONS_NEMLOGIN_USERDRYRUNONLY=") {
			demo.environ = append(demo.environ, line)
		}
	}
	clock := new(atomic.Int64)
	demo.now = func() time.Time { return p.now().Add(time.Duration(clock.Load())) }
	// The demo's network comes back soon; nobody wants to watch the waits that are right for the real service.
	demo.retry = nemlogin.RetryPolicy{Attempts: 2, Base: time.Millisecond, Max: 10 * time.Millisecond}
	demo.backoff = []time.Duration{5 * time.Millisecond, 10 * time.Millisecond}
	return &demoProgram{program: &demo, clock: clock}, nil
}

// tour goes through the main job and tells what happens.
type tour struct {
	app   *app
	sim   *simulator.Simulator
	w     io.Writer
	dir   string
	clock *atomic.Int64
	step  int
}

func (t *tour) say(format string, args ...any) {
	fmt.Fprintf(t.w, "   "+format+"\n", args...)
}

func (t *tour) title(text string) {
	t.step++
	fmt.Fprintf(t.w, "\n%d. %s\n", t.step, text)
}

func (t *tour) run(ctx context.Context) error {
	fmt.Fprintf(t.w, "Rollebro %s: the main job, against a MitID Erhverv of our own (CVR %s) with real TLS and a real database.\n", version, t.sim.CVR())
	for _, step := range []func(context.Context) error{t.meet, t.adopt, t.change, t.breakNetwork, t.guard} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	n, err := t.app.store.VerifyAudit(ctx)
	if err != nil {
		return err
	}
	t.title("The record")
	t.say("%d events in the audit trail, each chained to the one before; the chain is whole.", n)
	fmt.Fprintln(t.w, "\nDone: MitID Erhverv holds exactly what the catalogue says.")
	return nil
}

// meet shows the certificate and loads the users.
func (t *tour) meet(ctx context.Context) error {
	t.title("Keystore and users")
	d := t.app.keystore.Current().Describe()
	t.say("Certificate of %s, CVR %s, valid until %s.", d.Organisation, d.CVR, rolecatalog.Day(d.NotAfter))
	data, err := os.ReadFile(filepath.Join(t.dir, "users.csv"))
	if err != nil {
		return fmt.Errorf("reading the users: %w", err)
	}
	file, err := userfile.Parse(data)
	if err != nil {
		return err
	}
	report, err := t.app.bridge.LoadUsers(ctx, file.Rows, rolecatalog.LoadOptions{Actor: "demo"})
	if err != nil {
		return err
	}
	t.say("%d users loaded from users.csv.", report.Created)
	return nil
}

// adopt imports, and shows that there is nothing to do then.
func (t *tour) adopt(ctx context.Context) error {
	t.title("Catalogue and first import")
	catalogue, err := t.app.bridge.RefreshCatalogue(ctx)
	if err != nil {
		return err
	}
	numbers, err := t.app.bridge.RefreshNumbers(ctx)
	if err != nil {
		return err
	}
	t.say("%d system roles, %d P-numbers and %d SE-numbers read.", catalogue.Roles, numbers.PNumbers, numbers.SENumbers)
	imported, err := t.app.bridge.Import(ctx, nil)
	if err != nil {
		return err
	}
	t.say("%d people imported: %d assignments of %d job function roles; %d rights outside the catalogue left alone.",
		imported.Adopted, imported.Assignments, imported.Roles, imported.Unmanaged)
	if imported.Failed > 0 {
		return fmt.Errorf("%d people could not be imported: %s", imported.Failed, imported.Failures[0].Error)
	}
	p, err := t.app.bridge.Plan(ctx, rolecatalog.Selection{}, nil)
	if err != nil {
		return err
	}
	return t.nothingToDo(p)
}

// show prints what a plan would do.
func (t *tour) show(p *plan.Plan) {
	t.say("Plan %s:", p.ID[:12])
	for _, part := range []struct {
		sign    string
		changes []plan.Change
	}{{"+", p.Adds()}, {"-", p.Removes()}} {
		for _, c := range part.changes {
			why := strings.Join(c.Because, "; ")
			if why == "" {
				why = c.Reason.Text()
			}
			t.say("  %s %s: %s, %s (%s)", part.sign, c.Name, c.RoleName, c.Grant.Scope, why)
		}
	}
	for _, g := range p.Guards {
		if !g.OK {
			t.say("  guard: %s", g.Message)
		}
	}
	t.say("  %s", p.Summary())
}

func (t *tour) nothingToDo(p *plan.Plan) error {
	if !p.Empty() {
		return fmt.Errorf("the plan should be empty and has %d to add and %d to remove", p.Counts.Add, p.Counts.Remove)
	}
	t.say("Plan %s: nothing to do; %d grants match, %d are left alone.", p.ID[:12], p.Counts.Keep, p.Counts.Skip)
	return nil
}

// change makes a few changes, plans, applies and plans again.
func (t *tour) change(ctx context.Context) error {
	t.title("A few changes")
	people, err := t.holders(ctx)
	if err != nil {
		return err
	}
	role, err := t.newRole(ctx, "Indberetning for en enhed", "PU")
	if err != nil {
		return err
	}
	whole, err := t.newRole(ctx, "Hele kommunen", "Cvr")
	if err != nil {
		return err
	}
	pNumber := t.sim.PNumbers()[0]
	yesterday := rolecatalog.Day(t.app.now().AddDate(0, 0, -1))
	for i, r := range []rolecatalog.AssignRequest{
		{JobFunctionRoleID: whole.ID},
		{JobFunctionRoleID: role.ID, Values: []rolecatalog.AssignmentValue{{SystemRoleID: role.Rules[0].SystemRoleID, ScopeType: "PU", Value: pNumber}}},
		{JobFunctionRoleID: people[2].role, Values: people[2].values, StopDate: yesterday},
	} {
		r.UserID, r.Actor = people[i].user.ID, "demo"
		if _, err := t.app.bridge.Assign(ctx, r); err != nil {
			return err
		}
	}
	for _, h := range people[2:4] {
		if err := t.app.bridge.Unassign(ctx, h.user.ID, h.assignment, "demo"); err != nil {
			return err
		}
	}
	t.say("%s gets a role for the whole municipality; %s one for P-number %s;", people[0].user.Name, people[1].user.Name, pNumber)
	t.say("what %s had ended yesterday; %s loses one that was imported.", people[2].user.Name, people[3].user.Name)
	p, err := t.app.bridge.Plan(ctx, rolecatalog.Selection{}, nil)
	if err != nil {
		return err
	}
	t.show(p)
	t.sim.ResetRequests()
	report, err := t.app.bridge.Apply(ctx, p.ID, rolecatalog.ReconcileOptions{Actor: "demo"})
	if err != nil {
		return err
	}
	t.say("Applied: %d added, %d removed, with %d write requests; each was read back.", report.Added, report.Removed, t.writes())
	if p, err = t.app.bridge.Plan(ctx, rolecatalog.Selection{}, nil); err != nil {
		return err
	}
	return t.nothingToDo(p)
}

// breakNetwork gives everybody a role, and cuts the connection in the middle of it.
func (t *tour) breakNetwork(ctx context.Context) error {
	t.title("The network breaks half-way")
	role, err := t.newRole(ctx, "Ny rolle til alle", "Cvr")
	if err != nil {
		return err
	}
	people, err := t.holders(ctx)
	if err != nil {
		return err
	}
	for _, h := range people {
		if _, err := t.app.bridge.Assign(ctx, rolecatalog.AssignRequest{UserID: h.user.ID, JobFunctionRoleID: role.ID, Actor: "demo"}); err != nil {
			return err
		}
	}
	var writes atomic.Int64
	half := int64(len(people) / 2)
	t.sim.OnRequest(func(r simulator.Request) simulator.Action {
		if r.Method != http.MethodGet && r.Endpoint == simulator.EndpointRoles {
			writes.Add(1)
		}
		return simulator.Action{Drop: writes.Load() > half, Apply: writes.Load()%2 == 0}
	})
	report, err := t.app.bridge.Reconcile(ctx, rolecatalog.Selection{}, rolecatalog.ReconcileOptions{Actor: "demo"})
	t.sim.OnRequest(nil)
	if err != nil {
		return err
	}
	t.say("%d people get a new role. After %d writes no connection works any more: %d added, %d not known to be done.",
		len(people), half, report.Added, report.Failed)
	t.say("Some of those were carried out although the answer was lost. Nobody lost anything.")
	t.clock.Add(int64(2 * time.Minute))
	t.sim.ResetRequests()
	work, err := t.app.bridge.ProcessWork(ctx, 10*len(people), rolecatalog.ReconcileOptions{Actor: "demo"})
	if err != nil {
		return err
	}
	t.say("Two minutes later (the demo's clock is turned forward) everybody on the work list is looked at again:")
	t.say("%d people done, %d writes were still missing.", work.Done, t.writes())
	p, err := t.app.bridge.Plan(ctx, rolecatalog.Selection{}, nil)
	if err != nil {
		return err
	}
	return t.nothingToDo(p)
}

// guard shows what happens when far too much is to be removed.
func (t *tour) guard(ctx context.Context) error {
	t.title("A load deletes three quarters of the users")
	users, err := t.app.store.Users(ctx, rolecatalog.UserFilter{WithNemLogin: true})
	if err != nil {
		return err
	}
	var ids []uint64
	for i := range users[:len(users)*3/4] {
		ids = append(ids, users[i].ID)
	}
	if err := t.app.bridge.ChangeUserState(ctx, ids, "demo", func(u *rolecatalog.User) { u.Deleted = true }); err != nil {
		return err
	}
	t.sim.ResetRequests()
	report, err := t.app.bridge.Reconcile(ctx, rolecatalog.Selection{}, rolecatalog.ReconcileOptions{Actor: "demo"})
	if err != nil {
		return err
	}
	if !report.Blocked || t.writes() > 0 {
		return fmt.Errorf("%d removals were not blocked", report.Plan.Counts.Remove)
	}
	for _, g := range report.Plan.Guards {
		if !g.OK {
			t.say("Blocked: %s", g.Message)
		}
	}
	t.say("%d writes were sent. The bridge reads and plans, and waits for a person, or for a clean plan.", t.writes())
	if err := t.app.bridge.ChangeUserState(ctx, ids, "demo", func(u *rolecatalog.User) { u.Deleted = false }); err != nil {
		return err
	}
	if report, err = t.app.bridge.Reconcile(ctx, rolecatalog.Selection{}, rolecatalog.ReconcileOptions{Actor: "demo"}); err != nil {
		return err
	}
	t.say("The users are loaded rightly again: the plan is clean, the quarantine ends.")
	return t.nothingToDo(report.Plan)
}

// holder is a user who has an assignment from the import.
type holder struct {
	user             rolecatalog.User
	assignment, role uint64
	values           []rolecatalog.AssignmentValue
}

// holders lists the users who got an assignment by the import.
func (t *tour) holders(ctx context.Context) ([]holder, error) {
	users, err := t.app.store.Users(ctx, rolecatalog.UserFilter{WithNemLogin: true})
	if err != nil {
		return nil, err
	}
	var list []holder
	for i := range users {
		assignments, err := t.app.store.UserAssignments(ctx, t.app.bridge.CVR(), users[i].ID)
		if err != nil {
			return nil, err
		}
		for _, a := range assignments {
			if a.AssignedBy == rolecatalog.ActorImport && a.EndedAt == nil {
				list = append(list, holder{users[i], a.ID, a.JobFunctionRoleID, a.Values})
				break
			}
		}
	}
	if len(list) < 4 {
		return nil, fmt.Errorf("only %d of the users hold anything; try more --users", len(list))
	}
	return list, nil
}

// newRole makes a job function role from a system role that nobody holds.
func (t *tour) newRole(ctx context.Context, name, scopeType string) (*rolecatalog.JobFunctionRole, error) {
	roles, err := t.app.bridge.SystemRoles(ctx)
	if err != nil {
		return nil, err
	}
	_, held, err := t.app.store.ObservedTotals(ctx, t.app.bridge.CVR())
	if err != nil {
		return nil, err
	}
	own, err := t.app.bridge.JobFunctionRoles(ctx)
	if err != nil {
		return nil, err
	}
	taken := make(map[uint64]bool)
	for i := range own {
		for _, rule := range own[i].Rules {
			taken[rule.SystemRoleID] = true
		}
	}
	best := roles[0]
	for i := range roles {
		if !taken[roles[i].ID] && held[roles[i].UUID] == 0 {
			best = roles[i]
			break
		}
	}
	role := &rolecatalog.JobFunctionRole{Name: name, Rules: []rolecatalog.ScopeRule{{SystemRoleID: best.ID, ScopeType: scopeType, AtAssignment: scopeType != "Cvr"}}}
	return role, t.app.bridge.SaveJobFunctionRole(ctx, role, "demo")
}

// writes counts the requests of the last step that could have changed a role.
func (t *tour) writes() (n int) {
	for _, r := range t.sim.Requests() {
		if r.Endpoint == simulator.EndpointRoles && r.Method != http.MethodGet {
			n++
		}
	}
	return n
}
