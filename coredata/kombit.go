package coredata

import (
	"context"
	"io"
	"strings"

	"github.com/rollebro/rollebro/rolecatalog"
)

// JFRFull carries out a full load of KOMBIT roles: everyone in scope has exactly the roles that it gives him.
func (s *Service) JFRFull(ctx context.Context, body io.Reader, c Caller) (Outcome, error) {
	return s.kombit(ctx, "full load of KOMBIT roles", body, c, (*deciding).loadKombit)
}

// JFRDelta carries out a delta load of KOMBIT roles: it adds, then removes. An empty list is fine.
func (s *Service) JFRDelta(ctx context.Context, body io.Reader, c Caller) (Outcome, error) {
	return s.kombit(ctx, "delta load of KOMBIT roles", body, c, (*deciding).changeKombit)
}

func (s *Service) kombit(ctx context.Context, name string, body io.Reader, caller Caller, load func(*deciding, []*kombitEntry) error) (Outcome, error) {
	c, b, err := decoded(s, name, caller, body, listOf[kombitEntry]("entryList"))
	if err != nil {
		return c.done(err)
	}
	if err := c.checkKombit(ctx, b); err != nil {
		return c.done(err)
	}
	return c.done(c.decide(ctx, PartPeople|PartKombit, func(d *deciding) error { return load(d, b.list) }))
}

func (c *call) checkKombit(ctx context.Context, b *listBody[kombitEntry]) error {
	if !b.set {
		return refusef("Body was null or missing entryList")
	}
	c.counts[CountEntries] = len(b.list)
	sams, uuids := make(map[string]struct{}, len(b.list)), make(map[string]struct{}, len(b.list))
	for _, e := range b.list {
		if e.SAM == "" && e.UUID == "" {
			return refusef("Missing sAMAccountName and uuid on entry. Needs at least one")
		}
	}
	for _, e := range b.list {
		for _, k := range []struct {
			seen map[string]struct{}
			key  str
		}{{sams, e.SAM}, {uuids, e.UUID}} {
			key := strings.ToLower(string(k.key))
			if _, twice := k.seen[key]; twice && key != "" {
				return refusef("Duplicate key %s", shown(string(k.key)))
			}
			k.seen[key] = struct{}{}
		}
		for _, roles := range []list[roleEntry]{e.JFRs, e.Add, e.Remove} {
			if refusal := checkRoles(roles); refusal != nil {
				return refusal
			}
		}
	}
	return c.find(ctx, "Unknown domain: "+b.domain.shown())
}

func checkRoles(roles []roleEntry) *Refusal {
	for _, r := range roles {
		switch {
		case r.Identifier == "":
			return refusef("KOMBIT rolle uden identifier")
		case r.CVR == "":
			return refusef("KOMBIT rolle uden cvr: %s", shown(string(r.Identifier)))
		case tooLong(string(r.Identifier), maxField):
			return refusef("KOMBIT rolle med for lang identifier (højst %d tegn)", maxField)
		case tooLong(string(r.CVR), maxCVR):
			return refusef("KOMBIT rolle med for langt cvr (højst %d tegn): %s", maxCVR, shown(string(r.Identifier)))
		}
	}
	return nil
}

// kombitKey tells the roles of one person apart.
type kombitKey struct{ identifier, cvr string }

// holdings are the KOMBIT roles in a call's scope.
type holdings struct {
	directory

	byAzure map[string]*rolecatalog.User
	byID    map[uint64]*rolecatalog.User
	roles   map[uint64]map[kombitKey]struct{}
}

func (d *deciding) holdings() *holdings {
	h := &holdings{
		directory: d.directory(), byAzure: make(map[string]*rolecatalog.User), byID: make(map[uint64]*rolecatalog.User, len(d.tree.People)),
		roles: make(map[uint64]map[kombitKey]struct{}),
	}
	for _, u := range d.tree.People {
		if d.c.covers(u.DomainID) {
			h.byID[u.ID] = u
			prefer(h.byAzure, strings.ToLower(u.Attributes["azureId"]), u)
		}
	}
	for _, r := range d.tree.Kombit {
		if h.byID[r.UserID] == nil {
			continue
		}
		if h.roles[r.UserID] == nil {
			h.roles[r.UserID] = make(map[kombitKey]struct{})
		}
		h.roles[r.UserID][kombitKey{r.Identifier, r.CVR}] = struct{}{}
	}
	return h
}

// resolve finds the person whom an entry means: by the attribute azureId, by uuid, by account name. It returns nil, and
// counts, when that is nobody or somebody locked.
func (d *deciding) resolve(h *holdings, e *kombitEntry) *rolecatalog.User {
	sam, id := strings.ToLower(string(e.SAM)), strings.ToLower(string(e.UUID))
	var u *rolecatalog.User
	if id != "" {
		if u = h.byAzure[id]; u == nil {
			u = h.byUUID[id]
		}
	}
	if u == nil {
		u = h.bySAM[sam]
	} else if other := h.bySAM[sam]; other != nil && other != u {
		d.warnf("uuid %s og brugernavn %s er to forskellige personer; uuid gælder", shown(string(e.UUID)), shown(string(e.SAM)))
	}
	if u == nil || u.LockedDataset {
		d.count(CountUnknown)
		d.warnf("%s%s er ukendt eller spærret og er sprunget over", shown(string(e.SAM)), shown(" "+string(e.UUID)))
		return nil
	}
	return u
}

// loadKombit gives everyone in scope exactly the roles of the entries.
func (d *deciding) loadKombit(entries []*kombitEntry) error {
	h := d.holdings()
	wanted := make(map[uint64]map[kombitKey]struct{}, len(entries))
	for _, e := range entries {
		u := d.resolve(h, e)
		if u == nil {
			continue
		}
		if wanted[u.ID] == nil {
			wanted[u.ID] = make(map[kombitKey]struct{}, len(e.JFRs))
		}
		for _, r := range e.JFRs {
			key := kombitKey{string(r.Identifier), string(r.CVR)}
			_, has := h.roles[u.ID][key]
			_, already := wanted[u.ID][key]
			wanted[u.ID][key] = struct{}{}
			if !has && !already {
				d.gain(u, key.identifier, key.cvr)
			}
		}
	}
	for _, r := range d.tree.Kombit {
		u := h.byID[r.UserID]
		if u == nil {
			continue
		}
		if _, ok := wanted[u.ID][kombitKey{r.Identifier, r.CVR}]; !ok {
			d.lose(u, r.Identifier, r.CVR)
		}
	}
	for id := range h.roles {
		d.toll.holders++
		if len(wanted[id]) == 0 {
			d.toll.losing++
			d.count(CountEmptied)
		}
	}
	if err := d.pay(); err != nil {
		return err
	}
	d.summary("KOMBIT roles: %d given, %d taken", CountJoined, CountLeft)
	return nil
}

// changeKombit adds and removes roles; what an entry both adds and removes is removed.
func (d *deciding) changeKombit(entries []*kombitEntry) error {
	h := d.holdings()
	for _, e := range entries {
		u := d.resolve(h, e)
		if u == nil {
			continue
		}
		after := make(map[kombitKey]bool, len(e.Add)+len(e.Remove))
		for _, r := range e.Add {
			after[kombitKey{string(r.Identifier), string(r.CVR)}] = true
		}
		for _, r := range e.Remove {
			after[kombitKey{string(r.Identifier), string(r.CVR)}] = false
		}
		if h.roles[u.ID] == nil {
			h.roles[u.ID] = make(map[kombitKey]struct{})
		}
		for key, want := range after {
			_, has := h.roles[u.ID][key]
			switch {
			case want && !has:
				d.gain(u, key.identifier, key.cvr)
				h.roles[u.ID][key] = struct{}{}
			case !want && has:
				d.lose(u, key.identifier, key.cvr)
				delete(h.roles[u.ID], key)
			}
		}
	}
	d.summary("KOMBIT roles: %d given, %d taken", CountJoined, CountLeft)
	return nil
}
