package certstest_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	pkcs12 "software.sslmate.com/src/go-pkcs12"

	"github.com/rollebro/rollebro/certs/certstest"
)

func TestHierarchyVerifiesAndLooksLikeOCES3(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		opts       certstest.AuthorityOptions
		issuer     string
		wantLeaf   x509.SignatureAlgorithm
		wantIssuer x509.SignatureAlgorithm
	}{
		"RSA test": {
			certstest.AuthorityOptions{},
			"CN=Den Danske Stat OCES udstedende-CA 1,OU=Test - cti,O=Den Danske Stat,C=DK",
			x509.SHA256WithRSAPSS, x509.SHA512WithRSAPSS,
		},
		"ECDSA production": {
			certstest.AuthorityOptions{Production: true, Keys: certstest.ECDSA},
			"CN=Den Danske Stat OCES udstedende-CA 1,O=Den Danske Stat,C=DK",
			x509.ECDSAWithSHA256, x509.ECDSAWithSHA256,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := certstest.MustAuthority(t, tc.opts)
			leaf := certstest.MustIssue(t, a, certstest.LeafOptions{
				CVR: "12345678", UUID: "a", Name: "Rollebro æøå", Organisation: "Ærø Kommune",
			})
			c := leaf.Certificate
			if diff := cmp.Diff("CN=Rollebro æøå,SERIALNUMBER=UI:DK-O:G:a,O=Ærø Kommune,2.5.4.97=NTRDK-12345678,C=DK", readable(c)); diff != "" {
				t.Errorf("subject (-want +got):\n%s", diff)
			}
			if got := c.Issuer.String(); got != tc.issuer {
				t.Errorf("issuer %q, want %q", got, tc.issuer)
			}
			if c.SignatureAlgorithm != tc.wantLeaf || a.Issuing().SignatureAlgorithm != tc.wantIssuer {
				t.Errorf("signed by %v under %v", c.SignatureAlgorithm, a.Issuing().SignatureAlgorithm)
			}
			if len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage)+len(c.DNSNames) != 0 {
				t.Error("OCES3 certificates have neither extended key usage nor alternative names")
			}
			between := x509.NewCertPool()
			between.AddCert(leaf.Chain[0])
			chains, err := c.Verify(x509.VerifyOptions{
				Roots: a.Pool(), Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
			})
			if err != nil || len(chains) != 1 || !chains[0][2].Equal(a.Root()) {
				t.Errorf("verifying: %v, %d chains", err, len(chains))
			}
		})
	}
}

// readable is the subject in the order OpenSSL shows it backwards, with UTF-8 values for what Go prints in hexadecimal.
func readable(c *x509.Certificate) string {
	out := ""
	names := map[string]string{"2.5.4.3": "CN", "2.5.4.5": "SERIALNUMBER", "2.5.4.6": "C", "2.5.4.10": "O"}
	for _, n := range c.Subject.Names {
		name, ok := names[n.Type.String()]
		if !ok {
			name = n.Type.String()
		}
		if out != "" {
			out = "," + out
		}
		out = name + "=" + fmt.Sprint(n.Value) + out
	}
	return out
}

func TestKeystoresDecodeInEveryEncoding(t *testing.T) {
	t.Parallel()
	a := certstest.MustAuthority(t, certstest.AuthorityOptions{Keys: certstest.ECDSA})
	leaf := certstest.MustIssue(t, a, certstest.LeafOptions{OCES2: true})
	for name, encoding := range map[string]certstest.Encoding{
		"OCES3": certstest.OCES3, "modern": certstest.Modern, "3DES": certstest.LegacyDES, "RC2": certstest.LegacyRC2,
	} {
		for _, password := range []string{"", "hemmelig", "Rødgrød med fløde på Ærø 1234567890"} {
			for _, without := range []bool{false, true} {
				data := certstest.MustKeystore(t, leaf, password, certstest.KeystoreOptions{Encoding: encoding, WithoutChain: without})
				key, c, chain, err := pkcs12.DecodeChain(data, password)
				if err != nil {
					t.Fatalf("%s, password %q: %v", name, password, err)
				}
				want := 2
				if without {
					want = 0
				}
				if !leaf.Certificate.Equal(c) || len(chain) != want || !cmp.Equal(key, any(leaf.Key)) {
					t.Errorf("%s, password %q: another key or certificate, or %d authorities", name, password, len(chain))
				}
				if _, _, _, err := pkcs12.DecodeChain(data, password+"x"); err == nil {
					t.Errorf("%s opens with a wrong password", name)
				}
			}
		}
	}
	if _, err := leaf.Keystore("\U0001F511", certstest.KeystoreOptions{}); err == nil {
		t.Error("a password outside the basic plane was taken")
	}
}

func TestMutualTLS(t *testing.T) {
	t.Parallel()
	a := certstest.MustAuthority(t, certstest.AuthorityOptions{})
	leaf := certstest.MustIssue(t, a, certstest.LeafOptions{CVR: "87654321"})
	server, err := a.Server("127.0.0.1", "localhost", "::1")
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.TLS.VerifiedChains[0][0].Subject.CommonName)
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{server}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.Pool()}
	s.StartTLS()
	defer s.Close()

	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(a.RootsPEM()) {
		t.Fatal("RootsPEM holds no certificates")
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: roots, Certificates: []tls.Certificate{leaf.TLS()},
	}}}
	defer client.CloseIdleConnections()
	resp, err := client.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if body, _ := io.ReadAll(resp.Body); string(body) != "Rollebro" {
		t.Errorf("the server saw %q", body)
	}
}

func TestWrongUse(t *testing.T) {
	t.Parallel()
	if _, err := certstest.NewAuthority(certstest.AuthorityOptions{Keys: 99}); err == nil {
		t.Error("an unknown kind of key was taken")
	}
	a := certstest.MustAuthority(t, certstest.AuthorityOptions{Keys: certstest.ECDSA})
	if _, err := a.Issue(certstest.LeafOptions{Keys: 99}); err == nil {
		t.Error("an unknown kind of key was taken")
	}
	if _, err := a.Server(); err == nil {
		t.Error("a server certificate for nobody was made")
	}
	leaf := certstest.MustIssue(t, a, certstest.LeafOptions{Employee: true})
	if _, err := leaf.Keystore("", certstest.KeystoreOptions{Encoding: 99}); err == nil {
		t.Error("an unknown encoding was taken")
	}
	if _, err := leaf.Keystore("", certstest.KeystoreOptions{Certificates: []*x509.Certificate{}}); err == nil {
		t.Error("a keystore without certificates was written")
	}
}
