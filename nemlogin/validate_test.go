package nemlogin

import (
	"strings"
	"testing"
)

func TestScopeValidate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		scope Scope
		want  string // part of the error, empty for none
	}{
		{Scope{ScopeCvr, "98765432"}, ""},
		{Scope{ScopeSE, "12345678"}, ""},
		{Scope{ScopePU, "1234567890"}, ""},
		{Scope{}, "no type"},
		{Scope{"", "98765432"}, "no type"},
		{Scope{"CVR", "98765432"}, "not known"},
		{Scope{"Region", "1"}, "not known"},
		{Scope{ScopeCvr, ""}, "no value"},
		{Scope{ScopePU, ""}, "no value"},
		{Scope{ScopePU, "12345678"}, "10 digits"},
		{Scope{ScopeSE, "1234567 "}, "8 digits"},
		{Scope{ScopeCvr, "DK987654"}, "8 digits"},
		{Scope{ScopePU, "null"}, "10 digits"},
		{Scope{ScopePU, "١٢٣٤٥"}, "10 digits"}, // ten bytes of Arabic digits
	}
	for _, test := range tests {
		err := test.scope.Validate()
		if (err == nil) != (test.want == "") || (err != nil && !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%v: got %v, want %q", test.scope, err, test.want)
		}
	}
}

func TestParseUUID(t *testing.T) {
	t.Parallel()
	if got, err := parseUUID(strings.ToUpper(alice)); err != nil || got != alice {
		t.Errorf("got %q, %v", got, err)
	}
	for _, bad := range []string{
		"", " " + alice, alice + " ", "{" + alice + "}", alice[:35], strings.ReplaceAll(alice, "-", ""), nilUUID,
		"0a1b2c3d-0000-4000-8000-00000000a11g", "0a1b2c3d/0000-4000-8000-00000000a11c", "../../../../../../../../../../employee",
	} {
		if got, err := parseUUID(bad); err == nil {
			t.Errorf("parseUUID(%q) = %q", bad, got)
		}
	}
}
