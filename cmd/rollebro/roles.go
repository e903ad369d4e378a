package main

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rollebro/rollebro/rolecatalog"
)

func (p *program) rolesCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "roles", Short: "Look at roles"}
	cmd.AddCommand(p.rolesListCommand())
	return cmd
}

// roleLists is what "rollebro roles list" tells.
type roleLists struct {
	SystemRoles      []systemRoleRow      `json:"systemRoles"`
	JobFunctionRoles []jobFunctionRoleRow `json:"jobFunctionRoles"`
}

// jobFunctionRoleRow is a job function role with those who have it, if they were asked for.
type jobFunctionRoleRow struct {
	rolecatalog.JobFunctionRole
	HeldBy []holderRow `json:"heldBy,omitempty"`
}

// holderRow is an assignment of a job function role that is in force, or is going to be.
type holderRow struct {
	User      string `json:"user"` // user id
	Name      string `json:"name"`
	StartDate string `json:"startDate,omitempty"`
	StopDate  string `json:"stopDate,omitempty"`
	// Values are the P- and SE-numbers of the assignment; a user may have several assignments of a role.
	Values []rolecatalog.AssignmentValue `json:"values,omitempty"`
}

// systemRoleRow is a system role with the number of grants of it, as last read from MitID Erhverv.
type systemRoleRow struct {
	rolecatalog.SystemRole
	Grants int `json:"grants"`
}

func (p *program) rolesListCommand() *cobra.Command {
	var holders bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List system roles and job function roles, and how many hold them",
		Long: `Lists the system roles, with the grants of each that MitID Erhverv was last seen to
have, and the job function roles, with the number of users they are assigned to here.
With --holders it is the users themselves, a line for each assignment.`,
		Example: "  rollebro roles list\n  rollebro roles list --holders --output json",
		Args:    cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&holders, "holders", false, "name the users that have each job function role")
	format := outputFlag(cmd, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx := cmd.Context()
		a, err := p.open(ctx, needsCatalogue)
		if err != nil {
			return err
		}
		defer a.close()
		system, err := a.bridge.SystemRoles(ctx)
		if err != nil {
			return err
		}
		_, granted, err := a.store.ObservedTotals(ctx, a.config.CVR)
		if err != nil {
			return err
		}
		lists := roleLists{SystemRoles: make([]systemRoleRow, 0, len(system))}
		for _, r := range system {
			lists.SystemRoles = append(lists.SystemRoles, systemRoleRow{SystemRole: r, Grants: granted[r.UUID]})
		}
		if lists.JobFunctionRoles, err = a.jobFunctionRoles(ctx, holders); err != nil {
			return err
		}
		if *format == "json" {
			return writeJSON(p.stdout, lists)
		}
		return p.writeRoles(&lists, holders)
	}
	return cmd
}

// jobFunctionRoles lists the roles, and who has them if that is asked for.
func (a *app) jobFunctionRoles(ctx context.Context, holders bool) ([]jobFunctionRoleRow, error) {
	roles, err := a.bridge.JobFunctionRoles(ctx)
	if err != nil {
		return nil, err
	}
	rows := make([]jobFunctionRoleRow, len(roles))
	place := make(map[uint64]int, len(roles))
	for i := range roles {
		rows[i].JobFunctionRole, place[roles[i].ID] = roles[i], i
	}
	if !holders {
		return rows, nil
	}
	today := rolecatalog.Day(a.now())
	snapshot, err := a.store.Snapshot(ctx, a.config.CVR, nil, today)
	if err != nil {
		return nil, err
	}
	users := make(map[uint64]*rolecatalog.User, len(snapshot.Users))
	for i := range snapshot.Users {
		users[snapshot.Users[i].ID] = &snapshot.Users[i]
	}
	for i := range snapshot.Assignments {
		g := &snapshot.Assignments[i]
		at, known := place[g.JobFunctionRoleID]
		u := users[g.UserID]
		if !known || u == nil || g.StopDate != "" && g.StopDate < today {
			continue
		}
		rows[at].HeldBy = append(rows[at].HeldBy, holderRow{User: u.UserID, Name: u.Name, StartDate: g.StartDate, StopDate: g.StopDate, Values: g.Values})
	}
	for i := range rows {
		slices.SortStableFunc(rows[i].HeldBy, func(a, b holderRow) int { return strings.Compare(a.User, b.User) })
	}
	return rows, nil
}

func (p *program) writeRoles(lists *roleLists, holders bool) error {
	rows := make([][]string, 0, len(lists.SystemRoles))
	for _, r := range lists.SystemRoles {
		withdrawn := ""
		if r.WithdrawnAt != nil {
			withdrawn = "withdrawn " + rolecatalog.Day(*r.WithdrawnAt)
		}
		rows = append(rows, []string{r.Name, r.UUID, strconv.Itoa(r.Grants), withdrawn})
	}
	if err := table(p.stdout, []string{"SYSTEM ROLE", "UUID", "GRANTS", ""}, rows); err != nil {
		return err
	}
	if _, err := p.stdout.Write([]byte("\n")); err != nil {
		return err
	}
	rows = rows[:0]
	if holders {
		for i := range lists.JobFunctionRoles {
			r := &lists.JobFunctionRoles[i]
			for _, h := range r.HeldBy {
				rows = append(rows, []string{strconv.FormatUint(r.ID, 10), r.Name, h.User, h.Name, valuesText(h.Values), h.StartDate, h.StopDate})
			}
		}
		return table(p.stdout, []string{"ID", "JOB FUNCTION ROLE", "USER", "NAME", "VALUES", "FROM", "TO"}, rows)
	}
	for i := range lists.JobFunctionRoles {
		r := &lists.JobFunctionRoles[i]
		rows = append(rows, []string{strconv.FormatUint(r.ID, 10), r.Name, string(r.Origin), strconv.Itoa(r.Holders)})
	}
	return table(p.stdout, []string{"ID", "JOB FUNCTION ROLE", "ORIGIN", "HOLDERS"}, rows)
}
