package config

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// WriteText writes every setting with its value and origin, secrets masked, as a table for people.
func (c *Config) WriteText(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SETTING\tVALUE\tFROM")
	for _, v := range c.values {
		shown := v.Text
		if shown == "" {
			shown = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", v.Setting.Name, oneLine(shown), oneLine(v.Origin))
	}
	return table.Flush()
}

// WriteJSON writes the same as a JSON array.
func (c *Config) WriteJSON(w io.Writer) error {
	type row struct {
		Name    string `json:"name"`
		Value   string `json:"value"`
		Origin  string `json:"origin"`
		Default string `json:"default,omitempty"`
		Kind    Kind   `json:"kind"`
		Secret  bool   `json:"secret,omitempty"`
		Help    string `json:"help"`
	}
	rows := make([]row, 0, len(c.values))
	for _, v := range c.values {
		rows = append(rows, row{v.Setting.Name, v.Text, v.Origin, v.Setting.Default, v.Setting.Kind, v.Setting.Secret, v.Setting.Help})
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(rows)
}

// WriteMarkdown writes the reference: every setting with what it takes, its default and what it is for, without values.
func WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("| Setting | Takes | Default | Meaning |\n|---|---|---|---|\n")
	for _, s := range Settings() {
		def := "–"
		if s.Default != "" {
			def = "`" + s.Default + "`"
		}
		kind := string(s.Kind)
		if s.Secret {
			kind += ", secret"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", s.Name, kind, def, strings.ReplaceAll(s.Help, "|", "\\|"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
