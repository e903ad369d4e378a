package simulator

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"
)

var (
	oidOrganisationIdentifier = asn1.ObjectIdentifier{2, 5, 4, 97}

	oces2CVR = regexp.MustCompile(`CVR:([0-9]{8})-[FU]ID:`)
)

// tlsConfig verifies client certificates during the handshake, so that a stranger's is refused by a TLS alert, as the
// real service's front does.
func (s *Simulator) tlsConfig() *tls.Config {
	base := &tls.Config{
		MinVersion:             tls.VersionTLS12,
		Certificates:           []tls.Certificate{s.server},
		ClientCAs:              s.clientPool(),
		ClientAuth:             tls.RequireAndVerifyClientCert,
		SessionTicketsDisabled: true, // every connection shows its certificate
	}
	base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.handshake(base) }
	return base
}

// clientPool holds the issuing authority as well as the root: the server names both as acceptable.
func (s *Simulator) clientPool() *x509.CertPool {
	pool := s.authority.Pool()
	pool.AddCert(s.authority.Issuing())
	return pool
}

// handshake returns the configuration for one connection, bent by the faults that are about certificates.
func (s *Simulator) handshake(base *tls.Config) (*tls.Config, error) {
	c := &call{sim: s, faults: *s.faults.Load()}
	config := base
	change := func() *tls.Config {
		if config == base {
			config = base.Clone()
		}
		return config
	}
	if f := c.faults[MTLSRequired]; f == nil || f.Endpoint != "" || f.Rate < 1 {
		change().ClientAuth = tls.VerifyClientCertIfGiven // looked at call by call
	}
	if c.on(CertExpired) {
		// To the verifier it is the day after the certificate ended.
		change().Time = func() time.Time { return s.client.Certificate.NotAfter.AddDate(0, 0, 1) }
	}
	if f := c.faults[CertWithoutRight]; f != nil && f.Value == "alert" && c.on(CertWithoutRight) {
		change().VerifyConnection = func(tls.ConnectionState) error {
			return errors.New("the certificate has no right to the IdM services")
		}
	}
	if c.on(CAListMismatch) {
		config := change()
		trusted := config.ClientCAs
		config.ClientCAs = x509.NewCertPool()
		config.ClientCAs.AddCert(s.server.Leaf) // somebody else's name, whatever it is
		config.ClientAuth = tls.RequireAnyClientCert
		config.VerifyConnection = func(state tls.ConnectionState) error { return verifyClient(state.PeerCertificates, trusted) }
	}
	return config, nil
}

func verifyClient(certificates []*x509.Certificate, trusted *x509.CertPool) error {
	intermediates := x509.NewCertPool()
	for _, c := range certificates[1:] {
		intermediates.AddCert(c)
	}
	_, err := certificates[0].Verify(x509.VerifyOptions{
		Roots: trusted, Intermediates: intermediates, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err
}

// checkCertificate refuses calls without a certificate where one is needed, and authentication with the certificate of
// somebody else or without the right. A request that did not come through TLS (Handler in a test) is trusted.
func (c *call) checkCertificate() *answer {
	if c.request.TLS == nil {
		return nil
	}
	authenticating := c.endpoint == EndpointAuthenticate
	peers := c.request.TLS.PeerCertificates
	if len(peers) == 0 {
		if f := c.strike(MTLSRequired); f != nil {
			a := failure(f.status(http.StatusForbidden), "CertificateRequired", "A client certificate is required.")
			return &a
		}
		return nil
	}
	if !authenticating {
		return nil
	}
	if cvr := certificateCVR(peers[0]); cvr != c.world().cvr {
		a := failure(http.StatusForbidden, "Forbidden", "The certificate is not one of this organisation's.")
		return &a
	}
	if strings.HasPrefix(peers[0].Subject.SerialNumber, "UI:DK-E:") {
		a := failure(http.StatusForbidden, "Forbidden", "The certificate is an employee's.")
		return &a
	}
	if f := c.faults[CertWithoutRight]; f != nil && f.Value != "alert" && c.on(CertWithoutRight) {
		a := failure(f.status(http.StatusForbidden), "Forbidden", "The certificate does not have the right to the IdM services.")
		return &a
	}
	return nil
}

// certificateCVR reads the organisation's number from a certificate for organisations and systems: OCES3 has it in the
// subject's organizationIdentifier, OCES2 in its serial number.
func certificateCVR(certificate *x509.Certificate) string {
	for _, name := range certificate.Subject.Names {
		if text, ok := name.Value.(string); ok && name.Type.Equal(oidOrganisationIdentifier) {
			return strings.TrimPrefix(text, "NTRDK-")
		}
	}
	if m := oces2CVR.FindStringSubmatch(certificate.Subject.SerialNumber); m != nil {
		return m[1]
	}
	return ""
}

// checkLoopback refuses addresses that others than this machine could reach.
func checkLoopback(address string) error {
	if address == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("reading the address of the inspection API: %w", err)
	}
	if !loopback(host) {
		return fmt.Errorf("the inspection API must listen on the loopback interface, 127.0.0.1 for example, not on %q", host)
	}
	return nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
