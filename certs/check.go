package certs

import (
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Severity says how bad a finding is.
type Severity string

// The severities.
const (
	SeverityError   Severity = "error"   // it will not work
	SeverityWarning Severity = "warning" // it works, but not for long or not for sure
	SeverityInfo    Severity = "info"    // good to know
)

// Code names a finding. The list is closed: pages translate by it, alerts filter by it.
type Code string

// Findings of Load and Parse: the keystore could not be read.
const (
	CodeMissing       Code = "missing"
	CodeDirectory     Code = "directory"
	CodeUnreadable    Code = "unreadable"
	CodeEmpty         Code = "empty"
	CodeTooLarge      Code = "too_large"
	CodeTruncated     Code = "truncated"
	CodeNotKeystore   Code = "not_keystore"
	CodeDamaged       Code = "damaged"
	CodeUnsupported   Code = "unsupported"
	CodeWrongPassword Code = "wrong_password"
	CodePassword      Code = "password_unavailable"
	CodeNoKey         Code = "no_key"
	CodeManyKeys      Code = "many_keys"
	CodeNoCertificate Code = "no_certificate"
	CodeKeyMismatch   Code = "key_mismatch"
)

// Findings of Check, in the order it reports them within a severity.
const (
	CodeExpired               Code = "expired"
	CodeNotYetValid           Code = "not_yet_valid"
	CodeEndsSoon              Code = "ends_soon"
	CodeNotOrganisation       Code = "not_organisation"
	CodeUnknownKind           Code = "unknown_kind"
	CodeCVRMismatch           Code = "cvr_mismatch"
	CodeCVRMissing            Code = "cvr_missing"
	CodeTestCertificate       Code = "test_certificate"
	CodeProductionCertificate Code = "production_certificate"
	CodeUnknownHost           Code = "unknown_host"
	CodeChainIncomplete       Code = "chain_incomplete"
	CodeIssuerNotValid        Code = "issuer_not_valid"
	CodeIssuerEndsFirst       Code = "issuer_ends_first"
	CodeKeyUsage              Code = "key_usage"
	CodeWeakKey               Code = "weak_key"
	CodeNoMAC                 Code = "no_mac"
	CodeOCES2                 Code = "oces2"
	CodeUnrelated             Code = "unrelated_certificates"
)

// Finding is something a person should know about a keystore.
type Finding struct {
	Code     Code     `json:"code"`
	Severity Severity `json:"severity"`
	// Message says what is the matter, in a sentence or two.
	Message string `json:"message"`
	// Remedy says what to do about it.
	Remedy string `json:"remedy"`
	// Step, of CodeEndsSoon, is the warning step reached: the smallest of CheckOptions.WarnDays that is not smaller than
	// the days left. Who warns by mail does so once a step.
	Step int `json:"step,omitempty"`
}

// CheckOptions says what the keystore is for. Checks whose option is empty are left out.
type CheckOptions struct {
	// BaseURL is the address of the services, or a bare host name.
	BaseURL string
	// CVR is the organisation's number.
	CVR string
	// Now is the time to judge by. Default: the present.
	Now time.Time
	// WarnDays are the numbers of days before the end at which to warn. Default: 60, 30, 14, 7, 1.
	WarnDays []int
}

// DefaultWarnDays is when the end of a certificate is announced, in days before it.
func DefaultWarnDays() []int { return []int{60, 30, 14, 7, 1} }

const order = "Order a system certificate of the organisation with the right \"Adgang til IdM services i MitID Erhverv\""

// Check finds what is wrong with a keystore, the worst first. A sound one has no findings.
func Check(k *Keystore, opts CheckOptions) []Finding {
	if opts.Now.IsZero() {
		opts.Now = time.Now()
	}
	if len(opts.WarnDays) == 0 {
		opts.WarnDays = DefaultWarnDays()
	}
	d := k.Describe()
	findings := slices.Concat(
		checkValidity(d, opts),
		checkKind(d),
		checkCVR(d, opts.CVR),
		checkEnvironment(d, opts.BaseURL),
		k.checkChain(d, opts.Now),
		k.checkUse(d),
	)
	rank := map[Severity]int{SeverityError: 0, SeverityWarning: 1, SeverityInfo: 2}
	slices.SortStableFunc(findings, func(a, b Finding) int { return rank[a.Severity] - rank[b.Severity] })
	return findings
}

// Worst returns the severity of the worst finding, or "" for none.
func Worst(findings []Finding) Severity {
	for _, s := range []Severity{SeverityError, SeverityWarning, SeverityInfo} {
		if slices.ContainsFunc(findings, func(f Finding) bool { return f.Severity == s }) {
			return s
		}
	}
	return ""
}

func checkValidity(d Description, opts CheckOptions) []Finding {
	switch left := d.NotAfter.Sub(opts.Now); {
	case opts.Now.Before(d.NotBefore):
		return []Finding{{
			Code: CodeNotYetValid, Severity: SeverityError,
			Message: fmt.Sprintf("The certificate is valid from %s, which is still to come.", moment(d.NotBefore)),
			Remedy:  "Wait until then, or correct this machine's clock, which says " + moment(opts.Now) + ".",
		}}
	case left < 0:
		return []Finding{{
			Code: CodeExpired, Severity: SeverityError,
			Message: fmt.Sprintf("The certificate expired on %s.", moment(d.NotAfter)),
			Remedy:  renewal,
		}}
	default:
		const day = 24 * time.Hour
		days := int((left + day - 1) / day)
		step := 0
		for _, s := range opts.WarnDays {
			if days <= s && (step == 0 || s < step) {
				step = s
			}
		}
		if step == 0 {
			return nil
		}
		return []Finding{{
			Code: CodeEndsSoon, Severity: SeverityWarning, Step: step,
			Message: fmt.Sprintf("The certificate ends in %s, on %s.", inDays(days), moment(d.NotAfter)),
			Remedy:  "Renew it at erhvervsadministration.nemlog-in.dk/certificates and put the new keystore in this one's place: it is taken up without a restart.",
		}}
	}
}

func checkKind(d Description) []Finding {
	switch d.Kind {
	case KindOrganisation:
		return nil
	case KindFunction, KindCompany:
		return []Finding{{
			Code: CodeOCES2, Severity: SeverityInfo,
			Message: "The certificate is of OCES2, the generation before today's.",
			Remedy:  order + " (OCES3) before it ends: it cannot be renewed as it is.",
		}}
	case KindEmployee, KindPerson:
		whose := map[Kind]string{KindEmployee: "an employee's", KindPerson: "a private person's"}[d.Kind]
		return []Finding{{
			Code: CodeNotOrganisation, Severity: SeverityError,
			Message: fmt.Sprintf("The certificate is %s, not an organisation's or a system's.", whose),
			Remedy:  order + ": the services know no other.",
		}}
	default:
		return []Finding{{
			Code: CodeUnknownKind, Severity: SeverityWarning,
			Message: "The certificate does not name its holder as OCES certificates do; it may be no organisation's or system's certificate.",
			Remedy:  order + ", unless you know that the other side accepts this one.",
		}}
	}
}

func checkCVR(d Description, want string) []Finding {
	want = strings.TrimSpace(want)
	switch {
	case want == "" || d.CVR == want:
		return nil
	case d.CVR == "":
		return []Finding{{
			Code: CodeCVRMissing, Severity: SeverityWarning,
			Message: "The certificate holds no CVR number, so nobody can tell whether it is " + printable(want) + "'s.",
			Remedy:  order + ".",
		}}
	default:
		return []Finding{{
			Code: CodeCVRMismatch, Severity: SeverityError,
			Message: fmt.Sprintf("The certificate belongs to CVR %s (%s), but Rollebro runs for CVR %s.", d.CVR, d.Organisation, printable(want)),
			Remedy:  "Correct rc.customer.cvr, or use the keystore of the right organisation: the services act for the CVR number of the certificate.",
		}}
	}
}

func (k *Keystore) checkChain(d Description, now time.Time) []Finding {
	if !d.ChainComplete {
		return []Finding{{
			Code: CodeChainIncomplete, Severity: SeverityWarning,
			Message: "The keystore lacks the certificate of its issuer, " + d.Issuer + ". A server that does not have it either will refuse the connection.",
			Remedy: "Add the issuing authority's certificate: openssl pkcs12 -in OLD.p12 -noenc -out all.pem; " +
				"openssl pkcs12 -export -in all.pem -certfile ISSUING.pem -out NEW.p12; then delete all.pem, which holds the key in the clear",
		}}
	}
	for _, ca := range d.Chain {
		switch {
		case now.After(ca.NotAfter) || now.Before(ca.NotBefore):
			return []Finding{{
				Code: CodeIssuerNotValid, Severity: SeverityError,
				Message: fmt.Sprintf("The issuer's certificate (%s) is valid from %s to %s only.", ca.Subject, moment(ca.NotBefore), moment(ca.NotAfter)),
				Remedy:  "Put the issuing authority's present certificate into the keystore, or order a new certificate from today's authority.",
			}}
		case ca.NotAfter.Before(d.NotAfter):
			return []Finding{{
				Code: CodeIssuerEndsFirst, Severity: SeverityInfo,
				Message: fmt.Sprintf("The issuer's certificate (%s) ends on %s, before the certificate itself.", ca.Subject, moment(ca.NotAfter)),
				Remedy:  "Renew the certificate before that day.",
			}}
		}
	}
	return nil
}

func (k *Keystore) checkUse(d Description) (out []Finding) {
	if usage := k.leaf.KeyUsage; usage != 0 && usage&x509.KeyUsageDigitalSignature == 0 || !identifiesClients(k.leaf) {
		out = append(out, Finding{
			Code: CodeKeyUsage, Severity: SeverityError,
			Message: "The certificate is not for identifying oneself to a server: its key usage leaves that out.",
			Remedy:  order + ".",
		})
	}
	if key, ok := k.leaf.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < 2048 {
		out = append(out, Finding{
			Code: CodeWeakKey, Severity: SeverityWarning,
			Message: fmt.Sprintf("The key is too weak (%s).", d.KeyType),
			Remedy:  order + ": its key is of 3072 bits.",
		})
	}
	if k.noMAC {
		out = append(out, Finding{
			Code: CodeNoMAC, Severity: SeverityWarning,
			Message: "The keystore has no MAC, so changes made to the file would not be noticed.",
			Remedy:  "Write it anew: " + reexport,
		})
	}
	if n := len(k.unrelated); n > 0 {
		out = append(out, Finding{
			Code: CodeUnrelated, Severity: SeverityInfo,
			Message: fmt.Sprintf("The keystore holds %d more certificate(s) that have nothing to do with this one, such as %s.", n, nameText(k.unrelated[0].Subject)),
			Remedy:  "Nothing need be done: they are not used.",
		})
	}
	return out
}

// identifiesClients tells whether the extended key usages, which OCES certificates do not have, allow a TLS client.
func identifiesClients(c *x509.Certificate) bool {
	return len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 ||
		slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}

func inDays(n int) string {
	if n == 1 {
		return "1 day"
	}
	return fmt.Sprintf("%d days", n)
}

// moment writes a time with its zone, in UTC, as certificates have it.
func moment(t time.Time) string {
	if loc, err := time.LoadLocation("Europe/Copenhagen"); err == nil { // the people who read it live there
		t = t.In(loc)
	}
	return t.Format("2006-01-02 15:04 MST")
}
