package coredata

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestKombitResolution(t *testing.T) {
	t.Parallel()
	const azure = "aaaaaaaa-0000-4000-8000-00000000000f"
	s, m := newService(t)
	ok(t, s, (*Service).Full, bodyOf(domainField,
		anEntry("a", `"uuid":"`+uuidBOTH+`"`, `"attributes":{"azureId":"`+azure+`"}`),
		anEntry("b", `"uuid":"`+uuidRuK+`"`),
		// Somebody's uuid is another one's azureId: the azureId comes first.
		anEntry("c", `"uuid":"`+azure+`","subDomain":"elev1"`)))
	entry := func(key, roles string) string { return `{` + key + `,"jfrs":[` + roles + `]}` }
	const x, y = `{"identifier":"x","cvr":"1"}`, `{"identifier":"y","cvr":"2"}`
	for _, test := range []struct {
		name, entries string
		a, b, c       []string
		unknown       int
	}{
		{"azureId", entry(`"uuid":"`+strings.ToUpper(azure)+`"`, x), []string{"x@1"}, nil, nil, 0},
		{"uuid", entry(`"uuid":"`+uuidRuK+`"`, x+","+x+","+y), nil, []string{"x@1", "y@2"}, nil, 0},
		{"name", entry(`"samAccountName":"B"`, y), nil, []string{"y@2"}, nil, 0},
		{"uuid before name", entry(`"samAccountName":"B","uuid":"`+uuidBOTH+`"`, x), []string{"x@1"}, nil, nil, 0},
		{"name when the uuid is unknown", entry(`"samAccountName":"c","uuid":"dddddddd-0000-4000-8000-00000000000f"`, x), nil, nil, []string{"x@1"}, 0},
		{"nobody", entry(`"samAccountName":"z"`, x), nil, nil, nil, 1},
		{"two entries for one", entry(`"samAccountName":"b"`, x) + "," + entry(`"uuid":"`+uuidRuK+`"`, y), nil, []string{"x@1", "y@2"}, nil, 0},
		{"no list", `{"samAccountName":"b"}`, nil, nil, nil, 0},
		{"empty", "", nil, nil, nil, 0},
	} {
		body := `{"domain":"skovby.dk","entryList":[` + test.entries + `]}`
		out := ok(t, s, (*Service).JFRFull, body)
		for key, want := range map[string][]string{"a": test.a, "b": test.b, "c": test.c} {
			diff(t, test.name+": "+key, m.roles(key), append([]string{}, want...))
		}
		if out.Counts[CountUnknown] != test.unknown {
			t.Errorf("%s: %v", test.name, out.Counts)
		}
		writes := m.writes
		if ok(t, s, (*Service).JFRFull, body); m.writes != writes {
			t.Errorf("%s: the same again has written", test.name)
		}
	}
	// A delta resolves in the same way, adds, then removes; an empty one is fine.
	delta := func(entries string) {
		ok(t, s, (*Service).JFRDelta, `{"domain":"skovby.dk","entryList":[`+entries+`]}`)
	}
	delta("")
	delta(`{"uuid":"` + azure + `","addJfrs":[` + x + `,` + y + `]},{"samAccountName":"C","addJfrs":[` + y + `]}`)
	diff(t, "a", m.roles("a"), []string{"x@1", "y@2"})
	delta(`{"samAccountName":"b","uuid":"` + azure + `","addJfrs":[` + x + `],"removeJfrs":[` + x + `,{"identifier":"nothing","cvr":"1"}]}`)
	diff(t, "a", m.roles("a"), []string{"y@2"})
	// A load of a sub-domain concerns only who is in it.
	ok(t, s, (*Service).JFRFull, `{"domain":"elev1","entryList":[{"samAccountName":"a","jfrs":[`+x+`]}]}`)
	diff(t, "a", m.roles("a"), []string{"y@2"})
	diff(t, "c", m.roles("c"), []string{})
}

func TestKombitRefusals(t *testing.T) {
	t.Parallel()
	for body, text := range map[string]string{
		`{}`:                              "Body was null or missing entryList",
		`{"domain":"x","entryList":null}`: "Body was null or missing entryList",
		`{"domain":"x","entryList":[]}`:   "Unknown domain: x",
		`{"entryList":[]}`:                "Unknown domain: null",
		`{"entryList":[{"samAccountName":"a"},{"uuid":""}]}`:                                                      "Missing sAMAccountName and uuid on entry. Needs at least one",
		`{"entryList":[{"samAccountName":"a"},{"samAccountName":"A"}]}`:                                           "Duplicate key A",
		`{"entryList":[{"uuid":"u"},{"uuid":"U"}]}`:                                                               "Duplicate key U",
		`{"entryList":[{"uuid":"u","jfrs":[{"cvr":"1"}]}]}`:                                                       "KOMBIT rolle uden identifier",
		`{"entryList":[{"uuid":"u","addJfrs":[{"identifier":"x","cvr":"123456789"}]}]}`:                           "KOMBIT rolle med for langt cvr (højst 8 tegn): x",
		`{"entryList":[{"uuid":"u","removeJfrs":[{"identifier":"` + strings.Repeat("x", 256) + `","cvr":"1"}]}]}`: "KOMBIT rolle med for lang identifier (højst 255 tegn)",
	} {
		s, _ := newService(t)
		for _, call := range []method{(*Service).JFRFull, (*Service).JFRDelta} {
			diff(t, body, *refused(t, s, call, body), Refusal{400, text})
		}
	}
}

func TestGuardOfKombit(t *testing.T) {
	t.Parallel()
	s, m := newService(t)
	ok(t, s, (*Service).Full, people(60, nil))
	roles := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`{"uuid":"az-%d","jfrs":[{"identifier":"x","cvr":"1"}]}`, i))
		}
		return `{"domain":"skovby.dk","entryList":[` + strings.Join(list, ",") + `]}`
	}
	ok(t, s, (*Service).JFRFull, roles(60))
	for _, n := range []int{0, 9} {
		if r := refused(t, s, (*Service).JFRFull, roles(n)); !strings.Contains(r.Text, fmt.Sprintf("af 60 personer med KOMBIT roller ville %d miste alle", 60-n)) {
			t.Error(r.Text)
		}
	}
	// The others of the tree don't count in a load of a sub-domain.
	ok(t, s, (*Service).JFRFull, `{"domain":"elev1","entryList":[]}`)
	if len(m.kombit) != 60 {
		t.Errorf("%d roles are left", len(m.kombit))
	}
	ok(t, s, (*Service).JFRFull, roles(10))
	if len(m.kombit) != 10 {
		t.Errorf("%d roles are left", len(m.kombit))
	}
}

func TestFlagLoads(t *testing.T) {
	t.Parallel()
	s, m := newService(t)
	ok(t, s, (*Service).Full, bodyOf(domainField,
		anEntry("a", `"uuid":"`+uuidBOTH+`","nsisAllowed":true,"transferToNemlogin":true`),
		anEntry("b", `"uuid":"`+uuidRuK+`","subDomain":"elev1"`), anEntry("c", `"transferToNemlogin":true,"nsisAllowed":true`)))
	ok(t, s, (*Service).Lock, `{"domain":"skovby.dk","entryList":[{"cpr":"1403791001","samAccountName":"c"}]}`)
	flags := func(what string, want map[string][2]bool) {
		t.Helper()
		got := make(map[string][2]bool)
		for key := range want {
			got[key] = [2]bool{m.user(key).NSISAllowed, m.user(key).TransferToNemLogin}
		}
		diff(t, what, got, want)
	}
	writes := m.writes
	ok(t, s, (*Service).NSISAllowed, `{"domain":"skovby.dk","nsisUserUuids":null}`)
	ok(t, s, (*Service).TransferToNemLogin, `{"domain":"skovby.dk"}`)
	if m.writes != writes {
		t.Error("a load without a list has written")
	}
	ok(t, s, (*Service).NSISAllowed, `{"domain":"skovby.dk","nsisUserUuids":["`+strings.ToUpper(uuidRuK)+`",null]}`)
	flags("nsisAllowed", map[string][2]bool{"a": {false, true}, "b": {true, false}, "c": {false, true}})
	ok(t, s, (*Service).TransferToNemLogin, `{"domain":"elev1","nemLoginUserUuids":["`+uuidRuK+`","`+uuidBOTH+`"]}`)
	flags("of a sub-domain", map[string][2]bool{"a": {false, true}, "b": {true, true}, "c": {false, true}})
	ok(t, s, (*Service).TransferToNemLogin, `{"domain":"skovby.dk","nemLoginUserUuids":[]}`)
	flags("a locked one keeps his", map[string][2]bool{"a": {false, false}, "b": {true, false}, "c": {false, true}})
	for _, call := range []method{(*Service).NSISAllowed, (*Service).TransferToNemLogin} {
		diff(t, "refusal", *refused(t, s, call, `{"domain":"x"}`), Refusal{400, "Unknown domain: x"})
	}
}

func TestKombitAttributes(t *testing.T) {
	t.Parallel()
	s, m := newService(t)
	ok(t, s, (*Service).Full, bodyOf(domainField, anEntry("a"), anEntry("b", `"expireTimestamp":"2020-01-01"`), anEntry("c", `"subDomain":"elev1"`)))
	load := func(entries string) Outcome {
		return ok(t, s, (*Service).KombitAttributesFull, `{"domain":"skovby.dk","entryList":[`+entries+`]}`)
	}
	load(`{"samAccountName":"A","kombitAttributes":{"x":"1","y":null}},{"samAccountName":"c","kombitAttributes":{"z":2}}`)
	out := load(`{"samAccountName":"c","kombitAttributes":{}},{"samAccountName":"ingen","kombitAttributes":{}}`)
	diff(t, "a", m.user("a").KombitAttributes, map[string]string{"x": "1"})
	if got := m.user("c").KombitAttributes; len(got) > 0 || out.Counts[CountUnknown] != 1 {
		t.Errorf("c: %v, %v", got, out.Counts)
	}
	ok(t, s, (*Service).Lock, `{"domain":"skovby.dk","entryList":[{"samAccountName":"c","cpr":"1403791001"}]}`)
	load(`{"samAccountName":"c","kombitAttributes":{"z":"3"}}`)
	if got := m.user("c").KombitAttributes; len(got) > 0 {
		t.Errorf("one who is locked gets attributes: %v", got)
	}
	single := func(domain string) method {
		return func(s *Service, ctx context.Context, r io.Reader, c Caller) (Outcome, error) {
			return s.KombitAttributesSingle(ctx, domain, r, c)
		}
	}
	ok(t, s, single("skovby.dk"), `{"samAccountName":"A","kombitAttributes":{"x":"3"}}`)
	diff(t, "a", m.user("a").KombitAttributes, map[string]string{"x": "3"})
	for _, test := range []struct{ domain, body, text string }{
		{"x", `{}`, "Ukendt domæne: x"},
		{"elev1", `{}`, "Angivne domæne (elev1) er et sub-domæne"},
		{"skovby.dk", `{}`, "Person mangler sAMAccountName for domæne skovby.dk"},
		{"skovby.dk", `{"samAccountName":"ingen"}`, "No person found with sAMAccountName: ingen"},
		{"skovby.dk", `{"samAccountName":"b"}`, "No active person found with sAMAccountName: b"},
	} {
		diff(t, test.text, *refused(t, s, single(test.domain), test.body), Refusal{400, test.text})
	}
	for body, text := range map[string]string{
		`{"domain":"x","entryList":[]}`:                                                      "Ukendt domæne: x",
		`{"domain":"elev1","entryList":[]}`:                                                  "Tom entryList for domæne elev1",
		`{"domain":"elev1","entryList":[{}]}`:                                                "Angivne domæne (elev1) er et sub-domæne",
		`{"domain":"skovby.dk","entryList":[{}]}`:                                            "Person mangler sAMAccountName for domæne skovby.dk",
		`{"domain":"skovby.dk","entryList":[{"samAccountName":"a"},{"samAccountName":"A"}]}`: "Flere personer med tilknyttet AD konto (A) for domæne skovby.dk",
	} {
		diff(t, body, *refused(t, s, (*Service).KombitAttributesFull, body), Refusal{400, text})
	}
}
