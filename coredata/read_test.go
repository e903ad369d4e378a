package coredata_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollebro/rollebro/coredata"
	"github.com/rollebro/rollebro/rolecatalog"
)

// populated is a store with one person who has everything and one who has nothing, in the sub-domain, and is locked.
func populated(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	expires := time.Date(2027, 1, 30, 23, 0, 0, 0, time.UTC) // 31 January begins in Denmark
	text := "Mange <b> & æøå \u2028 \"citat\""
	w.store.users = []*rolecatalog.User{
		{
			ID: 1, DomainID: 1, ExtUUID: "5b0f2c1e-7a34-4c55-9d0e-3f1f6f0a9b01", UserID: "both", UserKey: "both", Name: "Bodil Ægidius Thorup",
			Email: "both@skovby.dk", CPR: cprBoth, NemLoginUUID: "2e4b6d80-1c3f-4a5b-8e9d-7f6a5b4c3d2e",
			CoreData: rolecatalog.CoreData{
				FromCoreData: true, Alias: "Bo", NSISAllowed: true, TransferToNemLogin: true, PrivateMitID: true, QualifiedSignature: true,
				TrustedEmployee: true, ExpiresAt: &expires, PasswordChangedOn: "2026-10-01", Department: "Økonomi", EAN: "5790000000000",
				RID: "1", ExternalUUID: "2e4b6d80-1c3f-4a5b-8e9d-7f6a5b4c3d2e", Attributes: map[string]string{"b": "2", "a": text},
				KombitAttributes: map[string]string{"x": "y"}, Roles: []string{"ADMIN", "SUPPORTER"},
			},
		},
		{
			ID: 2, DomainID: 2, ExtUUID: "c1c2b3a4-1f2e-4d3c-9b8a-7f6e5d4c3b05", UserID: "SINO11", UserKey: "sino11", Name: "Sille Nørregård",
			NemLoginUUID: "2e4b6d80-1c3f-4a5b-8e9d-7f6a5b4c3d99",
			CoreData:     rolecatalog.CoreData{FromCoreData: true, Robot: true, TransferToNemLogin: true, LockedDataset: true, LockedExpired: true},
		},
		{ID: 3, DomainID: 1, UserID: "other", UserKey: "other", Name: "O", Disabled: true, NemLoginUUID: "2e4b6d80-1c3f-4a5b-8e9d-7f6a5b4c3d98"},
		{ID: 4, DomainID: 3, UserID: "elsewhere", UserKey: "elsewhere", Name: "E", CPR: cprBoth},
	}
	w.store.groups = []*coredata.Group{
		{ID: 1, DomainID: 1, UUID: "A", Name: "VPN", Members: []uint64{1, 2}},
		{ID: 2, DomainID: 1, UUID: "B", Name: "Tom", Description: &text},
		{ID: 3, DomainID: 2, UUID: "C", Name: "Elever", Members: []uint64{1}},
	}
	w.store.kombit = []coredata.KombitRole{{UserID: 1, Identifier: "http://x/1", CVR: "99000011"}, {UserID: 1, Identifier: "http://x/2", CVR: "99000022"}}
	return w
}

const (
	bodil = `{"uuid":"5b0f2c1e-7a34-4c55-9d0e-3f1f6f0a9b01","cpr":"1403791001","name":"Bodil Ægidius Thorup","email":"both@skovby.dk",` +
		`"samAccountName":"both","subDomain":null,"nsisAllowed":true,"attributes":{"a":"Mange <b> & æøå \u2028 \"citat\"","b":"2"},` +
		`"domain":"skovby.dk","expireTimestamp":"2027-01-31","passwordAdTimestamp":"2026-10-01","transferToNemlogin":true,` +
		`"privateMitId":true,"qualifiedSignature":true,"lockedDataset":false,"trustedEmployee":true,"robot":false,"department":"Økonomi",` +
		`"externalNemloginUserUuid":"2e4b6d80-1c3f-4a5b-8e9d-7f6a5b4c3d2e","roles":["ADMIN","SUPPORTER"],"ean":"5790000000000"}`
	sille = `{"uuid":"c1c2b3a4-1f2e-4d3c-9b8a-7f6e5d4c3b05","cpr":"0000000000","name":"Sille Nørregård","email":null,` +
		`"samAccountName":"SINO11","subDomain":"elev1","nsisAllowed":false,"attributes":{},"domain":"skovby.dk","expireTimestamp":null,` +
		`"passwordAdTimestamp":null,"transferToNemlogin":true,"privateMitId":false,"qualifiedSignature":false,"lockedDataset":true,` +
		`"trustedEmployee":false,"robot":true,"department":null,"externalNemloginUserUuid":null,"roles":[],"ean":null}`
	stranger = `{"uuid":"","cpr":"0000000000","name":"O","email":null,"samAccountName":"other","subDomain":null,"nsisAllowed":false,` +
		`"attributes":{},"domain":"skovby.dk","expireTimestamp":null,"passwordAdTimestamp":null,"transferToNemlogin":false,"privateMitId":false,` +
		`"qualifiedSignature":false,"lockedDataset":false,"trustedEmployee":false,"robot":false,"department":null,` +
		`"externalNemloginUserUuid":null,"roles":[],"ean":null}`
	never1 = `"nsisLevel":"NONE","approvedConditions":false,"approvedConditionsTts":null,`
	never2 = `"lockedPasswordUntil":null,"lastLogin":null,"badPassword":false,"badPasswordRule":null,"mfaClients":false}`
	status = `{"uuid":"5b0f2c1e-7a34-4c55-9d0e-3f1f6f0a9b01","cpr":"1403791001","name":"Bodil Ægidius Thorup","samAccountName":"both","nsisAllowed":true,` +
		never1 + `"lockedAdmin":false,"lockedPerson":false,"lockedDataset":false,"lockedDead":false,"lockedPassword":false,"lockedExpired":false,` + never2
	vpn = `{"uuid":"A","name":"VPN","description":null,"members":["both","sino11"]}`
)

// The answers to the letter: names, order, nulls, empty lists and dates are what clients parse.
func TestAnswersToTheLetter(t *testing.T) {
	t.Parallel()
	w := populated(t)
	for path, want := range map[string]string{
		"?domain=Skovby.DK":                             `{"domain":"Skovby.DK","globalSubDomain":null,"entryList":[` + bodil + `,` + sille + `,` + stranger + `]}`,
		"?domain=skovby.dk&onlyNsisAllowed=true":        `{"domain":"skovby.dk","globalSubDomain":null,"entryList":[` + bodil + `]}`,
		"?domain=skovby.dk&onlyNsisAllowed=":            `{"domain":"skovby.dk","globalSubDomain":null,"entryList":[` + bodil + `,` + sille + `,` + stranger + `]}`,
		"/1403791001?domain=skovby.dk":                  `{"domain":"skovby.dk","globalSubDomain":null,"entryList":[` + bodil + `]}`,
		"/1403791002?domain=skovby.dk":                  `{"domain":"skovby.dk","globalSubDomain":null,"entryList":[]}`,
		"/nobody?domain=skovby.dk":                      `{"domain":"skovby.dk","globalSubDomain":null,"entryList":[]}`,
		"/140379-1001?domain=skovby.dk":                 `{"domain":"skovby.dk","globalSubDomain":null,"entryList":[]}`,
		"/%201403791001?domain=skovby.dk":               `{"domain":"skovby.dk","globalSubDomain":null,"entryList":[]}`,
		"/status?domain=skovby.dk&onlyNsisAllowed=TRUE": `{"domain":"skovby.dk","entryList":[` + status + `]}`,
		"/status?domain=skovby.dk&onlyNsisAllowed=false": `{"domain":"skovby.dk","entryList":[` + status + `,{"uuid":"c1c2b3a4-1f2e-4d3c-9b8a-7f6e5d4c3b05",` +
			`"cpr":"0000000000","name":"Sille Nørregård","samAccountName":"SINO11","nsisAllowed":false,` + never1 +
			`"lockedAdmin":false,"lockedPerson":false,"lockedDataset":true,"lockedDead":false,"lockedPassword":false,"lockedExpired":true,` + never2 +
			`,{"uuid":"","cpr":"0000000000","name":"O","samAccountName":"other","nsisAllowed":false,` + never1 +
			`"lockedAdmin":true,"lockedPerson":false,"lockedDataset":false,"lockedDead":false,"lockedPassword":false,"lockedExpired":false,` + never2 + `]}`,
		"/nemloginStatus?domain=skovby.dk": `{"domain":"skovby.dk","entries":[` +
			`{"cpr":"1403791001","samAccountName":"both","nemloginUserUuid":"2e4b6d80-1c3f-4a5b-8e9d-7f6a5b4c3d2e","active":true},` +
			`{"cpr":"0000000000","samAccountName":"SINO11","nemloginUserUuid":"2e4b6d80-1c3f-4a5b-8e9d-7f6a5b4c3d99","active":false}]}`,
		"/nemloginStatus?domain=other.dk":         `{"domain":"other.dk","entries":[]}`,
		"/cprLookup?domain=skovby.dk&userId=BOTH": `{"cpr":"1403791001","name":"Bodil Ægidius Thorup","email":"both@skovby.dk","samAccountName":"both"}`,
		"/jfr?domain=skovby.dk": `{"domain":"skovby.dk","entryList":[{"samAccountName":"both","uuid":"5b0f2c1e-7a34-4c55-9d0e-3f1f6f0a9b01",` +
			`"jfrs":[{"identifier":"http://x/1","cvr":"99000011"},{"identifier":"http://x/2","cvr":"99000022"}]}]}`,
		"/jfr?domain=other.dk":                `{"domain":"other.dk","entryList":[]}`,
		"/jfr/1403791001?domain=other.dk":     `{"domain":"other.dk","entryList":[]}`,
		"/jfr/full-name?domain=skovby.dk":     `{"domain":"skovby.dk","entryList":[]}`,
		"/groups?domain=skovby.dk":            `{"domain":"skovby.dk","groups":[` + vpn + `,{"uuid":"B","name":"Tom","description":"Mange <b> & æøå \u2028 \"citat\"","members":[]}]}`,
		"/groups/1403791001?domain=skovby.dk": `{"domain":"skovby.dk","groups":[` + vpn + `,{"uuid":"C","name":"Elever","description":null,"members":["both"]}]}`,
		"/groups/nobody?domain=skovby.dk":     `{"domain":"skovby.dk","groups":[]}`,
	} {
		a := w.do(t, "GET", "/api/coredata"+path, "")
		if diff := cmp.Diff(want, a.body); diff != "" || a.StatusCode != http.StatusOK {
			t.Errorf("%s: %d\n%s", path, a.StatusCode, diff)
		}
		if kind, length := a.Header.Get("Content-Type"), a.ContentLength; kind != "application/json" || length != int64(len(want)) {
			t.Errorf("%s: %s, %d bytes", path, kind, length)
		}
		if a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be kept by a cache", path)
		}
	}
	for _, locked := range []string{"sino11", "other", "elsewhere"} {
		if a := w.do(t, "GET", "/api/coredata/cprLookup?domain=skovby.dk&userId="+locked, ""); a.StatusCode != http.StatusNotFound || a.body != "" {
			t.Errorf("%s: %d %q", locked, a.StatusCode, a.body)
		}
	}
	if a := w.do(t, "HEAD", "/api/coredata/jfr?domain=skovby.dk", ""); a.StatusCode != http.StatusOK || a.body != "" {
		t.Errorf("HEAD: %d %q", a.StatusCode, a.body)
	}
}

// An answer in pieces is the same as one in one piece.
func TestAnswersInPieces(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const n = 300
	w.store.people = func(each func([]rolecatalog.User) error) error {
		for range n / 3 {
			if err := each([]rolecatalog.User{{UserID: "a"}, {UserID: "b"}, {UserID: "c"}}); err != nil {
				return err
			}
		}
		return nil
	}
	a := w.do(t, "GET", "/api/coredata/status?domain=skovby.dk", "")
	one := `{"uuid":"","cpr":"0000000000","name":"","samAccountName":"X","nsisAllowed":false,` + never1 +
		`"lockedAdmin":false,"lockedPerson":false,"lockedDataset":false,"lockedDead":false,"lockedPassword":false,"lockedExpired":false,` + never2
	three := strings.Replace(one, "X", "a", 1) + "," + strings.Replace(one, "X", "b", 1) + "," + strings.Replace(one, "X", "c", 1)
	want := `{"domain":"skovby.dk","entryList":[` + three + strings.Repeat(","+three, n/3-1) + `]}`
	if a.body != want || a.ContentLength != -1 {
		t.Errorf("%d bytes of %d, want %d", len(a.body), a.ContentLength, len(want))
	}
}
