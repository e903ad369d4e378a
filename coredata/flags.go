package coredata

import (
	"context"
	"fmt"
	"io"
	"maps"
	"strings"

	"github.com/rollebro/rollebro/rolecatalog"
)

// NSISAllowed takes the full set of uuids of people who may have a corporate identity, in a domain and its sub-domains.
func (s *Service) NSISAllowed(ctx context.Context, body io.Reader, c Caller) (Outcome, error) {
	return s.flag(ctx, "nsisAllowed", "nsisUserUuids", body, c, func(u *rolecatalog.User) *bool { return &u.NSISAllowed })
}

// TransferToNemLogin takes the full set of uuids of people who are to have an account in MitID Erhverv, in a domain and its
// sub-domains. People locked in the dataset stay as they are.
func (s *Service) TransferToNemLogin(ctx context.Context, body io.Reader, c Caller) (Outcome, error) {
	return s.flag(ctx, "transferToNemlogin", "nemLoginUserUuids", body, c, func(u *rolecatalog.User) *bool {
		if u.LockedDataset {
			return nil
		}
		return &u.TransferToNemLogin
	})
}

// flag sets one flag of everyone in scope: true for those listed, robots never, false for all others. of gives nil for a user
// whom it doesn't concern. No list: nothing happens.
func (s *Service) flag(ctx context.Context, name, listName string, body io.Reader, caller Caller, of func(*rolecatalog.User) *bool) (Outcome, error) {
	c, b, err := decoded(s, name, caller, body, listOf[str](listName))
	if err != nil {
		return c.done(err)
	}
	if err := c.find(ctx, "Unknown domain: "+b.domain.shown()); err != nil || !b.set {
		return c.done(err)
	}
	c.counts[CountEntries] = len(b.list)
	listed := make(map[string]struct{}, len(b.list))
	for _, id := range b.list {
		listed[strings.ToLower(string(*id))] = struct{}{}
	}
	return c.done(c.decide(ctx, PartPeople, func(d *deciding) error {
		for _, was := range d.tree.People {
			if !was.FromCoreData || !c.covers(was.DomainID) || of(was) == nil {
				continue
			}
			_, on := listed[strings.ToLower(was.ExtUUID)]
			on = on && was.ExtUUID != "" && !was.Robot
			if *of(was) == on {
				d.count(CountUnchanged)
				continue
			}
			u := d.change(was)
			*of(u) = on
			d.count(CountUpdated)
			d.trail.briefly(u, "changed", fmt.Sprintf("%s: %t", name, on))
		}
		return nil
	}))
}

// KombitAttributesFull replaces the KOMBIT attributes of each person listed who isn't locked in the dataset.
func (s *Service) KombitAttributesFull(ctx context.Context, body io.Reader, caller Caller) (Outcome, error) {
	c, b, err := decoded(s, "load of KOMBIT attributes", caller, body, listOf[attributeEntry]("entryList"))
	if err != nil {
		return c.done(err)
	}
	if err := c.checkAttributes(ctx, b); err != nil {
		return c.done(err)
	}
	return c.done(c.decide(ctx, PartPeople, func(d *deciding) error {
		dir := d.directory()
		for _, e := range b.list {
			u := dir.bySAM[strings.ToLower(string(e.SAM))]
			if u == nil || u.LockedDataset {
				d.count(CountUnknown)
				d.warnf("%s er ukendt eller spærret og er sprunget over", shown(string(e.SAM)))
				continue
			}
			d.setKombitAttributes(u, e.Attributes)
		}
		return nil
	}))
}

func (c *call) checkAttributes(ctx context.Context, b *listBody[attributeEntry]) error {
	named := b.domain.shown()
	if err := c.find(ctx, "Ukendt domæne: "+named); err != nil {
		return err
	}
	if len(b.list) == 0 {
		return refusef("Tom entryList for domæne %s", named)
	}
	c.counts[CountEntries] = len(b.list)
	if err := c.mustBeMaster(named); err != nil {
		return err
	}
	seen := make(map[string]struct{}, len(b.list))
	for _, e := range b.list {
		if err := checkAttributeEntry(e, named); err != nil {
			return err
		}
		key := strings.ToLower(string(e.SAM))
		if _, twice := seen[key]; twice {
			return refusef("Flere personer med tilknyttet AD konto (%s) for domæne %s", shown(string(e.SAM)), named)
		}
		seen[key] = struct{}{}
	}
	return nil
}

func (c *call) mustBeMaster(named string) error {
	if c.domain.ParentID != nil {
		return refusef("Angivne domæne (%s) er et sub-domæne", named)
	}
	return nil
}

func checkAttributeEntry(e *attributeEntry, named string) error {
	if e.SAM == "" {
		return refusef("Person mangler sAMAccountName for domæne %s", named)
	}
	for name, value := range e.Attributes {
		if tooLong(name, maxField) || tooLong(value, maxAttribute) {
			return refusef("Person med for lang værdi i kombitAttributes: %s for domæne %s", shown(string(e.SAM)), named)
		}
	}
	return nil
}

// KombitAttributesSingle replaces the KOMBIT attributes of one person of a master domain.
func (s *Service) KombitAttributesSingle(ctx context.Context, domain string, body io.Reader, caller Caller) (Outcome, error) {
	c := s.begin("KOMBIT attributes of one person", domain, caller)
	var sam text
	var e attributeEntry
	if err := decodeInto(body, map[string]any{"samaccountname": &sam, "kombitattributes": &e.Attributes}); err != nil {
		return c.done(err)
	}
	e.SAM = str(sam.value)
	named := shown(domain)
	if err := c.find(ctx, "Ukendt domæne: "+named); err != nil {
		return c.done(err)
	}
	if err := c.mustBeMaster(named); err != nil {
		return c.done(err)
	}
	if err := checkAttributeEntry(&e, named); err != nil {
		return c.done(err)
	}
	return c.done(c.decide(ctx, PartPeople, func(d *deciding) error {
		u, err := d.active(sam, c.covers)
		if err != nil {
			return err
		}
		d.setKombitAttributes(u, e.Attributes)
		return nil
	}))
}

func (d *deciding) setKombitAttributes(was *rolecatalog.User, values map[string]string) {
	if maps.Equal(was.KombitAttributes, values) {
		d.count(CountUnchanged)
		return
	}
	u := d.change(was)
	u.KombitAttributes = values
	d.count(CountUpdated)
	d.trail.briefly(u, "changed", "KOMBIT attributes")
}
