package simulator

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
)

const searchAll = `{"maxCount":0,"removeUuidFromResultSet":false}`

func TestEmployeeFromCreationToDeletion(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	c := login(t, s)
	var made struct{ EmployeeUUID string }
	c.post(EndpointEmployees, createBody("anho@eksempelby")).want(200).into(&made)
	now, found := s.Identity(made.EmployeeUUID)
	if !found || now.Status != StatusActive || now.GivenName != "Anne" || len(now.Authenticators) != 1 ||
		now.Authenticators[0].ID != "anho@eksempelby" || now.Authenticators[0].Type != LocalIdentityProvider {
		t.Fatalf("created: %+v", now)
	}
	var all employeesWire
	c.post(EndpointSearch, searchAll).want(200).into(&all)
	last := all.Employees[len(all.Employees)-1]
	if last.UUID.String() != made.EmployeeUUID || last.Profile.CPRNumber != inventedCPR || last.RID != nil || last.ID == 0 {
		t.Errorf("found: %+v", last)
	}

	employee := at(EndpointEmployee, made.EmployeeUUID)
	c.get(employee).want(200).says(`"uuid":"` + made.EmployeeUUID + `"`).says(`"roles":[]`).says(`"allowSigning":false`)
	c.put(at(EndpointAllowSigning, made.EmployeeUUID), `{"allowSigning":true}`).want(204)
	c.get(employee).want(200).says(`"allowSigning":true`)
	c.put(at(EndpointAllowSigning, made.EmployeeUUID), `{}`).want(400)
	c.put(at(EndpointProfile, made.EmployeeUUID), profileBody("Anna", "Lund", "anna@eksempelby.example", inventedCPR)).want(204)
	c.put(at(EndpointNonsensitive, made.EmployeeUUID), `{"emailAddress":"al@eksempelby.example"}`).want(204)
	c.put(at(EndpointNonsensitive, made.EmployeeUUID), `{"emailAddress":" al@eksempelby.example"}`).want(400)
	if now, _ = s.Identity(made.EmployeeUUID); now.Surname != "Lund" || now.EmailAddress != "al@eksempelby.example" {
		t.Errorf("after the updates: %+v", now)
	}
	c.put(at(EndpointSuspend, made.EmployeeUUID), `{"a":1}`).want(400)
	c.put(at(EndpointSuspend, made.EmployeeUUID), "").want(204)
	c.post(EndpointEmployees, createBody("ANHO@eksempelby")).want(409) // a suspended account keeps its name
	c.put(at(EndpointReactivate, made.EmployeeUUID), "").want(204)

	c.del(employee, "").want(204)
	c.del(employee, "").want(404)
	c.get(employee).want(404)
	for _, endpoint := range []string{EndpointSuspend, EndpointReactivate} {
		c.put(at(endpoint, made.EmployeeUUID), "").want(404)
	}
	c.put(at(EndpointProfile, made.EmployeeUUID), profileBody("Anna", "Lund", "a@b.example", inventedCPR)).want(404)
	c.get(at(EndpointAuthenticators, made.EmployeeUUID)).want(404)
	c.post(EndpointEmployees, createBody("anho@eksempelby")).want(200) // the name is free again
}

func TestCreateIsCheckedStrictly(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	c := login(t, s)
	good := createBody("anho@eksempelby")
	before := len(s.State().Identities)
	for name, change := range map[string][2]string{
		"no profile":             {`"identityProfile"`, `"identityOrganizationProfile"`},
		"no authenticators":      {`"identityAuthenticators":{"authenticatorTypes":["LocalIdentityProvider"],"subjectNameId":"anho@eksempelby"}`, `"identityAuthenticators":null`},
		"unknown status":         {`"Pending"`, `"Locked"`},
		"bad invoice method":     {"6c2ed5b2-4ad6-4ba2-9a42-6ad1d6de1d3a", "EAN"},
		"no authenticator types": {`["LocalIdentityProvider"]`, `[]`},
		"unknown authenticator":  {`["LocalIdentityProvider"]`, `["Passkey"]`},
		"no subject":             {`"anho@eksempelby"`, `""`},
		"untrimmed subject":      {`"anho@eksempelby"`, `"anho@eksempelby "`},
		"subject without local":  {`["LocalIdentityProvider"]`, `["PrivateNemIdMitId"]`},
		"no e-mail":              {`"anne.holm@eksempelby.example"`, `""`},
	} {
		t.Run(name, func(t *testing.T) {
			body := strings.Replace(good, change[0], change[1], 1)
			if body == good {
				t.Fatal("nothing was changed")
			}
			(&client{t: t, s: s, http: c.http, token: c.token}).post(EndpointEmployees, body).want(400)
		})
	}
	if after := len(s.State().Identities); after != before {
		t.Errorf("refused creations left %d identities of %d", after, before)
	}
}

func TestPrivateMitIDWaitsForItsOwner(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	c := login(t, s)
	body := strings.Replace(createBody(""), `["LocalIdentityProvider"]`, `["PrivateNemIdMitId"]`, 1)
	var made struct{ EmployeeUUID string }
	c.post(EndpointEmployees, body).want(200).into(&made)
	if now, _ := s.Identity(made.EmployeeUUID); now.Status != StatusPending || now.Authenticators[0].Type != PrivateMitID {
		t.Errorf("created: %+v", now)
	}
	if err := s.SetStatus(made.EmployeeUUID, StatusActive); err != nil {
		t.Fatal(err)
	}
	c.get(at(EndpointEmployee, made.EmployeeUUID)).want(200).says(`"status":"Active"`)
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	c := login(t, s)
	id, err := s.AddIdentity(NewIdentity{GivenName: "Bo", Surname: "Lund", EmailAddress: "bo@eksempelby.example", Subject: "bolu@eksempelby"})
	if err != nil {
		t.Fatal(err)
	}
	path := at(EndpointCredentials, id)
	local := func(subject string) string {
		return `{"authenticatorSettingTypes":["LocalIdentityProvider"],"authenticatorTypesToShip":[],"sharedCredentialUuids":[],"subjectNameId":"` + subject + `"}`
	}
	taken := person(t, s, func(i Identity) bool { return len(i.Authenticators) > 0 && i.Authenticators[0].ID != "" })
	c.post(path, local(taken.Authenticators[0].ID)).want(409)
	c.post(path, local("BOLU@eksempelby")).want(204) // one's own name
	c.post(path, local("bolu2@eksempelby")).want(204)
	c.post(path, `{"authenticatorSettingTypes":["PrivateNemIdMitId"],"authenticatorTypesToShip":[],"sharedCredentialUuids":[]}`).want(204)
	c.post(path, `{"authenticatorSettingTypes":["PrivateNemIdMitId"]}`).want(204) // one is enough
	c.post(path, `{"authenticatorSettingTypes":[]}`).want(400)
	c.post(path, local("")).want(400)
	c.post(at(EndpointCredentials, uuid.NewString()), local("x@eksempelby")).want(404)
	var list struct{ Authenticators []authenticatorWire }
	c.get(at(EndpointAuthenticators, id)).want(200).into(&list)
	if len(list.Authenticators) != 2 || *list.Authenticators[0].ID != "bolu2@eksempelby" || list.Authenticators[1].ID != nil {
		t.Fatalf("the authenticators are %+v", list.Authenticators)
	}
	c.post(EndpointEmployees, createBody("bolu@eksempelby")).want(200) // the old name is free
	revoke := at(EndpointRevoke, id, list.Authenticators[0].UUID.String())
	c.post(revoke, "").want(204)
	c.post(revoke, "").want(404)
	c.post(at(EndpointRevoke, id, "first"), "").want(400)
	c.post(EndpointEmployees, createBody("bolu2@eksempelby")).want(200)
	if now, _ := s.Identity(id); len(now.Authenticators) != 1 {
		t.Errorf("after the revocation: %+v", now.Authenticators)
	}
}

func TestSearchAndImportedUsers(t *testing.T) {
	t.Parallel()
	s := start(t, Options{Imported: 3})
	c := login(t, s)
	var all, some, nameless, imported employeesWire
	c.post(EndpointSearch, searchAll).want(200).into(&all)
	c.post(EndpointSearch, `{"maxCount":5,"removeUuidFromResultSet":false}`).want(200).into(&some)
	c.post(EndpointSearch, `{"maxCount":0,"removeUuidFromResultSet":true}`).want(200).into(&nameless)
	c.post(EndpointSearch, `{"maxCount":-1}`).want(400)
	c.get(EndpointSearch).want(http.StatusMethodNotAllowed)
	if len(all.Employees) != 40 || len(some.Employees) != 5 || nameless.Employees[0].UUID != nil {
		t.Errorf("%d, %d, %v", len(all.Employees), len(some.Employees), nameless.Employees[0].UUID)
	}
	c.get(at(EndpointMigrated, "0")).want(200).into(&imported)
	c.get(at(EndpointMigrated, "all")).want(400)
	if len(imported.Employees) != 3 || imported.Employees[0].RID == nil || imported.Employees[0].Status != StatusPending {
		t.Errorf("the imported users are %+v", imported.Employees)
	}
}

func TestActivationOrders(t *testing.T) {
	t.Parallel()
	s := start(t, Options{Imported: 2})
	c := login(t, s)
	var ids []string
	for _, i := range s.State().Identities {
		if i.Imported {
			ids = append(ids, i.UUID)
		}
	}
	order := func(types string, users ...string) string {
		return `{"authenticatorSettingTypes":[` + types + `],"userUuids":["` + strings.Join(users, `","`) + `"]}`
	}
	const local = `"LocalIdentityProvider"`
	credentials := `{"authenticatorSettingTypes":["LocalIdentityProvider"],"subjectNameId":"xx@eksempelby"}`
	profile := profileBody("Anne", "Holm", "anne.holm@eksempelby.example", inventedCPR)
	c.put(at(EndpointDraft, ids[0]), profile).want(204)
	c.post(EndpointActivationOrders, order(local, ids...)).want(409) // the second has no draft: none is ordered
	c.post(at(EndpointCredentials, ids[0]), credentials).want(409)
	c.post(EndpointActivationOrders, order(local, ids[0], uuid.NewString())).want(404)
	c.post(EndpointActivationOrders, order(local, "x")).want(400)
	c.post(EndpointActivationOrders, order(`"Passkey"`, ids[0])).want(400)
	c.post(EndpointActivationOrders, order("", ids[0])).want(400)
	c.put(at(EndpointDraft, ids[1]), profile).want(204)
	c.post(EndpointActivationOrders, order(local, ids...)).want(200).says("activationOrderUuid")
	c.post(at(EndpointCredentials, ids[0]), credentials).want(204)
}

func TestGroups(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	c := login(t, s)
	body := func(name, scopeType, value, kind string) string {
		return `{"name":"` + name + `","description":"d","organizationGroupIdentifier":"g-1","scope":{"type":"` + scopeType +
			`","value":"` + value + `"},"mainGroupType":"` + kind + `"}`
	}
	c.post(EndpointGroups, body("", ScopeCVR, s.CVR(), "Regular")).want(400)
	c.post(EndpointGroups, body("G", ScopeCVR, s.CVR(), "Other")).want(400)
	c.post(EndpointGroups, body("G", ScopePU, "1", "Regular")).want(400)
	c.post(EndpointGroups, body("G", ScopePU, "1999999999", "Regular")).want(400)
	c.post(EndpointGroups, `{"name":"G","mainGroupType":"Regular"}`).want(400)
	var made struct{ UUID string }
	c.post(EndpointGroups, body("G", ScopeCVR, s.CVR(), "Regular")).want(200).into(&made)
	group := at(EndpointGroup, made.UUID)
	put := strings.Replace(body("H", ScopePU, s.PNumbers()[0], ""), `,"mainGroupType":""`, "", 1)
	c.put(group, put).want(204)

	role := s.Roles()[5].UUID
	c.post(at(EndpointGroupRole, made.UUID, role), "").want(204)
	c.post(at(EndpointGroupRole, made.UUID, role), "").want(204)
	c.post(at(EndpointGroupRole, made.UUID, uuid.NewString()), "").want(404)
	c.post(at(EndpointGroupRole, made.UUID, "x"), "").want(400)
	var got groupWire
	c.get(group).want(200).into(&got)
	if got.Name != "H" || got.Scope.Type != ScopePU || got.OrganizationGroupIdentifier != "g-1" || len(got.Roles) != 1 ||
		got.Roles[0].UUID.String() != role {
		t.Errorf("the group is %+v", got)
	}
	c.del(at(EndpointGroupRole, made.UUID, role), "").want(204)
	c.del(at(EndpointGroupRole, made.UUID, role), "").want(404)
	c.get(group).want(200).says(`"roles":[]`)
	c.del(group, "").want(204)
	c.get(group).want(404)
	c.put(group, put).want(404)
	c.del(group, "").want(404)
	c.get(at(EndpointGroup, "x")).want(400)
}
