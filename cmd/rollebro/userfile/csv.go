package userfile

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/rollebro/rollebro/rolecatalog"
)

// column is one that a CSV file may have. Its value goes into the row by set, which returns what is wrong with it.
type column struct {
	name     string
	aliases  []string // in lower case, without separators
	required bool
	set      func(r *rolecatalog.UserRow, value string) string
}

func columns() []column {
	return []column{
		{"userId", []string{"userid", "samaccountname", "brugerid", "brugernavn"}, true, func(r *rolecatalog.UserRow, v string) string { r.UserID = v; return "" }},
		{"name", []string{"name", "navn"}, true, func(r *rolecatalog.UserRow, v string) string { r.Name = v; return "" }},
		{"email", []string{"email", "mail"}, false, func(r *rolecatalog.UserRow, v string) string { r.Email = &v; return "" }},
		{"cpr", []string{"cpr", "cprnr", "cprnummer"}, false, func(r *rolecatalog.UserRow, v string) string { r.CPR = v; return "" }},
		{"nemloginUuid", []string{"nemloginuuid"}, true, func(r *rolecatalog.UserRow, v string) string { r.NemLoginUUID = &v; return "" }},
		{"domain", []string{"domain", "domæne", "domaene"}, false, func(r *rolecatalog.UserRow, v string) string { r.Domain = v; return "" }},
		{"extUuid", []string{"extuuid", "uuid"}, false, func(r *rolecatalog.UserRow, v string) string { r.ExtUUID = &v; return "" }},
		{"disabled", []string{"disabled", "deaktiveret"}, false, setDisabled},
	}
}

func setDisabled(r *rolecatalog.UserRow, value string) string {
	var disabled bool
	switch strings.ToLower(value) {
	case "":
		return ""
	case "true", "yes", "ja", "1":
		disabled = true
	case "false", "no", "nej", "0":
	default:
		return fmt.Sprintf("disabled is %q; it must be true or false", short(value))
	}
	r.Disabled = &disabled
	return ""
}

// parseCSV reads a file with a heading. The separator is a comma, a semicolon or a tab, whichever the heading has most.
func parseCSV(data []byte) (File, []*Fault) {
	file := File{Format: "CSV"}
	reader := csv.NewReader(bytes.NewReader(data))
	reader.Comma = separator(data)
	reader.FieldsPerRecord = -1
	reader.ReuseRecord = true

	heading, err := reader.Read()
	if err != nil {
		return file, []*Fault{csvFault(err)}
	}
	fields, faults := match(heading)
	if len(faults) > 0 {
		return file, faults
	}
	for {
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return file, faults
		}
		if err != nil { // the quotes are wrong: where rows begin is not known any more
			return file, append(faults, csvFault(err))
		}
		line, _ := reader.FieldPos(0)
		if blank(record) {
			continue
		}
		if len(record) != len(fields) {
			faults = append(faults, faultf(line, "%d fields, but the heading has %d", len(record), len(fields)))
			continue
		}
		row := rolecatalog.UserRow{Line: line}
		for i, value := range record {
			if wrong := fields[i].set(&row, strings.TrimSpace(value)); wrong != "" {
				faults = append(faults, faultf(line, "%s", wrong))
			}
		}
		file.Rows = append(file.Rows, row)
	}
}

// match finds the column of each heading.
func match(heading []string) ([]column, []*Fault) {
	known := columns()
	var faults []*Fault
	fields := make([]column, len(heading))
	found := make(map[string]bool)
	for i, title := range heading {
		key := strings.ToLower(strings.NewReplacer(" ", "", "_", "", "-", "").Replace(title))
		for _, c := range known {
			for _, alias := range c.aliases {
				if alias == key {
					fields[i] = c
				}
			}
		}
		switch name := fields[i].name; {
		case name == "":
			faults = append(faults, faultf(1, "unknown column %q; known are %s", short(title), names(known)))
		case found[name]:
			faults = append(faults, faultf(1, "the column %s is there twice", name))
		default:
			found[name] = true
		}
	}
	for _, c := range known {
		if c.required && !found[c.name] {
			faults = append(faults, faultf(1, "the column %s is missing; the first line must name the columns, e.g. userId,name,email,cpr,nemloginUuid", c.name))
		}
	}
	if len(faults) > len(known) { // a file without a heading, or of another kind
		return nil, faults[len(faults)-1:]
	}
	return fields, faults
}

func names(known []column) string {
	list := make([]string, len(known))
	for i, c := range known {
		list[i] = c.name
	}
	return strings.Join(list, ", ")
}

// separator is the one of the three that the first line has most of.
func separator(data []byte) rune {
	heading, _, _ := bytes.Cut(data, []byte("\n"))
	best, most := ',', 0
	for _, s := range []rune{',', ';', '\t'} {
		if n := bytes.Count(heading, []byte(string(s))); n > most {
			best, most = s, n
		}
	}
	return best
}

func blank(record []string) bool {
	for _, field := range record {
		if strings.TrimSpace(field) != "" {
			return false
		}
	}
	return true
}

func csvFault(err error) *Fault {
	if parse, ok := errors.AsType[*csv.ParseError](err); ok {
		return faultf(parse.StartLine, "the quotation marks are wrong: %s", parse.Err)
	}
	return faultf(1, "%s", err)
}

// short cuts a text from the file for a message, and hides it if there are digits enough for a CPR number.
func short(s string) string {
	digits := 0
	for _, r := range s {
		if r >= '0' && r <= '9' {
			digits++
		}
	}
	if digits >= 10 {
		return "…"
	}
	if runes := []rune(s); len(runes) > 40 {
		return string(runes[:40]) + "…"
	}
	return s
}
