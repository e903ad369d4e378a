package nemlogin

import (
	"net/http"
	"testing"
)

// BenchmarkAssignedRoles measures what the client adds to a request: the wire
// answers at once from memory.
func BenchmarkAssignedRoles(b *testing.B) {
	body := `[{"uuid":"` + roleA + `","name":"EASY","scope":{"type":"Cvr","value":"98765432"},"isInternal":false,"from":null,"to":null},` +
		`{"uuid":"` + roleB + `","name":"ATP","scope":{"type":"PU","value":"1234567890"}}]`
	c := fakeClient(b, func(req *http.Request) (*http.Response, error) {
		if req.URL.Path == pathAuthenticate {
			return tokenReply(), nil
		}
		return reply(200, body), nil
	})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.AssignedRoles(b.Context(), alice); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAssignedRolesTLS is the same over TLS on the loopback, for
// comparison.
func BenchmarkAssignedRolesTLS(b *testing.B) {
	s := newService(b, answer(200, `[{"uuid":"`+roleA+`","scope":{"type":"Cvr","value":"98765432"}}]`))
	c := s.client(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.AssignedRoles(b.Context(), alice); err != nil {
			b.Fatal(err)
		}
	}
}
