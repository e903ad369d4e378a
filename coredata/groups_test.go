package coredata

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestGroupsExample(t *testing.T) {
	t.Parallel()
	s, m := newService(t)
	ok(t, s, (*Service).Full, example(t, "e1_ad_full.json"))
	e4 := example(t, "e4_ad_groups_full.json")
	ok(t, s, (*Service).GroupsFull, e4)
	diff(t, "members", m.group(groupVPN), []string{"both", "ruk"})
	diff(t, "members of the empty group", m.group("b1b2c3d4-e5f6-4071-8283-94a5b6c7d807"), []string{})
	writes := m.writes
	ok(t, s, (*Service).GroupsFull, e4)
	ok(t, s, (*Service).GroupsDelta, e4)
	if m.writes != writes {
		t.Error("the same groups again have written")
	}
	// Names and uuids, in any case, twice; unknown ones are left out.
	out := ok(t, s, (*Service).GroupsDelta, `{"domain":"SKOVBY.DK","groups":[null,{"Uuid":"`+groupVPN+`","Name":"Ny","Members":["bOTH","`+
		strings.ToUpper(uuidBOTH)+`",null,"svc-RPA01","SVC-rpa01","findesikke"]}]}`)
	diff(t, "members", m.group(groupVPN), []string{"both", "svc-rpa01"})
	diff(t, "counts", out.Counts, map[string]int{CountEntries: 1, CountUpdated: 1, CountJoined: 1, CountLeft: 1, CountUnknown: 1})
	ok(t, s, (*Service).GroupsDelta, `{"domain":"skovby.dk","groups":[{"uuid":"`+groupVPN+`","name":"Ny","members":null}]}`)
	diff(t, "members", m.group(groupVPN), []string{})
	ok(t, s, (*Service).GroupsFull, `{"domain":"skovby.dk","groups":[]}`)
	if len(m.groups) != 0 {
		t.Errorf("groups are left: %v", m.groups)
	}
}

func TestGroupsStayInTheirDomain(t *testing.T) {
	t.Parallel()
	s, m := newService(t)
	ok(t, s, (*Service).Full, bodyOf(domainField, anEntry("a"), anEntry("b", `"subDomain":"elev1","uuid":"`+uuidRuK+`"`)))
	const g = `{"uuid":"g","name":"G","members":["a","b"]}`
	ok(t, s, (*Service).GroupsFull, `{"domain":"skovby.dk","groups":[`+g+`]}`)
	ok(t, s, (*Service).GroupsFull, `{"domain":"elev1","groups":[`+g+`]}`)
	ok(t, s, (*Service).GroupsFull, `{"domain":"andenby.dk","groups":[`+g+`]}`)
	members := make(map[uint64]int)
	for _, group := range m.groups {
		members[group.DomainID] = len(group.Members)
	}
	diff(t, "members by domain", members, map[uint64]int{1: 2, 2: 1, 4: 0})
	ok(t, s, (*Service).GroupsFull, `{"domain":"skovby.dk","groups":[]}`)
	if len(m.groups) != 2 {
		t.Errorf("%d groups are left", len(m.groups))
	}
	// Case tells groups apart.
	ok(t, s, (*Service).GroupsDelta, `{"domain":"elev1","groups":[{"uuid":"G","name":"Stor"}]}`)
	if len(m.groups) != 3 {
		t.Errorf("%d groups", len(m.groups))
	}
}

func TestGroupsRefusals(t *testing.T) {
	t.Parallel()
	for body, text := range map[string]string{
		`{"domain":"x","groups":[]}`:           "Ukendt domæne: x",
		`{"domain":"skovby.dk"}`:               "groups mangler for domæne skovby.dk",
		`{"domain":"skovby.dk","groups":null}`: "groups mangler for domæne skovby.dk",
		`{"domain":"skovby.dk","groups":[{"uuid":"u","name":"n"},{"uuid":"u","name":"m"}]}`:            "Duplicate key u",
		`{"domain":"skovby.dk","groups":[{"name":"n"}]}`:                                               "Gruppe uden uuid for domæne skovby.dk",
		`{"domain":"skovby.dk","groups":[{"uuid":"u"}]}`:                                               "Gruppe uden navn: u for domæne skovby.dk",
		`{"domain":"skovby.dk","groups":[{"uuid":"u","name":"` + strings.Repeat("x", 256) + `"}]}`:     "Gruppe med for lang værdi: u for domæne skovby.dk",
		`{"domain":"skovby.dk","groups":[{"uuid":"u","name":"n","members":"both"}]}`:                   "Ugyldig JSON: en værdi har en forkert type (element 1 i groups, byte 72)",
		`{"domain":"skovby.dk","groups":[{"uuid":"u","name":"n","description":{"cpr":"1403791001"}}]}`: "Ugyldig JSON: en værdi har en forkert type (element 1 i groups, byte 90)",
	} {
		s, _ := newService(t)
		for _, call := range []method{(*Service).GroupsFull, (*Service).GroupsDelta} {
			diff(t, body, *refused(t, s, call, body), Refusal{400, text})
		}
	}
}

func manyGroups(n int, members string) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`{"uuid":"g%d","name":"G%d","members":[%s]}`, i, i, members))
	}
	return `{"domain":"skovby.dk","groups":[` + strings.Join(list, ",") + `]}`
}

func TestGuardOfGroups(t *testing.T) {
	t.Parallel()
	s, m := newService(t)
	ok(t, s, (*Service).Full, bodyOf(domainField, anEntry("a")))
	ok(t, s, (*Service).GroupsFull, manyGroups(60, `"a"`))
	for _, body := range []string{`{"domain":"skovby.dk","groups":[]}`, manyGroups(9, `"a"`), manyGroups(60, ""), manyGroups(60, `"b"`)} {
		if r := refused(t, s, (*Service).GroupsFull, body); !strings.Contains(r.Text, "af 60 grupper") {
			t.Error(r.Text)
		}
	}
	ok(t, s, (*Service).GroupsFull, manyGroups(10, `"a"`))
	if len(m.groups) != 10 {
		t.Errorf("%d groups are left", len(m.groups))
	}
}

func TestOneGroupMember(t *testing.T) {
	t.Parallel()
	s, m := newService(t)
	ok(t, s, (*Service).Full, bodyOf(domainField, anEntry("A"), anEntry("b", `"subDomain":"elev1"`), anEntry("c", `"expireTimestamp":"2020-01-01"`)))
	ok(t, s, (*Service).GroupsFull, `{"domain":"skovby.dk","groups":[{"uuid":"g","name":"G","members":["b"]}]}`)
	member := func(add bool, domain string) method {
		return func(s *Service, ctx context.Context, r io.Reader, c Caller) (Outcome, error) {
			return s.GroupMember(ctx, domain, r, add, c)
		}
	}
	for range 2 { // joining twice is fine
		ok(t, s, member(true, "Skovby.dk"), `{"groupUuid":"g","sAMAccountName":"a"}`)
		diff(t, "members", m.group("g"), []string{"a", "b"})
	}
	ok(t, s, member(false, "skovby.dk"), `{"groupUuid":"g","samAccountName":"A"}`)
	diff(t, "members", m.group("g"), []string{"b"})
	for _, test := range []struct {
		add                bool
		domain, body, text string
	}{
		{true, "x", `{}`, "Unknown domain: x"},
		{true, "skovby.dk", `{}`, "No person found with sAMAccountName: null"},
		{true, "skovby.dk", `{"groupUuid":"g","sAMAccountName":"b"}`, "No person found with sAMAccountName: b"},
		{true, "skovby.dk", `{"groupUuid":"g","sAMAccountName":"C"}`, "No active person found with sAMAccountName: C"},
		{true, "skovby.dk", `{"groupUuid":"G","sAMAccountName":"a"}`, "No group found with uuid: G"},
		{true, "elev1", `{"groupUuid":"g","sAMAccountName":"b"}`, "No group found with uuid: g"},
		{false, "skovby.dk", `{"groupUuid":"g","sAMAccountName":"a"}`, "Person with sAMAccountName: a is not a member of group: g"},
	} {
		diff(t, test.text, *refused(t, s, member(test.add, test.domain), test.body), Refusal{400, test.text})
	}
}
