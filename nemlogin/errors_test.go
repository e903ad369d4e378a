package nemlogin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestClassOf(t *testing.T) {
	t.Parallel()
	write := func(classes ...Class) error {
		failed := make(map[string]error)
		for i, class := range classes {
			failed[fmt.Sprint(i)] = &Error{Class: class}
		}
		return &WriteError{Failed: failed}
	}
	tests := []struct {
		err  error
		want Class
	}{
		{nil, ""},
		{&Error{Class: ClassRejected}, ClassRejected},
		{fmt.Errorf("importing: %w", &Error{Class: ClassNotFound}), ClassNotFound},
		{context.Canceled, ClassCanceled},
		{fmt.Errorf("reading: %w", context.DeadlineExceeded), ClassCanceled},
		{&Error{Class: ClassTransient, Err: context.DeadlineExceeded}, ClassTransient},
		{errors.New("something else"), ClassTransient},
		{write(ClassRejected), ClassRejected},
		{write(ClassRejected, ClassTransient), ClassTransient},
		{write(ClassTransient, ClassAuth, ClassRejected), ClassAuth},
		{fmt.Errorf("applying: %w", write(ClassConflict, ClassRejected)), ClassConflict},
		{write(), ClassTransient},
	}
	for _, test := range tests {
		if got := ClassOf(test.err); got != test.want {
			t.Errorf("ClassOf(%v) = %q, want %q", test.err, got, test.want)
		}
	}
}

func TestGravityKnowsEveryClass(t *testing.T) {
	t.Parallel()
	classes := []Class{
		ClassTransient, ClassAuth, ClassConflict, ClassNotFound, ClassRejected, ClassGarbage, ClassReadOnly, ClassCanceled,
	}
	if len(gravity) != len(classes) {
		t.Fatalf("gravity orders %d of %d classes", len(gravity), len(classes))
	}
	for _, class := range classes {
		if got := ClassOf(&WriteError{Failed: map[string]error{"x": &Error{Class: class}}}); got != class {
			t.Errorf("the gravest of %q alone is %q", class, got)
		}
	}
}

func TestErrorText(t *testing.T) {
	t.Parallel()
	e := &Error{
		Class: ClassAuth, Op: opRoles, Method: "GET", Path: pathCatalogue, Status: 401,
		Body: "no\n  entry", RequestID: "r-1", Hint: "try this", Err: errors.New("cause for " + testCPR),
	}
	want := `nemlogin: roles: GET /api/administration/rights/categorizedRoles: answered 401 Unauthorized: cause for [cpr]: "no entry" (request id r-1); try this`
	if got := e.Error(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	long := &Error{Op: opRoles, Body: strings.Repeat("æ", 10_000)}
	if n := len(long.Error()); n > 2*maxBodyInText {
		t.Errorf("the text of an error with a long body has %d bytes", n)
	}
}

// What the service answers is quoted once, whatever form it has, and shows nothing
// that it should not.
func TestErrorTextQuotesTheBody(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		"ServiceUnavailable":                         `"ServiceUnavailable"`,
		`"ServiceUnavailable"`:                       `"ServiceUnavailable"`,
		"\"two\\nlines\"\n":                          `"two lines"`,
		`{"error": "no"}`:                            `{"error": "no"}`,
		`"said \"no\""`:                              `said "no"`,
		`"cut off`:                                   `"cut off`,
		"turned \u202E round":                        `"turned round"`,
		`"\u0030` + testCPR[1:] + `"`:                `"[cpr]"`,
		`"Bearer \u0065yJhbGciOiJIUzI1NiJ9.abc.def"`: `"Bearer [token]"`,
	} {
		text := (&Error{Op: opRoles, Status: 503, Body: body}).Error()
		if want = "nemlogin: roles: answered 503 Service Unavailable: " + want; text != want {
			t.Errorf("got  %s\nwant %s", text, want)
		}
	}
}

func TestWriteErrorText(t *testing.T) {
	t.Parallel()
	cause := errors.New("too late")
	err := &WriteError{Failed: map[string]error{
		roleB: &Error{Op: opAddRoles, Err: cause}, roleA: &Error{Op: opAddRoles, Err: cause}, roleC: errors.New("another"),
	}}
	want := "nemlogin: 3 role(s) not written: " + roleC + ": another; " + roleA + ", " + roleB + ": nemlogin: addRoles: too late"
	if got := err.Error(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !errors.Is(err, cause) {
		t.Error("the cause cannot be found in it")
	}
}
