package nemlogin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Class says what kind of failure an error is, and so what to do about it.
type Class string

// The classes of failure.
const (
	// ClassTransient is trouble that passes: no connection, no answer in time,
	// 408, 429 or 5xx. Try again later. After a write it means "uncertain": read
	// back before repeating.
	ClassTransient Class = "transient"
	// ClassAuth means the service and this client do not trust each other: the
	// certificate or token is refused, or the server's certificate is not
	// accepted. Every other call would fail too: stop the run.
	ClassAuth Class = "auth"
	// ClassConflict is a 409: somebody else changed the same thing. Read again
	// and decide again.
	ClassConflict Class = "conflict"
	// ClassNotFound means the identity is gone from MitID Erhverv.
	ClassNotFound Class = "not found"
	// ClassRejected means the service, or a check before sending, refuses the
	// request itself. Repeating it unchanged is pointless.
	ClassRejected Class = "rejected"
	// ClassGarbage is an answer that is not what the API promises, such as a
	// success whose body does not parse. To be treated as a failed read; it passes
	// like transient trouble.
	ClassGarbage Class = "garbage"
	// ClassReadOnly means the request could have changed something and the
	// client is in read-only mode. Nothing was sent.
	ClassReadOnly Class = "read-only"
	// ClassCanceled means the caller's context ended. A write under way may or
	// may not have been carried out.
	ClassCanceled Class = "canceled"
)

// passing reports whether the trouble goes away by itself.
func (c Class) passing() bool { return c == ClassTransient || c == ClassGarbage }

// Error is a failed request. Its text never holds a token or a CPR number.
type Error struct {
	Class Class
	// Op names the call, e.g. "assignedRoles"; the values are those of the
	// metrics' label "op".
	Op string
	// Method and Path are those of the request; Path has no query. Both are
	// empty when the input was refused before a request was made.
	Method string
	Path   string
	// Status is the HTTP status of the answer, 0 without an answer.
	Status int
	// Body is the start of the answer, at most 4 kB, CPR numbers and tokens
	// masked.
	Body string
	// RetryAfter is how long the service asked to be left alone, 0 if it did
	// not say.
	RetryAfter time.Duration
	// RequestID is what the service calls this exchange, for its support desk.
	RequestID string
	// Sent reports whether the request may have reached the service. A write
	// that failed with Sent false changed nothing.
	Sent bool
	// Hint says what could be wrong and what to do about it, often empty.
	Hint string
	// Err is the cause, nil if the status says it all.
	Err error
}

// maxBodyInText is how much of an error body goes into Error's text, in bytes.
const maxBodyInText = 300

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("nemlogin: ")
	b.WriteString(e.Op)
	if e.Method != "" {
		fmt.Fprintf(&b, ": %s %s", e.Method, e.Path)
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, ": answered %d", e.Status)
		if text := http.StatusText(e.Status); text != "" {
			b.WriteString(" " + text)
		}
	}
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(redact(e.Err.Error()))
	}
	if e.Body != "" {
		b.WriteString(": ")
		b.WriteString(quoted(e.Body))
	}
	if e.RequestID != "" {
		fmt.Fprintf(&b, " (request id %s)", e.RequestID)
	}
	if e.Hint != "" {
		b.WriteString("; ")
		b.WriteString(e.Hint)
	}
	return b.String()
}

// quoted makes an answer's body part of a sentence: a line, of printable
// characters, in quotation marks unless it has some of its own. The service often
// answers with nothing but a JSON string, whose quotation marks are not repeated.
func quoted(body string) string {
	var text string
	if json.Unmarshal([]byte(body), &text) == nil {
		body = redact(text) // its escapes may have hidden something
	}
	body = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, body)
	body = cut(strings.Join(strings.Fields(body), " "), maxBodyInText)
	if strings.Contains(body, `"`) {
		return body
	}
	return `"` + body + `"`
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// WriteError says which roles a write of several roles did not get through.
// Roles not in Failed were written.
type WriteError struct {
	// Failed has an entry for every role whose write failed, is uncertain or
	// was not tried, by role uuid as the caller spelt it.
	Failed map[string]error
}

func (e *WriteError) Error() string {
	// Roles commonly fail for one reason together, so each reason is told once.
	byText := make(map[string][]string)
	for _, role := range slices.Sorted(maps.Keys(e.Failed)) {
		text := e.Failed[role].Error()
		byText[text] = append(byText[text], role)
	}
	var parts []string
	for _, text := range slices.Sorted(maps.Keys(byText)) {
		roles := byText[text]
		for i, role := range roles {
			roles[i] = redact(role)
		}
		parts = append(parts, fmt.Sprintf("%s: %s", cut(strings.Join(roles, ", "), maxBodyInText), text))
	}
	return fmt.Sprintf("nemlogin: %d role(s) not written: %s", len(e.Failed), strings.Join(parts, "; "))
}

// Unwrap returns the failures in the order of the role uuids.
func (e *WriteError) Unwrap() []error {
	errs := make([]error, 0, len(e.Failed))
	for _, role := range slices.Sorted(maps.Keys(e.Failed)) {
		errs = append(errs, e.Failed[role])
	}
	return errs
}

// gravity orders the classes for an error that is several failures at once:
// first what concerns every later call, then what leaves the outcome open, then
// what is settled.
var gravity = []Class{
	ClassReadOnly, ClassAuth, ClassCanceled, ClassTransient, ClassGarbage,
	ClassConflict, ClassNotFound, ClassRejected,
}

// ClassOf finds the class of err, through any wrapping. A [*WriteError] has the
// gravest class of its roles. A context error is ClassCanceled. Any other error
// is ClassTransient, because nothing is known that speaks against another try;
// ClassOf(nil) is "".
func ClassOf(err error) Class {
	if err == nil {
		return ""
	}
	if several, ok := errors.AsType[*WriteError](err); ok {
		found := make(map[Class]bool)
		for _, failure := range several.Failed {
			found[ClassOf(failure)] = true
		}
		for _, class := range gravity {
			if found[class] {
				return class
			}
		}
		return ClassTransient
	}
	if one, ok := errors.AsType[*Error](err); ok {
		return one.Class
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return ClassCanceled
	}
	return ClassTransient
}
