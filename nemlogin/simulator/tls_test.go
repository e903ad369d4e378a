package simulator

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"

	"github.com/rollebro/rollebro/certs/certstest"
)

// strangersCertificate is issued by an authority the simulator does not know.
func strangersCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	other := certstest.MustAuthority(t, certstest.AuthorityOptions{Keys: certstest.ECDSA})
	return certstest.MustIssue(t, other, certstest.LeafOptions{CVR: "99900011"}).TLS()
}

func TestClientCertificates(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	connect(t, s, strangersCertificate(t)).post(EndpointAuthenticate, "").broken()
	otherCVR := certstest.MustIssue(t, s.Authority(), certstest.LeafOptions{CVR: "99900099"}).TLS()
	connect(t, s, otherCVR).post(EndpointAuthenticate, "").want(http.StatusForbidden)
	employee := certstest.MustIssue(t, s.Authority(), certstest.LeafOptions{CVR: s.CVR(), Employee: true}).TLS()
	connect(t, s, employee).post(EndpointAuthenticate, "").want(http.StatusForbidden)
	renewed := certstest.MustIssue(t, s.Authority(), certstest.LeafOptions{CVR: s.CVR()}).TLS()
	connect(t, s, renewed).post(EndpointAuthenticate, "").want(http.StatusOK)
	old := certstest.MustIssue(t, s.Authority(), certstest.LeafOptions{CVR: s.CVR(), OCES2: true}).TLS()
	connect(t, s, old).post(EndpointAuthenticate, "").want(http.StatusOK)
}

func TestServerSpeaksOnlyModernTLS(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	for version, works := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		c := connect(t, s, s.ClientCertificate())
		c.tls.MinVersion, c.tls.MaxVersion = version, version
		got := c.post(EndpointAuthenticate, "")
		if (got.err == nil) != works {
			t.Errorf("%s: %v", tls.VersionName(version), got.err)
		}
	}
	untrusting := connect(t, s, s.ClientCertificate())
	untrusting.tls.RootCAs = nil
	if err := untrusting.post(EndpointAuthenticate, "").broken().err; !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without our roots: %v", err)
	}
}

func TestTwoOrganisations(t *testing.T) {
	t.Parallel()
	one, two := start(t, Options{CVR: "99900011"}), start(t, Options{CVR: "99900022"})
	connect(t, one, two.ClientCertificate()).post(EndpointAuthenticate, "").want(http.StatusForbidden)
	connect(t, two, two.ClientCertificate()).post(EndpointAuthenticate, "").want(http.StatusOK)
}

func TestNewHandshakeRulesEndConnectionsInUse(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	c := login(t, s)
	entered, leave := make(chan struct{}), make(chan struct{})
	s.OnRequest(func(Request) Action {
		close(entered)
		<-leave
		return Action{}
	})
	ended := make(chan response)
	go func() { ended <- c.get(EndpointCatalogue) }()
	<-entered
	s.OnRequest(nil)
	mustFault(t, s, CertExpired, Fault{Rate: 1})
	close(leave)
	(<-ended).want(http.StatusOK) // it was let in before
	c.get(EndpointCatalogue).broken()
}
