package nemlogin

import (
	"net/http"
	"strings"
	"testing"
)

// TestUnknownIdentity has the roles of an identity fail and its employee read
// answer in various ways.
func TestUnknownIdentity(t *testing.T) {
	t.Parallel()
	found := `{"uuid":"` + alice + `","identityProfile":{"status":"Suspended"}}`
	tests := []struct {
		name           string
		roles          int
		employee       int
		body           string
		want           Class
		reads, lookups int
	}{
		{"gone", 500, 404, "", ClassNotFound, 1, 1},
		{"gone, said plainly", 404, 404, "", ClassNotFound, 1, 1},
		{"the service is unwell", 500, 200, found, ClassTransient, 3, 1},
		{"a contradiction", 404, 200, found, ClassTransient, 3, 1},
		{"down", 500, 503, "ServiceUnavailable", ClassTransient, 3, 3},
		{"down behind a 404", 404, 500, "", ClassTransient, 3, 3},
		{"the look-up is garbage", 500, 200, "<html>", ClassTransient, 3, 3},
		{"the look-up is about somebody else", 500, 200, strings.Replace(found, alice, bob, 1), ClassTransient, 3, 3},
		{"the look-up is refused", 500, 403, "", ClassTransient, 3, 3},
		{"no look-up needed", 503, 404, "", ClassTransient, 3, 0},
		{"rejected", 400, 404, "", ClassRejected, 1, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newService(t, route{
				"GET " + pathIdentity + alice + "/roles": answer(test.roles, ""),
				"GET " + pathEmployee + alice:            answer(test.employee, test.body),
			}.handler)
			roles, err := s.client(t).AssignedRoles(t.Context(), alice)
			if ClassOf(err) != test.want || roles != nil {
				t.Errorf("got %v, %v (%q), want %q", roles, err, ClassOf(err), test.want)
			}
			reads, lookups := 0, 0
			for _, r := range s.requests(false) {
				if strings.HasSuffix(r.path, "/roles") {
					reads++
				} else {
					lookups++
				}
			}
			if reads != test.reads || lookups != test.lookups {
				t.Errorf("%d reads and %d look-ups, want %d and %d", reads, lookups, test.reads, test.lookups)
			}
		})
	}
}

// TestFiveHundredPasses wants a read that failed for a known identity to come
// through in the end.
func TestFiveHundredPasses(t *testing.T) {
	t.Parallel()
	failures := 2
	s := newService(t, route{
		"GET " + pathIdentity + alice + "/roles": func(w http.ResponseWriter, r *http.Request) {
			if failures > 0 {
				failures--
				w.WriteHeader(500)
				return
			}
			answer(200, `[{"uuid":"`+roleA+`"}]`)(w, r)
		},
		"GET " + pathEmployee + alice: answer(200, `{"identityProfile":{}}`),
	}.handler)
	roles, err := s.client(t).AssignedRoles(t.Context(), strings.ToUpper(alice))
	check(t, "AssignedRoles", err, roles, []AssignedRole{{UUID: roleA}})
}

func TestEmployeeGone(t *testing.T) {
	t.Parallel()
	s := newService(t, answer(404, ""))
	if _, err := s.client(t).Employee(t.Context(), alice); ClassOf(err) != ClassNotFound {
		t.Errorf("got %v", err)
	}
}

func TestMalformedIdentityIsNotSent(t *testing.T) {
	t.Parallel()
	s := newService(t, answer(200, "[]"))
	c := s.client(t)
	for _, identity := range []string{"", nilUUID, "null", "..", "../../employee/search", alice + "/roles", " " + alice, testCPR} {
		_, roles := c.AssignedRoles(t.Context(), identity)
		_, employee := c.Employee(t.Context(), identity)
		for what, err := range map[string]error{
			"AssignedRoles": roles,
			"Employee":      employee,
			"AddRoles":      c.AddRoles(t.Context(), identity, wholeCVR, []string{roleA}),
			"RemoveRoles":   c.RemoveRoles(t.Context(), identity, wholeCVR, []string{roleA}),
		} {
			if ClassOf(err) != ClassRejected || !strings.Contains(err.Error(), "the identity") || strings.Contains(err.Error(), testCPR) {
				t.Errorf("%s of %q: got %v", what, identity, err)
			}
		}
	}
	if n := len(s.requests(true)); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestEmptyListsAreLists(t *testing.T) {
	t.Parallel()
	s := newService(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == pathCatalogue {
			answer(200, `{"roles":[]}`)(w, r)
			return
		}
		answer(200, "[]")(w, r)
	})
	c := s.client(t)
	roles, err := c.Roles(t.Context())
	check(t, "Roles", err, roles, []Role{})
	assigned, err := c.AssignedRoles(t.Context(), alice)
	check(t, "AssignedRoles", err, assigned, []AssignedRole{})
	numbers, err := c.SENumbers(t.Context())
	check(t, "SENumbers", err, numbers, []SENumber{})
	units, err := c.ProductionUnits(t.Context())
	check(t, "ProductionUnits", err, units, []ProductionUnit{})
}

func TestBaseURLWithAPath(t *testing.T) {
	t.Parallel()
	inner := newService(t, answer(200, "[]"))
	handler := inner.Config.Handler
	s := newService(t, nil)
	s.Config.Handler = http.StripPrefix("/gateway/nl", handler)
	c := s.client(t, func(o *Options) { o.BaseURL += "/gateway/nl/"; o.ReadOnly = true })
	if _, err := c.SENumbers(t.Context()); err != nil {
		t.Error(err)
	}
}
