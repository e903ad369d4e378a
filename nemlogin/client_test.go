package nemlogin

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReads(t *testing.T) {
	t.Parallel()
	s := newService(t, route{
		"GET " + pathCatalogue:                   answer(200, `{"roles":[{"uuid":"`+roleA+`","name":"EASY","description":"Fravær","isBasicPackage":true,"isNew":7}],"more":{}}`),
		"GET " + pathIdentity + alice + "/roles": answer(200, `[{"scope":{"type":"PU","value":"1234567890"},"isInternal":true,"from":"2024-01-01","to":null,"uuid":"`+roleA+`","name":"EASY","teaserText":"x"}]`),
		"GET " + pathSENumbers:                   answer(200, `[{"seNumber":"12345678"}]`),
		"GET " + pathProductionUnits:             answer(200, `[{"pNumber":1234567890,"cvrNumber":98765432,"name":"Skolen","streetName":"Gaden","streetBuildingIdentifier":"1A"}]`),
		"GET " + pathEmployee + alice:            answer(200, `{"uuid":"`+alice+`","identityProfile":{"status":"Active","rid":"42","roles":["RightsAdministrator"],"allowQualifiedCertificateIssuance":true},"identityPermissions":{"allowSigning":true}}`),
	}.handler)
	c := s.client(t)
	ctx := t.Context()

	roles, err := c.Roles(ctx)
	check(t, "Roles", err, roles, []Role{{UUID: roleA, Name: "EASY", Description: "Fravær", BasicPackage: true}})
	assigned, err := c.AssignedRoles(ctx, alice)
	check(t, "AssignedRoles", err, assigned, []AssignedRole{{
		UUID: roleA, Name: "EASY", Scope: Scope{ScopePU, "1234567890"}, Internal: true, From: "2024-01-01",
	}})
	numbers, err := c.SENumbers(ctx)
	check(t, "SENumbers", err, numbers, []SENumber{{"12345678"}})
	units, err := c.ProductionUnits(ctx)
	check(t, "ProductionUnits", err, units, []ProductionUnit{{
		Number: "1234567890", CVR: testCVR, Name: "Skolen", Street: "Gaden", Building: "1A",
	}})
	employee, err := c.Employee(ctx, alice)
	check(t, "Employee", err, employee, Employee{
		UUID: alice, Status: "Active", RID: "42", AdministratorRoles: []string{"RightsAdministrator"},
		QualifiedCertificates: true, AllowSigning: true,
	})

	requests := s.requests(true)
	if len(requests) != 6 || requests[0].path != pathAuthenticate || requests[0].auth != "" || requests[0].body != "{}" {
		t.Errorf("want one token request without a token and five reads, got %+v", requests)
	}
	for _, r := range requests[1:] {
		if r.auth != "Bearer secret-token-1" || r.body != "" || r.method != http.MethodGet {
			t.Errorf("a read was sent as %+v", r)
		}
	}
}

func TestWrites(t *testing.T) {
	t.Parallel()
	s := newService(t, answer(http.StatusNoContent, ""))
	c := s.client(t)
	scope := Scope{ScopePU, "1234567890"}
	if err := c.AddRoles(t.Context(), alice, scope, []string{roleA, roleB}); err != nil {
		t.Fatal(err)
	}
	if err := c.RemoveRoles(t.Context(), alice, scope, []string{roleC}); err != nil {
		t.Fatal(err)
	}
	want := []sent{
		{method: "POST", body: `{"scope":{"type":"PU","value":"1234567890"},"roleUuids":["` + roleA + `","` + roleB + `"]}`},
		{method: "DELETE", body: `{"scope":{"type":"PU","value":"1234567890"},"roleUuids":["` + roleC + `"]}`},
	}
	for i, r := range s.requests(false) {
		if r.method != want[i].method || r.body != want[i].body || r.path != pathIdentity+alice+"/roles" {
			t.Errorf("request %d: got %+v, want %+v", i, r, want[i])
		}
	}
}

// check compares the result of a call that must succeed.
func check[T any](t *testing.T, what string, err error, got, want T) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
