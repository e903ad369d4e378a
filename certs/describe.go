package certs

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Kind says for whom a certificate was issued.
type Kind string

// The kinds.
const (
	// KindOrganisation is an OCES3 organisation or system certificate: what the services want.
	KindOrganisation Kind = "organisation"
	// KindFunction is an OCES2 function certificate (FOCES), what came before.
	KindFunction Kind = "oces2-function"
	// KindCompany is an OCES2 company certificate (VOCES).
	KindCompany Kind = "oces2-company"
	// KindEmployee is an employee's certificate, of OCES3 or OCES2 (MOCES).
	KindEmployee Kind = "employee"
	// KindPerson is a private person's certificate (POCES).
	KindPerson Kind = "person"
	// KindUnknown is none that this package knows.
	KindUnknown Kind = "unknown"
)

// Environment says for which of NemLog-in's environments a certificate was issued.
type Environment string

// The environments.
const (
	EnvironmentProduction Environment = "production"
	EnvironmentTest       Environment = "test"
	EnvironmentUnknown    Environment = "unknown"
)

// Description says what a keystore holds, for people and for the status page. Nothing in it is secret. Its texts are
// safe to print: control characters from the certificate are replaced.
type Description struct {
	// Name is the certificate's own name, or the employee's.
	Name string `json:"name"`
	// Organisation is the organisation's name.
	Organisation string `json:"organisation"`
	// CVR is the organisation's number, eight digits, or "".
	CVR string `json:"cvr"`
	// UUID identifies the holder in NemLog-in; an OCES2 certificate has none.
	UUID string `json:"uuid,omitempty"`
	// FID is the number of an OCES2 function certificate.
	FID         string      `json:"fid,omitempty"`
	Kind        Kind        `json:"kind"`
	Environment Environment `json:"environment"`
	Subject     string      `json:"subject"`
	Issuer      string      `json:"issuer"`
	// Serial is the serial number in hexadecimal.
	Serial    string    `json:"serial"`
	NotBefore time.Time `json:"notBefore"`
	NotAfter  time.Time `json:"notAfter"`
	// KeyType is the kind and size of the key, such as "RSA 3072".
	KeyType string `json:"keyType"`
	// SHA256 is the certificate's fingerprint, 64 hexadecimal digits.
	SHA256 string `json:"sha256"`
	// Chain holds the issuers found in the file, the leaf's own first. Empty when there are none.
	Chain []Issuer `json:"chain"`
	// ChainComplete says that the leaf's issuer is among them.
	ChainComplete bool `json:"chainComplete"`
}

// Issuer is a certificate authority above the certificate.
type Issuer struct {
	Subject   string    `json:"subject"`
	NotBefore time.Time `json:"notBefore"`
	NotAfter  time.Time `json:"notAfter"`
	SHA256    string    `json:"sha256"`
	Root      bool      `json:"root"`
}

// Describe says what the keystore holds.
func (k *Keystore) Describe() Description {
	c := k.leaf
	d := holder(c.Subject)
	d.Environment = environment(c)
	d.Subject, d.Issuer = nameText(c.Subject), nameText(c.Issuer)
	d.Serial = c.SerialNumber.Text(16)
	d.NotBefore, d.NotAfter = c.NotBefore, c.NotAfter
	d.KeyType = keyType(c)
	d.SHA256 = fingerprint(c)
	d.ChainComplete = len(k.chain) > 0 || selfSigned(c)
	d.Chain = []Issuer{}
	for _, ca := range k.chain {
		d.Chain = append(d.Chain, Issuer{
			Subject: nameText(ca.Subject), NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, SHA256: fingerprint(ca), Root: selfSigned(ca),
		})
	}
	return d
}

// How OCES writes holders. OCES3 keeps the CVR number in organizationIdentifier and, in serialNumber, who it is:
// UI:DK-O:G:<uuid> for an organisation or its system, UI:DK-E:G:<uuid> for an employee, UI:DK-P:G:<uuid> for a person.
// OCES2 puts all into serialNumber, behind a prefix that names the kind; health systems write CVR:<cvr>-UID:UI:DK-O:G:<uuid>.
var (
	organisationID = regexp.MustCompile(`^NTRDK-(\d{8})$`)
	oces3Serial    = regexp.MustCompile(`^(?:CVR:(\d{8})-UID:)?UI:DK-([OEP]):G:([0-9A-Za-z-]+)$`)
	oces2Serial    = regexp.MustCompile(`^CVR:(\d{8})-(FID|UID|RID):(.+)$`)
	oces2Org       = regexp.MustCompile(`^(.*?)\s*//\s*CVR:(\d{8})$`)
)

func holder(subject pkix.Name) Description {
	d := Description{Kind: KindUnknown}
	serial := ""
	for _, a := range subject.Names {
		value, _ := a.Value.(string)
		switch a.Type.String() {
		case "2.5.4.3":
			d.Name = printable(value)
		case "2.5.4.5":
			serial = value
		case "2.5.4.10":
			d.Organisation = printable(value)
			if m := oces2Org.FindStringSubmatch(value); m != nil {
				d.Organisation, d.CVR = printable(m[1]), or(d.CVR, m[2])
			}
		case "2.5.4.97":
			if m := organisationID.FindStringSubmatch(value); m != nil {
				d.CVR = m[1]
			}
		}
	}
	switch m, old := oces3Serial.FindStringSubmatch(serial), oces2Serial.FindStringSubmatch(serial); {
	case m != nil:
		d.CVR, d.UUID = or(d.CVR, m[1]), strings.ToLower(m[3])
		d.Kind = map[string]Kind{"O": KindOrganisation, "E": KindEmployee, "P": KindPerson}[m[2]]
	case old != nil:
		d.CVR = or(d.CVR, old[1])
		d.Kind = map[string]Kind{"FID": KindFunction, "UID": KindCompany, "RID": KindEmployee}[old[2]]
		if d.Kind == KindFunction {
			d.FID = printable(old[3])
		}
	case strings.HasPrefix(serial, "PID:"):
		d.Kind = KindPerson
	}
	return d
}

// environment tells test certificates by their issuer: OCES3's has the unit "Test - cti", OCES2's is a "Systemtest" CA.
func environment(c *x509.Certificate) Environment {
	issuer := c.Issuer
	for _, text := range append([]string{issuer.CommonName}, issuer.OrganizationalUnit...) {
		if lower := strings.ToLower(text); strings.Contains(lower, "systemtest") || strings.HasPrefix(lower, "test") {
			return EnvironmentTest
		}
	}
	for _, organisation := range issuer.Organization {
		if organisation == "Den Danske Stat" || organisation == "TRUST2408" {
			return EnvironmentProduction
		}
	}
	return EnvironmentUnknown
}

// nameText writes a name as people know it, most specific first.
func nameText(name pkix.Name) string {
	short := map[string]string{
		"2.5.4.3": "CN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.10": "O", "2.5.4.11": "OU",
		"2.5.4.97": "organizationIdentifier",
	}
	var parts []string
	for _, a := range slices.Backward(name.Names) {
		kind := or(short[a.Type.String()], a.Type.String())
		parts = append(parts, kind+"="+printable(fmt.Sprint(a.Value)))
	}
	return strings.Join(parts, ", ")
}

func keyType(c *x509.Certificate) string {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", key.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + key.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return c.PublicKeyAlgorithm.String()
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// printable replaces what could play tricks on a terminal or a log.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, string(unicode.ReplacementChar)))
}

func or(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}
