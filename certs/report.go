package certs

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Report is all that can be said about a keystore file.
type Report struct {
	Path string `json:"path"`
	// Description is nil when the keystore could not be read; Findings say why.
	Description *Description `json:"description"`
	// Findings are never nil, the worst first.
	Findings []Finding `json:"findings"`
}

// Inspect loads a keystore, describes and checks it. Why it cannot be loaded becomes a finding.
func Inspect(path, password string, opts CheckOptions) Report {
	report := Report{Path: path, Findings: []Finding{}}
	k, err := Load(path, password)
	if err != nil {
		if e := (*Error)(nil); errors.As(err, &e) {
			report.Findings = append(report.Findings, e.Finding())
		}
		return report
	}
	d := k.Describe()
	report.Description = &d
	report.Findings = append(report.Findings, Check(k, opts)...)
	return report
}

// Usable tells whether the keystore can do its work: it could be read and nothing of severity error was found.
func (r Report) Usable() bool { return r.Description != nil && Worst(r.Findings) != SeverityError }

// WriteText writes the report for people.
func (r Report) WriteText(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "Keystore  %s\n\n", printable(r.Path)); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if r.Description == nil {
		return writeFindings(w, r.Findings)
	}
	return r.Description.WriteText(w, r.Findings)
}

// WriteText writes who the certificate belongs to, where it comes from, how long it is valid, what is wrong and how to
// mend it.
func (d Description) WriteText(w io.Writer, findings []Finding) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(label, value string) {
		if value != "" {
			_, _ = fmt.Fprintf(t, "%s\t%s\n", label, value) // Flush reports what went wrong
		}
	}
	row("Name", d.Name)
	row("Organisation", d.Organisation)
	row("CVR", or(d.CVR, "none"))
	row("UUID", d.UUID)
	row("FID", d.FID)
	row("Kind", kindText[d.Kind])
	row("Environment", string(d.Environment))
	row("Valid", moment(d.NotBefore)+" to "+moment(d.NotAfter))
	row("Key", d.KeyType)
	row("Serial", d.Serial)
	row("SHA-256", d.SHA256)
	row("Subject", d.Subject)
	row("Issuer", d.Issuer)
	for i, ca := range d.Chain {
		label := ""
		if i == 0 {
			label = "Chain"
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\n\tvalid to %s\n", label, ca.Subject, moment(ca.NotAfter))
	}
	if len(d.Chain) == 0 {
		row("Chain", "none in the file")
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("writing the description: %w", err)
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return fmt.Errorf("writing the description: %w", err)
	}
	return writeFindings(w, findings)
}

var kindText = map[Kind]string{
	KindOrganisation: "organisation or system (OCES3)",
	KindFunction:     "function (OCES2, FOCES)",
	KindCompany:      "company (OCES2, VOCES)",
	KindEmployee:     "employee",
	KindPerson:       "private person",
	KindUnknown:      "unknown",
}

func writeFindings(w io.Writer, findings []Finding) error {
	var b strings.Builder
	if len(findings) == 0 {
		b.WriteString("Nothing is wrong with it.\n")
	}
	for _, f := range findings {
		fmt.Fprintf(&b, "%-7s  %s [%s]\n         -> %s\n", strings.ToUpper(string(f.Severity)), f.Message, f.Code, f.Remedy)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the findings: %w", err)
	}
	return nil
}
