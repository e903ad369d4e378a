package simulator

import (
	"bytes"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
)

var (
	pNumberPattern  = regexp.MustCompile(`^[0-9]{10}$`)
	seNumberPattern = regexp.MustCompile(`^[0-9]{8}$`)
)

type scopeWire struct {
	Type        string `json:"type"`
	Value       string `json:"value"`
	DisplayName string `json:"displayName,omitempty"` // ours: a field nobody asked for
}

type catalogueRoleWire struct {
	UUID           uuid.UUID `json:"uuid"`
	Name           string    `json:"name"`
	Description    *string   `json:"description"`
	IsBasicPackage bool      `json:"isBasicPackage"`
	TeaserText     *string   `json:"teaserText"`
	Category       *nameWire `json:"category,omitempty"` // ours
}

type nameWire struct {
	Name string `json:"name"`
}

type assignedRoleWire struct {
	Scope       scopeWire `json:"scope"`
	IsInternal  bool      `json:"isInternal"`
	From        *string   `json:"from"`
	To          *string   `json:"to"`
	UUID        uuid.UUID `json:"uuid"`
	Name        string    `json:"name"`
	Description *string   `json:"description"`
	TeaserText  *string   `json:"teaserText"`
	Assigned    string    `json:"assignedThrough,omitempty"` // ours
}

type roleWriteWire struct {
	Scope *struct {
		Type  string `json:"type"`
		Value string `json:"value"`
	} `json:"scope"`
	RoleUUIDs []string `json:"roleUuids"`
}

type unitWire struct {
	PNumber       any    `json:"pNumber"`
	CVRNumber     string `json:"cvrNumber"`
	Name          string `json:"name"`
	StreetName    string `json:"streetName"`
	StreetHouse   string `json:"streetBuildingIdentifier"`
	PostDistrict  string `json:"districtName,omitempty"` // ours
	PostCodeValue string `json:"postCodeIdentifier,omitempty"`
}

type seNumberWire struct {
	SENumber string `json:"seNumber"`
	Name     string `json:"name,omitempty"` // ours
}

// readCatalogue answers the roles that can be assigned.
func (c *call) readCatalogue() answer {
	extra := c.on(UnknownFields)
	type catalogueWire struct {
		Roles []catalogueRoleWire `json:"roles"`
		Total *int                `json:"totalCount,omitempty"` // ours
	}
	wire := catalogueWire{Roles: []catalogueRoleWire{}}
	cat := c.world().catalogue.Load()
	empty := c.on(EmptyCatalogue)
	partial := c.strike(PartialCatalogue)
	var answerNumber uint64
	if partial != nil {
		answerNumber = uint64(partial.shown.Load())
	}
	missing := c.strike(RoleMissing)
	sameNames := c.on(SameNameRoles)
	for i, r := range cat.roles {
		if !r.listed.Load() || empty ||
			partial != nil && chance(partial.salt+answerNumber, hashUUID(r.uuid)) < partial.share(0.5) ||
			missing != nil && missing.takes(r) {
			continue
		}
		item := catalogueRoleWire{UUID: r.uuid, Name: r.name, Description: optional(r.description), IsBasicPackage: r.basic}
		if sameNames {
			item.Name = otherName(cat, i)
		}
		if extra {
			item.Category = &nameWire{"Andre"}
		}
		wire.Roles = append(wire.Roles, item)
	}
	if extra {
		n := len(wire.Roles)
		wire.Total = &n
	}
	return ok(wire)
}

// takes tells whether role-missing-from-catalogue has taken a role away.
func (f *activeFault) takes(r *role) bool {
	if f.Value != "" {
		return f.Value == r.uuid.String()
	}
	return chance(f.salt, hashUUID(r.uuid)) < f.share(0.1)
}

// otherName gives some roles their neighbour's name, and some a name longer than 128 characters.
func otherName(cat *catalogue, i int) string {
	switch name := cat.roles[i].name; {
	case i%10 == 1:
		return cat.roles[i-1].name
	case i%10 == 2:
		for len(name) <= 160 {
			name += " – " + cat.roles[i].name
		}
		return name
	default:
		return name
	}
}

// readRoles answers what an identity holds.
func (c *call) readRoles() answer {
	who := c.world().lock(c.identity)
	if who == nil {
		return c.unknownIdentity()
	}
	held := who.grants
	if f := c.faults[StaleRead]; f != nil && who.before != nil && c.now.Before(who.before.until) && c.on(StaleRead) {
		held = who.before.grants
	}
	held = slices.Clone(held)
	who.mu.Unlock()

	extra := c.on(UnknownFields)
	outside := c.on(RoleOutsideCatalogue)
	sameNames := c.on(SameNameRoles)
	cat := c.world().catalogue.Load()
	wire := make([]assignedRoleWire, 0, len(held)+1)
	for _, g := range held {
		if !outside && !g.role.listed.Load() {
			continue
		}
		item := assignedRoleWire{
			Scope: scopeWire{Type: g.scopeType, Value: g.value}, IsInternal: g.role.internal,
			UUID: g.role.uuid, Name: g.role.name, Description: optional(g.role.description),
		}
		if sameNames {
			item.Name = otherName(cat, slices.Index(cat.roles, g.role))
		}
		if c.faults[TimedAssignment] != nil {
			c.timed(&item)
		}
		wire = append(wire, item)
	}
	thing := hashUUID(c.identity)
	if len(cat.roles) > 0 {
		r := cat.roles[thing%uint64(len(cat.roles))]
		item := assignedRoleWire{UUID: r.uuid, Name: r.name, Description: optional(r.description)}
		if c.affects(UnknownScopeType, thing) {
			item.Scope = scopeWire{Type: "Afdeling", Value: "4711"}
			wire = append(wire, item)
		}
		if c.affects(OtherCVRScope, thing) {
			item.Scope = scopeWire{Type: ScopeCVR, Value: otherCVR(c.world().cvr)}
			wire = append(wire, item)
		}
	}
	if extra {
		for i := range wire {
			wire[i].Assigned = "Direct"
			wire[i].Scope.DisplayName = wire[i].Scope.Type + " " + wire[i].Scope.Value
		}
	}
	return c.list("roles", wire)
}

// otherCVR is an invented number that is not the organisation's own.
func otherCVR(own string) string {
	if own == "99900099" {
		return "99900088"
	}
	return "99900099"
}

// timed puts a time limit on a grant: one that is over, one that runs, or one that is to come.
func (c *call) timed(item *assignedRoleWire) {
	thing := mix(hashUUID(item.UUID) ^ hashUUID(c.identity) ^ hashText(item.Scope.Type+item.Scope.Value))
	if !c.affects(TimedAssignment, thing) {
		return
	}
	from, to := c.now.AddDate(0, -2, 0), c.now.AddDate(0, 2, 0)
	switch thing % 3 {
	case 0:
		to = c.now.AddDate(0, -1, 0)
	case 1:
		from = c.now.AddDate(0, 1, 0)
	}
	item.From, item.To = optional(from.UTC().Format(time.RFC3339)), optional(to.UTC().Format(time.RFC3339))
}

func (c *call) unknownIdentity() answer {
	if c.on(UnknownIdentity500) {
		return seeLog()
	}
	return notFound("identity")
}

// addRoles grants roles with one scope. Nothing is granted when one role is bad, unless a fault says otherwise.
func (c *call) addRoles() answer {
	scope, roles, refused := c.readRoleWrite()
	if refused != nil {
		return *refused
	}
	if !c.world().has(scope.Type, scope.Value) {
		if f := c.strike(ScopeRejected); f != nil {
			return failure(f.status(http.StatusBadRequest), "InvalidScope", "The scope is not one of the organisation's.")
		}
	}
	good, refusal := c.sort(roles, func(r *role) bool { return r.listed.Load() })
	who := c.world().lock(c.identity)
	if who == nil {
		return c.unknownIdentity()
	}
	defer who.mu.Unlock()
	if slices.ContainsFunc(good, func(r *role) bool { return who.holds(grant{r, scope.Type, scope.Value}) }) {
		if f := c.strike(RepeatAddError); f != nil {
			return failure(f.status(http.StatusConflict), "AlreadyAssigned", "The role is assigned already.")
		}
	}
	c.keepBefore(who)
	for _, r := range good {
		who.add(grant{r, scope.Type, scope.Value})
	}
	if refusal != nil {
		return *refusal
	}
	return c.done()
}

// removeRoles takes roles with one scope away. What is not held makes no difference.
func (c *call) removeRoles() answer {
	if len(bytes.TrimSpace(c.body)) == 0 || !c.deleteHasBody() {
		if !c.on(DeleteWithBody) {
			return c.done()
		}
		return badRequest("A body is required.")
	}
	scope, roles, refused := c.readRoleWrite()
	if refused != nil {
		return *refused
	}
	good, refusal := c.sort(roles, func(*role) bool { return true })
	who := c.world().lock(c.identity)
	if who == nil {
		return c.unknownIdentity()
	}
	defer who.mu.Unlock()
	held := func(r *role) bool { return who.holds(grant{r, scope.Type, scope.Value}) }
	if !c.world().has(scope.Type, scope.Value) && !slices.ContainsFunc(good, held) {
		if f := c.strike(ScopeRejected); f != nil {
			return failure(f.status(http.StatusBadRequest), "InvalidScope", "The scope is not one of the organisation's.")
		}
	}
	if slices.ContainsFunc(good, func(r *role) bool { return !held(r) }) {
		if f := c.strike(RepeatDeleteError); f != nil {
			return failure(f.status(http.StatusNotFound), "NotAssigned", "The role is not assigned.")
		}
	}
	if slices.ContainsFunc(good, func(r *role) bool { return r.basic }) {
		if f := c.strike(BasicPackageSticky); f != nil {
			if f.Status > 299 {
				return failure(f.Status, "BasicPackage", "Roles of the basic package cannot be removed.")
			}
			good = slices.DeleteFunc(good, func(r *role) bool { return r.basic })
		}
	}
	c.keepBefore(who)
	for _, r := range good {
		who.drop(grant{r, scope.Type, scope.Value})
	}
	if refusal != nil {
		return *refusal
	}
	return c.done()
}

// deleteHasBody is false when delete-with-body is off: then the body of a DELETE is lost on the way, as some proxies do.
func (c *call) deleteHasBody() bool { return c.faults[DeleteWithBody] != nil }

// readRoleWrite reads and checks the body of a write: a scope of a known type with a value, and at least one role.
func (c *call) readRoleWrite() (Scope, []uuid.UUID, *answer) {
	refuse := func(a answer) (Scope, []uuid.UUID, *answer) { return Scope{}, nil, &a }
	wire, refused := decode[roleWriteWire](c)
	if refused != nil {
		return Scope{}, nil, refused
	}
	if wire.Scope == nil {
		return refuse(badRequest("A scope is required."))
	}
	scope := Scope{wire.Scope.Type, wire.Scope.Value}
	c.record.Scope, c.record.Roles = scope, wire.RoleUUIDs
	if err := checkScope(scope); err != nil {
		return refuse(badRequest("%s", err))
	}
	if len(wire.RoleUUIDs) == 0 {
		return refuse(badRequest("At least one role is required."))
	}
	ids := make([]uuid.UUID, len(wire.RoleUUIDs))
	for i, text := range wire.RoleUUIDs {
		id, err := parseUUID(text)
		if err != nil {
			return refuse(badRequest("A role is not a UUID."))
		}
		ids[i] = id
	}
	return scope, ids, nil
}

// checkScope checks the form of a scope, not whether the organisation has it.
func checkScope(scope Scope) error {
	switch {
	case scope.Type != ScopeCVR && scope.Type != ScopePU && scope.Type != ScopeSE:
		return fmt.Errorf("the scope's type must be %s, %s or %s", ScopeCVR, ScopePU, ScopeSE)
	case scope.Type == ScopePU && !pNumberPattern.MatchString(scope.Value):
		return fmt.Errorf("a P-number has ten digits")
	case scope.Type != ScopePU && !seNumberPattern.MatchString(scope.Value):
		return fmt.Errorf("a CVR number or SE-number has eight digits")
	default:
		return nil
	}
}

// sort finds the roles of a write that are to be applied, and how the call is answered if not as done. Both are set when a
// call is refused though part of it is applied: what the real service does with one bad role among several is not known,
// so faults decide.
func (c *call) sort(ids []uuid.UUID, usable func(*role) bool) (good []*role, refusal *answer) {
	if len(ids) > 1 {
		if f := c.strike(BatchRejected); f != nil {
			a := failure(f.status(http.StatusBadRequest), "TooManyRoles", "One role at a time.")
			return nil, &a
		}
	}
	atomicFault, partialFault := c.faults[BatchAtomic], c.faults[BatchPartialFailure]
	bad := false
	for _, id := range ids {
		r := c.world().role(id)
		cursed := atomicFault != nil && atomicFault.Value == id.String() || partialFault != nil && partialFault.Value == id.String()
		if r == nil || !usable(r) || cursed {
			bad = true
			continue
		}
		good = append(good, r)
	}
	if !bad {
		return good, nil
	}
	a := failure(http.StatusBadRequest, "UnknownRole", "A role is not known or cannot be assigned.")
	if f := c.strike(BatchAtomic); f != nil {
		a.status = f.status(a.status)
		return nil, &a
	}
	if f := c.strike(BatchPartialFailure); f != nil && len(ids) > 1 {
		a.status = f.status(a.status)
		if a.status < 300 {
			a = c.done()
		}
		return good, &a
	}
	return nil, &a
}

// staleGrants is what stale reads go on answering for a while.
type staleGrants struct {
	grants []grant
	until  time.Time
}

// keepBefore remembers what an identity held before a write, when reads are to lag behind. The caller holds its lock.
func (c *call) keepBefore(who *identity) {
	f := c.faults[StaleRead]
	if f == nil || who.before != nil && c.now.Before(who.before.until) {
		return
	}
	delay := f.Delay
	if delay == 0 {
		delay = 2 * time.Second
	}
	who.before = &staleGrants{slices.Clone(who.grants), c.now.Add(delay)}
}

// readPNumbers answers the organisation's production units.
func (c *call) readPNumbers() answer {
	wire := []unitWire{}
	asText := !c.on(PNumberNumber)
	asText = c.on(PNumberString) || asText
	extra := c.on(UnknownFields)
	for _, u := range c.world().numbers.Load().units {
		item := unitWire{CVRNumber: c.world().cvr, Name: u.name, StreetName: u.street, StreetHouse: u.house}
		if number, err := strconv.ParseInt(u.number, 10, 64); err == nil && !asText {
			item.PNumber = number
		} else {
			item.PNumber = u.number
		}
		if extra {
			item.PostDistrict, item.PostCodeValue = "Eksempelby", "9999"
		}
		wire = append(wire, item)
	}
	if c.on(EmptyPNumbers) {
		wire = []unitWire{}
	}
	return c.list("productionUnits", wire)
}

// readSENumbers answers the organisation's SE-numbers.
func (c *call) readSENumbers() answer {
	wire := []seNumberWire{}
	extra := c.on(UnknownFields)
	for _, number := range c.world().numbers.Load().se {
		item := seNumberWire{SENumber: number}
		if extra {
			item.Name = c.sim.opts.Organisation
		}
		wire = append(wire, item)
	}
	if c.on(EmptySENumbers) {
		wire = []seNumberWire{}
	}
	return c.list("seNumbers", wire)
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
