package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/rollebro/rollebro/rolecatalog"
)

func (p *program) importCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Read in what the users hold in MitID Erhverv",
		Long: `Reads the system roles, and what every user who has not been imported yet holds in
MitID Erhverv. It becomes job function roles and assignments here, so that nobody
loses anything when Rollebro takes over. Nothing is written to MitID Erhverv.

It may be stopped and run again: it goes on where it was. "rollebro serve" does the
same at its start.

Exit codes: 0 everybody is imported; 3 somebody could not be read and is tried again
next time; 11 another process, such as the service, is importing or writing.`,
		Example: "  rollebro import",
		Args:    cobra.NoArgs,
	}
	wait := waitFlag(cmd)
	format := outputFlag(cmd, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx := cmd.Context()
		a, err := p.open(ctx, needsMitID)
		if err != nil {
			return err
		}
		defer a.close()
		if err := a.runWaiting(ctx, a.catalogueJob(), *wait, nil); err != nil {
			return err
		}
		var report rolecatalog.ImportReport
		bar := p.progress("Importing")
		err = a.runWaiting(ctx, a.importJob(&report), *wait, bar.update)
		bar.close()
		if err != nil {
			return err
		}
		if *format == "json" {
			err = writeJSON(p.stdout, report)
		} else {
			writeImport(p.stdout, &report)
		}
		if err == nil && report.Failed > 0 {
			return &exitError{code: exitPartly, err: advise(
				fmt.Errorf("%s could not be read; nothing is written for them until they are", counted(report.Failed, "identity", "identities")),
				"Run the import again; the service does so by itself.")}
		}
		return err
	}
	return cmd
}

func writeImport(w io.Writer, r *rolecatalog.ImportReport) {
	fmt.Fprintf(w, "Imported %d of %s: %s made, %s\n", r.Adopted, counted(r.Candidates, "identity", "identities"),
		counted(r.Roles, "job function role", "job function roles"), counted(r.Assignments, "assignment", "assignments"))
	for _, part := range []struct {
		n         int
		one, many string
	}{
		{r.Gone, "not known at MitID Erhverv", "not known at MitID Erhverv"},
		{r.Conflicts, "with a NemLogin UUID that two users have; nothing is written to it", "with a NemLogin UUID that two users have; nothing is written to them"},
		{
			r.Unmanaged, "grant left alone, because its role, CVR number or scope type is not managed here",
			"grants left alone, because their role, CVR number or scope type is not managed here",
		},
	} {
		if part.n > 0 {
			fmt.Fprintf(w, "  %s\n", counted(part.n, part.one, part.many))
		}
	}
	writeFailures(w, r.Failures)
}

// maxFailures is how many people's errors are listed; the run record and the log have the rest.
const maxFailures = 20

func writeFailures(w io.Writer, failures []rolecatalog.PersonFailure) {
	for i, f := range failures {
		if i == maxFailures {
			fmt.Fprintf(w, "  … and %d more\n", len(failures)-i)
			return
		}
		fmt.Fprintf(w, "  %s (%s): %s\n", printable(f.User), f.Identity, printable(maskCPR(f.Error)))
	}
}
