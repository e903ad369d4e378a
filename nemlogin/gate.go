package nemlogin

import (
	"errors"
	"net/http"
)

// gate lets nothing pass in read-only mode that could change something at MitID
// Erhverv. It sits last before the wire, so that no fault above it can write:
// what it does not know to be a read is refused.
type gate struct {
	next http.RoundTripper
	// prefix is the path of the base URL, in front of every path.
	prefix string
}

// errReadOnly is the gate's refusal.
var errReadOnly = errors.New("refused: the client is in read-only mode and this request could change something in MitID Erhverv")

func (g *gate) RoundTrip(req *http.Request) (*http.Response, error) {
	if !g.reads(req) {
		if req.Body != nil {
			_ = req.Body.Close() // RoundTrip must close it; nothing was read from it
		}
		return nil, errReadOnly
	}
	return g.next.RoundTrip(req)
}

// reads reports whether req cannot change anything. Two POSTs are known to be
// reads: fetching a token, and searching the employees.
func (g *gate) reads(req *http.Request) bool {
	switch req.Method {
	case http.MethodGet, http.MethodHead:
		return true
	case http.MethodPost:
		path := req.URL.EscapedPath()
		return path == g.prefix+pathAuthenticate || path == g.prefix+pathSearch
	}
	return false
}
