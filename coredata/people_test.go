package coredata

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/rollebro/rollebro/rolecatalog"
)

const (
	domainField = `"domain":"skovby.dk"`
	externalA   = "2e4b6d80-1c3f-4a5b-8e9d-7f6a5b4c3d2e"
	externalB   = "3e4b6d80-1c3f-4a5b-8e9d-7f6a5b4c3d2e"
)

func TestPeopleOfOtherSources(t *testing.T) {
	t.Parallel()
	s, m := newService(t)
	m.add(rolecatalog.User{UserID: "Csv", Name: "Fra CSV", CPR: "1403791001", NemLoginUUID: externalA})
	m.add(rolecatalog.User{UserID: "nocpr", Name: "Uden CPR", DomainID: 2})
	m.add(rolecatalog.User{UserID: "stays", Name: "Kun CSV", CPR: "1706671038"})
	other := m.add(rolecatalog.User{UserID: "other", Name: "En anden", CPR: "2305881038"})
	elsewhere := m.add(rolecatalog.User{UserID: "csv", Name: "Andet domæne", DomainID: 4})
	out := ok(t, s, (*Service).Full, bodyOf(domainField, anEntry("CSV", `"nsisAllowed":true`), anEntry("nocpr", `"cpr":"2305881038"`), anEntry("other")))
	diff(t, "counts", out.Counts, map[string]int{
		CountEntries: 3, CountUpdated: 2, CountTakenOver: 2, CountCreated: 1, CountRecreated: 1, CountDeleted: 1, CountModulus: 3, CountNoFlag: 3,
	})
	for _, u := range m.users {
		switch {
		case u.ID == elsewhere.ID:
			diff(t, "the other domain", u, elsewhere)
		case u.UserID == "Csv":
			if !u.FromCoreData || u.Name != "Fra CSV" || u.Alias != "Æ" || u.NemLoginUUID != externalA {
				t.Errorf("Csv isn't taken over as he should be: %+v", u)
			}
		case u.UserID == "nocpr":
			if !u.FromCoreData || u.CPR != "2305881038" || u.DomainID != 1 || u.Name != "Æ" {
				t.Errorf("nocpr isn't taken over as he should be: %+v", u)
			}
		case u.UserID == "stays":
			if u.FromCoreData || u.LockedDataset {
				t.Errorf("one who was never in CoreData isn't left alone: %+v", u)
			}
		case u.ID == other.ID:
			t.Error("an account that is another person's is kept")
		}
	}
	ok(t, s, (*Service).Lock, `{"domain":"skovby.dk","entryList":[{"samAccountName":"stays","cpr":"1706671038"}]}`)
	diff(t, "locked", m.locked(), []string{})
}

func TestAccountNameTwiceInTheTree(t *testing.T) {
	t.Parallel()
	s, m := newService(t)
	ok(t, s, (*Service).Full, bodyOf(domainField, anEntry("a", `"subDomain":"elev1"`)))
	twin := m.add(rolecatalog.User{UserID: "A", Name: "Tvilling", DomainID: 3})
	out := ok(t, s, (*Service).Full, bodyOf(domainField, anEntry("a", `"subDomain":"elev1"`)))
	if out.Counts[CountUnchanged] != 1 || len(out.Warnings) == 0 || m.users[twin.ID].FromCoreData {
		t.Errorf("%v, %+v", out, m.users[twin.ID])
	}
	ok(t, s, (*Service).Full, bodyOf(domainField, anEntry("a")))
	r := refused(t, s, (*Service).Full, bodyOf(domainField, anEntry("a", `"subDomain":"ELEV2"`)))
	if !strings.HasPrefix(r.Text, "Duplicate key a (") {
		t.Error(r.Text)
	}
}

func TestExternalUUID(t *testing.T) {
	t.Parallel()
	s, m := newService(t)
	s.Options.ExternalUUIDs = true
	load := func(fields ...string) rolecatalog.User {
		t.Helper()
		ok(t, s, (*Service).Full, bodyOf(domainField, anEntry("x", fields...)))
		return m.user("x")
	}
	unknown, ext := `"cpr":"0000000000"`, `"externalNemloginUserUuid":"`+strings.ToUpper(externalA)+`"`
	u := load(unknown, ext)
	if u.ExternalUUID != externalA || u.NemLoginUUID != externalA {
		t.Fatalf("%+v", u)
	}
	diff(t, "marked", m.marked, []string{"x"})
	id := u.ID
	// The real number becomes known elsewhere; the load goes on without it, and keeps it.
	u.CPR = "1403791001"
	m.users[id] = u
	if u = load(unknown, ext, `"email":"ny@skovby.dk"`); u.ID != id || u.CPR != "1403791001" || u.Email != "ny@skovby.dk" {
		t.Errorf("%+v", u)
	}
	// What isn't a UUID changes nothing.
	if u = load(`"externalNemloginUserUuid":"findes ikke"`); u.ID != id || u.NemLoginUUID != externalA {
		t.Errorf("%+v", u)
	}
	if u = load(); u.ExternalUUID != "" || u.NemLoginUUID != "" {
		t.Errorf("a UUID that is gone is kept: %+v", u)
	}
	diff(t, "marked", m.marked, []string{"x"})
	load(ext)
	u = m.user("x")
	u.NemLoginUUID = externalB // another source knows better
	m.users[id] = u
	if u = load(); u.ExternalUUID != "" || u.NemLoginUUID != externalB {
		t.Errorf("a UUID of another source is gone: %+v", u)
	}
	load(ext)
	s.Options.ExternalUUIDs = false
	if u = load(ext); u.ExternalUUID != "" || u.NemLoginUUID != "" {
		t.Errorf("switched off, the UUID stays: %+v", u)
	}
	// Without it, another CPR number is another person.
	if u = load(unknown, ext); u.ID == id {
		t.Error("the user is the same")
	}
}

func TestSharedNemLoginUUID(t *testing.T) {
	t.Parallel()
	s, m := newService(t)
	s.Options.ExternalUUIDs = true
	ext := `"externalNemloginUserUuid":"` + externalA + `"`
	ok(t, s, (*Service).Full, bodyOf(domainField, anEntry("a", ext), anEntry("b"), anEntry("c")))
	ok(t, s, (*Service).Delta, bodyOf(domainField, anEntry("b", ext)))
	diff(t, "marked when a conflict begins", m.marked, []string{"a", "b"})
	ok(t, s, (*Service).Full, bodyOf(domainField, anEntry("b", ext), anEntry("c")))
	diff(t, "marked when one is locked", m.marked, []string{"a", "b"})
	ok(t, s, (*Service).Cleanup, `{"domain":"skovby.dk","entryList":[{"samAccountName":"A","cpr":"1403791001"}]}`)
	diff(t, "marked when one is deleted", m.marked, []string{"b"})
	ok(t, s, (*Service).Delta, bodyOf(domainField, anEntry("c", `"email":"c@d"`)))
	diff(t, "marked for an e-mail", m.marked, []string(nil))
}

func TestRobotStaysOne(t *testing.T) {
	t.Parallel()
	s, m := newService(t)
	ok(t, s, (*Service).Full, bodyOf(domainField, anEntry("r", `"robot":true,"nsisAllowed":true,"transferToNemlogin":true`)))
	ok(t, s, (*Service).Full, bodyOf(domainField, anEntry("r", `"nsisAllowed":true,"transferToNemlogin":true`)))
	ok(t, s, (*Service).NSISAllowed, `{"domain":"skovby.dk","nsisUserUuids":["00000000-0000-4000-8000-000000000001"]}`)
	ok(t, s, (*Service).TransferToNemLogin, `{"domain":"skovby.dk","nemLoginUserUuids":["00000000-0000-4000-8000-000000000001"]}`)
	if r := m.user("r"); !r.Robot || r.NSISAllowed || r.TransferToNemLogin {
		t.Errorf("%+v", r)
	}
}

func TestNameOfTheRegister(t *testing.T) {
	t.Parallel()
	s, m := newService(t)
	for _, step := range []struct{ fields, name, alias string }{
		{`"name":"Ib","nsisAllowed":false`, "Ib", "Ib"},
		{`"name":"Ibber","nsisAllowed":true`, "Ib", "Ibber"},
		{`"name":"Ibs","nsisAllowed":false`, "Ibs", "Ibs"},
	} {
		ok(t, s, (*Service).Delta, bodyOf(domainField, anEntry("a", step.fields)))
		diff(t, step.fields, []string{m.user("a").Name, m.user("a").Alias}, []string{step.name, step.alias})
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	s, m := newService(t)
	for _, step := range []struct {
		value   string
		at      string // in UTC, empty when never
		locked  bool
		changed bool
	}{
		{`"2026-11-21"`, "2026-11-20T23:00:00Z", true, true}, // today has begun
		{`"2026-11-21T13:00:01"`, "2026-11-20T23:00:00Z", true, false},
		{`"2026-11-22"`, "2026-11-21T23:00:00Z", false, true},
		{`"2026-11-22 12:00:00"`, "2026-11-21T23:00:00Z", false, false}, // compared by the day
		{`""`, "", false, true},
		{`"2026-11-21T12:59:59"`, "2026-11-21T11:59:59Z", true, true},
		{`null`, "", false, true},
	} {
		writes := m.writes
		ok(t, s, (*Service).Full, bodyOf(domainField, anEntry("a", `"expireTimestamp":`+step.value)))
		u, at := m.user("a"), ""
		if u.ExpiresAt != nil {
			at = u.ExpiresAt.Format(time.RFC3339)
		}
		if at != step.at || u.LockedExpired != step.locked || (m.writes != writes) != step.changed {
			t.Errorf("%s: %s, locked: %t, written: %t", step.value, at, u.LockedExpired, m.writes != writes)
		}
	}
	ok(t, s, (*Service).Full, bodyOf(domainField, anEntry("a", `"expireTimestamp":"2026-11-22"`)))
	s.Now = func() time.Time { return testTime.AddDate(0, 0, 2) }
	ok(t, s, (*Service).Full, bodyOf(domainField, anEntry("a", `"expireTimestamp":"2026-11-22"`)))
	if !m.user("a").LockedExpired {
		t.Error("an expiry that has passed meanwhile isn't seen")
	}
	diff(t, "marked", m.marked, []string{"a"})
}

func TestLockFindsWhoIsMeant(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		body   string
		locked []string
	}{
		{`{"domain":"skovby.dk","entryList":[{"cpr":"1403791001","samAccountName":"A"},null]}`, []string{"a"}},
		{`{"domain":"skovby.dk","entryList":[{"cpr":"1403791001","samAccountName":"b"}]}`, []string{}},
		{`{"domain":"skovby.dk","entryList":[{"cpr":"","samAccountName":"a"}]}`, []string{}},
		{`{"domain":"skovby.dk","entryList":[{"cpr":"1403791001"},{"samAccountName":"a"}]}`, []string{}},
		{`{"domain":"ELEV1","entryList":[{"cpr":"1403791001","samAccountName":"a"},{"cpr":"2305881038","samAccountName":"b"}]}`, []string{"b"}},
		{`{"domain":"andenby.dk","entryList":[{"cpr":"1403791001","samAccountName":"a"}]}`, []string{}},
		{`{"domain":"skovby.dk","entryList":[{"cpr":"0000000000","samAccountName":"b","uuid":"` + uuidRuK + `"}]}`, []string{"b"}},
		{`{"domain":"skovby.dk","entryList":[{"cpr":"0000000000","samAccountName":"b","uuid":"` + uuidBOTH + `"}]}`, []string{}},
		{`{"domain":"skovby.dk","entryList":[{"cpr":"0000000000","samAccountName":"b"}]}`, []string{}},
		{`{"domain":"skovby.dk","entryList":[]}`, []string{}},
	} {
		s, m := newService(t)
		ok(t, s, (*Service).Full, bodyOf(domainField, anEntry("a"), anEntry("b", `"cpr":"2305881038","subDomain":"elev1","uuid":"`+uuidRuK+`"`)))
		ok(t, s, (*Service).Lock, test.body)
		diff(t, test.body, m.locked(), test.locked)
		s, m = newService(t)
		ok(t, s, (*Service).Full, bodyOf(domainField, anEntry("a"), anEntry("b", `"cpr":"2305881038","subDomain":"elev1","uuid":"`+uuidRuK+`"`)))
		events := len(m.audit)
		ok(t, s, (*Service).Cleanup, test.body)
		if left := 2 - len(test.locked); len(m.users) != left || len(m.audit)-events != len(test.locked) {
			t.Errorf("%s: %d are left, %d events", test.body, len(m.users), len(m.audit)-events)
		}
	}
	for body, text := range map[string]string{
		`{"entryList":[]}`:                       "Domain cannot be empty",
		`{"domain":"","entryList":[]}`:           "Domain cannot be empty",
		`{"domain":"x"}`:                         "Unknown domain: x",
		`{"domain":"skovby.dk"}`:                 "entryList cannot be null",
		`{"domain":"elev1","entryList":null}`:    "entryList cannot be null",
		`{"domain":"elev1","entrylist":["140"]}`: "Ugyldig JSON: en værdi har en forkert type (element 1 i entryList, byte 36)",
	} {
		s, _ := newService(t)
		diff(t, body, *refused(t, s, (*Service).Lock, body), Refusal{400, text})
		diff(t, body, *refused(t, s, (*Service).Cleanup, body), Refusal{400, text})
	}
}

// A user whose number is not known is not found by saying nothing.
func TestLockWithoutNumbers(t *testing.T) {
	t.Parallel()
	s, m := newService(t)
	m.add(rolecatalog.User{UserID: "a", Name: "A", CoreData: rolecatalog.CoreData{FromCoreData: true}})
	ok(t, s, (*Service).Lock, `{"domain":"skovby.dk","entryList":[{"samAccountName":"a"},{"samAccountName":"a","cpr":" - "}]}`)
	diff(t, "locked", m.locked(), []string{})
}

func TestGuardOfOtherCalls(t *testing.T) {
	t.Parallel()
	s, m := newService(t)
	ok(t, s, (*Service).Full, people(60, nil))
	named := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`{"cpr":%q,"samAccountName":"p%d"}`, m.user(fmt.Sprintf("p%d", i)).CPR, i))
		}
		return `{"domain":"skovby.dk","entryList":[` + strings.Join(list, ",") + `]}`
	}
	for _, call := range []method{(*Service).Lock, (*Service).Cleanup} {
		if r := refused(t, s, call, named(51)); !strings.Contains(r.Text, "højst 50") {
			t.Error(r.Text)
		}
	}
	if r := refused(t, s, (*Service).Delta, strings.ReplaceAll(people(60, func(i int) bool { return i > 50 }), `8000`, `7900`)); !strings.Contains(r.Text, "51 slettet og oprettet på ny") {
		t.Error(r.Text)
	}
	ok(t, s, (*Service).Lock, named(50))
	if n := len(m.locked()); n != 50 {
		t.Errorf("%d are locked", n)
	}
	// The locked ones are new people under another uuid; the active ones are not.
	if out := ok(t, s, (*Service).Delta, strings.ReplaceAll(people(60, nil), "00000000-0000", "10000000-0000")); out.Counts[CountRecreated] != 50 {
		t.Errorf("%v", out.Counts)
	}
}

func TestAuditOfLargeLoads(t *testing.T) {
	t.Parallel()
	s, m := newService(t)
	m.fast = true
	ok(t, s, (*Service).Full, people(auditEach, nil))
	if len(m.audit) != auditEach {
		t.Errorf("%d events", len(m.audit))
	}
	m.audit = nil
	ok(t, s, (*Service).Full, strings.ReplaceAll(people(auditEach+10, func(i int) bool { return i >= 995 && i < 1000 }), "Person ", "Borger "))
	locked := slices.DeleteFunc(slices.Clone(m.audit), func(e rolecatalog.AuditEvent) bool { return e.Action != rolecatalog.AuditUser })
	if len(m.audit) != 6 || len(locked) != 5 || !strings.Contains(m.audit[5].Detail, "10 created, 995 updated") {
		t.Errorf("%d events: %+v", len(m.audit), m.audit[len(m.audit)-1])
	}
}

func TestWakeAndFaults(t *testing.T) {
	t.Parallel()
	s, m := newService(t)
	woken := 0
	s.Wake = func() { woken++ }
	s.Options.ExternalUUIDs = true
	ok(t, s, (*Service).Full, bodyOf(domainField, anEntry("a")))
	if woken != 0 {
		t.Error("woken though nobody is marked")
	}
	load := bodyOf(domainField, anEntry("a", `"externalNemloginUserUuid":"`+externalA+`"`))
	ok(t, s, (*Service).Full, load)
	ok(t, s, (*Service).Full, load)
	if woken != 1 {
		t.Errorf("woken %d times", woken)
	}
	fault := errors.New("disk full")
	m.fault = fault
	_, err := s.Full(t.Context(), strings.NewReader(load), testCaller)
	if _, bad := errors.AsType[*Refusal](err); bad || !errors.Is(err, fault) {
		t.Errorf("a fault of the store: %v", err)
	}
}

func TestLogTellsNoCPR(t *testing.T) {
	t.Parallel()
	s, _ := newService(t)
	var out bytes.Buffer
	log := logrus.New()
	log.SetOutput(&out)
	s.Logger = log
	ok(t, s, (*Service).Full, bodyOf(domainField, anEntry("a"), anEntry("b", `"cpr":"1403791001x"`)))
	for _, body := range []string{bodyOf(domainField, anEntry("1403791001"), anEntry("1403791001")), `{"domain":"140379-1001"}`} {
		if r := refused(t, s, (*Service).Full, body); maskCPR(r.Text) != r.Text {
			t.Error(r.Text)
		}
	}
	if got := out.String(); strings.Contains(got, "1403791001") || strings.Contains(got, "140379-1001") {
		t.Errorf("a CPR number is in the log:\n%s", got)
	} else if !strings.Contains(got, "sprang b over") || !strings.Contains(got, "created=1") || !strings.Contains(got, "Flere personer") {
		t.Errorf("the log doesn't tell enough:\n%s", got)
	}
}
