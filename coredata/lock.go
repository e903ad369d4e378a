package coredata

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/rollebro/rollebro/rolecatalog"
)

// Lock locks the people that the body names by CPR number and account name, in a domain and its sub-domains.
func (s *Service) Lock(ctx context.Context, body io.Reader, caller Caller) (Outcome, error) {
	c, b, err := s.deletions(ctx, "lock", body, caller)
	if err != nil {
		return c.done(err)
	}
	return c.done(c.decide(ctx, PartPeople, func(d *deciding) error {
		var users []*rolecatalog.User
		for _, u := range d.named(b.list) {
			if !u.LockedDataset {
				users = append(users, u)
			}
		}
		d.toll.locked = len(users)
		if err := d.pay(); err != nil {
			return err
		}
		return d.lock(users, "named by a call")
	}))
}

// Cleanup deletes the people that the body names, as Lock finds them, with all that is stored about them.
func (s *Service) Cleanup(ctx context.Context, body io.Reader, caller Caller) (Outcome, error) {
	c, b, err := s.deletions(ctx, "cleanup", body, caller)
	if err != nil {
		return c.done(err)
	}
	return c.done(c.decide(ctx, PartPeople, func(d *deciding) error {
		users := d.named(b.list)
		if len(users) == 0 {
			return nil
		}
		d.toll.removed = len(users)
		if err := d.pay(); err != nil {
			return err
		}
		d.changes.Delete = users
		d.counts[CountDeleted] = len(users)
		for _, u := range users {
			d.marks.sharing(u.NemLoginUUID, u)
		}
		d.trail.domain("deleted", deletedDetail(users))
		return nil
	}))
}

// deletedDetail names the deleted for the audit trail: the first hundred, and the NemLogin UUIDs that nobody has any more.
func deletedDetail(users []*rolecatalog.User) string {
	const most = 100
	var names []string
	for _, u := range users[:min(most, len(users))] {
		name := shown(u.UserID)
		if u.NemLoginUUID != "" {
			name += " (" + u.NemLoginUUID + ")"
		}
		names = append(names, name)
	}
	if len(users) > most {
		names = append(names, "…")
	}
	return fmt.Sprintf("%d deleted physically: %s", len(users), strings.Join(names, ", "))
}

// deletions decodes and checks the body of a call that locks or deletes.
func (s *Service) deletions(ctx context.Context, name string, body io.Reader, caller Caller) (*call, *listBody[deletion], error) {
	c, b, err := decoded(s, name, caller, body, listOf[deletion]("entryList"))
	if err != nil {
		return c, nil, err
	}
	if b.domain.value == "" {
		return c, nil, refusef("Domain cannot be empty")
	}
	if err := c.find(ctx, "Unknown domain: "+b.domain.shown()); err != nil {
		return c, nil, err
	}
	if !b.set {
		return c, nil, refusef("entryList cannot be null")
	}
	c.counts[CountEntries] = len(b.list)
	return c, b, nil
}

// named finds the people in scope whom the entries name: by CPR number and account name, or, when the CPR number isn't known,
// by uuid and account name. What nobody answers to is counted, and otherwise ignored. It counts the active people in scope
// on its way. People that only other sources know are not found.
func (d *deciding) named(entries []*deletion) []*rolecatalog.User {
	byKey := make(map[string][]*deletion, len(entries))
	for _, e := range entries {
		key := strings.ToLower(string(e.SAM))
		byKey[key] = append(byKey[key], e)
	}
	found := make(map[string]struct{}, len(entries))
	var users []*rolecatalog.User
	for _, u := range d.tree.People {
		if !u.FromCoreData || !d.c.covers(u.DomainID) {
			continue
		}
		if !u.LockedDataset {
			d.toll.active++
		}
		for _, e := range byKey[u.UserKey] {
			if e.means(u) {
				users = append(users, u)
				found[u.UserKey] = struct{}{}
				break
			}
		}
	}
	if n := len(byKey) - len(found); n > 0 {
		d.counts[CountUnknown] = n
	}
	return users
}

// means reports whether the entry, whose account name fits, means the user.
func (e *deletion) means(u *rolecatalog.User) bool {
	cpr := normalCPR(string(e.CPR))
	if cpr == "" {
		return false
	}
	return cpr == u.CPR || cpr == unknownCPR && u.ExtUUID != "" && string(e.UUID) == u.ExtUUID
}
