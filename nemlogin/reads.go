package nemlogin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// read makes a call that changes nothing and returns what decode makes of the
// answer.
func read[T any](ctx context.Context, c *Client, what call, decode func([]byte) (T, error)) (T, error) {
	var result, none T
	what.method = http.MethodGet
	what.decode = func(data []byte) (err error) {
		result, err = decode(data)
		return err
	}
	if err := c.do(ctx, what); err != nil {
		return none, err
	}
	return result, nil
}

// Roles reads the catalogue: every role that can be assigned to the
// organisation's identities. Identities may hold roles that are not in it. An
// empty catalogue is returned as it is; whether to believe it is the caller's
// decision.
func (c *Client) Roles(ctx context.Context) ([]Role, error) {
	return read(ctx, c, call{op: opRoles, path: pathCatalogue}, decodeRoles)
}

// SENumbers reads the organisation's SE-numbers.
func (c *Client) SENumbers(ctx context.Context) ([]SENumber, error) {
	return read(ctx, c, call{op: opSENumbers, path: pathSENumbers}, decodeSENumbers)
}

// ProductionUnits reads the organisation's production units.
func (c *Client) ProductionUnits(ctx context.Context) ([]ProductionUnit, error) {
	return read(ctx, c, call{op: opProductionUnits, path: pathProductionUnits}, decodeProductionUnits)
}

// AssignedRoles reads the roles an identity holds, assigned by whomever. The
// service answers 500, not 404, for an identity it does not know, so on either
// the employee is looked up: if that is not found, the error is ClassNotFound,
// otherwise ClassTransient.
func (c *Client) AssignedRoles(ctx context.Context, identity string) ([]AssignedRole, error) {
	uuid, err := identityUUID(opAssignedRoles, identity)
	if err != nil {
		return nil, err
	}
	what := call{op: opAssignedRoles, path: pathIdentity + uuid + "/roles"}
	what.refine = c.prober(uuid, func(e *Error) bool {
		return e.Status == http.StatusInternalServerError || e.Status == http.StatusNotFound
	}, func(e *Error) *Error {
		contradiction := *e
		contradiction.Class = ClassTransient
		return &contradiction
	})
	return read(ctx, c, what, decodeAssigned)
}

// Employee reads an identity. ClassNotFound means that it is gone.
func (c *Client) Employee(ctx context.Context, identity string) (Employee, error) {
	uuid, err := identityUUID(opEmployee, identity)
	if err != nil {
		return Employee{}, err
	}
	return read(ctx, c, employeeCall(uuid), func(data []byte) (Employee, error) {
		return decodeEmployee(data, uuid)
	})
}

func employeeCall(uuid string) call {
	return call{op: opEmployee, path: pathEmployee + uuid, method: http.MethodGet}
}

// prober tells an identity that is gone from a service that is unwell. The
// refinement it returns looks the employee up, once, after a failure that is
// unclear: not found there is ClassNotFound. Found there, the failure means what
// exists makes of it. Otherwise nothing is known, and the failure is transient.
func (c *Client) prober(uuid string, unclear func(*Error) bool, exists func(*Error) *Error) func(context.Context, *Error) *Error {
	known := false
	return func(ctx context.Context, e *Error) *Error {
		if e.Op == opAuthenticate || !unclear(e) {
			return e // without a token the failure says nothing about the identity
		}
		if known {
			return exists(e)
		}
		look := employeeCall(uuid)
		look.decode = func(data []byte) error {
			_, err := decodeEmployee(data, uuid)
			return err
		}
		err := c.exchange(ctx, c.authorized, look)
		if err == nil {
			known = true
			return exists(e)
		}
		refined := *e
		switch ClassOf(err) {
		case ClassNotFound:
			refined.Class, refined.Hint = ClassNotFound, "the identity does not exist in MitID Erhverv"
		case ClassAuth, ClassCanceled:
			refined.Class = ClassOf(err)
			refined.Err = fmt.Errorf("looking up the identity: %w", err)
		default:
			refined.Class = ClassTransient
		}
		return &refined
	}
}

// identityUUID checks an identity before it becomes a part of a path.
func identityUUID(op, identity string) (string, error) {
	uuid, err := parseUUID(identity)
	if err != nil {
		return "", refused(op, fmt.Errorf("the identity %w", err))
	}
	return uuid, nil
}

// refused is the error for input that must not be sent.
func refused(op string, err error) *Error {
	return &Error{Class: ClassRejected, Op: op, Err: fmt.Errorf("nothing was sent: %w", err)}
}

// errNotTried is the cause for what was left out after a failure that would have
// met it too.
var errNotTried = errors.New("not tried after an earlier failure")
