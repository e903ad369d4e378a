package simulator

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// faultTests shows every fault.
var faultTests = map[string]func(*client){
	Garbage200: func(c *client) {
		t, s := c.t, c.s
		for kind, begins := range map[string]string{"html": "<!DOCTYPE html>", "cut": `{"roles":[{`, "text": "An error"} {
			mustFault(t, s, Garbage200, Fault{Rate: 1, Value: kind})
			body := c.get(EndpointCatalogue).want(200).body
			if !strings.HasPrefix(body, begins) || json.Valid([]byte(body)) {
				t.Errorf("%s answers %.40q", kind, body)
			}
		}
		mustFault(t, s, Garbage200, Fault{Rate: 1})
		kinds := map[string]bool{}
		for range 30 {
			kinds[c.get(EndpointCatalogue).header.Get("Content-Type")] = true
		}
		if len(kinds) != 3 {
			t.Errorf("left alone it answers %v", kinds)
		}
	},
	Empty200: func(c *client) {
		t, s := c.t, c.s
		mustFault(t, s, Empty200, Fault{Rate: 1, Value: "null"})
		if body := c.get(EndpointCatalogue).want(200).body; body != "null" {
			t.Errorf("the body is %q", body)
		}
		mustFault(t, s, Empty200, Fault{Rate: 1, Value: "empty"})
		if body := c.get(EndpointCatalogue).want(200).body; body != "" {
			t.Errorf("the body is %q", body)
		}
		who := person(t, s, active)
		c.post(at(EndpointRoles, who.UUID), write(ScopeCVR, s.CVR(), s.Roles()[4].UUID)).want(204) // reads only
	},
	Write200Text: func(c *client) {
		t, s := c.t, c.s
		mustFault(t, s, Write200Text, Fault{Rate: 1})
		who, role := person(t, s, active), s.Roles()[4].UUID
		got := c.post(at(EndpointRoles, who.UUID), write(ScopeCVR, s.CVR(), role)).want(200)
		if now, _ := s.Identity(who.UUID); got.body != "OK" || !now.Holds(role, ScopeCVR, s.CVR()) {
			t.Errorf("answered %q, done %v", got.body, now.Roles)
		}
		c.roles(who.UUID) // reads are as ever
	},
	SeeLog500: func(c *client) {
		t, s := c.t, c.s
		mustFault(t, s, SeeLog500, Fault{Rate: 1})
		who := person(t, s, active)
		c.get(at(EndpointRoles, who.UUID)).want(500).says("See log for exception details")
		c.get(at(EndpointEmployee, who.UUID)).want(500)
		c.get(at(EndpointEmployee, uuid.NewString())).want(404)
		c.get(EndpointCatalogue).want(200)
	},
	ServiceUnavailable: func(c *client) {
		t, s := c.t, c.s
		mustFault(t, s, ServiceUnavailable, Fault{Rate: 1, Count: 2})
		for range 2 {
			if got := c.get(EndpointCatalogue).want(503).says("ServiceUnavailable"); got.header.Get("Retry-After") != "" {
				t.Error("Retry-After came unasked")
			}
		}
		c.get(EndpointCatalogue).want(200)
		mustFault(t, s, ServiceUnavailable, Fault{Rate: 1, RetryAfter: "7"})
		if got := c.get(EndpointCatalogue).want(503); got.header.Get("Retry-After") != "7" {
			t.Errorf("Retry-After: %q", got.header.Get("Retry-After"))
		}
	},
	SearchUnstable: func(c *client) {
		t, s := c.t, c.s
		mustFault(t, s, SearchUnstable, Fault{Rate: 1})
		c.post(EndpointSearch, `{"maxCount":0,"removeUuidFromResultSet":false}`).broken()
		c.get(EndpointCatalogue).want(200)
		if got := s.Requests(); got[len(got)-2].Status != 0 {
			t.Errorf("the log says %+v", got[len(got)-2])
		}
	},
	OptimisticConcurrency: func(c *client) {
		t, s := c.t, c.s
		mustFault(t, s, OptimisticConcurrency, Fault{Rate: 1})
		who := person(t, s, active)
		c.put(at(EndpointSuspend, who.UUID), "").want(204)
		c.put(at(EndpointReactivate, who.UUID), "").want(409).says("OptimisticConcurrency")
		c.put(at(EndpointReactivate, who.UUID), "").want(204)
		c.put(at(EndpointReactivate, who.UUID), "").want(409)
		mustFault(t, s, OptimisticConcurrency, Fault{Rate: 1, Endpoint: EndpointRoles})
		body := write(ScopeCVR, s.CVR(), s.Roles()[4].UUID)
		c.post(at(EndpointRoles, who.UUID), body).want(409)
		c.roles(who.UUID)
		c.post(at(EndpointRoles, who.UUID), body).want(204)
	},
	Slow: func(c *client) {
		t, s := c.t, c.s
		mustFault(t, s, Slow, Fault{Rate: 1, Delay: 30 * time.Millisecond})
		began := time.Now()
		c.get(EndpointCatalogue).want(200)
		if took := time.Since(began); took < 30*time.Millisecond {
			t.Errorf("a slow answer took %v", took)
		}
		mustFault(t, s, Slow, Fault{Rate: 1, Delay: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if got := c.send(ctx, http.MethodGet, EndpointCatalogue, "", http.Header{}); !errors.Is(got.err, context.DeadlineExceeded) {
			t.Errorf("an answer after an hour: %v", got.err)
		}
	},
	HangAfterWrite: func(c *client) {
		t, s := c.t, c.s
		mustFault(t, s, HangAfterWrite, Fault{Rate: 1, Delay: time.Millisecond})
		who, roles := person(t, s, active), s.Roles()
		c.post(at(EndpointRoles, who.UUID), write(ScopeCVR, s.CVR(), roles[4].UUID)).broken()
		mustFault(t, s, HangAfterWrite, Fault{Rate: 1})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		header := http.Header{"Content-Type": {"application/json"}}
		c.send(ctx, http.MethodPost, at(EndpointRoles, who.UUID), write(ScopeCVR, s.CVR(), roles[5].UUID), header).broken()
		now, _ := s.Identity(who.UUID)
		if !now.Holds(roles[4].UUID, ScopeCVR, s.CVR()) || !now.Holds(roles[5].UUID, ScopeCVR, s.CVR()) {
			t.Error("the writes were not done")
		}
		c.roles(who.UUID) // reads do not hang
	},
	BadHours: nil, // needs a clock: TestBadHours
	TokenRevoked: func(c *client) {
		t, s := c.t, c.s
		mustFault(t, s, TokenRevoked, Fault{Rate: 1, Count: 1})
		c.get(EndpointCatalogue).want(401)
		c.get(EndpointCatalogue).want(401) // dead is dead
		c.authenticate()
		c.get(EndpointCatalogue).want(200)
	},
	AuthDown: func(c *client) {
		t, s := c.t, c.s
		mustFault(t, s, AuthDown, Fault{Rate: 1})
		c.post(EndpointAuthenticate, "").want(503)
		c.get(EndpointCatalogue).want(200)
		mustFault(t, s, AuthDown, Fault{Rate: 1, Status: 500})
		c.post(EndpointAuthenticate, "").want(500)
	},
	CertWithoutRight: func(c *client) {
		t, s := c.t, c.s
		mustFault(t, s, CertWithoutRight, Fault{Rate: 1})
		c.post(EndpointAuthenticate, "").want(403)
		c.get(EndpointCatalogue).want(200)
		mustFault(t, s, CertWithoutRight, Fault{Rate: 1, Status: 401})
		c.post(EndpointAuthenticate, "").want(401)
		mustFault(t, s, CertWithoutRight, Fault{Rate: 1, Value: "alert"})
		c.post(EndpointAuthenticate, "").broken()
	},
	CertExpired: func(c *client) {
		t, s := c.t, c.s
		c.get(EndpointCatalogue).want(200)
		mustFault(t, s, CertExpired, Fault{Rate: 1})
		if err := c.get(EndpointCatalogue).broken().err; !strings.Contains(err.Error(), "expired certificate") {
			t.Errorf("the client was told %v", err)
		}
		mustFault(t, s, CertExpired, Fault{})
		c.get(EndpointCatalogue).want(200)
	},
	CAListMismatch: func(c *client) {
		t, s := c.t, c.s
		mustFault(t, s, CAListMismatch, Fault{Rate: 1})
		var acceptable error
		certificate := s.ClientCertificate()
		picky := connect(t, s)
		picky.tls.GetClientCertificate = func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			acceptable = info.SupportsCertificate(&certificate)
			return &certificate, nil
		}
		picky.post(EndpointAuthenticate, "").want(200)
		if acceptable == nil {
			t.Error("the server's list of authorities has the client's")
		}
		passive := connect(t, s) // Go sends nothing when nothing fits
		passive.tls.Certificates = []tls.Certificate{certificate}
		passive.post(EndpointAuthenticate, "").broken()
		other := connect(t, s, strangersCertificate(t))
		other.post(EndpointAuthenticate, "").broken()
	},
	RateLimit429: func(c *client) {
		t, s := c.t, c.s
		mustFault(t, s, RateLimit429, Fault{Rate: 1})
		if got := c.get(EndpointCatalogue).want(429); got.header.Get("Retry-After") != "" {
			t.Error("Retry-After came unasked")
		}
		mustFault(t, s, RateLimit429, Fault{Rate: 1, RetryAfter: "Wed, 04 Mar 2026 12:00:00 GMT"})
		if got := c.get(EndpointCatalogue).want(429); got.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	},
	EmptyCatalogue: func(c *client) {
		t, s := c.t, c.s
		mustFault(t, s, EmptyCatalogue, Fault{Rate: 1})
		c.get(EndpointCatalogue).want(200).says(`"roles":[]`)
	},
	EmptyPNumbers: func(c *client) {
		t, s := c.t, c.s
		mustFault(t, s, EmptyPNumbers, Fault{Rate: 1})
		if body := c.get(EndpointPNumbers).want(200).body; body != "[]" {
			t.Errorf("the list is %.60s", body)
		}
	},
	EmptySENumbers: func(c *client) {
		t, s := c.t, c.s
		mustFault(t, s, EmptySENumbers, Fault{Rate: 1})
		if body := c.get(EndpointSENumbers).want(200).body; body != "[]" {
			t.Errorf("the list is %.60s", body)
		}
	},
	PartialCatalogue: func(c *client) {
		t, s := c.t, c.s
		whole := len(c.catalogue())
		mustFault(t, s, PartialCatalogue, Fault{Rate: 1, Share: 0.4})
		first, second := c.catalogue(), c.catalogue()
		for _, part := range [][]catalogueRoleWire{first, second} {
			if len(part) > whole*8/10 || len(part) < whole*4/10 {
				t.Errorf("%d of %d roles with 40 %% missing", len(part), whole)
			}
		}
		if cmp.Equal(first, second) {
			t.Error("the same roles are missing twice")
		}
	},
	RoleMissing: func(c *client) {
		t, s := c.t, c.s
		whole := c.catalogue()
		mustFault(t, s, RoleMissing, Fault{Rate: 1})
		first, second := c.catalogue(), c.catalogue()
		if len(first) == len(whole) || len(first) < len(whole)*7/10 || !cmp.Equal(first, second) {
			t.Errorf("%d, then %d of %d roles", len(first), len(second), len(whole))
		}
		who := person(t, s, active)
		mustFault(t, s, RoleMissing, Fault{Rate: 1, Value: who.Roles[0].UUID})
		if now := c.catalogue(); len(now) != len(whole)-1 {
			t.Errorf("%d of %d roles with one missing", len(now), len(whole))
		}
		if held := c.roles(who.UUID); len(held) != len(who.Roles) {
			t.Errorf("%d of %d roles held", len(held), len(who.Roles))
		}
		mustFault(t, s, RoleMissing, Fault{})
		if !cmp.Equal(c.catalogue(), whole) {
			t.Error("the roles did not return")
		}
	},
	SameNameRoles: func(c *client) {
		t, s := c.t, c.s
		mustFault(t, s, SameNameRoles, Fault{Rate: 1})
		roles := c.catalogue()
		names, long := map[string]int{}, ""
		for _, r := range roles {
			names[r.Name]++
			if len([]rune(r.Name)) > 128 {
				long = r.UUID.String()
			}
		}
		if len(names) == len(roles) || long == "" {
			t.Errorf("%d names for %d roles, the long one is %q", len(names), len(roles), long)
		}
		who := person(t, s, active)
		if err := s.Grant(who.UUID, long, ScopeCVR, s.CVR()); err != nil {
			t.Fatal(err)
		}
		isLong := func(r assignedRoleWire) bool { return len([]rune(r.Name)) > 128 }
		if !slices.ContainsFunc(c.roles(who.UUID), isLong) {
			t.Error("the long name is not on the assigned role")
		}
	},
	PNumberString: func(c *client) {
		t, s := c.t, c.s
		mustFault(t, s, PNumberString, Fault{Rate: 1})
		c.get(EndpointPNumbers).want(200).says(`"pNumber":"` + s.PNumbers()[0] + `"`)
	},
	UnknownScopeType: func(c *client) {
		madeUp(c, UnknownScopeType, func(r assignedRoleWire) bool {
			return !slices.Contains([]string{ScopeCVR, ScopePU, ScopeSE}, r.Scope.Type)
		})
	},
	OtherCVRScope: func(c *client) {
		s := c.s
		madeUp(c, OtherCVRScope, func(r assignedRoleWire) bool {
			return r.Scope.Type == ScopeCVR && r.Scope.Value != s.CVR()
		})
	},
	UnknownEnum: func(c *client) {
		t, s := c.t, c.s
		mustFault(t, s, UnknownEnum, Fault{Rate: 1})
		who := person(t, s, func(i Identity) bool { return active(i) && len(i.Authenticators) > 0 })
		c.get(at(EndpointEmployee, who.UUID)).want(200).says(`"Locked"`).says(`"Elevated"`)
		c.get(at(EndpointAuthenticators, who.UUID)).want(200).says(`"Passkey"`)
		c.post(EndpointSearch, `{"maxCount":1}`).want(200).says(`"Locked"`)
	},
	BatchRejected: func(c *client) {
		t, s := c.t, c.s
		mustFault(t, s, BatchRejected, Fault{Rate: 1})
		who, roles := person(t, s, active), s.Roles()
		path := at(EndpointRoles, who.UUID)
		c.post(path, write(ScopeCVR, s.CVR(), roles[4].UUID, roles[5].UUID)).want(400)
		c.del(path, write(ScopeCVR, s.CVR(), roles[4].UUID, roles[5].UUID)).want(400)
		c.post(path, write(ScopeCVR, s.CVR(), roles[4].UUID)).want(204)
	},
	BatchAtomic: func(c *client) {
		t, s := c.t, c.s
		roles := s.Roles()
		mustFault(t, s, BatchPartialFailure, Fault{Rate: 1}) // which it overrides
		mustFault(t, s, BatchAtomic, Fault{Rate: 1, Status: 422, Value: roles[5].UUID})
		who := person(t, s, active)
		before, _ := s.Identity(who.UUID)
		c.post(at(EndpointRoles, who.UUID), write(ScopePU, s.PNumbers()[1], roles[4].UUID, roles[5].UUID)).want(422)
		if after, _ := s.Identity(who.UUID); !cmp.Equal(before, after) {
			t.Errorf("something was applied: %s", cmp.Diff(before, after))
		}
	},
	BatchPartialFailure: func(c *client) {
		t, s := c.t, c.s
		roles := s.Roles()
		who := person(t, s, func(i Identity) bool { return i.Status == StatusActive && len(i.Roles) == 0 })
		path := at(EndpointRoles, who.UUID)
		for i, status := range []int{0, 200, 409, 500} {
			want := status
			switch status {
			case 0:
				want = 400
			case 200:
				want = 204
			}
			mustFault(t, s, BatchPartialFailure, Fault{Rate: 1, Status: status, Value: roles[5].UUID})
			c.post(path, write(ScopePU, s.PNumbers()[i], roles[4].UUID, roles[5].UUID, roles[6].UUID)).want(want)
			now, _ := s.Identity(who.UUID)
			if len(now.Roles) != 2*(i+1) || now.Holds(roles[5].UUID, ScopePU, s.PNumbers()[i]) {
				t.Errorf("status %d: %v", status, now.Roles)
			}
		}
		c.post(path, write(ScopePU, s.PNumbers()[7], roles[5].UUID)).want(400) // alone it is refused, whatever the status
		if now, _ := s.Identity(who.UUID); len(now.Roles) != 8 {
			t.Errorf("a bad role alone: %v", now.Roles)
		}
	},
	RepeatAddError: func(c *client) {
		t, s := c.t, c.s
		mustFault(t, s, RepeatAddError, Fault{Rate: 1})
		held := person(t, s, func(i Identity) bool { return active(i) && s.inCatalogue(i.Roles[0].UUID) })
		r := held.Roles[0]
		c.post(at(EndpointRoles, held.UUID), write(r.Scope.Type, r.Scope.Value, r.UUID)).want(409)
		mustFault(t, s, RepeatAddError, Fault{Rate: 1, Status: 500})
		c.post(at(EndpointRoles, held.UUID), write(r.Scope.Type, r.Scope.Value, r.UUID)).want(500)
		c.del(at(EndpointRoles, held.UUID), write(r.Scope.Type, r.Scope.Value, r.UUID)).want(204)
		c.post(at(EndpointRoles, held.UUID), write(r.Scope.Type, r.Scope.Value, r.UUID)).want(204)
	},
	RepeatDeleteError: func(c *client) {
		t, s := c.t, c.s
		mustFault(t, s, RepeatDeleteError, Fault{Rate: 1})
		held := person(t, s, active)
		r := held.Roles[0]
		c.del(at(EndpointRoles, held.UUID), write(r.Scope.Type, r.Scope.Value, r.UUID)).want(204)
		c.del(at(EndpointRoles, held.UUID), write(r.Scope.Type, r.Scope.Value, r.UUID)).want(404)
	},
	BasicPackageSticky: func(c *client) {
		t, s := c.t, c.s
		who, basic, other := person(t, s, active), s.Roles()[0].UUID, s.Roles()[4].UUID
		for _, role := range []string{basic, other} {
			if err := s.Grant(who.UUID, role, ScopeCVR, s.CVR()); err != nil {
				t.Fatal(err)
			}
		}
		path := at(EndpointRoles, who.UUID)
		mustFault(t, s, BasicPackageSticky, Fault{Rate: 1, Status: 403})
		c.del(path, write(ScopeCVR, s.CVR(), basic)).want(403)
		mustFault(t, s, BasicPackageSticky, Fault{Rate: 1})
		c.del(path, write(ScopeCVR, s.CVR(), basic, other)).want(204)
		now, _ := s.Identity(who.UUID)
		if !now.Holds(basic, ScopeCVR, s.CVR()) || now.Holds(other, ScopeCVR, s.CVR()) {
			t.Error("the basic package did not stay, or more did")
		}
		mustFault(t, s, BasicPackageSticky, Fault{})
		c.del(path, write(ScopeCVR, s.CVR(), basic)).want(204)
		if now, _ = s.Identity(who.UUID); now.Holds(basic, ScopeCVR, s.CVR()) {
			t.Error("the basic package stayed without the fault")
		}
	},
	StaleRead: nil, // needs a clock: TestStaleRead
	TimedAssignment: func(c *client) {
		t, s := c.t, c.s
		now := time.Now()
		past, running, future := 0, 0, 0
		look := func() (timed int) {
			for _, who := range s.State().Identities {
				for _, r := range c.roles(who.UUID) {
					if r.From == nil && r.To == nil {
						continue
					}
					timed++
					from, err := time.Parse(time.RFC3339, *r.From)
					to, err2 := time.Parse(time.RFC3339, *r.To)
					if err := errors.Join(err, err2); err != nil || !from.Before(to) {
						t.Fatalf("from %s to %s: %v", *r.From, *r.To, err)
					}
					switch {
					case to.Before(now):
						past++
					case from.After(now):
						future++
					default:
						running++
					}
				}
			}
			return timed
		}
		if look() != 0 {
			t.Error("grants have time limits without the fault")
		}
		mustFault(t, s, TimedAssignment, Fault{Rate: 0.5})
		if n := look(); n == 0 || past == 0 || running == 0 || future == 0 {
			t.Errorf("%d grants with time limits: %d past, %d running, %d future", n, past, running, future)
		}
	},
	UUIDChanged: func(c *client) {
		t, s := c.t, c.s
		who := person(t, s, active)
		mustFault(t, s, UUIDChanged, Fault{Rate: 1, Count: 1})
		c.get(at(EndpointEmployee, who.UUID)).want(404)
		c.get(at(EndpointRoles, who.UUID)).want(500)
		now := person(t, s, func(i Identity) bool { return i.EmailAddress == who.EmailAddress })
		if now.UUID == who.UUID || !cmp.Equal(now.Roles, who.Roles) {
			t.Errorf("after the change: %+v", now)
		}
		c.get(at(EndpointEmployee, now.UUID)).want(200)
	},
	UUIDMoved: func(c *client) {
		t, s := c.t, c.s
		who := person(t, s, active)
		mustFault(t, s, UUIDMoved, Fault{Rate: 1, Count: 1})
		c.get(at(EndpointEmployee, who.UUID)).want(200)
		now, _ := s.Identity(who.UUID)
		if now.EmailAddress == who.EmailAddress {
			t.Error("the UUID is still the same user's")
		}
		moved := person(t, s, func(i Identity) bool { return i.EmailAddress == who.EmailAddress })
		if !cmp.Equal(moved.Roles, who.Roles) {
			t.Error("the user's roles did not stay with the user")
		}
	},
	PagedSearch: func(c *client) {
		t, s := c.t, c.s
		var all, part employeesWire
		c.post(EndpointSearch, `{"maxCount":0,"removeUuidFromResultSet":false}`).want(200).into(&all)
		mustFault(t, s, PagedSearch, Fault{Rate: 1, Share: 0.25})
		c.post(EndpointSearch, `{"maxCount":0,"removeUuidFromResultSet":false}`).want(200).into(&part)
		if len(all.Employees) != 40 || len(part.Employees) != 10 {
			t.Errorf("%d, then %d employees", len(all.Employees), len(part.Employees))
		}
	},
	ErrorShape: func(c *client) {
		t, s := c.t, c.s
		path := at(EndpointEmployee, uuid.NewString())
		if kind := c.get(path).want(404).says("NotFound").header.Get("Content-Type"); kind != "application/json; charset=utf-8" {
			t.Errorf("an error is %s", kind)
		}
		for shape, want := range map[string]string{
			"text": "text/plain; charset=utf-8", "html": "text/html; charset=utf-8", "problem": "application/problem+json",
			"json": "application/json; charset=utf-8",
		} {
			mustFault(t, s, ErrorShape, Fault{Rate: 1, Value: shape})
			if kind := c.get(path).want(404).says("NotFound").header.Get("Content-Type"); kind != want {
				t.Errorf("an error as %s is %s", shape, kind)
			}
		}
		mustFault(t, s, ErrorShape, Fault{Rate: 1})
		kinds := map[string]bool{}
		for range 30 {
			kinds[c.get(path).want(404).header.Get("Content-Type")] = true
		}
		if len(kinds) != 3 {
			t.Errorf("left alone it answers %v", slices.Sorted(maps.Keys(kinds)))
		}
	},
	ForeignChange: func(c *client) {
		t, s := c.t, c.s
		who := person(t, s, active)
		mustFault(t, s, ForeignChange, Fault{Rate: 1, Identity: who.UUID})
		before := who
		for range 6 {
			c.roles(who.UUID)
			after, _ := s.Identity(who.UUID)
			if cmp.Equal(before.Roles, after.Roles) {
				t.Error("nobody changed anything")
			}
			before = after
		}
	},
}

func (s *Simulator) inCatalogue(role string) bool {
	return slices.ContainsFunc(s.Roles(), func(r Role) bool { return r.UUID == role })
}

// madeUp checks a fault that gives a fixed share of the identities a role they do not really hold.
func madeUp(c *client, fault string, strange func(assignedRoleWire) bool) {
	c.t.Helper()
	t, s := c.t, c.s
	look := func() (who []string) {
		for _, i := range s.State().Identities {
			if slices.ContainsFunc(c.roles(i.UUID), strange) {
				who = append(who, i.UUID)
			}
		}
		return who
	}
	if found := look(); found != nil {
		t.Errorf("without the fault: %v", found)
	}
	mustFault(t, s, fault, Fault{Rate: 0.5})
	first, second := look(), look()
	if len(first) < 8 || len(first) > 32 || !cmp.Equal(first, second) {
		t.Errorf("%d, then %d of 40 identities have it", len(first), len(second))
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for name, test := range faultTests {
		if test == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(login(t, start(t, Options{Seed: 3})))
		})
	}
}
