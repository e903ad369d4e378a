package certs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollebro/rollebro/certs"
	"github.com/rollebro/rollebro/certs/certstest"
)

const uuid = "5a7c1e0e-7b1d-4c57-9a53-0d8f4c1b6f11"

var (
	now      = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	longAgo  = now.AddDate(-2, 0, 0)
	farAhead = now.AddDate(20, 0, 0)
)

// open makes a keystore and reads it back.
func open(t *testing.T, authority certstest.AuthorityOptions, opts certstest.LeafOptions, ks certstest.KeystoreOptions) *certs.Keystore {
	t.Helper()
	authority.Keys = certstest.ECDSA
	if authority.NotBefore.IsZero() {
		authority.NotBefore = longAgo
	}
	if authority.NotAfter.IsZero() {
		authority.NotAfter = farAhead
	}
	if opts.NotBefore.IsZero() {
		opts.NotBefore = longAgo
	}
	if opts.NotAfter.IsZero() {
		opts.NotAfter = now.AddDate(1, 0, 0)
	}
	a := certstest.MustAuthority(t, authority)
	k, err := certs.Parse(certstest.MustKeystore(t, certstest.MustIssue(t, a, opts), "", ks), "")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestCheck(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	ends := func(after time.Duration) certstest.LeafOptions {
		return certstest.LeafOptions{NotAfter: now.Add(after)}
	}
	production := certstest.AuthorityOptions{Production: true}
	type finding struct {
		code         certs.Code
		severity     certs.Severity
		step         int
		says, remedy string
	}
	soon := func(step int, says string) *finding {
		return &finding{certs.CodeEndsSoon, certs.SeverityWarning, step, says, "Renew it"}
	}
	for name, tc := range map[string]struct {
		authority certstest.AuthorityOptions
		leaf      certstest.LeafOptions
		keystore  certstest.KeystoreOptions
		check     certs.CheckOptions
		want      *finding // nil: none
	}{
		"sound":                      {},
		"sound, all asked":           {production, certstest.LeafOptions{CVR: "12345678"}, certstest.KeystoreOptions{}, certs.CheckOptions{CVR: " 12345678 ", BaseURL: "https://services.nemlog-in.dk"}, nil},
		"61 days left":               {leaf: ends(61 * day)},
		"60 days left":               {leaf: ends(60 * day), want: soon(60, "60 days")},
		"a little over 30 days left": {leaf: ends(30*day + time.Second), want: soon(60, "31 days")},
		"30 days left":               {leaf: ends(30 * day), want: soon(30, "30 days")},
		"14 days left":               {leaf: ends(14 * day), want: soon(14, "14 days")},
		"7 days left":                {leaf: ends(7 * day), want: soon(7, "7 days")},
		"2 days left":                {leaf: ends(2 * day), want: soon(7, "2 days")},
		"1 day left":                 {leaf: ends(day), want: soon(1, "1 day, on 2026-06-02 14:00 CEST")},
		"a second left":              {leaf: ends(time.Second), want: soon(1, "1 day")},
		"other warning days":         {leaf: ends(80 * day), check: certs.CheckOptions{WarnDays: []int{10, 90}}, want: soon(90, "80 days")},
		"expired": {
			leaf: ends(-time.Second),
			want: &finding{certs.CodeExpired, certs.SeverityError, 0, "expired on 2026-06-01 13:59 CEST", "without a restart"},
		},
		"not yet valid": {
			leaf: certstest.LeafOptions{NotBefore: now.Add(time.Hour)},
			want: &finding{certs.CodeNotYetValid, certs.SeverityError, 0, "valid from 2026-06-01 15:00 CEST", "clock, which says 2026-06-01 14:00 CEST"},
		},
		"another CVR": {
			leaf: certstest.LeafOptions{CVR: "11111111", Organisation: "Nabokommunen"}, check: certs.CheckOptions{CVR: "22222222"},
			want: &finding{certs.CodeCVRMismatch, certs.SeverityError, 0, "CVR 11111111 (Nabokommunen), but Rollebro runs for CVR 22222222", "rc.customer.cvr"},
		},
		"no CVR": {
			leaf: certstest.LeafOptions{CVR: "none"}, check: certs.CheckOptions{CVR: "22222222"},
			want: &finding{certs.CodeCVRMissing, certs.SeverityWarning, 0, "no CVR number", "Order"},
		},
		"no CVR asked": {leaf: certstest.LeafOptions{CVR: "none"}},
		"employee": {
			leaf: certstest.LeafOptions{Employee: true},
			want: &finding{certs.CodeNotOrganisation, certs.SeverityError, 0, "an employee's", "system certificate"},
		},
		"unknown holder": {
			leaf: certstest.LeafOptions{UUID: "?"},
			want: &finding{certs.CodeUnknownKind, certs.SeverityWarning, 0, "does not name its holder", "system certificate"},
		},
		"OCES2": {
			leaf: certstest.LeafOptions{OCES2: true},
			want: &finding{certs.CodeOCES2, certs.SeverityInfo, 0, "OCES2", "OCES3"},
		},
		"no chain": {
			keystore: certstest.KeystoreOptions{WithoutChain: true},
			want:     &finding{certs.CodeChainIncomplete, certs.SeverityWarning, 0, "CN=Den Danske Stat OCES udstedende-CA 1, OU=Test - cti", "-certfile ISSUING.pem"},
		},
		"issuer expired": {
			authority: certstest.AuthorityOptions{NotAfter: now.Add(-time.Hour)},
			want:      &finding{certs.CodeIssuerNotValid, certs.SeverityError, 0, "udstedende-CA 1", "present certificate"},
		},
		"issuer to come": {
			authority: certstest.AuthorityOptions{NotBefore: now.Add(time.Hour)},
			want:      &finding{certs.CodeIssuerNotValid, certs.SeverityError, 0, "valid from 2026-06-01 15:00 CEST", "present certificate"},
		},
		"issuer ends first": {
			authority: certstest.AuthorityOptions{NotAfter: now.Add(200 * day)},
			want:      &finding{certs.CodeIssuerEndsFirst, certs.SeverityInfo, 0, "ends on", "before that day"},
		},
		"test certificate in production": {
			check: certs.CheckOptions{BaseURL: "https://services.nemlog-in.dk"},
			want:  &finding{certs.CodeTestCertificate, certs.SeverityError, 0, "services.nemlog-in.dk is production", "baseUrl to the test environment"},
		},
		"production certificate in test": {
			authority: production, check: certs.CheckOptions{BaseURL: "https://services.test-nemlog-in.dk/"},
			want: &finding{certs.CodeProductionCertificate, certs.SeverityError, 0, "services.test-nemlog-in.dk is a test environment", "https://services.nemlog-in.dk"},
		},
		"unknown host": {
			check: certs.CheckOptions{BaseURL: "https://services.nemlogin.dk"},
			want:  &finding{certs.CodeUnknownHost, certs.SeverityWarning, 0, "services.nemlogin.dk is no host", "baseUrl"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := open(t, tc.authority, tc.leaf, tc.keystore)
			tc.check.Now = now
			findings := certs.Check(k, tc.check)
			if tc.want == nil {
				if len(findings) > 0 {
					t.Errorf("found %+v", findings)
				}
				return
			}
			if len(findings) != 1 {
				t.Fatalf("found %+v, want one", findings)
			}
			f := findings[0]
			if f.Code != tc.want.code || f.Severity != tc.want.severity || f.Step != tc.want.step {
				t.Errorf("found %+v, want %+v", f, *tc.want)
			}
			if !strings.Contains(f.Message, tc.want.says) || !strings.Contains(f.Remedy, tc.want.remedy) {
				t.Errorf("%q, %q: want %q and %q", f.Message, f.Remedy, tc.want.says, tc.want.remedy)
			}
			if certs.Worst(findings) != f.Severity {
				t.Errorf("worst is %s", certs.Worst(findings))
			}
		})
	}
}

func TestHosts(t *testing.T) {
	t.Parallel()
	test := open(t, certstest.AuthorityOptions{}, certstest.LeafOptions{}, certstest.KeystoreOptions{})
	production := open(t, certstest.AuthorityOptions{Production: true}, certstest.LeafOptions{}, certstest.KeystoreOptions{})
	for host, want := range map[string]struct{ test, production certs.Code }{
		"":                                       {"", ""},
		"https://services.nemlog-in.dk":          {certs.CodeTestCertificate, ""},
		"https://SERVICES.NemLog-in.dk.:443/api": {certs.CodeTestCertificate, ""},
		"nemlog-in.dk":                           {certs.CodeTestCertificate, ""},
		"services.nemlog-in.dk:443":              {certs.CodeTestCertificate, ""},
		"https://erhvervsadministration.nemlog-in.dk":               {certs.CodeTestCertificate, ""},
		"https://services.test-nemlog-in.dk":                        {"", certs.CodeProductionCertificate},
		"https://erhvervsadministration.devtest4-nemlog-in.dk":      {"", certs.CodeProductionCertificate},
		"https://erhvervsadministration.test-devtest4-nemlog-in.dk": {"", certs.CodeProductionCertificate},
		"https://evil-nemlog-in.dk":                                 {certs.CodeUnknownHost, certs.CodeUnknownHost},
		"https://nemlog-in.dk.example.com":                          {certs.CodeUnknownHost, certs.CodeUnknownHost},
		"https://192.0.2.1":                                         {certs.CodeUnknownHost, certs.CodeUnknownHost},
		"https://127.0.0.1:8443":                                    {"", ""},
		"https://[::1]:8443":                                        {"", ""},
		"https://10.1.2.3":                                          {"", ""},
		"https://localhost:8443":                                    {"", ""},
		"https://simulator:8443":                                    {"", ""},
		"https://proxy.kommune.internal":                            {"", ""},
		"https://%zz":                                               {"", ""},
	} {
		for _, tc := range []struct {
			k    *certs.Keystore
			want certs.Code
		}{{test, want.test}, {production, want.production}} {
			var got certs.Code
			for _, f := range certs.Check(tc.k, certs.CheckOptions{BaseURL: host, Now: now}) {
				got += f.Code
			}
			if got != tc.want {
				t.Errorf("%s with a %s certificate: %q, want %q", host, tc.k.Describe().Environment, got, tc.want)
			}
		}
	}
}

func TestWorstFirst(t *testing.T) {
	t.Parallel()
	k := open(t, certstest.AuthorityOptions{}, certstest.LeafOptions{OCES2: true, CVR: "11111111", NotAfter: now.Add(time.Hour)},
		certstest.KeystoreOptions{WithoutChain: true})
	var got []certs.Code
	for _, f := range certs.Check(k, certs.CheckOptions{Now: now, CVR: "22222222", BaseURL: "services.nemlog-in.dk"}) {
		got = append(got, f.Code)
	}
	want := []certs.Code{certs.CodeCVRMismatch, certs.CodeTestCertificate, certs.CodeEndsSoon, certs.CodeChainIncomplete, certs.CodeOCES2}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if certs.Worst(nil) != "" {
		t.Error("nothing has no severity")
	}
	// Without a time the present counts, by which this certificate of June 2026 plus an hour has ended, or will.
	if certs.Worst(certs.Check(k, certs.CheckOptions{})) == "" {
		t.Error("without a time nothing was found")
	}
}

func TestDescribeOCES3(t *testing.T) {
	t.Parallel()
	k := open(t, certstest.AuthorityOptions{}, certstest.LeafOptions{
		CVR: "90000001", UUID: strings.ToUpper(uuid), Name: "Rollebro\x1b[31m", Organisation: "Ærø\u202e Kommune",
	}, certstest.KeystoreOptions{})
	d := k.Describe()
	if len(d.SHA256) != 64 || d.Serial == "" || len(d.Chain) != 2 {
		t.Errorf("described as %+v", d)
	}
	d.SHA256, d.Serial, d.Chain = "", "", nil
	want := certs.Description{
		Name: "Rollebro\ufffd[31m", Organisation: "Ærø\ufffd Kommune", CVR: "90000001", UUID: uuid,
		Kind: certs.KindOrganisation, Environment: certs.EnvironmentTest,
		Subject:   "CN=Rollebro\ufffd[31m, serialNumber=UI:DK-O:G:" + strings.ToUpper(uuid) + ", O=Ærø\ufffd Kommune, organizationIdentifier=NTRDK-90000001, C=DK",
		Issuer:    "CN=Den Danske Stat OCES udstedende-CA 1, OU=Test - cti, O=Den Danske Stat, C=DK",
		NotBefore: longAgo, NotAfter: now.AddDate(1, 0, 0), KeyType: "ECDSA P-256", ChainComplete: true,
	}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Error(diff)
	}
}

func TestDescribeOCES2(t *testing.T) {
	t.Parallel()
	k, err := certs.Load("testdata/oces2.p12", "rollebro")
	if err != nil {
		t.Fatal(err)
	}
	d := k.Describe()
	got := certs.Description{Name: d.Name, Organisation: d.Organisation, CVR: d.CVR, FID: d.FID, UUID: d.UUID, Kind: d.Kind, KeyType: d.KeyType}
	want := certs.Description{
		Name: "Rollebro (funktionscertifikat)", Organisation: "Prøvekommunen", CVR: "90000001", FID: "12345678",
		Kind: certs.KindFunction, KeyType: "RSA 2048",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	opts := certs.CheckOptions{Now: now, CVR: "12345678", BaseURL: "https://services.nemlog-in.dk"}
	report := certs.Inspect("testdata/oces3-nochain.p12", "rollebro", opts)
	if report.Usable() {
		t.Error("another organisation's test certificate would do")
	}
	d := report.Description
	d.Serial, d.SHA256 = "5e", "cafe"
	d.NotBefore, d.NotAfter = longAgo, farAhead
	findings := report.Findings
	report.Findings = findings[len(findings)-1:]
	var out bytes.Buffer
	if err := report.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	want := `Keystore  testdata/oces3-nochain.p12

Name          Rollebro prøve
Organisation  Ærøskøbing Prøvekommune
CVR           90000001
UUID          5a7c1e0e-7b1d-4c57-9a53-0d8f4c1b6f11
Kind          organisation or system (OCES3)
Environment   test
Valid         2024-06-01 14:00 CEST to 2046-06-01 14:00 CEST
Key           RSA 3072
Serial        5e
SHA-256       cafe
Subject       CN=Rollebro prøve, serialNumber=UI:DK-O:G:5a7c1e0e-7b1d-4c57-9a53-0d8f4c1b6f11, O=Ærøskøbing Prøvekommune, organizationIdentifier=NTRDK-90000001, C=DK
Issuer        CN=Den Danske Stat OCES udstedende-CA 1, OU=Test - cti, O=Den Danske Stat, C=DK
Chain         none in the file

WARNING  The keystore lacks the certificate of its issuer, CN=Den Danske Stat OCES udstedende-CA 1, OU=Test - cti, O=Den Danske Stat, C=DK. A server that does not have it either will refuse the connection. [chain_incomplete]
         -> Add the issuing authority's certificate: openssl pkcs12 -in OLD.p12 -noenc -out all.pem; openssl pkcs12 -export -in all.pem -certfile ISSUING.pem -out NEW.p12; then delete all.pem, which holds the key in the clear
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestReportOfSoundAndBrokenKeystores(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	sound := certs.Inspect("testdata/oces3.p12", "rollebro", certs.CheckOptions{CVR: "90000001", Now: now.AddDate(4, 0, 0)})
	if err := sound.WriteText(&out); err != nil || !sound.Usable() {
		t.Errorf("usable %v, error %v", sound.Usable(), err)
	}
	for _, want := range []string{"\nChain         CN=Den Danske Stat OCES udstedende-CA 1", "\n              CN=Den Danske Stat OCES rod-CA", "Nothing is wrong with it.\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}

	broken := certs.Inspect("testdata/oces3.p12", "hemmelig", certs.CheckOptions{})
	out.Reset()
	if err := broken.WriteText(&out); err != nil || broken.Usable() {
		t.Errorf("usable %v, error %v", broken.Usable(), err)
	}
	if got := out.String(); !strings.HasPrefix(got, "Keystore  testdata/oces3.p12\n\nERROR    The password is wrong. [wrong_password]\n         -> Use the password") {
		t.Error(got)
	}
	encoded, err := json.Marshal(broken)
	if err != nil || !bytes.HasPrefix(encoded, []byte(`{"path":"testdata/oces3.p12","description":null,"findings":[{"code":"wrong_password","severity":"error",`)) {
		t.Errorf("%s, %v", encoded, err)
	}
	for _, r := range []certs.Report{sound, broken} {
		if err := r.WriteText(full{}); !errors.Is(err, errFull) {
			t.Errorf("writing to a full disk: %v", err)
		}
	}
}

var errFull = errors.New("disk full")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }
