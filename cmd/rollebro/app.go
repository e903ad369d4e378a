package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/rollebro/rollebro/cmd/rollebro/config"
	"github.com/rollebro/rollebro/nemlogin"
	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/scheduler"
	"github.com/rollebro/rollebro/store"
)

// app is the parts put together, as far as a command needs them.
type app struct {
	*program
	config   *config.Config
	registry *prometheus.Registry
	store    *store.Store
	keystore *keystore           // nil without the integration
	client   *nemlogin.Client    // nil without the integration
	bridge   *rolecatalog.Bridge // nil without the integration and a CVR number
	runner   *scheduler.Runner
}

// needs says what a command cannot do without.
type needs int

const (
	needsCatalogue needs = iota // the catalogue in the database; MitID Erhverv is not asked
	needsMitID                  // and MitID Erhverv, with a certificate that works
	mayNeedMitID                // and MitID Erhverv if the integration is on, even if the certificate has expired
)

// loadConfig reads the settings and puts those for the log into force.
func (p *program) loadConfig() (*config.Config, error) {
	c, err := config.Load(config.Source{Environ: p.environ, File: p.configFile})
	settings := c.Log
	if p.quiet(c) {
		settings.Level = "warn"
	}
	configureLog(p.log, p.stderr, settings)
	return c, err
}

// quiet reports whether the command tells what goes on instead of logging it.
func (p *program) quiet(c *config.Config) bool { return !p.talkative && !c.IsSet("rc.log.level") }

// defaultKeyFile is where the key to the CPR numbers lies when the database is no file beside which it could lie.
const defaultKeyFile = "rollebro.key"

// openStore opens the database of the settings.
func (p *program) openStore(ctx context.Context, c *config.Config, noMigration bool) (*store.Store, error) {
	keyFile := c.Database.KeyFile
	if keyFile == "" && !store.IsSQLite(c.Database.URL) {
		keyFile = defaultKeyFile
	}
	s, err := store.Open(ctx, store.Options{
		URL: c.Database.URL, Username: c.Database.Username, Password: c.Database.Password.Reveal(), KeyFile: keyFile,
		NoMigration: noMigration, Logger: p.log, Now: p.now,
	})
	if err == nil {
		return s, nil
	}
	for _, told := range []error{store.ErrNewerSchema, store.ErrKeyMissing, store.ErrWrongKey} {
		if errors.Is(err, told) { // says itself what to do
			return nil, err
		}
	}
	if ctx.Err() != nil {
		return nil, err
	}
	return nil, &exitError{code: exitConfig, err: advise(err, "Check spring.datasource.url, .username and .password; \"rollebro config show\" shows what is set.")}
}

// open reads the settings and assembles what a command needs. The caller closes the app.
func (p *program) open(ctx context.Context, what needs) (*app, error) {
	c, err := p.loadConfig()
	if err != nil {
		return nil, err
	}
	a := &app{program: p, config: c, registry: prometheus.NewRegistry()}
	if what == needsMitID && !c.NemLogin.Enabled {
		return nil, &exitError{code: exitConfig, err: advise(
			errors.New("the integration with MitID Erhverv is off, and this command needs it"),
			"Set rc.integrations.nemLogin.enabled to true.")}
	}
	if c.CVR == "" && what != mayNeedMitID {
		return nil, &exitError{code: exitConfig, err: advise(
			errors.New("rc.customer.cvr is not set"), "Set it to the CVR number of the organisation: 8 digits.")}
	}
	if c.NemLogin.Enabled && what != needsCatalogue {
		if err := a.connect(what); err != nil {
			return nil, err
		}
	}
	if a.store, err = p.openStore(ctx, c, false); err != nil {
		return nil, err
	}
	if err := a.assemble(); err != nil {
		return nil, errors.Join(err, a.store.Close())
	}
	return a, nil
}

// connect opens the keystore and makes the client. It makes no request yet.
func (a *app) connect(what needs) error {
	var err error
	if a.keystore, err = openKeystore(a.config, a.log, a.now); err != nil {
		return err
	}
	if what == needsMitID {
		if err := a.keystore.usable(); err != nil {
			return err
		}
	}
	n := a.config.NemLogin
	roots, err := rootCertificates(n.RootCertificates)
	if err != nil {
		return err
	}
	a.client, err = nemlogin.New(nemlogin.Options{
		BaseURL: n.BaseURL, CVR: a.config.CVR, Certificate: a.keystore.certificate, RootCAs: roots, Renegotiate: n.Renegotiate,
		Concurrency: n.Concurrency, BatchSize: n.BatchSize, ReadOnly: n.UserDryRunOnly, Timeout: n.Timeout,
		Retry: a.retry, Logger: a.log, Metrics: nemlogin.NewMetrics(a.registry), UserAgent: "rollebro/" + version,
	})
	if err != nil {
		return &exitError{code: exitConfig, err: err}
	}
	return nil
}

// rootCertificates reads the extra roots; nil means the system's alone.
func rootCertificates(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // nil is the system's roots in crypto/tls too
	}
	problem := func(text string) error {
		return &config.Error{Problems: []config.Problem{{Name: "rc.integrations.nemLogin.rootCertificates", Value: path, Text: text}}}
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, problem("the file cannot be read: " + reason(err))
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a container without roots of its own
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, problem("there is no certificate in PEM form in the file")
	}
	return pool, nil
}

// reason is an error of the file system without the name, which the message has already.
func reason(err error) string {
	if path, ok := errors.AsType[*os.PathError](err); ok {
		return path.Err.Error()
	}
	return err.Error()
}

// assemble makes the bridge and the runner of its jobs.
func (a *app) assemble() error {
	writes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rollebro_writes_total", Help: "Grants written to MitID Erhverv, by verb (add, remove) and outcome.",
	}, []string{"verb", "outcome"})
	guards := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rollebro_guard_trips_total", Help: "Plans that a guard has blocked, by guard.",
	}, []string{"guard"})
	a.registry.MustRegister(writes, guards, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	c := a.config
	if c.CVR == "" {
		return nil // there is nothing to keep without an organisation
	}
	admins := c.NemLogin.Administrators
	opts := rolecatalog.Options{
		CVR: c.CVR, Store: a.store, Logger: a.log, Now: a.now,
		DryRun: c.NemLogin.UserDryRunOnly, Limits: c.Guard.Limits, ProtectedUsers: c.Guard.ProtectedUsers,
		LastHolderRoles: c.Guard.LastHolderRoles, LateUsers: rolecatalog.LateUsers(c.NemLogin.LateUsers),
		KeepRolesOfLocked: c.NemLogin.KeepRolesOfLockedUsers,
		Concurrency:       2 * c.NemLogin.Concurrency,
		Backoff:           a.backoff,
		Retention:         rolecatalog.Retention{Plans: c.Retention.Plans, Runs: c.Retention.Runs},
		Observer: rolecatalog.Observer{
			Write: func(verb, outcome string, n int) { writes.WithLabelValues(verb, outcome).Add(float64(n)) },
			Guard: func(guard string) { guards.WithLabelValues(guard).Inc() },
		},
	}
	for _, t := range []config.AdministratorTexts{admins.Organization, admins.Identity, admins.Rights} {
		opts.AdministratorRoles = append(opts.AdministratorRoles,
			rolecatalog.AdministratorRole{Identifier: t.Identifier, Name: t.Name, Description: t.Description})
	}
	if a.client != nil { // a nil *Client in the interface would not be nil
		opts.Client = a.client
	}
	bridge, err := rolecatalog.New(opts)
	if err != nil {
		return &exitError{code: exitConfig, err: err}
	}
	a.bridge = bridge
	a.runner = &scheduler.Runner{
		Store: a.store, CVR: c.CVR, Owner: scheduler.NewOwner(), Now: a.now, Metrics: scheduler.NewMetrics(a.registry),
	}
	if !a.quiet(c) { // a job's failure is the command's, which is told at its end
		a.runner.Logger = a.log
	}
	return nil
}

// close closes what was opened.
func (a *app) close() {
	if a.client != nil {
		a.client.CloseIdleConnections()
	}
	if err := a.store.Close(); err != nil {
		a.log.WithError(err).Warn("closing the database")
	}
}

// hours says when the jobs run.
func (a *app) hours(ctx context.Context) (map[string]string, error) {
	//nolint:gosec // G404: any second will do, if only not everybody takes the same
	h := scheduler.Hours{Second: rand.N(60), FullSync: a.config.Schedule.FullSync}
	if m := a.config.Schedule.Minute; m != nil {
		h.Minute = *m
	} else {
		state, err := a.store.State(ctx, a.config.CVR)
		if err != nil {
			return nil, fmt.Errorf("reading the minute of the jobs: %w", err)
		}
		h.Minute = state.Minute
	}
	return h.Crons()
}
