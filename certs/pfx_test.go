package certs

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // G505: the MAC of old keystores
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"
	"math/big"
	"strings"
	"testing"
	"time"

	pkcs12 "software.sslmate.com/src/go-pkcs12"

	"github.com/rollebro/rollebro/certs/certstest"
)

// unpack reads a keystore's outside; pack writes it again.
func unpack(t *testing.T, data []byte) pfx {
	t.Helper()
	var file pfx
	if _, err := asn1.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	return file
}

func pack(t *testing.T, value any) []byte {
	t.Helper()
	der, err := asn1.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func keystore(t *testing.T, password string, encoding certstest.Encoding) []byte {
	t.Helper()
	a := certstest.MustAuthority(t, certstest.AuthorityOptions{Keys: certstest.ECDSA})
	return certstest.MustKeystore(t, certstest.MustIssue(t, a, certstest.LeafOptions{}), password, certstest.KeystoreOptions{Encoding: encoding})
}

// seal gives a file another AuthenticatedSafe and a MAC for it.
func seal(t *testing.T, file pfx, safe []byte, password string) []byte {
	t.Helper()
	file.AuthSafe = explicitContent(oidData, pack(t, safe))
	secret, err := bmpPassword(password)
	if err != nil {
		t.Fatal(err)
	}
	if file.MACData.Digest.Value, err = file.MACData.compute(safe, secret); err != nil {
		t.Fatal(err)
	}
	return pack(t, file)
}

// keystorePlain makes a file with neither MAC nor encryption.
func keystorePlain(t *testing.T) []byte {
	t.Helper()
	a := certstest.MustAuthority(t, certstest.AuthorityOptions{Keys: certstest.ECDSA})
	leaf := certstest.MustIssue(t, a, certstest.LeafOptions{})
	data, err := pkcs12.Passwordless.Encode(leaf.Key, leaf.Certificate, leaf.Chain, "")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func wantError(t *testing.T, data []byte, password string, want error, says, remedy string) {
	t.Helper()
	_, err := Parse(data, password)
	if !errors.Is(err, want) || !strings.Contains(err.Error(), says) || !strings.Contains(Remedy(err), remedy) {
		t.Errorf("got %v (%s), want %v, %q, %q", err, Remedy(err), want, says, remedy)
	}
}

func TestAbsurdRoundsAreRefusedAtOnce(t *testing.T) {
	t.Parallel()
	file := unpack(t, keystore(t, "rollebro", certstest.OCES3))
	for _, rounds := range []int{maxRounds + 1, 1 << 31, 0, -1} {
		file.MACData.Rounds = rounds
		start := time.Now()
		wantError(t, pack(t, file), "rollebro", ErrDamaged, "absurd", "again")
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%d rounds took %v", rounds, took)
		}
	}

	// The rounds of the key's own encryption lie deep inside; 2000 is 07d0.
	data := readTestdata(t, "oces3.p12")
	file = unpack(t, data)
	safe, err := octets(file.AuthSafe.Content)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(safe, []byte{2, 2, 0x07, 0xd0}); n != 1 {
		t.Fatalf("found the rounds %d times", n)
	}
	at := bytes.Index(safe, []byte{2, 2, 0x07, 0xd0})
	safe[at+2] = 0x7f // 2000 becomes 32720: allowed, but the key no longer opens
	wantError(t, seal(t, file, safe, "rollebro"), "rollebro", ErrWrongPassword, "the key inside does not", "one password")
	total := 0
	if err := countRounds(safe, &total, 0); err != nil || total != 0x7fd0 {
		t.Errorf("counted %d rounds, %v", total, err)
	}
	total = maxRounds - 1
	if err := countRounds(safe, &total, 0); !errors.Is(err, errRounds) {
		t.Errorf("counted on: %v", err)
	}
	if err := countRounds([]byte{4, 1, 0, 2, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9}, new(int), 0); !errors.Is(err, errRounds) {
		t.Errorf("a count of 65 bits: %v", err)
	}
}

func TestKeyWithAPasswordOfItsOwn(t *testing.T) {
	t.Parallel()
	file := unpack(t, keystore(t, "key's", certstest.OCES3))
	safe, err := octets(file.AuthSafe.Content)
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, seal(t, file, safe, "file's"), "file's", ErrWrongPassword, "the key inside does not", "one password")
	wantError(t, seal(t, file, safe, "smørrebrød"), "smørrebrød", ErrWrongPassword, "the key inside does not", "without Danish letters")
}

func TestWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	good := unpack(t, keystore(t, "rollebro", certstest.OCES3))
	safe, err := octets(good.AuthSafe.Content)
	if err != nil {
		t.Fatal(err)
	}

	signed := good
	signed.AuthSafe.Type = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	wantError(t, pack(t, signed), "rollebro", ErrUnsupported, "public key", "openssl pkcs12")

	infos, err := contents(safe)
	if err != nil {
		t.Fatal(err)
	}
	more := pack(t, append(infos, infos[1]))
	wantError(t, seal(t, good, more, "rollebro"), "rollebro", ErrUnsupported, "has 3", "openssl pkcs12")

	wantError(t, seal(t, good, []byte("text"), "rollebro"), "rollebro", ErrNotKeystore, "not a PKCS#12", ".p12")
	wantError(t, seal(t, good, pack(t, infos[:1]), "rollebro"), "rollebro", ErrNoKey, "no private key", "browser")
	wantError(t, seal(t, good, pack(t, infos[1:]), "rollebro"), "rollebro", ErrNoCertificate, "no certificate", "-certfile")

	version := good
	version.Version = 4
	wantError(t, pack(t, version), "rollebro", ErrUnsupported, "v3", "openssl pkcs12")

	// In BER our own code verifies the MAC, and meets one it does not know.
	ber := bytes.Clone(safe)
	ber = append(append([]byte{0x30, 0x80}, ber[headerSize(t, ber):]...), 0, 0)
	unknown := good
	unknown.AuthSafe = explicitContent(oidData, pack(t, ber))
	unknown.MACData.Digest.Algorithm.Algorithm = asn1.ObjectIdentifier{1, 2, 3}
	wantError(t, pack(t, unknown), "rollebro", ErrUnsupported, "1.2.3", "openssl pkcs12")
}

func headerSize(t *testing.T, der []byte) int {
	t.Helper()
	var v asn1.RawValue
	if _, err := asn1.Unmarshal(der, &v); err != nil {
		t.Fatal(err)
	}
	return len(v.FullBytes) - len(v.Bytes)
}

// Every digest the MAC may use, over BER at every level we rewrite, with the empty password in both its forms.
func TestMACOverBER(t *testing.T) {
	t.Parallel()
	for name, oid := range map[string]asn1.ObjectIdentifier{"SHA-1": oidSHA1, "SHA-256": oidSHA256, "SHA-384": oidSHA384, "SHA-512": oidSHA512} {
		for _, password := range []string{"", "rødgrød"} {
			t.Run(name+" "+password, func(t *testing.T) {
				t.Parallel()
				file := unpack(t, keystore(t, password, certstest.OCES3))
				safe, err := octets(file.AuthSafe.Content)
				if err != nil {
					t.Fatal(err)
				}
				infos, err := contents(safe)
				if err != nil {
					t.Fatal(err)
				}
				var ber []byte
				for _, info := range infos {
					bags, err := octets(info.Content)
					if err != nil {
						t.Fatal(err)
					}
					bags = append(append([]byte{0x30, 0x80}, bags[headerSize(t, bags):]...), 0, 0)
					cut := len(bags) / 2
					segments := append(pack(t, bags[:cut]), pack(t, bags[cut:])...)
					content := append(append([]byte{0x30, 0x80}, pack(t, oidData)...), 0xa0, 0x80, 0x24, 0x80)
					ber = append(append(ber, content...), append(segments, make([]byte, 6)...)...)
				}
				ber = append(append([]byte{0x30, 0x80}, ber...), 0, 0)
				file.MACData.Digest.Algorithm = pkix.AlgorithmIdentifier{Algorithm: oid, Parameters: asn1.NullRawValue}
				k, err := Parse(seal(t, file, ber, password), password)
				if err != nil {
					t.Fatal(err)
				}
				if len(k.chain) != 2 || k.noMAC {
					t.Errorf("%d issuers, MAC missing: %v", len(k.chain), k.noMAC)
				}
				wantError(t, seal(t, file, ber, password), password+"x", ErrWrongPassword, "wrong", "certificate was made")

				if password == "" { // some programs write it as no octets at all
					file.AuthSafe = explicitContent(oidData, pack(t, ber))
					if file.MACData.Digest.Value, err = file.MACData.compute(ber, nil); err != nil {
						t.Fatal(err)
					}
					if _, err := Parse(pack(t, file), ""); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

// A vector of RFC 7292's key derivation that takes more than one block and all three purposes; from the published
// examples that implementations share (password "smeg" and "queeg").
func TestDeriveKey(t *testing.T) {
	t.Parallel()
	smeg, err := bmpPassword("smeg")
	if err != nil {
		t.Fatal(err)
	}
	salt := unhex(t, "0a58cf64530d823f")
	if got, want := deriveKey(sha1.New, 1, salt, smeg, 1, 24), unhex(t, "8aaae6297b6cb04642ab5b077851284eb7128f1a2a7fbca3"); !bytes.Equal(got, want) {
		t.Errorf("key %x, want %x", got, want)
	}
	if got, want := deriveKey(sha1.New, 2, salt, smeg, 1, 8), unhex(t, "79993dfe048d3b76"); !bytes.Equal(got, want) {
		t.Errorf("IV %x, want %x", got, want)
	}
	if got, want := deriveKey(sha1.New, 3, unhex(t, "3d83c0e4546ac140"), smeg, 1, 20), unhex(t, "8d967d88f6caa9d714800ab3d48051d63f73a312"); !bytes.Equal(got, want) {
		t.Errorf("MAC key %x, want %x", got, want)
	}
	for _, h := range []func() hash.Hash{sha256.New, sha512.New} {
		if got := deriveKey(h, 3, nil, nil, 2, 100); len(got) != 100 {
			t.Errorf("%d octets without salt and password", len(got))
		}
	}
}

// Nothing but the text that comes out shows whether the password of a file without a MAC is right, and one in 256 wrong
// passwords gives a text with a plausible end.
func TestWrongPasswordsOfFileWithoutMAC(t *testing.T) {
	t.Parallel()
	a := certstest.MustAuthority(t, certstest.AuthorityOptions{Keys: certstest.ECDSA})
	leaf := certstest.MustIssue(t, a, certstest.LeafOptions{})
	data, err := pkcs12.Modern2023.WithIterations(1).Encode(leaf.Key, leaf.Certificate, leaf.Chain, "rollebro")
	if err != nil {
		t.Fatal(err)
	}
	file := unpack(t, data)
	data = pack(t, struct {
		Version  int
		AuthSafe contentInfo
	}{3, file.AuthSafe})
	if _, err := Parse(data, "rollebro"); err != nil {
		t.Fatal(err)
	}
	for i := range 3000 {
		if _, err := Parse(data, fmt.Sprint("wrong", i)); !errors.Is(err, ErrWrongPassword) {
			t.Fatalf("password %d: %v", i, err)
		}
	}
}

// What lies open in a file without a MAC is taken only where no password pretends to protect it.
func TestFileWithoutAnyProtection(t *testing.T) {
	t.Parallel()
	data := keystorePlain(t)
	k, err := Parse(data, "")
	if err != nil {
		t.Fatal(err)
	}
	if f := Check(k, CheckOptions{}); len(f) != 1 || f[0].Code != CodeNoMAC || !strings.Contains(f[0].Remedy, "Write it anew") {
		t.Errorf("found %+v", f)
	}
	wantError(t, data, "rollebro", ErrUnsupported, "nothing protects it", "openssl pkcs12")
}

func TestUseAndKeySize(t *testing.T) {
	t.Parallel()
	sound := func() *x509.Certificate {
		return &x509.Certificate{
			KeyUsage: x509.KeyUsageDigitalSignature, PublicKey: &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2047), E: 65537},
		}
	}
	for name, tc := range map[string]struct {
		change func(*x509.Certificate)
		want   Code
	}{
		"sound":         {func(*x509.Certificate) {}, ""},
		"no usage":      {func(c *x509.Certificate) { c.KeyUsage = 0 }, ""},
		"encipherment":  {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }, CodeKeyUsage},
		"any":           {func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }, ""},
		"for clients":   {func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, ""},
		"for servers":   {func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, CodeKeyUsage},
		"for what else": {func(c *x509.Certificate) { c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 2}} }, CodeKeyUsage},
		"short RSA key": {func(c *x509.Certificate) { c.PublicKey = &rsa.PublicKey{N: big.NewInt(1 << 62), E: 3} }, CodeWeakKey},
	} {
		c := sound()
		tc.change(c)
		var got Code
		for _, f := range (&Keystore{leaf: c}).checkUse(Description{KeyType: "RSA 63"}) {
			got += f.Code
			if f.Remedy == "" {
				t.Errorf("%s: no remedy", name)
			}
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func TestHolders(t *testing.T) {
	t.Parallel()
	for serial, want := range map[string]Description{
		"UI:DK-O:G:ABC-1":                {Kind: KindOrganisation, UUID: "abc-1"},
		"UI:DK-E:G:abc":                  {Kind: KindEmployee, UUID: "abc"},
		"UI:DK-P:G:abc":                  {Kind: KindPerson, UUID: "abc"},
		"CVR:12345678-UID:UI:DK-O:G:abc": {Kind: KindOrganisation, UUID: "abc", CVR: "12345678"},
		"CVR:12345678-FID:42":            {Kind: KindFunction, FID: "42", CVR: "12345678"},
		"CVR:12345678-UID:42":            {Kind: KindCompany, CVR: "12345678"},
		"CVR:12345678-RID:42":            {Kind: KindEmployee, CVR: "12345678"},
		"PID:9208-2002-2-1":              {Kind: KindPerson},
		"CVR:1234567-FID:42":             {Kind: KindUnknown},
		"UI:DK-O:G:":                     {Kind: KindUnknown},
		"42":                             {Kind: KindUnknown},
		"":                               {Kind: KindUnknown},
	} {
		got := holder(pkix.Name{Names: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 5}, Value: serial}}})
		if got.Kind != want.Kind || got.UUID != want.UUID || got.CVR != want.CVR || got.FID != want.FID {
			t.Errorf("%q: %+v, want %+v", serial, got, want)
		}
	}
}

func TestEnvironments(t *testing.T) {
	t.Parallel()
	for want, issuers := range map[Environment][]pkix.Name{
		EnvironmentTest: {
			{CommonName: "Den Danske Stat OCES udstedende-CA 1", Organization: []string{"Den Danske Stat"}, OrganizationalUnit: []string{"Test - cti"}},
			{CommonName: "TRUST2408 Systemtest XXII CA", Organization: []string{"TRUST2408"}},
		},
		EnvironmentProduction: {
			{CommonName: "Den Danske Stat OCES udstedende-CA 1", Organization: []string{"Den Danske Stat"}},
			{CommonName: "TRUST2408 OCES CA IV", Organization: []string{"TRUST2408"}},
		},
		EnvironmentUnknown: {{CommonName: "Some CA", Organization: []string{"Some Company"}}, {}},
	} {
		for _, issuer := range issuers {
			if got := environment(&x509.Certificate{Issuer: issuer}); got != want {
				t.Errorf("%v: %s, want %s", issuer, got, want)
			}
		}
	}
}
