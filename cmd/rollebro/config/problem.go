package config

import (
	"fmt"
	"strings"
	"unicode"
)

// Problem is one fault in the configuration.
type Problem struct {
	Name   string // of the setting, as documented or as it was written
	Value  string // empty for secrets and where there is none
	Origin string // where it was set; empty if it was not
	Text   string // what is wrong and what is allowed
}

// String gives the problem in one line.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.Name)
	if p.Value != "" {
		fmt.Fprintf(&b, " = %q", shorten(p.Value))
	}
	if p.Origin != "" {
		fmt.Fprintf(&b, " (%s)", p.Origin)
	}
	return oneLine(b.String() + ": " + p.Text)
}

// Error is everything that is wrong with the configuration, one line each.
type Error struct{ Problems []Problem }

func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// maxShown is how many characters of a faulty value are repeated.
const maxShown = 120

func shorten(s string) string {
	if runes := []rune(s); len(runes) > maxShown {
		return string(runes[:maxShown]) + "…"
	}
	return s
}

// oneLine keeps what was read from outside from breaking the line.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}
