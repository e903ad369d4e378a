package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/rollebro/rollebro/certs"
	"github.com/rollebro/rollebro/cmd/rollebro/config"
	"github.com/rollebro/rollebro/rolecatalog"
)

func (p *program) configCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Show and check the settings"}
	cmd.AddCommand(p.configShowCommand(), p.configCheckCommand())
	return cmd
}

func (p *program) configShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show every setting, its value and where it came from",
		Long: `Shows every setting, its value and where it came from. Secrets are masked.
The format markdown is the reference: what each setting takes, its default and what it
is for, without values.`,
		Example: "  rollebro config show\n  rollebro config show --output json",
		Args:    cobra.NoArgs,
	}
	format := outputFlag(cmd, "text", "json", "markdown")
	cmd.RunE = func(*cobra.Command, []string) error {
		if *format == "markdown" {
			return config.WriteMarkdown(p.stdout)
		}
		c, wrong := p.loadConfig()
		write := c.WriteText
		if *format == "json" {
			write = c.WriteJSON
		}
		if err := write(p.stdout); err != nil {
			return err
		}
		for _, note := range c.Notes {
			fmt.Fprintln(p.stderr, "note: "+note)
		}
		return wrong
	}
	return cmd
}

// checked is the result of one check of "config check".
type checked struct {
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Text   string `json:"text"`
	Remedy string `json:"remedy,omitempty"`
}

func (p *program) configCheckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the settings, the keystore and the database",
		Long: `Checks the settings, opens the keystore and the database, and says what is wrong.
Nothing is changed, and MitID Erhverv is not asked.

Exit codes: 0 all is well; 10 settings or database; 12 keystore.`,
		Example: "  rollebro config check",
		Args:    cobra.NoArgs,
	}
	format := outputFlag(cmd, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := p.loadConfig()
		if err != nil {
			return err
		}
		results := []checked{{Check: "settings", OK: true, Text: "every setting is valid"}}
		for _, note := range c.Notes {
			results = append(results, checked{Check: "settings", OK: true, Text: note})
		}
		keystoreResults, keystoreErr := p.checkKeystore(c)
		database, databaseErr := p.checkDatabase(cmd.Context(), c)
		results = append(append(results, keystoreResults...), database)
		if *format == "json" {
			err = writeJSON(p.stdout, results)
		} else {
			err = writeChecks(p.stdout, results)
		}
		switch {
		case err != nil:
			return err
		case databaseErr != nil:
			return &exitError{code: exitConfig}
		case keystoreErr != nil:
			return &exitError{code: exitKeystore}
		}
		return nil
	}
	return cmd
}

func writeChecks(w io.Writer, results []checked) error {
	for _, r := range results {
		mark := "ok  "
		if !r.OK {
			mark = "FAIL"
		}
		if _, err := fmt.Fprintf(w, "%s  %-9s %s\n", mark, r.Check, printable(r.Text)); err != nil {
			return err
		}
		if r.Remedy != "" {
			fmt.Fprintf(w, "      -> %s\n", r.Remedy)
		}
	}
	return nil
}

func (p *program) checkKeystore(c *config.Config) ([]checked, error) {
	if !c.NemLogin.Enabled {
		return []checked{{Check: "keystore", OK: true, Text: "not needed: rc.integrations.nemLogin.enabled is false"}}, nil
	}
	if _, err := rootCertificates(c.NemLogin.RootCertificates); err != nil {
		return []checked{{Check: "roots", Text: err.Error()}}, err
	}
	report := certs.Inspect(c.NemLogin.KeystoreLocation, c.NemLogin.KeystorePassword.Reveal(),
		certs.CheckOptions{BaseURL: c.NemLogin.BaseURL, CVR: c.CVR, Now: p.now()})
	var results []checked
	if d := report.Description; d != nil {
		results = append(results, checked{Check: "keystore", OK: true, Text: fmt.Sprintf("%s, CVR %s, until %s", d.Name, d.CVR, rolecatalog.Day(d.NotAfter))})
	}
	for _, f := range report.Findings {
		results = append(results, checked{Check: "keystore", OK: f.Severity != certs.SeverityError, Text: f.Message, Remedy: f.Remedy})
	}
	if !report.Usable() {
		return results, errors.New("the keystore cannot be used")
	}
	return results, nil
}

func (p *program) checkDatabase(ctx context.Context, c *config.Config) (checked, error) {
	s, err := p.openStore(ctx, c, true)
	if err != nil {
		return checked{Check: "database", Text: err.Error(), Remedy: adviceFor(err)}, err
	}
	defer func() { _ = s.Close() }() // it was only looked at
	result := checked{Check: "database", OK: true, Text: s.Place() + " (" + s.Dialect() + ")"}
	pending, err := s.Pending(ctx)
	switch {
	case err != nil:
		return checked{Check: "database", Text: err.Error()}, err
	case len(pending) > 0:
		result.Text += fmt.Sprintf("; %s to run, which serve does at its start", counted(len(pending), "migration", "migrations"))
	}
	return result, nil
}
