package main

import (
	"strconv"

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
	SystemRoles      []systemRoleRow               `json:"systemRoles"`
	JobFunctionRoles []rolecatalog.JobFunctionRole `json:"jobFunctionRoles"`
}

// systemRoleRow is a system role with the number of grants of it, as last read from MitID Erhverv.
type systemRoleRow struct {
	rolecatalog.SystemRole
	Grants int `json:"grants"`
}

func (p *program) rolesListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List system roles and job function roles, and how many hold them",
		Long: `Lists the system roles, with the grants of each that MitID Erhverv was last seen to
have, and the job function roles, with the users they are assigned to here.`,
		Args: cobra.NoArgs,
	}
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
		if lists.JobFunctionRoles, err = a.bridge.JobFunctionRoles(ctx); err != nil {
			return err
		}
		if *format == "json" {
			return writeJSON(p.stdout, lists)
		}
		return p.writeRoles(&lists)
	}
	return cmd
}

func (p *program) writeRoles(lists *roleLists) error {
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
	for i := range lists.JobFunctionRoles {
		r := &lists.JobFunctionRoles[i]
		rows = append(rows, []string{strconv.FormatUint(r.ID, 10), r.Name, string(r.Origin), strconv.Itoa(r.Holders)})
	}
	return table(p.stdout, []string{"ID", "JOB FUNCTION ROLE", "ORIGIN", "HOLDERS"}, rows)
}
