package simulator

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// maxRequests is how many requests the log holds; older ones are forgotten.
const maxRequests = 200_000

// Request is one call the simulator received.
type Request struct {
	// Number counts the requests, from 1, as they came.
	Number uint64
	Time   time.Time
	Method string
	Path   string
	// Status is what was answered; 0 means nothing was: the connection was cut.
	Status int
	// Endpoint is the pattern the path matched, one of the Endpoint constants; empty if none.
	Endpoint string
	// Identity is the UUID in the path, if there was one.
	Identity string
	// Roles and Scope are what a write of roles asked for.
	Roles []string
	Scope Scope
}

// Write tells whether the request could have changed something.
func (r Request) Write() bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead && r.Endpoint != EndpointSearch && r.Endpoint != EndpointAuthenticate
}

// MarshalJSON writes the four fields the inspection API shows.
func (r Request) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Time   time.Time `json:"time"`
		Method string    `json:"method"`
		Path   string    `json:"path"`
		Status int       `json:"status"`
	}{r.Time, r.Method, r.Path, r.Status})
}

// requestLog is a ring: it grows to maxRequests, then the oldest entries make room.
type requestLog struct {
	mu   sync.Mutex
	ring []Request
	next int // where the next entry goes once the ring is full
}

func (l *requestLog) add(r Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.ring) < maxRequests {
		l.ring = append(l.ring, r)
		return
	}
	l.ring[l.next] = r
	l.next = (l.next + 1) % maxRequests
}

// Requests returns the requests that were answered, newest last: the latest 200,000 at most.
func (s *Simulator) Requests() []Request {
	l := &s.requests
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Request, 0, len(l.ring))
	return append(append(out, l.ring[l.next:]...), l.ring[:l.next]...)
}

// ResetRequests forgets the requests. The numbering goes on.
func (s *Simulator) ResetRequests() {
	l := &s.requests
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ring, l.next = nil, 0
}
