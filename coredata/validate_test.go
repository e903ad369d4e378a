package coredata

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// anEntry is a good entry with some fields changed or, when null, taken away.
func anEntry(sam string, fields ...string) string {
	all := []string{`"uuid":"00000000-0000-4000-8000-000000000001"`, `"cpr":"1403791001"`, `"name":"Æ"`, `"samAccountName":"` + sam + `"`}
	all = append(all, fields...) // a later one wins
	return "{" + strings.Join(all, ",") + "}"
}

func bodyOf(fields string, entries ...string) string {
	return `{` + fields + `,"entryList":[` + strings.Join(entries, ",") + `]}`
}

func TestTextsOfTheOriginal(t *testing.T) {
	t.Parallel()
	const good = `"domain":"skovby.dk"`
	noSAM, badUUID, noName := anEntry("a", `"samAccountName":null`), anEntry("b", `"uuid":"12"`), anEntry("c", `"name":""`)
	badSub, badCPR := anEntry("d", `"subDomain":"findesikke"`), anEntry("e", `"cpr":"1"`, `"uuid":null`)
	for _, test := range []struct{ name, body, text string }{
		{"1 before all", bodyOf(`"domain":"x","globalSubDomain":"y"`), "Ukendt domæne: x"},
		{"1 null", bodyOf(`"domain":null`, noSAM), "Ukendt domæne: null"},
		{"1 absent", `{}`, "Ukendt domæne: null"},
		{"2 before 3", bodyOf(good + `,"globalSubDomain":"y"`), "Invalid globalSubDomain: y"},
		{"2 no parent", bodyOf(good+`,"globalSubDomain":"skovby.dk"`, noSAM), "Invalid globalSubDomain: skovby.dk"},
		{"2 of another domain", bodyOf(good+`,"globalSubDomain":"fremmed"`, anEntry("x")), "Invalid globalSubDomain: fremmed"},
		{"2 below a sub-domain", bodyOf(`"domain":"elev1","globalSubDomain":"elev2"`, anEntry("x")), "Invalid globalSubDomain: elev2"},
		{"3 before 4", bodyOf(`"domain":"elev1"`), "Tom entryList for domæne elev1"},
		{"3 null", `{"domain":"skovby.dk","entryList":null}`, "Tom entryList for domæne skovby.dk"},
		{"3 only nulls", bodyOf(good, "null", "null"), "Tom entryList for domæne skovby.dk"},
		{"4 before 5", bodyOf(`"domain":"elev1"`, noSAM), "Angivne domæne (elev1) er et sub-domæne"},
		{"5 before 6 to 8", bodyOf(good, badSub, noSAM), "Bruger med uuid '00000000-0000-4000-8000-000000000001' mangler et brugernavn"},
		{"5 without uuid", bodyOf(good, `{}`), "Bruger med uuid 'null' mangler et brugernavn"},
		{"6", bodyOf(good+`,"globalSubDomain":"elev1"`, anEntry("a", `"subDomain":"elev2"`)), "Underdomæne mismatch: elev1 != elev2"},
		{"7", bodyOf(good, badUUID, badSub), "Ukendt underdomæne: findesikke"},
		{"7 of another domain", bodyOf(good, anEntry("a", `"subDomain":"fremmed"`)), "Ukendt underdomæne: fremmed"},
		{"8 in payload order", bodyOf(good, anEntry("a"), anEntry("A"), badSub), "Flere personer med tilknyttet AD konto (A) for domæne skovby.dk"},
		{"7 in payload order", bodyOf(good, anEntry("a"), badSub, anEntry("A")), "Ukendt underdomæne: findesikke"},
		{"8 before 9", bodyOf(good, badCPR, anEntry("E")), "Flere personer med tilknyttet AD konto (E) for domæne skovby.dk"},
		{"9 before 10", bodyOf(good, badCPR, badUUID), "Person med ugyldigt UUID: 12 for domæne skovby.dk"},
		{"10 absent", bodyOf(good, anEntry("a", `"uuid":null`)), "Person med ugyldigt UUID: null for domæne skovby.dk"},
		{"10 is about length alone", bodyOf(good, anEntry("a", `"uuid":"`+strings.Repeat("æ", 37)+`"`)), "Person med ugyldigt UUID: " + strings.Repeat("æ", 37) + " for domæne skovby.dk"},
		{"11 in payload order", bodyOf(good, noName, badUUID), "Person uden navn: 00000000-0000-4000-8000-000000000001 for domæne skovby.dk"},
		{"a date", bodyOf(good, anEntry("a", `"expireTimestamp":"2027-1-31"`)), "Text '2027-1-31' could not be parsed at index 6"},
		{"a day that isn't", bodyOf(good, anEntry("a", `"expireTimestamp":"2027-02-30"`)), "Text '2027-02-30' could not be parsed at index 0"},
		{"a time", bodyOf(good, anEntry("a", `"expireTimestamp":"2027-01-31T25:00:00"`)), "Text '2027-01-31T25:00:00' could not be parsed at index 11"},
		{"password day", bodyOf(good, anEntry("a", `"passwordAdTimestamp":"i går"`)), "Text 'i går' could not be parsed at index 0"},
		{"long", bodyOf(good, anEntry("a", `"email":"`+strings.Repeat("x", 256)+`"`)), "Person med for lang værdi i email: 00000000-0000-4000-8000-000000000001 for domæne skovby.dk"},
		{"long attribute", bodyOf(good, anEntry("a", `"attributes":{"x":"`+strings.Repeat("x", 769)+`"}`)), "Person med for lang værdi i attributes: 00000000-0000-4000-8000-000000000001 for domæne skovby.dk"},
		{"a CPR number is masked", bodyOf(`"domain":"140379-1001"`), "Ukendt domæne: xxxxxx-xxxx"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, call := range []method{(*Service).Full, (*Service).Delta} {
				s, m := newService(t)
				r := refused(t, s, call, test.body)
				diff(t, "refusal", *r, Refusal{400, test.text})
				if len(m.users) > 0 {
					t.Error("there are users")
				}
			}
		})
	}
}

func TestRolesOfOS2faktor(t *testing.T) {
	t.Parallel()
	s, m := newService(t)
	load := bodyOf(`"domain":"skovby.dk"`, anEntry("a", `"roles":["SUPPORTER","ADMIN",null,"ADMIN"]`))
	ok(t, s, (*Service).Full, load)
	if got := m.user("a").Roles; got != nil {
		t.Errorf("roles are kept though they are switched off: %v", got)
	}
	s.Options.RoleAPI = true
	ok(t, s, (*Service).Full, load)
	diff(t, "roles", m.user("a").Roles, []string{"ADMIN", "SUPPORTER"})
	r := refused(t, s, (*Service).Full, bodyOf(`"domain":"skovby.dk"`, anEntry("a", `"roles":["KING"]`)))
	diff(t, "refusal", *r, Refusal{400, "Unknown role: KING"})
}

func TestKeyOfAnotherDomain(t *testing.T) {
	t.Parallel()
	s, _ := newService(t)
	caller := Caller{Name: "k", Allowed: func(master string) bool { return master == "andenby.dk" }}
	for name, call := range map[string]method{
		"full": (*Service).Full, "delta": (*Service).Delta, "lock": (*Service).Lock, "cleanup": (*Service).Cleanup, "groups": (*Service).GroupsFull,
		"nsis": (*Service).NSISAllowed, "kombit": (*Service).KombitAttributesFull, "jfr": (*Service).JFRFull,
	} {
		_, err := call(s, t.Context(), strings.NewReader(`{"domain":"ELEV1","entryList":[],"groups":[]}`), caller)
		if r, ok := err.(*Refusal); !ok || r.Status != 403 { //nolint:errorlint // a refusal comes as it is
			t.Errorf("%s: %v", name, err)
		}
		own := Caller{Name: "k", Allowed: func(master string) bool { return master == "skovby.dk" }}
		if _, err := call(s, t.Context(), strings.NewReader(`{"domain":"ELEV1","entryList":[],"groups":[]}`), own); err != nil {
			if r, ok := err.(*Refusal); !ok || r.Status == 403 { //nolint:errorlint // a refusal comes as it is
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestBadCPRNeverLocks(t *testing.T) {
	t.Parallel()
	s, m := newService(t)
	two := bodyOf(`"domain":"skovby.dk"`, anEntry("a"), anEntry("b"))
	ok(t, s, (*Service).Full, two)
	for _, cpr := range []string{"", "abc", "140379-10011", "14037910", "3202791001", "3104791001", "3002791001", "1413791001", "140379--1001", "１４０３７９１００１"} {
		out := ok(t, s, (*Service).Full, bodyOf(`"domain":"skovby.dk"`, anEntry("A", fmt.Sprintf(`"cpr":%q,"name":"Ny"`, cpr)), anEntry("b")))
		if out.Counts[CountBadCPR] != 1 || len(m.locked()) > 0 || m.user("a").Alias == "Ny" {
			t.Errorf("%q: %v %v", cpr, out.Counts, m.locked())
		}
		for _, w := range out.Warnings {
			if cpr != "" && strings.Contains(w, cpr) {
				t.Errorf("a warning shows the CPR number: %s", w)
			}
		}
	}
	// A load of which nothing remains locks nobody.
	r := refused(t, s, (*Service).Full, bodyOf(`"domain":"skovby.dk"`, anEntry("a", `"cpr":"x"`)))
	if !strings.HasPrefix(r.Text, "Tom entryList for domæne skovby.dk") {
		t.Error(r.Text)
	}
	ok(t, s, (*Service).Full, bodyOf(`"domain":"skovby.dk"`, anEntry("a", `"cpr":"x"`), anEntry("b", `"cpr":"x"`)))
	for _, cpr := range []string{" 140379-1001 ", "1403791001"} {
		if out := ok(t, s, (*Service).Full, bodyOf(`"domain":"skovby.dk"`, anEntry("a", `"cpr":"`+cpr+`"`), anEntry("b"))); out.Counts[CountUnchanged] != 2 {
			t.Errorf("%q: %v", cpr, out.Counts)
		}
	}
}

func TestSkipBadEntries(t *testing.T) {
	t.Parallel()
	s, m := newService(t)
	const domain = `"domain":"skovby.dk"`
	id := func(n int) string { return fmt.Sprintf(`"uuid":"00000000-0000-4000-8000-%012d"`, n) }
	ok(t, s, (*Service).Full, bodyOf(domain, anEntry("a", id(1)), anEntry("b", id(2)), anEntry("c", id(3)), anEntry("d", id(4)), anEntry("e", id(5))))
	s.Options.SkipBadEntries = true
	out := ok(t, s, (*Service).Full, bodyOf(domain,
		anEntry("a", id(1)), anEntry("A", id(1), `"name":"den anden"`), anEntry("b", id(2), `"name":null`), anEntry("x", id(3), `"samAccountName":""`),
		anEntry("d", id(4), `"subDomain":"findesikke"`)))
	diff(t, "locked", m.locked(), []string{"e"})
	diff(t, "counts", out.Counts, map[string]int{
		CountEntries: 5, CountSkipped: 4, CountUnchanged: 1, CountLocked: 1, CountModulus: 2, CountNoFlag: 2,
	})
	r := refused(t, s, (*Service).Full, bodyOf(domain, anEntry("a"), `{"cpr":"1403791001"}`))
	diff(t, "nobody can be spared whom nothing names", r.Text, "Bruger med uuid 'null' mangler et brugernavn")
}

func TestParseTime(t *testing.T) {
	t.Parallel()
	zone := denmark()
	for in, want := range map[string]string{
		"2027-01-31":                    "2027-01-30T23:00:00Z",
		"2027-07-31":                    "2027-07-30T22:00:00Z",
		"2027-01-31 12:30:00":           "2027-01-31T11:30:00Z",
		"2027-01-31T12:30:00":           "2027-01-31T11:30:00Z",
		"2027-01-31T12:30:00.123456789": "2027-01-31T11:30:00.123456Z",
		"2027-01-31T12:30:00Z":          "2027-01-31T12:30:00Z",
		"2027-01-31 12:30:00.5+02:00":   "2027-01-31T10:30:00.5Z",
		"2027-01-31T12:30:00+0200":      "2027-01-31T10:30:00Z",
		"2027-01-31T12:30":              "2027-01-31T11:30:00Z",
		"0001-01-01":                    "1900-01-01T00:00:00Z",
		"9999-12-31T23:59:59-05:00":     "9999-12-30T00:00:00Z",
	} {
		at, index, ok := parseTime(in, zone)
		if !ok {
			t.Errorf("%s can't be read: %d", in, index)
			continue
		}
		diff(t, in, storable(at).Format(time.RFC3339Nano), want)
	}
	for in, want := range map[string]int{"": 0, "x": 0, "2027": 4, "2027-01-3": 9, "2027/01/31": 4, "2027-01-31x": 10, "2027-01-31T": 11, "31-01-2027": 2, "2027-13-01": 0} {
		if _, index, ok := parseTime(in, zone); ok || index != want {
			t.Errorf("%q: index %d, read: %t", in, index, ok)
		}
	}
}

func TestShown(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"BOTH":                                 "BOTH",
		"1403791001":                           "xxxxxxxxxx",
		"cpr140379-1001.":                      "cprxxxxxx-xxxx.",
		"14037910012":                          "14037910012",
		"140379-10012":                         "140379-10012",
		"a\nb\x00":                             "a b ",
		uuidBOTH:                               uuidBOTH,
		strings.Repeat("æ", 300):               strings.Repeat("æ", 200) + "…",
		"00000000-0000-4000-8000-001403791001": "00000000-0000-4000-8000-001403791001",
	} {
		if d := cmp.Diff(want, shown(in)); d != "" {
			t.Error(d)
		}
	}
}

func TestModulus11(t *testing.T) {
	t.Parallel()
	// None is a date, so none was ever issued: 2*4 + 3*1 = 11, 3*3 + 2 = 11, 5*7 + 4*2 + 1 = 44.
	for _, number := range []string{"0000000000", "2000000003", "0300000002", "0005000041"} {
		if !modulus11(number) {
			t.Errorf("%s fails", number)
		}
	}
	if modulus11("1403791001") {
		t.Error("1403791001 passes")
	}
}
