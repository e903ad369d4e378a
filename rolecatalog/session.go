package rolecatalog

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rollebro/rollebro/rolecatalog/plan"
)

// session is one look at the catalogue: a snapshot, and what follows from it.
type session struct {
	b         *Bridge
	selection Selection
	snapshot  *Snapshot
	effective *effective
	records   []*PlanRecord // what is stored of the plan that is carried out, also where it was approved or asked for under another id
}

// look reads a snapshot.
func (b *Bridge) look(ctx context.Context, sel Selection) (*session, error) {
	s := &session{b: b, selection: sel}
	err := s.refresh(ctx)
	return s, err
}

// open reads a snapshot after making sure that the catalogue is there and every NemLogin UUID has its identity row.
func (b *Bridge) open(ctx context.Context, sel Selection) (*session, error) {
	state, err := b.store.State(ctx, b.cvr)
	if err != nil {
		return nil, err
	}
	if state.Generation == 0 {
		if report, err := b.RefreshCatalogue(ctx); err != nil {
			return nil, err
		} else if report.Refused != "" {
			return nil, fmt.Errorf("no catalogue of system roles yet: %s", report.Refused)
		}
	}
	s, err := b.look(ctx, sel)
	if err != nil {
		return nil, err
	}
	if fresh := s.unknown(); len(fresh) > 0 {
		if err := b.commit(ctx, &Changes{Identities: fresh}); err != nil {
			return nil, fmt.Errorf("storing the identities of new users: %w", err)
		}
		err = s.refresh(ctx)
	}
	return s, err
}

func (s *session) refresh(ctx context.Context) error {
	snapshot, err := s.b.store.Snapshot(ctx, s.b.cvr, s.selection.Users, s.b.today())
	if err != nil {
		return fmt.Errorf("reading the catalogue: %w", err)
	}
	slices.SortFunc(snapshot.Identities, byUUID)
	s.snapshot = snapshot
	s.effective = newEffective(s.b.cvr, s.b.today(), snapshot, s.b.o.ProtectedUsers)
	s.effective.keepLocked = s.b.o.KeepRolesOfLocked
	return nil
}

// byUUID is the order that identities are kept in.
func byUUID(a, b Identity) int { return strings.Compare(a.UUID, b.UUID) }

// unknown lists the identities that users have and that were never seen, and those that have to be looked at again though
// they were retired.
func (s *session) unknown() []Identity {
	known := make(map[string]*Identity, len(s.snapshot.Identities))
	for i := range s.snapshot.Identities {
		known[s.snapshot.Identities[i].UUID] = &s.snapshot.Identities[i]
	}
	var fresh []Identity
	for uuid, l := range s.effective.links {
		owner := l.owner
		if owner == nil {
			owner = l.rivals[0]
		}
		switch id := known[uuid]; {
		case id == nil:
			fresh = append(fresh, Identity{CVR: s.b.cvr, UUID: uuid, UserID: owner.ID})
		case id.RetiredAt != nil && owner.Active():
			back := *id
			// Nobody has looked at it meanwhile: whatever it holds now is new here, and so is whether it exists.
			back.RetiredAt, back.Generation, back.GoneSince, back.CheckedAt = nil, 0, nil, nil
			fresh = append(fresh, back)
		}
	}
	slices.SortFunc(fresh, byUUID)
	return fresh
}

// failure tells people whom an error concerns.
func (s *session) failure(id *Identity, err error) PersonFailure {
	f := PersonFailure{Identity: id.UUID, User: s.effective.subject(id).User}
	if err != nil {
		f.Error = err.Error()
	}
	return f
}

// present lists the identities that are read and planned for.
func (s *session) present() []*Identity {
	var ids []*Identity
	for i := range s.snapshot.Identities {
		if s.snapshot.Identities[i].RetiredAt == nil {
			ids = append(ids, &s.snapshot.Identities[i])
		}
	}
	return ids
}

// userOf is the row id of the user whose work list entry an identity belongs to.
func (s *session) userOf(identity string) uint64 {
	if l := s.effective.links[identity]; l.owner != nil {
		return l.owner.ID
	}
	i, found := slices.BinarySearchFunc(s.snapshot.Identities, identity, func(id Identity, uuid string) int {
		return strings.Compare(id.UUID, uuid)
	})
	if !found {
		return 0
	}
	return s.snapshot.Identities[i].UserID
}

// refuse turns the guard red that stands for what was wrong with the last refresh of the catalogue.
func refuse(p *plan.Plan, why string) {
	guard := plan.GuardCatalogue
	if strings.Contains(why, shrinkRefused) {
		guard = plan.GuardShrunk
	}
	for i := range p.Guards {
		if g := &p.Guards[i]; g.Guard == guard {
			g.OK, g.Message = false, "The last refresh of the catalogue was not accepted: "+why+"."
		}
	}
	p.Blocked = p.Blocked || !p.Empty()
}

// compute makes the plan for what was observed.
func (s *session) compute(ctx context.Context, observed plan.Observed) (*plan.Plan, error) {
	b := s.b
	label := s.selection.Label
	if label == "" {
		label = "all"
	}
	now := b.now()
	o := plan.Options{CVR: b.cvr, Selection: label, Catalogue: s.effective.catalogue(), Limits: b.o.Limits}
	removals, byRole, err := b.store.RemovalsSince(ctx, b.cvr, now.Add(-24*time.Hour))
	if err != nil {
		return nil, err
	}
	o.Catalogue.Before = s.snapshot.State.CatalogueCount
	o.Baseline.Removals24h, o.Baseline.RoleRemovals24h = removals, byRole
	if s.selection.Users != nil {
		if o.Baseline.Managed, o.Baseline.Holders, err = b.store.ObservedTotals(ctx, b.cvr); err != nil {
			return nil, err
		}
	}
	o.Waiting = waiting(s.snapshot.Attempts, now)
	if b.o.LastHolderRoles != nil {
		o.AdministratorLike = func(_ string, r plan.Role) bool { return b.o.LastHolderRoles.MatchString(r.Name) }
	}
	p, err := plan.Compute(s.effective.desired(s.snapshot.Identities), observed, o)
	if err != nil {
		return nil, fmt.Errorf("computing the plan: %w", err)
	}
	if why := s.snapshot.State.CatalogueError; why != "" {
		refuse(p, why)
	}
	p.CreatedAt = now
	return p, nil
}
