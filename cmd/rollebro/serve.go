package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/rollebro/rollebro/apikeys"
	"github.com/rollebro/rollebro/certs"
	"github.com/rollebro/rollebro/scheduler"
	"github.com/rollebro/rollebro/web"
)

// stopTime is how long the service takes at most to come to an end; containers are given 45 seconds.
const stopTime = 40 * time.Second

func (p *program) serveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the service",
		Long: `Runs the service until it is stopped: brings the database up to date, reads in what is
missing, makes up for jobs that were broken off or whose hour passed without it, and
then does its jobs by the clock: the catalogue at 3, 10 and 14, everybody after 10, and
single people within seconds of a change.

It serves /healthz, /readyz, /manage/health, /metrics, /api/status, /openapi.yaml and the
CoreData API, /api/coredata, at rc.web.listen.
While rc.integrations.nemLogin.userDryRunOnly is true, nothing is written to MitID
Erhverv. A new keystore file is taken up without a restart.`,
		Example: "  rollebro serve\n  rollebro serve --config /etc/rollebro.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.serve(cmd.Context())
		},
	}
}

// serve runs the service until ctx ends, which is not an error.
func (p *program) serve(ctx context.Context) error {
	p.talkative = true
	a, err := p.open(ctx, mayNeedMitID)
	if err != nil {
		return err
	}
	defer a.close()
	for _, note := range a.config.Notes {
		p.log.Info("settings: " + note)
	}
	service := &service{app: a}
	if a.client != nil {
		if service.jobs, err = a.scheduler(ctx); err != nil {
			return err
		}
	}
	a.registry.MustRegister(&stateCollector{a})
	listening, err := web.Listen(ctx, web.ServerOptions{
		Listen: a.config.Web.Listen, TLSCert: a.config.Web.TLSCertificate, TLSKey: a.config.Web.TLSKey,
		Handler: web.Handler(service.options()), Logger: p.log,
	})
	if err != nil {
		if _, ok := errors.AsType[*net.OpError](err); ok {
			return advise(err, "rc.web.listen says where to listen.")
		}
		return &exitError{code: exitConfig, err: advise(err, "Check rc.web.tlsCertificate and rc.web.tlsKey.")}
	}
	service.announce(listening.Addr())
	return service.run(ctx, listening)
}

// service is the app with what runs in the background.
type service struct {
	*app
	jobs *scheduler.Scheduler // nil without the integration
}

// run serves and works until ctx ends or a part fails, and then brings everything to an end.
func (s *service) run(ctx context.Context, server *web.Server) error {
	group, ctx := errgroup.WithContext(ctx)
	part := func(fn func(ctx context.Context) error) {
		group.Go(func() error { return guarded(func() error { return fn(ctx) }) })
	}
	if s.keystore != nil {
		s.keystore.OnChange(func(*certs.Keystore) {
			s.client.CloseIdleConnections() // the next request presents the new certificate
			s.keystore.logFindings(s.log)
		})
		part(s.keystore.Run)
	}
	if s.jobs != nil {
		if err := s.jobs.Start(ctx); err != nil {
			return errors.Join(err, server.Close())
		}
		part(s.stopJobs)
	}
	part(s.upkeep)
	part(server.Serve)
	err := group.Wait()
	s.log.Info("stopped")
	return err
}

// stopJobs waits for the end and lets what is under way finish or be handed back.
func (s *service) stopJobs(ctx context.Context) error {
	<-ctx.Done()
	s.log.Info("stopping; what is under way is finished or handed back")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	return s.jobs.Stop(ctx)
}

// announce writes the one line that tells how the service was set up.
func (s *service) announce(addr net.Addr) {
	fields := logrus.Fields{
		fieldVersion: version, fieldListen: addr.String(), fieldDatabase: s.store.Place(), fieldCVR: s.config.CVR,
	}
	if s.keystore == nil {
		s.log.WithFields(fields).Warn("Rollebro runs without MitID Erhverv: rc.integrations.nemLogin.enabled is false")
		return
	}
	fields[fieldHost] = s.config.NemLogin.BaseURL
	fields[fieldDryRun] = s.config.NemLogin.UserDryRunOnly
	fields[fieldScheduled] = s.config.Schedule.Enabled
	fields[fieldCertificate] = s.keystore.ends()
	s.keystore.logFindings(s.log)
	s.log.WithFields(fields).Info("Rollebro runs")
}

// options says what the service answers, and what is looked at to tell whether the service is well.
func (s *service) options() web.Options {
	checks := []web.Check{{Name: "database", Critical: true, Func: s.store.Ping}}
	if s.keystore != nil {
		// Not critical: the pages that say what is wrong must be reached.
		checks = append(checks,
			web.Check{Name: "keystore", Func: func(context.Context) error { return s.keystore.inOrder() }},
			web.Check{Name: "bridge", Func: s.checkBridge},
		)
	}
	return web.Options{
		Checks: checks, Gatherer: s.registry, Logger: s.log, Now: s.now,
		Mount:  s.interfaces(),
		Status: s.statusAnswer,
		Authorize: web.AllowLoopback(func(r *http.Request) error {
			_, err := s.keys().Authenticate(r, apikeys.Read)
			return err
		}),
	}
}

// checkBridge tells what keeps the bridge from its work.
func (s *service) checkBridge(ctx context.Context) error {
	state, err := s.store.State(ctx, s.config.CVR)
	switch {
	case err != nil:
		return err
	case state.QuarantineSince != nil:
		return fmt.Errorf("in quarantine since %s: %s", moment(state.QuarantineSince), state.QuarantineReason)
	case state.CatalogueError != "":
		return errors.New(state.CatalogueError)
	}
	return nil
}

// statusAnswer is what /api/status answers.
func (s *service) statusAnswer(ctx context.Context) (any, error) {
	answer := struct {
		Version     string `json:"version"`
		Integration bool   `json:"integration"`
		*bridgeStatus
		Jobs []scheduler.JobStatus `json:"jobs,omitempty"`
	}{Version: version, Integration: s.client != nil}
	if s.bridge != nil {
		status, err := s.status(ctx)
		if err != nil {
			return nil, err
		}
		answer.bridgeStatus = status
	}
	if s.jobs != nil {
		answer.Jobs = s.jobs.Status()
	}
	return answer, nil
}

// stateCollector reads for /metrics what stands in the database and in the keystore.
type stateCollector struct{ *app }

// collectTime is how long the database may take to answer for /metrics.
const collectTime = 3 * time.Second

var (
	descCertificate = prometheus.NewDesc("rollebro_certificate_not_after_timestamp_seconds", "When the organisation's certificate ends, in seconds since 1970.", nil, nil)
	descUsable      = prometheus.NewDesc("rollebro_keystore_usable", "1 while the keystore can be used, and its file too if it has been replaced.", nil, nil)
	descDryRun      = prometheus.NewDesc("rollebro_dry_run", "1 while nothing is written to MitID Erhverv.", nil, nil)
	descQuarantine  = prometheus.NewDesc("rollebro_quarantine", "1 while the bridge writes nothing until a person approves or a clean plan comes.", nil, nil)
	descBacklog     = prometheus.NewDesc("rollebro_backlog", "People waiting to be looked at.", []string{"state"}, nil)
)

// Describe names the metrics.
func (c *stateCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descCertificate, descUsable, descDryRun, descQuarantine, descBacklog} {
		out <- d
	}
}

// Collect reads them. What cannot be read is left out: a missing metric is told from a zero.
func (c *stateCollector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	flag := func(d *prometheus.Desc, on bool) {
		value := 0.0
		if on {
			value = 1
		}
		gauge(d, value)
	}
	flag(descDryRun, c.config.NemLogin.UserDryRunOnly)
	if c.keystore != nil {
		gauge(descCertificate, float64(c.keystore.Current().Describe().NotAfter.Unix()))
		flag(descUsable, c.keystore.inOrder() == nil)
	}
	if c.bridge == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), collectTime) // Prometheus hands no context on
	defer cancel()
	if state, err := c.store.State(ctx, c.config.CVR); err == nil {
		flag(descQuarantine, state.QuarantineSince != nil)
	}
	if all, failing, err := c.store.WorkBacklog(ctx, c.config.CVR); err == nil {
		gauge(descBacklog, float64(all-failing), "waiting")
		gauge(descBacklog, float64(failing), "failing")
	}
}
