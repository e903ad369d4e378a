// Package certstest makes certificates and keystores of our own, named and shaped like those of the Danish state's OCES3
// hierarchy: a root, an issuing authority, organisation and employee certificates with a CVR number in the subject, and
// the PKCS#12 files people get in their browsers.
//
// The tests, the simulator and the demo use it. Nothing it makes is trusted by anybody who was not told to.
package certstest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

// KeyKind chooses how keys are made.
type KeyKind int

// The kinds of keys. OCES3 certificates hold RSA keys of 3072 bits; making one takes long enough to matter in a test.
const (
	DefaultKey KeyKind = iota // RSA2048 for an authority; for a leaf what its authority has
	RSA2048
	RSA3072
	ECDSA // P-256: made in no time, but no certificate authority of the Danish state issues it
)

// AuthorityOptions says what hierarchy to make. The zero value is a test hierarchy, valid from an hour ago.
type AuthorityOptions struct {
	// Production leaves out the organisational unit "Test - cti", by which test certificates are told from real ones.
	Production bool
	// Keys are the keys of the root, of the issuing authority and, unless LeafOptions say otherwise, of what it issues.
	Keys KeyKind
	// NotBefore and NotAfter bound both authorities' certificates. Default: an hour ago, and ten years after NotBefore.
	NotBefore, NotAfter time.Time
}

// Authority is a root and an issuing certificate authority of our own. It is safe for concurrent use.
type Authority struct {
	root, issuing *x509.Certificate
	key           crypto.Signer // of the issuing authority; the root's is thrown away once it has signed
	keys          KeyKind
}

var (
	oidCommonName   = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidSerialNumber = asn1.ObjectIdentifier{2, 5, 4, 5}
	oidCountry      = asn1.ObjectIdentifier{2, 5, 4, 6}
	oidOrganisation = asn1.ObjectIdentifier{2, 5, 4, 10}
	oidUnit         = asn1.ObjectIdentifier{2, 5, 4, 11}
	oidOrgID        = asn1.ObjectIdentifier{2, 5, 4, 97}
)

// NewAuthority makes a root and an issuing authority.
func NewAuthority(opts AuthorityOptions) (*Authority, error) {
	if opts.Keys == DefaultKey {
		opts.Keys = RSA2048
	}
	if opts.NotBefore.IsZero() {
		opts.NotBefore = time.Now().Add(-time.Hour)
	}
	if opts.NotAfter.IsZero() {
		opts.NotAfter = opts.NotBefore.AddDate(10, 0, 0)
	}
	rootKey, err := newKey(opts.Keys)
	if err != nil {
		return nil, fmt.Errorf("making the root's key: %w", err)
	}
	key, err := newKey(opts.Keys)
	if err != nil {
		return nil, fmt.Errorf("making the issuing authority's key: %w", err)
	}
	template := x509.Certificate{
		NotBefore:             opts.NotBefore,
		NotAfter:              opts.NotAfter,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
		SignatureAlgorithm:    signatureBy(rootKey, crypto.SHA512),
	}

	rootTemplate := template
	rootTemplate.MaxPathLen = 1
	if rootTemplate.RawSubject, err = authorityName("Den Danske Stat OCES rod-CA", opts.Production); err != nil {
		return nil, err
	}
	root, err := sign(&rootTemplate, &rootTemplate, rootKey.Public(), rootKey)
	if err != nil {
		return nil, fmt.Errorf("signing the root: %w", err)
	}

	template.MaxPathLenZero = true
	if template.RawSubject, err = authorityName("Den Danske Stat OCES udstedende-CA 1", opts.Production); err != nil {
		return nil, err
	}
	issuing, err := sign(&template, root, key.Public(), rootKey)
	if err != nil {
		return nil, fmt.Errorf("signing the issuing authority: %w", err)
	}
	return &Authority{root: root, issuing: issuing, key: key, keys: opts.Keys}, nil
}

// Root returns the self-signed certificate at the top.
func (a *Authority) Root() *x509.Certificate { return a.root }

// Issuing returns the certificate of the authority that signs what Issue and Server make.
func (a *Authority) Issuing() *x509.Certificate { return a.issuing }

// Pool returns a pool with the root only, to verify against.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.root)
	return pool
}

// RootsPEM returns the root and the issuing authority in PEM, as one puts them into a ca.pem.
func (a *Authority) RootsPEM() []byte {
	var out []byte
	for _, c := range []*x509.Certificate{a.root, a.issuing} {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}

// Server makes a server certificate for host names and IP addresses, with its key and the issuing authority's
// certificate. Its key is ECDSA P-256 whatever the authority has, and it is valid as long as the authority.
func (a *Authority) Server(hosts ...string) (tls.Certificate, error) {
	if len(hosts) == 0 {
		return tls.Certificate{}, errors.New("making a server certificate: no host names")
	}
	key, err := newKey(ECDSA)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making the server's key: %w", err)
	}
	template := &x509.Certificate{
		NotBefore:   a.issuing.NotBefore,
		NotAfter:    a.issuing.NotAfter,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		Subject:     pkix.Name{CommonName: hosts[0], Organization: []string{"Rollebro"}, Country: []string{"DK"}},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	template.SignatureAlgorithm = signatureBy(a.key, crypto.SHA256)
	leaf, err := sign(template, a.issuing, key.Public(), a.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("signing the server certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{leaf.Raw, a.issuing.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

func authorityName(commonName string, production bool) ([]byte, error) {
	names := []attribute{{oidCountry, "DK"}, {oidOrganisation, "Den Danske Stat"}}
	if !production {
		names = append(names, attribute{oidUnit, "Test - cti"})
	}
	return distinguishedName(append(names, attribute{oidCommonName, commonName})...)
}

type attribute struct {
	oid   asn1.ObjectIdentifier
	value string
}

// distinguishedName encodes a name with one attribute per RDN, in the order given.
func distinguishedName(attributes ...attribute) ([]byte, error) {
	var seq pkix.RDNSequence
	for _, a := range attributes {
		seq = append(seq, pkix.RelativeDistinguishedNameSET{{Type: a.oid, Value: a.value}})
	}
	return marshalName(seq)
}

func marshalName(seq pkix.RDNSequence) ([]byte, error) {
	der, err := asn1.Marshal(seq)
	if err != nil {
		return nil, fmt.Errorf("encoding a name: %w", err)
	}
	return der, nil
}

func sign(template, parent *x509.Certificate, pub crypto.PublicKey, signer crypto.Signer) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 158)) // under the 20 octets that are allowed
	if err != nil {
		return nil, fmt.Errorf("drawing a serial number: %w", err)
	}
	template.SerialNumber = serial.Add(serial, big.NewInt(1))
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func newKey(kind KeyKind) (crypto.Signer, error) {
	switch kind {
	case RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case RSA3072:
		return rsa.GenerateKey(rand.Reader, 3072)
	case ECDSA:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		return nil, fmt.Errorf("unknown kind of key %d", kind)
	}
}

// signatureBy is the algorithm the Danish state's authorities use for RSA: RSASSA-PSS with a salt as long as the hash.
func signatureBy(key crypto.Signer, hash crypto.Hash) x509.SignatureAlgorithm {
	if _, ok := key.(*rsa.PrivateKey); !ok {
		return x509.ECDSAWithSHA256
	}
	if hash == crypto.SHA512 {
		return x509.SHA512WithRSAPSS
	}
	return x509.SHA256WithRSAPSS
}
