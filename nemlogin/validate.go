package nemlogin

import (
	"errors"
	"fmt"
	"strings"
)

// The scope types, spelt exactly as the service wants them.
const (
	// ScopeCvr is the whole organisation; the value is its CVR number, 8 digits.
	ScopeCvr = "Cvr"
	// ScopePU is one production unit; the value is its P-number, 10 digits.
	ScopePU = "PU"
	// ScopeSE is one tax registration; the value is its SE-number, 8 digits.
	ScopeSE = "SE"
)

// Scope is what a role is limited to.
type Scope struct {
	// Type is one of the Scope constants, or what else the service answered:
	// the set is open.
	Type string
	// Value is a number as text; see the Scope constants.
	Value string
}

func (s Scope) String() string { return s.Type + " " + s.Value }

// Validate says what is wrong with s as the scope of a write. A scope with a
// missing or malformed value is an error, never a wider scope.
func (s Scope) Validate() error {
	var digits int
	switch s.Type {
	case ScopeCvr, ScopeSE:
		digits = 8
	case ScopePU:
		digits = 10
	case "":
		return errors.New("the scope has no type")
	default:
		return fmt.Errorf("the scope type %q is not known (%s, %s and %s are)", redact(s.Type), ScopeCvr, ScopePU, ScopeSE)
	}
	if s.Value == "" {
		return fmt.Errorf("the %s scope has no value", s.Type)
	}
	if len(s.Value) != digits || !allDigits(s.Value) {
		return fmt.Errorf("the value of the %s scope is not a number of %d digits", s.Type, digits)
	}
	return nil
}

// uuidLength is the length of a uuid as text.
const uuidLength = 36

// nilUUID is what some servers write for "none".
const nilUUID = "00000000-0000-0000-0000-000000000000"

// isUUID reports whether s has the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx.
func isUUID(s string) bool {
	if len(s) != uuidLength {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
				return false
			}
		}
	}
	return true
}

// parseUUID returns s in lower case, in which uuids are compared everywhere, or
// an error that says what is wrong with it. The nil uuid names nothing and is
// refused.
func parseUUID(s string) (string, error) {
	switch {
	case s == "":
		return "", errors.New("is empty")
	case !isUUID(s):
		return "", fmt.Errorf("%q is not a uuid", cut(redact(s), 64))
	case s == nilUUID:
		return "", errors.New("is the nil uuid")
	}
	return strings.ToLower(s), nil
}

// allDigits reports whether s has only ASCII digits in it.
func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
