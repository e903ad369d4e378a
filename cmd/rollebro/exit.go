package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/rollebro/rollebro/certs"
	"github.com/rollebro/rollebro/cmd/rollebro/config"
	"github.com/rollebro/rollebro/nemlogin"
	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/scheduler"
	"github.com/rollebro/rollebro/store"
)

// The exit codes. Scripts and schedulers act on them, so their meaning never changes.
const (
	exitOK          = 0
	exitFailure     = 1
	exitChanges     = 2 // changes are pending; only with --detailed-exitcode
	exitPartly      = 3 // applied, but not all of it
	exitBlocked     = 4 // by a guard or the quarantine
	exitStale       = 5 // the plan is stale
	exitConfig      = 10
	exitLease       = 11 // another process holds the writer lease
	exitKeystore    = 12
	exitBug         = 70 // a panic. Go's own code for it is 2, which must never read as "changes are pending"
	exitInterrupted = 130
)

// exitError ends the program with a code of its own. Without err nothing is printed: the command has said it all.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// advisedError is an error with a sentence about what to do next.
type advisedError struct {
	err    error
	advice string
}

func (e *advisedError) Error() string { return e.err.Error() }
func (e *advisedError) Unwrap() error { return e.err }

// advise adds what to do next to an error.
func advise(err error, format string, args ...any) error {
	return &advisedError{err: err, advice: fmt.Sprintf(format, args...)}
}

var errInterrupted = errors.New("interrupted; what was done is kept, and running the command again goes on from there")

// panicError is a bug: a panic that was caught.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("a bug in Rollebro: %v", e.value) }

// guarded runs fn and turns a panic into an error, for goroutines: a panic in one would end the process with the exit code
// that means "changes are pending".
func guarded(fn func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{value: v, stack: debug.Stack()}
		}
	}()
	return fn()
}

// exitCode maps errors to exit codes. It is the only place that does.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	if own, ok := errors.AsType[*exitError](err); ok {
		return own.code
	}
	if _, ok := errors.AsType[*panicError](err); ok {
		return exitBug
	}
	if _, ok := errors.AsType[*scheduler.PanicError](err); ok {
		return exitBug
	}
	if _, ok := errors.AsType[*config.Error](err); ok {
		return exitConfig
	}
	if _, ok := errors.AsType[*certs.Error](err); ok {
		return exitKeystore
	}
	if _, ok := errors.AsType[*keystoreError](err); ok {
		return exitKeystore
	}
	for _, known := range []struct {
		err  error
		code int
	}{
		{errInterrupted, exitInterrupted},
		{rolecatalog.ErrStale, exitStale},
		{rolecatalog.ErrBlocked, exitBlocked},
		{rolecatalog.ErrQuarantined, exitBlocked},
		{scheduler.ErrHeld, exitLease},
		{scheduler.ErrLost, exitLease},
		{rolecatalog.ErrFenced, exitLease},
		{store.ErrNewerSchema, exitConfig},
		{store.ErrWrongKey, exitConfig},
		{store.ErrKeyMissing, exitConfig},
		{store.ErrNoKey, exitConfig},
	} {
		if errors.Is(err, known.err) {
			return known.code
		}
	}
	return exitFailure
}

// adviceFor says what to do about errors that the rooms below know and the command that met them did not explain.
func adviceFor(err error) string {
	if advised, ok := errors.AsType[*advisedError](err); ok {
		return advised.advice
	}
	if remedy := certs.Remedy(err); remedy != "" {
		return remedy
	}
	if wrong, ok := errors.AsType[*keystoreError](err); ok {
		return wrong.finding.Remedy
	}
	switch {
	case errors.Is(err, scheduler.ErrHeld):
		return `Wait until it is done, or stop that process; "rollebro status" shows who holds the lease.`
	case errors.Is(err, rolecatalog.ErrStale):
		return `Make a new one with "rollebro plan" and look at what has changed.`
	case errors.Is(err, rolecatalog.ErrUnknownPlan):
		return `"rollebro plan" makes one and tells its id; "rollebro status" lists the newest.`
	case errors.Is(err, rolecatalog.ErrBlocked):
		return `Look at the plan; if it is right, release it: rollebro approve PLAN-ID --by NAME --reason TEXT.`
	case errors.Is(err, rolecatalog.ErrQuarantined):
		return `"rollebro status" says why. Approve the plan that caused it, or mend the cause: a clean plan ends the quarantine.`
	case errors.Is(err, store.ErrNoKey):
		return "Set rc.database.keyFile to a file that only Rollebro can read; it is created if it is not there."
	}
	if failed, ok := errors.AsType[*nemlogin.Error](err); ok && failed.Status == 0 && nemlogin.ClassOf(err) == nemlogin.ClassTransient {
		return "Check rc.integrations.nemLogin.baseUrl, and that this machine may reach it; then try again."
	}
	if errors.Is(err, rolecatalog.ErrUnreachable) {
		return "Try again later; the service does so by itself."
	}
	if distrusted(err) {
		return `Check the certificate with "rollebro certs inspect", and that it has the right "Adgang til IdM services i MitID Erhverv".`
	}
	return ""
}

// distrusted reports whether MitID Erhverv refuses the organisation's certificate. When it is the server's own that is not
// trusted, or nothing is found at its address, looking at the keystore leads nowhere; the error says then what does.
func distrusted(err error) bool {
	if nemlogin.ClassOf(err) != nemlogin.ClassAuth {
		return false
	}
	failed, ok := errors.AsType[*nemlogin.Error](err)
	if !ok || failed.Status != 0 {
		return !ok || failed.Status != http.StatusNotFound
	}
	alert, ok := errors.AsType[*net.OpError](failed)
	return ok && alert.Op == "remote error"
}

// report prints an error for people, in a line or two, and returns the exit code.
func (p *program) report(err error) int {
	code := exitCode(err)
	own, silent := errors.AsType[*exitError](err)
	if err == nil || silent && own.err == nil {
		return code
	}
	var stack []byte
	if bug, ok := errors.AsType[*panicError](err); ok {
		stack = bug.stack
	} else if bug, ok := errors.AsType[*scheduler.PanicError](err); ok {
		stack = bug.Stack
	}
	if stack != nil {
		p.log.WithField(fieldStack, string(stack)).Error("a panic was caught")
		err = advise(err, "Please report it with the log; nothing was done after it.")
	}
	for line := range strings.SplitSeq(maskCPR(err.Error()), "\n") {
		fmt.Fprintln(p.stderr, "rollebro: "+line)
	}
	if advice := adviceFor(err); advice != "" {
		fmt.Fprintln(p.stderr, "  "+maskCPR(advice))
	}
	return code
}
