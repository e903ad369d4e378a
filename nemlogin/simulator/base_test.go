package simulator

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// baseTests shows every base behaviour on, as it is from the start, and off.
var baseTests = map[string]func(*client){
	UnknownIdentity500: func(c *client) {
		t, s := c.t, c.s
		unknown := uuid.NewString()
		c.get(at(EndpointRoles, unknown)).want(500).says("See log for exception details")
		c.get(at(EndpointEmployee, unknown)).want(404)
		mustFault(t, s, UnknownIdentity500, Fault{})
		c.get(at(EndpointRoles, unknown)).want(404)
	},
	NoBody204: func(c *client) {
		t, s := c.t, c.s
		who := person(t, s, active)
		calls := func(status int, body string) {
			for _, path := range []string{EndpointSuspend, EndpointReactivate} {
				if got := c.put(at(path, who.UUID), "").want(status); got.body != body {
					t.Errorf("%s answered %q", path, got.body)
				}
			}
			role := write(ScopeCVR, s.CVR(), s.Roles()[5].UUID)
			c.post(at(EndpointRoles, who.UUID), role).want(status)
			c.del(at(EndpointRoles, who.UUID), role).want(status)
		}
		calls(204, "")
		mustFault(t, s, NoBody204, Fault{})
		calls(200, "{}")
		c.del(at(EndpointEmployee, who.UUID), "").want(200)
		mustFault(t, s, NoBody204, Fault{Rate: 1})
		c.del(at(EndpointEmployee, person(t, s, active).UUID), "").want(204)
	},
	DeleteWithBody: func(c *client) {
		t, s := c.t, c.s
		who := person(t, s, active)
		held := who.Roles[0]
		path := at(EndpointRoles, who.UUID)
		c.del(path, "").want(400)
		mustFault(t, s, DeleteWithBody, Fault{})
		c.del(path, write(held.Scope.Type, held.Scope.Value, held.UUID)).want(204)
		if now, _ := s.Identity(who.UUID); !now.Holds(held.UUID, held.Scope.Type, held.Scope.Value) {
			t.Error("the body of the DELETE was not lost")
		}
		mustFault(t, s, DeleteWithBody, Fault{Rate: 1})
		c.del(path, write(held.Scope.Type, held.Scope.Value, held.UUID)).want(204)
		if now, _ := s.Identity(who.UUID); now.Holds(held.UUID, held.Scope.Type, held.Scope.Value) {
			t.Error("the role was not removed")
		}
	},
	BareArray: func(c *client) {
		t, s := c.t, c.s
		paths := []string{EndpointPNumbers, EndpointSENumbers, at(EndpointRoles, person(t, s, active).UUID)}
		for _, path := range paths {
			if body := c.get(path).want(200).body; !strings.HasPrefix(body, "[") {
				t.Errorf("%s answers %.20s", path, body)
			}
		}
		mustFault(t, s, BareArray, Fault{})
		for _, path := range paths {
			if body := c.get(path).want(200).body; !strings.HasPrefix(body, "{") {
				t.Errorf("%s answers %.20s", path, body)
			}
		}
	},
	PNumberNumber: func(c *client) {
		t, s := c.t, c.s
		number := s.PNumbers()[0]
		c.get(EndpointPNumbers).want(200).says(`"pNumber":` + number + `,`)
		mustFault(t, s, PNumberNumber, Fault{})
		c.get(EndpointPNumbers).want(200).says(`"pNumber":"` + number + `"`)
	},
	TypeNameMismatch: func(c *client) {
		t, s := c.t, c.s
		who := person(t, s, func(i Identity) bool { return active(i) && len(i.Authenticators) == 1 })
		c.post(at(EndpointCredentials, who.UUID), `{"authenticatorSettingTypes":["PrivateMitId"]}`).want(400)
		c.post(at(EndpointCredentials, who.UUID), `{"authenticatorSettingTypes":["PrivateNemIdMitId"]}`).want(204)
		c.get(at(EndpointAuthenticators, who.UUID)).want(200).says(`"type":"PrivateMitId"`)
		mustFault(t, s, TypeNameMismatch, Fault{})
		c.get(at(EndpointAuthenticators, who.UUID)).want(200).says(`"type":"PrivateNemIdMitId"`)
	},
	StrictMethod: func(c *client) {
		t, s := c.t, c.s
		who := person(t, s, func(i Identity) bool { return active(i) && len(i.Authenticators) > 0 })
		revoke := at(EndpointRevoke, who.UUID, who.Authenticators[0].UUID)
		if allow := c.get(revoke).want(405).header.Get("Allow"); allow != "POST" {
			t.Errorf("Allow: %q", allow)
		}
		if allow := c.post(at(EndpointAllowSigning, who.UUID), `{"allowSigning":true}`).want(405).header.Get("Allow"); allow != "PUT" {
			t.Errorf("Allow: %q", allow)
		}
		mustFault(t, s, StrictMethod, Fault{})
		c.get(revoke).want(204)
		c.post(at(EndpointAllowSigning, who.UUID), `{"allowSigning":true}`).want(204)
		c.put(at(EndpointRoles, who.UUID), `{}`).want(405) // only those two are loose
	},
	AdminPrefix: func(c *client) {
		t, s := c.t, c.s
		other := strings.Replace(at(EndpointMigrated, "0"), "/api/admin/", "/api/administration/", 1)
		c.get(at(EndpointMigrated, "0")).want(200)
		c.get(other).want(404)
		mustFault(t, s, AdminPrefix, Fault{})
		c.get(other).want(200)
	},
	ImportedOrder: func(c *client) {
		t, s := c.t, c.s
		who := person(t, s, func(i Identity) bool { return i.Imported })
		profile := profileBody("Anne", "Holm", "anne.holm@eksempelby.example", inventedCPR)
		order := `{"authenticatorSettingTypes":["LocalIdentityProvider"],"userUuids":["` + who.UUID + `"]}`
		credentials := `{"authenticatorSettingTypes":["LocalIdentityProvider"],"authenticatorTypesToShip":[],` +
			`"sharedCredentialUuids":[],"subjectNameId":"anho@eksempelby"}`
		c.post(EndpointActivationOrders, order).want(409)
		c.post(at(EndpointCredentials, who.UUID), credentials).want(409)
		c.put(at(EndpointProfile, who.UUID), profile).want(409)
		c.put(at(EndpointDraft, who.UUID), profile).want(204)
		c.post(at(EndpointCredentials, who.UUID), credentials).want(409)
		c.post(EndpointActivationOrders, order).want(200)
		c.post(at(EndpointCredentials, who.UUID), credentials).want(204)
		now, _ := s.Identity(who.UUID)
		if now.Status != StatusActive || now.Imported || now.GivenName != "Anne" {
			t.Errorf("after its activation the imported user is %+v", now)
		}
		c.put(at(EndpointDraft, who.UUID), profile).want(409) // it is active now
		c.post(EndpointActivationOrders, order).want(409)
		c.put(at(EndpointProfile, who.UUID), profile).want(204)

		mustFault(t, s, ImportedOrder, Fault{})
		id, err := s.AddIdentity(NewIdentity{Imported: true, GivenName: "Per", Surname: "Holm", RID: "7"})
		if err != nil {
			t.Fatal(err)
		}
		c.post(at(EndpointCredentials, id), `{"authenticatorSettingTypes":["PrivateNemIdMitId"]}`).want(204)
	},
	CreateConflict409: func(c *client) {
		t, s := c.t, c.s
		taken := person(t, s, func(i Identity) bool { return len(i.Authenticators) > 0 && i.Authenticators[0].ID != "" })
		subject := strings.ToUpper(taken.Authenticators[0].ID) // names are the same in any case
		before := len(s.State().Identities)
		c.post(EndpointEmployees, createBody(subject)).want(409)
		if after := len(s.State().Identities); after != before {
			t.Errorf("a refused creation left %d identities, there were %d", after, before)
		}
		mustFault(t, s, CreateConflict409, Fault{})
		c.post(EndpointEmployees, createBody(subject)).want(200)
	},
	ScopeRejected: func(c *client) {
		t, s := c.t, c.s
		who, role := person(t, s, active), s.Roles()[9].UUID
		foreign := []string{write(ScopePU, "1999999999", role), write(ScopeSE, "12345678", role), write(ScopeCVR, "99900099", role)}
		for _, body := range foreign {
			c.post(at(EndpointRoles, who.UUID), body).want(400)
		}
		mustFault(t, s, ScopeRejected, Fault{Rate: 1, Status: 422})
		c.post(at(EndpointRoles, who.UUID), foreign[0]).want(422)
		mustFault(t, s, ScopeRejected, Fault{})
		for _, body := range foreign {
			c.post(at(EndpointRoles, who.UUID), body).want(204)
		}
	},
	StrictData: func(c *client) {
		t, s := c.t, c.s
		path := at(EndpointProfile, person(t, s, active).UUID)
		bad := map[string]string{
			"untrimmed name":      profileBody("Anne ", "Holm", "a@b.example", inventedCPR),
			"no surname":          profileBody("Anne", "", "a@b.example", inventedCPR),
			"no e-mail":           profileBody("Anne", "Holm", "", inventedCPR),
			"untrimmed e-mail":    profileBody("Anne", "Holm", "a@b.example ", inventedCPR),
			"not an e-mail":       profileBody("Anne", "Holm", "a b", inventedCPR),
			"short CPR number":    profileBody("Anne", "Holm", "a@b.example", inventedCPR[:9]),
			"CPR without date":    profileBody("Anne", "Holm", "a@b.example", "31"+"02801234"),
			"CPR with letters":    profileBody("Anne", "Holm", "a@b.example", "0203801x34"),
			"a child":             profileBody("Anne", "Holm", "a@b.example", time.Now().AddDate(-12, 0, 0).Format("020106")+"4000"),
			"unknown IAL":         strings.Replace(profileBody("Anne", "Holm", "a@b.example", inventedCPR), "Substantial", "Enough", 1),
			"a field of no known": `{"shoeSize":43}`,
		}
		for name, body := range bad {
			got := c.put(path, body).want(400)
			if strings.Contains(got.body, inventedCPR[:6]) {
				t.Errorf("%s: the error repeats the CPR number", name)
			}
		}
		good := profileBody("Anne", "Holm", "a@b.example", inventedCPR)
		c.put(path, good).want(204)
		mustFault(t, s, StrictData, Fault{Rate: 1, Value: "real-cpr", Status: 422})
		c.put(path, good).want(422)
		mustFault(t, s, StrictData, Fault{})
		for _, body := range bad {
			c.put(path, body).want(204)
		}
	},
	CaseInsensitiveJSON: func(c *client) {
		t, s := c.t, c.s
		who, role := person(t, s, active), s.Roles()[9].UUID
		shouting := `{"SCOPE":{"Type":"Cvr","VALUE":"` + s.CVR() + `"},"RoleUUIDs":["` + role + `"]}`
		inner := strings.Replace(strings.Replace(shouting, "SCOPE", "scope", 1), "RoleUUIDs", "roleUuids", 1)
		c.post(at(EndpointRoles, who.UUID), shouting).want(204)
		mustFault(t, s, CaseInsensitiveJSON, Fault{})
		c.post(at(EndpointRoles, who.UUID), shouting).want(400)
		c.post(at(EndpointRoles, who.UUID), inner).want(400)
		c.post(at(EndpointRoles, who.UUID), write(ScopeCVR, s.CVR(), role)).want(204)
	},
	MTLSRequired: func(c *client) {
		t, s := c.t, c.s
		stranger := connect(t, s)
		stranger.token = c.token
		stranger.get(EndpointCatalogue).broken()
		stranger.post(EndpointAuthenticate, "").broken()

		// A new rule ends the connections there are; a client that knows does not send a POST into one of them.
		rule := func(f Fault) {
			stranger.http.CloseIdleConnections()
			mustFault(t, s, MTLSRequired, f)
		}
		rule(Fault{Rate: 1, Endpoint: EndpointAuthenticate})
		stranger.get(EndpointCatalogue).want(200)
		stranger.post(EndpointAuthenticate, "").want(403)

		rule(Fault{})
		stranger.post(EndpointAuthenticate, "").want(200)

		rule(Fault{Rate: 1})
		stranger.get(EndpointCatalogue).broken()
		c.get(EndpointCatalogue).want(200)
	},
	AuthBodyOptional: func(c *client) {
		t, s := c.t, c.s
		c.post(EndpointAuthenticate, "").want(200)
		c.post(EndpointAuthenticate, "{}").want(200)
		c.post(EndpointAuthenticate, "{").want(400)
		mustFault(t, s, AuthBodyOptional, Fault{})
		c.post(EndpointAuthenticate, "").want(400)
		c.post(EndpointAuthenticate, "{}").want(200)
	},
	TokenExpiry: nil, // needs a clock: TestTokenDies
	UnknownFields: func(c *client) {
		t, s := c.t, c.s
		who := person(t, s, func(i Identity) bool { return active(i) && len(i.Authenticators) > 0 })
		var group struct{ UUID string }
		body := `{"name":"G","scope":{"type":"Cvr","value":"` + s.CVR() + `"},"mainGroupType":"Regular"}`
		c.post(EndpointGroups, body).want(200).into(&group)
		extra := map[string][]string{
			EndpointCatalogue:                        {"totalCount", "category"},
			at(EndpointRoles, who.UUID):              {"assignedThrough", "displayName"},
			EndpointPNumbers:                         {"districtName"},
			EndpointSENumbers:                        {`"name"`},
			at(EndpointEmployee, who.UUID):           {"version", "registeredIal", "allowSealing"},
			at(EndpointAuthenticators, who.UUID):     {"sharedAuthenticators", "created"},
			at(EndpointMigrated, "0"):                {"totalCount", "lastLogin"},
			at(EndpointGroup, group.UUID):            {"memberCount", "displayName"},
			"/api/administration/rights/nothing.txt": nil,
		}
		for _, on := range []bool{true, false} {
			if !on {
				mustFault(t, s, UnknownFields, Fault{})
			}
			for path, fields := range extra {
				body := c.get(path).body
				for _, field := range fields {
					if strings.Contains(body, field) != on {
						t.Errorf("unknown-fields %v: %s has %s: %v", on, path, field, !on)
					}
				}
			}
		}
	},
	RoleOutsideCatalogue: func(c *client) {
		t, s := c.t, c.s
		listed := map[string]bool{}
		for _, r := range c.catalogue() {
			listed[r.UUID.String()] = true
		}
		outside := func(r AssignedRole) bool { return !listed[r.UUID] }
		who := person(t, s, func(i Identity) bool { return slices.ContainsFunc(i.Roles, outside) })
		if shown := c.roles(who.UUID); len(shown) != len(who.Roles) {
			t.Errorf("%d of %d roles shown", len(shown), len(who.Roles))
		}
		mustFault(t, s, RoleOutsideCatalogue, Fault{})
		if shown := c.roles(who.UUID); len(shown) != len(slices.DeleteFunc(slices.Clone(who.Roles), outside)) {
			t.Errorf("%d roles shown with those outside the catalogue left out", len(shown))
		}
	},
	AdminRolesReadonly: func(c *client) {
		t, s := c.t, c.s
		who := person(t, s, func(i Identity) bool { return active(i) && len(i.AdminRoles) == 0 })
		body := strings.Replace(profileBody("Anne", "Holm", "a@b.example", inventedCPR), "{", `{"roles":["RightsAdministrator"],`, 1)
		c.put(at(EndpointProfile, who.UUID), body).want(204)
		if now, _ := s.Identity(who.UUID); len(now.AdminRoles) != 0 {
			t.Errorf("a call made somebody %v", now.AdminRoles)
		}
		if err := s.SetAdminRoles(who.UUID, IdentityAdministrator); err != nil {
			t.Fatal(err)
		}
		c.get(at(EndpointEmployee, who.UUID)).want(200).says(`"roles":["IdentityAdministrator"]`)
		mustFault(t, s, AdminRolesReadonly, Fault{})
		c.put(at(EndpointProfile, who.UUID), body).want(204)
		c.get(at(EndpointEmployee, who.UUID)).want(200).says(`"roles":["RightsAdministrator"]`)
	},
	ReactivateKeepsUUID: func(c *client) {
		t, s := c.t, c.s
		who := person(t, s, active)
		c.put(at(EndpointSuspend, who.UUID), "").want(204)
		c.get(at(EndpointEmployee, who.UUID)).want(200).says(`"status":"Suspended"`)
		c.put(at(EndpointReactivate, who.UUID), "").want(204)
		if now, _ := s.Identity(who.UUID); now.Status != StatusActive || len(now.Roles) != len(who.Roles) {
			t.Errorf("after reactivation: %+v", now)
		}
		mustFault(t, s, ReactivateKeepsUUID, Fault{})
		c.put(at(EndpointSuspend, who.UUID), "").want(204)
		c.put(at(EndpointReactivate, who.UUID), "{}").want(204)
		c.get(at(EndpointEmployee, who.UUID)).want(404)
		now := person(t, s, func(i Identity) bool { return i.EmailAddress == who.EmailAddress })
		if now.Status != StatusActive || now.UUID == who.UUID {
			t.Errorf("after reactivation without keeping the UUID: %+v", now)
		}
	},
}

// inventedCPR fails modulus 11.
const inventedCPR = "0203801233"

func profileBody(given, surname, email, cpr string) string {
	return `{"registeredIAL":"Substantial","targetIal":"Substantial","givenName":"` + given + `","surname":"` + surname +
		`","cprNumber":"` + cpr + `","emailAddress":"` + email + `"}`
}

func createBody(subject string) string {
	return `{"identityProfile":{"status":"Pending","registeredIal":"Substantial","targetIal":"Substantial",` +
		`"givenName":"Anne","surname":"Holm","emailAddress":"anne.holm@eksempelby.example","cprNumber":"` + inventedCPR + `",` +
		`"rid":null,"pseudonym":false,"allowQualifiedCertificateIssuance":false},` +
		`"identityOrganizationProfile":{"invoiceMethodUuid":"6c2ed5b2-4ad6-4ba2-9a42-6ad1d6de1d3a"},` +
		`"identityAuthenticators":{"authenticatorTypes":["LocalIdentityProvider"],"subjectNameId":"` + subject + `"}}`
}

func TestBaseBehaviours(t *testing.T) {
	t.Parallel()
	for name, test := range baseTests {
		if test == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(login(t, start(t, Options{})))
		})
	}
}

func TestEveryBehaviourHasATest(t *testing.T) {
	t.Parallel()
	for _, b := range Behaviours() {
		_, base := baseTests[b.Name]
		_, fault := faultTests[b.Name]
		if base != b.Base || fault == b.Base {
			t.Errorf("%s: base %v; has a base test: %v, a fault test: %v", b.Name, b.Base, base, fault)
		}
		if b.Text == "" {
			t.Errorf("%s is not explained", b.Name)
		}
	}
	if n := len(Behaviours()); n != len(baseTests)+len(faultTests) {
		t.Errorf("%d behaviours, %d tests", n, len(baseTests)+len(faultTests))
	}
}

func TestTokenDies(t *testing.T) {
	t.Parallel()
	clock := newClock()
	s := start(t, Options{Now: clock.now, TokenLifetime: 10 * time.Minute})
	c := connect(t, s, s.ClientCertificate())
	c.get(EndpointCatalogue).want(http.StatusUnauthorized)
	var token tokenWire
	c.post(EndpointAuthenticate, "").want(200).into(&token)
	if token.ExpiresIn != 600 || token.TokenType != "Bearer" || token.AccessToken == "" {
		t.Errorf("a token of %+v", token)
	}
	c.token = token.AccessToken
	c.get(EndpointCatalogue).want(200)
	clock.add(10*time.Minute - time.Second)
	c.get(EndpointCatalogue).want(200)
	clock.add(time.Second)
	if got := c.get(EndpointCatalogue).want(401); got.header.Get("WWW-Authenticate") != "Bearer" {
		t.Error("the 401 does not say how to authenticate")
	}
	mustFault(t, s, TokenExpiry, Fault{})
	c.get(EndpointCatalogue).want(200)
	mustFault(t, s, TokenExpiry, Fault{Rate: 1})
	c.authenticate()
	c.get(EndpointCatalogue).want(200)
	s.RevokeTokens()
	c.get(EndpointCatalogue).want(401)
}
