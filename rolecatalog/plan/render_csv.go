package plan

import (
	"encoding/csv"
	"fmt"
	"io"
	"strings"
)

// renderCSV writes every change, keeps too: what is left out of a table can't be filtered for.
func renderCSV(w io.Writer, p *Plan, opts RenderOptions) error {
	if opts.BOM {
		if _, err := io.WriteString(w, "\uFEFF"); err != nil {
			return fmt.Errorf("writing the plan as CSV: %w", err)
		}
	}
	out := csv.NewWriter(w)
	row := []string{
		"action", "intended", "user", "name", "identity", "role", "role_name", "scope_type", "scope_value", "reason", "explanation", "because", "detail",
	}
	if err := out.Write(row); err != nil {
		return fmt.Errorf("writing the plan as CSV: %w", err)
	}
	for i := range p.Changes {
		c := &p.Changes[i]
		row = append(row[:0], string(c.Verb), string(c.Intended), c.User, c.Name, c.Identity, c.Grant.Role, c.RoleName,
			string(c.Grant.Scope.Type), c.Grant.Scope.Value, string(c.Reason), c.Reason.Text(), strings.Join(c.Because, "; "), c.Detail)
		for j := range row {
			row[j] = cell(row[j])
		}
		if err := out.Write(row); err != nil {
			return fmt.Errorf("writing the plan as CSV: %w", err)
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("writing the plan as CSV: %w", err)
	}
	return nil
}

// cell keeps a spreadsheet from taking a text for a formula: names come from outside, and a formula can fetch and run.
// A control character in front would hide the sign from us and not from the spreadsheet.
func cell(s string) string {
	s = printable(s)
	if first := strings.TrimLeft(s, " \uFFFD\u00A0"); strings.IndexAny(first, "=+-@＝＋－＠") == 0 {
		return "'" + s
	}
	return s
}
