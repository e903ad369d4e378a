package nemlogin

import (
	"context"
	"errors"
	"net/http"
	"testing"
)

// One person's lasting 401 ends a run, and that becomes the cause with which everybody else's context ends. Their requests were
// broken off; nobody knows what became of them, and they were not refused.
func TestEndOfTheContextIsNotTheFailureThatCausedIt(t *testing.T) {
	t.Parallel()
	foreign := &WriteError{Failed: map[string]error{"a role": &Error{Class: ClassAuth, Status: http.StatusUnauthorized}}}
	arrived, release := make(chan struct{}), make(chan struct{})
	s := newService(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			close(arrived)
			<-release
		}
		w.WriteHeader(http.StatusNoContent)
	})
	t.Cleanup(func() { close(release) }) // before the service is closed, which waits for its handlers
	c := s.client(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-arrived
		cancel(foreign)
	}()
	err := c.RemoveRoles(ctx, alice, wholeCVR, []string{roleA})
	if class := ClassOf(err); class != ClassCanceled {
		t.Errorf("the class is %q: %v", class, err)
	}
	failed, ok := errors.AsType[*WriteError](err)
	if !ok || failed == foreign {
		t.Fatalf("the error is %v", err)
	}
	one, ok := errors.AsType[*Error](failed.Failed[roleA])
	if !ok || !one.Sent || one.Class != ClassCanceled || errors.Is(err, foreign) {
		t.Errorf("the role's error is %+v", one)
	}
	// A call that hasn't even begun.
	if _, err := c.AssignedRoles(ctx, alice); ClassOf(err) != ClassCanceled {
		t.Errorf("a read under the ended context gives %q: %v", ClassOf(err), err)
	}
}
