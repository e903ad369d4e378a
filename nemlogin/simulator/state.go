package simulator

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// The errors of what changes the world.
var (
	ErrUnknownIdentity = errors.New("unknown identity")
	ErrUnknownRole     = errors.New("unknown role")
)

// Scope is where a role holds: a type (Cvr, PU or SE) and its value.
type Scope struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// State is the whole world, as it is held: what faults make up is not in it. There are no CPR numbers in it.
type State struct {
	Roles      []Role     `json:"roles"`
	Identities []Identity `json:"identities"`
}

// Role is a right in the catalogue.
type Role struct {
	UUID string `json:"uuid"`
	Name string `json:"name"`

	Description  string `json:"-"`
	BasicPackage bool   `json:"-"`
}

// Identity is a user of the organisation.
type Identity struct {
	UUID           string          `json:"uuid"`
	Status         string          `json:"status"`
	GivenName      string          `json:"givenName"`
	Surname        string          `json:"surname"`
	EmailAddress   string          `json:"emailAddress"`
	Roles          []AssignedRole  `json:"roles"`
	AdminRoles     []string        `json:"adminRoles"`
	Authenticators []Authenticator `json:"authenticators"`

	// UserID is the name of the user's account in the municipality; empty for those who were not seeded.
	UserID string `json:"-"`
	// RID is the number an imported user is matched by.
	RID string `json:"-"`
	// Imported tells that the user comes from NemID's days and is not activated.
	Imported bool `json:"-"`
	// AllowSigning tells whether the user may sign for the organisation.
	AllowSigning bool `json:"-"`
}

// AssignedRole is a role an identity holds.
type AssignedRole struct {
	UUID  string `json:"uuid"`
	Scope Scope  `json:"scope"`
}

// Authenticator is one of an identity's login means.
type Authenticator struct {
	UUID   string `json:"uuid"`
	Type   string `json:"type"`
	Status string `json:"status"`
	ID     string `json:"id,omitempty"`
}

// Holds tells whether the identity holds a role with exactly this scope.
func (i Identity) Holds(role, scopeType, value string) bool {
	return slices.Contains(i.Roles, AssignedRole{strings.ToLower(role), Scope{scopeType, value}})
}

// State returns a copy of the world, roles and identities in the order they were made.
func (s *Simulator) State() State {
	state := State{Roles: s.Roles(), Identities: []Identity{}}
	s.eachIdentity(func(i Identity) bool {
		state.Identities = append(state.Identities, i)
		return true
	})
	return state
}

// Roles returns the catalogue.
func (s *Simulator) Roles() []Role {
	roles := []Role{}
	for _, r := range s.world.catalogue.Load().roles {
		if r.listed.Load() {
			roles = append(roles, Role{UUID: r.uuid.String(), Name: r.name, Description: r.description, BasicPackage: r.basic})
		}
	}
	return roles
}

// PNumbers returns the organisation's P-numbers.
func (s *Simulator) PNumbers() []string {
	var out []string
	for _, u := range s.world.numbers.Load().units {
		out = append(out, u.number)
	}
	return out
}

// SENumbers returns the organisation's SE-numbers.
func (s *Simulator) SENumbers() []string { return slices.Clone(s.world.numbers.Load().se) }

func (s *Simulator) eachIdentity(yield func(Identity) bool) {
	for _, who := range s.world.all() {
		who.mu.Lock()
		gone := who.deleted
		i := who.describe()
		who.mu.Unlock()
		if !gone && !yield(i) {
			return
		}
	}
}

// Identity returns one identity.
func (s *Simulator) Identity(id string) (Identity, bool) {
	who, err := s.find(id)
	if err != nil {
		return Identity{}, false
	}
	defer who.mu.Unlock()
	return who.describe(), true
}

func (who *identity) describe() Identity {
	i := Identity{
		UUID: who.uuid.String(), Status: who.status, GivenName: who.given, Surname: who.surname, EmailAddress: who.email,
		Roles: make([]AssignedRole, len(who.grants)), AdminRoles: append([]string{}, who.admin...),
		Authenticators: make([]Authenticator, len(who.authenticators)),
		UserID:         who.user, RID: who.rid, Imported: who.stage != notImported, AllowSigning: who.allowSigning,
	}
	for n, g := range who.grants {
		i.Roles[n] = AssignedRole{g.role.uuid.String(), Scope{g.scopeType, g.value}}
	}
	for n, a := range who.authenticators {
		i.Authenticators[n] = Authenticator{a.uuid.String(), a.kind, a.status, a.id}
	}
	return i
}

// find locks an identity. The caller unlocks it.
func (s *Simulator) find(id string) (*identity, error) {
	parsed, err := parseUUID(id)
	if err != nil {
		return nil, fmt.Errorf("%w: %q is not a UUID", ErrUnknownIdentity, id)
	}
	who := s.world.lock(parsed)
	if who == nil {
		return nil, fmt.Errorf("%w %s", ErrUnknownIdentity, parsed)
	}
	return who, nil
}

func (s *Simulator) findRole(id string) (*role, error) {
	parsed, err := parseUUID(id)
	if err != nil {
		return nil, fmt.Errorf("%w: %q is not a UUID", ErrUnknownRole, id)
	}
	r := s.world.role(parsed)
	if r == nil {
		return nil, fmt.Errorf("%w %s", ErrUnknownRole, parsed)
	}
	return r, nil
}

// Grant gives an identity a role, as somebody does in MitID Erhverv's own pages. Any scope type and value goes.
func (s *Simulator) Grant(identityUUID, roleUUID, scopeType, value string) error {
	return s.alter(identityUUID, roleUUID, func(who *identity, r *role) { who.add(grant{r, scopeType, value}) })
}

// Revoke takes a role away again. It is no error when the identity does not hold it.
func (s *Simulator) Revoke(identityUUID, roleUUID, scopeType, value string) error {
	return s.alter(identityUUID, roleUUID, func(who *identity, r *role) { who.drop(grant{r, scopeType, value}) })
}

func (s *Simulator) alter(identityUUID, roleUUID string, do func(*identity, *role)) error {
	r, err := s.findRole(roleUUID)
	if err != nil {
		return err
	}
	who, err := s.find(identityUUID)
	if err != nil {
		return err
	}
	defer who.mu.Unlock()
	do(who, r)
	return nil
}

// AddRole puts a new role into the catalogue and returns its UUID.
func (s *Simulator) AddRole(name, description string) string {
	r := &role{uuid: s.world.newUUID(), name: name, description: description}
	r.listed.Store(true)
	s.world.addRole(r)
	return r.uuid.String()
}

// RemoveRoleFromCatalogue withdraws a role. Those who hold it keep it.
func (s *Simulator) RemoveRoleFromCatalogue(role string) error { return s.list(role, false) }

// RestoreRole puts a withdrawn role back.
func (s *Simulator) RestoreRole(role string) error { return s.list(role, true) }

func (s *Simulator) list(role string, listed bool) error {
	r, err := s.findRole(role)
	if err != nil {
		return err
	}
	r.listed.Store(listed)
	return nil
}

// NewIdentity says whom AddIdentity makes.
type NewIdentity struct {
	UUID         string // default: a new one
	GivenName    string
	Surname      string
	EmailAddress string
	CPRNumber    string
	Status       string // default Active
	Subject      string // the local user name; empty for no local authenticator
	RID          string
	Imported     bool // from NemID's days, not activated
}

// AddIdentity makes an identity, as somebody does in MitID Erhverv's own pages, and returns its UUID.
func (s *Simulator) AddIdentity(n NewIdentity) (string, error) {
	who := &identity{
		uuid: s.world.newUUID(), status: StatusActive, ial: "Substantial",
		given: n.GivenName, surname: n.Surname, email: n.EmailAddress, cpr: n.CPRNumber, rid: n.RID,
	}
	if n.UUID != "" {
		id, err := parseUUID(n.UUID)
		if err != nil {
			return "", fmt.Errorf("adding an identity: %q is not a UUID", n.UUID)
		}
		who.uuid = id
	}
	if s.world.exists(who.uuid) {
		return "", fmt.Errorf("adding an identity: %s is there already", who.uuid)
	}
	if n.Imported {
		who.stage, who.status = imported, StatusPending
	}
	if n.Status != "" {
		who.status = n.Status
	}
	if n.Subject != "" {
		if !s.world.claimSubject(n.Subject, who) {
			return "", fmt.Errorf("adding an identity: the local user name %q is in use", n.Subject)
		}
		who.authenticators = []authenticator{
			{uuid: s.world.newUUID(), kind: LocalIdentityProvider, status: StatusActive, id: n.Subject},
		}
	}
	who.id = 400000 + s.world.ids.Add(1)
	id := who.uuid.String()
	s.world.insert(who)
	return id, nil
}

// RemoveIdentity deletes an identity.
func (s *Simulator) RemoveIdentity(identity string) error {
	who, err := s.find(identity)
	if err != nil {
		return err
	}
	defer who.mu.Unlock()
	s.world.remove(who)
	return nil
}

// SetStatus gives an identity a status.
func (s *Simulator) SetStatus(identity, status string) error {
	who, err := s.find(identity)
	if err != nil {
		return err
	}
	defer who.mu.Unlock()
	who.status = status
	return nil
}

// SetAdminRoles gives an identity these administrator roles and no others.
func (s *Simulator) SetAdminRoles(identity string, roles ...string) error {
	who, err := s.find(identity)
	if err != nil {
		return err
	}
	defer who.mu.Unlock()
	who.admin = slices.Clone(roles)
	return nil
}

// AddPNumber adds a production unit to the organisation.
func (s *Simulator) AddPNumber(number, name string) error {
	if !pNumberPattern.MatchString(number) {
		return fmt.Errorf("adding a production unit: %q does not have ten digits", number)
	}
	s.changeNumbers(func(units []unit, se []string) ([]unit, []string) {
		return append(units, unit{number: number, name: name, street: "Torvegade", house: "1"}), se
	})
	return nil
}

// RemovePNumber takes a production unit from the organisation. Roles held for it stay.
func (s *Simulator) RemovePNumber(number string) {
	s.changeNumbers(func(units []unit, se []string) ([]unit, []string) {
		return slices.DeleteFunc(units, func(u unit) bool { return u.number == number }), se
	})
}

// AddSENumber adds an SE-number to the organisation.
func (s *Simulator) AddSENumber(number string) error {
	if !seNumberPattern.MatchString(number) {
		return fmt.Errorf("adding an SE-number: %q does not have eight digits", number)
	}
	s.changeNumbers(func(units []unit, se []string) ([]unit, []string) { return units, append(se, number) })
	return nil
}

// RemoveSENumber takes an SE-number from the organisation. Roles held for it stay.
func (s *Simulator) RemoveSENumber(number string) {
	s.changeNumbers(func(units []unit, se []string) ([]unit, []string) {
		return units, slices.DeleteFunc(se, func(n string) bool { return n == number })
	})
}

func (s *Simulator) changeNumbers(change func([]unit, []string) ([]unit, []string)) {
	s.world.changing.Lock()
	defer s.world.changing.Unlock()
	n := s.world.numbers.Load()
	s.world.setNumbers(change(slices.Clone(n.units), slices.Clone(n.se)))
}

// ChangeUUID gives an identity a new UUID, as has happened when organisations were connected, and returns it.
func (s *Simulator) ChangeUUID(identity string) (string, error) {
	id, err := parseUUID(identity)
	if err == nil {
		if changed, ok := s.changeUUID(id); ok {
			return changed.String(), nil
		}
	}
	return "", fmt.Errorf("changing a UUID: %w %s", ErrUnknownIdentity, identity)
}

func (s *Simulator) changeUUID(id uuid.UUID) (uuid.UUID, bool) {
	s.world.moving.Lock()
	defer s.world.moving.Unlock()
	who := s.world.lock(id)
	if who == nil {
		return uuid.Nil, false
	}
	defer who.mu.Unlock()
	changed := s.world.newUUID()
	s.world.rename(who, changed)
	return changed, true
}

// SwapUUIDs exchanges the UUIDs of two identities, with everything else staying where it is: a UUID moves to another
// user.
func (s *Simulator) SwapUUIDs(one, other string) error {
	var ids [2]uuid.UUID
	for i, text := range []string{one, other} {
		id, err := parseUUID(text)
		if err != nil {
			return fmt.Errorf("moving a UUID: %w: %q is not a UUID", ErrUnknownIdentity, text)
		}
		ids[i] = id
	}
	if !s.swap(ids[0], ids[1]) {
		return fmt.Errorf("moving a UUID: %w %s or %s", ErrUnknownIdentity, one, other)
	}
	return nil
}

// swap holds the locks of both identities while it exchanges their UUIDs, so that nobody finds one of them missing. It is
// the only one to hold two, and holds w.moving.
func (s *Simulator) swap(one, other uuid.UUID) bool {
	w := s.world
	w.moving.Lock()
	defer w.moving.Unlock()
	if one == other {
		return false
	}
	first := w.lock(one)
	if first == nil {
		return false
	}
	defer first.mu.Unlock()
	second := w.lock(other)
	if second == nil {
		return false
	}
	defer second.mu.Unlock()
	first.uuid, second.uuid = other, one
	w.place(first)
	w.place(second)
	return true
}

// moveToNext swaps an identity's UUID with that of the identity made after it, or of the first.
func (s *Simulator) moveToNext(id uuid.UUID) {
	all := s.world.all()
	for i, who := range all {
		who.mu.Lock()
		found := who.uuid == id && !who.deleted
		who.mu.Unlock()
		if !found {
			continue
		}
		next := all[(i+1)%len(all)]
		next.mu.Lock()
		other := next.uuid
		next.mu.Unlock()
		s.swap(id, other)
		return
	}
}

// foreignChange does what somebody does in the portal: takes one of the identity's roles away, or gives it one.
func (s *Simulator) foreignChange(id uuid.UUID) {
	cat := s.world.catalogue.Load()
	draw := rand.New(rand.NewPCG(s.world.seed^hashText(ForeignChange), s.changes.Add(1)))
	who := s.world.lock(id)
	if who == nil {
		return
	}
	defer who.mu.Unlock()
	if len(who.grants) > 0 && draw.IntN(2) == 0 {
		who.drop(who.grants[draw.IntN(len(who.grants))])
		return
	}
	for range cat.roles { // a role that is listed, wherever one begins to look
		r := cat.roles[draw.IntN(len(cat.roles))]
		if r.listed.Load() && who.add(grant{r, ScopeCVR, s.world.cvr}) {
			return
		}
	}
}
