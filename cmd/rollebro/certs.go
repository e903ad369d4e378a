package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/rollebro/rollebro/certs"
	"github.com/rollebro/rollebro/cmd/rollebro/config"
)

func (p *program) certsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "certs", Short: "Look at keystores"}
	cmd.AddCommand(p.certsInspectCommand())
	return cmd
}

func (p *program) certsInspectCommand() *cobra.Command {
	var passwordFile, baseURL, cvr string
	cmd := &cobra.Command{
		Use:   "inspect [FILE]",
		Short: "Show whose certificate a keystore holds, and what is wrong with it",
		Long: `Shows whose certificate a keystore (.p12, .pfx) holds: organisation, CVR number,
issuer, chain and validity, what is wrong with it and how to mend it.

Without FILE it is the keystore of the settings. The password is that of the settings
(rc.integrations.nemLogin.keystorePassword), or the content of --password-file; on a
terminal it is asked for when that one is wrong or missing. The certificate is compared
with rc.customer.cvr and rc.integrations.nemLogin.baseUrl if they are set.`,
		Example: `  rollebro certs inspect Filnavn.p12
  rollebro certs inspect Filnavn.p12 --password-file kode.txt --output json`,
		Args: cobra.MaximumNArgs(1),
	}
	cmd.Flags().StringVar(&passwordFile, "password-file", "", "`file` that holds the password")
	cmd.Flags().StringVar(&baseURL, "base-url", "", "`address` that the certificate is for (default: that of the settings)")
	cmd.Flags().StringVar(&cvr, "cvr", "", "CVR `number` that the certificate is for (default: that of the settings)")
	format := outputFlag(cmd, "text", "json")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		// Faulty settings are no hindrance here: this command is for the time before they are right.
		c, err := p.loadConfig()
		path := c.NemLogin.KeystoreLocation
		if len(args) == 1 {
			path = args[0]
		}
		if path == "" {
			if err != nil {
				return err
			}
			return advise(errors.New("no keystore is named"), "Give its file, or set rc.integrations.nemLogin.keystoreLocation.")
		}
		password := c.NemLogin.KeystorePassword.Reveal()
		if passwordFile != "" {
			if password, err = config.ReadSecretFile(passwordFile); err != nil {
				return fmt.Errorf("password file %s: %w", passwordFile, err)
			}
		}
		opts := certs.CheckOptions{BaseURL: baseURL, CVR: cvr, Now: p.now()}
		if opts.CVR == "" {
			opts.CVR = c.CVR
		}
		if opts.BaseURL == "" && (c.NemLogin.Enabled || c.NemLogin.KeystoreLocation == path) {
			opts.BaseURL = c.NemLogin.BaseURL
		}
		report := certs.Inspect(path, password, opts)
		if passwordFile == "" && wrongPassword(report) {
			if asked, ok := p.askPassword(path); ok {
				report = certs.Inspect(path, asked, opts)
			}
		}
		if *format == "json" {
			err = writeJSON(p.stdout, report)
		} else {
			err = report.WriteText(p.stdout)
		}
		if err == nil && !report.Usable() {
			return &exitError{code: exitKeystore} // the report says why
		}
		return err
	}
	return cmd
}

func wrongPassword(r certs.Report) bool {
	return r.Description == nil && len(r.Findings) > 0 && r.Findings[0].Code == certs.CodeWrongPassword
}

// askPassword asks a person, if one is there.
func (p *program) askPassword(path string) (string, bool) {
	file, ok := p.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) || !isTerminal(p.stderr) {
		return "", false
	}
	fmt.Fprintf(p.stderr, "Password of %s: ", printable(path))
	password, err := term.ReadPassword(int(file.Fd()))
	fmt.Fprintln(p.stderr)
	return strings.TrimRight(string(password), "\r\n"), err == nil
}
