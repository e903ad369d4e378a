package coredata

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollebro/rollebro/rolecatalog"
)

var testTime = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

var testCaller = Caller{Name: "adsync"}

func newService(tb testing.TB) (*Service, *memory) {
	tb.Helper()
	m := newMemory(tb)
	return &Service{Store: m, CVR: "99000011", Now: func() time.Time { return testTime }}, m
}

type method func(*Service, context.Context, io.Reader, Caller) (Outcome, error)

// ok carries out a call that must succeed.
func ok(tb testing.TB, s *Service, call method, body string) Outcome {
	tb.Helper()
	out, err := call(s, tb.Context(), strings.NewReader(body), testCaller)
	if err != nil {
		tb.Fatalf("the call is refused: %v", err)
	}
	return out
}

// refused carries out a call that must be refused and change nothing.
func refused(tb testing.TB, s *Service, call method, body string) *Refusal {
	tb.Helper()
	m, _ := s.Store.(*memory)
	before := m.writes
	_, err := call(s, tb.Context(), strings.NewReader(body), testCaller)
	var refusal *Refusal
	if !errors.As(err, &refusal) {
		tb.Fatalf("the call isn't refused: %v", err)
	}
	if m.writes != before {
		tb.Error("a refused call has written")
	}
	return refusal
}

func example(tb testing.TB, name string) string {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

func diff(tb testing.TB, what string, got, want any) {
	tb.Helper()
	if d := cmp.Diff(want, got); d != "" {
		tb.Errorf("%s (-want +got):\n%s", what, d)
	}
}

const (
	uuidBOTH = "5b0f2c1e-7a34-4c55-9d0e-3f1f6f0a9b01"
	uuidRuK  = "9c7d41aa-02be-4e0b-8a3c-6f5d2b7c1e02"
	groupVPN = "a0a1b2c3-d4e5-4f60-8172-839405a6b706"
)

// without takes the entry of an account out of a body with an entryList.
func without(body, sam string) string {
	start := strings.Index(body, `{"uuid"`)
	for start >= 0 {
		end := start + strings.Index(body[start:], `"ean":null}`) + len(`"ean":null}`)
		if strings.Contains(body[start:end], `"samAccountName":"`+sam+`"`) {
			return strings.Replace(strings.Replace(body[:start]+body[end:], "[,", "[", 1), ",,", ",", 1)
		}
		next := strings.Index(body[end:], `{"uuid"`)
		if next < 0 {
			break
		}
		start = end + next
	}
	panic("no entry " + sam)
}

func TestFullExample(t *testing.T) {
	t.Parallel()
	s, m := newService(t)
	out := ok(t, s, (*Service).Full, example(t, "e1_ad_full.json"))
	diff(t, "counts", out.Counts, map[string]int{CountEntries: 4, CountCreated: 4, CountModulus: 3})
	both := m.user("both")
	want := rolecatalog.User{
		ID: both.ID, UUID: both.UUID, ExtUUID: uuidBOTH, DomainID: 1, UserID: "both", UserKey: "both", Name: "Bodil Ægidius Thorup",
		Email: "both@skovby.dk", CPR: "1403791001", CreatedAt: testTime, UpdatedAt: testTime,
		CoreData: rolecatalog.CoreData{
			FromCoreData: true, Alias: "Bodil Ægidius Thorup", NSISAllowed: true, TransferToNemLogin: true, PrivateMitID: true,
			Department: "Økonomi", Attributes: map[string]string{"RADIUS": "vpn-std"},
		},
	}
	diff(t, "BOTH", both, want)
	ruk := m.user("ruk")
	if ruk.ExpiresAt == nil || !ruk.ExpiresAt.Equal(time.Date(2027, 1, 30, 23, 0, 0, 0, time.UTC)) || ruk.LockedExpired {
		t.Errorf("RuK expires at %v, locked: %t", ruk.ExpiresAt, ruk.LockedExpired)
	}
	if ruk.TrustedEmployee {
		t.Error("trustedEmployee is read though it's switched off")
	}
	if ext := m.user("x-meek"); ext.CPR != unknownCPR || ext.ExternalUUID != "" || ext.NemLoginUUID != "" {
		t.Errorf("the external: %+v", ext)
	}
	if robot := m.user("svc-rpa01"); !robot.Robot {
		t.Error("the robot isn't one")
	}
	if len(m.marked) > 0 {
		t.Errorf("marked: %v; nobody has a NemLogin UUID", m.marked)
	}
	writes := m.writes
	out = ok(t, s, (*Service).Full, example(t, "e1_ad_full.json"))
	diff(t, "counts of the second time", out.Counts, map[string]int{CountEntries: 4, CountUnchanged: 4, CountModulus: 3})
	if m.writes != writes {
		t.Error("an unchanged load has written")
	}
}

func TestLeftOutAndBack(t *testing.T) {
	t.Parallel()
	s, m := newService(t)
	e1 := example(t, "e1_ad_full.json")
	ok(t, s, (*Service).Full, e1)
	ok(t, s, (*Service).GroupsFull, example(t, "e4_ad_groups_full.json"))
	ok(t, s, (*Service).JFRFull, `{"domain":"skovby.dk","entryList":[{"samAccountName":"ruk","jfrs":[{"identifier":"x","cvr":"99000011"}]}]}`)
	ok(t, s, (*Service).KombitAttributesFull, `{"domain":"skovby.dk","entryList":[{"samAccountName":"RUK","kombitAttributes":{"a":"b"}}]}`)
	diff(t, "members", m.group(groupVPN), []string{"both", "ruk"})
	id := m.user("ruk").ID

	out := ok(t, s, (*Service).Full, without(e1, "RuK"))
	if out.Counts[CountLocked] != 1 {
		t.Errorf("counts: %v", out.Counts)
	}
	ruk := m.user("ruk")
	if !ruk.LockedDataset || ruk.LockedDatasetAt == nil || !ruk.LockedDatasetAt.Equal(testTime) || len(ruk.Attributes) > 0 || ruk.CPR != "2305881038" {
		t.Errorf("RuK is not locked as he should be: %+v", ruk)
	}
	diff(t, "KOMBIT attributes", ruk.KombitAttributes, map[string]string{"a": "b"})
	diff(t, "members", m.group(groupVPN), []string{"both"})
	diff(t, "roles", m.roles("ruk"), []string{})
	diff(t, "marked", m.marked, []string{"ruk"})
	// Later loads of groups and roles give a locked person nothing.
	ok(t, s, (*Service).GroupsFull, example(t, "e4_ad_groups_full.json"))
	ok(t, s, (*Service).JFRDelta, `{"domain":"skovby.dk","entryList":[{"samAccountName":"ruk","addJfrs":[{"identifier":"x","cvr":"99000011"}]}]}`)
	diff(t, "members", m.group(groupVPN), []string{"both"})
	diff(t, "roles", m.roles("ruk"), []string{})

	out = ok(t, s, (*Service).Full, e1)
	if ruk = m.user("ruk"); ruk.ID != id || ruk.LockedDataset || ruk.LockedDatasetAt == nil || out.Counts[CountReactivated] != 1 {
		t.Errorf("RuK is not reactivated as he should be: %+v %v", ruk, out.Counts)
	}
	diff(t, "marked", m.marked, []string{"ruk"})
}

func TestOtherUUID(t *testing.T) {
	t.Parallel()
	s, m := newService(t)
	e1 := example(t, "e1_ad_full.json")
	other := strings.Replace(e1, uuidRuK, "11111111-02be-4e0b-8a3c-6f5d2b7c1e02", 1)
	ok(t, s, (*Service).Full, e1)
	id := m.user("ruk").ID
	ok(t, s, (*Service).Full, other)
	if ruk := m.user("ruk"); ruk.ID != id || ruk.ExtUUID != "11111111-02be-4e0b-8a3c-6f5d2b7c1e02" {
		t.Errorf("an active user's uuid isn't overwritten in place: %+v", ruk)
	}
	ok(t, s, (*Service).Lock, `{"domain":"skovby.dk","entryList":[{"cpr":"230588-1038 ","samAccountName":"rUk"}]}`)
	diff(t, "locked", m.locked(), []string{"ruk"})
	out := ok(t, s, (*Service).Full, e1)
	if ruk := m.user("ruk"); ruk.ID == id || ruk.LockedDataset || out.Counts[CountRecreated] != 1 {
		t.Errorf("a locked user with another uuid isn't a new one: %+v %v", ruk, out.Counts)
	}
}

func TestSubDomainScope(t *testing.T) {
	t.Parallel()
	s, m := newService(t)
	e1, e2 := example(t, "e1_ad_full.json"), example(t, "e2_ad_full_subdomain.json")
	ok(t, s, (*Service).Full, e1)
	ok(t, s, (*Service).Full, e2)
	diff(t, "locked", m.locked(), []string{})
	if student := m.user("sino11"); student.DomainID != 2 {
		t.Errorf("the student is in domain %d", student.DomainID)
	}
	ok(t, s, (*Service).Full, e1)
	diff(t, "locked", m.locked(), []string{"sino11"})
	// One who moves into the sub-domain isn't locked by its load, and one who is elsewhere neither.
	ok(t, s, (*Service).Full, strings.ReplaceAll(strings.ReplaceAll(e2, "SINO11", "BOTH"), "1110004001", "1403791001"))
	diff(t, "locked", m.locked(), []string{"sino11"})
	if both := m.user("both"); both.DomainID != 2 {
		t.Errorf("BOTH is in domain %d", both.DomainID)
	}
}

func TestDeltaAndDeleteExamples(t *testing.T) {
	t.Parallel()
	s, m := newService(t)
	ok(t, s, (*Service).Full, example(t, "e1_ad_full.json"))
	out := ok(t, s, (*Service).Delta, example(t, "e3a_ad_delta.json"))
	diff(t, "counts", out.Counts, map[string]int{CountEntries: 1, CountUpdated: 1, CountModulus: 1})
	if m.user("both").Email != "bodil.thorup@skovby.dk" {
		t.Error("the e-mail didn't change")
	}
	ok(t, s, (*Service).Lock, example(t, "e3b_ad_delete.json"))
	diff(t, "locked", m.locked(), []string{"ruk"})
	writes := m.writes
	ok(t, s, (*Service).Lock, example(t, "e3b_ad_delete.json"))
	if m.writes != writes {
		t.Error("locking a locked person has written")
	}
}

func TestSideLoadExamples(t *testing.T) {
	t.Parallel()
	s, m := newService(t)
	ok(t, s, (*Service).Full, example(t, "e1_ad_full.json"))
	ok(t, s, (*Service).JFRFull, example(t, "e5_ad_jfr_full.json"))
	diff(t, "roles", m.roles("both"), []string{
		"http://delegeret.dk/roles/jobrole/barselsdk/1@99000022", "http://skovby.dk/roles/jobrole/oekonomi_sagsbehandler/1@99000011",
	})
	ok(t, s, (*Service).NSISAllowed, example(t, "e5b_ad_misc_nsisallowed.json"))
	if !m.user("ruk").NSISAllowed || m.user("x-meek").NSISAllowed {
		t.Error("nsisAllowed is not what the load says")
	}
	ok(t, s, (*Service).TransferToNemLogin, example(t, "e5c_ad_misc_transfertonemlogin.json"))
	if !m.user("both").TransferToNemLogin {
		t.Error("transferToNemlogin is not what the load says")
	}
	ok(t, s, (*Service).KombitAttributesFull, example(t, "e5d_ad_misc_kombitattributes.json"))
	diff(t, "attributes", m.user("both").KombitAttributes, map[string]string{"acadreUuid": "29e7ccba-1ed8-4800-ba00-0000012a00ff"})
	writes := m.writes
	for name, call := range map[string]method{
		"e5_ad_jfr_full.json": (*Service).JFRFull, "e5b_ad_misc_nsisallowed.json": (*Service).NSISAllowed,
		"e5c_ad_misc_transfertonemlogin.json": (*Service).TransferToNemLogin, "e5d_ad_misc_kombitattributes.json": (*Service).KombitAttributesFull,
	} {
		ok(t, s, call, example(t, name))
	}
	if m.writes != writes {
		t.Error("side loads that change nothing have written")
	}
}

// people makes a body of n people; skip tells who is left out.
func people(n int, skip func(i int) bool) string {
	var b strings.Builder
	b.WriteString(`{"domain":"skovby.dk","entryList":[`)
	first := true
	for i := range n {
		if skip != nil && skip(i) {
			continue
		}
		if !first {
			b.WriteByte(',')
		}
		first = false
		fmt.Fprintf(&b, `{"uuid":"00000000-0000-4000-8000-%012d","cpr":"%02d%02d80%04d","name":"Person %d","samAccountName":"P%d","nsisAllowed":true,`+
			`"transferToNemlogin":false,"email":"p%d@skovby.dk","attributes":{"azureId":"az-%d"},"department":"Afdeling %d"}`,
			i, 2+i%26, 1+i%12, i%10000, i, i, i, i, i%40)
	}
	b.WriteString(`]}`)
	return b.String()
}

func TestGuardAndRelease(t *testing.T) {
	t.Parallel()
	s, m := newService(t)
	ok(t, s, (*Service).Full, people(400, nil))
	few := people(400, func(i int) bool { return i < 81 })
	r := refused(t, s, (*Service).Full, few)
	for _, part := range []string{"af 400 aktive", "81 blive låst", "højst 80", "rollebro domain allow-next-load skovby.dk --by"} {
		if !strings.Contains(r.Text, part) {
			t.Errorf("the text doesn't say %q: %s", part, r.Text)
		}
	}
	ok(t, s, (*Service).Full, people(400, func(i int) bool { return i < 80 }))
	if n := len(m.locked()); n != 80 {
		t.Errorf("%d are locked", n)
	}
	ok(t, s, (*Service).Full, people(400, nil))
	m.releases = []Release{{ID: 7, DomainID: 1, By: "Anna", Reason: "flytning"}}
	ok(t, s, (*Service).Full, few)
	if m.releases[0].UsedAt == nil || len(m.locked()) != 81 {
		t.Error("the release hasn't let the load through, or isn't used up")
	}
	if !slices.ContainsFunc(m.audit, func(e rolecatalog.AuditEvent) bool {
		return e.Action == rolecatalog.AuditDomain && strings.Contains(e.Reason, "Anna: flytning")
	}) {
		t.Error("the audit trail doesn't tell of the release")
	}
	ok(t, s, (*Service).Full, people(400, nil))
	if r := refused(t, s, (*Service).Full, few); r.Status != 400 {
		t.Errorf("the release lets a second load through, or the status is %d", r.Status)
	}
}
