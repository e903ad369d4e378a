package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/rollebro/rollebro/apikeys"
	"github.com/rollebro/rollebro/coredata"
	"github.com/rollebro/rollebro/nemlogin/simulator"
	"github.com/rollebro/rollebro/store/storetest"
)

// municipality is the built program serving one that loads its people, and the keys of its clients.
type municipality struct {
	settings
	dir, url string
	key      string
	client   *http.Client
	service  *process
}

// onBoth runs a test on a database of each kind.
func onBoth(t *testing.T, test func(t *testing.T, s settings, dir string)) {
	t.Helper()
	for _, database := range []string{"SQLite", "MariaDB"} {
		t.Run(database, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := settings{"PATH": os.Getenv("PATH"), setCVR: "99000011", "RC_COREDATA_TRUSTEDEMPLOYEE": "true", "RC_COREDATA_EXTERNALNEMLOGINUUID": "true"}
			if database == "MariaDB" {
				url, user, password := storetest.MariaDBJDBC(t)
				s["spring.datasource.url"], s["spring.datasource.username"], s["spring.datasource.password"] = url, user, password
				s["rc.database.keyFile"] = filepath.Join(dir, "key")
			}
			test(t, s, dir)
		})
	}
}

// opened is a service over TLS with the domain skovby.dk, its sub-domain elev1, another domain, and a key.
func opened(t *testing.T, s settings, dir string) *municipality {
	t.Helper()
	m := &municipality{settings: s, dir: dir}
	m.do(t, dir, exitOK, "domain", "create", "skovby.dk")
	m.do(t, dir, exitOK, "domain", "create", "elev1", "--parent", "Skovby.dk")
	m.do(t, dir, exitOK, "domain", "create", "other.dk")
	m.key = m.newKey(t, "--domain", "SKOVBY.dk", "--name", "ADSync")
	m.serve(t)
	return m
}

func (m *municipality) newKey(t *testing.T, flags ...string) string {
	t.Helper()
	return strings.TrimSpace(m.do(t, m.dir, exitOK, append([]string{"apikey", "create", "--role", "coredata"}, flags...)...))
}

func (m *municipality) serve(t *testing.T) {
	t.Helper()
	server := serverCertificate(t, m.dir)
	m.service = m.with(setListen, "127.0.0.1:0", "RC_WEB_TLSCERTIFICATE", server.cert, "RC_WEB_TLSKEY", server.key).launch(t, m.dir, "serve")
	m.url = "https://" + decode[struct{ Listen string }](t, m.service.await(t, `"listen":`)).Listen
	m.service.drain()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: server.roots, MaxVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	m.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

type serverFiles struct {
	cert, key string
	roots     *x509.CertPool
}

// call sends a request and returns the answer with its body.
func (m *municipality) call(t *testing.T, method, path string, body io.Reader, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, m.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("ApiKey", m.key)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Del(header[i])
		if header[i+1] != "" {
			req.Header[header[i]] = []string{header[i+1]} // spelt as it is
		}
	}
	resp, err := m.client.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp, string(text)
}

// load sends a body that must be taken, with an answer that every client takes for one.
func (m *municipality) load(t *testing.T, method, path, body string) {
	t.Helper()
	resp, text := m.call(t, method, "/api/coredata"+path, strings.NewReader(body))
	if resp.StatusCode != http.StatusOK || text != "" || resp.Header.Get("Content-Length") != "0" {
		t.Fatalf("%s %s: %d %q %v", method, path, resp.StatusCode, text, resp.Header)
	}
}

// person is what the API answers of somebody.
type person struct {
	UUID, CPR, Name, SamAccountName                             string
	Email, SubDomain, ExpireTimestamp, ExternalNemloginUserUUID *string
	NsisAllowed, TransferToNemlogin, PrivateMitID, Robot        bool
	LockedDataset, TrustedEmployee                              bool
	NsisLevel                                                   string
	Attributes                                                  map[string]string
	JFRs                                                        []struct{ Identifier, CVR string }
}

type peopleAnswer struct {
	Domain    string
	EntryList []person
	Groups    []struct {
		UUID, Name  string
		Description *string
		Members     []string
	}
}

func (m *municipality) read(t *testing.T, path string) peopleAnswer {
	t.Helper()
	resp, text := m.call(t, "GET", "/api/coredata"+path, nil)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %d %s", path, resp.StatusCode, text)
	}
	return decode[peopleAnswer](t, text)
}

// named finds somebody in the answer; nil: he isn't there.
func (a peopleAnswer) named(sam string) *person {
	for i := range a.EntryList {
		if strings.EqualFold(a.EntryList[i].SamAccountName, sam) {
			return &a.EntryList[i]
		}
	}
	return nil
}

// rowID is the id of somebody's record.
func (m *municipality) rowID(t *testing.T, sam string) uint64 {
	t.Helper()
	users := decode[[]struct {
		ID     uint64
		UserID string
	}](t, m.do(t, m.dir, exitOK, "users", "list", "-o", "json"))
	for _, u := range users {
		if strings.EqualFold(u.UserID, sam) {
			return u.ID
		}
	}
	t.Fatalf("%s is not there", sam)
	return 0
}

func coreDataExample(t *testing.T, name string) string {
	t.Helper()
	return readFile(t, filepath.Join("..", "..", "coredata", "testdata", name+".json"))
}

const everybody = "?domain=skovby.dk"

// What the clients that exist need, item by item, over TLS 1.2 as the oldest of them speaks it.
func TestCoreDataClients(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s settings, dir string) {
		t.Helper()
		m := opened(t, s, dir)
		staff := coreDataExample(t, "e1_ad_full")

		m.checkAccess(t)
		m.load(t, "POST", "/full", staff)
		m.checkPeople(t)
		m.checkLocks(t, staff)
		m.checkSubDomains(t, staff)
		m.checkGroupsAndRoles(t)
		m.checkSpelling(t)
		m.checkTexts(t)
		m.checkLargeBody(t)
		m.checkConcurrent(t, staff)
		m.checkRecords(t)

		if code := m.service.end(t, syscall.SIGTERM); code != exitOK {
			t.Errorf("the service ended with %d", code)
		}
		for _, secret := range []string{"1403791001", "2305881038", "1706671038", "1110004001", m.key} {
			if strings.Contains(m.service.log.String(), secret) {
				t.Errorf("the log holds a secret")
			}
		}
	})
}

func (m *municipality) checkAccess(t *testing.T) {
	t.Helper()
	for _, name := range []string{"ApiKey", "apiKey", "APIKEY"} {
		if resp, text := m.call(t, "GET", "/api/coredata/status"+everybody, nil, "Apikey", "", name, m.key); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", name, resp.StatusCode, text)
		}
	}
	for name, key := range map[string]string{"none": "", "wrong": "x", "almost": m.key[:len(m.key)-1] + "!"} {
		if resp, _ := m.call(t, "POST", "/api/coredata/full", strings.NewReader(coreDataExample(t, "e1_ad_full")), "Apikey", key); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("key %s: %d", name, resp.StatusCode)
		}
	}
	if resp, _ := m.call(t, "GET", "/api/coredata/status?domain=other.dk", nil); resp.StatusCode != http.StatusForbidden {
		t.Errorf("another domain: %d", resp.StatusCode)
	}
	reader := strings.TrimSpace(m.do(t, m.dir, exitOK, "apikey", "create", "--role", "read"))
	if resp, _ := m.call(t, "GET", "/api/coredata/status"+everybody, nil, "Apikey", reader); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a key with another role: %d", resp.StatusCode)
	}
	// A key ends at once.
	short := m.newKey(t)
	if resp, _ := m.call(t, "GET", "/api/coredata/status"+everybody, nil, "Apikey", short); resp.StatusCode != http.StatusOK {
		t.Errorf("a new key: %d", resp.StatusCode)
	}
	keys := decode[[]apikeys.Key](t, m.do(t, m.dir, exitOK, "apikey", "list", "-o", "json"))
	if len(keys) != 3 || keys[2].LastUsedAt == nil || !strings.HasPrefix(short, keys[2].Prefix) {
		t.Fatalf("the keys are %+v", keys)
	}
	m.do(t, m.dir, exitOK, "apikey", "revoke", "3")
	if resp, _ := m.call(t, "GET", "/api/coredata/status"+everybody, nil, "Apikey", short); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a revoked key: %d", resp.StatusCode)
	}
	if resp, text := m.call(t, "GET", "/openapi.yaml", nil, "Apikey", ""); resp.StatusCode != http.StatusOK || text != string(coredata.OpenAPI) {
		t.Errorf("the description: %d", resp.StatusCode)
	}
}

func (m *municipality) checkPeople(t *testing.T) {
	t.Helper()
	all := m.read(t, everybody)
	both, external, robot := all.named("both"), all.named("x-meek"), all.named("svc-rpa01")
	if len(all.EntryList) != 4 || both == nil || external == nil || robot == nil {
		t.Fatalf("the people are %+v", all)
	}
	if both.SamAccountName != "both" || both.Name != "Bodil Ægidius Thorup" || !both.NsisAllowed || !both.TransferToNemlogin || !both.PrivateMitID || both.Attributes["RADIUS"] != "vpn-std" {
		t.Errorf("the ordinary one: %+v", both)
	}
	if external.CPR != "0000000000" || *external.ExternalNemloginUserUUID != "2e4b6d80-1c3f-4a5b-8e9d-7f6a5b4c3d2e" {
		t.Errorf("the external one: %+v", external)
	}
	if expiring := all.named("ruk"); expiring.ExpireTimestamp == nil || *expiring.ExpireTimestamp != "2027-01-31" || !expiring.TrustedEmployee {
		t.Errorf("the expiring one: %+v", expiring)
	}
	if robot.NsisAllowed || robot.TransferToNemlogin || !robot.Robot {
		t.Errorf("the robot: %+v", robot)
	}
	// A robot gets neither, whatever is said of it.
	m.load(t, "POST", "/delta", strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(coreDataExample(t, "e1_ad_full"),
		`"nsisAllowed":false`, `"nsisAllowed":true`), `"transferToNemlogin":false`, `"transferToNemlogin":true`), `"robot":true`, `"robot":null`))
	if robot := m.read(t, everybody).named("svc-rpa01"); robot.NsisAllowed || robot.TransferToNemlogin || !robot.Robot {
		t.Errorf("the robot: %+v", robot)
	}
	if one := m.read(t, "/1403791001"+everybody); len(one.EntryList) != 1 || one.EntryList[0].SamAccountName != "both" {
		t.Errorf("by CPR number: %+v", one)
	}
	if none := m.read(t, "/140379-1001"+everybody); none.EntryList == nil || len(none.EntryList) != 0 {
		t.Errorf("by CPR number with a hyphen: %+v", none)
	}
}

// without leaves an entry out of a load.
func without(t *testing.T, load, sam string) string {
	t.Helper()
	body := decode[map[string]any](t, load)
	list, ok := body["entryList"].([]any)
	if !ok {
		t.Fatal("no list")
	}
	body["entryList"] = slices.DeleteFunc(list, func(e any) bool {
		entry, ok := e.(map[string]any)
		return ok && entry["samAccountName"] == sam
	})
	var out bytes.Buffer
	if err := writeJSON(&out, body); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func (m *municipality) checkLocks(t *testing.T, staff string) {
	t.Helper()
	m.load(t, "POST", "/full", staff)
	m.load(t, "POST", "/delta", strings.ReplaceAll(staff, `"attributes":{}`, `"attributes":{"a":"b"}`))
	m.load(t, "POST", "/groups/load/full", coreDataExample(t, "e4_ad_groups_full"))
	m.load(t, "POST", "/jfr/delta", `{"domain":"skovby.dk","entryList":[{"samAccountName":"RUK","addJfrs":[{"identifier":"http://x/1","cvr":"99000011"}]}]}`)
	if r := m.read(t, "/jfr/2305881038"+everybody); len(r.EntryList) != 1 || len(r.EntryList[0].JFRs) != 1 {
		t.Fatalf("KOMBIT roles: %+v", r)
	}
	before := m.rowID(t, "ruk")

	m.load(t, "POST", "/full", without(t, staff, "RuK"))
	ruk := m.read(t, everybody).named("ruk")
	if ruk == nil || !ruk.LockedDataset || len(ruk.Attributes) != 0 {
		t.Errorf("locked: %+v", ruk)
	}
	if r := m.read(t, "/jfr/2305881038"+everybody); len(r.EntryList) != 0 {
		t.Errorf("KOMBIT roles of the locked: %+v", r)
	}
	if g := m.read(t, "/groups"+everybody); slices.Contains(g.Groups[0].Members, "ruk") || !slices.Contains(g.Groups[0].Members, "both") {
		t.Errorf("groups: %+v", g)
	}
	m.load(t, "POST", "/full", staff)
	if again := m.read(t, "/status"+everybody).named("ruk"); again.LockedDataset || again.NsisLevel != "NONE" || m.rowID(t, "ruk") != before {
		t.Errorf("reactivated: %+v", again)
	}

	// An active person gets the other uuid; a locked one with another uuid is another person.
	const was, other = "9c7d41aa-02be-4e0b-8a3c-6f5d2b7c1e02", "9c7d41aa-02be-4e0b-8a3c-6f5d2b7c1e99"
	m.load(t, "POST", "/full", strings.ReplaceAll(staff, was, other))
	if ruk := m.read(t, everybody).named("ruk"); ruk.UUID != other || m.rowID(t, "ruk") != before {
		t.Errorf("another uuid: %+v", ruk)
	}
	m.load(t, "DELETE", "", coreDataExample(t, "e3b_ad_delete"))
	if ruk := m.read(t, everybody).named("ruk"); !ruk.LockedDataset {
		t.Errorf("locked: %+v", ruk)
	}
	m.load(t, "POST", "/full", staff)
	if ruk := m.read(t, everybody).named("ruk"); ruk.LockedDataset || ruk.UUID != was || m.rowID(t, "ruk") == before {
		t.Errorf("created anew: %+v", ruk)
	}
	m.load(t, "DELETE", "/cleanup", coreDataExample(t, "e3b_ad_delete"))
	if ruk := m.read(t, everybody).named("ruk"); ruk != nil {
		t.Errorf("cleaned up: %+v", ruk)
	}
	m.load(t, "POST", "/full", staff)
	m.load(t, "POST", "/delta", coreDataExample(t, "e3a_ad_delta"))
	if both := m.read(t, everybody).named("both"); *both.Email != "bodil.thorup@skovby.dk" {
		t.Errorf("delta: %+v", both)
	}
}

func (m *municipality) checkSubDomains(t *testing.T, staff string) {
	t.Helper()
	m.load(t, "POST", "/full", coreDataExample(t, "e2_ad_full_subdomain"))
	all := m.read(t, everybody)
	if slices.ContainsFunc(all.EntryList, func(p person) bool { return p.LockedDataset }) || *all.named("sino11").SubDomain != "elev1" {
		t.Errorf("a load of the sub-domain: %+v", all)
	}
	m.load(t, "POST", "/full", staff)
	if all := m.read(t, everybody); !all.named("sino11").LockedDataset || all.named("both").LockedDataset {
		t.Errorf("a load of the whole domain: %+v", all)
	}
}

func (m *municipality) checkGroupsAndRoles(t *testing.T) {
	t.Helper()
	m.load(t, "POST", "/groups/load/full", strings.Replace(coreDataExample(t, "e4_ad_groups_full"), "5b0f2c1e-7a34-4c55-9d0e-3f1f6f0a9b01", "BoTH", 1))
	g := m.read(t, "/groups"+everybody)
	if len(g.Groups) != 2 || !slices.Equal(g.Groups[0].Members, []string{"both", "ruk"}) || g.Groups[0].Description != nil || len(g.Groups[1].Members) != 0 || g.Groups[1].Members == nil {
		t.Errorf("groups: %+v", g)
	}
	m.load(t, "POST", "/groups/load/full", coreDataExample(t, "e4_ad_groups_full"))
	if of := m.read(t, "/groups/1403791001"+everybody); len(of.Groups) != 1 || !slices.Equal(of.Groups[0].Members, []string{"both", "ruk"}) {
		t.Errorf("groups of a person: %+v", of)
	}
	m.load(t, "POST", "/jfr/full", coreDataExample(t, "e5_ad_jfr_full"))
	if r := m.read(t, "/jfr"+everybody); len(r.EntryList) != 1 || r.EntryList[0].SamAccountName != "both" || len(r.EntryList[0].JFRs) != 2 {
		t.Errorf("KOMBIT roles: %+v", r)
	}
	// The Entra client knows people by azureId alone, and always sends, also nothing.
	const azure = "0b7e2f4d-3c1a-4e59-8f60-a1b2c3d4e5f6"
	m.load(t, "POST", "/delta", strings.Replace(coreDataExample(t, "e3a_ad_delta"), `"RADIUS":"vpn-std"`, `"azureId":"`+azure+`","empty":null`, 1))
	m.load(t, "POST", "/jfr/delta", `{"domain":"skovby.dk","entryList":[{"uuid":"`+azure+`","addJfrs":[{"identifier":"http://x/2","cvr":"99000011"}],"removeJfrs":null}]}`)
	if r := m.read(t, "/jfr"+everybody); len(r.EntryList) != 1 || len(r.EntryList[0].JFRs) != 3 {
		t.Errorf("by azureId: %+v", r)
	}
	m.load(t, "POST", "/jfr/full", `{"domain":"skovby.dk","entryList":[{"uuid":"`+azure+`","jfrs":[{"identifier":"http://x/3","cvr":"99000011"}]}]}`)
	if r := m.read(t, "/jfr"+everybody); len(r.EntryList) != 1 || len(r.EntryList[0].JFRs) != 1 || r.EntryList[0].UUID != "5b0f2c1e-7a34-4c55-9d0e-3f1f6f0a9b01" {
		t.Errorf("by azureId: %+v", r)
	}
	m.load(t, "POST", "/jfr/delta", `{"domain":"skovby.dk","entryList":[]}`)
	m.load(t, "POST", "/jfr/full", `{"domain":"skovby.dk","entryList":[]}`)
	if r := m.read(t, "/jfr"+everybody); len(r.EntryList) != 0 || r.EntryList == nil {
		t.Errorf("after an empty load: %+v", r)
	}
	m.load(t, "POST", "/nsisallowed/load", coreDataExample(t, "e5b_ad_misc_nsisallowed"))
	m.load(t, "POST", "/transfertonemlogin/load", coreDataExample(t, "e5c_ad_misc_transfertonemlogin"))
	m.load(t, "POST", "/kombitAttributes/load/full", coreDataExample(t, "e5d_ad_misc_kombitattributes"))
	if all := m.read(t, everybody); !all.named("ruk").NsisAllowed || all.named("ruk").TransferToNemlogin || !all.named("both").TransferToNemlogin {
		t.Errorf("the side loads: %+v", all)
	}
}

func (m *municipality) checkSpelling(t *testing.T) {
	t.Helper()
	m.load(t, "POST", "/delta", `{"DOMAIN":"SKOVBY.DK","Unknown":{"x":[1]},"entrylist":[null,{"UUID":"5b0f2c1e-7a34-4c55-9d0e-3f1f6f0a9b01","cpr":"140379-1001",`+
		`"name":"Æblegrød Åse Øst","SAMAccountName":"both","transferToNemLogin":true,"privateMitID":true,"nsisAllowed":"true","rid":1,"groups":{},`+
		`"attributes":null,"email":"","expireTimestamp":"","nextPasswordChange":"2026-11-14","department":null,"roles":null}]}`)
	resp, text := m.call(t, "GET", "/api/coredata/1403791001?domain=skovby.dk", nil)
	both := decode[peopleAnswer](t, text).named("both")
	if both == nil || !both.TransferToNemlogin || !both.PrivateMitID || !both.NsisAllowed || both.Email != nil {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
	if resp, text := m.call(t, "POST", "/api/coredata/delta", strings.NewReader(coreDataExample(t, "e3a_ad_delta")), "Expect", "100-continue"); resp.StatusCode != http.StatusOK {
		t.Errorf("100-continue: %d %s", resp.StatusCode, text)
	}
	for _, path := range []string{"/api/coredata", "/api/coredata/cleanup"} {
		resp, text := m.call(t, "DELETE", path, strings.NewReader(`{"domain":"skovby.dk","entryList":[{"cpr":"1403791001","samAccountName":"nobody","uuid":null}]}`))
		if resp.StatusCode != http.StatusOK || text != "" {
			t.Errorf("DELETE %s: %d %s", path, resp.StatusCode, text)
		}
	}
	if resp, _ := m.call(t, "DELETE", "/api/coredata/", strings.NewReader(`{}`)); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a slash at the end: %d", resp.StatusCode)
	}
}

func (m *municipality) checkTexts(t *testing.T) {
	t.Helper()
	const uuid = "5b0f2c1e-7a34-4c55-9d0e-3f1f6f0a9b01"
	entry := func(fields string) string { return `{"domain":"skovby.dk","entryList":[` + fields + `]}` }
	good := `{"uuid":"` + uuid + `","cpr":"0000000000","name":"N","samAccountName":"n"}`
	all := m.newKey(t)
	before := m.read(t, everybody)
	for body, want := range map[string]string{
		`{"domain":"nær.dk","entryList":[{}]}`:                                 "Ukendt domæne: nær.dk",
		`{"domain":"skovby.dk","globalSubDomain":"x","entryList":[{}]}`:        "Invalid globalSubDomain: x",
		`{"domain":"skovby.dk","globalSubDomain":"other.dk","entryList":[{}]}`: "Invalid globalSubDomain: other.dk",
		entry(""): "Tom entryList for domæne skovby.dk",
		`{"domain":"elev1","entryList":[` + good + `]}`: "Angivne domæne (elev1) er et sub-domæne",
		entry(`{"uuid":"` + uuid + `"}`):                "Bruger med uuid '" + uuid + "' mangler et brugernavn",
		`{"domain":"skovby.dk","globalSubDomain":"elev1","entryList":[{"samAccountName":"n","subDomain":"elev2"}]}`: "Underdomæne mismatch: elev1 != elev2",
		entry(`{"samAccountName":"n","subDomain":"elev2"}`):                                                         "Ukendt underdomæne: elev2",
		entry(good + "," + strings.Replace(good, `"n"`, `"N"`, 1)):                                                  "Flere personer med tilknyttet AD konto (N) for domæne skovby.dk",
		entry(strings.Replace(good, uuid, "short", 1)):                                                              "Person med ugyldigt UUID: short for domæne skovby.dk",
		entry(strings.Replace(good, `"name":"N"`, `"name":""`, 1)):                                                  "Person uden navn: " + uuid + " for domæne skovby.dk",
	} {
		resp, text := m.call(t, "POST", "/api/coredata/full", strings.NewReader(body), "Apikey", all)
		if resp.StatusCode != http.StatusBadRequest || text != want || resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%s: %d %q, want %q", body, resp.StatusCode, text, want)
		}
	}
	if after := m.read(t, everybody); len(after.EntryList) != len(before.EntryList) {
		t.Errorf("a refused load left %+v", after)
	}
}

func (m *municipality) checkLargeBody(t *testing.T) {
	t.Helper()
	body := coreDataExample(t, "e3a_ad_delta")
	const size = 64 << 20
	padded := io.MultiReader(strings.NewReader(body[:len(body)-1]), io.LimitReader(spaces{}, size), strings.NewReader("}"))
	if resp, text := m.call(t, "POST", "/api/coredata/delta", padded); resp.StatusCode != http.StatusOK {
		t.Errorf("a large body: %d %s", resp.StatusCode, text)
	}
}

// spaces are blanks without end.
type spaces struct{}

// Read fills p.
func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// checkConcurrent sends loads of one domain at the same time: they queue up, and nobody is there twice.
func (m *municipality) checkConcurrent(t *testing.T, staff string) {
	t.Helper()
	m.load(t, "DELETE", "/cleanup", `{"domain":"skovby.dk","entryList":[{"cpr":"1403791001","samAccountName":"both"},{"cpr":"2305881038","samAccountName":"ruk"}]}`)
	const loads = 8
	failures := make(chan error, loads)
	for i := range loads {
		path := []string{"/full", "/delta"}[i%2]
		go func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, m.url+"/api/coredata"+path, strings.NewReader(staff))
			if err != nil {
				failures <- err
				return
			}
			req.Header.Set("ApiKey", m.key)
			req.Header.Set("Content-Type", "application/json")
			resp, err := m.client.Do(req)
			if err == nil {
				defer func() { _ = resp.Body.Close() }()
				if resp.StatusCode != http.StatusOK {
					err = errors.New(resp.Status)
				}
			}
			failures <- err
		}()
	}
	for range loads {
		if err := <-failures; err != nil {
			t.Error(err)
		}
	}
	all := m.read(t, everybody)
	seen := make(map[string]int)
	for _, p := range all.EntryList {
		seen[strings.ToLower(p.SamAccountName)]++
	}
	for _, sam := range []string{"both", "ruk", "x-meek", "svc-rpa01", "sino11"} {
		if seen[sam] != 1 {
			t.Errorf("%s is there %d times", sam, seen[sam])
		}
	}
}

func (m *municipality) checkRecords(t *testing.T) {
	t.Helper()
	status := decode[struct{ Loads []coredata.Call }](t, m.do(t, m.dir, exitOK, "status", "-o", "json"))
	if len(status.Loads) != newest || !strings.HasPrefix(status.Loads[0].Endpoint, "POST /api/coredata/") || status.Loads[0].Client != "ADSync" || !status.Loads[0].Success {
		t.Errorf("the loads are %+v", status.Loads)
	}
	if out := m.do(t, m.dir, exitOK, "status"); !strings.Contains(out, "LOAD") || !strings.Contains(out, "/delta") || !strings.Contains(out, "ADSync") {
		t.Errorf("the status doesn't show the loads:\n%s", out)
	}
	m.do(t, m.dir, exitOK, "db", "check")
}

// A load that would lock too many is refused, until somebody lets one through.
func TestCoreDataGuard(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s settings, dir string) {
		t.Helper()
		m := opened(t, s.with("RC_GUARD_LOADS_COUNT", "2", "RC_GUARD_LOADS_PERCENT", "10"), dir)
		staff := coreDataExample(t, "e1_ad_full")
		m.load(t, "POST", "/full", staff)
		one := `{"domain":"skovby.dk","entryList":[{"uuid":"5b0f2c1e-7a34-4c55-9d0e-3f1f6f0a9b01","cpr":"1403791001","name":"Bodil","samAccountName":"BOTH"}]}`
		refused := func() {
			t.Helper()
			resp, text := m.call(t, "POST", "/api/coredata/full", strings.NewReader(one))
			if resp.StatusCode != http.StatusBadRequest || !strings.Contains(text, "3") || !strings.Contains(text, "skovby.dk") {
				t.Fatalf("%d %s", resp.StatusCode, text)
			}
		}
		refused()
		if all := m.read(t, everybody); slices.ContainsFunc(all.EntryList, func(p person) bool { return p.LockedDataset }) {
			t.Errorf("half of it was done: %+v", all)
		}
		m.do(t, dir, exitFailure, "domain", "allow-next-load", "skovby.dk")
		m.do(t, dir, exitFailure, "domain", "allow-next-load", "nowhere.dk", "--by", "Karen", "--reason", "closed")
		m.do(t, dir, exitOK, "domain", "allow-next-load", "elev1", "--by", "Karen", "--reason", "closed")
		m.load(t, "POST", "/full", one)
		if all := m.read(t, everybody); !all.named("ruk").LockedDataset {
			t.Errorf("it was let through: %+v", all)
		}
		m.load(t, "POST", "/full", staff)
		refused()
	})
}

// People of a load are adopted with the roles that they have in MitID Erhverv, and lose them there when a call locks them.
func TestCoreDataReachesMitID(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 6)
	w.settings = w.with("RC_COREDATA_EXTERNALNEMLOGINUUID", "true", "RC_GUARD_LASTHOLDERROLES", "-")
	w.must(t, exitOK, "domain", "create", "skovby.dk")
	key := strings.TrimSpace(w.must(t, exitOK, "apikey", "create", "--role", "coredata").out)
	b, addr := w.serve(t)
	b.await(t, `"job":"administrators","level":"info","msg":"job done"`) // the last of the start
	m := &municipality{settings: w.settings, url: "http://" + addr, key: key, client: client()}

	var entries []string
	identities := w.sim.State().Identities
	for _, who := range identities {
		entries = append(entries, `{"uuid":"`+who.UUID+`","cpr":"0000000000","name":"N","samAccountName":"u`+who.UUID[:8]+`",`+
			`"nsisAllowed":true,"transferToNemlogin":true,"externalNemloginUserUuid":"`+who.UUID+`"}`)
	}
	m.load(t, "POST", "/full", `{"domain":"skovby.dk","entryList":[`+strings.Join(entries, ",")+`]}`)
	b.await(t, `"count.adopted":6`) // within seconds
	if status := m.raw(t, "/nemloginStatus"+everybody); strings.Count(status, `"active":true`) != len(identities) {
		t.Errorf("nemloginStatus: %s", status)
	}
	if n := len(w.writes()); n != 0 {
		t.Errorf("%d writes before anything was to be changed", n)
	}
	leaver := identities[slices.IndexFunc(identities, func(i simulator.Identity) bool { return len(i.Roles) > 0 })]
	m.load(t, "DELETE", "", `{"domain":"skovby.dk","entryList":[{"uuid":"`+leaver.UUID+`","cpr":"0000000000","samAccountName":"u`+leaver.UUID[:8]+`"}]}`)
	b.await(t, fmt.Sprintf(`"count.removed":%d`, len(leaver.Roles))) // within seconds
	for _, who := range w.sim.State().Identities {
		before := identities[slices.IndexFunc(identities, func(i simulator.Identity) bool { return i.UUID == who.UUID })]
		if want := len(before.Roles); who.UUID == leaver.UUID && len(who.Roles) != 0 || who.UUID != leaver.UUID && len(who.Roles) != want {
			t.Errorf("%s has %d roles, and had %d", who.UUID, len(who.Roles), want)
		}
	}
	if status := m.raw(t, "/nemloginStatus"+everybody); strings.Count(status, `"active":false`) != 1 {
		t.Errorf("nemloginStatus: %s", status)
	}
	if code := b.stop(t); code != exitOK {
		t.Errorf("the service ended with %d", code)
	}
}

// raw reads an answer as it is.
func (m *municipality) raw(t *testing.T, path string) string {
	t.Helper()
	resp, text := m.call(t, "GET", "/api/coredata"+path, nil)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %d %s", path, resp.StatusCode, text)
	}
	return text
}

func TestAPIKeyCommands(t *testing.T) {
	t.Parallel()
	s := emptySettings(t)
	s.must(t, exitOK, "domain", "create", "skovby.dk")
	s.must(t, exitOK, "domain", "create", "elev1", "--parent", "skovby.dk")
	for want, args := range map[string][]string{
		"a key needs a role":               {"create"},
		"one of the roles":                 {"create", "--role", "root"},
		`there is no domain "x"`:           {"create", "--role", "coredata", "--domain", "x"},
		`"elev1" is a sub-domain`:          {"create", "--role", "coredata", "--domain", "ELEV1"},
		`"soon" is not a day`:              {"create", "--role", "coredata", "--expires", "soon"},
		"must expire after":                {"create", "--role", "coredata", "--expires", "2020-01-01"},
		`"first" is not the id`:            {"revoke", "first"},
		"there is no key 7":                {"revoke", "7"},
		`unknown command "rollebro apikey`: {"make"},
	} {
		if r := s.must(t, exitFailure, append([]string{"apikey"}, args...)...); !strings.Contains(r.err, want) || r.out != "" {
			t.Errorf("%v: %q %q", args, r.out, r.err)
		}
	}
	r := s.must(t, exitOK, "apikey", "create", "--role", "coredata", "--domain", "Skovby.DK", "--name", "ADSync", "--expires", "2999-12-31")
	key := strings.TrimSpace(r.out)
	if !strings.HasPrefix(key, "rollebro_") || strings.Contains(r.err, key) || !strings.Contains(r.err, "cannot be shown again") {
		t.Errorf("%q %q", r.out, r.err)
	}
	list := s.must(t, exitOK, "apikey", "list").out
	for _, want := range []string{key[:15], "ADSync", "coredata", "skovby.dk", "until 3000-01-01 00:00:00", "never"} {
		if !strings.Contains(list, want) {
			t.Errorf("%q is not in\n%s", want, list)
		}
	}
	s.must(t, exitOK, "apikey", "revoke", "1")
	list = s.must(t, exitOK, "apikey", "list").out + s.must(t, exitOK, "apikey", "list", "-o", "json").out
	if !strings.Contains(list, "revoked 2") || strings.Contains(list, key) {
		t.Errorf("the list is\n%s", list)
	}
}

// serverCertificate writes a certificate for 127.0.0.1 with its key.
func serverCertificate(t *testing.T, dir string) serverFiles {
	t.Helper()
	server := httptest.NewTLSServer(http.NotFoundHandler()) // brings one along
	defer server.Close()
	pair := server.TLS.Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	files := serverFiles{filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key"), x509.NewCertPool()}
	files.roots.AddCert(server.Certificate())
	writeFile(t, files.cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})))
	writeFile(t, files.key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	return files
}
