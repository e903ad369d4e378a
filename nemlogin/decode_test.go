package nemlogin

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// noAnswer are bodies that no read accepts.
var noAnswer = []string{
	"", "  \n", "null", " null ", "\xef\xbb\xbf", "<html><body>Vi er straks tilbage</body></html>", "OK", "[", `[{"uuid":`,
	"true", `"text"`, "17", "[] []", "{} x", "\x00\x01", `[null]`, `[[]]`, `[1]`, `["x"]`,
}

func TestDecodeRoles(t *testing.T) {
	t.Parallel()
	good := []struct {
		body string
		want []Role
	}{
		{`{"roles":[]}`, []Role{}},
		{"\xef\xbb\xbf" + ` {"ROLES":[{"Uuid":"` + strings.ToUpper(roleA) + `","NAME":"x","IsBasicPackage":"true"}]} `, []Role{{UUID: roleA, Name: "x", BasicPackage: true}}},
		{`{"roles":[{"uuid":"` + roleA + `","name":null,"description":7,"basicPackage":true,"new":{"a":[1]}}],"new":null}`, []Role{{UUID: roleA, Description: "7", BasicPackage: true}}},
		{`{"roles":[{"uuid":"` + roleA + `","name":"one"},{"uuid":"` + roleA + `","name":"again"},{"uuid":"` + roleB + `"}]}`, []Role{{UUID: roleA, Name: "one"}, {UUID: roleB}}},
	}
	for _, test := range good {
		got, err := decodeRoles([]byte(test.body))
		check(t, test.body, err, got, test.want)
	}
	for _, body := range append(noAnswer,
		`{}`, `{"roles":null}`, `{"roles":{}}`, `{"roles":"none"}`, `[]`, `{"role":[]}`, `{"roles":[null]}`, `{"roles":[{}]}`,
		`{"roles":[{"uuid":null,"name":"x"}]}`, `{"roles":[{"uuid":"x"}]}`, `{"roles":[{"uuid":"`+nilUUID+`"}]}`,
		`{"roles":[{"uuid":"`+roleA+`"},{"name":"no uuid"}]}`, `{"roles":[{"uuid":"`+roleA+`"}`,
	) {
		refuse(t, decodeRoles, body)
	}
}

func TestDecodeAssigned(t *testing.T) {
	t.Parallel()
	one := func(rest string) string { return `[{"uuid":"` + roleA + `"` + rest + `}]` }
	good := []struct {
		body string
		want []AssignedRole
	}{
		{`[]`, []AssignedRole{}},
		{one(``), []AssignedRole{{UUID: roleA}}},
		{one(`,"scope":null`), []AssignedRole{{UUID: roleA}}},
		{one(`,"scope":{"type":"PU","value":1234567890}`), []AssignedRole{{UUID: roleA, Scope: Scope{ScopePU, "1234567890"}}}},
		{one(`,"SCOPE":{"Type":"cvr","VALUE":" 98765432 "}`), []AssignedRole{{UUID: roleA, Scope: Scope{ScopeCvr, testCVR}}}},
		{one(`,"scope":{"type":"Region","value":"R1"}`), []AssignedRole{{UUID: roleA, Scope: Scope{"Region", "R1"}}}},
		{one(`,"scope":{"type":"SE","value":null}`), []AssignedRole{{UUID: roleA, Scope: Scope{ScopeSE, ""}}}},
		{one(`,"from":1700000000,"to":{"year":2030}`), []AssignedRole{{UUID: roleA, From: "1700000000", To: `{"year":2030}`}}},
		{one(`,"isInternal":null,"teaserText":["x"]`), []AssignedRole{{UUID: roleA}}},
	}
	for _, test := range good {
		got, err := decodeAssigned([]byte(test.body))
		check(t, test.body, err, got, test.want)
	}
	for _, body := range append(noAnswer,
		`{}`, `{"roles":[]}`, `[{}]`, `[{"uuid":"`+roleA+`"},null]`, `[{"uuid":""}]`, `[{"uuid":"not-a-uuid"}]`, `[{"uuid":"`+nilUUID+`"}]`,
		one(`,"scope":"PU"`), one(`,"scope":{"type":{}}`),
	) {
		refuse(t, decodeAssigned, body)
	}
}

func TestDecodeUnits(t *testing.T) {
	t.Parallel()
	for body, want := range map[string][]ProductionUnit{
		`[]`:                              {},
		`[{"pNumber":1234567890}]`:        {{Number: "1234567890"}},
		`[{"pnumber":"1234567890"}]`:      {{Number: "1234567890"}},
		`[{"PNumber":1.23456789e9}]`:      {{Number: "1234567890"}},
		`[{"pNumber":1234567890.0}]`:      {{Number: "1234567890"}},
		`[{"pNumber":1234567890,"x":[]}]`: {{Number: "1234567890"}},
		`[{"pNumber":1234567890,"cvrNumber":98765432,"name":"Bibliotek","streetName":null,"streetBuildingIdentifier":7}]`: {{Number: "1234567890", CVR: testCVR, Name: "Bibliotek", Building: "7"}},
	} {
		got, err := decodeProductionUnits([]byte(body))
		check(t, body, err, got, want)
	}
	for body, want := range map[string][]SENumber{
		`[]`:                        {},
		`[{"seNumber":"12345678"}]`: {{"12345678"}},
		`[{"SENUMBER":12345678}]`:   {{"12345678"}},
	} {
		got, err := decodeSENumbers([]byte(body))
		check(t, body, err, got, want)
	}
	for _, body := range append(noAnswer, `{}`, `[{}]`, `[{"pNumber":null,"seNumber":null}]`, `[{"pNumber":"","seNumber":""}]`,
		`[{"pNumber":-1234567890,"seNumber":-12345678}]`, `[{"pNumber":"12345","seNumber":"12345"}]`,
		`[{"pNumber":1e999999999,"seNumber":1e999999999}]`, `[{"pNumber":0.5,"seNumber":0.5}]`, `[{"pNumber":"NaN","seNumber":"Inf"}]`,
		`[{"pNumber":[1],"seNumber":{}}]`, `[{"pNumber":true,"seNumber":true}]`) {
		refuse(t, decodeProductionUnits, body)
		refuse(t, decodeSENumbers, body)
	}
}

func TestDecodeEmployee(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]Employee{
		`{"identityProfile":{}}`: {UUID: alice},
		`{"UUID":"` + strings.ToUpper(alice) + `","identityprofile":{"STATUS":"Strange","roles":null,"rid":7}}`: {UUID: alice, Status: "Strange", RID: "7"},
		`{"uuid":null,"identityProfile":{"roles":[]},"identityPermissions":null}`:                               {UUID: alice, AdministratorRoles: []string{}},
		`{"identityProfile":{"roles":["X","Y"]},"identityPermissions":{"authorizedToRepresent":["a"]}}`:         {UUID: alice, AdministratorRoles: []string{"X", "Y"}, AuthorizedToRepresent: `["a"]`},
	} {
		got, err := decodeEmployee([]byte(body), alice)
		check(t, body, err, got, want)
	}
	for _, body := range append(noAnswer, `{}`, `[]`, `{"identityProfile":null}`, `{"identityProfile":[]}`,
		`{"uuid":"`+bob+`","identityProfile":{}}`, `{"identityProfile":{"roles":[null]}}`, `{"identityProfile":{"roles":[{}]}}`, `{"identityProfile":{"roles":"X"}}`) {
		refuse(t, func(data []byte) (Employee, error) { return decodeEmployee(data, alice) }, body)
	}
}

func TestDecodeToken(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]time.Duration{
		`{"accessToken":"t","expiresIn":3600}`:                 time.Hour,
		`{"AccessToken":"t","ExpiresIn":"90"}`:                 90 * time.Second,
		`{"accessToken":"t","expiresIn":90.5,"tokenType":"x"}`: 90500 * time.Millisecond,
		`{"accessToken":"t"}`:                                  0,
		`{"accessToken":"t","expiresIn":null}`:                 0,
		`{"accessToken":"t","expiresIn":-5}`:                   0,
		`{"accessToken":"t","expiresIn":"soon"}`:               0,
		`{"accessToken":"t","expiresIn":"NaN"}`:                0,
		`{"accessToken":"t","expiresIn":{"s":1}}`:              0,
		`{"accessToken":"t","expiresIn":1e300}`:                24 * time.Hour,
	} {
		value, got, err := decodeToken([]byte(body))
		if err != nil || value != "t" || got != want {
			t.Errorf("%s: got %q, %v, %v; want %v", body, value, got, err, want)
		}
	}
	for _, body := range append(noAnswer, `{}`, `[]`, `{"accessToken":""}`, `{"accessToken":null}`, `{"accessToken":7}`,
		`{"accessToken":"a\r\nX: y"}`, `{"accessToken":"a b"}`, `{"accessToken":"æ"}`) {
		if _, _, err := decodeToken([]byte(body)); err == nil {
			t.Errorf("%q was taken for a token", body)
		}
	}
}

// refuse demands that a body is not taken for an answer, not even for an empty
// one.
func refuse[T any](t *testing.T, decode func([]byte) (T, error), body string) {
	t.Helper()
	var none T
	got, err := decode([]byte(body))
	if err == nil {
		t.Errorf("%q was taken for %+v", body, got)
	} else if !cmp.Equal(got, none) {
		t.Errorf("%q: besides the error came %+v", body, got)
	}
	if err != nil && errors.Unwrap(err) == nil && err.Error() == "" {
		t.Errorf("%q: the error says nothing", body)
	}
}

func FuzzDecodeRoles(f *testing.F) {
	f.Add([]byte(`{"roles":[{"uuid":"` + roleA + `","name":"EASY","isBasicPackage":true}]}`))
	seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		roles, err := decodeRoles(data)
		if err == nil && roles == nil {
			t.Fatal("no list and no error")
		}
		for _, role := range roles {
			mustUUID(t, role.UUID)
		}
	})
}

func FuzzDecodeAssigned(f *testing.F) {
	f.Add([]byte(`[{"uuid":"` + roleA + `","scope":{"type":"PU","value":"1234567890"},"from":null}]`))
	seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		roles, err := decodeAssigned(data)
		if err == nil && roles == nil {
			t.Fatal("no list and no error")
		}
		for _, role := range roles {
			mustUUID(t, role.UUID)
		}
	})
}

func FuzzDecodeUnits(f *testing.F) {
	f.Add([]byte(`[{"pNumber":1234567890,"seNumber":"12345678"}]`))
	seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		units, err := decodeProductionUnits(data)
		if err == nil && units == nil {
			t.Fatal("no list and no error")
		}
		for _, unit := range units {
			if err := (Scope{ScopePU, unit.Number}).Validate(); err != nil {
				t.Fatal(err)
			}
		}
		numbers, err := decodeSENumbers(data)
		if err == nil && numbers == nil {
			t.Fatal("no list and no error")
		}
		for _, number := range numbers {
			if err := (Scope{ScopeSE, number.Number}).Validate(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func FuzzDecodeToken(f *testing.F) {
	f.Add([]byte(`{"accessToken":"abc","expiresIn":3600}`))
	seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		value, lifetime, err := decodeToken(data)
		if err == nil && value == "" {
			t.Fatal("no token and no error")
		}
		if use := tokenUse(lifetime); use <= 0 || use > maxTokenUse {
			t.Fatalf("a token would be used for %v", use)
		}
	})
}

func seed(f *testing.F) {
	f.Helper()
	for _, body := range noAnswer {
		f.Add([]byte(body))
	}
}

func mustUUID(t *testing.T, s string) {
	t.Helper()
	if got, err := parseUUID(s); err != nil || got != s {
		t.Fatalf("%q was let through as a uuid", s)
	}
}
