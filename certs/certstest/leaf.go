package certstest

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"time"
)

// LeafOptions says whom to issue a certificate to. Every field has a default, so the zero value gives a system
// certificate of an invented organisation.
type LeafOptions struct {
	// CVR is the organisation's number, eight digits. Default "90000001": invented organisations begin with 9.
	CVR string
	// UUID is what follows "UI:DK-O:G:" (or "UI:DK-E:G:") in the subject's serial number. Default: a random one.
	UUID string
	// FID is the number of an OCES2 function certificate. Default "12345678".
	FID string
	// Name is the certificate's name (CN), or the employee's. Default "Rollebro".
	Name string
	// Organisation is the organisation's name. Default "Testkommunen".
	Organisation string
	// NotBefore and NotAfter bound its validity. Default: an hour ago, and three years after NotBefore, as OCES3.
	NotBefore, NotAfter time.Time
	// Employee makes an employee's certificate, which cannot call the services.
	Employee bool
	// OCES2 makes an old function certificate (FOCES), with CVR and FID in the subject's serial number.
	OCES2 bool
	// Keys is the kind of key. Default: the authority's.
	Keys KeyKind
}

// Leaf is a certificate with its key.
type Leaf struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
	// Chain holds the issuing authority and the root, in that order.
	Chain []*x509.Certificate
}

// Issue makes a certificate of an organisation, a system or an employee: no subject alternative name, no extended key
// usage, the CVR number in the subject.
func (a *Authority) Issue(opts LeafOptions) (Leaf, error) {
	if opts.Keys == DefaultKey {
		opts.Keys = a.keys
	}
	key, err := newKey(opts.Keys)
	if err != nil {
		return Leaf{}, fmt.Errorf("making a key: %w", err)
	}
	return a.certify(key, opts)
}

// Renew makes another certificate for the key of l, as a renewal does that keeps the key. Everything else comes from
// opts and its defaults.
func (a *Authority) Renew(l Leaf, opts LeafOptions) (Leaf, error) { return a.certify(l.Key, opts) }

func (a *Authority) certify(key crypto.Signer, opts LeafOptions) (Leaf, error) {
	if opts.NotBefore.IsZero() {
		opts.NotBefore = time.Now().Add(-time.Hour)
	}
	if opts.NotAfter.IsZero() {
		opts.NotAfter = opts.NotBefore.AddDate(3, 0, 0)
	}
	subject, err := opts.subject()
	if err != nil {
		return Leaf{}, err
	}
	policies, err := opts.policies()
	if err != nil {
		return Leaf{}, err
	}
	// Real ones also say where to ask whether they were revoked. Ours do not: nobody publishes lists for them.
	certificate, err := sign(&x509.Certificate{
		RawSubject:         subject,
		NotBefore:          opts.NotBefore,
		NotAfter:           opts.NotAfter,
		KeyUsage:           x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		Policies:           policies,
		SignatureAlgorithm: signatureBy(a.key, crypto.SHA256),
	}, a.issuing, key.Public(), a.key)
	if err != nil {
		return Leaf{}, fmt.Errorf("signing a certificate: %w", err)
	}
	return Leaf{Certificate: certificate, Key: key, Chain: []*x509.Certificate{a.issuing, a.root}}, nil
}

// TLS returns the certificate as a TLS client or server presents it: with the issuing authority, without the root.
func (l Leaf) TLS() tls.Certificate {
	out := tls.Certificate{Certificate: [][]byte{l.Certificate.Raw}, PrivateKey: l.Key, Leaf: l.Certificate}
	if len(l.Chain) > 0 {
		out.Certificate = append(out.Certificate, l.Chain[0].Raw)
	}
	return out
}

func (o LeafOptions) subject() ([]byte, error) {
	cvr, name, organisation := or(o.CVR, "90000001"), or(o.Name, "Rollebro"), or(o.Organisation, "Testkommunen")
	if o.OCES2 {
		// Name and number stand side by side in one RDN.
		return marshalName(pkix.RDNSequence{
			{{Type: oidCountry, Value: "DK"}},
			{{Type: oidOrganisation, Value: organisation + " // CVR:" + cvr}},
			{
				{Type: oidCommonName, Value: name + " (funktionscertifikat)"},
				{Type: oidSerialNumber, Value: "CVR:" + cvr + "-FID:" + or(o.FID, "12345678")},
			},
		})
	}
	uuid, kind := o.UUID, "O"
	if uuid == "" {
		uuid = randomUUID()
	}
	if o.Employee {
		kind = "E"
	}
	return distinguishedName(
		attribute{oidCountry, "DK"},
		attribute{oidOrgID, "NTRDK-" + cvr},
		attribute{oidOrganisation, organisation},
		attribute{oidSerialNumber, "UI:DK-" + kind + ":G:" + uuid},
		attribute{oidCommonName, name},
	)
}

func (o LeafOptions) policies() ([]x509.OID, error) {
	texts := []string{"0.4.0.2042.1.1", "1.2.208.169.1.1.1.3.7.1"}
	switch {
	case o.OCES2:
		texts = []string{"1.2.208.169.1.1.1.4.3"}
	case o.Employee:
		texts[1] = "1.2.208.169.1.1.1.2.7.1"
	}
	var out []x509.OID
	for _, text := range texts {
		oid, err := x509.ParseOID(text)
		if err != nil {
			return nil, fmt.Errorf("reading policy %s: %w", text, err)
		}
		out = append(out, oid)
	}
	return out, nil
}

func randomUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func or(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}
