package simulator

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/sirupsen/logrus"
	pkcs12 "software.sslmate.com/src/go-pkcs12"
)

// inspect calls the inspection API.
func inspect(t *testing.T, s *Simulator, method, path, body string) response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.InspectURL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := new(http.Client).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	data, err := io.ReadAll(answer.Body)
	return response{t: t, err: err, status: answer.StatusCode, header: answer.Header, body: string(data)}
}

func TestInspectState(t *testing.T) {
	t.Parallel()
	s := start(t, Options{Inspect: "127.0.0.1:0"})
	var got State
	answer := inspect(t, s, http.MethodGet, "/simulator/state", "").want(200)
	answer.into(&got)
	want := s.State()
	ignore := cmp.Transformer("json", func(i Identity) string { b, _ := json.Marshal(i); return string(b) })
	ignoreRole := cmp.Transformer("json", func(r Role) string { b, _ := json.Marshal(r); return string(b) })
	if diff := cmp.Diff(want, got, ignore, ignoreRole); diff != "" {
		t.Errorf("the state (-held +shown):\n%s", diff)
	}
	for _, who := range s.world.all() {
		if who.cpr != "" && strings.Contains(answer.body, who.cpr) {
			t.Fatal("a CPR number is in the state")
		}
	}
	var raw struct {
		Roles      []map[string]json.RawMessage `json:"roles"`
		Identities []map[string]json.RawMessage `json:"identities"`
	}
	answer.into(&raw)
	if len(raw.Roles[0]) != 2 || len(raw.Identities[0]) != 8 {
		t.Errorf("a role has %d fields, an identity %d", len(raw.Roles[0]), len(raw.Identities[0]))
	}
	for _, field := range []string{"uuid", "status", "givenName", "surname", "emailAddress", "roles", "adminRoles", "authenticators"} {
		if raw.Identities[0][field] == nil {
			t.Errorf("an identity lacks %s", field)
		}
	}
}

func TestInspectRequests(t *testing.T) {
	t.Parallel()
	s := start(t, Options{Inspect: "127.0.0.1:0"})
	c := login(t, s)
	c.get(EndpointCatalogue).want(200)
	c.get(at(EndpointEmployee, uuid.NewString())).want(404)
	c.get("/nowhere").want(404)
	var got []map[string]any
	inspect(t, s, http.MethodGet, "/simulator/requests", "").want(200).into(&got)
	if len(got) != 4 || len(got[0]) != 4 || got[0]["path"] != EndpointAuthenticate || got[1]["status"] != 200.0 ||
		got[2]["status"] != 404.0 || got[2]["method"] != "GET" || got[3]["path"] != "/nowhere" {
		t.Errorf("the log is %v", got)
	}
	inspect(t, s, http.MethodDelete, "/simulator/requests", "").want(204)
	if body := inspect(t, s, http.MethodGet, "/simulator/requests", "").want(200).body; strings.TrimSpace(body) != "[]" {
		t.Errorf("the emptied log is %s", body)
	}
}

func TestInspectFaults(t *testing.T) {
	t.Parallel()
	s := start(t, Options{Inspect: "127.0.0.1:0"})
	post := func(body string) response { return inspect(t, s, http.MethodPost, "/simulator/faults", body) }
	post(`{"service-unavailable":0.25,"strict-data":0,"slow":{"rate":1,"endpoint":"GET /x/*","delay":"1ms"}}`).want(200)
	var rates map[string]float64
	inspect(t, s, http.MethodGet, "/simulator/faults", "").want(200).into(&rates)
	if rates[ServiceUnavailable] != 0.25 || rates[StrictData] != 0 || rates[NoBody204] != 1 || rates[Slow] != 1 ||
		len(rates) != len(Behaviours()) {
		t.Errorf("the faults are %v", rates)
	}
	if f := s.Fault(Slow); f.Endpoint != "GET /x/*" || f.Delay != 1e6 {
		t.Errorf("the object was read as %+v", f)
	}
	post(`{"no-such":1,"auth-down":1}`).want(400).says("garbage-200")
	post(`{"auth-down":"yes"}`).want(400)
	post(`{"auth-down":2}`).want(400)
	post(`{"auth-down":{"rate":1,"often":true}}`).want(400)
	post(`{"auth-down":{"rate":1,"delay":"long"}}`).want(400)
	post(`[`).want(400)
	if s.Faults()[AuthDown] != 0 {
		t.Error("a refused request switched something on")
	}
}

func TestInspectRoles(t *testing.T) {
	t.Parallel()
	s := start(t, Options{Inspect: "127.0.0.1:0"})
	who, roles := person(t, s, active), s.Roles()
	path := "/simulator/identities/" + who.UUID + "/roles"
	body := write(ScopePU, "1999999999", roles[4].UUID, roles[5].UUID) // the portal's pages are not checked
	inspect(t, s, http.MethodPost, path, body).want(204)
	now, _ := s.Identity(who.UUID)
	if !now.Holds(roles[4].UUID, ScopePU, "1999999999") || !now.Holds(roles[5].UUID, ScopePU, "1999999999") {
		t.Errorf("granted: %v", now.Roles)
	}
	inspect(t, s, http.MethodDelete, path, body).want(204)
	if now, _ = s.Identity(who.UUID); !cmp.Equal(now, who) {
		t.Errorf("after taking them away: %s", cmp.Diff(who, now))
	}
	inspect(t, s, http.MethodPost, "/simulator/identities/"+uuid.NewString()+"/roles", body).want(404)
	inspect(t, s, http.MethodPost, path, write(ScopeCVR, s.CVR(), roles[4].UUID, uuid.NewString())).want(400)
	inspect(t, s, http.MethodPost, path, `{"scope":{"type":"Cvr"},"roleUuids":["`+roles[4].UUID+`"]}`).want(400)
	inspect(t, s, http.MethodPost, path, ``).want(400)
	if now, _ = s.Identity(who.UUID); !cmp.Equal(now, who) {
		t.Errorf("refused requests changed something: %s", cmp.Diff(who, now))
	}
	if len(s.Requests()) != 0 {
		t.Error("the inspection API is in the request log")
	}
}

func TestInspectIsForThisMachineOnly(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"0.0.0.0:0", ":0", "192.0.2.1:80", "example.com:80", "[::]:0", "nonsense"} {
		if _, err := New(Options{Inspect: address, Users: 1, Authority: sharedAuthority()}); err == nil {
			t.Errorf("%q was taken", address)
		}
	}
	s := start(t, Options{Inspect: "localhost:0"})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.InspectURL()+"/simulator/state", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "rebound.example"
	answer, err := new(http.Client).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusForbidden {
		t.Errorf("a call under another name was answered %d", answer.StatusCode)
	}
	if plain := start(t, Options{}); plain.InspectURL() != "" {
		t.Error("an inspection API nobody asked for")
	}
}

func TestWriteDir(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	dir := filepath.Join(t.TempDir(), "d")
	for range 2 { // the second time it replaces what is there
		if err := s.WriteDir(dir); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for name, mode := range map[string]os.FileMode{
		"keystore.p12": 0o600, "keystore.password": 0o600, "users.csv": 0o600, "ca.pem": 0o644, "env": 0o644,
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %o", name, info.Mode().Perm())
		}
	}
	if _, leaf, _, err := pkcs12.DecodeChain(read("keystore.p12"), string(read("keystore.password"))); err != nil {
		t.Error(err)
	} else if certificateCVR(leaf) != s.CVR() {
		t.Errorf("the keystore is %s's", certificateCVR(leaf))
	}
	if !bytes.Contains(read("ca.pem"), []byte("BEGIN CERTIFICATE")) {
		t.Error("ca.pem holds no certificate")
	}

	rows, err := csv.NewReader(bytes.NewReader(read("users.csv"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"userId", "name", "email", "cpr", "nemloginUuid"}, rows[0]); diff != "" || len(rows) != 41 {
		t.Errorf("users.csv has %d rows, its head differs: %s", len(rows), diff)
	}
	ids := map[string]bool{}
	for _, row := range rows[1:] {
		who, found := s.Identity(row[4])
		if !found || who.UserID != row[0] || who.GivenName+" "+who.Surname != row[1] || who.EmailAddress != row[2] || ids[row[0]] {
			t.Errorf("row %v does not fit %+v", row, who)
		}
		ids[row[0]] = true
	}

	want := "RC_INTEGRATIONS_NEMLOGIN_ENABLED=true\n" +
		"RC_INTEGRATIONS_NEMLOGIN_KEYSTORELOCATION=" + dir + "/keystore.p12\n" +
		"RC_INTEGRATIONS_NEMLOGIN_KEYSTOREPASSWORDFILE=" + dir + "/keystore.password\n" +
		"RC_INTEGRATIONS_NEMLOGIN_BASEURL=" + s.URL() + "\n" +
		"RC_INTEGRATIONS_NEMLOGIN_ROOTCERTIFICATES=" + dir + "/ca.pem\n" +
		"RC_INTEGRATIONS_NEMLOGIN_USERDRYRUNONLY=true\n" +
		"RC_CUSTOMER_CVR=" + s.CVR() + "\n"
	if diff := cmp.Diff(want, string(read("env"))); diff != "" {
		t.Errorf("env (-want +got):\n%s", diff)
	}
	idle, err := New(Options{Users: 1, Authority: sharedAuthority()})
	if err != nil {
		t.Fatal(err)
	}
	if err := idle.WriteDir(dir); err == nil {
		t.Error("files of a simulator without an address")
	}
}

func TestNoCPRNumberIsLogged(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger := logrus.New()
	logger.SetLevel(logrus.TraceLevel)
	logger.SetOutput(&out) // logrus serialises its writes
	s, err := New(Options{Users: 5, Authority: sharedAuthority(), Listen: "127.0.0.1:0", Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	c := login(t, s)
	c.post(EndpointEmployees, createBody("anho@eksempelby")).want(200)
	c.post(EndpointEmployees, strings.Replace(createBody("x"), inventedCPR, inventedCPR+"1", 1)).want(400)
	c.post(EndpointSearch, searchAll).want(200)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "employee/search") {
		t.Errorf("the calls are not in the log: %s", out.String())
	}
	if found := regexp.MustCompile(`[0-9]{10}`).FindString(out.String()); found != "" {
		t.Errorf("the log holds %s", found)
	}
}
