package rolecatalog

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rollebro/rollebro/nemlogin"
	"github.com/rollebro/rollebro/rolecatalog/plan"
)

// reading is what asking MitID Erhverv for one identity's roles gave.
type reading struct {
	state  plan.ReadState
	err    error
	grants []ObservedGrant
	fresh  bool // asked now; false: an earlier answer still holds
}

// goneRecheck is how long an identity that MitID Erhverv doesn't know is left in peace.
const goneRecheck = 24 * time.Hour

// failuresInARow is how many readings may fail one after the other before it is the service that is down, and not a few
// people who can't be read.
const failuresInARow = 50

// stops reports whether an error ends the whole run: no trust, no time, no right. Anything else concerns one person only.
func stops(err error) bool {
	class := nemlogin.ClassOf(err)
	return class == nemlogin.ClassAuth || class == nemlogin.ClassCanceled || class == nemlogin.ClassReadOnly
}

// read asks for what one identity holds.
func (b *Bridge) read(ctx context.Context, id *Identity) (reading, error) {
	if id.GoneSince != nil && id.CheckedAt != nil && b.now().Sub(*id.CheckedAt) < goneRecheck {
		return reading{state: plan.IsGone}, nil
	}
	roles, err := b.o.Client.AssignedRoles(ctx, id.UUID)
	switch {
	case err == nil:
		return reading{state: plan.Read, grants: observedGrants(b.cvr, id.UUID, roles), fresh: true}, nil
	case nemlogin.ClassOf(err) == nemlogin.ClassNotFound:
		return reading{state: plan.IsGone, err: err, fresh: true}, nil
	case stops(err):
		return reading{}, err
	}
	return reading{state: plan.Failed, err: err, fresh: true}, nil
}

// observe asks for all of them, several at a time, and hands each answer to take, one call at a time. It ends early only
// when the context ends, the service refuses to talk to us at all, or take fails.
func (b *Bridge) observe(ctx context.Context, ids []*Identity, progress Progress, take func(*Identity, reading) error) error {
	var mu sync.Mutex
	done, failed := 0, 0
	return b.each(ctx, len(ids), func(ctx context.Context, i int) error {
		r, err := b.read(ctx, ids[i])
		if err != nil {
			return fmt.Errorf("reading the roles of the identities: %w", err)
		}
		mu.Lock()
		defer mu.Unlock()
		if err := take(ids[i], r); err != nil {
			return err
		}
		if failed++; r.state != plan.Failed {
			failed = 0
		}
		if failed >= failuresInARow {
			return fmt.Errorf("%w: %d readings in a row have failed, the last with: %w", ErrUnreachable, failed, r.err)
		}
		done++
		if progress != nil {
			progress(done, len(ids))
		}
		return nil
	})
}

// each runs do for 0 … n-1, several at a time. The first error ends it. A panic in do becomes one in the caller, who
// reports it like any other, with the stack it happened on.
func (b *Bridge) each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(b.o.Concurrency)
	for i := range n {
		if working.Err() != nil {
			break
		}
		group.Go(func() (err error) {
			defer func() {
				if v := recover(); v != nil {
					err = &bug{value: v, stack: debug.Stack()}
				}
			}()
			if working.Err() != nil {
				return context.Cause(working)
			}
			return do(working, i)
		})
	}
	if err := group.Wait(); err != nil {
		if b, ok := errors.AsType[*bug](err); ok {
			panic(fmt.Sprintf("%v\n%s", b.value, b.stack))
		}
		return err
	}
	return context.Cause(ctx)
}

// bug is a panic on its way to the caller's goroutine.
type bug struct {
	value any
	stack []byte
}

func (b *bug) Error() string { return fmt.Sprintf("panic: %v", b.value) }

// observedGrants brings an answer into the form that is kept: lower-case uuids, ordered, each triple once.
func observedGrants(cvr, identity string, roles []nemlogin.AssignedRole) []ObservedGrant {
	grants := make([]ObservedGrant, 0, len(roles))
	for _, r := range roles {
		grants = append(grants, ObservedGrant{
			CVR: cvr, Identity: identity, Role: strings.ToLower(r.UUID), RoleName: r.Name,
			ScopeType: r.Scope.Type, ScopeValue: r.Scope.Value, Internal: r.Internal, ValidFrom: r.From, ValidTo: r.To,
		})
	}
	slices.SortFunc(grants, func(a, b ObservedGrant) int {
		return cmp.Or(strings.Compare(a.Role, b.Role), strings.Compare(a.ScopeType, b.ScopeType), strings.Compare(a.ScopeValue, b.ScopeValue))
	})
	return slices.CompactFunc(grants, func(a, b ObservedGrant) bool { return a.grant() == b.grant() })
}

func (g *ObservedGrant) grant() plan.Grant {
	return plan.Grant{Role: g.Role, Scope: plan.Scope{Type: plan.ScopeType(g.ScopeType), Value: g.ScopeValue}}
}

// observation is the reading as the plan wants it.
func (r *reading) observation() plan.Observation {
	o := plan.Observation{State: r.state}
	if r.err != nil {
		o.Error = r.err.Error()
	}
	o.Grants = make([]plan.ObservedGrant, len(r.grants))
	for i := range r.grants {
		o.Grants[i] = plan.ObservedGrant{Grant: r.grants[i].grant(), RoleName: r.grants[i].RoleName}
	}
	return o
}

// note writes a reading into the identity's row, and returns the grants to store if they are not the stored ones.
func (b *Bridge) note(id *Identity, r reading) (changed []ObservedSet) {
	if !r.fresh {
		return nil
	}
	at := b.now()
	switch r.state {
	case plan.Read:
		id.ReadAt, id.CheckedAt, id.GoneSince, id.LastError = &at, &at, nil, ""
		if hash := hashGrants(r.grants); hash != id.ObservedHash {
			id.ObservedHash = hash
			return []ObservedSet{{CVR: b.cvr, Identity: id.UUID, Grants: r.grants}}
		}
	case plan.IsGone:
		id.CheckedAt, id.LastError = &at, "MitID Erhverv doesn't know this identity"
		if id.GoneSince == nil {
			id.GoneSince = &at
		}
	case plan.Failed:
		id.LastError = r.err.Error()
	case plan.NotWanted:
	}
	return nil
}

func hashGrants(grants []ObservedGrant) string {
	h := sha256.New()
	for _, g := range grants {
		fmt.Fprintf(h, "%q %q %q %q %t %q %q\n", g.Role, g.RoleName, g.ScopeType, g.ScopeValue, g.Internal, g.ValidFrom, g.ValidTo)
	}
	return hex.EncodeToString(h.Sum(nil))
}

var errNoClient = errors.New("the integration with MitID Erhverv is switched off or has no usable certificate")
