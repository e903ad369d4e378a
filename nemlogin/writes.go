package nemlogin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// AddRoles assigns roles with one scope to an identity. An error is a
// [*WriteError]; roles it does not name were assigned. Reading back decides what
// became of those it names with ClassTransient or ClassCanceled.
func (c *Client) AddRoles(ctx context.Context, identity string, scope Scope, roleUUIDs []string) error {
	return c.writeRoles(ctx, opAddRoles, http.MethodPost, identity, scope, roleUUIDs)
}

// RemoveRoles takes roles with one scope from an identity; see [Client.AddRoles]
// about errors.
func (c *Client) RemoveRoles(ctx context.Context, identity string, scope Scope, roleUUIDs []string) error {
	return c.writeRoles(ctx, opRemoveRoles, http.MethodDelete, identity, scope, roleUUIDs)
}

// roleWrite is a write of roles under way.
type roleWrite struct {
	client *Client
	call   call
	uuid   string // of the identity
	scope  Scope
	failed map[string]error // by role uuid in lower case
	// over is the failure that every later request would meet too.
	over error
}

// writeRoles writes in batches. Whether the service takes several roles in one
// request is not published: a batch that is refused is tried role by role, and
// if every single one is then taken, batches are not tried again.
func (c *Client) writeRoles(ctx context.Context, op, method, identity string, scope Scope, roleUUIDs []string) error {
	if len(roleUUIDs) == 0 {
		return nil
	}
	spelt := make(map[string][]string, len(roleUUIDs)) // lower case to the caller's spellings
	failed := make(map[string]error)                   // by the caller's spelling
	var roles []string
	for _, role := range roleUUIDs {
		uuid, err := parseUUID(role)
		if err != nil {
			failed[role] = refused(op, fmt.Errorf("the role %w", err))
			continue
		}
		if spelt[uuid] == nil {
			roles = append(roles, uuid)
		}
		spelt[uuid] = append(spelt[uuid], role)
	}

	w := &roleWrite{
		client: c, scope: scope, failed: make(map[string]error),
		call: call{op: op, method: method, write: true},
	}
	if err := c.checkWrite(op, identity, scope); err != nil {
		w.fail(roles, err)
	} else {
		w.uuid, _ = parseUUID(identity) // checked just now
		w.call.path = pathIdentity + w.uuid + "/roles"
		w.all(ctx, roles)
	}

	for uuid, err := range w.failed {
		for _, role := range spelt[uuid] {
			failed[role] = err
		}
	}
	if len(failed) > 0 {
		return &WriteError{Failed: failed}
	}
	return nil
}

// checkWrite refuses what must not be sent.
func (c *Client) checkWrite(op, identity string, scope Scope) error {
	if c.options.ReadOnly {
		return &Error{Class: ClassReadOnly, Op: op, Err: errReadOnly}
	}
	if _, err := identityUUID(op, identity); err != nil {
		return err
	}
	if err := scope.Validate(); err != nil {
		return refused(op, err)
	}
	if scope.Type == ScopeCvr && c.options.CVR != "" && scope.Value != c.options.CVR {
		return refused(op, errors.New("the scope is another organisation's CVR number"))
	}
	return nil
}

// all writes roles, in batches.
func (w *roleWrite) all(ctx context.Context, roles []string) {
	for len(roles) > 0 {
		size := min(w.client.options.BatchSize, len(roles))
		if w.client.singly.Load() {
			size = 1
		}
		batch := roles[:size]
		roles = roles[size:]
		err := w.send(ctx, batch)
		switch {
		case err == nil:
		case len(batch) > 1 && (err.Class == ClassRejected || err.Class == ClassConflict):
			w.onebyone(ctx, batch, err)
		default:
			w.fail(batch, err)
		}
		if w.over != nil {
			w.fail(roles, w.over)
			return
		}
	}
}

// onebyone writes the roles of a refused batch each by itself, to find the
// culprit.
func (w *roleWrite) onebyone(ctx context.Context, batch []string, refusal *Error) {
	w.client.log.WithField("op", w.call.op).WithError(refusal).
		Info("The NemLog-in IdM services refused several roles in one request; trying them one by one")
	clean := true
	for i, role := range batch {
		if err := w.send(ctx, batch[i:i+1]); err != nil {
			clean = false
			w.fail([]string{role}, err)
			if w.over != nil {
				w.fail(batch[i+1:], w.over)
				return
			}
		}
	}
	// A conflict speaks of a change at the same time, not of batches.
	if clean && refusal.Class == ClassRejected && w.client.singly.CompareAndSwap(false, true) {
		w.client.log.Warn("The NemLog-in IdM services take roles one by one only; writing singly from now on")
	}
}

// send writes roles in one request.
func (w *roleWrite) send(ctx context.Context, roles []string) *Error {
	body, err := json.Marshal(struct {
		Scope     wireScope `json:"scope"`
		RoleUUIDs []string  `json:"roleUuids"`
	}{wireScope(w.scope), roles})
	if err != nil {
		return refused(w.call.op, err)
	}
	what := w.call
	what.body = body
	// Not found may mean the identity, a role, or an assignment removed already.
	what.refine = w.client.prober(w.uuid, func(e *Error) bool {
		return e.Status == http.StatusNotFound
	}, func(e *Error) *Error {
		rejection := *e
		rejection.Class = ClassRejected
		rejection.Hint = "the identity exists, so the service does not know a role, its scope, or the assignment"
		return &rejection
	})
	if err := w.client.do(ctx, what); err != nil {
		failure := w.client.asError(ctx, what, err)
		if slices.Contains([]Class{ClassAuth, ClassCanceled, ClassReadOnly, ClassNotFound}, failure.Class) {
			later := *failure
			later.Sent = false
			later.Err = fmt.Errorf("%w: %w", errNotTried, failure)
			later.Status, later.Body = 0, ""
			w.over = &later
		}
		return failure
	}
	return nil
}

// fail notes that roles were not written.
func (w *roleWrite) fail(roles []string, err error) {
	for _, role := range roles {
		w.failed[role] = err
	}
}

// wireScope is Scope as the service spells it.
type wireScope struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}
