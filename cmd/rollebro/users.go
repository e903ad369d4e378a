package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rollebro/rollebro/cmd/rollebro/userfile"
	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/rolecatalog/plan"
)

func (p *program) usersCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "users", Short: "Load, list and explain users"}
	cmd.AddCommand(p.usersLoadCommand(), p.usersListCommand(), p.usersShowCommand(), p.usersRetryCommand())
	return cmd
}

func (p *program) usersLoadCommand() *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "load FILE",
		Short: "Create and update users from a CSV or JSON file",
		Long: `Creates and updates users from a file, or from standard input with "-". Nobody is
deleted. If anything is wrong with any line, every fault is told and nothing is stored.

CSV: the first line names the columns. userId, name and nemloginUuid are needed; email,
cpr, domain, extUuid and disabled may be there. The separator may be a comma, a
semicolon or a tab. What a column that is not there holds stays as it is.

JSON: a body of OS2faktor's CoreData API ({"domain":…,"entryList":[…]}), of
OS2rollekatalog's organisation API ({"users":[…]}), or a list of users.`,
		Example: `  rollebro users load users.csv --dry-run
  rollebro users load users.csv
  curl -s https://example.dk/users | rollebro users load -`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would happen")
	format := outputFlag(cmd, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		data, err := p.readInput(args[0])
		if err != nil {
			return err
		}
		file, wrong := userfile.Parse(data)
		a, err := p.open(cmd.Context(), needsCatalogue)
		if err != nil {
			return errors.Join(wrong, err)
		}
		defer a.close()
		// With faults in the file already, what is wrong with the rest is asked for, so that all is told at once.
		report, err := a.bridge.LoadUsers(cmd.Context(), file.Rows, rolecatalog.LoadOptions{DryRun: dryRun || wrong != nil, Actor: actorCommand})
		if rows, ok := errors.AsType[rolecatalog.RowErrors](err); ok || wrong != nil {
			if !ok && err != nil {
				return errors.Join(wrong, err)
			}
			return badFile(args[0], wrong, rows)
		}
		if err != nil {
			return err
		}
		for _, warning := range append(file.Warnings, report.Warnings...) {
			fmt.Fprintln(p.stderr, "warning: "+printable(maskCPR(warning)))
		}
		if *format == "json" {
			return writeJSON(p.stdout, report)
		}
		done := "Loaded"
		if dryRun {
			done = "Dry run: nothing was stored. It would have loaded"
		}
		fmt.Fprintf(p.stdout, "%s %s from %s: %d created, %d updated, %d unchanged\n", done,
			counted(len(file.Rows), "user", "users"), file.Format, report.Created, report.Updated, report.Unchanged)
		return nil
	}
	return cmd
}

// readInput reads a file, or standard input for "-".
func (p *program) readInput(name string) ([]byte, error) {
	if name == "-" {
		data, err := io.ReadAll(io.LimitReader(p.stdin, userfile.MaxSize+1))
		if err != nil {
			return nil, fmt.Errorf("reading standard input: %w", err)
		}
		return data, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %s", printable(name), reason(err))
	}
	defer func() { _ = file.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(file, userfile.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %s", printable(name), reason(err))
	}
	return data, nil
}

// maxFaults is how many faults of a file are printed.
const maxFaults = 100

// badFile lists what is wrong with a file, a line each, and ends with what to do.
func badFile(name string, wrong error, rows rolecatalog.RowErrors) error {
	var lines []string
	if wrong != nil {
		lines = strings.Split(wrong.Error(), "\n")
	}
	for _, err := range rows {
		lines = append(lines, err.Error())
	}
	all := len(lines)
	if all > maxFaults {
		lines = append(lines[:maxFaults], fmt.Sprintf("… and %d more", all-maxFaults))
	}
	return advise(errors.New(strings.Join(lines, "\n")), "Nothing was loaded. Mend %s in %s and load it again.",
		counted(all, "fault", "faults"), printable(name))
}

func (p *program) usersListCommand() *cobra.Command {
	var filter rolecatalog.UserFilter
	cmd := &cobra.Command{
		Use:     "list [TEXT]",
		Short:   "List users, all or those with a text in their id, name, e-mail or NemLogin UUID",
		Example: "  rollebro users list\n  rollebro users list thorup --output json",
		Args:    cobra.MaximumNArgs(1),
	}
	cmd.Flags().BoolVar(&filter.IncludeDeleted, "deleted", false, "deleted users too")
	cmd.Flags().IntVar(&filter.Limit, "limit", 0, "at most this `number` of users (default: all)")
	format := outputFlag(cmd, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			filter.Search = args[0]
		}
		a, err := p.open(cmd.Context(), needsCatalogue)
		if err != nil {
			return err
		}
		defer a.close()
		users, err := a.store.Users(cmd.Context(), filter)
		if err != nil {
			return err
		}
		if *format == "json" {
			return writeJSON(p.stdout, users)
		}
		domains, err := a.store.Domains(cmd.Context())
		if err != nil {
			return err
		}
		names := make(map[uint64]string, len(domains))
		for _, d := range domains {
			names[d.ID] = d.Name
		}
		rows := make([][]string, 0, len(users))
		for i := range users {
			u := &users[i]
			rows = append(rows, []string{u.UserID, u.Name, names[u.DomainID], u.NemLoginUUID, userState(u)})
		}
		return table(p.stdout, []string{"USER", "NAME", "DOMAIN", "NEMLOGIN UUID", ""}, rows)
	}
	return cmd
}

func userState(u *rolecatalog.User) string {
	switch {
	case u.Deleted:
		return "deleted"
	case u.Disabled:
		return "disabled"
	}
	return ""
}

func (p *program) usersShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Explain one user: what he shall have, what he has, and why",
		Long: `Explains one user, by user id, uuid, extUuid or NemLogin UUID: assignments, the grants
they give, what MitID Erhverv was last seen to have, the difference, failed writes and
what has been done. MitID Erhverv is not asked; "rollebro plan --user ID" does that.`,
		Example: "  rollebro users show ab12",
		Args:    cobra.ExactArgs(1),
	}
	format := outputFlag(cmd, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		a, err := p.open(cmd.Context(), needsCatalogue)
		if err != nil {
			return err
		}
		defer a.close()
		x, err := a.bridge.Explain(cmd.Context(), args[0])
		if errors.Is(err, rolecatalog.ErrNotFound) {
			return noUser(args[0])
		}
		if err != nil {
			return err
		}
		if *format == "json" {
			return writeJSON(p.stdout, x)
		}
		names, err := a.roleNames(cmd.Context())
		if err != nil {
			return err
		}
		return writeExplanation(p.stdout, &x, names)
	}
	return cmd
}

// roleNames are the names of the system roles, by uuid.
func (a *app) roleNames(ctx context.Context) (map[string]string, error) {
	roles, err := a.bridge.SystemRoles(ctx)
	if err != nil {
		return nil, err
	}
	names := make(map[string]string, len(roles))
	for i := range roles {
		names[roles[i].UUID] = roles[i].Name
	}
	return names, nil
}

func writeExplanation(w io.Writer, x *rolecatalog.Explanation, roles map[string]string) error {
	u := &x.User
	heading := u.UserID + "  " + u.Name
	if s := userState(u); s != "" {
		heading += "  (" + s + ")"
	}
	fmt.Fprintln(w, printable(heading))
	switch id := x.Identity; {
	case u.NemLoginUUID == "":
		fmt.Fprintln(w, "No NemLogin UUID: roles have no effect until the source of users brings one.")
	case id == nil:
		fmt.Fprintf(w, "Identity %s, not looked at yet\n", u.NemLoginUUID)
	default:
		fmt.Fprintf(w, "Identity %s, imported %s, last read %s\n", id.UUID, moment(id.AdoptedAt), moment(id.ReadAt))
		if id.GoneSince != nil {
			fmt.Fprintf(w, "MitID Erhverv has not known it since %s.\n", moment(id.GoneSince))
		}
		if id.LastError != "" {
			fmt.Fprintf(w, "The last reading failed: %s\n", printable(maskCPR(id.LastError)))
		}
	}
	if len(x.Conflict) > 0 {
		fmt.Fprintf(w, "CONFLICT: %s have the same NemLogin UUID; nothing is written until only one of them has it.\n", printable(strings.Join(x.Conflict, " and ")))
	}
	if x.Work != nil {
		fmt.Fprintf(w, "Waits to be looked at (%s), next %s %s\n", x.Work.Reason, moment(&x.Work.NextTryAt), printable(maskCPR(x.Work.LastError)))
	}
	for _, part := range []struct {
		heading []string
		rows    [][]string
	}{
		{[]string{"ASSIGNMENT", "FROM", "TO", "VALUES", "BY"}, assignmentRows(x.Assignments)},
		{[]string{"", "SYSTEM ROLE", "SCOPE", "WHY"}, changeRows(x.Changes)},
		{[]string{"FAILED", "ROLE", "SCOPE", "TRIES", "NEXT", "ERROR"}, attemptRows(x.Attempts, roles)},
		{[]string{"WHEN", "WHO", "WHAT", "ROLE", "SCOPE", "OUTCOME", "WHY"}, historyRows(x.History, roles)},
	} {
		if len(part.rows) == 0 {
			continue
		}
		fmt.Fprintln(w)
		if err := table(w, part.heading, part.rows); err != nil {
			return err
		}
	}
	return nil
}

func assignmentRows(list []rolecatalog.AssignmentRow) [][]string {
	rows := make([][]string, 0, len(list))
	for i := range list {
		a := &list[i]
		to := a.StopDate
		if a.EndedAt != nil {
			to = "ended " + moment(a.EndedAt)
		}
		rows = append(rows, []string{a.RoleName, a.StartDate, to, valuesText(a.Values), a.AssignedBy})
	}
	return rows
}

// valuesText lists the numbers of an assignment.
func valuesText(list []rolecatalog.AssignmentValue) string {
	values := make([]string, len(list))
	for i, v := range list {
		values[i] = v.ScopeType + " " + v.Value
	}
	return strings.Join(values, ", ")
}

// signs show what a change does, as in a plan.
var signs = map[plan.Verb]string{plan.Add: "+", plan.Remove: "-", plan.Keep: "=", plan.Skip: "!"}

func changeRows(changes []plan.Change) [][]string {
	rows := make([][]string, 0, len(changes))
	for i := range changes {
		c := &changes[i]
		rows = append(rows, []string{signs[c.Verb], cmp.Or(c.RoleName, c.Grant.Role), c.Grant.Scope.String(), c.Why()})
	}
	return rows
}

func attemptRows(list []rolecatalog.Attempt, roles map[string]string) [][]string {
	rows := make([][]string, 0, len(list))
	for i := range list {
		a := &list[i]
		rows = append(rows, []string{
			a.Verb, cmp.Or(roles[a.Role], a.Role), a.ScopeType + " " + a.ScopeValue, strconv.Itoa(a.Attempts), moment(&a.NextTryAt), maskCPR(a.Error),
		})
	}
	return rows
}

func historyRows(list []rolecatalog.AuditEvent, roles map[string]string) [][]string {
	rows := make([][]string, 0, len(list))
	for i := range list {
		e := &list[i]
		role, why := cmp.Or(roles[e.Role], e.Role), plan.Reason(e.Reason).Text()
		if e.Action == rolecatalog.AuditAssign || e.Action == rolecatalog.AuditUnassign { // their reason is the role's name
			role, why = e.Reason, ""
		}
		switch {
		case why == "":
			why = e.Detail
		case e.Detail != "":
			why += " (" + e.Detail + ")"
		}
		scope := strings.TrimSpace(e.ScopeType + " " + e.ScopeValue)
		rows = append(rows, []string{moment(&e.At), e.Actor, e.Action, role, scope, e.Outcome, maskCPR(why)})
	}
	return rows
}
