package simulator

import (
	"slices"

	"github.com/google/uuid"
)

type groupWriteWire struct {
	Name                        string     `json:"name"`
	Description                 string     `json:"description"`
	OrganizationGroupIdentifier string     `json:"organizationGroupIdentifier"`
	Scope                       *scopeWire `json:"scope"`
	MainGroupType               string     `json:"mainGroupType"`
}

type groupWire struct {
	UUID                        uuid.UUID       `json:"uuid"`
	Name                        string          `json:"name"`
	Description                 string          `json:"description"`
	OrganizationGroupIdentifier string          `json:"organizationGroupIdentifier"`
	Scope                       scopeWire       `json:"scope"`
	Roles                       []groupRoleWire `json:"roles"`
	MemberCount                 *int            `json:"memberCount,omitempty"` // ours
}

type groupRoleWire struct {
	UUID uuid.UUID `json:"uuid"`
	Name string    `json:"name,omitempty"` // ours
}

// readGroupWrite reads and checks the body that makes or changes a group.
func (c *call) readGroupWrite(create bool) (groupWriteWire, *answer) {
	wire, refused := decode[groupWriteWire](c)
	if refused != nil {
		return wire, refused
	}
	refuse := func(a answer) (groupWriteWire, *answer) { return wire, &a }
	if err := checkText("name", wire.Name); err != nil {
		return refuse(badRequest("%s", err))
	}
	if create && wire.MainGroupType != "Regular" {
		return refuse(badRequest("The mainGroupType must be Regular."))
	}
	if wire.Scope == nil {
		return refuse(badRequest("A scope is required."))
	}
	if err := checkScope(Scope{wire.Scope.Type, wire.Scope.Value}); err != nil {
		return refuse(badRequest("%s", err))
	}
	if !c.world().has(wire.Scope.Type, wire.Scope.Value) {
		if f := c.strike(ScopeRejected); f != nil {
			return refuse(failure(f.status(400), "InvalidScope", "The scope is not one of the organisation's."))
		}
	}
	return wire, nil
}

func (g *group) set(wire groupWriteWire) {
	g.name, g.description, g.identifier = wire.Name, wire.Description, wire.OrganizationGroupIdentifier
	g.scope = scopeWire{Type: wire.Scope.Type, Value: wire.Scope.Value}
}

func (c *call) createGroup() answer {
	wire, refused := c.readGroupWrite(true)
	if refused != nil {
		return *refused
	}
	g := &group{uuid: c.world().newUUID()}
	g.set(wire)
	groups := &c.world().groups
	groups.mu.Lock()
	defer groups.mu.Unlock()
	groups.byUUID[g.uuid] = g
	return ok(map[string]uuid.UUID{"uuid": g.uuid})
}

// group reads the group's UUID from the path and finds it. The caller holds the lock on the groups.
func (c *call) group() (*group, *answer) {
	id, err := parseUUID(c.request.PathValue("group"))
	if err != nil {
		a := badRequest("The path holds something that is not a UUID.")
		return nil, &a
	}
	g := c.world().groups.byUUID[id]
	if g == nil {
		a := notFound("group")
		return nil, &a
	}
	return g, nil
}

func (c *call) readGroup() answer {
	groups := &c.world().groups
	groups.mu.RLock()
	defer groups.mu.RUnlock()
	g, refused := c.group()
	if refused != nil {
		return *refused
	}
	wire := groupWire{
		UUID: g.uuid, Name: g.name, Description: g.description, OrganizationGroupIdentifier: g.identifier, Scope: g.scope,
		Roles: []groupRoleWire{},
	}
	extra := c.on(UnknownFields)
	for _, id := range g.roles {
		item := groupRoleWire{UUID: id}
		if extra {
			item.Name = c.world().role(id).name
		}
		wire.Roles = append(wire.Roles, item)
	}
	if extra {
		none := 0
		wire.MemberCount, wire.Scope.DisplayName = &none, g.scope.Type+" "+g.scope.Value
	}
	return ok(wire)
}

// changeGroup locks the groups, finds the one in the path and changes it.
func (c *call) changeGroup(do func(*group) *answer) answer {
	groups := &c.world().groups
	groups.mu.Lock()
	defer groups.mu.Unlock()
	g, refused := c.group()
	if refused != nil {
		return *refused
	}
	if refused := do(g); refused != nil {
		return *refused
	}
	return c.done()
}

func (c *call) updateGroup() answer {
	wire, refused := c.readGroupWrite(false)
	if refused != nil {
		return *refused
	}
	return c.changeGroup(func(g *group) *answer {
		g.set(wire)
		return nil
	})
}

func (c *call) deleteGroup() answer {
	if refused := c.noBody(); refused != nil {
		return *refused
	}
	return c.changeGroup(func(g *group) *answer {
		delete(c.world().groups.byUUID, g.uuid)
		return nil
	})
}

func (c *call) addGroupRole() answer {
	if refused := c.noBody(); refused != nil {
		return *refused
	}
	return c.changeGroup(func(g *group) *answer {
		r := c.world().role(c.object)
		if r == nil || !r.listed.Load() {
			a := notFound("role")
			return &a
		}
		if !slices.Contains(g.roles, r.uuid) {
			g.roles = append(g.roles, r.uuid)
		}
		return nil
	})
}

func (c *call) removeGroupRole() answer {
	if refused := c.noBody(); refused != nil {
		return *refused
	}
	return c.changeGroup(func(g *group) *answer {
		i := slices.Index(g.roles, c.object)
		if i < 0 {
			a := notFound("role")
			return &a
		}
		g.roles = slices.Delete(g.roles, i, i+1)
		return nil
	})
}
