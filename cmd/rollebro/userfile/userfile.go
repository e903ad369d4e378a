// Package userfile reads lists of users as municipalities have them: CSV files from a spreadsheet or a directory, and the
// JSON bodies of OS2faktor's CoreData API and OS2rollekatalog's organisation API.
//
// It reads what is there and says in which line; what a user must be to be stored is rolecatalog's to judge. No error it
// returns repeats a CPR number.
package userfile

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"github.com/rollebro/rollebro/rolecatalog"
)

// MaxSize is the largest file in bytes; 100,000 users in JSON are some 50 MB.
const MaxSize = 256 << 20

// File is what a file holds.
type File struct {
	Format string // "CSV", "CoreData JSON", "organisation JSON" or "JSON list"
	Rows   []rolecatalog.UserRow
	// Warnings are remarks about the file as a whole.
	Warnings []string
}

// Fault is something wrong in the file.
type Fault struct {
	Line int // from 1; 0: the file as a whole
	Text string
}

// Error gives the fault with its line.
func (f *Fault) Error() string {
	if f.Line == 0 {
		return f.Text
	}
	return fmt.Sprintf("line %d: %s", f.Line, f.Text)
}

// faultf makes a fault.
func faultf(line int, format string, args ...any) *Fault {
	return &Fault{Line: line, Text: fmt.Sprintf(format, args...)}
}

// Parse reads a file. The error joins every *Fault in it, in the order of the lines; the rows that could be read are
// returned all the same, so that what else is wrong with them can be told at once. They must not be stored then.
func Parse(data []byte) (File, error) {
	if len(data) > MaxSize {
		return File{}, faultf(0, "the file is larger than %d MB", MaxSize>>20)
	}
	if bytes.HasPrefix(data, []byte{0xff, 0xfe}) || bytes.HasPrefix(data, []byte{0xfe, 0xff}) {
		return File{}, faultf(0, "the file is in UTF-16; save it as CSV in UTF-8")
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	text := bytes.TrimSpace(data)
	if len(text) == 0 {
		return File{}, faultf(0, "the file is empty")
	}
	if bytes.IndexByte(data, 0) >= 0 {
		return File{}, faultf(0, "the file is not text; CSV or JSON is needed")
	}
	var file File
	var faults []*Fault
	if text[0] == '{' || text[0] == '[' {
		if !utf8.Valid(data) {
			return File{}, faultf(0, "the file is not UTF-8, which JSON has to be")
		}
		file, faults = parseJSON(data)
	} else {
		var warnings []string
		if !utf8.Valid(data) {
			converted, err := charmap.Windows1252.NewDecoder().Bytes(data)
			if err != nil || !utf8.Valid(converted) {
				return File{}, faultf(0, "the file is neither UTF-8 nor Windows-1252; save it as CSV in UTF-8")
			}
			data = converted
			warnings = append(warnings, "the file is not UTF-8 and was read as Windows-1252; check that names with æ, ø and å are right")
		}
		file, faults = parseCSV(data)
		file.Warnings = append(warnings, file.Warnings...)
	}
	if len(faults) == 0 && len(file.Rows) == 0 {
		faults = append(faults, faultf(0, "there are no users in the file"))
	}
	slices.SortStableFunc(faults, func(a, b *Fault) int { return a.Line - b.Line })
	errs := make([]error, len(faults))
	for i, f := range faults {
		errs[i] = f
	}
	return file, errors.Join(errs...)
}
