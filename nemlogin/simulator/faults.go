package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// ErrUnknownFault is what SetFault and ParseFaults answer for a name that is neither a base behaviour nor a fault.
var ErrUnknownFault = errors.New("unknown fault")

// Fault says when a behaviour shows, and what it looks like where the real service's answer is not known. A behaviour
// shows on a call when Endpoint, Identity, Nth, Every, Count and the hours all allow it and the probability Rate strikes.
type Fault struct {
	// Rate is the probability, 0 to 1; 0 switches the behaviour off. What is drawn depends on the simulator's seed and
	// the number of the call only.
	Rate float64 `json:"rate"`
	// Endpoint limits the behaviour to calls whose path, or whose endpoint's pattern, matches. Written as for
	// [path.Match], with a method before it if wanted: "POST /api/administration/rights/identity/*/roles". See the
	// Endpoint constants.
	Endpoint string `json:"endpoint,omitempty"`
	// Identity limits it to calls about one identity.
	Identity string `json:"identity,omitempty"`
	// Nth limits it to the n-th call, counted from 1 among the calls that Endpoint and Identity select, since it was set.
	Nth int `json:"nth,omitempty"`
	// Every limits it to every n-th such call.
	Every int `json:"every,omitempty"`
	// Count is how many times it shows at most.
	Count int `json:"count,omitempty"`
	// FromHour and UntilHour limit it to hours of the day, Danish time: from 22 until 6 is the night. Both 0: always.
	FromHour  int `json:"fromHour,omitempty"`
	UntilHour int `json:"untilHour,omitempty"`
	// Status is the HTTP status of the answer, where the behaviour lets one choose.
	Status int `json:"status,omitempty"`
	// RetryAfter is the text of a Retry-After header on 429 and 503; without it there is none.
	RetryAfter string `json:"retryAfter,omitempty"`
	// Delay is how long to wait or lag, where the behaviour does; in JSON a text as "1.5s".
	Delay time.Duration `json:"-"`
	// Share is how much of a list is affected, 0 to 1, where only part is.
	Share float64 `json:"share,omitempty"`
	// Value is a choice of the behaviour's own; Behaviours names them.
	Value string `json:"value,omitempty"`
}

// UnmarshalJSON reads a fault from an object with these fields and no others, or from a bare rate.
func (f *Fault) UnmarshalJSON(data []byte) error {
	*f = Fault{}
	if json.Unmarshal(data, &f.Rate) == nil {
		return nil
	}
	type fields Fault // without this method
	wire := struct {
		*fields
		Delay string `json:"delay"`
	}{fields: (*fields)(f)}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&wire); err != nil {
		return fmt.Errorf("reading a fault, which is a rate or an object: %w", err)
	}
	if wire.Delay == "" {
		return nil
	}
	var err error
	if f.Delay, err = time.ParseDuration(wire.Delay); err != nil {
		return fmt.Errorf("reading a fault's delay: %w", err)
	}
	return nil
}

// activeFault is a fault that is on.
type activeFault struct {
	Fault
	salt     uint64 // keeps the draws of different faults apart
	method   string
	pattern  string
	identity uuid.UUID
	plain    bool // shows on every call
	calls    atomic.Int64
	shown    atomic.Int64
	last     atomic.Pointer[string] // the call an optimistic-concurrency conflict was answered to last
}

// faultTable is what is on; it is replaced as a whole.
type faultTable map[string]*activeFault

// FaultNames lists all names that SetFault takes, sorted.
func (s *Simulator) FaultNames() []string { return faultNames() }

func faultNames() []string { return slices.Sorted(maps.Keys(behaviourByName)) }

// ParseFaults reads a list of faults as one gives it on a command line: "service-unavailable=0.1,slow=0.05". A name alone
// means a rate of 1.
func ParseFaults(spec string) (map[string]float64, error) {
	faults := map[string]float64{}
	for part := range strings.SplitSeq(spec, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		name, text, given := strings.Cut(part, "=")
		rate := 1.0
		if given {
			var err error
			if rate, err = strconv.ParseFloat(text, 64); err != nil {
				return nil, fmt.Errorf("reading fault %s: %q is not a rate between 0 and 1", name, text)
			}
		}
		if _, err := compile(name, Fault{Rate: rate}, 0); err != nil {
			return nil, err
		}
		faults[name] = rate
	}
	return faults, nil
}

// SetFault switches a behaviour on, or off with a rate of 0. Setting one again starts its counting anew.
func (s *Simulator) SetFault(name string, fault Fault) error {
	return s.SetFaults(map[string]Fault{name: fault})
}

// SetFaults switches several behaviours: all of them, or none when one is wrong.
func (s *Simulator) SetFaults(faults map[string]Fault) error {
	active := make(faultTable, len(faults))
	for _, name := range slices.Sorted(maps.Keys(faults)) {
		f, err := compile(name, faults[name], s.world.seed)
		if err != nil {
			return err
		}
		active[name] = f
	}
	s.switching.Lock()
	defer s.switching.Unlock()
	table := maps.Clone(*s.faults.Load())
	handshake := false
	for name, f := range active {
		handshake = handshake || concernsHandshake(name, table[name], f)
		if f.Rate == 0 {
			delete(table, name)
		} else {
			table[name] = f
		}
	}
	s.faults.Store(&table)
	if handshake {
		s.newHandshakeRules()
	}
	return nil
}

// concernsHandshake tells whether a change is about what happens while a connection is made.
func concernsHandshake(name string, before, after *activeFault) bool {
	switch name {
	case MTLSRequired, CertExpired, CAListMismatch:
		return before == nil && after.Rate > 0 || before != nil && before.Fault != after.Fault
	case CertWithoutRight:
		return before != nil && before.Value == "alert" || after.Value == "alert"
	default:
		return false
	}
}

// ClearFaults switches all faults off and all base behaviours on.
func (s *Simulator) ClearFaults() {
	faults := make(map[string]Fault, len(behaviours))
	for _, b := range behaviours {
		f := Fault{}
		if b.Base {
			f.Rate = 1
		}
		faults[b.Name] = f
	}
	if err := s.SetFaults(faults); err != nil {
		panic(err) // the simulator's own table is wrong
	}
}

// Faults tells for every name at what rate it shows: 0 is off.
func (s *Simulator) Faults() map[string]float64 {
	table := *s.faults.Load()
	rates := make(map[string]float64, len(behaviours))
	for _, b := range behaviours {
		rates[b.Name] = 0
		if f := table[b.Name]; f != nil {
			rates[b.Name] = f.Rate
		}
	}
	return rates
}

// Fault returns what is set for a name; a zero Fault when it is off or unknown.
func (s *Simulator) Fault(name string) Fault {
	if f := (*s.faults.Load())[name]; f != nil {
		return f.Fault
	}
	return Fault{}
}

// Shown tells how many times a behaviour has shown since it was set.
func (s *Simulator) Shown(name string) int {
	if f := (*s.faults.Load())[name]; f != nil {
		return int(f.shown.Load())
	}
	return 0
}

func compile(name string, fault Fault, seed uint64) (*activeFault, error) {
	if name == renegotiation {
		return nil, errors.New("setting fault renegotiation: the Go TLS server cannot ask for a certificate in the middle of a connection")
	}
	if _, known := behaviourByName[name]; !known {
		return nil, fmt.Errorf("%w %q; there are: %s", ErrUnknownFault, name, strings.Join(faultNames(), ", "))
	}
	wrong := func(format string, args ...any) (*activeFault, error) {
		return nil, fmt.Errorf("setting fault %s: %s", name, fmt.Sprintf(format, args...))
	}
	f := &activeFault{Fault: fault, salt: mix(seed ^ hashText(name))}
	switch {
	case math.IsNaN(fault.Rate) || fault.Rate < 0 || fault.Rate > 1:
		return wrong("the rate must be between 0 and 1, not %v", fault.Rate)
	case math.IsNaN(fault.Share) || fault.Share < 0 || fault.Share > 1:
		return wrong("the share must be between 0 and 1, not %v", fault.Share)
	case fault.Nth < 0 || fault.Every < 0 || fault.Count < 0 || fault.Delay < 0:
		return wrong("nth, every, count and delay must not be negative")
	case fault.FromHour < 0 || fault.FromHour > 24 || fault.UntilHour < 0 || fault.UntilHour > 24:
		return wrong("hours go from 0 to 24")
	case fault.Status != 0 && (fault.Status < 200 || fault.Status > 599):
		return wrong("%d is not an HTTP status that ends a call", fault.Status)
	}
	f.pattern = fault.Endpoint
	if method, rest, found := strings.Cut(fault.Endpoint, " "); found {
		f.method, f.pattern = method, rest
	}
	if _, err := path.Match(f.pattern, ""); err != nil {
		return wrong("the endpoint %q is not a pattern", fault.Endpoint)
	}
	if fault.Identity != "" {
		id, err := parseUUID(fault.Identity)
		if err != nil {
			return wrong("the identity %q is not a UUID", fault.Identity)
		}
		f.identity = id
	}
	f.plain = fault.Rate == 1 && fault.Endpoint == "" && fault.Identity == "" && fault.Nth == 0 && fault.Every == 0 &&
		fault.Count == 0 && fault.FromHour == fault.UntilHour
	return f, nil
}

// strike tells whether a behaviour shows on this call, and returns it if so. It counts, so it is asked once per call.
func (c *call) strike(name string) *activeFault { return c.strikeAt(name, 1) }

// strikeAt is strike at a part of the fault's rate.
func (c *call) strikeAt(name string, part float64) *activeFault {
	f := c.faults[name]
	if f == nil {
		return nil
	}
	if f.plain && part == 1 {
		f.shown.Add(1)
		return f
	}
	if !f.selects(c) {
		return nil
	}
	n := f.calls.Add(1)
	if f.Nth > 0 && n != int64(f.Nth) || f.Every > 0 && n%int64(f.Every) != 0 {
		return nil
	}
	if f.Rate*part < 1 && chance(f.salt, uint64(n)) >= f.Rate*part {
		return nil
	}
	if shown := f.shown.Add(1); f.Count > 0 && shown > int64(f.Count) {
		f.shown.Add(-1)
		return nil
	}
	return f
}

// on is strike for those that need no more than yes or no.
func (c *call) on(name string) bool { return c.strike(name) != nil }

// affects tells whether a behaviour is part of the world of this thing: a fixed share of all things has it, and always
// the same ones, however often one looks.
func (c *call) affects(name string, thing uint64) bool {
	f := c.faults[name]
	return f != nil && f.selects(c) && chance(f.salt, thing) < f.Rate
}

// selects tells whether the fault is about calls like this one, at this hour.
func (f *activeFault) selects(c *call) bool {
	if f.method != "" && f.method != c.method {
		return false
	}
	if f.pattern != "" && !match(f.pattern, c.path) && !match(f.pattern, c.endpoint) {
		return false
	}
	if f.Identity != "" && f.identity != c.identity {
		return false
	}
	return f.FromHour == f.UntilHour || within(c.hour(), f.FromHour, f.UntilHour)
}

// status is the fault's status, or the one given.
func (f *activeFault) status(otherwise int) int {
	if f.Status != 0 {
		return f.Status
	}
	return otherwise
}

func (f *activeFault) share(otherwise float64) float64 {
	if f.Share != 0 {
		return f.Share
	}
	return otherwise
}

// turn draws one of n for the call the fault shows on.
func (f *activeFault) turn(n int) int { return int(mix(f.salt+uint64(f.shown.Load())) % uint64(n)) }

func match(pattern, name string) bool {
	ok, _ := path.Match(pattern, name) // the pattern was checked when it was set
	return ok
}

func within(hour, from, until int) bool {
	if from < until {
		return from <= hour && hour < until
	}
	return hour >= from || hour < until
}

// chance is a number from 0 up to 1, always the same for the same arguments.
func chance(salt, n uint64) float64 { return float64(mix(salt^mix(n))>>11) / (1 << 53) }

// mix is the finaliser of splitmix64: every bit of the result depends on every bit of n.
func mix(n uint64) uint64 {
	n += 0x9e3779b97f4a7c15
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}

func hashText(text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text)) // never fails
	return h.Sum64()
}

func hashUUID(id uuid.UUID) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(id[:])
	return h.Sum64()
}

// before is what faults do to a call before it is looked at; nil lets it through.
func (c *call) before() *answer {
	if f := c.strike(Slow); f != nil {
		delay := f.Delay
		if delay == 0 {
			delay = time.Duration(chance(f.salt, uint64(f.shown.Load())) * float64(200*time.Second))
		}
		if !c.wait(delay) {
			return &answer{drop: true}
		}
	}
	if c.endpoint == EndpointSearch && c.on(SearchUnstable) {
		return &answer{drop: true}
	}
	if f := c.strike(RateLimit429); f != nil {
		return f.retryLater(http.StatusTooManyRequests, "TooManyRequests")
	}
	if f := c.strike(ServiceUnavailable); f != nil {
		return f.retryLater(f.status(http.StatusServiceUnavailable), "ServiceUnavailable")
	}
	if f := c.badHour(); f != nil {
		return f.retryLater(f.status(http.StatusServiceUnavailable), "ServiceUnavailable")
	}
	return nil
}

func (f *activeFault) retryLater(status int, code string) *answer {
	a := failure(status, code, "The service cannot answer now.")
	if f.RetryAfter != "" {
		a.header = http.Header{"Retry-After": {f.RetryAfter}}
	}
	return &a
}

// badHour is how the service's errors are spread over the day: many at night, some until ten, none after.
func (c *call) badHour() *activeFault {
	f := c.faults[BadHours]
	if f == nil {
		return nil
	}
	if f.FromHour != f.UntilHour {
		return c.strike(BadHours)
	}
	switch hour := c.hour(); {
	case hour < 6:
		return c.strike(BadHours)
	case hour < 10:
		return c.strikeAt(BadHours, 0.25)
	default:
		return nil
	}
}

// beforeIdentity is what faults do to a call about one known identity.
func (c *call) beforeIdentity() *answer {
	if c.identity == uuid.Nil || !c.world().exists(c.identity) {
		return nil
	}
	if c.on(SeeLog500) {
		a := seeLog()
		return &a
	}
	if f := c.faults[OptimisticConcurrency]; f != nil && (f.Endpoint != "" || c.endpoint == EndpointReactivate) &&
		c.method != http.MethodGet {
		key := c.method + c.path
		if last := f.last.Swap(nil); last != nil && *last == key {
			return nil // the next try works
		}
		if c.on(OptimisticConcurrency) {
			f.last.Store(&key)
			a := failure(http.StatusConflict, "OptimisticConcurrency", "The record was changed by somebody else.")
			return &a
		}
	}
	if c.on(ForeignChange) {
		c.sim.foreignChange(c.identity)
	}
	if c.on(UUIDChanged) {
		c.sim.changeUUID(c.identity)
	}
	if c.on(UUIDMoved) {
		c.sim.moveToNext(c.identity)
	}
	return nil
}

// after is what faults do to the answer of a call that was carried out.
func (c *call) after(a answer) answer {
	if a.status < 200 || a.status > 299 {
		return a
	}
	if c.wrote() {
		if bent := c.afterWrite(); bent != nil {
			return *bent
		}
	} else if f := c.strike(Empty200); f != nil {
		if f.Value == "null" || f.Value == "" && f.turn(2) == 0 {
			return answer{status: http.StatusOK, raw: []byte("null")}
		}
		return answer{status: http.StatusOK, raw: []byte{}}
	}
	if f := c.strike(Garbage200); f != nil {
		return f.garbage(a)
	}
	return a
}

func (c *call) afterWrite() *answer {
	if f := c.strike(HangAfterWrite); f != nil {
		delay := f.Delay
		if delay == 0 {
			delay = time.Hour
		}
		c.wait(delay)
		return &answer{drop: true}
	}
	if c.on(Write200Text) {
		return &answer{status: http.StatusOK, contentType: "text/plain; charset=utf-8", raw: []byte("OK")}
	}
	return nil
}

const html = "<!DOCTYPE html><html><head><title>NemLog-in</title></head><body><h1>Der opstod en fejl</h1></body></html>"

func (f *activeFault) garbage(a answer) answer {
	kind := f.Value
	if kind == "" {
		kind = []string{"html", "cut", "text"}[f.turn(3)]
	}
	switch kind {
	case "cut":
		body := a.encode()
		if len(body) < 4 {
			body = []byte(`{"roles":[{"uuid":"`)
		} else {
			body = body[:len(body)*2/3]
		}
		return answer{status: http.StatusOK, raw: body}
	case "text":
		return answer{status: http.StatusOK, contentType: "text/plain; charset=utf-8", raw: []byte("An error has occurred.")}
	default:
		return answer{status: http.StatusOK, contentType: "text/html; charset=utf-8", raw: []byte(html)}
	}
}
