package simulator

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

func TestRolesRoundTrip(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	c := login(t, s)
	who := person(t, s, active)
	role := s.Roles()[7].UUID
	pNumber := s.PNumbers()[0]
	for _, scope := range []Scope{{ScopeCVR, s.CVR()}, {ScopePU, pNumber}, {ScopeSE, s.SENumbers()[1]}} {
		path := at(EndpointRoles, who.UUID)
		if err := s.Revoke(who.UUID, role, scope.Type, scope.Value); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time there is nothing to do, and no error
			if body := c.post(path, write(scope.Type, scope.Value, role)).want(http.StatusNoContent).body; body != "" {
				t.Errorf("a write was answered with %q", body)
			}
		}
		now, _ := s.Identity(who.UUID)
		if !now.Holds(role, scope.Type, scope.Value) {
			t.Errorf("%v was not granted", scope)
		}
		found := 0
		for _, r := range c.roles(who.UUID) {
			if r.UUID.String() == role && r.Scope.Type == scope.Type && r.Scope.Value == scope.Value {
				found++
			}
		}
		if found != 1 {
			t.Errorf("the read shows the grant %d times", found)
		}
		for range 2 {
			c.del(path, write(scope.Type, scope.Value, role)).want(http.StatusNoContent)
		}
		if now, _ = s.Identity(who.UUID); now.Holds(role, scope.Type, scope.Value) {
			t.Errorf("%v was not revoked", scope)
		}
	}
}

func TestWritesAreCheckedStrictly(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	c := login(t, s)
	who := person(t, s, active)
	role, withdrawn := s.Roles()[7].UUID, s.Roles()[8].UUID
	if err := s.RemoveRoleFromCatalogue(withdrawn); err != nil {
		t.Fatal(err)
	}
	cvr := s.CVR()
	tests := map[string]struct {
		body   string
		post   int
		delete int
	}{
		"no body":              {"", 400, 400},
		"not JSON":             {"{", 400, 400},
		"null":                 {"null", 400, 400},
		"an array":             {"[]", 400, 400},
		"two bodies":           {write(ScopeCVR, cvr, role) + "{}", 400, 400},
		"no scope":             {`{"roleUuids":["` + role + `"]}`, 400, 400},
		"null value":           {`{"scope":{"type":"PU","value":null},"roleUuids":["` + role + `"]}`, 400, 400},
		"number value":         {`{"scope":{"type":"PU","value":1003000000},"roleUuids":["` + role + `"]}`, 400, 400},
		"empty value":          {write(ScopePU, "", role), 400, 400},
		"type in another case": {write("CVR", cvr, role), 400, 400},
		"unknown type":         {write("Afdeling", "1", role), 400, 400},
		"short P-number":       {write(ScopePU, "100300000", role), 400, 400},
		"foreign P-number":     {write(ScopePU, "1999999999", role), 400, 400},
		"foreign SE-number":    {write(ScopeSE, "12345678", role), 400, 400},
		"foreign CVR":          {write(ScopeCVR, "99900099", role), 400, 400},
		"no roles":             {write(ScopeCVR, cvr), 400, 400},
		"malformed role":       {write(ScopeCVR, cvr, "4711"), 400, 400},
		"role without dashes":  {write(ScopeCVR, cvr, strings.ReplaceAll(role, "-", "")), 400, 400},
		"unknown role":         {write(ScopeCVR, cvr, uuid.NewString()), 400, 400},
		"withdrawn role":       {write(ScopeCVR, cvr, withdrawn), 400, 204},
		"unknown field":        {`{"scope":{"type":"Cvr","value":"` + cvr + `"},"roleUuid":"` + role + `"}`, 400, 400},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before, _ := s.Identity(who.UUID)
			c := &client{t: t, s: s, http: c.http, token: c.token}
			c.post(at(EndpointRoles, who.UUID), test.body).want(test.post)
			c.del(at(EndpointRoles, who.UUID), test.body).want(test.delete)
			after, _ := s.Identity(who.UUID)
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("a refused write changed something (-before +after):\n%s", diff)
			}
		})
	}
	good := write(ScopeCVR, cvr, role)
	header := http.Header{"Content-Type": {"text/plain"}}
	c.send(t.Context(), http.MethodPost, at(EndpointRoles, who.UUID), good, header).want(http.StatusUnsupportedMediaType)
	c.post(at(EndpointRoles, "not-a-uuid"), good).want(http.StatusBadRequest)
	c.post("/api/administration/rights/identity//roles", good).want(http.StatusNotFound)
	c.put(at(EndpointRoles, who.UUID), good).want(http.StatusMethodNotAllowed)
	c.post(at(EndpointRoles, uuid.NewString()), good).want(http.StatusInternalServerError)
	c.post(at(EndpointRoles, who.UUID), `{"x":"`+strings.Repeat("x", maxBody)+`"}`).want(http.StatusRequestEntityTooLarge)
}

func TestBatchIsAppliedWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	c := login(t, s)
	who := person(t, s, func(i Identity) bool { return i.Status == StatusActive && len(i.Roles) == 0 })
	a, b := s.Roles()[7].UUID, s.Roles()[8].UUID
	path := at(EndpointRoles, who.UUID)
	c.post(path, write(ScopeCVR, s.CVR(), a, uuid.NewString(), b)).want(http.StatusBadRequest)
	if held := c.roles(who.UUID); len(held) != 0 {
		t.Errorf("a refused batch left %v", held)
	}
	c.post(path, write(ScopeCVR, s.CVR(), a, b, a)).want(http.StatusNoContent)
	if held := c.roles(who.UUID); len(held) != 2 {
		t.Errorf("a batch of two roles left %v", held)
	}
	c.del(path, write(ScopeCVR, s.CVR(), a, b)).want(http.StatusNoContent)
	if held := c.roles(who.UUID); len(held) != 0 {
		t.Errorf("removing a batch left %v", held)
	}
}

func TestCatalogueAndNumbers(t *testing.T) {
	t.Parallel()
	s := start(t, Options{Roles: 30})
	c := login(t, s)
	roles := c.catalogue()
	if len(roles) != 30 {
		t.Fatalf("%d roles in the catalogue", len(roles))
	}
	if !roles[0].IsBasicPackage || roles[10].IsBasicPackage {
		t.Error("the basic package is not marked")
	}
	added := s.AddRole("Ny rolle", "En ny")
	if err := s.RemoveRoleFromCatalogue(roles[3].UUID.String()); err != nil {
		t.Fatal(err)
	}
	now := c.catalogue()
	if len(now) != 30 || now[29].UUID.String() != added || now[29].Name != "Ny rolle" {
		t.Errorf("the catalogue did not follow: %v", now[len(now)-1])
	}
	if err := s.RestoreRole(roles[3].UUID.String()); err != nil {
		t.Fatal(err)
	}
	if now = c.catalogue(); len(now) != 31 {
		t.Errorf("%d roles after the return", len(now))
	}

	var units []map[string]any
	c.get(EndpointPNumbers).want(http.StatusOK).into(&units)
	if len(units) != len(s.PNumbers()) {
		t.Errorf("%d production units, want %d", len(units), len(s.PNumbers()))
	}
	if _, isNumber := units[0]["pNumber"].(float64); !isNumber {
		t.Errorf("pNumber is a %T", units[0]["pNumber"])
	}
	for _, field := range []string{"cvrNumber", "name", "streetName", "streetBuildingIdentifier"} {
		if text, _ := units[0][field].(string); text == "" {
			t.Errorf("a production unit has no %s", field)
		}
	}
	var numbers []struct{ SENumber json.RawMessage }
	c.get(EndpointSENumbers).want(http.StatusOK).into(&numbers)
	if string(numbers[0].SENumber) != `"`+s.CVR()+`"` {
		t.Errorf("the first SE-number is %s", numbers[0].SENumber)
	}

	if err := s.AddPNumber("1999999999", "Nyt bibliotek"); err != nil {
		t.Fatal(err)
	}
	if err := s.AddSENumber("99199999"); err != nil {
		t.Fatal(err)
	}
	c.get(EndpointPNumbers).want(http.StatusOK).says("1999999999")
	c.get(EndpointSENumbers).want(http.StatusOK).says("99199999")
	s.RemovePNumber("1999999999")
	s.RemoveSENumber("99199999")
	if body := c.get(EndpointPNumbers).body; strings.Contains(body, "1999999999") {
		t.Error("a removed P-number is still there")
	}
	if body := c.get(EndpointSENumbers).body; strings.Contains(body, "99199999") {
		t.Error("a removed SE-number is still there")
	}
	if s.AddPNumber("1", "") == nil || s.AddSENumber("1") == nil {
		t.Error("numbers of a wrong length were taken")
	}
}

func TestRemovingFromAScopeThatIsGone(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	c := login(t, s)
	who, role, number := person(t, s, active), s.Roles()[9].UUID, s.PNumbers()[0]
	if err := s.Grant(who.UUID, role, ScopePU, number); err != nil {
		t.Fatal(err)
	}
	s.RemovePNumber(number)
	path := at(EndpointRoles, who.UUID)
	c.post(path, write(ScopePU, number, role)).want(http.StatusBadRequest)
	c.del(path, write(ScopePU, number, role)).want(http.StatusNoContent)
	if now, _ := s.Identity(who.UUID); now.Holds(role, ScopePU, number) {
		t.Error("a role for a P-number that is gone cannot be removed")
	}
}
