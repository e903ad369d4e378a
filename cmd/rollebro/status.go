package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollebro/rollebro/coredata"
	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/scheduler"
)

// bridgeStatus is what "rollebro status" tells.
type bridgeStatus struct {
	Bridge      rolecatalog.Status       `json:"bridge"`
	Certificate *certificateStatus       `json:"certificate,omitempty"`
	Writer      *scheduler.Lease         `json:"writer,omitempty"` // who may write at present
	Plans       []rolecatalog.PlanRecord `json:"plans"`            // newest first
	Runs        []scheduler.Run          `json:"runs"`             // newest first
	Loads       []coredata.Call          `json:"loads"`            // newest first
	Silent      []string                 `json:"silentDomains"`    // domains whose loads have stopped coming
}

// certificateStatus is how the keystore stands.
type certificateStatus struct {
	Usable   bool      `json:"usable"`
	NotAfter time.Time `json:"notAfter,omitzero"`
	Problems []string  `json:"problems,omitempty"`
}

func (p *program) statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how the bridge stands, and what needs a person",
		Long: `Shows how the bridge stands: users, imports, backlog, the newest plans and runs, who
holds the writer lease, and what needs a person. MitID Erhverv is not asked.`,
		Example: "  rollebro status\n  rollebro status --output json",
		Args:    cobra.NoArgs,
	}
	format := outputFlag(cmd, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		a, err := p.open(cmd.Context(), needsCatalogue)
		if err != nil {
			return err
		}
		defer a.close()
		st, err := a.status(cmd.Context())
		if err != nil {
			return err
		}
		if *format == "json" {
			return writeJSON(p.stdout, st)
		}
		return st.write(p.stdout)
	}
	return cmd
}

// newest is how many plans and runs the status lists.
const newest = 10

func (a *app) status(ctx context.Context) (*bridgeStatus, error) {
	var (
		st  bridgeStatus
		err error
	)
	if st.Bridge, err = a.bridge.Status(ctx); err != nil {
		return nil, err
	}
	if st.Plans, err = a.store.Plans(ctx, a.config.CVR, newest); err != nil {
		return nil, err
	}
	if st.Runs, err = a.store.Runs(ctx, a.config.CVR, "", newest); err != nil {
		return nil, err
	}
	if st.Loads, err = a.store.Calls(ctx, "", newest); err != nil {
		return nil, err
	}
	if st.Silent, err = coredata.Silent(ctx, a.store, a.now()); err != nil {
		return nil, err
	}
	lease, ok, err := a.store.CurrentLease(ctx, scheduler.LeaseWriter)
	if err != nil {
		return nil, err
	}
	if ok && lease.Owner != "" && lease.ExpiresAt.After(a.now()) {
		st.Writer = &lease
	}
	if a.config.NemLogin.Enabled {
		st.Certificate = a.certificateStatus()
	}
	return &st, nil
}

// certificateStatus looks at the keystore file, which need not be in order for the rest to be told.
func (a *app) certificateStatus() *certificateStatus {
	k := a.keystore
	if k == nil {
		var err error
		if k, err = openKeystore(a.config, a.log, a.now); err != nil {
			return &certificateStatus{Problems: []string{err.Error()}}
		}
	}
	st := &certificateStatus{Usable: k.inOrder() == nil, NotAfter: k.Current().Describe().NotAfter}
	for _, f := range k.findings() {
		st.Problems = append(st.Problems, f.Message)
	}
	if err := k.LastError(); err != nil {
		st.Problems = append(st.Problems, "The new file was not taken up: "+err.Error())
	}
	return st
}

func (s *bridgeStatus) write(w io.Writer) error {
	b := &s.Bridge
	mode := "writes to MitID Erhverv"
	if b.DryRun {
		mode = "dry run: writes nothing to MitID Erhverv"
	}
	writer := "nobody"
	if s.Writer != nil {
		writer = s.Writer.Owner + " since " + moment(&s.Writer.AcquiredAt)
	}
	certificate := "not set up"
	if c := s.Certificate; c != nil && c.Usable {
		certificate = "in order, until " + rolecatalog.Day(c.NotAfter)
	} else if c != nil {
		certificate = "CANNOT BE USED"
	}
	rows := [][]string{
		{"Mode", mode},
		{"Certificate", certificate},
		{"System roles", fmt.Sprintf("%d, of which %d withdrawn; read %s", b.SystemRoles, b.Withdrawn, moment(b.State.CatalogueAt))},
		{"Users", fmt.Sprintf("%d, of which %d with a NemLogin UUID", b.Users, b.WithUUID)},
		{"Imported", fmt.Sprintf("%d; not yet %d; unknown at MitID Erhverv %d; in conflict %d", b.Adopted, b.NotAdopted, b.Gone, b.Conflicts)},
		{"Grants", strconv.Itoa(b.Grants) + " managed, as last read"},
		{"Waiting", fmt.Sprintf("%s, of whom %d have failed before; %s", counted(b.Backlog, "person", "people"), b.Failing, counted(b.Attempts, "failed write", "failed writes"))},
		{"Reconciled", moment(b.State.ReconciledAt)},
		{"Writing", writer},
	}
	if err := table(w, []string{"CVR", b.CVR}, rows); err != nil {
		return err
	}
	attention := b.Attention
	if s.Certificate != nil {
		attention = append(attention, s.Certificate.Problems...)
	}
	for _, domain := range s.Silent {
		attention = append(attention, silentText(domain))
	}
	if len(attention) > 0 {
		fmt.Fprintln(w, "\nNeeds a person:")
		for _, text := range attention {
			fmt.Fprintln(w, "  - "+printable(text))
		}
	}
	if err := s.writePlans(w); err != nil {
		return err
	}
	if err := s.writeRuns(w); err != nil {
		return err
	}
	return s.writeLoads(w)
}

func silentText(domain string) string {
	return fmt.Sprintf("The domain %s has had no load for 7 days: look whether the client that loads it still runs.", domain)
}

func (s *bridgeStatus) writeLoads(w io.Writer) error {
	if len(s.Loads) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	rows := make([][]string, 0, len(s.Loads))
	for i := range s.Loads {
		c := &s.Loads[i]
		counts := make([]string, 0, len(c.Counts))
		for _, name := range slices.Sorted(maps.Keys(c.Counts)) {
			counts = append(counts, fmt.Sprintf("%s %d", name, c.Counts[name]))
		}
		rows = append(rows, []string{
			strings.TrimPrefix(c.Endpoint, "POST "+coredata.Base), c.Domain, moment(&c.At), c.Client, strconv.Itoa(c.Status),
			(time.Duration(c.DurationMS) * time.Millisecond).String(), strings.Join(counts, ", "), c.Error,
		})
	}
	return table(w, []string{"LOAD", "DOMAIN", "AT", "BY", "STATUS", "TOOK", "WHAT", "ERROR"}, rows)
}

func (s *bridgeStatus) writePlans(w io.Writer) error {
	if len(s.Plans) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	rows := make([][]string, 0, len(s.Plans))
	for i := range s.Plans {
		p := &s.Plans[i]
		rows = append(rows, []string{
			shortID(p.ID), moment(&p.CreatedAt), string(p.Status), p.Selection,
			strconv.Itoa(p.Adds), strconv.Itoa(p.Removes), strconv.Itoa(p.Keeps), strconv.Itoa(p.Skips),
		})
	}
	return table(w, []string{"PLAN", "MADE", "STATUS", "FOR", "ADD", "REMOVE", "KEEP", "SKIP"}, rows)
}

func (s *bridgeStatus) writeRuns(w io.Writer) error {
	if len(s.Runs) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	rows := make([][]string, 0, len(s.Runs))
	for i := range s.Runs {
		r := &s.Runs[i]
		took := ""
		if r.FinishedAt != nil {
			took = r.FinishedAt.Sub(r.StartedAt).Round(time.Millisecond).String()
		}
		rows = append(rows, []string{r.Job, moment(&r.StartedAt), r.Trigger, string(r.Outcome), took, r.Error})
	}
	return table(w, []string{"RUN", "BEGAN", "CAUSE", "OUTCOME", "TOOK", "ERROR"}, rows)
}

// moment writes a time as people in Denmark read it.
func moment(t *time.Time) string {
	if t == nil || t.IsZero() {
		return "never"
	}
	return t.In(rolecatalog.Copenhagen()).Format("2006-01-02 15:04:05")
}
