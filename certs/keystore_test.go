package certs_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rollebro/rollebro/certs"
	"github.com/rollebro/rollebro/certs/certstest"
)

const danish = "Blåbærgrød på Ærø"

// fromTools are the keystores that other programs made and Load must read.
var fromTools = []struct {
	file, password string
	issuers        int
}{
	{"oces3.p12", "rollebro", 2},
	{"oces3-nochain.p12", "rollebro", 0},
	{"openssl3.p12", "rollebro", 2},
	{"openssl-legacy.p12", "rollebro", 2},
	{"openssl-3des.p12", "rollebro", 2},
	{"danish-password.p12", danish, 2},
	{"danish-password-legacy.p12", danish, 2},
	{"latin1-password-legacy.p12", danish, 2},
	{"empty-password.p12", "", 2},
	{"no-mac.p12", "rollebro", 2},
	{"keytool.p12", "rollebro", 2},
	{"keytool-legacy.p12", "rollebro", 2},
	{"bouncycastle.p12", "rollebro", 2},
	{"nss.p12", "rollebro", 2},
	{"nss-legacy.p12", "rollebro", 2},
}

func TestLoadKeystoresFromEveryTool(t *testing.T) {
	t.Parallel()
	der, err := os.ReadFile("testdata/certificate.der")
	if err != nil {
		t.Fatal(err)
	}
	want, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range fromTools {
		t.Run(tc.file, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join("testdata", tc.file)
			k, err := certs.Load(path, tc.password)
			if err != nil {
				t.Fatal(err)
			}
			if !k.Leaf().Equal(want) {
				t.Errorf("another certificate: %v", k.Leaf().Subject)
			}
			d := k.Describe()
			if len(d.Chain) != tc.issuers || d.ChainComplete != (tc.issuers > 0) {
				t.Errorf("%d issuers, complete %v", len(d.Chain), d.ChainComplete)
			}
			presented := 1
			if tc.issuers > 0 { // with the issuing authority, without the root
				presented = 2
				if d.Chain[0].Subject != d.Issuer || d.Chain[0].Root || !d.Chain[1].Root {
					t.Errorf("issuers out of order: %v", d.Chain)
				}
			}
			if got := len(k.TLS().Certificate); got != presented || k.TLS().Leaf != k.Leaf() || k.TLS().PrivateKey == nil {
				t.Errorf("presents %d certificates", got)
			}
			if d.CVR != "90000001" || d.Organisation != "Ærøskøbing Prøvekommune" || d.Name != "Rollebro prøve" {
				t.Errorf("described as %+v", d)
			}
			for _, wrong := range []string{"", "Rollebro", tc.password + "1", "Blåbærgrod"} {
				if wrong == tc.password {
					continue
				}
				want := certs.ErrWrongPassword
				if wrong == "" {
					want = certs.ErrNoPassword
				}
				if _, err := certs.Load(path, wrong); !errors.Is(err, want) {
					t.Errorf("password %q: %v", wrong, err)
				}
			}
		})
	}
}

func TestDanishLettersHoweverWritten(t *testing.T) {
	t.Parallel()
	a := certstest.MustAuthority(t, certstest.AuthorityOptions{Keys: certstest.ECDSA})
	leaf := certstest.MustIssue(t, a, certstest.LeafOptions{})
	legacy := func(password string) []byte {
		return certstest.MustKeystore(t, leaf, password, certstest.KeystoreOptions{Encoding: certstest.LegacyRC2})
	}
	latin1 := "Bl\xe5b\xe6rgr\xf8d p\xe5 \xc6r\xf8"
	decomposed := strings.ReplaceAll(danish, "å", "a\u030a")
	asOctets := ""
	for _, b := range []byte(danish) {
		asOctets += string(rune(b))
	}
	for name, tc := range map[string]struct{ written, given string }{
		"as it is":                               {danish, danish},
		"given in ISO 8859-1":                    {danish, latin1},
		"given decomposed":                       {danish, decomposed},
		"written decomposed":                     {decomposed, danish},
		"written by OpenSSL 1.0, octet by octet": {asOctets, danish},
	} {
		if _, err := certs.Parse(legacy(tc.written), tc.given); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := certs.Parse(legacy(danish), "Blåbærgrød på Aerø"); !errors.Is(err, certs.ErrWrongPassword) {
		t.Errorf("another password: %v", err)
	}
}

func TestEveryPasswordOpensWhatItClosed(t *testing.T) {
	t.Parallel()
	a := certstest.MustAuthority(t, certstest.AuthorityOptions{Keys: certstest.ECDSA})
	leaf := certstest.MustIssue(t, a, certstest.LeafOptions{})
	basic := rapid.Rune().Filter(func(r rune) bool { return r <= 0xffff && utf8.ValidRune(r) })
	rapid.Check(t, func(t *rapid.T) {
		password := rapid.StringOfN(basic, 0, 40, -1).Draw(t, "password")
		encoding := rapid.SampledFrom([]certstest.Encoding{
			certstest.OCES3, certstest.Modern, certstest.LegacyDES, certstest.LegacyRC2,
		}).Draw(t, "encoding")
		data, err := leaf.Keystore(password, certstest.KeystoreOptions{Encoding: encoding})
		if err != nil {
			t.Fatal(err)
		}
		k, err := certs.Parse(data, password)
		if err != nil || !k.Leaf().Equal(leaf.Certificate) {
			t.Fatalf("password %q: %v", password, err)
		}
		if _, err := certs.Parse(data, password+"x"); !errors.Is(err, certs.ErrWrongPassword) {
			t.Fatalf("password %q with a letter more: %v", password, err)
		}
	})
}

func TestOrderInTheFileMeansNothing(t *testing.T) {
	t.Parallel()
	a := certstest.MustAuthority(t, certstest.AuthorityOptions{Keys: certstest.ECDSA})
	leaf := certstest.MustIssue(t, a, certstest.LeafOptions{})
	// Of the same name as leaf's issuer, but another authority; and another leaf of the right one.
	namesake := certstest.MustAuthority(t, certstest.AuthorityOptions{Keys: certstest.ECDSA})
	other := certstest.MustIssue(t, a, certstest.LeafOptions{Name: "another"})
	want := certs.Description{}
	rapid.Check(t, func(t *rapid.T) {
		all := []*x509.Certificate{
			leaf.Certificate, a.Issuing(), a.Root(), namesake.Issuing(), namesake.Root(), other.Certificate, a.Issuing(),
		}
		seed := rapid.Uint64().Draw(t, "seed")
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		data, err := leaf.Keystore("", certstest.KeystoreOptions{Certificates: all})
		if err != nil {
			t.Fatal(err)
		}
		k, err := certs.Parse(data, "")
		if err != nil {
			t.Fatal(err)
		}
		d := k.Describe()
		if want.Subject == "" {
			want = d
		}
		if diff := cmp.Diff(want, d); diff != "" {
			t.Fatal(diff)
		}
		presented := k.TLS().Certificate
		if len(presented) != 2 || !bytes.Equal(presented[0], leaf.Certificate.Raw) || !bytes.Equal(presented[1], a.Issuing().Raw) {
			t.Fatalf("presents %d certificates, or others", len(presented))
		}
		if f := certs.Check(k, certs.CheckOptions{}); len(f) != 1 || f[0].Code != certs.CodeUnrelated || !strings.Contains(f[0].Message, "3 more") {
			t.Fatalf("found %v", f)
		}
	})
}

func TestLoadErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(data []byte) string {
		f, err := os.CreateTemp(dir, "*.p12")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		if _, err := f.Write(data); err != nil {
			t.Fatal(err)
		}
		return f.Name()
	}
	a := certstest.MustAuthority(t, certstest.AuthorityOptions{Keys: certstest.ECDSA})
	leaf := certstest.MustIssue(t, a, certstest.LeafOptions{})
	other := certstest.MustIssue(t, a, certstest.LeafOptions{})
	good := certstest.MustKeystore(t, leaf, "rollebro", certstest.KeystoreOptions{})
	mismatch := certstest.MustKeystore(t, leaf, "rollebro", certstest.KeystoreOptions{
		Certificates: []*x509.Certificate{other.Certificate, a.Issuing(), a.Root()},
	})
	crowd := certstest.KeystoreOptions{}
	for range 65 {
		crowd.Certificates = append(crowd.Certificates, leaf.Certificate)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(leaf.Key)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Clone(good)
	changed[len(changed)/2] ^= 1

	for name, tc := range map[string]struct {
		path, password string
		want           error
		code           certs.Code
		says, remedy   string
	}{
		"missing":     {filepath.Join(dir, "none.p12"), "", certs.ErrMissing, certs.CodeMissing, "no such file", "keystoreLocation"},
		"no dir":      {filepath.Join(dir, "none", "none.p12"), "", certs.ErrMissing, certs.CodeMissing, "no such file", "mounted"},
		"directory":   {dir, "", certs.ErrDirectory, certs.CodeDirectory, "is a directory", ".p12 file itself"},
		"under file":  {write(good) + "/x", "", certs.ErrUnreadable, certs.CodeUnreadable, "not a directory", "permission"},
		"device":      {os.DevNull, "", certs.ErrUnreadable, certs.CodeUnreadable, "not a regular file", "permission"},
		"empty":       {write(nil), "", certs.ErrEmpty, certs.CodeEmpty, "is empty", "again"},
		"too large":   {write(make([]byte, certs.MaxSize+1)), "", certs.ErrTooLarge, certs.CodeTooLarge, "too large", "few kilobytes"},
		"truncated":   {write(good[:len(good)-1]), "rollebro", certs.ErrTruncated, certs.CodeTruncated, "cut off", "binary mode"},
		"truncated 2": {write(good[:20]), "rollebro", certs.ErrTruncated, certs.CodeTruncated, "cut off", "binary mode"},
		"followed":    {write(append(bytes.Clone(good), good...)), "rollebro", certs.ErrDamaged, certs.CodeDamaged, "something follows", "openssl pkcs12"},
		"zeros":       {write(make([]byte, 999)), "", certs.ErrNotKeystore, certs.CodeNotKeystore, "not a PKCS#12", ".p12 or .pfx"},
		"text":        {write([]byte("01 this is a text that begins with a zero")), "", certs.ErrNotKeystore, certs.CodeNotKeystore, "not a PKCS#12", ".pfx"},
		"other DER":   {write([]byte{0x30, 3, 2, 1, 5}), "", certs.ErrNotKeystore, certs.CodeNotKeystore, "not a PKCS#12", ".pfx"},
		"PEM": {
			write(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})), "",
			certs.ErrNotKeystore, certs.CodeNotKeystore, "PEM file", "openssl pkcs12 -export -inkey",
		},
		"PGP":         {write([]byte("-----BEGIN PGP MESSAGE-----\n")), "", certs.ErrNotKeystore, certs.CodeNotKeystore, "PGP", "gpg --output"},
		"JKS":         {"testdata/keytool.jks", "rollebro", certs.ErrNotKeystore, certs.CodeNotKeystore, "Java keystore (JKS)", "keytool -importkeystore"},
		"JCEKS":       {write([]byte{0xce, 0xce, 0xce, 0xce, 0, 0}), "", certs.ErrNotKeystore, certs.CodeNotKeystore, "JCEKS", "-srcstoretype JCEKS"},
		"ZIP":         {write([]byte("PK\x03\x04....")), "", certs.ErrNotKeystore, certs.CodeNotKeystore, "ZIP", "Unpack"},
		"web page":    {write([]byte("\n<!DOCTYPE html><title>Log in</title>")), "", certs.ErrNotKeystore, certs.CodeNotKeystore, "web page", "signed in"},
		"base64":      {write([]byte(wrap(base64.StdEncoding.EncodeToString(good)))), "", certs.ErrNotKeystore, certs.CodeNotKeystore, "base64", "base64 -d"},
		"certificate": {"testdata/certificate.der", "", certs.ErrNotKeystore, certs.CodeNotKeystore, "certificate without its key", ".pfx"},
		"PKCS#7":      {"testdata/certificates.p7b", "", certs.ErrNotKeystore, certs.CodeNotKeystore, "PKCS#7", ".pfx"},
		"bare key":    {write(pkcs8), "", certs.ErrNotKeystore, certs.CodeNotKeystore, "private key without its certificate", "-inkey"},

		"wrong password":  {"testdata/oces3.p12", "hemmelig-1", certs.ErrWrongPassword, certs.CodeWrongPassword, "password is wrong", "certificate was made"},
		"no password":     {"testdata/oces3.p12", "", certs.ErrNoPassword, certs.CodeWrongPassword, "o password is set", "keystorePasswordFile"},
		"line break":      {"testdata/oces3.p12", "rollebro\n", certs.ErrWrongPassword, certs.CodeWrongPassword, "blanks around", "line break"},
		"quotation marks": {"testdata/oces3.p12", `"rollebro"`, certs.ErrWrongPassword, certs.CodeWrongPassword, "quotation marks", "keystore opens without"},
		"emoji":           {"testdata/oces3.p12", "rollebro\U0001F511", certs.ErrWrongPassword, certs.CodeWrongPassword, "emoji", "certificate was made"},
		"emoji, BER":      {"testdata/nss.p12", "rollebro\U0001F511", certs.ErrWrongPassword, certs.CodeWrongPassword, "emoji", "certificate was made"},
		"altered":         {write(changed), "rollebro", certs.ErrWrongPassword, certs.CodeWrongPassword, "password is wrong", "damaged"},
		"no key":          {"testdata/no-key.p12", "rollebro", certs.ErrNoKey, certs.CodeNoKey, "no private key", "browser"},
		"trust store":     {"testdata/truststore.p12", "rollebro", certs.ErrNoKey, certs.CodeNoKey, "no private key", "trust store"},
		"two keys":        {"testdata/two-keys.p12", "rollebro", certs.ErrManyKeys, certs.CodeManyKeys, "more than one", "-srcalias"},
		"no certificate":  {"testdata/no-certificate.p12", "rollebro", certs.ErrNoCertificate, certs.CodeNoCertificate, "no certificate", "-certfile"},
		"another's key":   {write(mismatch), "rollebro", certs.ErrKeyMismatch, certs.CodeKeyMismatch, "belongs to its private key", "renewal"},
		"crowd": {
			write(certstest.MustKeystore(t, leaf, "", crowd)), "",
			certs.ErrUnsupported, certs.CodeUnsupported, "65 certificates", "openssl pkcs12",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, err := certs.Load(tc.path, tc.password)
			if k != nil || !errors.Is(err, tc.want) {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
			var e *certs.Error
			if !errors.As(err, &e) || e.Path != tc.path || !strings.Contains(err.Error(), tc.path) {
				t.Errorf("does not name the file: %v", err)
			}
			if !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%q does not say %q", err, tc.says)
			}
			if got := certs.Remedy(fmt.Errorf("wrapping: %w", err)); !strings.Contains(got, tc.remedy) {
				t.Errorf("remedy %q does not say %q", got, tc.remedy)
			}
			f := e.Finding()
			if f.Code != tc.code || f.Severity != certs.SeverityError || f.Remedy != e.Remedy || !strings.Contains(f.Message, tc.says) {
				t.Errorf("finding %+v", f)
			}
			if tc.password != "" && tc.password != "rollebro" && strings.Contains(fmt.Sprintf("%v %+v %v", err, e, f), tc.password) {
				t.Errorf("the password is in the error: %v", err)
			}
		})
	}
}

func TestTruncatedAnywhere(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"oces3.p12", "nss.p12"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		for n := range data {
			want := certs.ErrTruncated
			if n == 0 {
				want = certs.ErrEmpty
			}
			if _, err := certs.Parse(data[:n], "rollebro"); !errors.Is(err, want) {
				t.Fatalf("%s cut to %d octets: %v", name, n, err)
			}
		}
	}
}

func TestTrailingBlanksAreForgiven(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/oces3.p12")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := certs.Parse(append(data, "\r\n\x00"...), "rollebro"); err != nil {
		t.Error(err)
	}
}

func TestRenewalWithTheSameKeyTakesTheLongerCertificate(t *testing.T) {
	t.Parallel()
	a := certstest.MustAuthority(t, certstest.AuthorityOptions{Keys: certstest.ECDSA})
	leaf := certstest.MustIssue(t, a, certstest.LeafOptions{})
	renewed := certstest.MustRenew(t, a, leaf, certstest.LeafOptions{NotAfter: leaf.Certificate.NotAfter.AddDate(1, 0, 0)})
	for _, order := range [][]*x509.Certificate{
		{leaf.Certificate, renewed.Certificate, a.Issuing()}, {renewed.Certificate, leaf.Certificate, a.Issuing()},
	} {
		k, err := certs.Parse(certstest.MustKeystore(t, leaf, "", certstest.KeystoreOptions{Certificates: order}), "")
		if err != nil {
			t.Fatal(err)
		}
		if !k.Leaf().Equal(renewed.Certificate) {
			t.Error("took the certificate that ends first")
		}
	}
}

func wrap(s string) string {
	var b strings.Builder
	for len(s) > 76 {
		b.WriteString(s[:76] + "\n")
		s = s[76:]
	}
	return b.String() + s + "\n"
}
