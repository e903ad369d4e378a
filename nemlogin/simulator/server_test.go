package simulator

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestLifecycle(t *testing.T) {
	t.Parallel()
	s := seeded(t, Options{Users: 1, Listen: "127.0.0.1:0", Inspect: "127.0.0.1:0"})
	if s.URL() != "" || s.InspectURL() != "" {
		t.Error("an address before Start")
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(s.URL(), "https://127.0.0.1:") || !strings.HasPrefix(s.InspectURL(), "http://127.0.0.1:") {
		t.Errorf("the addresses are %s and %s", s.URL(), s.InspectURL())
	}
	if err := s.Start(); err == nil {
		t.Error("started twice")
	}
	taken := seeded(t, Options{Users: 1, Listen: strings.TrimPrefix(s.URL(), "https://")})
	if err := taken.Start(); err == nil {
		t.Error("listens where another does")
	}
	c := login(t, s)
	hang := make(chan struct{})
	s.OnRequest(func(Request) Action { close(hang); return Action{} })
	mustFault(t, s, Slow, Fault{Rate: 1, Delay: time.Hour})
	ended := make(chan response)
	go func() { ended <- c.get(EndpointCatalogue) }()
	<-hang
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if r := <-ended; r.err == nil {
		t.Errorf("a call that waited for an hour was answered %d", r.status)
	}
}

func TestHandlerWithoutTLS(t *testing.T) {
	t.Parallel()
	h := seeded(t, Options{Users: 3}).Handler()
	call := func(method, path, token string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, http.NoBody)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	w := call(http.MethodPost, EndpointAuthenticate, "")
	var token tokenWire
	response{t: t, body: w.Body.String()}.into(&token)
	if w := call(http.MethodGet, EndpointCatalogue, token.AccessToken); w.Code != 200 {
		t.Errorf("status %d", w.Code)
	}
	if w := call(http.MethodGet, EndpointCatalogue, "guess"); w.Code != 401 {
		t.Errorf("status %d with a token of one's own", w.Code)
	}
}

func TestPathsAndMethods(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	c := login(t, s)
	for _, path := range []string{"/", "/api/administration", EndpointCatalogue + "/", "/api/administration/identity/employee//profile"} {
		c.get(path).want(http.StatusNotFound)
	}
	for _, rt := range routes() {
		if rt.hidden != "" {
			continue
		}
		path := strings.ReplaceAll(rt.endpoint, "*", uuid.NewString())
		if allow := c.do(http.MethodPatch, path, "").want(http.StatusMethodNotAllowed).header.Get("Allow"); allow == "" {
			t.Errorf("%s: no Allow", rt.endpoint)
		}
		stranger := connect(t, s, s.ClientCertificate())
		if rt.endpoint == EndpointAuthenticate {
			continue
		}
		for method := range rt.methods {
			stranger.do(method, path, "{}").want(http.StatusUnauthorized)
		}
	}
	header := http.Header{"Authorization": {"Basic " + c.token}}
	(&client{t: t, s: s, http: c.http}).send(t.Context(), http.MethodGet, EndpointCatalogue, "", header).want(401)
	header = http.Header{"Authorization": {"bearer " + c.token}}
	(&client{t: t, s: s, http: c.http}).send(t.Context(), http.MethodGet, EndpointCatalogue, "", header).want(200)
}

func TestCallsDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	s := start(t, Options{Latency: 20 * time.Millisecond})
	c := login(t, s)
	var together sync.WaitGroup // each call waits, in the simulator, until all are there
	together.Add(8)
	s.OnRequest(func(Request) Action {
		together.Done()
		together.Wait()
		return Action{}
	})
	began := time.Now()
	var calls sync.WaitGroup
	for range 8 {
		calls.Go(func() {
			if got := c.get(EndpointSENumbers); got.err != nil || got.status != 200 {
				t.Errorf("status %d, %v", got.status, got.err)
			}
		})
	}
	calls.Wait()
	if took := time.Since(began); took < 20*time.Millisecond {
		t.Errorf("calls with a latency of 20 ms took %v", took)
	}
}

func TestRequestLogIsARing(t *testing.T) {
	t.Parallel()
	s := seeded(t, Options{Users: 1})
	for n := range uint64(maxRequests + 10) {
		s.requests.add(Request{Number: n})
	}
	got := s.Requests()
	if len(got) != maxRequests || got[0].Number != 10 || got[maxRequests-1].Number != maxRequests+9 {
		t.Errorf("%d requests, from %d to %d", len(got), got[0].Number, got[len(got)-1].Number)
	}
	s.ResetRequests()
	if n := len(s.Requests()); n != 0 {
		t.Errorf("%d requests left", n)
	}
}

func TestRequestsTellWhatWasWritten(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	c := login(t, s)
	s.ResetRequests()
	who, role := person(t, s, active), s.Roles()[4].UUID
	c.post(at(EndpointRoles, who.UUID), write(ScopeCVR, s.CVR(), role)).want(204)
	c.post(EndpointSearch, searchAll).want(200)
	got := s.Requests()
	if len(got) != 2 || got[0].Identity != who.UUID || len(got[0].Roles) != 1 || got[0].Roles[0] != role ||
		got[0].Scope != (Scope{ScopeCVR, s.CVR()}) || got[0].Status != 204 || !got[0].Write() || got[1].Write() {
		t.Errorf("the log is %+v", got)
	}
}

// TestManyAtOnce is for the race detector: calls and changes of every kind about the same people.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t, Options{Users: 8})
	c := login(t, s)
	state, number := s.State(), s.PNumbers()[0]
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			for i := range 25 {
				who := state.Identities[(n+i)%8].UUID
				role := state.Roles[i].UUID
				path := at(EndpointRoles, who)
				c.post(path, write(ScopePU, number, role))
				c.get(path)
				switch i % 8 {
				case 0:
					_ = s.SwapUUIDs(who, state.Identities[(n+i+1)%8].UUID)
				case 1:
					s.State()
				case 2:
					s.AddRole(fmt.Sprint(n, i), "")
				case 3:
					_ = s.SetFault(Slow, Fault{Rate: 0.5, Delay: time.Microsecond})
				case 4:
					c.post(EndpointSearch, searchAll)
				case 5:
					s.Requests()
				case 6:
					_ = s.AddPNumber(fmt.Sprint(1900000000+n*100+i), "Ny")
				case 7:
					c.put(at(EndpointSuspend, who), "")
				}
				c.del(path, write(ScopePU, number, role))
			}
		})
	}
	all.Wait()
	if got := s.State(); len(got.Identities) != len(state.Identities) {
		t.Errorf("%d identities of %d", len(got.Identities), len(state.Identities))
	}
}

func TestSwapAndChangeUUID(t *testing.T) {
	t.Parallel()
	s := seeded(t, Options{Users: 3, Imported: -1})
	all := s.State().Identities
	if err := s.SwapUUIDs(all[0].UUID, all[1].UUID); err != nil {
		t.Fatal(err)
	}
	if now, _ := s.Identity(all[0].UUID); now.EmailAddress != all[1].EmailAddress {
		t.Errorf("%s is %s's", all[0].UUID, now.EmailAddress)
	}
	if now, _ := s.Identity(all[1].UUID); now.EmailAddress != all[0].EmailAddress {
		t.Errorf("%s is %s's", all[1].UUID, now.EmailAddress)
	}
	changed, err := s.ChangeUUID(all[2].UUID)
	if err != nil {
		t.Fatal(err)
	}
	if _, found := s.Identity(all[2].UUID); found {
		t.Error("the old UUID is still known")
	}
	if now, _ := s.Identity(changed); now.EmailAddress != all[2].EmailAddress {
		t.Errorf("%s is %s's", changed, now.EmailAddress)
	}
	if err := s.RemoveIdentity(changed); err != nil {
		t.Fatal(err)
	}
	unknown := []error{
		s.RemoveIdentity(changed), s.SwapUUIDs(changed, all[0].UUID), s.SwapUUIDs(all[0].UUID, changed),
		s.SwapUUIDs("x", all[0].UUID), s.SetStatus(changed, StatusActive), s.SetAdminRoles(changed),
		s.Grant(changed, s.Roles()[0].UUID, ScopeCVR, "1"), s.Grant(all[0].UUID, changed, ScopeCVR, "1"),
		s.Revoke("x", s.Roles()[0].UUID, ScopeCVR, "1"), s.Grant(all[0].UUID, "x", ScopeCVR, "1"),
		s.RemoveRoleFromCatalogue(changed), s.RestoreRole("x"),
	}
	if _, err := s.ChangeUUID(changed); err == nil {
		unknown = append(unknown, nil)
	}
	for i, err := range unknown {
		if err == nil {
			t.Errorf("change %d of something unknown went through", i)
		}
	}
	if _, err := s.AddIdentity(NewIdentity{UUID: all[0].UUID}); err == nil {
		t.Error("the same UUID twice")
	}
	if _, err := s.AddIdentity(NewIdentity{UUID: "x"}); err == nil {
		t.Error("a UUID of one letter")
	}
}

// BenchmarkReadRoles is what one call costs the simulator and a client, over TLS.
func BenchmarkReadRoles(b *testing.B) {
	s := seeded(b, Options{Users: 1000, Listen: "127.0.0.1:0"})
	if err := s.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close(b.Context()) }()
	certificate := s.ClientCertificate()
	transport := &http.Transport{
		MaxIdleConnsPerHost: 8,
		TLSClientConfig: &tls.Config{RootCAs: s.Roots(), GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &certificate, nil
		}},
	}
	c := &http.Client{Transport: transport}
	defer transport.CloseIdleConnections()
	s.tokens.live["bench"] = time.Now().Add(time.Hour)
	ids := s.State().Identities
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, s.URL()+at(EndpointRoles, ids[i%1000].UUID), http.NoBody)
		if err != nil {
			b.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer bench")
		answer, err := c.Do(r)
		if err != nil {
			b.Fatal(err)
		}
		var body bytes.Buffer
		_, err = body.ReadFrom(answer.Body)
		if _ = answer.Body.Close(); err != nil || answer.StatusCode != 200 {
			b.Fatal(answer.Status, err)
		}
	}
}

// BenchmarkHandler is what one call costs the simulator alone.
func BenchmarkHandler(b *testing.B) {
	s := seeded(b, Options{Users: 1000})
	s.tokens.live["bench"] = time.Now().Add(time.Hour)
	h, ids := s.Handler(), s.State().Identities
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r := httptest.NewRequest(http.MethodGet, at(EndpointRoles, ids[i%1000].UUID), http.NoBody)
		r.Header.Set("Authorization", "Bearer bench")
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != 200 {
			b.Fatal(w.Code)
		}
	}
}
