package simulator

import (
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"
)

type authenticatorWire struct {
	UUID    uuid.UUID `json:"uuid"`
	Type    string    `json:"type"`
	Status  string    `json:"status"`
	ID      *string   `json:"id"`
	Created string    `json:"created,omitempty"` // ours
}

// readAuthenticators answers an employee's login means.
func (c *call) readAuthenticators() answer {
	who := c.world().lock(c.identity)
	if who == nil {
		return notFound("employee")
	}
	held := slices.Clone(who.authenticators)
	who.mu.Unlock()
	extra := c.on(UnknownFields)
	type authenticatorsWire struct {
		Authenticators []authenticatorWire `json:"authenticators"`
		Shared         *[]string           `json:"sharedAuthenticators,omitempty"` // ours
	}
	wire := authenticatorsWire{Authenticators: []authenticatorWire{}}
	strange := c.affects(UnknownEnum, hashUUID(c.identity))
	for _, a := range held {
		item := authenticatorWire{UUID: a.uuid, Type: a.kind, Status: a.status, ID: optional(a.id)}
		switch {
		case strange:
			item.Type, item.Status = "Passkey", "Initialised"
		case a.kind == PrivateMitID && !c.on(TypeNameMismatch):
			item.Type = privateMitIDAsked
		}
		if extra {
			item.Created = "2024-01-31T08:15:00Z"
		}
		wire.Authenticators = append(wire.Authenticators, item)
	}
	if extra {
		wire.Shared = &[]string{}
	}
	return ok(wire)
}

// requestCredentials gives an employee login means: a local user name, or the use of the private MitID. It is the last
// step of an imported user's activation.
func (c *call) requestCredentials() answer {
	wire, refused := decode[struct {
		AuthenticatorSettingTypes []string `json:"authenticatorSettingTypes"`
		AuthenticatorTypesToShip  []string `json:"authenticatorTypesToShip"`
		SharedCredentialUUIDs     []string `json:"sharedCredentialUuids"`
		SubjectNameID             *string  `json:"subjectNameId"`
	}](c)
	if refused != nil {
		return *refused
	}
	subject := ""
	if wire.SubjectNameID != nil {
		subject = *wire.SubjectNameID
	}
	return c.change(func(who *identity) *answer {
		if who.stage != notImported && who.stage != ordered && c.on(ImportedOrder) {
			a := failure(http.StatusConflict, "NotOrdered", "An imported user needs a draft profile and an activation order first.")
			return &a
		}
		if refused := c.assignAuthenticators(who, wire.AuthenticatorSettingTypes, subject, "CredentialConflict"); refused != nil {
			return refused
		}
		who.stage = notImported
		return nil
	})
}

// assignAuthenticators gives an identity that the caller has locked the login means of these types. With a local one it
// can log in at once, so a pending identity becomes active; the private MitID waits for its owner.
func (c *call) assignAuthenticators(who *identity, types []string, subject, conflict string) *answer {
	refuse := func(a answer) *answer { return &a }
	if len(types) == 0 {
		return refuse(badRequest("At least one authenticator type is required."))
	}
	for _, t := range types {
		if t != LocalIdentityProvider && t != privateMitIDAsked {
			return refuse(badRequest("The authenticator type is not known."))
		}
	}
	switch {
	case slices.Contains(types, LocalIdentityProvider):
		if refused := c.assignSubject(who, subject, conflict); refused != nil {
			return refused
		}
	case subject != "":
		return refuse(badRequest("A subjectNameId belongs to a local authenticator."))
	}
	isPrivate := func(a authenticator) bool { return a.kind == PrivateMitID }
	if slices.Contains(types, privateMitIDAsked) && !slices.ContainsFunc(who.authenticators, isPrivate) {
		who.authenticators = append(who.authenticators, authenticator{
			uuid: c.world().newUUID(), kind: PrivateMitID, status: StatusPending,
		})
	}
	return nil
}

// assignSubject gives an identity a local user name, in place of the one it has.
func (c *call) assignSubject(who *identity, subject, conflict string) *answer {
	if err := checkText("subjectNameId", subject); err != nil {
		a := badRequest("%s", err)
		return &a
	}
	if !c.world().claimSubject(subject, who) {
		if c.on(CreateConflict409) {
			a := failure(http.StatusConflict, conflict, "The subjectNameId is in use.")
			return &a
		}
		c.world().takeSubject(subject, who)
	}
	if i := who.local(); i >= 0 {
		if !strings.EqualFold(who.authenticators[i].id, subject) {
			c.world().releaseSubject(who.authenticators[i].id, who)
		}
		who.authenticators[i].id = subject
	} else {
		who.authenticators = append(who.authenticators, authenticator{
			uuid: c.world().newUUID(), kind: LocalIdentityProvider, status: StatusActive, id: subject,
		})
	}
	if who.status == StatusPending {
		who.status = StatusActive
	}
	return nil
}

// revokeCredential takes one login means away.
func (c *call) revokeCredential() answer {
	if refused := c.noBody(); refused != nil {
		return *refused
	}
	return c.change(func(who *identity) *answer {
		i := slices.IndexFunc(who.authenticators, func(a authenticator) bool { return a.uuid == c.object })
		if i < 0 {
			a := notFound("authenticator")
			return &a
		}
		c.world().releaseSubject(who.authenticators[i].id, who)
		who.authenticators = slices.Delete(slices.Clone(who.authenticators), i, i+1)
		return nil
	})
}

func (c *call) setAllowSigning() answer {
	wire, refused := decode[struct {
		AllowSigning *bool `json:"allowSigning"`
	}](c)
	if refused != nil {
		return *refused
	}
	if wire.AllowSigning == nil {
		return badRequest("allowSigning is required.")
	}
	return c.change(func(who *identity) *answer {
		who.allowSigning = *wire.AllowSigning
		return nil
	})
}

// orderActivation orders the activation of imported users: all of them, or none when one is not ready for it.
func (c *call) orderActivation() answer {
	wire, refused := decode[struct {
		AuthenticatorSettingTypes []string `json:"authenticatorSettingTypes"`
		UserUUIDs                 []string `json:"userUuids"`
	}](c)
	if refused != nil {
		return *refused
	}
	if len(wire.UserUUIDs) == 0 || len(wire.AuthenticatorSettingTypes) == 0 {
		return badRequest("Users and authenticator types are required.")
	}
	for _, t := range wire.AuthenticatorSettingTypes {
		if t != LocalIdentityProvider && t != privateMitIDAsked {
			return badRequest("The authenticator type is not known.")
		}
	}
	ids := make([]uuid.UUID, len(wire.UserUUIDs))
	for i, text := range wire.UserUUIDs {
		id, err := parseUUID(text)
		if err != nil {
			return badRequest("A user is not a UUID.")
		}
		ids[i] = id
	}
	strict := c.on(ImportedOrder)
	for _, order := range []bool{false, true} { // look at all, then change all
		for _, id := range ids {
			who := c.world().lock(id)
			if who == nil {
				return notFound("user")
			}
			ready := who.stage == drafted || who.stage == ordered || !strict
			if order && ready && who.stage != notImported {
				who.stage = ordered
			}
			who.mu.Unlock()
			if !ready {
				return failure(http.StatusConflict, "NotReady", "Only imported users with a draft profile can be activated.")
			}
		}
	}
	return ok(map[string]uuid.UUID{"activationOrderUuid": c.world().newUUID()})
}
