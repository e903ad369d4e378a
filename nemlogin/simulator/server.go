package simulator

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
)

// maxBody is the largest request the simulator reads: room for an activation order with 20,000 users.
const maxBody = 1 << 20

// The endpoints, as patterns for Fault.Endpoint and as told by Request.Endpoint.
const (
	EndpointAuthenticate     = "/api/administration/idmlogin/tls/authenticate"
	EndpointCatalogue        = "/api/administration/rights/categorizedRoles"
	EndpointRoles            = "/api/administration/rights/identity/*/roles"
	EndpointSENumbers        = "/api/administration/organization/senumber"
	EndpointPNumbers         = "/api/administration/organization/productionunits"
	EndpointGroups           = "/api/administration/rights/group"
	EndpointGroup            = "/api/administration/rights/group/*"
	EndpointGroupRole        = "/api/administration/rights/group/*/role/*"
	EndpointEmployees        = "/api/administration/identity/employee"
	EndpointSearch           = "/api/administration/identity/employee/search"
	EndpointEmployee         = "/api/administration/identity/employee/*"
	EndpointProfile          = "/api/administration/identity/employee/*/profile"
	EndpointDraft            = "/api/administration/identity/employee/*/profile/draft"
	EndpointNonsensitive     = "/api/administration/identity/employee/*/profile/nonsensitive"
	EndpointSuspend          = "/api/administration/identity/employee/*/suspend"
	EndpointReactivate       = "/api/administration/identity/employee/*/reactivate"
	EndpointCredentials      = "/api/administration/identity/employee/*/requestcredentials"
	EndpointAuthenticators   = "/api/administration/identity/employee/*/authenticators"
	EndpointRevoke           = "/api/administration/identity/employee/*/revokecredential/*"
	EndpointAllowSigning     = "/api/administration/identity/employee/*/allowsigning"
	EndpointActivationOrders = "/api/admin/organization-activation/activation-orders"
	EndpointMigrated         = "/api/admin/organization-activation/migrated-identities/*"
)

// Action is what a test does to one call instead of letting it through. The zero value lets it through.
type Action struct {
	// Status answers with this HTTP status and Body.
	Status int
	Body   string
	// Drop cuts the connection without an answer.
	Drop bool
	// Apply carries the call out all the same, before Status or Drop: a write that is done though nobody hears of it.
	Apply bool
}

// OnRequest has f asked about every call before it is looked at. f runs on the goroutine of the call, and may wait; it may
// change the simulator. Nil asks nobody.
func (s *Simulator) OnRequest(f func(Request) Action) {
	if f == nil {
		s.hook.Store(nil)
		return
	}
	s.hook.Store(&f)
}

// call is one request on its way through the simulator.
type call struct {
	sim      *Simulator
	request  *http.Request
	faults   faultTable
	now      time.Time
	method   string
	path     string
	endpoint string
	identity uuid.UUID // from the path
	object   uuid.UUID // the second UUID in the path
	body     []byte
	record   Request
}

// answer is what a call is answered; nothing is written before it is complete.
type answer struct {
	status      int
	header      http.Header
	contentType string // default application/json
	value       any    // marshalled, unless raw is set
	raw         []byte
	problem     *problem // an error, written in the shape that error-shape says
	drop        bool     // cut the connection instead
}

func ok(value any) answer { return answer{status: http.StatusOK, value: value} }

func (a answer) encode() []byte {
	if a.raw != nil || a.value == nil {
		return a.raw
	}
	body, err := json.Marshal(a.value)
	if err != nil {
		panic(err) // our own types always can
	}
	return body
}

// Handler serves the calls of the IdM services without TLS, for use inside a process: no certificate is asked for.
func (s *Simulator) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, rt := range routes() {
		mux.HandleFunc(rt.pattern, func(w http.ResponseWriter, r *http.Request) { s.handle(w, r, rt) })
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { s.handle(w, r, &route{}) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "//") { // a UUID was left out; the mux would redirect, the service does not
			s.handle(w, r, &route{})
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (s *Simulator) handle(w http.ResponseWriter, r *http.Request, rt *route) {
	if s.outdated(r.Context()) {
		reset(w)
		return
	}
	c := &call{
		sim: s, request: r, faults: *s.faults.Load(), now: s.opts.Now(),
		method: r.Method, path: r.URL.Path, endpoint: rt.endpoint,
	}
	c.record = Request{
		Number: s.numbered.Add(1), Time: c.now, Method: c.method, Path: c.path, Endpoint: c.endpoint,
		Identity: r.PathValue("identity"),
	}
	c.identity, _ = parseUUID(c.record.Identity) // faults look at it; a bad one is refused later
	a := c.answer(rt, w)
	c.write(w, a)
}

// answer asks the hook, waits for the latency and carries the call out.
func (c *call) answer(rt *route, w http.ResponseWriter) answer {
	var action Action
	if hook := c.sim.hook.Load(); hook != nil {
		action = (*hook)(c.record)
	}
	if action.Drop && !action.Apply {
		return answer{drop: true}
	}
	if action.Status != 0 && !action.Apply {
		return answer{status: action.Status, raw: []byte(action.Body)}
	}
	if !c.wait(c.sim.opts.Latency) {
		return answer{drop: true}
	}
	a := c.carryOut(rt, w)
	switch {
	case action.Drop:
		return answer{drop: true}
	case action.Status != 0:
		return answer{status: action.Status, raw: []byte(action.Body)}
	default:
		return a
	}
}

func (c *call) carryOut(rt *route, w http.ResponseWriter) answer {
	if refused := c.read(w); refused != nil {
		return *refused
	}
	if refused := c.checkCertificate(); refused != nil {
		return *refused
	}
	if refused := c.before(); refused != nil {
		return *refused
	}
	if rt.methods == nil || rt.hidden != "" && c.on(rt.hidden) {
		return failure(http.StatusNotFound, "NotFound", "There is nothing here.")
	}
	do, refused := rt.method(c)
	if refused != nil {
		return *refused
	}
	if c.endpoint != EndpointAuthenticate {
		if refused := c.checkToken(); refused != nil {
			return *refused
		}
	}
	if refused := c.parsePath(); refused != nil {
		return *refused
	}
	if refused := c.beforeIdentity(); refused != nil {
		return *refused
	}
	return c.after(do(c))
}

// read reads the body, whole.
func (c *call) read(w http.ResponseWriter) *answer {
	if c.request.Body == nil || c.request.ContentLength == 0 {
		return nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, c.request.Body, maxBody))
	c.body = body
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		a := failure(http.StatusRequestEntityTooLarge, "TooLarge", "The request is too large.")
		return &a
	case err != nil:
		return &answer{drop: true} // the client went away
	default:
		return nil
	}
}

// parsePath reads the UUIDs in the path.
func (c *call) parsePath() *answer {
	for name, into := range map[string]*uuid.UUID{"identity": &c.identity, "object": &c.object} {
		text := c.request.PathValue(name)
		if text == "" {
			continue
		}
		id, err := parseUUID(text)
		if err != nil {
			a := failure(http.StatusBadRequest, "BadRequest", "The path holds something that is not a UUID.")
			return &a
		}
		*into = id
	}
	return nil
}

func (c *call) world() *world { return c.sim.world }

func (c *call) hour() int {
	now := c.now
	if now.IsZero() {
		now = c.sim.opts.Now()
	}
	return now.In(c.sim.zone).Hour()
}

// wrote tells whether the call changes something when it succeeds.
func (c *call) wrote() bool { return c.record.Write() }

// wait lets time pass. It answers false when the client went away or the simulator is closed meanwhile.
func (c *call) wait(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.request.Context().Done():
		return false
	}
}

// write records the call and writes its answer. It is recorded first: whoever has seen the answer finds it in the log.
func (c *call) write(w http.ResponseWriter, a answer) {
	if a.problem != nil {
		c.shape(&a)
	}
	if !a.drop {
		c.record.Status = a.status
	}
	c.sim.requests.add(c.record)
	c.sim.log.WithFields(map[string]any{"method": c.method, "path": c.path, "status": c.record.Status}).Debug("Simulator call")
	if a.drop {
		reset(w)
		return
	}
	body := a.encode()
	header := w.Header()
	maps.Copy(header, a.header)
	if a.status != http.StatusNoContent {
		if a.contentType == "" {
			a.contentType = "application/json; charset=utf-8"
		}
		header.Set("Content-Type", a.contentType)
	}
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(a.status)
	_, _ = w.Write(body) // a client that is gone does not want it
}

// reset cuts the connection so that the client sees it break, rather than end.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	inner := conn
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok {
		inner = t.NetConn()
	}
	if tcp, ok := inner.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // a reset instead of an orderly end; if it fails, an orderly end will do
	}
	_ = inner.Close()
}

// parseUUID takes the canonical form of 36 characters only, in any case.
func parseUUID(text string) (uuid.UUID, error) {
	if len(text) != 36 {
		return uuid.Nil, errors.New("not a UUID of 36 characters")
	}
	return uuid.Parse(text)
}
