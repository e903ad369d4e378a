package coredata

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/rollebro/rollebro/rolecatalog"
)

// Lengths, in characters.
const (
	uuidLength     = 36
	maxField       = 255
	maxAttribute   = 768
	maxCVR         = 8
	maxGroupUUID   = 128
	maxDescription = 4000
	maxSubDomains  = 1000 // names of sub-domains in one load

)

// osRoles are the roles in OS2faktor that a load may give.
var osRoles = []string{
	"ADMIN", "TU_ADMIN", "SUPPORTER", "REGISTRANT", "USER_ADMIN", "KODEVISER_ADMIN", "PASSWORD_RESET_ADMIN",
	"STUDENT_PASSWORD_RESET_ADMIN",
}

// person is an entry that has passed.
type person struct {
	*entry

	key      string // lower-case account name
	cpr      string
	domain   uint64 // row id of the domain he is to be in
	expires  *time.Time
	password string // day, or empty
	external string // lower case
	badUUID  bool   // externalNemloginUserUuid is none: what is stored stays
	roles    []string
}

// load is a full or delta load that has passed.
type load struct {
	full    bool
	sub     uint64 // row id of globalSubDomain; 0: none
	people  []person
	present map[string]struct{} // lower-case account names in the payload, also of entries left out
	// uuids, in lower case, are those of entries left out that have no account name: their people aren't locked either.
	uuids map[string]struct{}
}

// validator checks a load, in the order and with the texts of the original.
type validator struct {
	*call

	body *peopleBody
	load *load
	zone *time.Location
	subs map[string]uint64 // lower-case name to row id; 0: not a sub-domain of the call's domain
	out  []bool            // by entry: left out
}

func (c *call) validate(ctx context.Context, b *peopleBody, full bool) (*load, error) {
	v := &validator{
		call: c, body: b, zone: denmark(), subs: make(map[string]uint64), out: make([]bool, len(b.entries)),
		load: &load{full: full, present: make(map[string]struct{}, len(b.entries)), uuids: make(map[string]struct{})},
	}
	c.counts[CountEntries] = len(b.entries)
	for _, step := range []func(context.Context) error{v.checkDomain, v.checkNames, v.checkSubDomains, v.checkPeople} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return v.load, nil
}

func (v *validator) checkDomain(ctx context.Context) error {
	named := v.body.domain.shown()
	if err := v.find(ctx, "Ukendt domæne: "+named); err != nil {
		return err
	}
	if global := v.body.globalSubDomain; global.value != "" {
		id, err := v.subDomain(ctx, global.value)
		if err != nil {
			return err
		}
		if id == 0 {
			return refusef("Invalid globalSubDomain: %s", global.shown())
		}
		v.load.sub = id
	}
	if len(v.body.entries) == 0 {
		return refusef("Tom entryList for domæne %s", named)
	}
	if v.domain.ParentID != nil {
		return refusef("Angivne domæne (%s) er et sub-domæne", named)
	}
	return nil
}

// subDomain gives the row id of a sub-domain of the call's domain, 0 when it is none.
func (v *validator) subDomain(ctx context.Context, name string) (uint64, error) {
	key := strings.ToLower(name)
	if id, ok := v.subs[key]; ok {
		return id, nil
	}
	if len(v.subs) >= maxSubDomains {
		return 0, refusef("Over %d forskellige underdomæner for domæne %s", maxSubDomains, v.body.domain.shown())
	}
	domain, _, err := v.s.Store.Domain(ctx, name)
	if err != nil && !errors.Is(err, ErrNoDomain) {
		return 0, fmt.Errorf("looking up the sub-domain: %w", err)
	}
	if err != nil || domain.ParentID == nil || *domain.ParentID != v.domain.ID {
		domain = rolecatalog.Domain{}
	}
	v.subs[key] = domain.ID
	return domain.ID, nil
}

// leaveOut decides about a bad entry: it refuses the whole load, or leaves the entry out where that is switched on.
func (v *validator) leaveOut(i int, refusal *Refusal) error {
	e := v.body.entries[i]
	if !v.s.Options.SkipBadEntries {
		return refusal
	}
	if e.SAM == "" {
		// Nobody can be spared whom nothing names.
		if utf8.RuneCountInString(e.UUID.value) != uuidLength {
			return refusal
		}
		v.load.uuids[strings.ToLower(e.UUID.value)] = struct{}{}
	}
	v.out[i] = true
	v.count(CountSkipped)
	v.warnf("sprang over: %s", refusal.Text)
	return nil
}

func (v *validator) checkNames(context.Context) error {
	for i, e := range v.body.entries {
		if e.SAM == "" {
			if err := v.leaveOut(i, refusef("Bruger med uuid '%s' mangler et brugernavn", e.UUID.shown())); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkSubDomains checks sub-domains and that no account name comes twice.
func (v *validator) checkSubDomains(ctx context.Context) error {
	named, global := v.body.domain.shown(), v.body.globalSubDomain
	for i, e := range v.body.entries {
		if v.out[i] {
			continue
		}
		key := strings.ToLower(string(e.SAM))
		_, twice := v.load.present[key]
		v.load.present[key] = struct{}{}
		var refusal *Refusal
		switch {
		case v.load.sub != 0 && e.SubDomain != "" && !strings.EqualFold(string(e.SubDomain), global.value):
			refusal = refusef("Underdomæne mismatch: %s != %s", global.shown(), shown(string(e.SubDomain)))
		case v.load.sub == 0 && e.SubDomain != "":
			id, err := v.subDomain(ctx, string(e.SubDomain))
			if err != nil {
				return err
			}
			if id == 0 {
				refusal = refusef("Ukendt underdomæne: %s", shown(string(e.SubDomain)))
			}
		}
		if refusal == nil && twice {
			refusal = refusef("Flere personer med tilknyttet AD konto (%s) for domæne %s", shown(string(e.SAM)), named)
		}
		if refusal != nil {
			if err := v.leaveOut(i, refusal); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkPeople leaves entries with a bad CPR number out and checks the others field by field.
func (v *validator) checkPeople(context.Context) error {
	v.load.people = make([]person, 0, len(v.body.entries))
	for i, e := range v.body.entries {
		if v.out[i] {
			continue
		}
		cpr := normalCPR(string(e.CPR))
		if !validCPR(cpr) {
			v.count(CountBadCPR)
			v.warnf("sprang %s over: CPR-nummeret er ikke gyldigt (vises ikke)", shown(string(e.SAM)))
			continue
		}
		if cpr != unknownCPR && !modulus11(cpr) {
			v.count(CountModulus)
		}
		if e.NSISAllowed == flagAbsent || e.TransferToNemLogin == flagAbsent {
			v.count(CountNoFlag)
		}
		p := person{entry: e, key: strings.ToLower(string(e.SAM)), cpr: cpr, domain: v.domain.ID}
		switch {
		case v.load.sub != 0:
			p.domain = v.load.sub
		case e.SubDomain != "":
			p.domain = v.subs[strings.ToLower(string(e.SubDomain))]
		}
		if refusal := v.checkPerson(&p); refusal != nil {
			if err := v.leaveOut(i, refusal); err != nil {
				return err
			}
			continue
		}
		v.load.people = append(v.load.people, p)
	}
	if n := v.counts[CountNoFlag]; n > 0 {
		v.warnf("%d personer mangler nsisAllowed eller transferToNemlogin, som regnes for false", n)
	}
	return nil
}

func (v *validator) checkPerson(p *person) *Refusal {
	id, named := p.UUID.shown(), v.body.domain.shown()
	if utf8.RuneCountInString(p.UUID.value) != uuidLength {
		return refusef("Person med ugyldigt UUID: %s for domæne %s", id, named)
	}
	if p.Name == "" {
		return refusef("Person uden navn: %s for domæne %s", id, named)
	}
	for _, f := range []struct {
		name  string
		value str
	}{{"samAccountName", p.SAM}, {"name", p.Name}, {"email", p.Email}, {"department", p.Department}, {"ean", p.EAN}, {"rid", p.RID}} {
		if tooLong(string(f.value), maxField) {
			return refusef("Person med for lang værdi i %s: %s for domæne %s", f.name, id, named)
		}
	}
	for name, value := range p.Attributes {
		if tooLong(name, maxField) || tooLong(value, maxAttribute) {
			return refusef("Person med for lang værdi i attributes: %s for domæne %s", id, named)
		}
	}
	if refusal := v.checkDates(p); refusal != nil {
		return refusal
	}
	if v.s.Options.ExternalUUIDs && p.ExternalUUID != "" {
		p.external = strings.ToLower(strings.TrimSpace(string(p.ExternalUUID)))
		if len(p.external) != uuidLength || uuid.Validate(p.external) != nil {
			p.external, p.badUUID = "", true
			v.count(CountBadUUID)
			v.warnf("externalNemloginUserUuid for %s er ikke et UUID", shown(string(p.SAM)))
		}
	}
	if v.s.Options.RoleAPI {
		for _, role := range p.Roles {
			if !slices.Contains(osRoles, string(role)) {
				return refusef("Unknown role: %s", shown(string(role)))
			}
			p.roles = append(p.roles, string(role))
		}
		slices.Sort(p.roles)
		p.roles = slices.Compact(p.roles)
	}
	return nil
}

func (v *validator) checkDates(p *person) *Refusal {
	parse := func(s str) (time.Time, *Refusal) {
		at, index, ok := parseTime(string(s), v.zone)
		if !ok {
			return at, refusef("Text '%s' could not be parsed at index %d", shown(string(s)), index)
		}
		return at, nil
	}
	if p.Expires != "" {
		at, refusal := parse(p.Expires)
		if refusal != nil {
			return refusal
		}
		at = storable(at)
		p.expires = &at
	}
	if p.PasswordOn != "" {
		at, refusal := parse(p.PasswordOn)
		if refusal != nil {
			return refusal
		}
		p.password = at.In(v.zone).Format(time.DateOnly)
	}
	return nil
}

// storable brings a time into the years that both databases keep; outside of them it stands for long ago or for never.
func storable(at time.Time) time.Time {
	at = at.UTC().Truncate(time.Microsecond)
	if first := time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC); at.Before(first) {
		return first
	}
	if last := time.Date(9999, 12, 30, 0, 0, 0, 0, time.UTC); at.After(last) {
		return last
	}
	return at
}

// tooLong compares characters; a text of so few bytes needn't be counted.
func tooLong(s string, most int) bool {
	return len(s) > most && utf8.RuneCountInString(s) > most
}
